//! The pilot's settings: what stands in its PowerShell script or its `.env`, and which of
//! ours each is.

mod power_shell;
#[cfg(test)]
mod tests;

use crate::configuration::{KEYS, Key};

use power_shell::{Assignment, Value};

/// What was found in a file. It may hold secrets: no `Debug`.
#[derive(Default)]
pub struct Pilot {
    /// A value for each setting, the one in force.
    pub found: Vec<(Key, String)>,
    /// What was left: its name and place, and why.
    pub left: Vec<Left>,
}

/// Something that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its name, as the file has it.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// Other names that versions of the pilot have, without their underscores and in lower
/// case.
const NAMES: [(&str, Key); 14] = [
    ("apidatastagingtable", Key::TableName),
    ("stagingtable", Key::TableName),
    ("internaltest", Key::TestingMode),
    ("internaltesting", Key::TestingMode),
    ("timeoutsec", Key::ApiTimeout),
    ("laproxy", Key::Proxy),
    ("connectionstring", Key::DbConnectionString),
    ("connstr", Key::DbConnectionString),
    ("dbserver", Key::Server),
    ("sqlserver", Key::Server),
    ("dbname", Key::Database),
    ("tokenurl", Key::TokenEndpoint),
    ("phase", Key::UsePartialPayload),
    ("oauthscope", Key::Scope),
];

/// What the pilot has and this program does in another way.
const OTHERWISE: [(&str, &str); 7] = [
    (
        "logfile",
        "the pilot's log is another one: name one of your own in LOG_FILE",
    ),
    (
        "testoutputfilepath",
        "no payload is written to a file: send --dry-run shows what would go",
    ),
    ("usetestrecord", "it is a flag here: send --test-record"),
    (
        "useintegratedsecuritydbconnection",
        "the Windows logon is used where no DB_USER is set",
    ),
    (
        "proxyusedefaultcredentials",
        "the Windows logon is used where no PROXY_USER is set",
    ),
    (
        "proxycredential",
        "put the user into PROXY_USER and the password into PROXY_PASSWORD",
    ),
    (
        "apiendpointwithlacode",
        "API_ENDPOINT is the base address: the rest is put behind it",
    ),
];

/// Without what writers differ in.
fn folded(name: &str) -> String {
    name.to_lowercase().replace(['_', '-'], "")
}

fn key_of(name: &str) -> Option<Key> {
    let name = folded(name);
    let renamed = NAMES.iter().find(|(theirs, _)| *theirs == name);
    renamed.map(|(_, key)| *key).or_else(|| {
        KEYS.iter()
            .find(|info| {
                folded(info.name) == name || info.aliases.iter().any(|alias| folded(alias) == name)
            })
            .map(|info| info.key)
    })
}

fn otherwise(name: &str) -> Option<&'static str> {
    let name = folded(name);
    let found = OTHERWISE.iter().find(|(theirs, _)| *theirs == name);
    found.map(|(_, why)| *why)
}

/// Whether a text is a PowerShell script. A `.env` has no `$` before a name.
pub fn is_script(file_name: &str, text: &str) -> bool {
    file_name.to_lowercase().ends_with(".ps1")
        || text.lines().map(str::trim_start).any(|line| {
            line.starts_with('$') && line.contains('=')
                || line.starts_with("<#")
                || line.to_lowercase().starts_with("param(")
        })
}

/// Reads the pilot's script.
pub fn of_script(text: &str) -> Pilot {
    let mut reading = Reading::default();
    for assignment in power_shell::assignments(text) {
        let Assignment {
            line,
            name,
            value,
            is_conditional,
        } = assignment;
        let name = format!("${name}");
        let bare = &name[1..];
        if let Some(why) = otherwise(bare) {
            reading.leave(&name, line, why);
            continue;
        }
        let Some(key) = key_of(bare) else {
            // A script has many variables of its own; one that is set to a text at the top
            // may be a setting.
            if matches!(value, Value::Text(_)) && !is_conditional {
                reading.leave(&name, line, "csc-sender has no such setting");
            }
            continue;
        };
        let text = match value {
            Value::Text(text) | Value::Number(text) => text,
            Value::True => "true".to_string(),
            Value::False => "false".to_string(),
            Value::Null => String::new(),
            Value::Computed => {
                reading.doubt(key, &name, line, "the script computes it");
                continue;
            }
        };
        if is_conditional {
            let why = "it is set under a condition or in a function";
            reading.doubt(key, &name, line, why);
        } else {
            reading.take(key, &name, line, text);
        }
    }
    reading.finish()
}

/// Reads the pilot's `.env`.
pub fn of_env(bytes: &[u8]) -> Pilot {
    let mut reading = Reading::default();
    let (lines, faults) = csc_dotenv::read(bytes);
    for fault in faults {
        reading.leave("a line", fault.number, fault.why);
    }
    for line in lines {
        match (otherwise(&line.name), key_of(&line.name)) {
            (Some(why), _) => reading.leave(&line.name, line.number, why),
            (None, Some(key)) => reading.take(key, &line.name, line.number, line.value),
            (None, None) => {
                reading.leave(&line.name, line.number, "csc-sender has no such setting");
            }
        }
    }
    reading.finish()
}

#[derive(Default)]
struct Reading {
    taken: Vec<(Key, String, usize, String)>,
    left: Vec<Left>,
    doubts: Vec<(Key, Left)>,
}

impl Reading {
    /// The last one in a file is in force.
    fn take(&mut self, key: Key, name: &str, line: usize, value: String) {
        let value = match (key, folded(name).as_str()) {
            (Key::UsePartialPayload, "$phase" | "phase") => {
                value.trim().eq_ignore_ascii_case("deltas").to_string()
            }
            (_, _) => value,
        };
        self.taken.retain(|(taken, ..)| *taken != key);
        self.taken.push((key, name.to_string(), line, value));
    }

    fn leave(&mut self, name: &str, line: usize, why: &str) {
        let shown = if name.len() <= 40 { name } else { "a name" };
        self.left.push(Left {
            name: shown.to_string(),
            line,
            why: why.to_string(),
        });
    }

    /// Left, unless the file also says plainly what it is.
    fn doubt(&mut self, key: Key, name: &str, line: usize, why: &str) {
        let left = Left {
            name: name.to_string(),
            line,
            why: format!("{why}: look, and set {} yourself", key.name()),
        };
        self.doubts.push((key, left));
    }

    fn finish(mut self) -> Pilot {
        let mut pilot = Pilot::default();
        for (key, name, line, value) in std::mem::take(&mut self.taken) {
            match usable(key, &value) {
                Ok(Some(value)) => pilot.found.push((key, value)),
                Ok(None) => {}
                Err(why) => self.leave(&name, line, why),
            }
            self.doubts.retain(|(doubted, _)| *doubted != key);
        }
        let mut told: Vec<Key> = Vec::new();
        for (key, left) in self.doubts {
            if !told.contains(&key) {
                told.push(key);
                self.left.push(left);
            }
        }
        self.left.sort_by_key(|left| left.line);
        pilot.left = self.left;
        pilot.found.sort_by_key(|(key, _)| *key);
        pilot
    }
}

/// A value as it is taken; `None` where nothing is set.
fn usable(key: Key, value: &str) -> Result<Option<String>, &'static str> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    if crate::configuration::is_placeholder(key, value) {
        return Err("it still is the template's value");
    }
    if value.chars().any(char::is_control) {
        return Err("there is a line break or control character in it");
    }
    match key {
        Key::ApiEndpoint => {
            let (base, _) = value
                .split_once("/children_social_care_data")
                .unwrap_or((value, ""));
            Ok(Some(base.to_string()))
        }
        Key::TestingMode if crate::configuration::boolean(value) != Some(true) => Err(
            "a first run with another program should be a testing one: ask for a live one with \
             send --live",
        ),
        _ => Ok(Some(value.to_string())),
    }
}
