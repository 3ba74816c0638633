//! What a message to a person is made of.
//!
//! Every failure that reaches a person says three things: what failed (with the
//! value), why, and what to do next. It carries a stable code, `CSC` and four
//! digits, whose first two digits are the program's exit code, so a code found
//! in a log tells what a scheduler saw, and the exit code is decided nowhere else.
//!
//! Rules for whoever writes one:
//! - `what` names the thing and the value, never a secret and never a child's
//!   name, date of birth, postcode or payload.
//! - `why` is the cause as far as it is known, in plain words.
//! - `next` is something the reader can do, in the imperative.
//! - a new message gets a new code, and its code an entry in
//!   `docs/troubleshooting.md` (a test holds the two together).

use std::fmt;

/// One message to a person: what failed, why, what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    code: u16,
    what: String,
    why: String,
    next: String,
}

impl Message {
    /// Makes a message. `code` is the exit code times 100 plus a number of its own.
    pub fn new(
        code: u16,
        what: impl Into<String>,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Message {
            code,
            what: what.into(),
            why: why.into(),
            next: next.into(),
        }
    }

    /// The same message about something that is named more closely.
    #[must_use]
    pub fn with_what(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }

    /// The same message with more of its cause.
    #[must_use]
    pub fn and_why(mut self, more: &str) -> Self {
        self.why = format!("{}; {more}", self.why);
        self
    }

    /// The message's number, e.g. `301` for `CSC0301`.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The exit code that this message stands for.
    pub fn exit(&self) -> Exit {
        Exit::of_code(self.code)
    }

    /// What failed, with the value.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Why it failed.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do next.
    pub fn next(&self) -> &str {
        &self.next
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CSC{:04} {}\n  why:  {}\n  next: {}",
            self.code, self.what, self.why, self.next
        )
    }
}

impl std::error::Error for Message {}

/// What a probe of a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A run works, but somebody should look at it.
    Warn,
    /// A run would fail.
    Fail,
}

impl Verdict {
    /// As it stands in front of a line.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        }
    }
}

/// One thing that a check looked at: what was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was looked at, in a word or two.
    pub subject: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What was found, with the reason where it is not as it should be.
    pub found: String,
    /// What to do next; `None` where there is nothing to do.
    pub next: Option<String>,
    /// The SQL that mends it, for whoever looks after the database.
    pub statement: Option<String>,
}

impl Probe {
    /// A probe that is as it should be.
    pub fn ok(subject: &'static str, found: impl Into<String>) -> Self {
        Probe {
            subject,
            verdict: Verdict::Ok,
            found: found.into(),
            next: None,
            statement: None,
        }
    }

    /// A probe that somebody should look at.
    pub fn warn(subject: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Probe {
            verdict: Verdict::Warn,
            next: Some(next.into()),
            ..Probe::ok(subject, found)
        }
    }

    /// A probe for which a run would fail.
    pub fn fail(subject: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Probe {
            verdict: Verdict::Fail,
            ..Probe::warn(subject, found, next)
        }
    }

    /// A probe that met what a run would fail with.
    pub fn failed(subject: &'static str, message: &Message) -> Self {
        Probe::fail(
            subject,
            format!("CSC{:04} {}: {}", message.code, message.what, message.why),
            message.next(),
        )
    }

    /// The same with the SQL that mends it.
    #[must_use]
    pub fn mended_by(mut self, statement: impl Into<String>) -> Self {
        self.statement = Some(statement.into());
        self
    }
}

/// How the program ends: the numbers that a scheduler watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, also when there was nothing to do.
    Done,
    /// Some records were refused, or a check that was asked for failed.
    Refused,
    /// Usage or configuration.
    Configuration,
    /// The database.
    Database,
    /// The receiver or its token endpoint is not reachable or does not allow it.
    Receiver,
    /// Another run is active on this table.
    Busy,
    /// Stopped by a safety rule.
    Safety,
    /// Interrupted by Ctrl-C.
    Interrupted,
}

impl Exit {
    /// Every exit, in the order of their numbers.
    pub const ALL: [Exit; 8] = [
        Exit::Done,
        Exit::Refused,
        Exit::Configuration,
        Exit::Database,
        Exit::Receiver,
        Exit::Busy,
        Exit::Safety,
        Exit::Interrupted,
    ];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Configuration => 2,
            Exit::Database => 3,
            Exit::Receiver => 4,
            Exit::Busy => 5,
            Exit::Safety => 6,
            Exit::Interrupted => 130,
        }
    }

    /// What the code means, for `--help` and the pages of documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done (also when there was nothing to do)",
            Exit::Refused => "some records were refused, or a check failed",
            Exit::Configuration => "usage or configuration",
            Exit::Database => "the database",
            Exit::Receiver => "the receiver or its token endpoint: not reachable or not allowed",
            Exit::Busy => "another run is active on this table",
            Exit::Safety => "stopped by a safety rule",
            Exit::Interrupted => "interrupted (Ctrl-C)",
        }
    }

    /// The exit that a message's number stands for: its hundreds.
    fn of_code(code: u16) -> Exit {
        Exit::ALL
            .into_iter()
            .find(|exit| u16::from(exit.code()) == code / 100)
            .unwrap_or(Exit::Configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codes_hundreds_are_the_exit_code() {
        for exit in Exit::ALL {
            let message = Message::new(u16::from(exit.code()) * 100 + 7, "a", "b", "c");
            assert_eq!(message.exit(), exit);
        }
    }

    #[test]
    fn a_message_prints_its_three_parts() {
        let message = Message::new(301, "cannot open x", "it is locked", "close it");
        assert_eq!(
            message.to_string(),
            "CSC0301 cannot open x\n  why:  it is locked\n  next: close it"
        );
    }
}
