//! Where words to a person go: results to standard output, everything else to
//! standard error. This is the only place that prints.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU16, Ordering};

use csc_message::Message;
use secrecy::SecretString;

/// A line of the result.
pub fn result(line: &str) {
    // A closed pipe (`| head`) is no failure of ours.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line about what is going on.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The number of the first failure that was told; 0 where there was none.
static FIRST_FAILURE: AtomicU16 = AtomicU16::new(0);

/// A failure.
pub fn failure(message: &Message) {
    let (ordering, code) = (Ordering::Relaxed, message.code());
    // Only the first one counts: a later exchange changes nothing.
    let _ = FIRST_FAILURE.compare_exchange(0, code, ordering, ordering);
    note(&message.to_string());
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

/// Whether a person can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether progress can be drawn.
pub fn can_draw() -> bool {
    is_watched()
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
