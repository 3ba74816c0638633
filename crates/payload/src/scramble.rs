//! Real records made unrecognisable, with their structure kept.
//!
//! A scrambled record has the fields of the record that it was made of, and none of
//! their values. What each field gets instead is a closed list (see [`Scrambler`]); what
//! the specification doesn't have is left out, since nobody can know that it is harmless.
//! [`Ids`] replaces identifiers, [`check()`] holds the result against the source without
//! trusting whoever made it.
//!
//! - Identifiers: HMAC-SHA256 under a fresh [`Key`], cut to their length. The same one is
//!   replaced by the same text wherever it stands; two different ones never are.
//! - Dates: a number of days earlier that is one child's own, the same for all of them.
//! - Names, postcodes, codes, flags, scores: drawn anew.
//! - Distances between dates and how many items there are stay. Whoever knows a child's
//!   case well may know it again by them: a scrambled table is still not for everybody.

mod check;
mod fields;
mod ids;
mod record;
mod upn;

pub use check::{Doubt, Doubtful, check};
pub use ids::{Crowded, Gathering, Ids, Key, MOST_IDS};
pub use record::{Scramble, Scrambled, Scrambler, Source, Unfit};

#[cfg(test)]
mod tests;
