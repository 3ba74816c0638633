//! `config import`, and the run that follows it.

use crate::place::Place;

/// The pilot's script, filled in for a place's simulator.
fn script(place: &Place) -> String {
    format!(
        r#"<#
.SYNOPSIS
  SSD -> CSC API batch sender
#>
param(
  [ValidateSet('full','deltas')] [string]$Phase = 'full',  # payload type
  [ValidateRange(1,100)] [int]$BatchSize = 100
)
$VERSION = '0.4.5'

$api_endpoint = "{api}"

# 'Subscription key' block
$supplier_key    = "{key}"       # 'Primary key' or 'Secondary key'
$token_endpoint  = "{token}"                # 'OAuth token endpoint'
$client_id       = '{id}'
$client_secret   = @'
{secret}
'@
$scope           = "{scope}"
$la_code  = "845"     # Change to your 3 digit LA code(within quotes)
$server   = "ESLLREPORTS00X" # example
$la_proxy = $null
$api_data_staging_table = "ssd_api_data_staging_anon"  # live: ssd_api_data_staging
$testingMode = $true
$logFile = "C:\Users\d2i\Documents\api_temp_log.json"
"#,
        api = place.running.api_endpoint(),
        token = place.running.token_endpoint(),
        key = csc_simulator::SUPPLIER_KEY,
        id = csc_simulator::CLIENT_ID,
        secret = csc_simulator::CLIENT_SECRET,
        scope = csc_simulator::SCOPE,
    )
}

fn place_with_script() -> Place {
    let place = Place::new(5, &[]);
    std::fs::remove_file(place.file(".env")).unwrap();
    let bytes: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(script(&place).encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    std::fs::write(place.file("api_payload_sender.ps1"), bytes).unwrap();
    place
}

#[test]
fn the_pilots_script_becomes_settings_that_send() {
    let place = place_with_script();
    let ran = place.run(&[
        "config",
        "import",
        "api_payload_sender.ps1",
        "--keep-secrets-in",
        "env",
    ]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("config_import", ran.shown(&place));
    });
    for secret in [csc_simulator::CLIENT_SECRET, csc_simulator::SUPPLIER_KEY] {
        assert!(!ran.both().contains(secret), "{}", ran.both());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(place.file(".env"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0);
    }
    let sent = place.run(&[
        "send",
        "--live",
        "--yes",
        "--db-connection-string",
        "sqlite:children.db",
        "--state-dir",
        "state",
    ]);
    assert_eq!(sent.exit, 0, "{}", sent.both());
    assert_eq!(place.statuses(), "sent 5");
}

#[test]
fn secrets_are_left_where_nobody_says_where_they_go() {
    let place = place_with_script();
    for more in [&[][..], &["--keep-secrets-in", "no", "--force"]] {
        let mut arguments = vec!["config", "import", "api_payload_sender.ps1"];
        arguments.extend(more);
        let ran = place.run(&arguments);
        assert_eq!(ran.exit, 0, "{}", ran.both());
        for name in ["CLIENT_SECRET", "SUPPLIER_KEY"] {
            assert!(
                ran.stdout
                    .contains(&format!("csc-sender secret set {name}")),
                "{}",
                ran.stdout
            );
        }
        let env = std::fs::read_to_string(place.file(".env")).unwrap();
        for secret in [csc_simulator::CLIENT_SECRET, csc_simulator::SUPPLIER_KEY] {
            assert!(!env.contains(secret) && !ran.both().contains(secret));
        }
    }
}

#[test]
fn a_file_that_is_there_is_not_replaced_unasked() {
    let place = place_with_script();
    std::fs::write(place.file(".env"), "LA_CODE=201\n").unwrap();
    let refused = place.run(&["config", "import", "api_payload_sender.ps1"]);
    assert_eq!(refused.exit, 2, "{}", refused.both());
    assert!(refused.stderr.contains("CSC0276"), "{}", refused.stderr);
    assert_eq!(
        std::fs::read_to_string(place.file(".env")).unwrap(),
        "LA_CODE=201\n"
    );
    let other = place.run(&[
        "config",
        "import",
        "api_payload_sender.ps1",
        "--output",
        "new.env",
    ]);
    assert_eq!(other.exit, 0, "{}", other.both());
    let forced = place.run(&["config", "import", "api_payload_sender.ps1", "--force"]);
    assert_eq!(forced.exit, 0, "{}", forced.both());
    let env = std::fs::read_to_string(place.file(".env")).unwrap();
    assert!(env.contains("LA_CODE=845\n"), "{env}");
    assert!(!place.file(".env.new").exists());
}

#[test]
fn a_store_that_takes_nothing_is_told_and_the_secret_is_not_written() {
    let place = Place::new(1, &[]);
    std::fs::write(
        place.file("pilot.env"),
        "LA_CODE=845\nDB_CONNECTION_STRING=Server=s;Database=d;UID=u;PWD=canaryvalue;\n",
    )
    .unwrap();
    let ran = place.run(&[
        "config",
        "import",
        "pilot.env",
        "--output",
        "new.env",
        "--keep-secrets-in",
        "store",
    ]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(
        ran.stdout
            .contains("DB_CONNECTION_STRING: there is a password in it")
    );
    let env = std::fs::read_to_string(place.file("new.env")).unwrap();
    assert!(!env.contains("canaryvalue") && !ran.both().contains("canaryvalue"));
    std::fs::write(place.file("odd.ps1"), b"$client_secret = \"\xff\"").unwrap();
    let odd = place.run(&["config", "import", "odd.ps1", "--force"]);
    assert_eq!(odd.exit, 2);
    assert!(odd.stderr.contains("CSC0274"), "{}", odd.stderr);
    let nothing = place.run(&["config", "import", "nowhere.ps1"]);
    assert!(nothing.stderr.contains("CSC0274"), "{}", nothing.stderr);
}
