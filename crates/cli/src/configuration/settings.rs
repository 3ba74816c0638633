//! From values to typed settings, with every fault at once.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use csc_message::Message;
use csc_receiver::NetworkOptions;
use csc_sender_run::Setting;
use csc_staging::TableName;
use csc_staging::connection::ConnectionTarget;
use secrecy::SecretString;
use url::Url;

use super::shown::open_text;
use super::stored::Stored;
use super::{Config, Found, Key, exposed, is_placeholder};
use crate::logging::{LogFile, LogFormat};
use crate::safety::EndpointKind;

/// An authority's three digits, as a text: leading zeros stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaCode(String);

impl LaCode {
    /// The three digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LaCode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()) && text != "000" {
            Ok(LaCode(text.to_string()))
        } else {
            Err("an authority's code has three digits, e.g. 845")
        }
    }
}

/// What a command needs. Everything else may be missing or not filled in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Need {
    /// The database.
    pub database: bool,
    /// LA_CODE.
    pub la_code: bool,
    /// The receiver, where TESTING_MODE is off; and a table that is named.
    pub receiver_if_live: bool,
    /// Whether a live run reads a table at all (the test record does not).
    pub table: bool,
    /// What a live run needs of the environment's proxies and of CA_BUNDLE, whatever the
    /// mode.
    pub network: bool,
    /// The receiver, whatever the mode: for looking at it, not for sending.
    pub receiver: bool,
}

/// The settings with their faults: what a check goes by, which looks at what it can.
pub struct Examined {
    /// What could be read; a default where a value is wrong.
    pub settings: Settings,
    /// Every fault.
    pub faults: Vec<Message>,
    /// TESTING_MODE is on.
    pub is_testing: bool,
    /// The table is not the one that was meant: its name is wrong.
    pub is_table_unknown: bool,
    /// How the network is used is not what was meant: a proxy or CA_BUNDLE is wrong.
    pub is_network_unknown: bool,
}

/// What a live run needs of the receiver. No `Debug`: it holds secrets.
pub struct Live {
    /// API_ENDPOINT.
    pub endpoint: Url,
    /// TOKEN_ENDPOINT.
    pub token_endpoint: Url,
    /// CLIENT_ID.
    pub client_id: String,
    /// CLIENT_SECRET.
    pub client_secret: SecretString,
    /// SCOPE.
    pub scope: String,
    /// SUPPLIER_KEY.
    pub supplier_key: SecretString,
    /// SUPPLIER_KEY_SECONDARY.
    pub supplier_key_secondary: Option<SecretString>,
}

/// The settings in force. No `Debug`: they hold secrets.
pub struct Settings {
    /// The receiver, where TESTING_MODE is off.
    pub live: Option<Live>,
    /// API_ENDPOINT where it is given, whatever the mode: the ledger goes by it.
    pub endpoint: Option<Url>,
    /// LA_CODE.
    pub la_code: Option<LaCode>,
    /// The database.
    pub database: Option<ConnectionTarget>,
    /// TABLE_NAME, or in testing mode its default.
    pub table: TableName,
    /// USE_PARTIAL_PAYLOAD.
    pub deltas: bool,
    /// FULL_PURGES.
    pub full_purges: bool,
    /// STRICT.
    pub strict: bool,
    /// RULES_FILE.
    pub rules_file: Option<PathBuf>,
    /// SCHEMA_FILE.
    pub schema_file: Option<PathBuf>,
    /// BATCH_SIZE.
    pub batch_size: usize,
    /// MAX_BATCH_BYTES.
    pub max_batch_bytes: usize,
    /// API_TIMEOUT.
    pub api_timeout: Duration,
    /// MIN_GAP_MS.
    pub min_gap_ms: u64,
    /// CONCURRENCY, 1 to 4.
    pub concurrency: usize,
    /// MAX_RETRIES.
    pub max_retries: u32,
    /// RETRY_BASE_MS.
    pub retry_base: Duration,
    /// MAX_WAIT.
    pub max_wait: Duration,
    /// PROXY and its kin, CA_BUNDLE.
    pub network: NetworkOptions,
    /// USER_AGENT.
    pub user_agent: String,
    /// ALLOWED_HOSTS.
    pub allowed_hosts: Vec<String>,
    /// ENDPOINT_KIND.
    pub endpoint_kind: Option<EndpointKind>,
    /// JOURNAL, or the file of that name in STATE_DIR.
    pub journal: PathBuf,
    /// JOURNAL_KEEP_DAYS; `None` keeps all.
    pub journal_keep_days: Option<u32>,
    /// LOG_FILE with LOG_FORMAT, LOG_ROTATION and LOG_KEEP.
    pub log_file: Option<LogFile>,
    /// DEBUG.
    pub debug: bool,
    /// What a person should know of the connection string, and that is no fault.
    pub warnings: Vec<String>,
    /// Files of the program's that others on this machine may read.
    pub exposed: Vec<String>,
    /// The settings in force, as they may be shown.
    pub shown: Vec<Setting>,
}

/// The words for yes and no that people write, PowerShell's among them.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "$true" | "1" | "yes" | "on" | "y" => Some(true),
        "false" | "$false" | "0" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

const DEFAULT_TABLE: &str = "ssd_api_data_staging_anon";

impl Config {
    /// The settings in force, or every fault that keeps this command from running.
    pub fn settings(&self, need: Need) -> Result<Settings, Vec<Message>> {
        let examined = self.examine(need);
        if examined.faults.is_empty() {
            Ok(examined.settings)
        } else {
            Err(examined.faults)
        }
    }

    /// The settings as far as they can be read, with every fault.
    pub fn examine(&self, need: Need) -> Examined {
        let mut read = Read::of(self);
        let testing = read.boolean(Key::TestingMode, true);
        let wants_live = need.receiver || (need.receiver_if_live && !testing);
        let live = wants_live.then(|| read.live()).flatten();
        let endpoint = match &live {
            Some(live) => Some(live.endpoint.clone()),
            None if wants_live => None,
            None => read
                .config
                .filled(Key::ApiEndpoint)
                .and_then(|found| Url::parse(found.value.trim()).ok()),
        };
        let la_code = if need.la_code {
            read.required(Key::LaCode, |text| text.parse::<LaCode>())
        } else {
            read.config
                .filled(Key::LaCode)
                .and_then(|found| found.value.trim().parse().ok())
        };
        let database = need.database.then(|| read.database()).flatten();
        let before = read.faults.len();
        let table = read.table(wants_live && need.table);
        let is_table_unknown = read.faults.len() > before;
        let is_network_unknown;
        let state_dir = read
            .path(Key::StateDir)
            .unwrap_or_else(|| self.default_state_dir.clone());
        let journal = read
            .path(Key::Journal)
            .unwrap_or_else(|| state_dir.join("journal.db"));
        let log_file = read.log_file();
        let mut exposed = self.exposed.clone();
        exposed.extend(exposed::state_folder(&state_dir));
        exposed.extend(exposed::journal(&journal));
        exposed.extend(exposed::journal_folder(&journal, &state_dir));
        exposed.extend(log_file.as_ref().and_then(|log| exposed::log(&log.today())));
        let settings = Settings {
            live,
            endpoint,
            la_code,
            database,
            table,
            deltas: read.boolean(Key::UsePartialPayload, false),
            full_purges: read.boolean(Key::FullPurges, true),
            strict: read.boolean(Key::Strict, false),
            rules_file: read.path(Key::RulesFile),
            schema_file: read.path(Key::SchemaFile),
            batch_size: read.number(Key::BatchSize, 100, 1..=100) as usize,
            max_batch_bytes: read.bytes(Key::MaxBatchBytes, 8 << 20),
            api_timeout: Duration::from_secs(read.number(Key::ApiTimeout, 30, 5..=120)),
            min_gap_ms: read.number(Key::MinGapMs, 400, 0..=600_000),
            concurrency: read.number(Key::Concurrency, 1, 1..=4) as usize,
            max_retries: read.number(Key::MaxRetries, 3, 0..=100) as u32,
            retry_base: Duration::from_millis(read.number(Key::RetryBaseMs, 1000, 1..=120_000)),
            max_wait: Duration::from_secs(read.number(Key::MaxWait, 300, 0..=86_400)),
            network: {
                let before = read.faults.len();
                let network = read.network(wants_live || need.network);
                is_network_unknown = read.faults.len() > before;
                network
            },
            user_agent: read.user_agent(),
            allowed_hosts: read
                .text(Key::AllowedHosts)
                .unwrap_or_default()
                .split([',', ';', ' '])
                .map(str::trim)
                .filter(|host| !host.is_empty())
                .map(str::to_string)
                .collect(),
            endpoint_kind: read.endpoint_kind(),
            journal,
            journal_keep_days: match read.number(Key::JournalKeepDays, 400, 0..=36_500) as u32 {
                0 => None,
                days => Some(days),
            },
            log_file,
            debug: read.boolean(Key::Debug, false),
            warnings: std::mem::take(&mut read.warnings),
            exposed,
            shown: self.in_force(),
        };
        Examined {
            settings,
            faults: read.faults,
            is_testing: testing,
            is_table_unknown,
            is_network_unknown,
        }
    }

    /// The strongest value, if somebody has filled it in; for a secret that nobody has,
    /// what the system's store keeps.
    pub(super) fn filled(&self, key: Key) -> Option<&Found> {
        self.given(key).or_else(|| match self.stored(key) {
            Stored::Kept(found) => Some(found),
            Stored::Absent | Stored::Unknown(_) => None,
        })
    }

    /// The strongest value, if somebody has filled it in, without asking the system's store.
    pub fn given(&self, key: Key) -> Option<&Found> {
        self.value(key)
            .filter(|found| !is_placeholder(key, &found.value))
    }
}

pub(super) struct Read<'a> {
    pub(super) config: &'a Config,
    pub(super) faults: Vec<Message>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Read<'a> {
    pub(super) fn of(config: &'a Config) -> Self {
        Read {
            config,
            faults: config.faults.clone(),
            warnings: Vec::new(),
        }
    }
}

impl Read<'_> {
    pub(super) fn text(&self, key: Key) -> Option<String> {
        self.config
            .filled(key)
            .map(|found| found.value.trim().to_string())
    }

    pub(super) fn path(&self, key: Key) -> Option<PathBuf> {
        let found = self.config.filled(key)?;
        Some(found.source.base().join(found.value.trim()))
    }

    pub(super) fn wrong(&mut self, key: Key, found: &Found, why: impl Display) {
        let value = match open_text(key, &found.value) {
            Some(text) => format!("{text:?}"),
            None => "****".to_string(),
        };
        self.faults.push(Message::new(
            208,
            format!("{} is {value}", key.name()),
            why.to_string(),
            format!("correct it in {}", found.source),
        ));
    }

    pub(super) fn missing(&mut self, key: Key) {
        let help = key.info().help;
        let or_keep_it = if key.info().secret {
            format!(", or keep it with `csc-sender secret set {}`", key.name())
        } else {
            String::new()
        };
        let in_the_store = match self.config.stored(key) {
            Stored::Unknown(why) => format!("; the system's store could not be asked: {why}"),
            Stored::Kept(_) | Stored::Absent if key.info().secret => {
                "; the system's store has none either".to_string()
            }
            Stored::Kept(_) | Stored::Absent => String::new(),
        };
        let message = match self.config.value(key) {
            Some(found) => Message::new(
                201,
                format!("{} is not filled in", key.name()),
                format!(
                    "{} still has the template's value{in_the_store}",
                    found.source
                ),
                format!("put in the real one{or_keep_it}: {help}"),
            ),
            None => Message::new(
                201,
                format!("{} is not set", key.name()),
                format!(
                    "no flag, environment variable, .env or csc-sender.toml gives it a \
                     value{in_the_store}"
                ),
                format!(
                    "add it to .env (`csc-sender config template` writes one){or_keep_it}: {help}"
                ),
            ),
        };
        self.faults.push(message);
    }

    fn required<T, E: Display>(
        &mut self,
        key: Key,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(found) = self.config.filled(key) else {
            self.missing(key);
            return None;
        };
        match parse(found.value.trim()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.wrong(key, found, why);
                None
            }
        }
    }

    fn boolean(&mut self, key: Key, default: bool) -> bool {
        let Some(found) = self.config.value(key) else {
            return default;
        };
        boolean(&found.value).unwrap_or_else(|| {
            self.wrong(key, found, "only true and false are understood");
            default
        })
    }

    fn number(&mut self, key: Key, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(found) = self.config.value(key) else {
            return default;
        };
        match found.value.trim().parse::<u64>() {
            Ok(number) if range.contains(&number) => number,
            Ok(_) | Err(_) => {
                let why = format!(
                    "a whole number from {} to {} belongs there",
                    range.start(),
                    range.end()
                );
                self.wrong(key, found, why);
                default
            }
        }
    }

    fn bytes(&mut self, key: Key, default: usize) -> usize {
        let Some(found) = self.config.value(key) else {
            return default;
        };
        match bytes(&found.value) {
            Some(bytes) if bytes >= 1024 => bytes,
            Some(_) | None => {
                let why =
                    "a number of bytes belongs there, 1024 or more, e.g. 8388608, 8MiB or 8 MB";
                self.wrong(key, found, why);
                default
            }
        }
    }

    /// Each is read, so that all faults are told.
    fn log_file(&mut self) -> Option<LogFile> {
        let json = self.one_of(Key::LogFormat, ["text", "json"]) == 1;
        let daily = self.one_of(Key::LogRotation, ["daily", "never"]) == 0;
        let keep = self.number(Key::LogKeep, 30, 0..=36_500) as usize;
        Some(LogFile {
            path: self.path(Key::LogFile)?,
            format: if json {
                LogFormat::Json
            } else {
                LogFormat::Text
            },
            daily,
            keep,
        })
    }

    /// Which of two words it is; the first one is the default.
    fn one_of(&mut self, key: Key, words: [&str; 2]) -> usize {
        let Some(found) = self.config.value(key) else {
            return 0;
        };
        let is = |word: &&str| word.eq_ignore_ascii_case(found.value.trim());
        words.iter().position(is).unwrap_or_else(|| {
            let why = format!("only {} and {} are understood", words[0], words[1]);
            self.wrong(key, found, why);
            0
        })
    }

    fn endpoint_kind(&mut self) -> Option<EndpointKind> {
        let found = self.config.filled(Key::EndpointKind)?;
        match found.value.trim().to_ascii_lowercase().as_str() {
            "test" => Some(EndpointKind::Test),
            "live" => Some(EndpointKind::Live),
            _ => {
                self.wrong(
                    Key::EndpointKind,
                    found,
                    "only test and live are understood",
                );
                None
            }
        }
    }

    fn table(&mut self, must_be_named: bool) -> TableName {
        let default = || {
            // Checked by a test; the name is a constant.
            TableName::parse(DEFAULT_TABLE).unwrap_or_else(|_| unreachable!("{DEFAULT_TABLE}"))
        };
        let Some(found) = self.config.filled(Key::TableName) else {
            if must_be_named {
                self.faults.push(Message::new(
                    209,
                    "TABLE_NAME is not set",
                    "a live run sends only what is named, so that nothing goes by default",
                    "name the table with --table or TABLE_NAME: ssd_api_data_staging for real \
                     children, ssd_api_data_staging_anon for fake ones",
                ));
            }
            return default();
        };
        TableName::parse(&found.value).unwrap_or_else(|fault| {
            self.faults.push(fault.message(&found.value));
            default()
        })
    }

    fn live(&mut self) -> Option<Live> {
        let url = |text: &str| {
            Url::parse(text)
                .map_err(|e| format!("it is no web address: {e}"))
                .and_then(|url| {
                    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                        Err("a web address begins with https://".to_string())
                    } else if !url.username().is_empty() || url.password().is_some() {
                        Err("a user or password has no place in it".to_string())
                    } else if url.path().contains("/children_social_care_data") {
                        Err(
                            "it is the base address: leave /children_social_care_data/… away"
                                .to_string(),
                        )
                    } else if url.query().is_some() || url.fragment().is_some() {
                        Err("nothing may follow its path (? or #)".to_string())
                    } else {
                        Ok(url)
                    }
                })
        };
        let text = |text: &str| Ok::<_, String>(text.to_string());
        let secret = |text: &str| {
            if text.chars().any(char::is_control) {
                Err("there is a line break or control character in it")
            } else {
                Ok(SecretString::from(text.to_string()))
            }
        };
        // The subscription's keys go into a header.
        let header = |text: &str| {
            if text.chars().all(|c| c.is_ascii_graphic()) {
                Ok(SecretString::from(text.to_string()))
            } else {
                Err("there is a blank, line break or other character in it that no key has")
            }
        };
        // Each is asked for, so that all faults are told.
        let endpoint = self.required(Key::ApiEndpoint, url);
        let supplier_key = self.required(Key::SupplierKey, header);
        let token_endpoint = self.required(Key::TokenEndpoint, url);
        let client_id = self.required(Key::ClientId, text);
        let client_secret = self.required(Key::ClientSecret, secret);
        let scope = self.required(Key::Scope, text);
        let supplier_key_secondary = match self.config.filled(Key::SupplierKeySecondary) {
            Some(_) => self.required(Key::SupplierKeySecondary, header),
            None => None,
        };
        Some(Live {
            endpoint: endpoint?,
            token_endpoint: token_endpoint?,
            client_id: client_id?,
            client_secret: client_secret?,
            scope: scope?,
            supplier_key: supplier_key?,
            supplier_key_secondary,
        })
    }
}

fn bytes(text: &str) -> Option<usize> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: usize = digits.parse().ok()?;
    let factor = match text[digits.len()..].trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        _ => return None,
    };
    number.checked_mul(factor)
}
