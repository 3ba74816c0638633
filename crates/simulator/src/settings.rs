//! What a simulator is set up with: its credentials, whose children it takes,
//! what it keeps.

use std::time::Duration;

use secrecy::SecretString;

use crate::fault::FaultOrder;

/// The base path of the DfE's test receiver, below which a simulator on a port
/// is announced. Any other base path works too.
pub const API_PATH: &str = "/children-in-social-care-data-receiver-test/1";

/// The path of the token endpoint that a simulator on a port is announced with.
/// Any other tenant works too.
pub const TOKEN_PATH: &str = "/simulated-tenant/oauth2/v2.0/token";

/// The client id of [`Settings::default`].
pub const CLIENT_ID: &str = "simulated-client";

/// The client secret of [`Settings::default`]. Not a secret: it opens nothing
/// but a simulator.
pub const CLIENT_SECRET: &str = "simulated-client-secret";

/// The primary supplier key of [`Settings::default`].
pub const SUPPLIER_KEY: &str = "simulated-primary-key";

/// The secondary supplier key of [`Settings::default`].
pub const SUPPLIER_KEY_SECONDARY: &str = "simulated-secondary-key";

/// A scope that the token endpoint takes; any that ends in `/.default` will do.
pub const SCOPE: &str = "api://simulated-receiver/.default";

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The client id that the token endpoint knows.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// The subscription's primary key (header `SupplierKey`).
    pub supplier_key: SecretString,
    /// The subscription's secondary key, where there is one; either is accepted.
    pub supplier_key_secondary: Option<SecretString>,
    /// The only authority whose children are taken, three digits; another's get
    /// a 403. `None` takes any authority's.
    pub la_code: Option<String>,
    /// How long a token is valid, and its `expires_in`. Whole seconds.
    pub token_lifetime: Duration,
    /// Whether children's records are kept, and deltas applied to them. Without
    /// it memory stays the same however many children are sent, only
    /// [`Counts`](crate::Counts) are kept, and a record is read no further than
    /// its `la_child_id` and `purge`.
    pub hold_records: bool,
    /// How many of the latest requests `/state` lists.
    pub requests_listed: usize,
    /// The faults ordered, in the order in which they are considered.
    pub faults: Vec<FaultOrder>,
}

impl Default for Settings {
    /// The credentials of this module's constants, tokens of 3599 seconds as
    /// Entra ID issues them, any authority, records kept, no faults.
    fn default() -> Self {
        Settings {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.into(),
            supplier_key: SUPPLIER_KEY.into(),
            supplier_key_secondary: Some(SUPPLIER_KEY_SECONDARY.into()),
            la_code: None,
            token_lifetime: Duration::from_secs(3599),
            hold_records: true,
            requests_listed: 200,
            faults: Vec::new(),
        }
    }
}
