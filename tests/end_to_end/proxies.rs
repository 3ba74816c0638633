//! The built program through a real proxy, squid, by plain HTTP and by CONNECT.

use std::process::Command;

use crate::place::{Place, Ran, ran};
use crate::squid::{HELPERS, PASSWORD, REQUIRED, Squid, USER};
use crate::tls_front::{Authority, TlsFront};
use crate::trust::behind_tls;

/// As it is written in an address.
const PASSWORD_IN_ADDRESS: &str = "p%3Ass%20w%C3%B6rd";

/// A receiver that only the proxy can find: `receiver.test`, behind TLS.
pub struct Behind {
    pub place: Place,
    pub env: String,
    pub host: String,
    _front: TlsFront,
}

impl Behind {
    pub fn new(host: &str) -> Behind {
        let place = Place::new(3, &[]);
        let authority = Authority::new("our own");
        let front = TlsFront::start(&authority, &[host], place.running.address());
        std::fs::write(place.file("ca.pem"), authority.pem()).unwrap();
        let addresses = behind_tls(&place, host, front.port);
        Behind {
            env: format!(
                "{addresses}ALLOWED_HOSTS=receiver.test\nCA_BUNDLE=ca.pem\nMAX_RETRIES=1\n"
            ),
            host: format!("{host}:{}", front.port),
            place,
            _front: front,
        }
    }

    fn live(&self, more: &str) -> Ran {
        self.place.write_env(&format!("{}{more}", self.env));
        self.place.live(&["-v"])
    }

    pub fn live_with(&self, more: &str, environment: &[(&str, &str)]) -> Ran {
        self.place.write_env(&format!("{}{more}", self.env));
        live_in(&self.place, environment)
    }

    /// What `check receiver` says.
    pub fn checked(&self, more: &str) -> Ran {
        self.place.write_env(&format!("{}{more}", self.env));
        self.place.run(&["check", "receiver"])
    }

    /// The code that the run ends with, and that nothing arrived.
    pub fn stopped(&self, more: &str, code: &str) -> Ran {
        let ran = self.live(more);
        assert_eq!(ran.exit, 4, "{}", ran.both());
        assert!(ran.stderr.contains(code), "{}", ran.both());
        assert_eq!(self.place.statuses(), "pending 3");
        assert_eq!(self.place.simulator.counts().tokens, 0);
        assert!(!ran.both().contains("wörd"), "{}", ran.both());
        ran
    }
}

fn live_in(place: &Place, environment: &[(&str, &str)]) -> Ran {
    let mut command: Command = place.command(&["send", "--live", "--yes", "-v"]);
    command.envs(environment.iter().copied());
    ran(command.output().unwrap())
}

pub fn all_went(place: &Place, ran: &Ran) {
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(place.statuses(), "sent 3");
    assert_eq!(place.simulator.counts().accepted_records, 3);
    assert!(!ran.both().contains("wörd"), "{}", ran.both());
}

fn logon(more: &str) -> String {
    format!("PROXY_USER={USER}\nPROXY_PASSWORD={PASSWORD}\n{more}")
}

#[test]
fn an_open_proxy_passes_plain_http_on() {
    let squid = Squid::open();
    let place = Place::new(3, &[]);
    place.write_env(&format!("PROXY={}", squid.url()));
    let ran = place.live(&["-v"]);
    all_went(&place, &ran);
    assert!(
        ran.stderr
            .contains(&format!("through the proxy {} (PROXY from", squid.url())),
        "{}",
        ran.both()
    );
    squid.logged("POST http://127.0.0.1");
}

#[test]
fn an_open_proxy_passes_https_on_by_connect() {
    let squid = Squid::open();
    let receiver = Behind::new("receiver.test");
    let ran = receiver.live(&format!("PROXY={}", squid.url()));
    all_went(&receiver.place, &ran);
    squid.logged(&format!("CONNECT {}", receiver.host));
}

#[test]
fn the_environments_proxy_is_used_where_no_setting_names_one() {
    let squid = Squid::open();
    for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        let receiver = Behind::new("receiver.test");
        let ran = receiver.live_with("", &[(name, &squid.url())]);
        all_went(&receiver.place, &ran);
        let says = format!(
            "API_ENDPOINT receiver.test: through the proxy {} (the environment's {name})",
            squid.url()
        );
        assert!(ran.stderr.contains(&says), "{}", ran.both());
        squid.logged(&receiver.host);
    }
    // http_proxy is for other addresses, and PROXY goes before all of them.
    let receiver = Behind::new("receiver.test");
    let nowhere = "http://127.0.0.1:1";
    let ran = receiver.live_with("MAX_RETRIES=0\n", &[("http_proxy", &squid.url())]);
    assert!(ran.stderr.contains("none is named"), "{}", ran.both());
    assert_eq!(ran.exit, 4, "{}", ran.both());
    let ran = receiver.live_with(
        &format!("PROXY={}", squid.url()),
        &[("https_proxy", nowhere), ("ALL_PROXY", nowhere)],
    );
    all_went(&receiver.place, &ran);
}

#[test]
fn this_machine_is_never_reached_through_the_environments_proxy_or_one_elsewhere() {
    let nowhere = "http://127.0.0.1:1";
    let environment = [
        ("http_proxy", nowhere),
        ("https_proxy", nowhere),
        ("ALL_PROXY", nowhere),
    ];
    let place = Place::new(3, &[]);
    let ran = live_in(&place, &environment);
    all_went(&place, &ran);
    let receiver = Behind::new("localhost");
    let ran = receiver.live_with("", &environment);
    all_went(&receiver.place, &ran);
    let place = Place::new(3, &[]);
    place.write_env("PROXY=http://proxy.invalid:8080");
    let ran = place.live(&["-v"]);
    all_went(&place, &ran);
    assert!(
        ran.stderr.contains("this machine's own address"),
        "{}",
        ran.both()
    );
}

#[test]
fn no_proxy_goes_before_every_proxy() {
    let nowhere = "http://127.0.0.1:1";
    let receiver = Behind::new("localhost");
    let ran = receiver.live(&format!("PROXY={nowhere}\nNO_PROXY=.example.org,localhost"));
    all_went(&receiver.place, &ran);
    assert!(
        ran.stderr
            .contains("no proxy: localhost stands in NO_PROXY from"),
        "{}",
        ran.both()
    );
    let receiver = Behind::new("localhost");
    let ran = receiver.live_with(&format!("PROXY={nowhere}"), &[("no_proxy", "*")]);
    all_went(&receiver.place, &ran);
    // The setting goes before the environment's no_proxy.
    let receiver = Behind::new("localhost");
    let ran = receiver.live_with(
        &format!("PROXY={nowhere}\nNO_PROXY=.example.org"),
        &[("no_proxy", "localhost")],
    );
    assert!(ran.stderr.contains("CSC0431"), "{}", ran.both());
    // And a host that only the proxy finds is not looked for there.
    let squid = Squid::open();
    let receiver = Behind::new("receiver.test");
    let ran = receiver.live(&format!("PROXY={}\nNO_PROXY=test", squid.url()));
    assert_eq!(ran.exit, 4, "{}", ran.both());
    assert_eq!(squid.log(), "");
}

#[test]
fn basic_by_user_and_password() {
    let squid = Squid::basic();
    for auth in ["", "PROXY_AUTH=basic", "PROXY_AUTH=auto"] {
        let place = Place::new(3, &[]);
        place.write_env(&logon(&format!("PROXY={}\n{auth}", squid.url())));
        all_went(&place, &place.live(&[]));
        let receiver = Behind::new("receiver.test");
        let ran = receiver.live(&logon(&format!("PROXY={}\n{auth}", squid.url())));
        all_went(&receiver.place, &ran);
        squid.logged(&format!("CONNECT {} {USER}", receiver.host));
    }
    // In the address, as curl takes it.
    let receiver = Behind::new("receiver.test");
    let ran = receiver.live(&format!(
        "PROXY=http://{USER}:{PASSWORD_IN_ADDRESS}@127.0.0.1:{}",
        squid.port
    ));
    all_went(&receiver.place, &ran);
    assert!(!ran.both().contains(PASSWORD_IN_ADDRESS));
}

#[test]
fn digest_is_answered_where_it_is_offered() {
    let squid = Squid::digest();
    let receiver = Behind::new("receiver.test");
    let ran = receiver.live(&format!(
        "PROXY={}\nPROXY_USER=ssd\nPROXY_PASSWORD=hush",
        squid.url()
    ));
    all_went(&receiver.place, &ran);
}

#[test]
fn ntlm_by_user_and_password() {
    let squid = Squid::ntlm();
    for auth in ["", "PROXY_AUTH=ntlm"] {
        let more = format!(
            "PROXY={}\nPROXY_USER=AUTHORITY\\ssd\nPROXY_PASSWORD={PASSWORD}\n{auth}",
            squid.url()
        );
        let place = Place::new(3, &[]);
        place.write_env(&more);
        all_went(&place, &place.live(&[]));
        squid.logged("POST http://127.0.0.1");
        let receiver = Behind::new("receiver.test");
        all_went(&receiver.place, &receiver.live(&more));
        // The helper writes the domain and then, garbled, the user of the last message.
        squid.logged(&format!("CONNECT {} AUTHORITY", receiver.host));
    }
}

#[test]
fn a_407_names_what_the_proxy_offers_and_what_to_set() {
    let receiver = Behind::new("receiver.test");
    let squid = Squid::basic();
    let ran = receiver.stopped(&format!("PROXY={}", squid.url()), "CSC0408");
    assert!(
        ran.stderr.contains("it offers Basic; no user is set"),
        "{}",
        ran.both()
    );
    assert!(
        ran.stderr.contains("set PROXY_USER and PROXY_PASSWORD"),
        "{}",
        ran.both()
    );
    assert!(ran.stderr.contains(&receiver.host), "{}", ran.both());
    let ran = receiver.stopped(
        &logon(&format!("PROXY={}\nPROXY_AUTH=ntlm", squid.url())),
        "CSC0408",
    );
    assert!(
        ran.stderr
            .contains("it offers Basic; PROXY_AUTH=ntlm allows none of these"),
        "{}",
        ran.both()
    );
    assert!(ran.stderr.contains("set PROXY_AUTH=auto"), "{}", ran.both());
    let ntlm = Squid::ntlm();
    let ran = receiver.stopped(&format!("PROXY={}", ntlm.url()), "CSC0408");
    assert!(ran.stderr.contains("it offers NTLM"), "{}", ran.both());
    assert!(ran.stderr.contains("DOMAIN\\user"), "{}", ran.both());
    // The first request of all is the token's, so the rows are never reached.
    let place = Place::new(3, &[]);
    place.write_env(&format!("PROXY={}", squid.url()));
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 4);
    assert!(ran.stderr.contains("CSC0408"), "{}", ran.both());
    assert_eq!(place.statuses(), "pending 3");
}

#[cfg(not(feature = "kerberos"))]
#[test]
fn negotiate_needs_a_build_with_kerberos_and_is_told_so() {
    let receiver = Behind::new("receiver.test");
    // Nobody's answer is read.
    let squid = Squid::start(&format!(
        "auth_param negotiate program /bin/cat\nauth_param negotiate children 1\n{REQUIRED}"
    ));
    for more in [String::new(), logon("")] {
        let ran = receiver.stopped(&format!("{more}PROXY={}", squid.url()), "CSC0408");
        assert!(ran.stderr.contains("it offers Negotiate"), "{}", ran.both());
        assert!(ran.stderr.contains("--features kerberos"), "{}", ran.both());
    }
    let ran = receiver.live(&format!("PROXY={}\nPROXY_AUTH=negotiate", squid.url()));
    assert_eq!(ran.exit, 2, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0231"), "{}", ran.both());
}

/// As the proxies of most authorities do.
#[test]
fn of_several_kinds_of_logon_one_is_taken_that_can_be_answered() {
    let squid = Squid::start(&format!(
        "auth_param negotiate program /bin/cat\nauth_param negotiate children 1\n\
         auth_param ntlm program {HELPERS}/ntlm_fake_auth\nauth_param ntlm children 1\n\
         auth_param basic program {HELPERS}/basic_ncsa_auth FOLDER/passwd\n\
         auth_param basic children 1\n{REQUIRED}"
    ));
    for auth in ["auto", "ntlm", "basic"] {
        let receiver = Behind::new("receiver.test");
        let ran = receiver.live(&logon(&format!("PROXY={}\nPROXY_AUTH={auth}", squid.url())));
        all_went(&receiver.place, &ran);
    }
    let receiver = Behind::new("receiver.test");
    let ran = receiver.stopped(&format!("PROXY={}", squid.url()), "CSC0408");
    assert!(
        ran.stderr.contains("it offers Negotiate, NTLM and Basic"),
        "{}",
        ran.both()
    );
    assert!(
        ran.stderr.contains("set PROXY_USER and PROXY_PASSWORD"),
        "{}",
        ran.both()
    );
}

#[test]
fn a_wrong_password_is_told_from_none() {
    let squid = Squid::basic();
    let receiver = Behind::new("receiver.test");
    let ran = receiver.stopped(
        &format!(
            "PROXY={}\nPROXY_USER={USER}\nPROXY_PASSWORD=stale wörd",
            squid.url()
        ),
        "CSC0430",
    );
    assert!(
        ran.stderr.contains("does not accept the user ssd"),
        "{}",
        ran.both()
    );
    assert!(ran.stderr.contains("it offers Basic"), "{}", ran.both());
    // Every try counts towards locking the account, so there is only one, after the one
    // that asks.
    assert_eq!(squid.connects(2), 2, "{}", squid.log());
    let place = Place::new(3, &[]);
    place.write_env(&format!(
        "PROXY={}\nPROXY_USER={USER}\nPROXY_PASSWORD=stale",
        squid.url()
    ));
    let ran = place.live(&[]);
    assert!(ran.stderr.contains("CSC0430"), "{}", ran.both());
    assert_eq!(place.simulator.counts().tokens, 0);
    let squid = Squid::ntlm_that_refuses();
    let ran = receiver.stopped(&logon(&format!("PROXY={}", squid.url())), "CSC0430");
    assert!(ran.stderr.contains("it offers NTLM"), "{}", ran.both());
}

#[test]
fn a_proxy_that_is_not_there_is_told_after_the_retries() {
    let receiver = Behind::new("receiver.test");
    for proxy in ["http://127.0.0.1:1", "http://proxy.invalid:8080"] {
        let ran = receiver.stopped(&format!("PROXY={proxy}"), "CSC0431");
        assert!(
            ran.stderr
                .contains(&format!("the proxy {proxy} (PROXY from")),
            "{}",
            ran.both()
        );
        assert!(ran.stderr.contains("can't be reached"), "{}", ran.both());
        assert!(ran.stderr.contains("(2 tries)"), "{}", ran.both());
    }
    let ran = receiver.place.live(&["--test-record"]);
    assert!(ran.stderr.contains("CSC0431"), "{}", ran.both());
}

#[test]
fn a_proxy_that_finds_nobody_is_told_after_the_retries() {
    let squid = Squid::open();
    let receiver = Behind::new("receiver.test");
    let ran = receiver.stopped(
        &format!(
            "PROXY={}\nALLOWED_HOSTS=receiver.test,nowhere.invalid\n\
             TOKEN_ENDPOINT=https://nowhere.invalid/token",
            squid.url()
        ),
        "CSC0431",
    );
    assert!(
        ran.stderr
            .contains("gets no connection to nowhere.invalid (status 50"),
        "{}",
        ran.both()
    );
    assert_eq!(squid.connects(2), 2, "{}", squid.log());
}

#[test]
fn a_proxy_that_refuses_connect_ends_the_run_at_once() {
    let squid =
        Squid::start("acl tunnel method CONNECT\nhttp_access deny tunnel\nhttp_access allow all");
    let receiver = Behind::new("receiver.test");
    let ran = receiver.stopped(&format!("PROXY={}", squid.url()), "CSC0432");
    assert!(
        ran.stderr.contains(&format!(
            "refuses to pass on to {} (status 403 to CONNECT)",
            receiver.host
        )),
        "{}",
        ran.both()
    );
    assert_eq!(squid.connects(1), 1, "{}", squid.log());
}

#[test]
fn a_proxy_behind_tls_is_checked_too() {
    let squid = Squid::basic();
    let authority = Authority::new("the proxy's own");
    let address = ([127, 0, 0, 1], squid.port).into();
    let front = TlsFront::start(&authority, &["localhost"], address);
    let receiver = Behind::new("receiver.test");
    let more = logon(&format!("PROXY=https://localhost:{}", front.port));
    let ran = receiver.live(&more);
    assert_eq!(ran.exit, 4, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0403"), "{}", ran.both());
    assert_eq!(squid.log(), "");
    let both = std::fs::read_to_string(receiver.place.file("ca.pem")).unwrap() + &authority.pem();
    std::fs::write(receiver.place.file("ca.pem"), both).unwrap();
    all_went(&receiver.place, &receiver.live(&more));
}

#[test]
fn config_show_says_which_proxy_is_used_and_why() {
    let receiver = Behind::new("receiver.test");
    let show = |more: &str, environment: &[(&str, &str)], arguments: &[&str]| {
        receiver.place.write_env(&format!("{}{more}", receiver.env));
        let mut command = receiver.place.command(arguments);
        command.envs(environment.iter().copied());
        ran(command.output().unwrap())
    };
    let secret = format!("http://u:{PASSWORD_IN_ADDRESS}@p.test:3128");
    let named =
        "receiver.test: through the proxy http://p.test:3128 (the environment's https_proxy)";
    let shown = show("", &[("https_proxy", &secret)], &["config", "show"]);
    assert!(shown.stdout.contains(named), "{}", shown.both());
    assert!(!shown.both().contains(PASSWORD_IN_ADDRESS));
    let shown = show(
        "NO_PROXY=.test",
        &[("https_proxy", &secret)],
        &["config", "show", "--json"],
    );
    let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let route = json["routes"]["API_ENDPOINT"].as_str().unwrap();
    assert!(
        route.starts_with("no proxy: .test stands in NO_PROXY from"),
        "{route}"
    );
    let shown = show(
        "PROXY_PASSWORD=hush",
        &[("https_proxy", "http://u:pa/ss@p.test:3128")],
        &["config", "show"],
    );
    assert_eq!(shown.exit, 2);
    assert!(shown.stderr.contains("CSC0232"), "{}", shown.both());
    assert!(
        shown.stderr.contains("PROXY_USER is not set"),
        "{}",
        shown.both()
    );
    assert!(!shown.both().contains("hush") && !shown.both().contains("pa/ss"));
}
