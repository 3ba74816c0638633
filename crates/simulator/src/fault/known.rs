//! What there is to order.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Expiry, Form, Gateway, Lost, Naming, Refuse, RetryAfter, Trouble};

/// A fault that can be ordered.
pub(super) struct Known {
    pub name: &'static str,
    /// Its name and value as they are written.
    pub usage: &'static str,
    /// Who in the chain it comes from.
    stage: Stage,
    /// What it does, and what its occasions are.
    does: &'static str,
    /// Reads its value; `None` when it can't be read.
    pub read: fn(Option<&str>) -> Option<Trouble>,
}

/// Who in the chain a fault comes from, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Gateway,
    Keys,
    Refusal,
    Reply,
    Alongside,
    Token,
}

impl Stage {
    const ALL: [Stage; 6] = [
        Stage::Gateway,
        Stage::Keys,
        Stage::Refusal,
        Stage::Reply,
        Stage::Alongside,
        Stage::Token,
    ];

    fn heading(self) -> &'static str {
        match self {
            Stage::Gateway => "In front of the receiver, before keys and tokens are looked at:",
            Stage::Keys => "Keys:",
            Stage::Refusal => "Batches that are otherwise in order:",
            Stage::Reply => "Batches that were accepted:",
            Stage::Alongside => "Along with any other:",
            Stage::Token => "The token endpoint:",
        }
    }
}

/// Where a redirect leads when no address is given. `.invalid` never resolves.
pub(super) const NOWHERE: &str = "https://elsewhere.invalid/login";

pub(super) static KNOWN: &[Known] = &[
    Known {
        name: "status",
        stage: Stage::Gateway,
        usage: "status=CODE",
        does: "a submission gets that status (200 to 599) and is not taken",
        read: |value| Some(Trouble::Gateway(Gateway::Status(status(value?)?, None))),
    },
    Known {
        name: "429",
        stage: Stage::Gateway,
        usage: "429[=WAIT]",
        does: "429, with that Retry-After or none",
        read: |value| {
            let wait = match value {
                Some(value) => Some(retry_after(value)?),
                None => None,
            };
            Some(Trouble::Gateway(Gateway::Status(429, wait)))
        },
    },
    Known {
        name: "reset",
        stage: Stage::Gateway,
        usage: "reset",
        does: "the connection is reset, and the batch not taken",
        read: |value| bare(value, Trouble::Gateway(Gateway::Reset)),
    },
    Known {
        name: "forbid",
        stage: Stage::Gateway,
        usage: "forbid",
        does: "403, a firewall's page",
        read: |value| bare(value, Trouble::Gateway(Gateway::Forbid)),
    },
    Known {
        name: "redirect",
        stage: Stage::Gateway,
        usage: "redirect[=URL]",
        does: "302 to that address",
        read: |value| {
            let to = value.unwrap_or(NOWHERE);
            let sendable = !to.is_empty() && to.bytes().all(|b| b.is_ascii_graphic());
            sendable.then(|| Trouble::Gateway(Gateway::Redirect(to.to_owned())))
        },
    },
    Known {
        name: "html",
        stage: Stage::Gateway,
        usage: "html",
        does: "200 with a page in HTML, and the batch not taken",
        read: |value| bare(value, Trouble::Gateway(Gateway::Html)),
    },
    Known {
        name: "no-content",
        stage: Stage::Gateway,
        usage: "no-content",
        does: "204, and the batch not taken",
        read: |value| bare(value, Trouble::Gateway(Gateway::NoContent)),
    },
    Known {
        name: "max-bytes",
        stage: Stage::Gateway,
        usage: "max-bytes=N",
        does: "413 for a submission of more than N bytes",
        read: |value| Some(Trouble::Gateway(Gateway::MaxBytes(value?.parse().ok()?))),
    },
    Known {
        name: "slow",
        stage: Stage::Alongside,
        usage: "slow=MS",
        does: "the batch is judged at once, the reply comes so many milliseconds later",
        read: |value| {
            let wait = Duration::from_millis(value?.parse::<u32>().ok()?.into());
            Some(Trouble::Slow(wait))
        },
    },
    Known {
        name: "revoke-primary-key",
        stage: Stage::Keys,
        usage: "revoke-primary-key",
        does: "401 for a submission with the primary supplier key",
        read: |value| bare(value, Trouble::RevokedPrimaryKey),
    },
    Known {
        name: "refuse",
        stage: Stage::Refusal,
        usage: "refuse=CHILD",
        does: "400 for a batch with that la_child_id, naming its index",
        read: |value| child(value, Naming::Index),
    },
    Known {
        name: "refuse-unnamed",
        stage: Stage::Refusal,
        usage: "refuse-unnamed=CHILD",
        does: "the same without an index",
        read: |value| child(value, Naming::None),
    },
    Known {
        name: "refuse-nonsense",
        stage: Stage::Refusal,
        usage: "refuse-nonsense=CHILD",
        does: "the same with indices that the batch doesn't have",
        read: |value| child(value, Naming::Nonsense),
    },
    Known {
        name: "refuse-all",
        stage: Stage::Refusal,
        usage: "refuse-all",
        does: "400 for every batch, without an index",
        read: |value| bare(value, Trouble::Refuse(Refuse::All)),
    },
    Known {
        name: "drop",
        stage: Stage::Reply,
        usage: "drop",
        does: "the batch is accepted, then the connection closed without a reply",
        read: |value| bare(value, Trouble::Lost(Lost::Drop)),
    },
    Known {
        name: "garbage",
        stage: Stage::Reply,
        usage: "garbage",
        does: "the batch is accepted, and the 200's body unreadable",
        read: |value| bare(value, Trouble::Lost(Lost::Garbage)),
    },
    Known {
        name: "receipts-short",
        stage: Stage::Reply,
        usage: "receipts-short",
        does: "the batch is accepted, and its last receipt missing",
        read: |value| bare(value, Trouble::Lost(Lost::ReceiptShort)),
    },
    Known {
        name: "receipts",
        stage: Stage::Alongside,
        usage: "receipts=json|text",
        does: "the form of an accepted batch's receipts (json unless ordered)",
        read: |value| Some(Trouble::Receipts(form(value?)?)),
    },
    Known {
        name: "detail",
        stage: Stage::Alongside,
        usage: "detail=json|text",
        does: "the form of a 400's detail (json unless ordered)",
        read: |value| Some(Trouble::Detail(form(value?)?)),
    },
    Known {
        name: "expire-tokens",
        stage: Stage::Token,
        usage: "expire-tokens[=N | =Ns]",
        does: "a new token is good for N submissions (1), or for N seconds",
        read: |value| {
            let expiry = match value.unwrap_or("1") {
                seconds if seconds.ends_with('s') => {
                    Expiry::Seconds(seconds.strip_suffix('s')?.parse().ok()?)
                }
                submissions => Expiry::Submissions(submissions.parse().ok()?),
            };
            Some(Trouble::TokenExpiry(expiry))
        },
    },
    Known {
        name: "token-status",
        stage: Stage::Token,
        usage: "token-status=CODE",
        does: "a token request gets that status",
        read: |value| Some(Trouble::TokenStatus(status(value?)?)),
    },
];

/// The grammar and the list of faults, for `--help`.
pub fn fault_help() -> &'static str {
    static HELP: LazyLock<String> = LazyLock::new(|| {
        let mut help = HEAD.to_owned();
        let width = KNOWN.iter().map(|known| known.usage.len()).max();
        let width = width.unwrap_or_default();
        for stage in Stage::ALL {
            help += &format!("\n{}\n", stage.heading());
            for known in KNOWN.iter().filter(|known| known.stage == stage) {
                help += &format!("  {:width$}  {}\n", known.usage, known.does);
            }
        }
        help
    });
    &HELP
}

const HEAD: &str = "\
Faults: NAME[=VALUE][,every=N][,times=N][,after=N], e.g. status=503,every=3.
status and 429 also take ,retry-after=WAIT; a WAIT is SECONDS, or http-date:SECONDS
for the date so far away.

A fault has occasions, the requests that its line below speaks of. after=N lets
the first N of them pass; from there on every=N strikes each N-th; times=N stops
after N strikes. Without options each occasion is struck. Several may be ordered:
the stages below are asked from the top, within a stage in the order given, and
the first fault that strikes decides. One that was not asked counts no occasion.
";

pub(super) fn retry_after(value: &str) -> Option<RetryAfter> {
    match value.strip_prefix("http-date:") {
        Some(seconds) => seconds.parse().ok().map(RetryAfter::HttpDate),
        None => value.parse().ok().map(RetryAfter::Seconds),
    }
}

/// A reply's status that can be ordered: 1xx are no replies.
fn status(value: &str) -> Option<u16> {
    let status = value.parse().ok()?;
    (200..=599).contains(&status).then_some(status)
}

fn form(value: &str) -> Option<Form> {
    match value {
        "json" => Some(Form::Json),
        "text" => Some(Form::Text),
        _ => None,
    }
}

fn child(value: Option<&str>, naming: Naming) -> Option<Trouble> {
    let id = value.filter(|id| !id.is_empty())?;
    Some(Trouble::Refuse(Refuse::Child(id.to_owned(), naming)))
}

/// The fault itself where there is no value.
fn bare(value: Option<&str>, trouble: Trouble) -> Option<Trouble> {
    value.is_none().then_some(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_shows_each_fault_once_with_what_it_does() {
        for known in KNOWN {
            let lines = fault_help()
                .lines()
                .filter(|line| line.trim_start().starts_with(&format!("{} ", known.usage)))
                .filter(|line| line.ends_with(known.does));
            assert_eq!(lines.count(), 1, "{}", known.usage);
            assert!(known.usage.starts_with(known.name));
        }
    }

    #[test]
    fn the_help_fits_a_terminal_of_100_columns() {
        for line in fault_help().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
