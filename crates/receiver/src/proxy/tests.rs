use super::*;

#[test]
fn addresses_are_read_with_and_without_what_may_be_left_away() {
    for (text, shown, user) in [
        ("http://p.test:8080", "http://p.test:8080", None),
        (" p.test:80/ ", "http://p.test:80", None),
        ("HTTPS://p.test:443", "https://p.test:443", None),
        ("socks5h://10.0.0.1:1080", "socks5h://10.0.0.1:1080", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        (
            "http://CONTOSO%5Cana:p%40%3Aw@p.test:1",
            "http://p.test:1",
            Some("CONTOSO\\ana"),
        ),
        ("ana:p@w@p.test:1", "http://p.test:1", Some("ana")),
    ] {
        let address = ProxyAddress::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(address.to_string(), shown);
        assert_eq!(address.user(), user);
    }
    for (text, fault) in [
        ("ftp://p.test:1", AddressFault::Scheme),
        ("http://p.test", AddressFault::NoPort),
        ("p.test", AddressFault::NoPort),
        ("http://p.test:80/proxy.pac", AddressFault::Path),
        ("http://u:p#w@p.test:1", AddressFault::Malformed),
        ("http://", AddressFault::Malformed),
        ("http://p.test:port", AddressFault::Malformed),
        ("http://a b:1", AddressFault::Malformed),
    ] {
        assert_eq!(ProxyAddress::parse(text).err(), Some(fault), "{text}");
    }
}

fn named(address: &str) -> Option<NamedProxy> {
    Some(NamedProxy {
        address: ProxyAddress::parse(address).unwrap_or_else(|e| panic!("{e}")),
        by: "somebody".into(),
    })
}

#[test]
fn the_order_is_no_proxy_then_the_setting_then_the_environment() {
    let environment = Proxies {
        for_https: named("s.test:1"),
        for_http: named("h.test:1"),
        ..Proxies::default()
    };
    let setting = Proxies {
        setting: named("own.test:1"),
        ..environment.clone()
    };
    let excepting = Proxies {
        no_proxy: Some((NoProxy::parse("b.test,10.0.0.0/8"), "NO_PROXY".into())),
        ..setting.clone()
    };
    let own = Proxies {
        setting: named("127.0.0.1:8888"),
        ..environment.clone()
    };
    let none = Proxies::default();
    for (proxies, url, expected) in [
        (&none, "https://a.test/", "no proxy: none is named"),
        (
            &environment,
            "https://a.test/",
            "through the proxy http://s.test:1 (somebody)",
        ),
        (
            &environment,
            "http://a.test/",
            "through the proxy http://h.test:1 (somebody)",
        ),
        (
            &environment,
            "https://localhost/",
            "no proxy: it is this machine's own address",
        ),
        (
            &setting,
            "https://a.test/",
            "through the proxy http://own.test:1 (somebody)",
        ),
        (
            &setting,
            "https://127.9.9.9/",
            "no proxy: it is this machine's own address",
        ),
        (
            &setting,
            "http://[::1]:1/",
            "no proxy: it is this machine's own address",
        ),
        (
            &setting,
            "http://LOCALHOST.:1/",
            "no proxy: it is this machine's own address",
        ),
        (
            &setting,
            "https://localhost.test/",
            "through the proxy http://own.test:1 (somebody)",
        ),
        (
            &own,
            "https://localhost/",
            "through the proxy http://127.0.0.1:8888 (somebody)",
        ),
        (
            &own,
            "https://a.test/",
            "through the proxy http://127.0.0.1:8888 (somebody)",
        ),
        (
            &excepting,
            "https://a.b.test/",
            "no proxy: b.test stands in NO_PROXY",
        ),
        (
            &excepting,
            "https://10.1.2.3/",
            "no proxy: 10.0.0.0/8 stands in NO_PROXY",
        ),
        (
            &excepting,
            "https://ab.test/",
            "through the proxy http://own.test:1 (somebody)",
        ),
    ] {
        let url = Url::parse(url).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(proxies.route(&url).to_string(), expected, "{url}");
    }
}

#[test]
fn the_user_of_the_setting_goes_before_the_addresss() {
    let address = ProxyAddress::parse("ana:one@p.test:1").unwrap_or_else(|e| panic!("{e}"));
    let logon = |user: Option<&str>, password: Option<&str>| ProxyLogon {
        user: user.map(Into::into),
        password: password.map(Into::into),
        auth: ProxyAuth::Auto,
    };
    let given = |logon: ProxyLogon| {
        use secrecy::ExposeSecret;
        let credentials = logon.credentials(&address)?;
        let password = credentials.password.map(|p| p.expose_secret().to_string());
        Some((credentials.user.to_string(), password))
    };
    let pair = |user: &str, password: &str| Some((user.to_string(), Some(password.to_string())));
    assert_eq!(given(logon(None, None)), pair("ana", "one"));
    assert_eq!(given(logon(None, Some("two"))), pair("ana", "two"));
    assert_eq!(given(logon(Some("bob"), Some("two"))), pair("bob", "two"));
    // Never somebody else's password.
    assert_eq!(given(logon(Some("bob"), None)), Some(("bob".into(), None)));
}

#[cfg(not(windows))]
#[test]
fn without_a_user_nothing_but_a_ticket_can_answer() {
    let schemes = |auth: &str, has_user: bool| {
        let logon = ProxyLogon {
            auth: auth.parse().unwrap_or_else(|e| panic!("{e}")),
            ..ProxyLogon::default()
        };
        logon.schemes(has_user)
    };
    let ticket: &[AuthScheme] = match HAS_NEGOTIATE {
        true => &[AuthScheme::Negotiate],
        false => &[],
    };
    assert_eq!(schemes("auto", false), ticket);
    assert!(!schemes("auto", true).contains(&AuthScheme::Negotiate));
    assert_eq!(schemes("Basic", true), [AuthScheme::Basic]);
    assert_eq!(schemes("NTLM", true), [AuthScheme::Ntlm]);
    assert_eq!(schemes("negotiate", false), [AuthScheme::Negotiate]);
}
