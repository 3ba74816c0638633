//! The simulator, asked as a client asks: the core without sockets, and both faces.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod asking;
mod concurrency;
mod faces;
mod faults;
mod rules;
mod socket;
mod state;
mod tokens;
