//! Negotiate with real Kerberos: MIT's KDC and squid's own helper, all on this machine.
//! `scripts/test-kerberos` installs them and runs this.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use crate::place::{free_port, until};
use crate::proxies::{Behind, all_went};
use crate::squid::{HELPERS, REQUIRED, Squid};

/// A realm of its own, with the user `ana` and the service `HTTP/localhost`.
struct Realm {
    folder: tempfile::TempDir,
    kdc: Child,
}

impl Realm {
    fn new() -> Realm {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let port = free_port();
        let files = [
            (
                "krb5.conf",
                format!(
                    "[libdefaults]\ndefault_realm = CSC.TEST\ndns_lookup_kdc = false\n\
                     dns_lookup_realm = false\ndns_canonicalize_hostname = false\nrdns = false\n\
                     udp_preference_limit = 1\n[realms]\n\
                     CSC.TEST = {{\n kdc = 127.0.0.1:{port}\n}}\n\
                     [domain_realm]\nlocalhost = CSC.TEST\n"
                ),
            ),
            (
                "kdc.conf",
                format!(
                    "[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\n\
                     kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n\
                     CSC.TEST = {{\n database_name = {path}/principal\n\
                     key_stash_file = {path}/stash\n acl_file = {path}/acl\n}}\n\
                     [logging]\nkdc = FILE:{path}/kdc.log\n"
                ),
            ),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let run = |program: &str, arguments: &[&str]| {
            let output = command(&path, program).args(arguments).output();
            let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
            assert!(output.status.success(), "{program}: {output:?}");
        };
        let kadmin = |query: &str| run("/usr/sbin/kadmin.local", &["-q", query]);
        run(
            "/usr/sbin/kdb5_util",
            &["create", "-s", "-r", "CSC.TEST", "-P", "master"],
        );
        for principal in ["ana", "HTTP/localhost"] {
            kadmin(&format!("addprinc -randkey {principal}"));
        }
        kadmin(&format!("ktadd -k {path}/ana.keytab ana"));
        kadmin(&format!("ktadd -k {path}/http.keytab HTTP/localhost"));
        // Squid's helper runs as the user `proxy` where squid was started as root.
        for (name, mode) in [("", 0o755), ("http.keytab", 0o644)] {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path().join(name), mode).unwrap();
        }
        let kdc = command(&path, "/usr/sbin/krb5kdc")
            .args(["-n", "-r", "CSC.TEST"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut realm = Realm { folder, kdc };
        until(
            || {
                assert!(realm.kdc.try_wait().unwrap().is_none(), "the KDC has ended");
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            },
            "the KDC listens",
        );
        realm
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A ticket for `ana`, in a file.
    fn ticket(&self) -> String {
        let cache = format!("FILE:{}", self.path("ticket"));
        let got = command(&self.path(""), "/usr/bin/kinit")
            .args(["-k", "-t", &self.path("ana.keytab"), "-c", &cache, "ana"])
            .output()
            .unwrap();
        assert!(got.status.success(), "{got:?}");
        cache
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        let _ = self.kdc.kill();
        let _ = self.kdc.wait();
    }
}

fn command(path: &str, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("KRB5_CONFIG", format!("{path}/krb5.conf"))
        .env("KRB5_KDC_PROFILE", format!("{path}/kdc.conf"));
    command
}

#[test]
fn the_accounts_ticket_is_the_logon() {
    let realm = Realm::new();
    let squid = Squid::start_in(
        &format!(
            "auth_param negotiate program {HELPERS}/negotiate_kerberos_auth \
             -k {} -s HTTP/localhost@CSC.TEST\nauth_param negotiate children 1\n{REQUIRED}",
            realm.path("http.keytab")
        ),
        &[("KRB5_CONFIG", realm.path("krb5.conf"))],
    );
    // A ticket is for the proxy's name, not for its number.
    let proxy = format!("PROXY=http://localhost:{}", squid.port);
    let configuration = realm.path("krb5.conf");
    let receiver = Behind::new("receiver.test");
    let ran = receiver.live_with(
        &proxy,
        &[
            ("KRB5_CONFIG", &configuration),
            ("KRB5CCNAME", "FILE:/nonexistent/ticket"),
        ],
    );
    assert_eq!(ran.exit, 4, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0408"), "{}", ran.both());
    assert!(
        ran.stderr
            .contains("it offers Negotiate; the logon of the account"),
        "{}",
        ran.both()
    );
    assert!(ran.stderr.contains("kinit"), "{}", ran.both());
    assert_eq!(receiver.place.statuses(), "pending 3");
    let ticket = realm.ticket();
    let environment = [
        ("KRB5_CONFIG", configuration.as_str()),
        ("KRB5CCNAME", ticket.as_str()),
    ];
    for auth in ["", "PROXY_AUTH=negotiate"] {
        let receiver = Behind::new("receiver.test");
        let ran = receiver.live_with(&format!("{proxy}\n{auth}"), &environment);
        all_went(&receiver.place, &ran);
        squid.logged(&format!("CONNECT {} ana@CSC.TEST", receiver.host));
    }
    // With a user and a password the ticket is not asked for, and Negotiate takes no other.
    let receiver = Behind::new("receiver.test");
    let ran = receiver.live_with(
        &format!("{proxy}\nPROXY_USER=ana\nPROXY_PASSWORD=x"),
        &environment,
    );
    assert!(ran.stderr.contains("CSC0408"), "{}", ran.both());
    assert!(ran.stderr.contains("take PROXY_USER out"), "{}", ran.both());
}
