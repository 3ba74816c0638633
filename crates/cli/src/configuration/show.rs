//! `config show` and `config template`.

use std::fmt::Write;

use csc_sender_run::Setting;
use serde_json::{Value, json};

use super::keys::KeyInfo;
use super::stored::Stored;
use super::{Config, Found, KEYS, Key};

impl Config {
    /// Every value, where it came from, and what it overrides.
    pub fn show(&self) -> String {
        let mut out = String::new();
        for info in KEYS {
            let found = self.in_order(info.key);
            // Writing to a String cannot fail.
            let _ = match found.first() {
                Some(first) => writeln!(
                    out,
                    "{:<22} {}\n{:<22}   from {}",
                    info.name,
                    self.shown(info.key, first),
                    "",
                    first.source
                ),
                None => writeln!(out, "{:<22} {}", info.name, self.default_words(info.key)),
            };
            for weaker in found.iter().skip(1) {
                let _ = writeln!(
                    out,
                    "{:<22}   overrides {} from {}",
                    "",
                    self.shown(info.key, weaker),
                    weaker.source
                );
            }
            if let Some(why) = self.not_looked_up(info.key) {
                let _ = writeln!(
                    out,
                    "{:<22}   the system's store could not be asked: {why}",
                    ""
                );
            }
        }
        let routes = self.routes();
        if !routes.is_empty() {
            out.push_str("\nOn the way there:\n");
        }
        for (key, host, route) in routes {
            let _ = writeln!(out, "{:<22} {host}: {route}", key.name());
        }
        out
    }

    /// The same without columns: each setting is a sentence on a line.
    pub fn show_plain(&self) -> String {
        let mut out = String::new();
        for info in KEYS {
            let found = self.in_order(info.key);
            // Writing to a String cannot fail.
            let _ = match found.first() {
                Some(first) => write!(
                    out,
                    "{} is {}, from {}",
                    info.name,
                    self.shown(info.key, first),
                    first.source
                ),
                None => write!(out, "{} is {}", info.name, self.default_words(info.key)),
            };
            for weaker in found.iter().skip(1) {
                let _ = write!(
                    out,
                    "; overrides {} from {}",
                    self.shown(info.key, weaker),
                    weaker.source
                );
            }
            if let Some(why) = self.not_looked_up(info.key) {
                let _ = write!(out, "; the system's store could not be asked: {why}");
            }
            out.push('\n');
        }
        for (key, host, route) in self.routes() {
            let _ = writeln!(out, "On the way to {}, {host}: {route}", key.name());
        }
        out
    }

    /// The same as JSON.
    pub fn show_json(&self) -> Value {
        let entry = |key: Key, found: &Found| json!({ "value": self.shown(key, found), "source": found.source.to_string() });
        KEYS.iter()
            .map(|info| {
                let found = self.in_order(info.key);
                let mut value = json!({
                    "value": found.first().map(|first| self.shown(info.key, first)),
                    "source": found.first().map(|first| first.source.to_string()),
                    "default": default_of(info.key),
                    "overrides": found.iter().skip(1).map(|f| entry(info.key, f)).collect::<Vec<_>>(),
                });
                if let Some(why) = self.not_looked_up(info.key) {
                    value["store_not_asked"] = why.into();
                }
                (info.name.to_string(), value)
            })
            .chain([(
                "routes".to_string(),
                self.routes()
                    .into_iter()
                    .map(|(key, _, route)| (key.name().to_string(), json!(route)))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            )])
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The settings in force, for a report and the journal. The system's store is not
    /// asked once more.
    pub fn in_force(&self) -> Vec<Setting> {
        let of = |info: &KeyInfo| {
            let key = info.key;
            let found = self.given(key).or_else(|| match self.looked_up(key)? {
                Stored::Kept(found) => Some(found),
                Stored::Absent | Stored::Unknown(_) => None,
            });
            let (value, source) = match found {
                Some(found) => (self.shown_unasked(key, found), found.source.to_string()),
                None => (default_of(key)?.to_string(), "the default".to_string()),
            };
            Some(Setting {
                name: info.name.to_string(),
                value,
                source,
            })
        };
        KEYS.iter().filter_map(of).collect()
    }

    /// A setting's values, the one in force first. The system's store is asked for a
    /// secret that nobody has filled in; a template's value does not go before it.
    fn in_order(&self, key: Key) -> Vec<&Found> {
        let stored = match self.given(key) {
            Some(_) => None,
            None => self.filled(key),
        };
        let found = self.found.get(&key).map_or(&[][..], Vec::as_slice);
        stored.into_iter().chain(found).collect()
    }

    /// Why the system's store could not be asked for a secret that nobody else gives.
    fn not_looked_up(&self, key: Key) -> Option<&str> {
        match self.given(key) {
            Some(_) => None,
            None => match self.stored(key) {
                Stored::Unknown(why) => Some(why),
                Stored::Kept(_) | Stored::Absent => None,
            },
        }
    }

    fn default_words(&self, key: Key) -> String {
        match (key, default_of(key)) {
            (Key::StateDir, _) => format!("{} (default)", self.default_state_dir.display()),
            (_, Some(default)) => format!("{default} (default)"),
            (_, None) if key.info().secret => "(empty)".to_string(),
            (_, None) => "(not set)".to_string(),
        }
    }
}

/// The value in force where nobody gives one.
fn default_of(key: Key) -> Option<&'static str> {
    match key {
        Key::TestingMode
        | Key::UsePartialPayload
        | Key::FullPurges
        | Key::Strict
        | Key::BatchSize
        | Key::MaxBatchBytes
        | Key::ApiTimeout
        | Key::MinGapMs
        | Key::Concurrency
        | Key::MaxRetries
        | Key::RetryBaseMs
        | Key::MaxWait
        | Key::JournalKeepDays
        | Key::LogFormat
        | Key::LogRotation
        | Key::LogKeep
        | Key::ProxyAuth
        | Key::Debug => Some(key.info().example),
        Key::UserAgent => Some(concat!("csc-sender/", env!("CARGO_PKG_VERSION"))),
        Key::TableName => Some("ssd_api_data_staging_anon in testing mode"),
        Key::ApiEndpoint
        | Key::SupplierKey
        | Key::SupplierKeySecondary
        | Key::TokenEndpoint
        | Key::ClientId
        | Key::ClientSecret
        | Key::Scope
        | Key::LaCode
        | Key::DbConnectionString
        | Key::Server
        | Key::Database
        | Key::DbUser
        | Key::DbPassword
        | Key::RulesFile
        | Key::SchemaFile
        | Key::Proxy
        | Key::NoProxy
        | Key::ProxyUser
        | Key::ProxyPassword
        | Key::CaBundle
        | Key::AllowedHosts
        | Key::EndpointKind
        | Key::StateDir
        | Key::Journal
        | Key::LogFile => None,
    }
}

/// A commented `.env`, to be filled in.
pub fn template() -> String {
    let mut out = String::from(
        "# csc-sender settings. Fill in what says ... or 000, and keep this file readable for\n\
         # the account that runs the program only. A line is NAME=value; # begins a comment.\n",
    );
    let mut group = "";
    for info in KEYS {
        if info.group != group {
            group = info.group;
            let _ = write!(out, "\n# --- {group} ---\n");
        }
        let _ = writeln!(out, "# {}", info.help);
        if info.key == Key::DbConnectionString {
            out.push_str(
                "#   SQL Server:  Driver={ODBC Driver 17 for SQL Server};Server=HOST\\INSTANCE;Database=HDM_Local;Trusted_Connection=yes;\n\
                 #   PostgreSQL:  postgres://user@host:5432/database\n\
                 #   SQLite:      sqlite:C:\\data\\children.db\n",
            );
        }
        let needed = matches!(info.example, "..." | "000");
        let _ = writeln!(
            out,
            "{}{}={}",
            if needed { "" } else { "#" },
            info.name,
            info.example
        );
    }
    out
}
