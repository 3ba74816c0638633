//! Where words to a person go: results to standard output, everything else to
//! standard error. This is the only place that prints.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use csc_message::Message;
use indicatif::ProgressBar;
use secrecy::SecretString;

/// `--plain`.
static PLAIN: AtomicBool = AtomicBool::new(false);

/// Asks for plain lines from now on: no bar, no columns, no colour.
pub fn plain(plain: bool) {
    PLAIN.store(plain, Ordering::Relaxed);
    if plain {
        anstream::ColorChoice::Never.write_global();
    }
}

/// Whether plain lines are asked for.
pub fn is_plain() -> bool {
    PLAIN.load(Ordering::Relaxed)
}

/// A line of the result.
pub fn result(line: &str) {
    // A closed pipe (`| head`) is no failure of ours.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The bar that is drawn just now.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// From now on lines about what is going on stand above this bar, or there is none.
pub fn write_above(bar: Option<ProgressBar>) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar;
}

/// A line about what is going on.
pub fn note(line: &str) {
    let write = || {
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    match &*BAR.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// The number of the first failure that was told; 0 where there was none.
static FIRST_FAILURE: AtomicU16 = AtomicU16::new(0);

/// A failure. Its code is red on a terminal that takes colour; anstream looks at where it
/// goes, at `NO_COLOR` and at what the console can do.
pub fn failure(message: &Message) {
    let (ordering, number) = (Ordering::Relaxed, message.code());
    // Only the first one counts: a later exchange changes nothing.
    let _ = FIRST_FAILURE.compare_exchange(0, number, ordering, ordering);
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let text = message.to_string();
    // The code: it stands first.
    let (code, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let _ = writeln!(anstream::stderr(), "{red}{code}{red:#} {rest}");
    tracing::error!("{message}");
}

/// Says once, at the end and to a person only, where more is to be read of a failure. In a
/// scheduler's log every line that says nothing new hides one that does.
pub fn point_to_explanation() {
    let code = FIRST_FAILURE.load(Ordering::Relaxed);
    if code != 0 && is_watched() {
        note(&format!("More: csc-sender explain CSC{code:04}"));
    }
}

/// A warning of something that somebody should look at.
pub fn warning(text: &str) {
    let yellow = Style::new().fg_color(Some(AnsiColor::Yellow.into()));
    let _ = writeln!(anstream::stderr(), "{yellow}warning:{yellow:#} {text}");
}

/// Whether a person can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether progress can be drawn. A dumb terminal cannot go back in a line.
pub fn can_draw() -> bool {
    is_watched() && !is_plain() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether somebody may be looking at what is printed.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Asks for a secret, which is not shown while it is typed.
pub fn ask_secret(question: &str) -> std::io::Result<SecretString> {
    rpassword::prompt_password(question).map(SecretString::from)
}

/// Asks, and takes nothing but the word `yes` for a yes.
pub fn ask_yes(question: &str) -> bool {
    let mut answer = String::new();
    let _ = write!(std::io::stderr(), "{question} Type yes to go on: ");
    let _ = std::io::stderr().flush();
    std::io::stdin().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("yes")
}
