//! What only Windows' own calls can do: access lists of files and folders, and the
//! system's proxies with their configuration script (PAC).
//!
//! `system` is the one module of the workspace with `unsafe` in it; what it gives is
//! safe. What follows from it is plain code, and is tested on every system.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod access;
pub mod proxy;

#[cfg(windows)]
mod limit;
#[cfg(windows)]
mod system;
