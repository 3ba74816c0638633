use super::*;
use secrecy::ExposeSecret;

struct Place {
    working: tempfile::TempDir,
    program: tempfile::TempDir,
    environment: Vec<(&'static str, &'static str)>,
    secrets: Arc<SecretStores>,
    system_proxies: Option<SystemProxies>,
}

impl Place {
    fn new() -> Self {
        Place {
            working: tempfile::tempdir().unwrap(),
            program: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
            secrets: Arc::new(SecretStores::none()),
            system_proxies: None,
        }
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.working.path().join(name), text).unwrap();
    }

    fn load(&self, args: &ConfigArgs) -> Config {
        let environment = |name: &str| {
            self.environment
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| v.to_string())
        };
        Config::load(
            args,
            &World {
                environment: &environment,
                working_dir: self.working.path().to_path_buf(),
                program_dir: Some(self.program.path().to_path_buf()),
                secrets: Arc::clone(&self.secrets),
                system_proxies: self.system_proxies.clone(),
            },
        )
    }

    fn config(&self) -> Config {
        self.load(&ConfigArgs::default())
    }
}

const LIVE: Need = Need {
    database: true,
    la_code: true,
    receiver_if_live: true,
    table: true,
    network: false,
    receiver: false,
};

fn codes(result: Result<Settings, Vec<Message>>) -> Vec<String> {
    result
        .err()
        .unwrap_or_default()
        .iter()
        .map(|m| format!("{} {}", m.code(), m.what()))
        .collect()
}

#[test]
fn a_stronger_source_wins_and_the_weaker_ones_are_told() {
    let mut place = Place::new();
    place.file(
        "csc-sender.toml",
        "LA_CODE = \"111\"\nbatch_size = 11\nMAX_WAIT = 7\n",
    );
    place.file(
        ".env",
        "LA_CODE=222\nBATCH_SIZE=22\nSQL_CONN_STR=sqlite:a.db\nDB_CONNECTION_STRING=sqlite:b.db\n",
    );
    place.environment = vec![("LA_CODE", "333"), ("SCOPE", "  ")];
    let args = ConfigArgs {
        la_code: Some("444".into()),
        ..ConfigArgs::default()
    };
    let config = place.load(&args);
    let settings = config.settings(LIVE).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(settings.la_code.unwrap().as_str(), "444");
    assert_eq!(settings.batch_size, 22);
    assert_eq!(settings.max_wait.as_secs(), 7);
    assert!(settings.database.unwrap().redacted().ends_with("b.db"));
    let shown = config.show();
    let la = &shown[shown.find("LA_CODE").unwrap()..shown.find("DB_CONNECTION").unwrap()];
    let place_of = |word: &str| la.find(word).unwrap_or_else(|| panic!("{word}: {la}"));
    assert!(place_of("444") < place_of("overrides 333 from the environment"));
    assert!(place_of("overrides 333") < place_of("overrides 222 from"));
    assert!(place_of("overrides 222") < place_of("overrides 111 from"));
}

#[test]
fn an_env_file_beside_the_program_counts_where_the_working_directory_has_none() {
    let place = Place::new();
    std::fs::write(place.program.path().join(".env"), "LA_CODE=555").unwrap();
    assert_eq!(place.config().value(Key::LaCode).unwrap().value, "555");
    place.file(".env", "SCOPE=x");
    assert!(place.config().value(Key::LaCode).is_none());
    place.file("other.env", "LA_CODE=666");
    let args = ConfigArgs {
        env_file: Some("other.env".into()),
        ..ConfigArgs::default()
    };
    assert_eq!(place.load(&args).value(Key::LaCode).unwrap().value, "666");
}

#[test]
fn testing_mode_needs_the_database_and_the_code_only() {
    let place = Place::new();
    place.file(
        ".env",
        "LA_CODE=201\nDB_CONNECTION_STRING=sqlite:x.db\nAPI_ENDPOINT=...\nSUPPLIER_KEY=SUBSCRIPTION_PRIMARY_KEY_CODE\n",
    );
    let settings = place
        .config()
        .settings(LIVE)
        .unwrap_or_else(|e| panic!("{e:?}"));
    assert!(settings.live.is_none());
    assert_eq!(settings.table.to_string(), "ssd_api_data_staging_anon");
    assert_eq!(
        codes(Place::new().config().settings(LIVE)),
        [
            "201 LA_CODE is not set",
            "201 DB_CONNECTION_STRING is not set"
        ]
    );
}

#[test]
fn all_faults_of_a_live_run_are_told_at_once() {
    let place = Place::new();
    place.file(
        ".env",
        "TESTING_MODE=$false\nAPI_ENDPOINT=...\nSUPPLIER_KEY=as supplied from dfe api portal\n\
         TOKEN_ENDPOINT=login.microsoftonline.com\nCLIENT_SECRET=<dfe-supplied-value>\nSCOPE=s/.default\n\
         LA_CODE=20\nDB_CONNECTION_STRING=Driver={Access};x\nBATCH_SIZE=101\nAPI_TIMEOUT=4\nMIN_GAP_MS=-1\n\
         MAX_BATCH_BYTES=lots\nENDPOINT_KIND=prod\nSTRICT=maybe\nnonsense\n",
    );
    let found = codes(place.config().settings(LIVE));
    for expected in [
        "206 ",
        "201 API_ENDPOINT is not filled in",
        "201 SUPPLIER_KEY is not filled in",
        "208 TOKEN_ENDPOINT is \"login.microsoftonline.com\"",
        "201 CLIENT_ID is not set",
        "201 CLIENT_SECRET is not filled in",
        "208 LA_CODE is \"20\"",
        "22",
        "209 TABLE_NAME is not set",
        "208 BATCH_SIZE is \"101\"",
        "208 API_TIMEOUT is \"4\"",
        "208 MIN_GAP_MS is \"-1\"",
        "208 MAX_BATCH_BYTES is \"lots\"",
        "208 ENDPOINT_KIND is \"prod\"",
        "208 STRICT is \"maybe\"",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
}

#[test]
fn server_and_database_are_enough() {
    let place = Place::new();
    place.file(
        ".env",
        "LA_CODE=201\nUSER_SERVER=ESLLREPORTS04V\\REP\nUSER_DATABASE=HDM_Local\n",
    );
    let settings = place
        .config()
        .settings(LIVE)
        .unwrap_or_else(|e| panic!("{e:?}"));
    let target = settings.database.unwrap().redacted();
    assert!(target.contains("ESLLREPORTS04V"), "{target}");
    place.file(
        ".env",
        "LA_CODE=201\nDB_CONNECTION_STRING=sqlite:x.db\nSERVER=a\n",
    );
    let args = ConfigArgs {
        server: Some("strong".into()),
        database: Some("d".into()),
        ..ConfigArgs::default()
    };
    let database = |config: Config| {
        let settings = config.settings(LIVE).unwrap_or_else(|e| panic!("{e:?}"));
        settings.database.unwrap().redacted()
    };
    assert!(database(place.config()).ends_with("x.db"));
    let flags = database(place.load(&args));
    assert!(
        flags.contains("strong"),
        "a flag goes before a file: {flags}"
    );
    place.file(".env", "LA_CODE=201\nSERVER=s\n");
    assert_eq!(
        codes(place.config().settings(LIVE)),
        ["201 DATABASE is not set"]
    );
}

#[test]
fn a_flag_for_half_a_database_is_never_left_out_in_silence() {
    let place = Place::new();
    place.file(
        ".env",
        "LA_CODE=201\nDB_CONNECTION_STRING=sqlite:live.db\nDATABASE=d\n",
    );
    let half = |server: Option<&str>, database: Option<&str>, string: Option<&str>| ConfigArgs {
        server: server.map(Into::into),
        database: database.map(Into::into),
        db_connection_string: string.map(Into::into),
        ..ConfigArgs::default()
    };
    let database = |args: &ConfigArgs| {
        let settings = place.load(args).settings(LIVE);
        settings.map(|settings| settings.database.unwrap().redacted())
    };
    // The other half from a file completes it.
    let found = database(&half(Some("copy"), None, None)).unwrap_or_else(|e| panic!("{e:?}"));
    assert!(found.contains("Server=copy;Database=d;"), "{found}");
    place.file(".env", "LA_CODE=201\nDB_CONNECTION_STRING=sqlite:live.db\n");
    for args in [
        half(Some("copy"), None, None),
        half(None, Some("copy"), None),
        half(Some("a"), Some("b"), Some("sqlite:x.db")),
    ] {
        let faults = database(&args).err().unwrap();
        assert_eq!(faults.iter().map(Message::code).collect::<Vec<_>>(), [216]);
    }
}

#[test]
fn other_programs_server_in_the_environment_does_not_replace_a_connection_string() {
    let mut place = Place::new();
    place.environment = vec![("SERVER", "ci01"), ("DATABASE", "ci")];
    place.file(".env", "LA_CODE=201\nDB_CONNECTION_STRING=sqlite:mine.db\n");
    let settings = place.config().settings(LIVE);
    let settings = settings.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(settings.database.unwrap().redacted().ends_with("mine.db"));
}

#[test]
fn a_faulty_connection_string_is_told_with_its_place() {
    let place = Place::new();
    place.file(
        ".env",
        "LA_CODE=201\nDB_CONNECTION_STRING=Server=np:a;Database=d\n",
    );
    let found = codes(place.config().settings(LIVE));
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with(".env, line 2)"), "{found:?}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown_either() {
    let place = Place::new();
    place.file(
        ".env",
        "TESTING_MODE=false\nAPI_ENDPOINT=https://u:CANARY@h/x-receiver/1\n\
         TOKEN_ENDPOINT=https://h/t?key=CANARY\nSERVER=Server=a;Uid=u;Pwd=CANARY\nDATABASE=d\n\
         LA_CODE=Server=a;Pwd=CANARY\nMAX_WAIT=Pwd=CANARY\nLOG_FILE=x;Pwd=CANARY\n\
         SUPPLIER_KEY=CANARY CANARY\nSUPPLIER_KEY_SECONDARY=CANARY\u{e9}\nMIIcanaryCANARY=\n",
    );
    let config = place.config();
    let faults = config.settings(LIVE).err().unwrap();
    let all = format!(
        "{}{}{:?}{faults:?}",
        config.show(),
        config.show_json(),
        config.notes()
    );
    assert!(!all.contains("CANARY"), "{all}");
    for expected in [
        "API_ENDPOINT",
        "TOKEN_ENDPOINT",
        "SUPPLIER_KEY",
        "SUPPLIER_KEY_SECONDARY",
    ] {
        let what = format!("{expected} is ");
        assert!(
            faults
                .iter()
                .any(|m| m.code() == 208 && m.what().starts_with(&what)),
            "{expected}: {faults:?}"
        );
    }
}

#[test]
fn a_connection_string_without_its_user_is_shown_with_db_user() {
    let place = Place::new();
    place.file(".env", "DB_CONNECTION_STRING=postgres://h/d\nDB_USER=ana\n");
    assert!(place.config().show().contains("postgres://ana@h:5432/d"));
}

#[test]
fn a_slip_of_the_pen_in_an_env_file_is_told_with_the_right_name() {
    let place = Place::new();
    place.file(".env", "DB_CONECTION_STRING=x\nPATH_TO_X=1\n");
    let config = place.config();
    assert!(
        config.notes()[0].ends_with(
            "DB_CONECTION_STRING is no setting of csc-sender; did you mean DB_CONNECTION_STRING?"
        ),
        "{:?}",
        config.notes()
    );
    assert!(config.notes()[1].ends_with("PATH_TO_X is no setting of csc-sender and is left alone"));
}

#[test]
fn no_secret_is_ever_shown() {
    let mut place = Place::new();
    place.file(
        ".env",
        "SUPPLIER_KEY=canary1\nSUPPLIER_KEY_SECONDARY=canary2\nCLIENT_SECRET=canary3\nDB_PASSWORD=canary4\n\
         DB_CONNECTION_STRING=postgres://u:canary5@h/d\nPROXY=http://u:canary6@p:1\nTESTING_MODE=false\nLA_CODE=x\n",
    );
    place.environment = vec![
        ("CLIENT_SECRET", "canary7\n"),
        ("DB_CONNECTION_STRING", "gibberish canary8"),
    ];
    let args = ConfigArgs {
        db_connection_string: Some("postgres://u:canary9@h/d".into()),
        ..ConfigArgs::default()
    };
    let config = place.load(&args);
    let mut all = config.show();
    all.push_str(&config.show_json().to_string());
    all.push_str(&config.notes().join("\n"));
    let faults = config.settings(LIVE).err().unwrap();
    assert!(faults.iter().any(|m| m.code() == 204), "{faults:?}");
    all.push_str(&format!("{faults:?}"));
    assert!(!all.contains("canary"), "{all}");
    assert!(all.contains("**** (set)"));
    assert!(all.contains("postgres://u:****@h"));
}

#[test]
fn unknown_settings_are_faults_in_toml_and_notes_in_env_files() {
    let place = Place::new();
    place.file(".env", "LA_CODE=201\nOTHER_TOOL=1\n");
    place.file("csc-sender.toml", "API_ENDPONT = \"x\"\nmax_wait = 1.5\n");
    let config = place.config();
    assert_eq!(config.notes().len(), 1);
    let faults = config.settings(Need::default()).err().unwrap();
    assert_eq!(faults.len(), 2);
    assert!(
        faults
            .iter()
            .any(|m| m.why() == "did you mean API_ENDPOINT?"),
        "{faults:?}"
    );
}

#[test]
fn other_programs_debug_is_not_ours() {
    let mut place = Place::new();
    place.environment = vec![("DEBUG", "express:*")];
    assert!(
        !place
            .config()
            .settings(Need::default())
            .unwrap_or_else(|e| panic!("{e:?}"))
            .debug
    );
    place.environment = vec![("DEBUG", "1")];
    assert!(
        place
            .config()
            .settings(Need::default())
            .unwrap_or_else(|e| panic!("{e:?}"))
            .debug
    );
}

#[test]
fn the_template_read_back_has_no_faults_but_what_is_not_filled_in() {
    let place = Place::new();
    place.file(".env", &template());
    let config = place.config();
    assert!(config.notes().is_empty(), "{:?}", config.notes());
    let found = codes(config.settings(LIVE));
    assert_eq!(
        found,
        [
            "201 LA_CODE is not filled in",
            "201 DB_CONNECTION_STRING is not filled in"
        ]
    );
    // Every default that it shows is one that the program reads.
    let uncommented: String = template()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_uppercase()) => rest,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    place.file(".env", &uncommented);
    assert_eq!(codes(place.config().settings(LIVE)), found);
}

#[test]
fn a_live_run_reads_its_settings() {
    let place = Place::new();
    place.file(
        ".env",
        "TESTING_MODE=false\nAPI_ENDPOINT=https://a.education.gov.uk/x-receiver-test/1/\nSUPPLIER_KEY=k\n\
         TOKEN_ENDPOINT=https://login.microsoftonline.com/t/oauth2/v2.0/token\nCLIENT_ID=c\n\
         CLIENT_SECRET='s # not a comment'\nSCOPE=api/.default\nLA_CODE=001\nDB_CONNECTION_STRING=sqlite::memory:\n\
         TABLE_NAME=dbo.ssd_api_data_staging\nALLOWED_HOSTS=a.example, b.example\nMAX_BATCH_BYTES=2 MB\n",
    );
    let settings = place
        .config()
        .settings(LIVE)
        .unwrap_or_else(|e| panic!("{e:?}"));
    let live = settings.live.unwrap();
    assert_eq!(live.client_secret.expose_secret(), "s # not a comment");
    assert_eq!(settings.la_code.unwrap().as_str(), "001");
    assert_eq!(settings.allowed_hosts, ["a.example", "b.example"]);
    assert_eq!(settings.max_batch_bytes, 2 << 20);
    assert_eq!(settings.table.schema(), Some("dbo"));
}

#[test]
fn a_secret_is_found_in_the_systems_store_where_nothing_stronger_gives_it() {
    let mut place = Place::new();
    place.secrets = Arc::new(SecretStores::in_memory(&[
        ("CLIENT_SECRET", "kept"),
        ("SUPPLIER_KEY", "kept"),
    ]));
    let env = "TESTING_MODE=false\nAPI_ENDPOINT=https://a.education.gov.uk/x-receiver-test/1\n\
               TOKEN_ENDPOINT=https://login.microsoftonline.com/t/oauth2/v2.0/token\nCLIENT_ID=c\n\
               SCOPE=s/.default\nLA_CODE=201\nDB_CONNECTION_STRING=sqlite:x.db\nTABLE_NAME=t_anon\n\
               SUPPLIER_KEY=stronger\n";
    place.file(".env", &format!("{env}CLIENT_SECRET=...\n"));
    let config = place.config();
    let live = config.settings(LIVE).unwrap_or_else(|e| panic!("{e:?}"));
    let live = live.live.unwrap();
    assert_eq!(live.client_secret.expose_secret(), "kept");
    assert_eq!(live.supplier_key.expose_secret(), "stronger");
    assert!(live.supplier_key_secondary.is_none());
    let shown = config.show_json();
    assert_eq!(
        shown["CLIENT_SECRET"]["source"],
        "the system's store: the Secret Service"
    );
    assert_eq!(
        shown["CLIENT_SECRET"]["overrides"][0]["value"],
        "(not filled in)"
    );
    assert!(!shown.to_string().contains("kept"));
}

#[test]
fn a_store_that_cannot_be_asked_matters_only_where_the_secret_is_needed() {
    let faults = |text: &str| {
        let mut place = Place::new();
        place.secrets = Arc::new(SecretStores::locked());
        place.file(".env", &format!("LA_CODE=201\n{text}\n"));
        let settings = place.config().settings(LIVE);
        let faults = settings.map(|settings| settings.warnings);
        (faults, place.secrets.were_asked())
    };
    for not_needed in [
        "DB_CONNECTION_STRING=sqlite:x.db",
        "DB_CONNECTION_STRING=postgres://u:p@h/d",
        "DB_CONNECTION_STRING=postgres://u@h/d\nDB_PASSWORD=p",
        "SERVER=s\nDATABASE=d",
        "DB_CONNECTION_STRING=Server=s;Database=d;Trusted_Connection=yes",
    ] {
        let (found, were_asked) = faults(not_needed);
        assert_eq!(found, Ok(Vec::new()), "{not_needed}");
        assert!(!were_asked, "{not_needed}");
    }
    let why = "the Secret Service: it is locked or does not let us in (no key)";
    let (found, _) = faults("DB_CONNECTION_STRING=postgres://u@h/d");
    let warnings = found.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(
        matches!(warnings.as_slice(), [warning] if warning.contains("asked without one") && warning.ends_with(why)),
        "{warnings:?}"
    );
    for needed in [
        "DB_CONNECTION_STRING=Driver={SQL Server};Server=s;Database=d;UID=u",
        "SERVER=s\nDATABASE=d\nDB_USER=u",
    ] {
        let found = faults(needed).0.err().unwrap();
        let of_the_store = found.iter().find(|fault| fault.code() == 254);
        assert_eq!(of_the_store.unwrap().why(), why, "{needed}");
    }
}

#[test]
fn a_password_of_the_systems_store_is_the_databases() {
    let mut place = Place::new();
    place.secrets = Arc::new(SecretStores::in_memory(&[("DB_PASSWORD", "kept")]));
    for text in [
        "SERVER=s\nDATABASE=d\nDB_USER=u",
        "DB_CONNECTION_STRING=postgres://u@h/d",
        "DB_CONNECTION_STRING=Server=s;Database=d;UID=u",
    ] {
        place.file(".env", &format!("LA_CODE=201\n{text}\n"));
        let settings = place.config().settings(LIVE);
        let settings = settings.unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert!(settings.database.unwrap().has_password(), "{text}");
    }
    place.file(".env", "LA_CODE=201\nSERVER=s\nDATABASE=d\n");
    let settings = place.config().settings(LIVE);
    let settings = settings.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(
        !settings.database.unwrap().has_password(),
        "the Windows logon has none"
    );
}

#[test]
fn faults_of_the_proxys_settings_are_told_at_once_and_hold_no_secret() {
    let mut place = Place::new();
    place.file(
        ".env",
        "PROXY=http://u:canary@p.test\nPROXY_PASSWORD='canary\u{1}'\nPROXY_AUTH=magic\nNO_PROXY=x\n",
    );
    let faults = place.config().settings(Need::default()).err().unwrap();
    let all = format!("{faults:?}");
    assert!(!all.contains("canary"), "{all}");
    for expected in [
        "PROXY is \\\"http://****@p.test\\\"",
        "it names no port",
        "PROXY_PASSWORD is ****",
        "PROXY_AUTH is \\\"magic\\\"",
        "PROXY_USER is not set",
    ] {
        assert!(all.contains(expected), "{expected}: {all}");
    }
    for (env, expected) in [
        ("PROXY_AUTH=basic\n", "201 PROXY_USER is not set"),
        ("PROXY_USER=u\n", "201 PROXY_PASSWORD is not set"),
        ("PROXY=ftp://p.test:1\n", "208 PROXY is \"ftp://p.test:1\""),
        (
            "PROXY=http://wpad.test:80/proxy.pac\n",
            "208 PROXY is \"http://wpad.test:80/proxy.pac\"",
        ),
        ("PROXY=user:canary\n", "208 PROXY is ****"),
    ] {
        place.file(".env", env);
        let found = codes(place.config().settings(Need::default()));
        assert_eq!(found, [expected], "{env}");
    }
    // A user in the address is one; the environment is read for a live run only.
    for env in [
        "PROXY=http://u@p.test:80\nPROXY_PASSWORD=canary\nPROXY_AUTH=basic\n",
        "PROXY=p.test:3128\n",
        "PROXY_AUTH=AUTO\n",
        "NO_PROXY=*\n",
    ] {
        place.file(".env", env);
        place.environment = vec![("https_proxy", "ftp://canary")];
        assert!(codes(place.config().settings(Need::default())).is_empty());
    }
    let live = Need {
        network: true,
        ..Need::default()
    };
    let faults = place.config().settings(live).err().unwrap();
    assert_eq!(faults[0].code(), 232);
    assert!(!format!("{faults:?}").contains("canary"), "{faults:?}");
    place.file(".env", "PROXY=p.test:3128\n");
    assert!(
        codes(place.config().settings(live)).is_empty(),
        "PROXY goes before"
    );
}

#[test]
fn a_line_break_in_user_agent_is_a_fault_and_no_header_of_its_own() {
    let mut place = Place::new();
    place.environment = vec![("USER_AGENT", "a\r\nSupplierKey: b")];
    assert_eq!(
        codes(place.config().settings(Need::default())),
        ["208 USER_AGENT is \"a\\r\\nSupplierKey: b\""]
    );
    place.environment = vec![("USER_AGENT", "Hillshire csc-sender/1 (x; y)")];
    let settings = place.config().settings(Need::default());
    let agent = settings.map(|settings| settings.user_agent).ok();
    assert_eq!(agent.as_deref(), Some("Hillshire csc-sender/1 (x; y)"));
}

/// A system whose settings name one proxy.
struct OneProxy;

impl csc_receiver::proxy::SystemLookup for OneProxy {
    fn settings(&self) -> Vec<(&'static str, csc_windows::proxy::Settings)> {
        let settings = csc_windows::proxy::Settings {
            proxies: Some("system.test:8080".into()),
            bypass: Some("*.education.gov.uk".into()),
            ..Default::default()
        };
        vec![("the system's settings", settings)]
    }

    fn ask(
        &self,
        _: &csc_windows::proxy::Script,
        _: &str,
    ) -> Result<csc_windows::proxy::Answer, csc_windows::proxy::Fault> {
        unreachable!("no script is named")
    }
}

#[test]
fn the_systems_proxy_counts_after_the_setting_and_the_environment() {
    let mut place = Place::new();
    place.system_proxies = Some(SystemProxies::new(Arc::new(OneProxy)));
    let token = "TOKEN_ENDPOINT=https://login.microsoftonline.com/t/oauth2/v2.0/token\n";
    let shown = |place: &Place, more: &str| {
        place.file(".env", &format!("{token}{more}"));
        let shown = place.config().show();
        let way = shown.lines().last().unwrap();
        way.split_once("login.microsoftonline.com: ")
            .unwrap()
            .1
            .to_string()
    };
    assert_eq!(
        shown(&place, ""),
        "through the proxy http://system.test:8080 (the system's settings)"
    );
    assert_eq!(
        shown(&place, "NO_PROXY=microsoftonline.com\n")
            .split(" in ")
            .next()
            .unwrap(),
        "no proxy: microsoftonline.com stands"
    );
    assert!(shown(&place, "PROXY=own.test:1\n").starts_with("through the proxy http://own.test:1"),);
    place.environment = vec![("https_proxy", "env.test:2")];
    assert!(shown(&place, "").starts_with("through the proxy http://env.test:2"));
    place.environment = Vec::new();
    place.file(
        ".env",
        "API_ENDPOINT=https://api.education.gov.uk/children\n",
    );
    assert!(
        place
            .config()
            .show()
            .ends_with("no proxy: *.education.gov.uk stands in the system's settings\n")
    );
}
