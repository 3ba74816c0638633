use super::*;

use std::sync::atomic::{AtomicUsize, Ordering};

/// Settings and a script's answer, made up, and how often the script was asked.
#[derive(Default)]
struct MadeUp {
    user: Settings,
    machine: Settings,
    announced: Option<Result<Answer, Fault>>,
    named: Option<Result<Answer, Fault>>,
    asked: AtomicUsize,
}

impl SystemLookup for MadeUp {
    fn settings(&self) -> Vec<(&'static str, Settings)> {
        vec![
            ("the user's settings", self.user.clone()),
            ("the machine's settings", self.machine.clone()),
        ]
    }

    fn ask(&self, script: &Script, url: &str) -> Result<Answer, Fault> {
        assert_eq!(url, "https://receiver.test/", "no path, no query");
        self.asked.fetch_add(1, Ordering::Relaxed);
        match script {
            Script::Announced => self.announced.clone(),
            Script::At(_) => self.named.clone(),
        }
        .unwrap_or(Err(Fault::Code(12180)))
    }
}

fn through(proxies: &str) -> Option<Result<Answer, Fault>> {
    Some(Ok(Answer::Through {
        proxies: proxies.into(),
        bypass: None,
    }))
}

fn settings(detects: bool, script: Option<&str>, proxies: Option<&str>) -> Settings {
    Settings {
        detects,
        script: script.map(Into::into),
        proxies: proxies.map(Into::into),
        bypass: Some("*.local;<local>".into()),
    }
}

fn url() -> Url {
    Url::parse("https://receiver.test/children?la=845").unwrap_or_else(|e| panic!("{e}"))
}

fn route(made_up: MadeUp) -> String {
    SystemProxies::new(Arc::new(made_up))
        .route(&url())
        .to_string()
}

#[test]
fn a_script_goes_before_named_proxies_and_the_account_before_the_machine() {
    let pac = Some("http://ana:secret@wpad.test/proxy.pac?key=secret");
    for (made_up, expected) in [
        (MadeUp::default(), "no proxy: none is named"),
        (
            MadeUp {
                user: settings(true, pac, Some("p.test:8080")),
                announced: through("auto.test:1"),
                ..MadeUp::default()
            },
            "through the proxy http://auto.test:1 (the PAC file that this network announces)",
        ),
        (
            MadeUp {
                user: settings(true, pac, Some("p.test:8080")),
                named: through("a.test:1;b.test:2"),
                ..MadeUp::default()
            },
            "through the proxy http://a.test:1 (the PAC file at http://wpad.test/proxy.pac), or \
             where that can't be reached http://b.test:2",
        ),
        (
            MadeUp {
                user: settings(false, pac, Some("p.test:8080")),
                named: Some(Ok(Answer::Direct)),
                ..MadeUp::default()
            },
            "no proxy, by the PAC file at http://wpad.test/proxy.pac",
        ),
        (
            MadeUp {
                user: settings(true, None, Some("http=h.test:1;https=p.test:8080")),
                machine: settings(false, None, Some("m.test:80")),
                ..MadeUp::default()
            },
            "through the proxy http://p.test:8080 (the user's settings)",
        ),
        (
            MadeUp {
                user: settings(true, None, None),
                machine: settings(false, None, Some("m.test:80")),
                ..MadeUp::default()
            },
            "through the proxy http://m.test:80 (the machine's settings)",
        ),
        (
            MadeUp {
                user: settings(false, None, Some("http=h.test:1")),
                machine: settings(false, None, Some("m.test:80")),
                ..MadeUp::default()
            },
            "no proxy, by the user's settings",
        ),
    ] {
        assert_eq!(route(made_up), expected);
    }
}

#[test]
fn a_script_without_an_answer_leaves_the_choice_to_the_next_and_is_told_where_there_is_none() {
    let script = Some("http://wpad.test/proxy.pac");
    let silent = |proxies| MadeUp {
        user: settings(false, script, proxies),
        named: Some(Err(Fault::TooLong(15))),
        ..MadeUp::default()
    };
    assert_eq!(
        route(silent(Some("p.test:8080"))),
        "through the proxy http://p.test:8080 (the user's settings)"
    );
    assert_eq!(
        route(silent(None)),
        "no proxy: the PAC file at http://wpad.test/proxy.pac gives no answer: no answer within \
         15 seconds"
    );
    assert_eq!(
        route(silent(Some("https=p.test:port"))),
        "no proxy: the PAC file at http://wpad.test/proxy.pac gives no answer: no answer within \
         15 seconds; the user's settings: the proxy can't be used: it is no address of a proxy; a \
         / @ : # or ? in a password is written %2F %40 %3A %23 %3F, or the password goes into \
         PROXY_PASSWORD"
    );
}

#[test]
fn bypassed_hosts_and_a_script_that_names_them_are_told() {
    let bypassing = |proxies: &str, bypass: &str| MadeUp {
        user: Settings {
            bypass: Some(bypass.into()),
            ..settings(false, None, Some(proxies))
        },
        ..MadeUp::default()
    };
    assert_eq!(
        route(bypassing("p.test:8080", "*.local;*.test")),
        "no proxy: *.test stands in the user's settings"
    );
    let by_script = MadeUp {
        user: settings(true, None, None),
        announced: Some(Ok(Answer::Through {
            proxies: "p.test:1".into(),
            bypass: Some("receiver.test".into()),
        })),
        ..MadeUp::default()
    };
    assert_eq!(
        route(by_script),
        "no proxy: receiver.test stands in the PAC file that this network announces"
    );
}

#[test]
fn a_proxy_that_is_down_is_never_a_reason_to_go_without() {
    let made_up = MadeUp {
        user: settings(true, None, None),
        announced: through("PROXY a.test:1; DIRECT; PROXY b.test:2"),
        ..MadeUp::default()
    };
    assert_eq!(
        route(made_up),
        "through the proxy http://a.test:1 (the PAC file that this network announces)"
    );
}

#[test]
fn an_answer_is_kept_for_a_while_and_no_answer_for_a_short_one() {
    for (answer, kept) in [
        (through("p.test:1"), KEPT),
        (Some(Ok(Answer::Direct)), KEPT),
        (Some(Err(Fault::Code(12167))), KEPT_WITHOUT_ANSWER),
    ] {
        let made_up = Arc::new(MadeUp {
            user: settings(true, None, None),
            announced: answer,
            ..MadeUp::default()
        });
        let proxies = SystemProxies::new(made_up.clone());
        let begun = Instant::now();
        let asked_at = |after: Duration| {
            proxies.clone().route_at(&url(), begun + after);
            made_up.asked.load(Ordering::Relaxed)
        };
        assert_eq!(asked_at(Duration::ZERO), 1);
        assert_eq!(asked_at(kept - Duration::from_secs(1)), 1);
        assert_eq!(asked_at(kept), 2);
    }
}
