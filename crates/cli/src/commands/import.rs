//! `config import`: from the pilot's script, or its `.env`, to ours.

use std::io::Write;
use std::path::{Path, PathBuf};

use csc_message::{Exit, Message};
use csc_staging::connection::may_hold_password;
use csc_staging::owner_only;
use secrecy::SecretString;

use super::{Context, Outcome};
use crate::arguments::{ImportArgs, KeepSecretsIn};
use crate::configuration::Key;
use crate::console;
use crate::pilot::{self, Pilot};
use crate::secret_store;

pub fn run(context: &Context<'_>, args: &ImportArgs) -> Outcome {
    let pilot = read(&args.file).map_err(|e| vec![e])?;
    if args.output.exists() && !args.force {
        return Err(vec![Message::new(
            276,
            format!("{} is there already", args.output.display()),
            "it is not replaced unasked: somebody may have filled it in",
            "name another file with --output, or replace it with --force",
        )]);
    }
    let (secrets, plain): (Vec<_>, Vec<_>) = pilot
        .found
        .into_iter()
        .partition(|(key, value)| is_secret(*key, value));
    let where_to = choose(args, &secrets);
    let mut file = String::from(
        "# csc-sender settings, taken over from the pilot's by `csc-sender config import`.\n\
         # Keep this file readable for the account that runs the program only.\n",
    );
    let mut written: Vec<(Key, String)> = plain;
    let (mut told, mut left, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (key, value) in secrets {
        let name = key.name();
        match where_to {
            KeepSecretsIn::Env => written.push((key, value)),
            KeepSecretsIn::No => left.push(left_secret(key)),
            // A connection string or a proxy's address is no entry of the store.
            KeepSecretsIn::Store if !key.info().secret => left.push(left_secret(key)),
            KeepSecretsIn::Store => {
                match context.world.secrets.keep(name, &SecretString::from(value)) {
                    Ok(kept) => {
                        file.push_str(&format!("# {name} is kept in {}.\n", kept.kind));
                        told.push(format!("Kept {name} in {}.", kept.kind));
                        if let Some(until) = &kept.until {
                            console::note(&format!("note: it stays {until}"));
                        }
                    }
                    Err(why) => {
                        left.push(left_secret(key));
                        faults.push(not_kept(name, &why));
                    }
                }
            }
        }
    }
    written.sort_by_key(|(key, _)| *key);
    for (key, value) in &written {
        // What has a line break in it was left before.
        if let Some(line) = csc_dotenv::line(key.name(), value) {
            file.push_str(&line);
            file.push('\n');
        }
    }
    write(&args.output, &file, args.force).map_err(|e| vec![e])?;
    let names: Vec<&str> = written.iter().map(|(key, _)| key.name()).collect();
    console::result(&format!(
        "Wrote {} with {}: {}.",
        args.output.display(),
        match names.len() {
            1 => "1 setting".to_string(),
            n => format!("{n} settings"),
        },
        names.join(", ")
    ));
    for line in told {
        console::result(&line);
    }
    left.extend(
        pilot
            .left
            .iter()
            .map(|left| format!("line {}, {}: {}", left.line, left.name, left.why)),
    );
    if !left.is_empty() {
        console::result("Left:");
        for line in &left {
            console::result(&format!("  {line}"));
        }
    }
    console::result(
        "Next: csc-sender config show, then csc-sender send, which is a testing run: nothing leaves \
         the authority.",
    );
    if faults.is_empty() {
        Ok(Exit::Done)
    } else {
        Err(faults)
    }
}

fn read(path: &Path) -> Result<Pilot, Message> {
    let unreadable = |why: String| {
        Message::new(
            274,
            format!("Cannot read the pilot's settings in {}", path.display()),
            why,
            "name the filled-in api_payload_sender.ps1 or the .env, saved as UTF-8",
        )
    };
    let bytes = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    let Some(text) = csc_dotenv::decode(&bytes) else {
        return Err(unreadable(
            "it is neither UTF-8 nor UTF-16 with a byte-order mark".to_string(),
        ));
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let pilot = if pilot::is_script(&name, &text) {
        pilot::of_script(&text)
    } else {
        pilot::of_env(&bytes)
    };
    if pilot.found.is_empty() {
        let why = match pilot.left.len() {
            0 => "no setting that csc-sender knows stands in it".to_string(),
            left => format!(
                "no setting in it is filled in; {left} others were looked at, the first in line {}: {}",
                pilot.left[0].line, pilot.left[0].why
            ),
        };
        return Err(unreadable(why));
    }
    Ok(pilot)
}

fn is_secret(key: Key, value: &str) -> bool {
    key.info().secret
        || match key {
            Key::DbConnectionString => may_hold_password(value),
            Key::Proxy => value.contains('@'),
            _ => false,
        }
}

/// Asks where nobody has said it, if somebody is there to be asked.
fn choose(args: &ImportArgs, secrets: &[(Key, String)]) -> KeepSecretsIn {
    if let Some(given) = args.keep_secrets_in {
        return given;
    }
    if secrets.is_empty() || !console::can_ask() {
        return KeepSecretsIn::No;
    }
    let names: Vec<&str> = secrets.iter().map(|(key, _)| key.name()).collect();
    let names = names.join(", ");
    if console::ask_yes(&format!("Keep {names} in this account's own store?")) {
        KeepSecretsIn::Store
    } else if console::ask_yes(&format!("Write them into {}?", args.output.display())) {
        KeepSecretsIn::Env
    } else {
        KeepSecretsIn::No
    }
}

fn left_secret(key: Key) -> String {
    let name = key.name();
    if key.info().secret {
        format!(
            "{name}: it is a secret; keep it with `csc-sender secret set {name}`, or import again \
             with --keep-secrets-in store (or env)"
        )
    } else {
        format!(
            "{name}: there is a password in it; write it without, and keep the password apart \
             (docs/secrets.md), or import again with --keep-secrets-in env"
        )
    }
}

fn not_kept(name: &str, why: &[secret_store::StoreFault]) -> Message {
    Message::new(
        277,
        format!("{name} was not kept in the system's store"),
        if why.is_empty() {
            "csc-sender knows none for this system".to_string()
        } else {
            secret_store::all(why)
        },
        format!(
            "unlock the store and run `csc-sender secret set {name}`, or import again with \
             --keep-secrets-in env --force"
        ),
    )
}

/// Writes the file for its owner alone. One that is replaced stays whole until the new one
/// is.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Message> {
    let cannot = |e: std::io::Error| {
        Message::new(
            275,
            format!("Cannot write {}", path.display()),
            e.to_string(),
            "name a file with --output in a folder that this account may write to",
        )
    };
    let create = |path: &Path| -> std::io::Result<()> {
        let mut file = owner_only().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    if !(force && path.exists()) {
        return create(path).map_err(cannot);
    }
    let mut beside = path.as_os_str().to_os_string();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    create(&beside)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|e| {
            // What is left of it would keep the next try from its name.
            let _ = std::fs::remove_file(&beside);
            cannot(e)
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::configuration::{ConfigArgs, World};
    use crate::secret_store::SecretStores;

    const SCRIPT: &str = "$la_code = '845'\n$client_secret = 'canary'\n$supplier_key = 'canary2'\n";

    /// Imports the script with these stores. Gives what came of it and what was written.
    fn import(secrets: SecretStores) -> (Outcome, String, Arc<SecretStores>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("api_payload_sender.ps1");
        std::fs::write(&file, SCRIPT).unwrap();
        let world = World {
            environment: &|_| None,
            working_dir: folder.path().to_path_buf(),
            program_dir: None,
            system_proxies: None,
            secrets: Arc::new(secrets),
        };
        let context = Context {
            verbose: 0,
            config: ConfigArgs::default(),
            world: &world,
        };
        let output = folder.path().join("new.env");
        let outcome = run(
            &context,
            &ImportArgs {
                file,
                output: output.clone(),
                force: false,
                keep_secrets_in: Some(KeepSecretsIn::Store),
            },
        );
        let written = std::fs::read_to_string(output).unwrap();
        (outcome, written, world.secrets)
    }

    #[test]
    fn the_store_takes_the_secrets_and_the_file_does_not() {
        let (outcome, written, stores) = import(SecretStores::in_memory(&[]));
        assert!(outcome.is_ok());
        assert!(written.contains("LA_CODE=845\n") && !written.contains("canary"));
        assert!(written.contains("# CLIENT_SECRET is kept in the Secret Service.\n"));
        let kept = stores.find("CLIENT_SECRET");
        assert_eq!(kept.found[0].1.expose_secret(), "canary");
    }

    #[test]
    fn a_locked_store_is_told_and_the_rest_is_written_all_the_same() {
        let (outcome, written, _) = import(SecretStores::locked());
        let faults = outcome.unwrap_err();
        assert_eq!(faults.len(), 2);
        assert!(faults.iter().all(|fault| fault.code() == 277));
        assert!(written.contains("LA_CODE=845\n") && !written.contains("canary"));
        assert!(!format!("{faults:?}").contains("canary"));
    }
}
