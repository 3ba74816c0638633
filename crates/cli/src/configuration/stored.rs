//! Secrets that the system's own store keeps: the weakest source, and the only one that
//! can be slow, locked or missing. So it is asked for a setting only where nothing else
//! gives it and it is needed, and once.

use secrecy::ExposeSecret;

use super::{Config, Found, Key, Source};
use crate::secret_store;

/// What the system's store says of a secret. No `Debug`: it may hold it.
pub enum Stored {
    /// It has it.
    Kept(Found),
    /// It has none, or this is no secret.
    Absent,
    /// It could not be asked, or not all of it; why.
    Unknown(String),
}

impl Config {
    /// What the system's store says of a setting.
    pub(super) fn stored(&self, key: Key) -> &Stored {
        match self.stored.get(&key) {
            Some(cell) => cell.get_or_init(|| self.look_up(key)),
            None => &Stored::Absent,
        }
    }

    /// What it said, where it was asked already.
    pub(super) fn looked_up(&self, key: Key) -> Option<&Stored> {
        self.stored.get(&key).and_then(|cell| cell.get())
    }

    fn look_up(&self, key: Key) -> Stored {
        let mut answer = self.secrets.find(key.name());
        match answer.found.pop() {
            Some((kind, value)) => Stored::Kept(Found {
                source: Source::SystemStore(kind),
                value: value.expose_secret().to_string(),
            }),
            None if answer.faults.is_empty() => Stored::Absent,
            None => Stored::Unknown(secret_store::all(&answer.faults)),
        }
    }
}
