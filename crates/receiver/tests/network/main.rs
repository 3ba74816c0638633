//! libcurl as the program sets it up, against sockets that behave badly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    missing_docs
)]

mod limits;
mod no_proxy;
mod proxy;
mod redirects;
mod server;
