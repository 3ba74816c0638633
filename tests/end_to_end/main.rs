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
mod check;
#[cfg(target_os = "linux")]
mod clock;
mod damage;
mod fakes;
mod fault_matrix;
mod faulty;
#[cfg(target_os = "linux")]
mod full_disk;
mod gate;
mod hostile;
mod import;
#[cfg(all(unix, feature = "kerberos"))]
mod kerberos;
mod kills;
mod logs;
#[cfg(target_os = "linux")]
mod on_disk;
mod outages;
#[cfg(unix)]
mod own_postgres;
mod place;
mod postgres;
mod printed;
#[cfg(unix)]
mod proxies;
mod replies;
mod reports;
#[cfg(unix)]
mod restarts;
mod runs;
mod safety_rules;
mod scheduling;
#[cfg(target_os = "linux")]
mod secrets;
mod sql_server;
#[cfg(unix)]
mod squid;
#[cfg(target_os = "linux")]
mod system_calls;
mod table;
mod tls_front;
mod trust;
mod two_runs;
mod validate;
mod watched;
