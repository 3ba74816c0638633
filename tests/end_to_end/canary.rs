//! Every secret and every value of a child is a unique word here. None of them may be
//! found in what the program prints, logs, keeps or leaves behind, whatever goes wrong.
//!
//! A new command goes into `COMMANDS`, and into `SPEAKING` too where it speaks to the
//! receiver or its token endpoint; a new setting that is a secret into `SECRETS`; a new
//! file that may hold children's values into `HOLDERS`.
//!
//! What speaks meets every fault of the matrix. The others need not: a test counts the
//! connections at the faults' own servers, and there are none. A live run meets each fault
//! at every verbosity; the other commands do so in turns, or each at every one where
//! `CSC_CANARY=all` asks for that, which takes minutes longer.

use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use serde_json::{Value, json};

use crate::fault_matrix::{Fault, Stage, in_parallel, place_with, run_trusting, table};
use crate::place::{Place, Ran, TABLE};
use crate::postgres::{Schema, url};

/// The settings that are secrets. Some have characters that are written otherwise in an
/// address, in a form and in JSON.
const SECRETS: [(&str, &str); 5] = [
    ("SUPPLIER_KEY", "canarysupplierkey"),
    ("SUPPLIER_KEY_SECONDARY", "canarysecondarykey"),
    ("CLIENT_SECRET", r#"canary+client/secret&"\"#),
    ("DB_PASSWORD", "canarydbpassword"),
    (
        "PROXY",
        "http://proxyuser:canaryproxypassword@proxy.invalid:9/",
    ),
];

/// What else must not be told: the token, and the proxy's credentials in other forms.
const DERIVED: [&str; 3] = [
    "canaryaccesstoken",
    "canaryproxypassword",
    "cHJveHl1c2VyOmNhbmFyeXByb3h5cGFzc3dvcmQ",
];

/// The files that hold children or secrets because they are meant to.
const HOLDERS: [&str; 9] = [
    ".env",
    "api_payload_sender.ps1",
    "authority.pem",
    "children.db",
    "children.db-journal",
    "children.db-shm",
    "children.db-wal",
    "pilot.env",
    "taken.env",
];

/// Every command that ends by itself.
pub const COMMANDS: &[&[&str]] = &[
    &["send"],
    &["send", "--json"],
    &["send", "--mode", "deltas"],
    &["send", "--dry-run"],
    &["send", "--test-record"],
    &["send", "--live", "--dry-run"],
    &["send", "--live", "--dry-run", "--json"],
    &["send", "--live", "--yes", "--test-record"],
    &["send", "--live", "--yes"],
    LIVE_JSON,
    LIVE_DELTAS,
    &["send", "--live", "--yes", "--resync"],
    &["send", "--live", "--yes", "--report", "reports"],
    &["send", "--report", "reports"],
    &["validate"],
    &["validate", "--format", "json"],
    &["validate", "--format", "csv"],
    &["validate", "--format", "sarif"],
    &["status"],
    &["status", "--json"],
    &["deltas", "prepare"],
    &["init"],
    &["init", "--print", "postgres"],
    &["config", "show"],
    &["config", "show", "--json"],
    &["config", "template"],
    &[
        "config",
        "import",
        "api_payload_sender.ps1",
        "--output",
        "left.env",
        "--force",
    ],
    &[
        "config",
        "import",
        "pilot.env",
        "--output",
        "taken.env",
        "--force",
        "--keep-secrets-in",
        "env",
    ],
    &["check", "config"],
    &["check", "table"],
    &["check", "database"],
    &["check", "database", "--json"],
    &["check"],
    &["check", "--testing-mode", "false"],
    &["check", "receiver", "--json"],
    &["check", "receiver", "--post", "--testing-mode", "false"],
    &["test-db-connection"],
    &["test-schema"],
    &["test-endpoint"],
    &["smoke"],
    &["explain"],
    &["explain", "CSC0619"],
    &["journal"],
    &["journal", "--format", "json"],
    &["journal", "--row", "1", "--format", "csv"],
    &["report"],
    &["report", "--html", "run.html"],
    &["schedule", "print", "--at", "02:00", "--for", "cron"],
    &["schedule", "print", "--at", "02:00", "--for", "systemd"],
    &["schedule", "print", "--at", "02:00", "--for", "sql-agent"],
    &[
        "schedule",
        "print",
        "--at",
        "02:00",
        "--for",
        "task-scheduler",
    ],
    &["secret", "list"],
    &["demo", "--children", "20", "--dir", "demo"],
    &["fake", "--count", "20", "--replace"],
    &["fake", "changes"],
    SCRAMBLE,
    &["reset"],
    &["completions", "bash"],
    &["man"],
    &["man", "--dir", "tmp"],
];

const SCRAMBLE: &[&str] = &[
    "scramble",
    "--from",
    "ssd_api_data_staging",
    "--to",
    TABLE,
    "--replace",
];

/// Those that speak to the receiver or its token endpoint, and whether they post more
/// than one record.
const SPEAKING: &[(&[&str], bool)] = &[
    (&["send", "--live", "--yes", "--test-record"], false),
    (&["send", "--live", "--yes"], true),
    (LIVE_JSON, true),
    (LIVE_DELTAS, true),
    (&["send", "--live", "--yes", "--resync"], true),
    (&["send", "--live", "--yes", "--report", "reports"], true),
    (&["check", "--testing-mode", "false"], false),
    (&["check", "receiver", "--json"], false),
    (
        &["check", "receiver", "--post", "--testing-mode", "false"],
        false,
    ),
    (&["test-endpoint"], false),
];

/// What a command comes to in the places of these tests, where it has something to do:
/// one record breaks every rule, and one is no JSON.
pub fn exit_of(command: &[&str]) -> i32 {
    let sends_the_table = |more: &[&str]| !more.iter().any(|word| NOT_THE_TABLE.contains(word));
    match command {
        ["validate", ..] | ["deltas", "prepare"] => 1,
        ["send", more @ ..] if sends_the_table(more) => 1,
        _ => 0,
    }
}

const NOT_THE_TABLE: [&str; 2] = ["--dry-run", "--test-record"];

fn speaks(command: &[&str]) -> bool {
    SPEAKING.iter().any(|(speaking, _)| *speaking == command)
}

/// Those that are watched in tests of their own: the simulator is ended from outside, the
/// other two change a store of the system's.
const ELSEWHERE: [&str; 3] = ["simulator", "secret-set", "secret-delete"];

/// A live run that sends whatever is there.
const LIVE: &[&str] = &["send", "--live", "--yes", "--no-validate"];

const LIVE_JSON: &[&str] = &["send", "--live", "--yes", "--no-validate", "--json"];

const LIVE_DELTAS: &[&str] = &[
    "send",
    "--live",
    "--yes",
    "--no-validate",
    "--mode",
    "deltas",
];

const VERBOSITIES: [&[&str]; 3] = [&[], &["-v"], &["-vv"]];

/// A child every value of which is a word of its own.
fn child(n: usize) -> Value {
    json!({
        "la_child_id": format!("canarychild{n}"),
        "mis_child_id": format!("canarymis{n}"),
        "child_details": {
            "unique_pupil_number": format!("A99988877766{n}"),
            "former_unique_pupil_number": format!("B99988877766{n}"),
            "first_name": format!("Canaryforename{n}"),
            "surname": format!("O'Canarysurname{n}"),
            "date_of_birth": format!("2009-01-1{n}"),
            "expected_date_of_birth": format!("2009-02-1{n}"),
            "postcode": format!("ZZ{n}9 9ZQ"),
            "sex": "M",
            "note": format!("canaryfreetext{n}"),
        },
        "social_care_episodes": [{
            "social_care_episode_id": format!("canaryepisode{n}"),
            "referral_date": format!("2010-03-1{n}"),
            "care_worker_details": [
                {"worker_id": format!("canarywrk{n}"), "start_date": format!("2010-04-1{n}")}
            ],
        }],
    })
}

/// Six children: the fourth breaks every rule, the fifth is no JSON any more.
fn children(fault: Fault) -> Vec<Value> {
    let mut children: Vec<Value> = (1..=6).map(child).collect();
    let wrong = &mut children[3]["child_details"];
    for field in [
        "sex",
        "ethnicity",
        "date_of_birth",
        "postcode",
        "unique_pupil_number",
    ] {
        wrong[field] = json!(format!("canarywrong{field}"));
    }
    if matches!(fault, Fault::Simulator(_)) {
        // The simulator's faults name children.
        for (n, child) in children.iter_mut().enumerate() {
            child["la_child_id"] = json!(format!("C{}", n + 1));
        }
    }
    children
}

fn payloads(children: &[Value]) -> Vec<String> {
    let mut texts: Vec<String> = children.iter().map(Value::to_string).collect();
    let cut = texts[4].len() - 30;
    texts[4].truncate(cut);
    texts
}

/// The ids by which the journal knows children and their episodes.
const JOURNAL_IDS: [&str; 2] = ["la_child_id", "social_care_episode_id"];

/// Every text in a record that is a word of its own; the journal's ids apart.
fn values(value: &Value, key: &str, words: &mut Vec<String>, ids: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() < 6 => {}
        Value::String(text) if JOURNAL_IDS.contains(&key) => ids.push(text.clone()),
        Value::String(text) => words.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| values(item, key, words, ids)),
        Value::Object(fields) => {
            for (key, value) in fields {
                values(value, key, words, ids);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What is looked for.
pub struct Words {
    /// Nowhere, `api_response` included.
    secrets: Regex,
    /// Nowhere but in the table.
    anywhere: Regex,
    /// Not in the journal either, which knows children by their ids.
    journal: Regex,
}

impl Words {
    fn of(children: &[Value], simulated: bool) -> Words {
        let mut secrets: Vec<String> = DERIVED.map(str::to_string).to_vec();
        if simulated {
            secrets.extend([
                csc_simulator::CLIENT_SECRET.to_string(),
                csc_simulator::SUPPLIER_KEY.to_string(),
                csc_simulator::SUPPLIER_KEY_SECONDARY.to_string(),
            ]);
        }
        secrets.extend(SECRETS.map(|(_, value)| value.to_string()));
        let (mut personal, mut ids) = (vec!["canarylegacy".to_string()], Vec::new());
        children
            .iter()
            .for_each(|child| values(child, "", &mut personal, &mut ids));
        assert!(
            personal.len() > 50 && ids.len() >= 6,
            "{personal:?} {ids:?}"
        );
        let journal = [secrets.clone(), personal].concat();
        Words {
            secrets: any_of(&secrets),
            anywhere: any_of(&[journal.clone(), ids, vec!["canaryperson".into()]].concat()),
            journal: any_of(&journal),
        }
    }
}

/// Any of these words, in any of the forms in which it may have been written.
fn any_of(words: &[String]) -> Regex {
    let mut forms = Vec::new();
    for word in words {
        let form: String = url::form_urlencoded::byte_serialize(word.as_bytes()).collect();
        let escaped = json!(word).to_string();
        let wide: String = word.chars().flat_map(|c| [c, '\0']).collect();
        for text in [word, &form, escaped.trim_matches('"'), &wide] {
            forms.push(regex::escape(text));
        }
    }
    Regex::new(&format!("(?i){}", forms.join("|"))).unwrap()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn assert_silent(words: &Words, place: &Place, ran: &Ran, about: &str) {
    let look = |regex: &Regex, bytes: &[u8], what: &str| {
        if let Some(found) = regex.find(bytes) {
            let (start, end) = (found.start().saturating_sub(300), found.end() + 50);
            panic!(
                "{:?} is in {what} of {about}: {}",
                String::from_utf8_lossy(found.as_bytes()),
                String::from_utf8_lossy(&bytes[start..end.min(bytes.len())])
            );
        }
    };
    look(&words.anywhere, ran.stdout.as_bytes(), "the output");
    look(&words.anywhere, ran.stderr.as_bytes(), "the errors");
    for path in files(place.folder.path()) {
        let name = path.strip_prefix(place.folder.path()).unwrap();
        if HOLDERS.iter().any(|holder| name == Path::new(holder)) {
            continue;
        }
        let is_journal = name.starts_with("state");
        let regex = if is_journal {
            &words.journal
        } else {
            &words.anywhere
        };
        look(
            regex,
            &std::fs::read(&path).unwrap(),
            &name.display().to_string(),
        );
    }
    let sql = place.sql();
    let mut said = sql
        .prepare(&format!("SELECT coalesce(api_response, '') FROM {TABLE}"))
        .unwrap();
    let responses = said.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for response in responses {
        look(&words.secrets, response.unwrap().as_bytes(), "api_response");
    }
}

/// The secrets as lines of `.env`.
fn settings(fault: Fault) -> String {
    let simulated = matches!(fault, Fault::Simulator(_));
    let proxied = matches!(
        fault,
        Fault::Proxy(_) | Fault::ProxyRefuses | Fault::ProxyUnknown
    );
    let mut lines = String::from("LOG_FILE=run.log\n");
    for (name, value) in SECRETS {
        let kept = match name {
            "PROXY" => !proxied,
            "DB_PASSWORD" => true,
            _ => !simulated,
        };
        if kept {
            lines += &format!("{name}='{value}'\n");
        }
    }
    lines
}

/// A place where a fault is in force, and whose temporary files stay in it.
fn place(fault: Fault, stage: &Stage, more: &str) -> (Place, Words) {
    let children = children(fault);
    let more = settings(fault) + more;
    let place = place_with(fault, &payloads(&children), stage, &more);
    std::fs::create_dir(place.file("tmp")).unwrap();
    std::fs::copy(place.file(".env"), place.file("pilot.env")).unwrap();
    std::fs::write(
        place.file("api_payload_sender.ps1"),
        "$la_code = '845'\n$supplier_key = 'canarysupplierkey'\n\
         $client_secret = @'\ncanarysecondarykey\n'@\n$db_password = 'canarydbpassword'\n",
    )
    .unwrap();
    place.execute(
        "UPDATE {t} SET legacy_id = 'canarylegacy' || id, person_id = 'canaryperson' || id",
    );
    (
        place,
        Words::of(&children, matches!(fault, Fault::Simulator(_))),
    )
}

/// A fault that never strikes.
pub const NO_FAULT: Fault = Fault::Post(crate::faulty::accepted);

/// A place in which a command has something to do.
pub fn prepared(command: &[&str], stage: &Stage, more: &str) -> (Place, Words) {
    let (place, words) = place(NO_FAULT, stage, more);
    if ["journal", "report"].contains(&command[0]) {
        assert_eq!(run_trusting(&place, LIVE).exit, 1, "one of them is no JSON");
    }
    if command == SCRAMBLE {
        let created = place.run(&["init"]);
        assert_eq!(created.exit, 0, "{}", created.both());
        place.execute("INSERT INTO ssd_api_data_staging SELECT * FROM {t}");
    }
    (place, words)
}

#[test]
fn no_fault_makes_the_program_tell_a_secret_or_a_childs_value() {
    let rows = table();
    let cases: Vec<_> = rows
        .iter()
        .flat_map(|row| VERBOSITIES.map(|verbosity| (row, verbosity)))
        .collect();
    in_parallel(&cases, |(row, verbosity)| {
        let stage = Stage::of(row.fault);
        let (place, words) = place(row.fault, &stage, "");
        let ran = run_trusting(&place, &[LIVE, *verbosity].concat());
        let about = format!("{} {verbosity:?}", row.name);
        assert!([0, 1, 4].contains(&ran.exit), "{about}: {}", ran.both());
        assert_silent(&words, &place, &ran, &about);
    });
}

/// Each of them meets every fault, and each verbosity many times or every time.
#[test]
fn no_fault_makes_any_command_that_speaks_tell_a_secret_or_a_childs_value() {
    let rows = table();
    let mut cases = Vec::new();
    let all = std::env::var("CSC_CANARY").is_ok_and(|which| which == "all");
    for (n, row) in rows.iter().enumerate() {
        for (m, (command, posts_many)) in SPEAKING.iter().enumerate() {
            for (v, verbosity) in VERBOSITIES.into_iter().enumerate() {
                if all || v == (n + m) % 3 {
                    cases.push((row, *command, *posts_many, verbosity));
                }
            }
        }
    }
    in_parallel(&cases, |(row, command, posts_many, verbosity)| {
        let (fault, stage) = if *posts_many {
            (row.fault, Stage::of(row.fault))
        } else {
            let fault = row.fault.for_one_post();
            (fault, Stage::after(fault, 0))
        };
        let (place, words) = place(fault, &stage, "ENDPOINT_KIND=test");
        let ran = run_trusting(&place, &[*command, *verbosity].concat());
        let about = format!("{}: {command:?} {verbosity:?}", row.name);
        assert!([0, 1, 4].contains(&ran.exit), "{about}: {}", ran.both());
        assert_silent(&words, &place, &ran, &about);
    });
}

#[test]
fn every_command_is_watched() {
    let place = Place::new(0, &[]);
    std::fs::create_dir(place.file("pages")).unwrap();
    let made = place.run(&["man", "--dir", "pages"]);
    assert_eq!(made.exit, 0, "{}", made.both());
    let pages: Vec<String> = files(&place.file("pages"))
        .iter()
        .map(|page| page.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let watched: Vec<String> = COMMANDS.iter().map(|words| words.join("-") + "-").collect();
    for page in &pages {
        let Some(command) = page.strip_prefix("csc-sender-") else {
            continue;
        };
        let begins = |text: &String| text.starts_with(&format!("{command}-"));
        assert!(
            ELSEWHERE.contains(&command) || watched.iter().any(begins),
            "{command} is in neither COMMANDS nor ELSEWHERE"
        );
    }
    assert!(pages.len() > 20, "{pages:?}");
    for (command, _) in SPEAKING {
        assert!(COMMANDS.contains(command), "{command:?}");
    }
}

/// The secrets go in by standard input and into a keyring of the test's own.
#[cfg(target_os = "linux")]
#[test]
fn a_secret_that_is_kept_or_deleted_is_not_told() {
    for verbosity in ["", "-v", "-vv"] {
        let (place, words) = place(NO_FAULT, &Stage::of(NO_FAULT), "");
        let text = format!(
            r#"
            for name in SUPPLIER_KEY CLIENT_SECRET; do
                sed -n "s/^$name='\(canary.*\)'/\1/p" .env | "$CSC" secret set $name {verbosity}
            done
            "$CSC" secret list {verbosity}
            "$CSC" config import pilot.env --output left.env --keep-secrets-in store {verbosity}
            "$CSC" secret delete CLIENT_SECRET {verbosity}
            "$CSC" secret delete SUPPLIER_KEY {verbosity}
            "#
        );
        let ran = crate::secrets::run(&place, &text);
        assert_eq!(ran.exit, 0, "{}", ran.both());
        for told in ["Kept CLIENT_SECRET", "Deleted SUPPLIER_KEY"] {
            assert!(ran.stdout.contains(told), "{}", ran.both());
        }
        assert_silent(&words, &place, &ran, "a secret that is kept and deleted");
    }
}

#[test]
fn no_fault_makes_the_program_tell_what_is_in_postgresql() {
    let rows: Vec<_> = table().into_iter().enumerate().collect();
    in_parallel(&rows, |(n, row)| {
        let schema = Schema::new(&format!("canary_fault_{n}"));
        let stage = Stage::of(row.fault);
        let (place, words) = place(row.fault, &stage, &in_postgresql(&schema));
        fill(&place, &schema, row.fault);
        let ran = run_trusting(&place, &[LIVE, &["-vv"]].concat());
        assert!(
            [0, 1, 4].contains(&ran.exit),
            "{}: {}",
            row.name,
            ran.both()
        );
        assert_silent(&words, &place, &ran, row.name);
        assert_no_secret_in(&words, &schema);
    });
}

#[test]
fn no_command_tells_a_secret_or_a_childs_value() {
    let mut cases = Vec::new();
    for command in COMMANDS {
        for debug in ["DEBUG=false", "DEBUG=true"] {
            cases.extend(VERBOSITIES.map(|verbosity| (command, verbosity, debug)));
        }
    }
    in_parallel(&cases, |(command, verbosity, debug)| {
        let stage = Stage::of(NO_FAULT);
        let (place, words) = prepared(command, &stage, debug);
        let before = stage.connections();
        // Once more: what was sent before leads other ways.
        for time in ["first", "second"] {
            let ran = run_trusting(&place, &[*command, *verbosity].concat());
            let about = format!("the {time} {command:?} {verbosity:?} {debug}");
            let expected = match (time, command[0]) {
                ("second", "demo") => 2, // its folder is there
                _ => exit_of(command),
            };
            assert_eq!(ran.exit, expected, "{about}: {}", ran.both());
            assert_silent(&words, &place, &ran, &about);
        }
        assert_eq!(stage.connections() > before, speaks(command), "{command:?}");
    });
}

#[test]
fn no_command_tells_what_is_in_postgresql() {
    // Scrambling from there into there is watched in fakes.rs, with a table of each kind.
    let commands = COMMANDS.iter().filter(|command| **command != SCRAMBLE);
    let cases: Vec<(usize, &[&str])> = commands.copied().enumerate().collect();
    in_parallel(&cases, |(n, command)| {
        let schema = Schema::new(&format!("canary_{n}"));
        let stage = Stage::of(NO_FAULT);
        let (place, words) = place(NO_FAULT, &stage, &in_postgresql(&schema));
        fill(&place, &schema, NO_FAULT);
        if ["journal", "report"].contains(&command[0]) {
            run_trusting(&place, LIVE);
        }
        let ran = run_trusting(&place, &[*command, &["-vv"]].concat());
        assert_eq!(ran.exit, exit_of(command), "{command:?}: {}", ran.both());
        assert_silent(&words, &place, &ran, &format!("{command:?}"));
        assert_no_secret_in(&words, &schema);
    });
}

fn in_postgresql(schema: &Schema) -> String {
    format!(
        "DB_CONNECTION_STRING={}\nTABLE_NAME={}.ssd_api_data_staging_anon",
        url(),
        schema.name
    )
}

/// Makes the table in PostgreSQL, with the children in it.
fn fill(place: &Place, schema: &Schema, fault: Fault) {
    let created = place.run(&["init"]);
    assert_eq!(created.exit, 0, "{}", created.both());
    for (n, payload) in payloads(&children(fault)).iter().enumerate() {
        let payload = payload.replace('\'', "''");
        schema.execute(&format!(
            "INSERT INTO {}.ssd_api_data_staging_anon (person_id, legacy_id, json_payload)
             VALUES ('canaryperson{n}', 'canarylegacy{n}', '{payload}')",
            schema.name
        ));
    }
}

fn assert_no_secret_in(words: &Words, schema: &Schema) {
    let said = format!(
        "SELECT api_response FROM {}.ssd_api_data_staging_anon",
        schema.name
    );
    for said in schema.rows(&said).into_iter().flatten().flatten() {
        assert!(!words.secrets.is_match(said.as_bytes()), "{said}");
    }
}

/// The search is worth something: it finds what is where it may be.
#[test]
fn the_words_are_found_where_they_belong() {
    let stage = Stage::of(NO_FAULT);
    let (place, words) = place(NO_FAULT, &stage, "");
    assert_eq!(run_trusting(&place, LIVE).exit, 1, "one of them is no JSON");
    let read = |name| std::fs::read(place.file(name)).unwrap();
    assert!(words.secrets.is_match(&read(".env")));
    assert!(words.journal.is_match(&read("children.db")));
    let journal: Vec<u8> = files(&place.file("state"))
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(
        words.anywhere.is_match(&journal),
        "it knows children by their ids"
    );
}

/// A database may quote a row when it refuses one.
#[test]
fn a_database_that_quotes_a_row_is_not_quoted() {
    let quoting = [
        "ALTER TABLE {t} ADD CHECK (submission_status <> 'sent')",
        "CREATE FUNCTION {s}.quote() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'row %', NEW.json_payload; END $$;
         CREATE TRIGGER quote BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {s}.quote()",
        "CREATE FUNCTION {s}.quote() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.id := NEW.json_payload::int; RETURN NEW; END $$;
         CREATE TRIGGER quote BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {s}.quote()",
        "CREATE FUNCTION {s}.quote() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.last_updated := (NEW.json_payload::json ->> 'la_child_id')::date; RETURN NEW; END $$;
         CREATE TRIGGER quote BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION {s}.quote()",
    ];
    for (n, sql) in quoting.iter().enumerate() {
        let schema = Schema::new(&format!("quoting_{n}"));
        let stage = Stage::of(NO_FAULT);
        let (place, words) = place(NO_FAULT, &stage, &in_postgresql(&schema));
        fill(&place, &schema, NO_FAULT);
        let table = format!("{}.ssd_api_data_staging_anon", schema.name);
        schema.execute(&sql.replace("{t}", &table).replace("{s}", &schema.name));
        let ran = run_trusting(&place, &[LIVE, &["-vv"]].concat());
        assert_eq!(ran.exit, 3, "{sql}: {}", ran.both());
        assert!(ran.both().contains("SQLSTATE"), "{sql}: {}", ran.both());
        assert_silent(&words, &place, &ran, sql);
    }
    let stage = Stage::of(NO_FAULT);
    let (place, words) = place(NO_FAULT, &stage, "");
    place.execute(
        "CREATE TRIGGER quote BEFORE UPDATE ON {t}
         BEGIN SELECT RAISE(ABORT, 'row ' || NEW.json_payload); END",
    );
    let ran = run_trusting(&place, &[LIVE, &["-vv"]].concat());
    assert_eq!(ran.exit, 3, "{}", ran.both());
    assert_silent(&words, &place, &ran, "a trigger in SQLite");
}

/// A PostgreSQL that asks for the password in the clear and quotes it in its refusal
/// (message formats of its protocol, version 3).
fn quoting_server() -> std::net::SocketAddr {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut read = vec![0; 4096];
            let _ = stream.read(&mut read);
            let _ = stream.write_all(b"R\0\0\0\x08\0\0\0\x03");
            let length = stream.read(&mut read).unwrap_or(0);
            let password = read.get(5..length.saturating_sub(1)).unwrap_or_default();
            let mut fields = b"SFATAL\0C28P01\0Mno logon with ".to_vec();
            fields.extend_from_slice(password);
            fields.extend_from_slice(b"\0\0");
            let mut refusal = vec![b'E'];
            refusal.extend(u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
            refusal.extend(fields);
            let _ = stream.write_all(&refusal);
        }
    });
    address
}

#[test]
fn a_database_that_quotes_the_password_is_not_quoted() {
    let stage = Stage::of(NO_FAULT);
    let line = format!(
        "DB_CONNECTION_STRING=postgres://u@{}/d?sslmode=disable",
        quoting_server()
    );
    let (place, words) = place(NO_FAULT, &stage, &line);
    let ran = run_trusting(&place, &["status", "-vv"]);
    assert_eq!(ran.exit, 3, "{}", ran.both());
    assert!(ran.stderr.contains("no logon with"), "{}", ran.stderr);
    assert_silent(&words, &place, &ran, "a refused password");
}

/// Settings that cannot be used are told of without what may be a secret in them.
#[test]
fn settings_that_are_wrong_are_not_quoted() {
    let wrong = [
        "SUPPLIER_KEY='canarysupplierkey",
        "CLIENT_SECRET 'canarysecondarykey'",
        "canarysupplierkey",
        "PROXY=http//proxyuser:canaryproxypassword@proxy",
        "PROXY=proxyuser:canaryproxypassword@proxy:80:80",
        "API_ENDPOINT=https://user:canarydbpassword@127.0.0.1/x-receiver-test/1",
        "TOKEN_ENDPOINT=https://127.0.0.1/token?secret=canarysupplierkey",
        "TABLE_NAME='PWD=canarydbpassword;'",
        "DB_CONNECTION_STRING=postgres://u:canarydbpassword@127.0.0.1:1/d",
        "DB_CONNECTION_STRING=postgres://u:canarydbpassword@127.0.0.1:x/d",
        "DB_CONNECTION_STRING=postgres://u:canary dbpassword canarydbpassword@h h/d",
        "DB_CONNECTION_STRING=Server=127.0.0.1,1;Database=d;UID=u;PWD=canarydbpassword;",
        "DB_CONNECTION_STRING=Server=127.0.0.1;Pwd={canarydbpassword",
        "DB_CONNECTION_STRING=host=127.0.0.1 port=1 dbname=d user=u password=canarydbpassword",
        "DB_CONNECTION_STRING=canarydbpassword",
        "DB_CONNECTION_STRING=sqlite:nowhere.db;PWD=canarydbpassword",
        "DB_CONNECTION_STRING=sqlite:nowhere.db?password=canarydbpassword",
    ];
    let mut cases = Vec::new();
    for line in wrong {
        for command in [
            &["send", "--live", "--yes"][..],
            &["config", "show"],
            &["status"],
        ] {
            cases.push((line, command));
        }
    }
    in_parallel(&cases, |(line, command)| {
        let stage = Stage::of(NO_FAULT);
        let (place, words) = place(NO_FAULT, &stage, line);
        let ran = run_trusting(&place, &[*command, &["-vv"]].concat());
        assert_silent(&words, &place, &ran, &format!("{line} {command:?}"));
    });
}

/// The one command that is ended from outside.
#[cfg(unix)]
#[test]
fn the_simulator_does_not_tell_what_it_is_sent() {
    use std::io::{BufRead, BufReader, Read};

    use crate::place::{interrupt, ran};

    let (place, words) = place(NO_FAULT, &Stage::of(NO_FAULT), "");
    let mut child = place.start(&["simulator", "--port", "0", "-vv", "--fault", "refuse-all"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    let port = regex::Regex::new(r"127\.0\.0\.1:(\d+)").unwrap();
    let address = port.captures(&first).unwrap()[0].to_string();
    let base = format!("http://{address}");
    place.write_env(&format!(
        "API_ENDPOINT={base}{}\nTOKEN_ENDPOINT={base}{}",
        csc_simulator::API_PATH,
        csc_simulator::TOKEN_PATH
    ));
    let sent = run_trusting(&place, LIVE);
    assert_eq!(sent.exit, 1, "{}", sent.both());
    interrupt(&child);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let mut ended = ran(child.wait_with_output().unwrap());
    ended.stdout = first + &rest;
    assert_silent(&words, &place, &ended, "the simulator");
    assert!(place.statuses_of(TABLE).starts_with("error"));
}
