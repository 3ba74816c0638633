//! Configuration, one source of truth: flags, then the environment, then `.env`, then
//! `csc-sender.toml`, then for secrets the system's own store, then the defaults.

mod args;
mod database;
mod examined;
mod exposed;
mod keys;
mod network;
mod placeholder;
mod settings;
mod show;
mod shown;
mod stored;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csc_message::Message;
use csc_receiver::proxy::SystemProxies;

use crate::secret_store::{SecretStores, StoreKind};

pub use args::ConfigArgs;
pub use keys::{KEYS, Key};
pub use settings::{Examined, Live, Need, Settings, boolean};
pub use show::template;

pub use placeholder::is_placeholder;
use stored::Stored;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag,
    /// The environment, under this name.
    Environment(String),
    /// A line of a `.env` file.
    EnvFile(PathBuf, usize),
    /// A TOML file.
    Toml(PathBuf),
    /// One of the system's own stores for secrets.
    SystemStore(StoreKind),
}

impl Source {
    /// Where a relative path in it starts: a file's own folder, since a scheduled task
    /// starts in System32.
    fn base(&self) -> &Path {
        match self {
            Source::Flag | Source::Environment(_) | Source::SystemStore(_) => Path::new(""),
            Source::EnvFile(path, _) | Source::Toml(path) => path.parent().unwrap_or(Path::new("")),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Flag => f.write_str("the flag"),
            Source::Environment(name) => write!(f, "the environment ({name})"),
            Source::EnvFile(path, line) => write!(f, "{}, line {line}", path.display()),
            Source::Toml(path) => write!(f, "{}", path.display()),
            Source::SystemStore(kind) => write!(f, "the system's store: {kind}"),
        }
    }
}

/// A value and where it came from. It may be a secret: no `Debug`.
#[derive(Clone)]
pub struct Found {
    /// Where it came from.
    pub source: Source,
    value: String,
}

/// What surrounds the program. Passed in, so that tests need no process of their own.
pub struct World<'a> {
    /// The environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The working directory.
    pub working_dir: PathBuf,
    /// The folder of the program: a scheduled task starts in System32.
    pub program_dir: Option<PathBuf>,
    /// The system's own stores for secrets.
    pub secrets: Arc<SecretStores>,
    /// The system's own proxy settings, where it has any.
    pub system_proxies: Option<SystemProxies>,
}

impl World<'static> {
    /// The real one.
    pub fn real() -> Self {
        World {
            environment: &|name| std::env::var(name).ok(),
            working_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            program_dir: std::env::current_exe()
                .ok()
                .and_then(|exe| exe.parent().map(Path::to_path_buf)),
            secrets: Arc::new(SecretStores::of_this_system()),
            system_proxies: SystemProxies::of_this_system(),
        }
    }
}

/// Everything that was found, strongest first, and the faults of reading it.
pub struct Config {
    found: BTreeMap<Key, Vec<Found>>,
    faults: Vec<Message>,
    notes: Vec<String>,
    /// The files that were read and that others may read too.
    exposed: Vec<String>,
    secrets: Arc<SecretStores>,
    stored: BTreeMap<Key, OnceCell<Stored>>,
    default_state_dir: PathBuf,
    /// The environment's own variables for proxies. They may hold passwords.
    environment_proxies: Vec<(&'static str, String)>,
    system_proxies: Option<SystemProxies>,
}

impl Config {
    /// Reads all sources. What can't be read is a fault, told with all others.
    pub fn load(args: &ConfigArgs, world: &World<'_>) -> Config {
        let (flags, faults) = args.given();
        let mut config = Config {
            found: BTreeMap::new(),
            faults,
            notes: Vec::new(),
            exposed: Vec::new(),
            secrets: Arc::clone(&world.secrets),
            stored: Key::secrets().map(|key| (key, OnceCell::new())).collect(),
            default_state_dir: default_state_dir(world),
            environment_proxies: network::of_environment(world),
            system_proxies: world.system_proxies.clone(),
        };
        for (key, value) in flags {
            config.add(key, Source::Flag, value);
        }
        for info in KEYS {
            let names = std::iter::once(&info.name).chain(info.aliases);
            for name in names {
                let value = (world.environment)(name).filter(|value| !value.trim().is_empty());
                if let Some(value) = value {
                    // Other programs' DEBUG is not ours.
                    if info.key == Key::Debug && settings::boolean(&value).is_none() {
                        continue;
                    }
                    config.add(info.key, Source::Environment((*name).to_string()), value);
                }
            }
        }
        if let Some(path) = config.file(args.env_file.as_deref(), ".env", world) {
            config.read_env_file(&path);
            config.exposed.extend(exposed::settings_file(&path));
        }
        if let Some(path) = config.file(args.config.as_deref(), "csc-sender.toml", world) {
            config.read_toml(&path);
            config.exposed.extend(exposed::settings_file(&path));
        }
        config
    }

    /// The strongest value, if it is not blank.
    pub fn value(&self, key: Key) -> Option<&Found> {
        self.found
            .get(&key)
            .and_then(|found| found.first())
            .filter(|found| !found.value.trim().is_empty())
    }

    /// What a person should know of the files, and that is no fault.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn add(&mut self, key: Key, source: Source, value: String) {
        // A setting left blank is one that is not set, wherever it stands.
        if value.trim().is_empty() {
            return;
        }
        self.found
            .entry(key)
            .or_default()
            .push(Found { source, value });
    }

    /// The named file, which must be there, or the usual one, where there is one.
    fn file(&mut self, named: Option<&Path>, usual: &str, world: &World<'_>) -> Option<PathBuf> {
        if let Some(named) = named {
            let path = world.working_dir.join(named);
            if path.is_file() {
                return Some(path);
            }
            self.faults.push(Message::new(
                205,
                format!("There is no file {}", path.display()),
                "it was named as a source of settings",
                "correct its name, or leave the flag away",
            ));
            return None;
        }
        let folders = std::iter::once(&world.working_dir).chain(&world.program_dir);
        folders
            .map(|folder| folder.join(usual))
            .find(|path| path.is_file())
    }

    fn unreadable(&mut self, path: &Path, why: &str) {
        self.faults.push(Message::new(
            205,
            format!("Cannot read {}", path.display()),
            why,
            "let this account read it, or correct it",
        ));
    }

    fn read_env_file(&mut self, path: &Path) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) => return self.unreadable(path, &e.to_string()),
        };
        let (lines, faults) = csc_dotenv::read(&bytes);
        for fault in faults {
            let place = match fault.number {
                0 => path.display().to_string(),
                line => format!("{}, line {line}", path.display()),
            };
            self.faults.push(Message::new(
                206,
                format!("{place} can't be read"),
                fault.why,
                "correct the line: NAME=value, one setting a line",
            ));
        }
        // Under one name the last line wins, as in every reader of such files; a setting's
        // own name goes before its aliases.
        let mut chosen: BTreeMap<Key, Vec<csc_dotenv::Line>> = BTreeMap::new();
        for line in lines {
            match Key::find(&line.name) {
                Some(key) => chosen.entry(key).or_default().push(line),
                None => self.notes.push(foreign_key(path, &line)),
            }
        }
        for (key, mut lines) in chosen {
            lines.reverse();
            lines.sort_by_key(|line| !line.name.eq_ignore_ascii_case(key.name()));
            for line in lines {
                self.add(
                    key,
                    Source::EnvFile(path.to_path_buf(), line.number),
                    line.value,
                );
            }
        }
    }

    fn read_toml(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => return self.unreadable(path, &e.to_string()),
        };
        let text = text.trim_start_matches('\u{feff}');
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(e) => {
                // The library's words quote the line, which may hold a secret.
                let line = e.span().map_or(1, |span| {
                    text[..span.start.min(text.len())].matches('\n').count() + 1
                });
                let why = format!("line {line} is not TOML");
                return self.unreadable(path, &why);
            }
        };
        for (name, value) in table {
            let Some(key) = Key::find(&name) else {
                self.faults.push(unknown_key(path, &name));
                continue;
            };
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(yes) => yes.to_string(),
                toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => items
                    .iter()
                    .filter_map(toml::Value::as_str)
                    .collect::<Vec<_>>()
                    .join(","),
                toml::Value::Array(_)
                | toml::Value::Float(_)
                | toml::Value::Datetime(_)
                | toml::Value::Table(_) => {
                    self.faults.push(Message::new(
                        207,
                        format!(
                            "{} in {} has a value of the wrong kind",
                            key.name(),
                            path.display()
                        ),
                        "a setting is a text, a whole number, true or false",
                        format!("write {} = \"…\"", key.name()),
                    ));
                    continue;
                }
            };
            self.add(key, Source::Toml(path.to_path_buf()), value);
        }
    }
}

/// A key of another program's, or a slip of the pen. What doesn't look like a
/// variable's name is not repeated: it may be a line of somebody's secret.
fn foreign_key(path: &Path, line: &csc_dotenv::Line) -> String {
    let is_name = line.name.len() <= 40
        && line
            .name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && (line.name.contains('_') || line.name.chars().all(|c| c.is_ascii_uppercase()));
    let shown = if is_name { &line.name } else { "its key" };
    let place = format!("{}, line {}", path.display(), line.number);
    match near(&line.name) {
        Some(near) => format!("{place}: {shown} is no setting of csc-sender; did you mean {near}?"),
        None => format!("{place}: {shown} is no setting of csc-sender and is left alone"),
    }
}

/// The setting that somebody may have meant who wrote this name.
fn near(name: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|info| {
            let likeness = strsim::jaro_winkler(&info.name.to_lowercase(), &name.to_lowercase());
            (likeness, info.name)
        })
        .filter(|(likeness, _)| *likeness > 0.9)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

fn unknown_key(path: &Path, name: &str) -> Message {
    let is_bare = name.len() <= 40
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    // A quoted key can be anything.
    let shown = if is_bare { name } else { "with an odd name" };
    Message::new(
        207,
        format!(
            "{} has a setting {shown}, which csc-sender does not know",
            path.display()
        ),
        match near(name) {
            Some(near) => format!("did you mean {near}?"),
            None => "its name is none of those that `csc-sender config show` lists".to_string(),
        },
        "correct the name, or take the line out",
    )
}

/// `%ProgramData%\csc-sender` on Windows, else the user's state folder.
fn default_state_dir(world: &World<'_>) -> PathBuf {
    let variable = |name: &str| {
        (world.environment)(name)
            .filter(|value| !value.trim().is_empty())
            .map(PathBuf::from)
    };
    let base = if cfg!(windows) {
        variable("ProgramData").or_else(|| variable("LOCALAPPDATA"))
    } else {
        variable("XDG_STATE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
    };
    base.map_or_else(
        || PathBuf::from("csc-sender-state"),
        |base| base.join("csc-sender"),
    )
}

#[cfg(test)]
mod tests;
