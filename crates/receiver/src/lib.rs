//! The DfE receiver's client: token, transport, submission, receipts, and what
//! each reply means. It knows nothing of tables, and decides nothing about
//! retries: it says what a reply means, the run decides what to do.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod certificate;
mod client;
mod curl;
mod meaning;
pub mod proxy;
mod receipt;
mod refusal;
mod retry_after;
mod struck_out;
mod token;
mod token_facts;
mod transport;
mod trust;
mod way;
mod words;

pub use client::{Answer, Client, ClientOptions, Submitted, body_of};
pub use curl::{CurlTransport, NetworkOptions};
pub use meaning::{Meaning, RunEnd, Trouble, meaning};
pub use receipt::{Receipt, ReceiptFault, receipts};
pub use refusal::refused_records;
pub use retry_after::retry_after;
pub use token::TokenFault;
pub use token_facts::TokenFacts;
pub use transport::{Fault, FaultKind, Method, Reply, Request, Transport};
pub use trust::{CaBundle, CaBundleFault};
pub use way::{Way, examine_way};
pub use words::Words;
