//! Which program this is: its version, the commit that it was built from, and when. See
//! build.rs.

/// E.g. `0.1.0 (commit 1a2b3c4d5e6f, built 2026-11-24)`.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("CSC_SENDER_COMMIT"),
    ", built ",
    env!("CSC_SENDER_BUILT"),
    ")"
);
