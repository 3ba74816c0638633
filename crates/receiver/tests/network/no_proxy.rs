//! NO_PROXY is read as libcurl reads it: both are asked.

use std::time::Duration;

use csc_receiver::proxy::NoProxy;
use curl::easy::Easy;
use url::Url;

use crate::server::{Server, write};

/// Whether libcurl goes to the proxy for this address.
fn curl_uses_proxy(proxy: &Server, no_proxy: &str, url: &str) -> bool {
    let before = proxy.heard().len();
    let mut easy = Easy::new();
    easy.url(url).unwrap();
    easy.proxy(&format!("http://127.0.0.1:{}", proxy.port))
        .unwrap();
    easy.noproxy(no_proxy).unwrap();
    easy.forbid_reuse(true).unwrap();
    easy.timeout(Duration::from_secs(30)).unwrap();
    // Without the proxy there is nobody; what matters is who was asked.
    let _ = easy.perform();
    proxy.heard().len() > before
}

#[test]
fn hosts_suffixes_addresses_and_networks_are_matched_as_curl_does() {
    let proxy = Server::after_request(|socket, _| {
        write(socket, b"HTTP/1.1 204 No Content\r\n\r\n");
    });
    let hosts = [
        "www.example.invalid",
        "example.invalid",
        "example.invalid.",
        "nonexample.invalid",
        "EXAMPLE.invalid",
        "127.0.0.2",
        "127.0.1.7",
        "[::1]",
    ];
    let lists = [
        "",
        "*",
        "*,x",
        "x,*",
        "example.invalid",
        ".example.invalid",
        "..example.invalid",
        "example.invalid.",
        "EXAMPLE.INVALID",
        "x , example.invalid",
        ",,example.invalid,",
        "*.example.invalid",
        "invalid",
        ".",
        "www.example.invalid,127.0.0.2",
        "127.0.0.2",
        "127.0.0.0/24",
        "127.0.0.0/16",
        "127.0.0.0/23",
        "127.0.0.2/0",
        "127.0.0.2/32",
        "127.0.0.2/33",
        "127.0.0.0/x",
        "127.0.0.0/",
        "127.0.0",
        "::1",
        "[::1]",
        "::/64",
        "::2/127",
        "::1/128",
        "::1/129",
        "0.0.0.2",
    ];
    let (mut through, mut past) = (0, 0);
    for host in hosts {
        // Nobody listens on port 1.
        let url = format!("http://{host}:1/");
        let parsed = Url::parse(&url).unwrap();
        for list in lists {
            let uses = curl_uses_proxy(&proxy, list, &url);
            let excepted = NoProxy::parse(list)
                .entry_for(&parsed.host().unwrap())
                .is_some();
            assert_eq!(!excepted, uses, "{list:?} for {host}");
            *if uses { &mut through } else { &mut past } += 1;
        }
    }
    assert!(through > 150 && past > 40, "{through} {past}");
}
