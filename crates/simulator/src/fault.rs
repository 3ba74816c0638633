//! Faults to order: `name[=value][,every=N][,times=N][,after=N]`.
//!
//! One order is one fault with the occasions on which it strikes. What there is
//! to order stands in one table (`known`), which the parser, its errors and
//! `--help` take it from.

mod grammar;
mod known;

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

pub use grammar::FaultOrderError;
pub use known::fault_help;

/// One fault, and when it strikes. Made from the words of `--fault` (see
/// [`fault_help`]); prints as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOrder {
    words: String,
    pub(crate) trouble: Trouble,
    pub(crate) when: When,
}

impl fmt::Display for FaultOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// On which of a fault's occasions it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    /// So many occasions are let pass first.
    pub after: u64,
    /// From then on every so-manieth is struck.
    pub every: NonZeroU64,
    /// At most so many are struck.
    pub times: Option<u64>,
}

/// What goes wrong, sorted by who in the receiver's chain makes it go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The gateway, before anything is looked at.
    Gateway(Gateway),
    /// The reply comes late.
    Slow(Duration),
    /// The primary supplier key is no longer valid.
    RevokedPrimaryKey,
    /// The receiver refuses what it was sent.
    Refuse(Refuse),
    /// The batch is accepted, and the reply does not say so.
    Lost(Lost),
    /// The receipts' form.
    Receipts(Form),
    /// The form of a refusal's detail.
    Detail(Form),
    /// A token ends early.
    TokenExpiry(Expiry),
    /// The token endpoint fails with that status.
    TokenStatus(u16),
}

/// What a gateway does in the receiver's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Replies with that status.
    Status(u16, Option<RetryAfter>),
    /// Resets the connection.
    Reset,
    /// The firewall's 403.
    Forbid,
    /// A 302 to that address.
    Redirect(String),
    /// A 200 with a page in HTML.
    Html,
    /// A 204.
    NoContent,
    /// A 413 for bodies of more bytes than that.
    MaxBytes(usize),
}

/// How long a `Retry-After` says to wait, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    /// As a number.
    Seconds(u32),
    /// As the HTTP date that is so many seconds away.
    HttpDate(u32),
}

/// What the receiver refuses with a 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refuse {
    /// Each batch with the child of that `la_child_id`.
    Child(String, Naming),
    /// Every batch, for no reason that a record explains.
    All,
}

/// How a refusal names the record that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By its index.
    Index,
    /// Not at all.
    None,
    /// By indices that the batch doesn't have.
    Nonsense,
}

/// How the reply to an accepted batch is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The connection drops.
    Drop,
    /// The body can't be read.
    Garbage,
    /// One receipt is missing.
    ReceiptShort,
}

/// A list, or its textual form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON.
    Json,
    /// Plain text.
    Text,
}

/// When a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// After so many submissions, whatever `expires_in` says.
    Submissions(u64),
    /// After so many seconds, and `expires_in` says so.
    Seconds(u32),
}
