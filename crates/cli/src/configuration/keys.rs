//! Every setting, once: its name, the names that authorities have in their files, its
//! flag, what it is for. The reader, `config show` and the template go by this table.

/// A setting. Spelled as in the reference's API configuration page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
// KEYS says what each is for, and SUPPLIER_KEY is the reference's own name.
#[allow(missing_docs, clippy::enum_variant_names)]
pub enum Key {
    ApiEndpoint,
    SupplierKey,
    SupplierKeySecondary,
    TokenEndpoint,
    ClientId,
    ClientSecret,
    Scope,
    LaCode,
    DbConnectionString,
    Server,
    Database,
    DbUser,
    DbPassword,
    TableName,
    TestingMode,
    UsePartialPayload,
    FullPurges,
    Strict,
    RulesFile,
    SchemaFile,
    BatchSize,
    MaxBatchBytes,
    ApiTimeout,
    MinGapMs,
    /// How many batches are posted at the same time.
    Concurrency,
    MaxRetries,
    RetryBaseMs,
    MaxWait,
    Proxy,
    NoProxy,
    ProxyUser,
    ProxyPassword,
    ProxyAuth,
    CaBundle,
    UserAgent,
    AllowedHosts,
    EndpointKind,
    StateDir,
    Journal,
    JournalKeepDays,
    LogFile,
    LogFormat,
    LogRotation,
    LogKeep,
    Debug,
}

/// What there is to say about a setting.
pub struct KeyInfo {
    /// Which one.
    pub key: Key,
    /// Its name in files and the environment.
    pub name: &'static str,
    /// Other names for it, since authorities have them in their files.
    pub aliases: &'static [&'static str],
    /// Whether its value must never be shown.
    pub secret: bool,
    /// Where it stands in the template.
    pub group: &'static str,
    /// What the template has for it: an example, or the default.
    pub example: &'static str,
    /// What it is for, in a line.
    pub help: &'static str,
}

const DFE: &str = "The DfE's receiver (from the DfE API portal)";
const AUTHORITY: &str = "The authority and its database";
const RUN: &str = "What a run does";
const PACE: &str = "Pace and patience";
const NETWORK: &str = "Network";
const HERE: &str = "On this machine";

const fn info(
    key: Key,
    name: &'static str,
    aliases: &'static [&'static str],
    group: &'static str,
    example: &'static str,
    help: &'static str,
) -> KeyInfo {
    KeyInfo {
        key,
        name,
        aliases,
        secret: matches!(
            key,
            Key::SupplierKey
                | Key::SupplierKeySecondary
                | Key::ClientSecret
                | Key::DbPassword
                | Key::ProxyPassword
        ),
        group,
        example,
        help,
    }
}

/// All settings, in the order of the template.
pub static KEYS: &[KeyInfo] = &[
    info(
        Key::ApiEndpoint,
        "API_ENDPOINT",
        &[],
        DFE,
        "...",
        "base address of the receiver; …-receiver-test/1 takes fake children only",
    ),
    info(
        Key::SupplierKey,
        "SUPPLIER_KEY",
        &[],
        DFE,
        "...",
        "'Subscription key' block: primary (or secondary) key",
    ),
    info(
        Key::SupplierKeySecondary,
        "SUPPLIER_KEY_SECONDARY",
        &[],
        DFE,
        "",
        "the other key: tried when the first is refused, so one can be rotated at any time",
    ),
    info(
        Key::TokenEndpoint,
        "TOKEN_ENDPOINT",
        &[],
        DFE,
        "...",
        "'Native OAuth Application-flow' block: OAuth token endpoint",
    ),
    info(
        Key::ClientId,
        "CLIENT_ID",
        &[],
        DFE,
        "...",
        "OAuth client id",
    ),
    info(
        Key::ClientSecret,
        "CLIENT_SECRET",
        &[],
        DFE,
        "...",
        "OAuth client secret ('Primary key' or 'Secondary key' of that block)",
    ),
    info(
        Key::Scope,
        "SCOPE",
        &[],
        DFE,
        "...",
        "OAuth scope; ends in /.default",
    ),
    info(
        Key::LaCode,
        "LA_CODE",
        &[],
        AUTHORITY,
        "000",
        "your authority's three-digit code",
    ),
    info(
        Key::DbConnectionString,
        "DB_CONNECTION_STRING",
        &["SQL_CONN_STR"],
        AUTHORITY,
        "...",
        "the database: ODBC, postgres://, key=value or sqlite:PATH",
    ),
    info(
        Key::Server,
        "SERVER",
        &["USER_SERVER"],
        AUTHORITY,
        "",
        "SQL Server, with DATABASE, instead of a connection string",
    ),
    info(
        Key::Database,
        "DATABASE",
        &["USER_DATABASE"],
        AUTHORITY,
        "",
        "its database, e.g. HDM_Local",
    ),
    info(
        Key::DbUser,
        "DB_USER",
        &[],
        AUTHORITY,
        "",
        "database user, where the connection string names none; blank for the Windows logon",
    ),
    info(
        Key::DbPassword,
        "DB_PASSWORD",
        &[],
        AUTHORITY,
        "",
        "its password",
    ),
    info(
        Key::TableName,
        "TABLE_NAME",
        &[],
        AUTHORITY,
        "ssd_api_data_staging_anon",
        "staging table, with its schema where it has one; a live run needs it named",
    ),
    info(
        Key::TestingMode,
        "TESTING_MODE",
        &["TESTINGMODE"],
        RUN,
        "true",
        "true: nothing leaves the authority; false: records are sent",
    ),
    info(
        Key::UsePartialPayload,
        "USE_PARTIAL_PAYLOAD",
        &[],
        RUN,
        "false",
        "true: deltas where the baseline is certain; false: full records",
    ),
    info(
        Key::FullPurges,
        "FULL_PURGES",
        &[],
        RUN,
        "true",
        "full records also remove at the receiver what is no longer in them",
    ),
    info(
        Key::Strict,
        "STRICT",
        &[],
        RUN,
        "false",
        "warnings of the payload rules count as errors",
    ),
    info(
        Key::RulesFile,
        "RULES_FILE",
        &[],
        RUN,
        "",
        "your own payload rules instead of the built-in ones",
    ),
    info(
        Key::SchemaFile,
        "SCHEMA_FILE",
        &[],
        RUN,
        "",
        "the DfE's own openapi.json, applied beside the payload rules",
    ),
    info(
        Key::BatchSize,
        "BATCH_SIZE",
        &[],
        RUN,
        "100",
        "records in one post, 1 to 100",
    ),
    info(
        Key::MaxBatchBytes,
        "MAX_BATCH_BYTES",
        &[],
        RUN,
        "8MiB",
        "largest post, in bytes",
    ),
    info(
        Key::ApiTimeout,
        "API_TIMEOUT",
        &[],
        PACE,
        "30",
        "seconds that one request may take, 5 to 120",
    ),
    info(
        Key::MinGapMs,
        "MIN_GAP_MS",
        &[],
        PACE,
        "400",
        "milliseconds between the starts of two posts (25-150 more at random); 0 for none",
    ),
    info(
        Key::Concurrency,
        "CONCURRENCY",
        &[],
        PACE,
        "1",
        "batches posted at the same time, 1 to 4; more than 1 only where the DfE says so",
    ),
    info(
        Key::MaxRetries,
        "MAX_RETRIES",
        &[],
        PACE,
        "3",
        "tries after the first, of one batch",
    ),
    info(
        Key::RetryBaseMs,
        "RETRY_BASE_MS",
        &[],
        PACE,
        "1000",
        "milliseconds before the first of them; doubles each time",
    ),
    info(
        Key::MaxWait,
        "MAX_WAIT",
        &[],
        PACE,
        "300",
        "longest wait in seconds that the receiver may ask for",
    ),
    info(
        Key::Proxy,
        "PROXY",
        &[],
        NETWORK,
        "",
        "http://host:port, where the environment's proxy is not the right one",
    ),
    info(
        Key::NoProxy,
        "NO_PROXY",
        &[],
        NETWORK,
        "",
        "hosts reached without a proxy, with commas between: names, .suffixes, addresses, networks",
    ),
    info(
        Key::ProxyUser,
        "PROXY_USER",
        &[],
        NETWORK,
        "",
        "user for the proxy; with NTLM often DOMAIN\\user; blank for none, or the Windows logon",
    ),
    info(
        Key::ProxyPassword,
        "PROXY_PASSWORD",
        &[],
        NETWORK,
        "",
        "the password of PROXY_USER",
    ),
    info(
        Key::ProxyAuth,
        "PROXY_AUTH",
        &[],
        NETWORK,
        "auto",
        "basic, ntlm, negotiate, or auto for what the proxy offers",
    ),
    info(
        Key::CaBundle,
        "CA_BUNDLE",
        &[],
        NETWORK,
        "",
        "PEM file of the authority's own CAs, trusted beside the system's",
    ),
    info(
        Key::UserAgent,
        "USER_AGENT",
        &[],
        NETWORK,
        "",
        "how the program names itself to the receiver",
    ),
    info(
        Key::AllowedHosts,
        "ALLOWED_HOSTS",
        &[],
        NETWORK,
        "",
        "further hosts that may be sent to, with commas between; *.education.gov.uk and login.microsoftonline.com need none",
    ),
    info(
        Key::EndpointKind,
        "ENDPOINT_KIND",
        &[],
        NETWORK,
        "",
        "test or live, where the address of API_ENDPOINT does not tell",
    ),
    info(
        Key::StateDir,
        "STATE_DIR",
        &[],
        HERE,
        "",
        "folder for what is remembered between runs; on a local disk",
    ),
    info(
        Key::Journal,
        "JOURNAL",
        &[],
        HERE,
        "",
        "the file of what left and what was acknowledged, instead of STATE_DIR's journal.db",
    ),
    info(
        Key::JournalKeepDays,
        "JOURNAL_KEEP_DAYS",
        &[],
        HERE,
        "400",
        "days that the journal's events are kept; 0 keeps all",
    ),
    info(
        Key::LogFile,
        "LOG_FILE",
        &[],
        HERE,
        "",
        "log file; row ids only, never a child's values; its day is put into its name",
    ),
    info(
        Key::LogFormat,
        "LOG_FORMAT",
        &[],
        HERE,
        "text",
        "text for people, json for an object on each line",
    ),
    info(
        Key::LogRotation,
        "LOG_ROTATION",
        &[],
        HERE,
        "daily",
        "daily: a file for each day; never: one file that grows",
    ),
    info(
        Key::LogKeep,
        "LOG_KEEP",
        &[],
        HERE,
        "30",
        "days whose log files are kept; 0 keeps all",
    ),
    info(Key::Debug, "DEBUG", &[], HERE, "false", "true: as -vv"),
];

impl Key {
    /// What there is to say about it.
    pub fn info(self) -> &'static KeyInfo {
        &KEYS[self as usize]
    }

    /// Its name in files and the environment.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The settings whose values must never be shown, and which the system's store keeps.
    pub fn secrets() -> impl Iterator<Item = Key> {
        KEYS.iter().filter(|info| info.secret).map(|info| info.key)
    }

    /// The setting of that name or alias, whatever its case.
    pub fn find(name: &str) -> Option<Key> {
        KEYS.iter()
            .find(|info| {
                info.name.eq_ignore_ascii_case(name)
                    || info
                        .aliases
                        .iter()
                        .any(|alias| alias.eq_ignore_ascii_case(name))
            })
            .map(|info| info.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_keys() {
        for (n, info) in KEYS.iter().enumerate() {
            assert_eq!(info.key as usize, n, "{}", info.name);
        }
    }

    #[test]
    fn no_name_stands_for_two_settings() {
        for info in KEYS {
            for name in info.aliases.iter().chain([&info.name]) {
                assert_eq!(Key::find(name), Some(info.key), "{name}");
                assert_eq!(Key::find(&name.to_lowercase()), Some(info.key), "{name}");
            }
        }
        assert_eq!(Key::find("PATH"), None);
    }
}
