//! A receiver of our own: the DfE's token and children endpoints, what they hold
//! per child, and faults to order.
//!
//! [`Simulator`] is the whole of it, without sockets or a clock: a request and
//! the time go in, an [`Action`] comes out. It has two faces that answer alike:
//! [`serve`] puts it on a loopback port, and [`InProcess`] is a
//! [`Transport`](csc_receiver::Transport), so testing mode opens no socket.
//!
//! Endpoints, with any path before them:
//! - `POST …/{tenant}/oauth2/v2.0/token`, as Microsoft Entra ID answers;
//! - `POST …/children_social_care_data/{la_code}/children`;
//! - `GET /state`, what it holds and what it saw, as JSON (see
//!   [`Simulator::answer`]).
//!
//! Its rules are those of the reference page on the receiver, and where that page
//! says "refused" it refuses: a client that gets through here has kept the
//! published contract. It never holds, shows or logs a secret beyond its own
//! [`Settings`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod exchange;
mod fault;
mod held;
mod in_process;
mod judge;
mod orders;
mod receipt;
mod refusal;
mod seen;
mod serve;
mod settings;
mod simulator;
mod submission;
mod token;

pub use exchange::{Action, Answer, IncomingRequest};
pub use fault::{FaultOrder, FaultOrderError, fault_help};
pub use held::Counts;
pub use in_process::InProcess;
pub use serve::{Running, ServeError, serve};
pub use settings::{
    API_PATH, CLIENT_ID, CLIENT_SECRET, SCOPE, SUPPLIER_KEY, SUPPLIER_KEY_SECONDARY, Settings,
    TOKEN_PATH,
};
pub use simulator::Simulator;
