//! CA_BUNDLE, over real TLS.

use crate::place::Place;
use crate::tls_front::{Authority, TlsFront};

/// The simulator's addresses as they are behind a front on this port.
pub fn behind_tls(place: &Place, host: &str, port: u16) -> String {
    let there = |url: String| {
        let path = url.splitn(4, '/').nth(3).unwrap().to_string();
        format!("https://{host}:{port}/{path}")
    };
    format!(
        "API_ENDPOINT={}\nTOKEN_ENDPOINT={}\n",
        there(place.running.api_endpoint()),
        there(place.running.token_endpoint())
    )
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_ca_bundle_names_it() {
    let place = Place::new(3, &[]);
    let authority = Authority::new("our own");
    let front = TlsFront::start(&authority, &["localhost"], place.running.address());
    let env = behind_tls(&place, "localhost", front.port);

    place.write_env(&env);
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 4, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0403"), "{}", ran.both());
    assert!(ran.stderr.contains("CA_BUNDLE"), "{}", ran.both());
    assert_eq!(place.simulator.counts().tokens, 0, "nothing was asked for");

    // With a text before it and Windows' line ends, as IT's files are.
    let pem = format!(
        "Subject: our own\r\n{}",
        authority.pem().replace('\n', "\r\n")
    );
    std::fs::write(place.file("ca.pem"), pem).unwrap();
    place.write_env(&format!("{env}CA_BUNDLE=ca.pem"));
    let ran = place.live(&["-v"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(place.statuses(), "sent 3");
    assert!(
        ran.stderr.contains("CA_BUNDLE: 1 certificates"),
        "{}",
        ran.both()
    );
}

#[test]
fn a_certificate_for_another_name_is_refused_whoever_signed_it() {
    let place = Place::new(1, &[]);
    let authority = Authority::new("our own");
    let front = TlsFront::start(&authority, &["other.test"], place.running.address());
    std::fs::write(place.file("ca.pem"), authority.pem()).unwrap();
    let env = behind_tls(&place, "localhost", front.port);
    place.write_env(&format!("{env}CA_BUNDLE=ca.pem"));
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 4, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0403"), "{}", ran.both());
    assert_eq!(place.simulator.counts().tokens, 0);
}

/// OpenSSL takes SSL_CERT_FILE for the system's trust store.
#[cfg(target_os = "linux")]
#[test]
fn ca_bundle_adds_to_the_systems_trust_and_does_not_replace_it() {
    let place = Place::new(3, &[]);
    let (system, own) = (Authority::new("the system's"), Authority::new("our own"));
    let address = place.running.address();
    let token = TlsFront::start(&system, &["localhost"], address);
    let receiver = TlsFront::start(&own, &["localhost"], address);
    std::fs::write(place.file("system.pem"), system.pem()).unwrap();
    std::fs::write(place.file("own.pem"), own.pem()).unwrap();
    let addresses = behind_tls(&place, "localhost", receiver.port);
    let receivers = addresses.lines().next().unwrap();
    let tokens = behind_tls(&place, "localhost", token.port);
    let tokens = tokens.lines().nth(1).unwrap();
    place.write_env(&format!("{receivers}\n{tokens}\nCA_BUNDLE=own.pem"));
    let run = |with_system: bool| {
        let mut command = place.command(&["send", "--live", "--yes"]);
        if with_system {
            command.env("SSL_CERT_FILE", place.file("system.pem"));
        }
        crate::place::ran(command.output().unwrap())
    };
    let ran = run(false);
    assert!(ran.stderr.contains("CSC0403"), "{}", ran.both());
    let ran = run(true);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(place.statuses(), "sent 3");
}

#[test]
fn a_file_that_is_no_bundle_is_told_before_anything_is_sent() {
    let place = Place::new(1, &[]);
    let damaged = Authority::new("x").pem().replacen("MII", "MIA", 1);
    std::fs::write(place.file("damaged.pem"), damaged).unwrap();
    std::fs::write(place.file("ca.der"), [0x30, 0x82, 0x01, 0x02]).unwrap();
    for (file, why) in [
        ("nowhere.pem", "No such file"),
        (".", "directory"),
        ("ca.der", "no certificate"),
        ("damaged.pem", "certificate 1 in it is damaged"),
    ] {
        place.write_env(&format!("CA_BUNDLE={file}\nBATCH_SIZE=0"));
        let ran = place.live(&[]);
        assert_eq!(ran.exit, 2, "{}", ran.both());
        assert!(ran.stderr.contains("CSC0230"), "{file}: {}", ran.both());
        #[cfg(unix)]
        assert!(ran.stderr.contains(why), "{file}: {}", ran.both());
        #[cfg(not(unix))]
        let _ = why;
        assert!(ran.stderr.contains("BATCH_SIZE"), "all faults at once");
    }
    assert_eq!(place.simulator.counts().tokens, 0);
    // A testing run sends nothing, and does not look at it.
    place.write_env("CA_BUNDLE=nowhere.pem");
    assert_eq!(place.run(&["send"]).exit, 0);
    let ran = place.run(&["config", "show"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("CSC0230"), "{}", ran.both());
}

/// The versions in a ClientHello's extension `supported_versions` (RFC 8446, 4.2.1).
#[cfg(target_os = "linux")]
fn versions_offered(hello: &[u8]) -> Vec<u16> {
    let number = |at: usize| u16::from_be_bytes([hello[at], hello[at + 1]]);
    assert_eq!(hello[0], 22, "a handshake");
    assert_eq!(hello[5], 1, "a ClientHello");
    // Record and message heads, version, random.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]); // session
    at += 2 + usize::from(number(at)); // cipher suites
    at += 1 + usize::from(hello[at]); // compression
    let end = at + 2 + usize::from(number(at));
    at += 2;
    while at < end {
        let (kind, length) = (number(at), usize::from(number(at + 2)));
        at += 4;
        if kind == 43 {
            return (at + 1..at + length).step_by(2).map(number).collect();
        }
        at += length;
    }
    panic!("no supported_versions");
}

/// OpenSSL goes by OPENSSL_CONF, which may allow what is long broken.
#[cfg(target_os = "linux")]
#[test]
fn nothing_older_than_tls_1_2_is_offered_whatever_the_machine_allows() {
    use std::io::Read;
    let place = Place::new(1, &[]);
    let lax = "openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = lax\n\
               [lax]\nMinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n";
    std::fs::write(place.file("openssl.cnf"), lax).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hello = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut bytes = vec![0; 5];
        socket.read_exact(&mut bytes).unwrap();
        // A record's head says how long it is.
        let length = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
        bytes.resize(5 + length, 0);
        socket.read_exact(&mut bytes[5..]).unwrap();
        bytes
    });
    let addresses = behind_tls(&place, "localhost", port);
    place.write_env(&format!("{addresses}MAX_RETRIES=0"));
    let mut command = place.command(&["send", "--live", "--yes"]);
    command.env("OPENSSL_CONF", place.file("openssl.cnf"));
    let ran = crate::place::ran(command.output().unwrap());
    assert_eq!(ran.exit, 4, "{}", ran.both());
    let versions = versions_offered(&hello.join().unwrap());
    assert_eq!(versions, [0x0304, 0x0303], "TLS 1.3 and TLS 1.2");
}
