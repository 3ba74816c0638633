//! `secret`: the system's own store for secrets. A value is never an argument, since
//! process lists and shell histories show those, and never printed.

use std::io::Read;

use csc_message::{Exit, Message};
use secrecy::{ExposeSecret, SecretString};

use super::{Context, Outcome};
use crate::arguments::SecretCommand;
use crate::configuration::{Key, is_placeholder};
use crate::console;
use crate::secret_store::{self, StoreFault};

/// More than any key or password has, in bytes.
const LONGEST: u64 = 16 << 10;

pub fn run(context: &Context<'_>, command: SecretCommand) -> Outcome {
    match command {
        SecretCommand::Set { name, value } => {
            let key = named(&name).map_err(|fault| vec![fault])?;
            // `--supplier-key VALUE` is such an argument too.
            let (_, faults) = context.config.given();
            if !value.is_empty() {
                Err(vec![value_as_argument(key.name())])
            } else if !faults.is_empty() {
                Err(faults)
            } else {
                set(context, key)
            }
        }
        SecretCommand::List => list(context),
        SecretCommand::Delete { name } => {
            delete(context, named(&name).map_err(|fault| vec![fault])?)
        }
    }
}

/// The secret of that name. What is none may be a secret's value, so it isn't repeated.
fn named(name: &str) -> Result<Key, Message> {
    if name.contains('=') {
        return Err(value_as_argument("NAME"));
    }
    let (what, why) = match Key::find(name) {
        Some(key) if key.info().secret => return Ok(key),
        Some(key) => (
            format!("{} is not kept in the system's store", key.name()),
            "it is no secret",
        ),
        None => (
            "The name given is none of a secret".to_string(),
            "what was given is not repeated here: it may be a secret itself",
        ),
    };
    let names: Vec<&str> = Key::secrets().map(Key::name).collect();
    Err(Message::new(
        252,
        what,
        why,
        format!("name one of {}", names.join(", ")),
    ))
}

fn value_as_argument(name: &str) -> Message {
    Message::new(
        251,
        "A secret's value is not accepted as an argument",
        "process lists and shell histories show arguments to everybody on the machine; treat the \
         value as known to others, and have it renewed",
        format!(
            "give the name alone, `csc-sender secret set {name}`: the value is asked for, or read \
             from standard input"
        ),
    )
}

fn set(context: &Context<'_>, key: Key) -> Outcome {
    let stores = &context.world.secrets;
    if stores.is_empty() {
        return Err(vec![no_store(key, &[])]);
    }
    let value = read(key).map_err(|fault| vec![fault])?;
    let kept = stores
        .keep(key.name(), &value)
        .map_err(|faults| vec![no_store(key, &faults)])?;
    console::result(&format!(
        "Kept {} in {}, for {}.",
        key.name(),
        kept.kind,
        account(context)
    ));
    if let Some(until) = &kept.until {
        console::note(&format!("note: it stays {until}"));
    }
    for fault in &kept.passed_over {
        console::note(&format!("note: not kept in {fault}"));
        if !fault.is_absent {
            console::note(
                "note: if that store has an older one, the older one goes first once it answers",
            );
        }
    }
    for kind in &kept.deleted_from {
        console::note(&format!("note: deleted an older one from {kind}"));
    }
    if let Some(stronger) = context.load().given(key) {
        console::note(&format!(
            "note: it is not used as long as another is set in {}, which goes before it",
            stronger.source
        ));
    }
    Ok(Exit::Done)
}

fn list(context: &Context<'_>) -> Outcome {
    let stores = &context.world.secrets;
    let mut faults = Vec::new();
    for key in Key::secrets() {
        let answer = stores.find(key.name());
        let state = match (answer.found.first(), answer.faults.as_slice()) {
            (Some((kind, _)), _) => format!("set, in {kind}"),
            (None, []) => "not set".to_string(),
            (None, _) => "not found".to_string(),
        };
        console::result(&match console::is_plain() {
            true => format!("{}: {state}", key.name()),
            false => format!("{:<22} {state}", key.name()),
        });
        if answer.found.is_empty() && !answer.faults.is_empty() {
            faults = answer.faults;
        }
    }
    console::note(&format!("Of {}. {}", account(context), looked_in(context)));
    if faults.is_empty() {
        Ok(Exit::Done)
    } else {
        Err(vec![cannot_ask(
            "Cannot tell of every secret whether it is set",
            &faults,
        )])
    }
}

fn delete(context: &Context<'_>, key: Key) -> Outcome {
    let answer = context.world.secrets.delete(key.name());
    for (kind, ()) in &answer.found {
        console::result(&format!("Deleted {} from {kind}.", key.name()));
    }
    if !answer.faults.is_empty() {
        let what = format!("Cannot tell whether all of {} is deleted", key.name());
        return Err(vec![cannot_ask(&what, &answer.faults)]);
    }
    if answer.found.is_empty() {
        console::result(&format!(
            "There was no {} of {} to delete. {}",
            key.name(),
            account(context),
            looked_in(context)
        ));
    }
    Ok(Exit::Done)
}

fn looked_in(context: &Context<'_>) -> String {
    let stores = &context.world.secrets;
    if stores.is_empty() {
        "This system has no store that csc-sender knows.".to_string()
    } else {
        format!("Looked in {}.", stores.names())
    }
}

/// Whose store it is: a scheduled task of another account does not find what is in it.
fn account(context: &Context<'_>) -> String {
    let variable =
        |name| (context.world.environment)(name).filter(|value: &String| !value.trim().is_empty());
    let user = if cfg!(windows) {
        variable("USERNAME").map(|name| match variable("USERDOMAIN") {
            Some(domain) => format!(r"{domain}\{name}"),
            None => name,
        })
    } else {
        variable("USER").or_else(|| variable("LOGNAME"))
    };
    user.map_or_else(
        || "the account that runs this".to_string(),
        |user| format!("the account {user}"),
    )
}

/// The value: typed where somebody can, else all of standard input, as a file or a pipe
/// gives it.
fn read(key: Key) -> Result<SecretString, Message> {
    let unreadable = |why: String| unfit(key, &why);
    let value = if console::can_ask() {
        let question = format!("Value of {} (not shown): ", key.name());
        console::ask_secret(&question).map_err(|e| unreadable(e.to_string()))?
    } else {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| unreadable(e.to_string()))?;
        if bytes.len() as u64 > LONGEST {
            return Err(unfit(key, "it is longer than 16 KiB: that is no secret"));
        }
        csc_dotenv::decode(&bytes)
            .map(SecretString::from)
            .ok_or_else(|| unfit(key, "it is neither UTF-8 nor UTF-16 with a byte-order mark"))?
    };
    // What is read from files is trimmed as well.
    let value = value.expose_secret().trim();
    let fault = if value.is_empty() {
        Some("nothing was given")
    } else if value.chars().any(char::is_control) {
        Some("there is a line break or control character in it")
    } else if is_placeholder(key, value) {
        Some("it is a template's: the real one has not been put in")
    } else {
        None
    };
    match fault {
        Some(why) => Err(unfit(key, why)),
        None => Ok(SecretString::from(value)),
    }
}

fn unfit(key: Key, why: &str) -> Message {
    Message::new(
        253,
        format!("The value given for {} cannot be kept", key.name()),
        why,
        "give it again: type or paste it at the prompt, or send it to standard input as one line",
    )
}

fn no_store(key: Key, faults: &[StoreFault]) -> Message {
    Message::new(
        250,
        format!("No store of this system takes {}", key.name()),
        if faults.is_empty() {
            "csc-sender knows none for this system".to_string()
        } else {
            secret_store::all(faults)
        },
        format!(
            "put {} into .env, readable for the account that runs the program alone, or into the \
             environment; docs/secrets.md has all ways",
            key.name()
        ),
    )
}

fn cannot_ask(what: &str, faults: &[StoreFault]) -> Message {
    Message::new(
        254,
        what,
        secret_store::all(faults),
        "unlock the store or log on to the desktop that has it, and try again; docs/secrets.md has \
         the other ways",
    )
}
