use proptest::prelude::*;

use super::power_shell::{Assignment, Value, assignments};
use super::{Pilot, is_script, of_env, of_script};

fn value(script: &str) -> String {
    let mut found = assignments(script);
    assert_eq!(found.len(), 1, "{script}");
    let Assignment { value, .. } = found.remove(0);
    match value {
        Value::Text(text) => format!("text {text}"),
        Value::Number(number) => format!("number {number}"),
        Value::True => "true".into(),
        Value::False => "false".into(),
        Value::Null => "null".into(),
        Value::Computed => "computed".into(),
    }
}

#[test]
fn values_are_read_as_power_shell_reads_them() {
    for (script, expected) in [
        ("$a = 'b'", "text b"),
        ("$a='b'# c", "text b"),
        ("$a = 'it''s $x `n' # c", "text it's $x `n"),
        ("$a = \"b\"   # 'Primary key'", "text b"),
        ("$a = \"a`\"b\"\"c`$d``e`ttab\"", "text a\"b\"c$d`e\ttab"),
        ("$a = \"cost: $ 5\"", "text cost: $ 5"),
        ("$a = \"$base/x\"", "computed"),
        ("$a = \"$(Get-X)\"", "computed"),
        ("$a = 'b' + 'c'", "computed"),
        ("$a = 'b'.Trim()", "computed"),
        ("$a = 'b','c'", "computed"),
        ("$a = Get-X", "computed"),
        ("$a = $TRUE", "true"),
        ("$a = $false; 'x'", "false"),
        ("$a = $null     # none", "null"),
        ("$a = 845", "number 845"),
        ("$a = 000   # e.g., 846", "number 000"),
        ("[string]$a = [string]'b'", "text b"),
        ("$script:a = 'b'", "text b"),
        ("${a} = 'b'", "text b"),
        ("$a = \u{2018}b\u{2019}", "text b"),
        ("$a = \u{201c}b\u{201d}", "text b"),
        (
            "$a = @'\r\nit's \"b\" # no comment\r\n'@\r\n",
            "text it's \"b\" # no comment",
        ),
        ("$a = @\"\nb`$c\n\"@ # d", "text b$c"),
        ("$a = @\"\n$b\n\"@", "computed"),
        ("$a = @'\nb\nc\n'@", "text b\nc"),
        ("$a = @'\n'@", "text "),
        ("<# $b = 'c' #> $a = 'b' <# d #>", "text b"),
        ("# $b = 'c'\n$a = 'b'", "text b"),
        ("Write-Host 'x $b = 1'; $a = 'b'", "text b"),
        ("$x.y = 'c'; $z['q'] = 'd'; $p -eq 'e'; $a = 'b'", "text b"),
        ("$a = 'open", "computed"),
    ] {
        assert_eq!(value(script), expected, "{script}");
    }
}

#[test]
fn what_stands_in_a_block_is_conditional_but_for_a_parameters_default() {
    let conditional = |script: &str| -> Vec<bool> {
        assignments(script)
            .iter()
            .map(|found| found.is_conditional)
            .collect()
    };
    assert_eq!(conditional("if ($x) { $a = 'b' }\n$c = 'd'"), [true, false]);
    assert_eq!(conditional("function F { $a = 'b' }"), [true]);
    assert_eq!(
        conditional("param(\n [int]$a = 5,  # c\n $b = 'x'\n)"),
        [false, false]
    );
    assert_eq!(
        conditional("if (-not $PSBoundParameters.ContainsKey('BatchSize')) { $BatchSize = 50 }"),
        [false]
    );
    assert_eq!(
        conditional("if (-not $PSBoundParameters.ContainsKey('Proxy') -and $x) { $Proxy = 'p' }"),
        [true]
    );
}

fn shown(pilot: &Pilot) -> Vec<String> {
    pilot
        .found
        .iter()
        .map(|(key, value)| format!("{}={value}", key.name()))
        .collect()
}

fn left(pilot: &Pilot) -> Vec<String> {
    pilot
        .left
        .iter()
        .map(|left| format!("{} {}: {}", left.line, left.name, left.why))
        .collect()
}

#[test]
fn a_filled_in_script_becomes_our_settings() {
    let script = r#"<#
.SYNOPSIS
  Sends. $supplier_key = 'of the help'
#>
param(
  [ValidateSet('full','deltas')] [string]$Phase = 'full',
  [int]$BatchSize = 100,  # most
  [string]$DbUser = $env:DB_USER
)
$VERSION = '0.4.5'
$api_endpoint = "https://pp-api.education.gov.uk/children-in-social-care-data-receiver-test/1/children_social_care_data/845/children"
$supplier_key    = "the-key"       # 'Primary key'
$token_endpoint  = "OAUTH_TOKEN_ENDPOINT"
$client_secret   = @'
it's ~a "secret"
'@
$la_code  = "845"
$server   = "SQL01\REPORTS" # example
$la_proxy = $null
$api_data_staging_table = "ssd_api_data_staging_anon"
$testingMode = $true
$logFile = "C:\temp\log.json"
if (-not $PSBoundParameters.ContainsKey('Phase'))     { $Phase  = 'deltas' } # 'full' or 'deltas'
if (-not $PSBoundParameters.ContainsKey('BatchSize')) { $BatchSize  = 50 }
if (-not $UseIntegratedSecurityDbConnection) { $DbPassword = 'x' }
$usePartialPayload = ($Phase -eq 'deltas')
$batchSize = $BatchSize
"#;
    let pilot = of_script(script);
    assert_eq!(
        shown(&pilot),
        [
            "API_ENDPOINT=https://pp-api.education.gov.uk/children-in-social-care-data-receiver-test/1",
            "SUPPLIER_KEY=the-key",
            "CLIENT_SECRET=it's ~a \"secret\"",
            "LA_CODE=845",
            r"SERVER=SQL01\REPORTS",
            "TABLE_NAME=ssd_api_data_staging_anon",
            "TESTING_MODE=true",
            "USE_PARTIAL_PAYLOAD=true",
            "BATCH_SIZE=50",
        ]
    );
    assert_eq!(
        left(&pilot),
        [
            "8 $DbUser: the script computes it: look, and set DB_USER yourself",
            "10 $VERSION: csc-sender has no such setting",
            "13 $token_endpoint: it still is the template's value",
            "22 $logFile: the pilot's log is another one: name one of your own in LOG_FILE",
            "25 $DbPassword: it is set under a condition or in a function: look, and set DB_PASSWORD \
             yourself",
        ]
    );
}

#[test]
fn the_pilots_env_becomes_our_settings() {
    let env = b"DEBUG=true\nUSE_PARTIAL_PAYLOAD=True\nLA_CODE=your_3_digit_la_code\n\
        CLIENT_ID=\"an id\"\nUSER_SERVER=\"sql01\"\nUSER_DATABASE=HDM_Local\nSQL_CONN_STR=\n\
        TESTINGMODE=false\nOTHER_THING=1\nBATCH_SIZE=100\noops\n";
    let pilot = of_env(env);
    assert_eq!(
        shown(&pilot),
        [
            "CLIENT_ID=an id",
            "SERVER=sql01",
            "DATABASE=HDM_Local",
            "USE_PARTIAL_PAYLOAD=True",
            "BATCH_SIZE=100",
            "DEBUG=true",
        ]
    );
    let left = left(&pilot);
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left[0].starts_with("3 LA_CODE: it still is the template's"));
    assert!(left[1].starts_with("8 TESTINGMODE: a first run"));
    assert!(left[2].starts_with("9 OTHER_THING: csc-sender has no such"));
    assert!(left[3].starts_with("11 a line: "));
    assert!(!format!("{left:?}").contains("oops"));
}

#[test]
fn a_script_is_told_from_an_env_file() {
    assert!(is_script("api_payload_sender.ps1", ""));
    assert!(is_script("x.txt", "# c\n$la_code = '1'"));
    assert!(!is_script(".env", "# c\nLA_CODE=845\nPW=$x"));
}

fn single(text: &str) -> String {
    let doubled: String = text
        .chars()
        .flat_map(|c| match c {
            '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' => vec![c, c],
            c => vec![c],
        })
        .collect();
    format!("'{doubled}'")
}

fn double(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '"' | '$' | '`' | '\u{201c}' | '\u{201d}' | '\u{201e}' => vec!['`', c],
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}

/// What people have in secrets and connection strings, and what trips a reader up.
fn texts() -> impl Strategy<Value = String> {
    proptest::string::string_regex(
        "([a-zA-Z0-9 ]|[#'\"`$@{}();=\\\\%!\u{2018}\u{2019}\u{201c}\u{201d}]|\\PC){0,24}",
    )
    .unwrap()
}

proptest! {
    #[test]
    fn whatever_power_shell_quotes_is_read_back(text in texts()) {
        let here = format!("@'\n{text}\n'@");
        let ends_early = text.starts_with(['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'])
            && text.chars().nth(1) == Some('@');
        for written in [single(&text), double(&text), here] {
            if written.starts_with('@') && ends_early {
                continue;
            }
            for after in ["", " # a comment", ";", "\r\n$b = 1"] {
                let script = format!("$before = 'x'\n$a = {written}{after}");
                let found = assignments(&script);
                let a = found.iter().find(|found| found.name == "a").unwrap();
                prop_assert!(a.value == Value::Text(text.clone()), "{}", script);
                prop_assert_eq!(a.line, 2);
            }
        }
    }

    #[test]
    fn no_script_can_make_the_reader_fail(text in "\\PC{0,200}", noise in "[$@'\"`{}()=#<>a\n ]{0,80}") {
        for found in assignments(&format!("{text}\n{noise}")) {
            prop_assert!(found.line >= 1);
        }
    }

    #[test]
    fn a_value_goes_through_script_and_env_unchanged(text in texts()) {
        let Some(line) = csc_dotenv::line("CLIENT_SECRET", &text) else {
            return Err(TestCaseError::fail("it can be written"));
        };
        let (lines, faults) = csc_dotenv::read(line.as_bytes());
        prop_assert!(faults.is_empty(), "{}", line);
        prop_assert_eq!(lines.len(), 1);
        prop_assert_eq!(&lines[0].value, &text);
    }
}
