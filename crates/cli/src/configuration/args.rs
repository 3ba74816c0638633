//! Settings as flags. A secret is not accepted as one: process lists show arguments.

use std::path::PathBuf;

use clap::Args;
use csc_message::Message;

use super::keys::Key;

/// Where settings come from, and the settings that may be given as flags.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Configuration")]
pub struct ConfigArgs {
    /// Read this file instead of .env (working directory, else beside the program)
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Read this file instead of csc-sender.toml (working directory, else beside the program)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// LA_CODE: the authority's three digits
    #[arg(long, global = true, value_name = "CODE")]
    pub la_code: Option<String>,
    /// DB_CONNECTION_STRING, if there is no password in it
    #[arg(long, global = true, value_name = "STRING")]
    pub db_connection_string: Option<String>,
    /// SERVER: SQL Server, with --database
    #[arg(long, global = true, value_name = "NAME")]
    pub server: Option<String>,
    /// DATABASE
    #[arg(long, global = true, value_name = "NAME")]
    pub database: Option<String>,
    /// DB_USER
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub db_user: Option<String>,
    /// TABLE_NAME: the staging table
    #[arg(long, global = true, value_name = "TABLE", alias = "table-name")]
    pub table: Option<String>,
    /// TESTING_MODE
    #[arg(long, global = true, value_name = "true|false")]
    pub testing_mode: Option<String>,
    /// API_ENDPOINT
    #[arg(long, global = true, value_name = "URL", hide_short_help = true)]
    pub api_endpoint: Option<String>,
    /// TOKEN_ENDPOINT
    #[arg(long, global = true, value_name = "URL", hide_short_help = true)]
    pub token_endpoint: Option<String>,
    /// CLIENT_ID
    #[arg(long, global = true, value_name = "ID", hide_short_help = true)]
    pub client_id: Option<String>,
    /// SCOPE
    #[arg(long, global = true, value_name = "SCOPE", hide_short_help = true)]
    pub scope: Option<String>,
    /// BATCH_SIZE: records in one post, 1 to 100
    #[arg(long, global = true, value_name = "N")]
    pub batch_size: Option<String>,
    /// MAX_BATCH_BYTES
    #[arg(long, global = true, value_name = "BYTES", hide_short_help = true)]
    pub max_batch_bytes: Option<String>,
    /// API_TIMEOUT, in seconds
    #[arg(long, global = true, value_name = "SECONDS", hide_short_help = true)]
    pub api_timeout: Option<String>,
    /// MIN_GAP_MS
    #[arg(long, global = true, value_name = "MS", hide_short_help = true)]
    pub min_gap_ms: Option<String>,
    /// CONCURRENCY
    #[arg(long, global = true, value_name = "N", hide_short_help = true)]
    pub concurrency: Option<String>,
    /// MAX_RETRIES
    #[arg(long, global = true, value_name = "N", hide_short_help = true)]
    pub max_retries: Option<String>,
    /// RETRY_BASE_MS
    #[arg(long, global = true, value_name = "MS", hide_short_help = true)]
    pub retry_base_ms: Option<String>,
    /// MAX_WAIT, in seconds
    #[arg(long, global = true, value_name = "SECONDS", hide_short_help = true)]
    pub max_wait: Option<String>,
    /// PROXY, if there is no password in it
    #[arg(long, global = true, value_name = "URL", hide_short_help = true)]
    pub proxy: Option<String>,
    /// NO_PROXY, with commas between
    #[arg(long, global = true, value_name = "HOSTS", hide_short_help = true)]
    pub no_proxy: Option<String>,
    /// PROXY_USER
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub proxy_user: Option<String>,
    /// PROXY_AUTH
    #[arg(
        long,
        global = true,
        value_name = "auto|basic|ntlm|negotiate",
        hide_short_help = true
    )]
    pub proxy_auth: Option<String>,
    /// CA_BUNDLE: the authority's own CAs
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub ca_bundle: Option<String>,
    /// USER_AGENT
    #[arg(long, global = true, value_name = "TEXT", hide_short_help = true)]
    pub user_agent: Option<String>,
    /// ALLOWED_HOSTS, with commas between
    #[arg(long, global = true, value_name = "HOSTS", hide_short_help = true)]
    pub allowed_hosts: Option<String>,
    /// ENDPOINT_KIND
    #[arg(long, global = true, value_name = "test|live", hide_short_help = true)]
    pub endpoint_kind: Option<String>,
    /// STRICT: warnings of the payload rules count as errors
    #[arg(long, global = true, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true)]
    pub strict: Option<String>,
    /// RULES_FILE: your own payload rules
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        alias = "rules-file",
        hide_short_help = true
    )]
    pub rules: Option<String>,
    /// SCHEMA_FILE: the DfE's own openapi.json, applied beside the payload rules
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        alias = "schema-file",
        hide_short_help = true
    )]
    pub schema: Option<String>,
    /// STATE_DIR
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    pub state_dir: Option<String>,
    /// JOURNAL
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub journal: Option<String>,
    /// LOG_FILE
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub log_file: Option<String>,

    #[arg(long, global = true, hide = true, num_args = 0..=1, default_missing_value = "", allow_hyphen_values = true)]
    pub client_secret: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, default_missing_value = "", allow_hyphen_values = true)]
    pub supplier_key: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, default_missing_value = "", allow_hyphen_values = true)]
    pub supplier_key_secondary: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, default_missing_value = "", allow_hyphen_values = true)]
    pub db_password: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, default_missing_value = "", allow_hyphen_values = true)]
    pub proxy_password: Option<String>,
}

impl ConfigArgs {
    /// The settings given, and a fault for each secret among them.
    pub fn given(&self) -> (Vec<(Key, String)>, Vec<Message>) {
        let plain = [
            (Key::LaCode, &self.la_code),
            (Key::DbConnectionString, &self.db_connection_string),
            (Key::Server, &self.server),
            (Key::Database, &self.database),
            (Key::DbUser, &self.db_user),
            (Key::TableName, &self.table),
            (Key::TestingMode, &self.testing_mode),
            (Key::ApiEndpoint, &self.api_endpoint),
            (Key::TokenEndpoint, &self.token_endpoint),
            (Key::ClientId, &self.client_id),
            (Key::Scope, &self.scope),
            (Key::BatchSize, &self.batch_size),
            (Key::MaxBatchBytes, &self.max_batch_bytes),
            (Key::ApiTimeout, &self.api_timeout),
            (Key::MinGapMs, &self.min_gap_ms),
            (Key::Concurrency, &self.concurrency),
            (Key::MaxRetries, &self.max_retries),
            (Key::RetryBaseMs, &self.retry_base_ms),
            (Key::MaxWait, &self.max_wait),
            (Key::Proxy, &self.proxy),
            (Key::NoProxy, &self.no_proxy),
            (Key::ProxyUser, &self.proxy_user),
            (Key::ProxyAuth, &self.proxy_auth),
            (Key::CaBundle, &self.ca_bundle),
            (Key::UserAgent, &self.user_agent),
            (Key::AllowedHosts, &self.allowed_hosts),
            (Key::EndpointKind, &self.endpoint_kind),
            (Key::Strict, &self.strict),
            (Key::RulesFile, &self.rules),
            (Key::SchemaFile, &self.schema),
            (Key::StateDir, &self.state_dir),
            (Key::Journal, &self.journal),
            (Key::LogFile, &self.log_file),
        ];
        let secret = [
            (Key::ClientSecret, &self.client_secret),
            (Key::SupplierKey, &self.supplier_key),
            (Key::SupplierKeySecondary, &self.supplier_key_secondary),
            (Key::DbPassword, &self.db_password),
            (Key::ProxyPassword, &self.proxy_password),
        ];
        let (mut given, mut faults) = (Vec::new(), Vec::new());
        for (key, value) in plain {
            let Some(value) = value else { continue };
            let holds_password = match key {
                Key::DbConnectionString => csc_staging::connection::may_hold_password(value),
                Key::Proxy => value.contains('@'),
                _ => false,
            };
            if holds_password {
                faults.push(secret_flag(key));
            } else {
                given.push((key, value.clone()));
            }
        }
        faults.extend(
            secret
                .into_iter()
                .filter(|(_, value)| value.is_some())
                .map(|(key, _)| secret_flag(key)),
        );
        (given, faults)
    }
}

fn secret_flag(key: Key) -> Message {
    let flag = format!("--{}", key.name().to_lowercase().replace('_', "-"));
    let what = if key.info().secret {
        format!("{flag} is not accepted as a flag")
    } else {
        format!("{flag} with a password in it is not accepted as a flag")
    };
    Message::new(
        204,
        what,
        "process lists and shell histories show arguments to everybody on the machine",
        if key.info().secret {
            format!(
                "put {0} into .env or the environment, or keep it with `csc-sender secret set {0}`",
                key.name()
            )
        } else {
            format!("put {} into .env or the environment", key.name())
        },
    )
}
