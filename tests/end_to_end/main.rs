//! The built program against the simulator over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs
)]

mod a_month;
mod canary;
mod fault_matrix;
mod faulty;
mod kills;
mod place;
mod postgres;
mod printed;
mod replies;
mod runs;
mod safety_rules;
#[cfg(target_os = "linux")]
mod secrets;
#[cfg(target_os = "linux")]
mod system_calls;
mod table;
mod validate;
