//! The settings: what is set, what is missing for a testing and for a live run, who may
//! read the files, where the secrets were found.

use csc_message::{Message, Probe};

use crate::commands::send;
use crate::configuration::{Config, Examined, Need, Source};
use crate::safety::{self, Children, Intent};

/// A probe for every fault.
pub(super) fn faults(messages: &[Message]) -> Vec<Probe> {
    let failed = |message| Probe::failed("setting", message);
    messages.iter().map(failed).collect()
}

pub(super) fn probes(config: &Config) -> Vec<Probe> {
    let testing = config.examine(Need {
        database: true,
        la_code: true,
        ..Need::default()
    });
    let live = config.examine(Need {
        database: true,
        la_code: true,
        table: true,
        network: true,
        receiver: true,
        ..Need::default()
    });
    let mut probes = vec![mode(&testing)];
    probes.push(sources(config));
    probes.extend(placeholders(config));
    probes.extend(faults(&testing.faults));
    if testing.faults.is_empty() {
        probes.push(Probe::ok("testing run", "nothing is missing"));
    }
    probes.extend(for_live(&testing, &live));
    if let Err(messages) = send::checks(&testing.settings) {
        let failed = |message| Probe::failed("payload rules", message);
        probes.extend(messages.iter().map(failed));
    }
    for warning in &testing.settings.warnings {
        probes.push(Probe::warn(
            "connection",
            warning,
            "look at DB_CONNECTION_STRING (docs/configuration.md)",
        ));
    }
    for note in config.notes() {
        probes.push(Probe::warn(
            "unknown name",
            note,
            "correct the name; if another program's it is, leave it",
        ));
    }
    probes.extend(files(&testing));
    probes.push(secrets(config));
    probes
}

fn mode(examined: &Examined) -> Probe {
    Probe::ok(
        "mode",
        if examined.is_testing {
            "testing: nothing leaves the authority"
        } else {
            "LIVE: records are sent (TESTING_MODE is off)"
        },
    )
}

/// How many settings each source gives.
fn sources(config: &Config) -> Probe {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for given in config.all_given() {
        let source = match given.source {
            Source::Flag => "flags".to_string(),
            Source::Environment(_) => "the environment".to_string(),
            Source::EnvFile(path, _) | Source::Toml(path) => path.display().to_string(),
            Source::SystemStore(kind) => kind.to_string(),
        };
        match counts.iter_mut().find(|(known, _)| *known == source) {
            Some((_, count)) => *count += 1,
            None => counts.push((source, 1)),
        }
    }
    if counts.is_empty() {
        return Probe::warn(
            "settings",
            "none is set: no flag, no variable, no .env and no csc-sender.toml gives any",
            "write a .env beside the program: `csc-sender config template > .env`",
        );
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(source, count)| format!("{count} from {source}"))
        .collect();
    Probe::ok("settings", counts.join(", "))
}

fn placeholders(config: &Config) -> Option<Probe> {
    let names = config.not_filled_in();
    (!names.is_empty()).then(|| {
        Probe::warn(
            "not filled in",
            format!(
                "the template's value still stands in {}, and counts as none",
                names.join(", ")
            ),
            "put in the real values; what a testing run needs is told below, the rest can wait",
        )
    })
}

/// What a live run lacks beyond a testing one. In testing mode that can wait.
fn for_live(testing: &Examined, live: &Examined) -> Vec<Probe> {
    let mut messages: Vec<&Message> = live
        .faults
        .iter()
        .filter(|message| !testing.faults.contains(message))
        .collect();
    let broken = match &live.settings.live {
        Some(of_live) if !live.is_table_unknown => safety::check(&Intent {
            endpoint: &of_live.endpoint,
            token_endpoint: &of_live.token_endpoint,
            stated_kind: live.settings.endpoint_kind,
            allowed_hosts: &live.settings.allowed_hosts,
            children: Children::Table(&live.settings.table),
        })
        .err()
        .unwrap_or_default(),
        Some(_) | None => Vec::new(),
    };
    messages.extend(&broken);
    if messages.is_empty() {
        return vec![if testing.faults.is_empty() {
            Probe::ok(
                "live run",
                "nothing is missing, and no safety rule stops it",
            )
        } else {
            Probe::ok("live run", "nothing more is missing than told above")
        }];
    }
    messages
        .into_iter()
        .map(|message| {
            let failed = Probe::failed("live run", message);
            if testing.is_testing {
                Probe::warn("live run", failed.found, message.next())
            } else {
                failed
            }
        })
        .collect()
}

fn files(examined: &Examined) -> Vec<Probe> {
    let exposed = &examined.settings.exposed;
    if exposed.is_empty() {
        return vec![Probe::ok(
            "files",
            "none of the program's files is known to be open to others",
        )];
    }
    exposed
        .iter()
        .map(|warning| match warning.rsplit_once("; ") {
            Some((found, next)) => Probe::warn("files", found, next),
            None => Probe::warn("files", warning, "docs/secrets.md says how to close them"),
        })
        .collect()
}

fn secrets(config: &Config) -> Probe {
    let found: Vec<String> = config
        .secrets_found()
        .into_iter()
        .map(|(name, source)| format!("{name} in {source}"))
        .collect();
    Probe::ok(
        "secrets",
        if found.is_empty() {
            "none was found".to_string()
        } else {
            found.join("; ")
        },
    )
}
