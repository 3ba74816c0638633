//! Secrets in the system's real stores: the kernel's keyring, and a Secret Service on a
//! bus of its own. Every script runs in a user namespace and session keyring of its own,
//! so that the secrets of whoever runs the tests are neither read nor changed.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use csc_simulator::{CLIENT_SECRET, SUPPLIER_KEY};

use crate::place::{Place, Ran, ran, until};

/// A bus that has no Secret Service, and starts none.
const BARE_BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A shell script, `$CSC` being the program.
fn script(place: &Place, wrapper: &[&str], script: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-current-user", "keyctl", "session", "-"])
        .args(wrapper)
        .args(["bash", "-euc", script])
        .current_dir(place.folder.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin")
        .env("HOME", place.folder.path())
        .env("XDG_RUNTIME_DIR", place.folder.path())
        .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
        .env("USER", "ana")
        .env("CSC", env!("CARGO_BIN_EXE_csc-sender"))
        .env("THE_KEY", SUPPLIER_KEY)
        .env("THE_SECRET", CLIENT_SECRET)
        .stdin(Stdio::null());
    command
}

pub fn run(place: &Place, text: &str) -> Ran {
    ran(script(place, &[], text).output().unwrap())
}

/// The same on a bus of its own.
fn run_on_a_bus(place: &Place, text: &str) -> Ran {
    ran(script(place, &["dbus-run-session", "--"], text)
        .output()
        .unwrap())
}

fn place_without(names: &[&str]) -> Place {
    let place = Place::new(3, &[]);
    let text = std::fs::read_to_string(place.file(".env")).unwrap();
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| {
            let name = line.split('=').next().unwrap();
            !names.contains(&name)
        })
        .collect();
    std::fs::write(place.file(".env"), kept.join("\n")).unwrap();
    place
}

/// The part of `config show` about a setting.
fn shown(text: &str, name: &str) -> String {
    let begin = text.find(&format!("{name} ")).unwrap();
    let rest = &text[begin..];
    let lines: Vec<&str> = rest
        .lines()
        .enumerate()
        .take_while(|(n, line)| *n == 0 || line.starts_with(' '))
        .map(|(_, line)| line.trim())
        .collect();
    lines.join(" | ")
}

#[test]
fn the_kernels_keyring_keeps_secrets_that_a_live_run_finds() {
    let place = place_without(&["SUPPLIER_KEY", "CLIENT_SECRET"]);
    let before = run(&place, r#""$CSC" send --live --yes"#);
    assert_eq!(before.exit, 2, "{}", before.both());
    assert!(
        before.stderr.contains("the system's store has none either"),
        "{}",
        before.stderr
    );

    let ran = run(
        &place,
        r#"
        printf '%s\r\n' "$THE_KEY" | "$CSC" secret set supplier_key
        printf '\xef\xbb\xbf%s' "$THE_SECRET" | "$CSC" secret set CLIENT_SECRET
        echo "kernel: $(keyctl print "$(keyctl search @s user keyring:SUPPLIER_KEY@csc-sender)")"
        "$CSC" secret list
        "$CSC" config show >show.txt
        "$CSC" send --live --yes
        "#,
    );
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let out = &ran.stdout;
    assert!(
        out.starts_with("Kept SUPPLIER_KEY in the kernel's keyring, for the account ana."),
        "{out}"
    );
    assert!(
        ran.stderr
            .contains("note: it stays until this machine restarts")
    );
    assert!(out.contains(&format!("kernel: {SUPPLIER_KEY}\n")), "{out}");
    assert!(
        out.contains("SUPPLIER_KEY           set, in the kernel's keyring\n"),
        "{out}"
    );
    assert!(out.contains("DB_PASSWORD            not set\n"), "{out}");
    assert_eq!(place.statuses(), "sent 3");
    let show = std::fs::read_to_string(place.file("show.txt")).unwrap();
    assert_eq!(
        shown(&show, "SUPPLIER_KEY"),
        "SUPPLIER_KEY           **** (set) | from the system's store: the kernel's keyring"
    );
    assert_eq!(
        shown(&show, "DB_PASSWORD"),
        "DB_PASSWORD            (empty)"
    );
    assert!(!format!("{}{show}", ran.stderr).contains(SUPPLIER_KEY));
}

#[test]
fn another_session_of_the_account_finds_what_one_has_kept_until_it_is_deleted() {
    let place = Place::new(1, &[]);
    let ran = run(
        &place,
        r#"
        keyctl session - bash -ec 'printf pw-1 | "$CSC" secret set DB_PASSWORD'
        keyctl session - bash -ec 'printf pw-2 | "$CSC" secret set DB_PASSWORD'
        keyctl session - bash -ec '"$CSC" secret list | grep DB_PASSWORD'
        keyctl session - bash -ec '"$CSC" secret delete DB_PASSWORD; "$CSC" secret delete DB_PASSWORD'
        "$CSC" secret list | grep DB_PASSWORD
        "#,
    );
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(
        ran.stdout,
        "Kept DB_PASSWORD in the kernel's keyring, for the account ana.\n\
         Kept DB_PASSWORD in the kernel's keyring, for the account ana.\n\
         DB_PASSWORD            set, in the kernel's keyring\n\
         Deleted DB_PASSWORD from the kernel's keyring.\n\
         There was no DB_PASSWORD of the account ana to delete. Looked in the kernel's keyring.\n\
         DB_PASSWORD            not set\n"
    );
}

#[test]
fn what_is_stronger_goes_before_the_store_and_what_is_not_filled_in_does_not() {
    let place = Place::new(1, &[]);
    place.write_env("SUPPLIER_KEY_SECONDARY=...");
    let ran = run(
        &place,
        r#"
        for name in SUPPLIER_KEY SUPPLIER_KEY_SECONDARY; do
            printf kept | "$CSC" secret set $name
        done
        "$CSC" config show
        "#,
    );
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let env = place.file(".env").display().to_string();
    let show = &ran.stdout[ran.stdout.find("API_ENDPOINT").unwrap()..];
    assert_eq!(
        shown(show, "SUPPLIER_KEY"),
        format!("SUPPLIER_KEY           **** (set) | from {env}, line 6")
    );
    let secondary = shown(show, "SUPPLIER_KEY_SECONDARY");
    assert!(
        secondary.contains("**** (set) | from the system's store: the kernel's keyring | overrides (not filled in) from"),
        "{secondary}"
    );
    let note = format!(
        "note: it is not used as long as another is set in {env}, line 6, which goes before it"
    );
    assert_eq!(ran.stderr.matches(&note).count(), 1, "{}", ran.stderr);
}

#[test]
fn a_value_as_an_argument_is_refused_and_never_repeated() {
    let place = Place::new(1, &[]);
    for (arguments, code) in [
        (&["secret", "set", "SUPPLIER_KEY", "canary"][..], "CSC0251"),
        (
            &["secret", "set", "SUPPLIER_KEY", "--value", "canary"],
            "CSC0251",
        ),
        (&["secret", "set", "SUPPLIER_KEY", "-canary"], "CSC0251"),
        (&["secret", "set", "SUPPLIER_KEY=canary"], "CSC0251"),
        (
            &["secret", "set", "DB_PASSWORD", "--db-password", "canary"],
            "CSC0204",
        ),
        (&["secret", "set", "canary"], "CSC0252"),
        (&["secret", "delete", "canary"], "CSC0252"),
        (&["secret", "set", "LA_CODE"], "CSC0252 LA_CODE"),
        (&["secret", "set", "SUPPLIER_KEY"], "CSC0253"),
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.exit, 2, "{arguments:?}: {}", ran.both());
        assert!(ran.stderr.contains(code), "{arguments:?}: {}", ran.both());
        assert!(
            !ran.both().contains("canary"),
            "{arguments:?}: {}",
            ran.both()
        );
    }
}

#[test]
fn a_value_that_cannot_be_one_is_not_kept() {
    let place = Place::new(1, &[]);
    let ran = run(
        &place,
        r#"
        set +e
        printf '  \n' | "$CSC" secret set SUPPLIER_KEY
        printf 'canary\ncanary' | "$CSC" secret set SUPPLIER_KEY
        printf '...' | "$CSC" secret set SUPPLIER_KEY
        printf 'canary\xff' | "$CSC" secret set SUPPLIER_KEY
        head -c 20000 /dev/zero | tr '\0' x | "$CSC" secret set SUPPLIER_KEY
        "$CSC" secret list
        "#,
    );
    assert_eq!(ran.stderr.matches("CSC0253").count(), 5, "{}", ran.stderr);
    assert!(!ran.both().contains("canary"), "{}", ran.both());
    assert!(ran.stdout.starts_with("SUPPLIER_KEY           not set\n"));
}

#[test]
fn the_prompt_does_not_show_what_is_typed() {
    let place = Place::new(1, &[]);
    let inner = r#"tty >tty.txt; exec "$CSC" secret set DB_PASSWORD"#;
    let mut child = script(
        &place,
        &[],
        r#"SHELL=/bin/bash script -qefc "$INNER" /dev/null; "$CSC" secret list"#,
    )
    .env("INNER", inner)
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let is_hidden = || {
        let terminal = std::fs::read_to_string(place.file("tty.txt")).unwrap_or_default();
        let settings = Command::new("stty")
            .args(["-a", "-F", terminal.trim()])
            .output()
            .unwrap();
        String::from_utf8_lossy(&settings.stdout).contains("-echo ")
    };
    until(is_hidden, "the terminal to stop showing what is typed");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"canary\r").unwrap();
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{out}");
    assert!(out.contains("Value of DB_PASSWORD (not shown): "), "{out}");
    assert!(
        out.contains("Kept DB_PASSWORD in the kernel's keyring"),
        "{out}"
    );
    assert!(out.contains("DB_PASSWORD            set"), "{out}");
    assert!(!out.contains("canary"), "{out}");
}

/// A socket at which nobody answers stands for a Secret Service that waits for somebody.
fn silent_bus(place: &Place) -> (UnixListener, String) {
    let path = place.file("silent-bus");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    (listener, format!("unix:path={}", path.display()))
}

#[test]
fn a_store_that_does_not_answer_holds_nobody_up_and_is_told() {
    let place = place_without(&["SUPPLIER_KEY", "CLIENT_SECRET"]);
    let (_listener, address) = silent_bus(&place);
    let ran = ran(script(&place, &[], r#""$CSC" send --live --yes"#)
        .env("DBUS_SESSION_BUS_ADDRESS", address)
        .output()
        .unwrap());
    assert_eq!(ran.exit, 2, "{}", ran.both());
    let why = "the system's store could not be asked: the Secret Service: it did not answer \
               within 5 seconds; it may be locked";
    for name in ["SUPPLIER_KEY", "CLIENT_SECRET"] {
        assert!(ran.stderr.contains(&format!("CSC0201 {name} is not set")));
    }
    assert_eq!(ran.stderr.matches(why).count(), 2, "{}", ran.stderr);
}

#[test]
fn a_person_is_told_which_store_is_waited_for() {
    let place = place_without(&["SUPPLIER_KEY"]);
    let (listener, address) = silent_bus(&place);
    let mut child = script(
        &place,
        &[],
        r#"SHELL=/bin/bash script -qefc '"$CSC" send --live --yes' /dev/null"#,
    )
    .env("DBUS_SESSION_BUS_ADDRESS", address)
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut out = String::new();
    let mut buffer = [0; 4096];
    while !out.contains("Waiting for the Secret Service: it may be asking for its password") {
        let read = stdout.read(&mut buffer).unwrap();
        assert!(read > 0, "{out}");
        out.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    // The store goes away, and so the run goes on without it.
    until(|| listener.accept().is_ok(), "the store to be asked");
    drop(listener);
    stdout.read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{out}");
    assert!(out.contains("CSC0201 SUPPLIER_KEY is not set"), "{out}");
}

#[test]
fn no_store_is_asked_where_something_stronger_gives_the_secrets() {
    let place = Place::new(3, &[]);
    let (listener, address) = silent_bus(&place);
    let ran = ran(script(&place, &[], r#""$CSC" send --live --yes"#)
        .env("DBUS_SESSION_BUS_ADDRESS", &address)
        .output()
        .unwrap());
    assert_eq!(
        (ran.exit, ran.stderr.contains("store")),
        (0, false),
        "{}",
        ran.both()
    );
    let asked = listener.accept().map(|_| ());
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_bus_without_a_secret_service_leaves_the_kernels_keyring() {
    let place = place_without(&["SUPPLIER_KEY"]);
    std::fs::write(place.file("bus.conf"), BARE_BUS).unwrap();
    let wrapper = ["dbus-run-session", "--config-file=bus.conf", "--"];
    let ran = ran(script(
        &place,
        &wrapper,
        r#"
        "$CSC" secret delete SUPPLIER_KEY
        printf '%s' "$THE_KEY" | "$CSC" secret set SUPPLIER_KEY
        "$CSC" secret list
        "$CSC" send --live --yes
        "#,
    )
    .output()
    .unwrap());
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(
        ran.stdout
            .contains("Kept SUPPLIER_KEY in the kernel's keyring")
    );
    assert!(
        ran.stderr
            .contains("note: not kept in the Secret Service: this session's D-Bus has none"),
        "{}",
        ran.stderr
    );
    assert_eq!(place.statuses(), "sent 3");
}

#[test]
fn where_no_store_takes_it_the_reasons_and_the_other_ways_are_told() {
    let place = Place::new(1, &[]);
    // A session's keyring that nobody may use.
    let ran = ran(script(
        &place,
        &[],
        r#"
        keyctl setperm @s 0
        printf canary | "$CSC" secret set DB_PASSWORD
        "#,
    )
    .output()
    .unwrap());
    assert_eq!(ran.exit, 2, "{}", ran.both());
    assert!(
        ran.stderr
            .contains("CSC0250 No store of this system takes DB_PASSWORD"),
        "{}",
        ran.both()
    );
    assert!(
        ran.stderr.contains("why:  the kernel's keyring: "),
        "{}",
        ran.both()
    );
    assert!(
        ran.stderr.contains("put DB_PASSWORD into .env"),
        "{}",
        ran.both()
    );
    assert!(!ran.both().contains("canary"));
}

/// GNOME's, with its keyring in this folder. The first line of the script has it unlocked
/// with a password, or leaves it locked.
const UNLOCKED: &str =
    "printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null\n";
const LOCKED: &str = "gnome-keyring-daemon --start --components=secrets >/dev/null\n";

#[test]
fn the_secret_service_keeps_secrets_that_a_live_run_finds() {
    let place = place_without(&["SUPPLIER_KEY", "CLIENT_SECRET"]);
    let ran = run_on_a_bus(
        &place,
        &format!(
            r#"{UNLOCKED}
            DBUS_SESSION_BUS_ADDRESS=disabled: bash -c 'printf old | "$CSC" secret set CLIENT_SECRET'
            printf '%s' "$THE_KEY" | "$CSC" secret set SUPPLIER_KEY
            printf '%s' "$THE_SECRET" | "$CSC" secret set CLIENT_SECRET
            echo "service: $(secret-tool lookup service csc-sender username CLIENT_SECRET)"
            "$CSC" secret list
            "$CSC" config show >show.txt
            "$CSC" send --live --yes
            "$CSC" secret delete CLIENT_SECRET
            echo "left: $(secret-tool lookup service csc-sender username CLIENT_SECRET)"
            "#
        ),
    );
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let out = &ran.stdout;
    assert!(
        out.contains("Kept SUPPLIER_KEY in the Secret Service, for the account ana."),
        "{out}"
    );
    assert!(
        ran.stderr
            .contains("note: deleted an older one from the kernel's keyring"),
        "{}",
        ran.stderr
    );
    assert!(
        out.contains(&format!("service: {CLIENT_SECRET}\n")),
        "{out}"
    );
    assert!(
        out.contains("CLIENT_SECRET          set, in the Secret Service\n"),
        "{out}"
    );
    assert!(out.contains("DB_PASSWORD            not set\n"), "{out}");
    assert_eq!(place.statuses(), "sent 3");
    let show = std::fs::read_to_string(place.file("show.txt")).unwrap();
    assert!(
        shown(&show, "SUPPLIER_KEY").ends_with("from the system's store: the Secret Service"),
        "{show}"
    );
    assert!(
        out.contains("Deleted CLIENT_SECRET from the Secret Service.\n"),
        "{out}"
    );
    assert!(out.ends_with("left: \n"), "{out}");
}

#[test]
fn a_locked_secret_service_is_told_and_holds_nobody_up() {
    let place = place_without(&["SUPPLIER_KEY"]);
    let kept = run_on_a_bus(
        &place,
        &format!(r#"{UNLOCKED}printf '%s' "$THE_KEY" | "$CSC" secret set SUPPLIER_KEY"#),
    );
    assert_eq!(kept.exit, 0, "{}", kept.both());
    let ran = run_on_a_bus(
        &place,
        &format!(r#"{LOCKED}set +e; "$CSC" send --live --yes; "$CSC" secret list"#),
    );
    assert_eq!(ran.exit, 2, "{}", ran.both());
    assert!(
        ran.stderr
            .contains("CSC0201 SUPPLIER_KEY is not set\n  why:  no flag, environment variable, .env or csc-sender.toml gives it a value; the system's store could not be asked: the Secret Service: "),
        "{}",
        ran.both()
    );
    assert!(
        ran.stdout.contains("SUPPLIER_KEY           not found\n"),
        "{}",
        ran.both()
    );
    assert!(ran.stderr.contains("CSC0254 "), "{}", ran.both());
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_the_program_creates_is_for_its_owner_alone_whatever_the_umask() {
    let place = Place::new(3, &[]);
    place.write_env("STATE_DIR=new/state\nLOG_FILE=run.log");
    let ran = run(
        &place,
        r#"umask 0; "$CSC" send --live --yes; "$CSC" demo --children 5 --dir demo >/dev/null"#,
    );
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(!ran.stderr.contains("warning:"), "{}", ran.stderr);
    let log = place.newest_log("run", ".log");
    for (name, expected) in [
        ("new/state", 0o700),
        ("new/state/journal.db", 0o600),
        (log.as_str(), 0o600),
        ("demo/.env", 0o600),
        ("demo/children.db", 0o600),
        ("demo/state", 0o700),
        ("demo/state/journal.db", 0o600),
    ] {
        assert_eq!(mode(&place.file(name)), expected, "{name}");
    }
}

#[test]
fn files_that_others_may_read_are_told_with_the_command_that_mends_them() {
    let place = Place::new(3, &[]);
    place.write_env("STATE_DIR=state of mind\nLOG_FILE=it's a log");
    assert_eq!(place.live(&[]).exit, 0);
    std::fs::write(place.file("csc-sender.toml"), "max_retries = 2\n").unwrap();
    let log = place.newest_log("it's a log", "");
    let exposed = [
        (".env", 0o644, 0o600),
        ("csc-sender.toml", 0o640, 0o600),
        ("state of mind", 0o755, 0o700),
        ("state of mind/journal.db", 0o666, 0o600),
        (log.as_str(), 0o620, 0o600),
    ];
    for (name, open, _) in exposed {
        set_mode(&place.file(name), open);
    }
    for command in [&["config", "show"][..], &["status"], &["send"]] {
        let ran = place.run(command);
        assert_eq!(ran.exit, 0, "{}", ran.both());
        let warnings: Vec<&str> = ran
            .stderr
            .lines()
            .filter(|line| line.starts_with("warning: others on this machine may "))
            .collect();
        assert_eq!(warnings.len(), exposed.len(), "{command:?}: {}", ran.stderr);
    }
    let ran = place.run(&["status"]);
    for warning in ran.stderr.lines() {
        let (_, advice) = warning.split_once("mend it: ").unwrap();
        let command = advice.split("; ").next().unwrap();
        assert!(command.starts_with("chmod "), "{warning}");
        assert!(
            Command::new("sh")
                .args(["-c", command])
                .status()
                .unwrap()
                .success()
        );
    }
    for (name, _, mended) in exposed {
        assert_eq!(mode(&place.file(name)), mended, "{name}");
    }
    assert_eq!(place.run(&["status"]).stderr, "");
}
