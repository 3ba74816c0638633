//! What this server's HASHBYTES gives, found out once by a text whose hash is known.

use csc_digest::sha256;
use csc_message::Message;

use super::messages::database_place;
use super::session::{Session, Statement};
use super::values::{Row, Value, from_utf16};
use crate::{RowKey, StoreError, StoreErrorKind};

/// Over which bytes of an NVARCHAR this server's HASHBYTES goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashedAs {
    /// SQL Server: as it is stored.
    Utf16,
    /// Babelfish.
    Utf8,
}

impl HashedAs {
    /// A key for a row as it was read. `payload` is its text as the server keeps it.
    pub(super) fn key(self, id: i64, row_state: Option<String>, payload: &[u8]) -> RowKey {
        match self {
            HashedAs::Utf16 => RowKey::of_bytes(id, row_state, payload),
            HashedAs::Utf8 => {
                let text = from_utf16(payload).unwrap_or_default();
                RowKey::new(id, row_state, text.as_bytes(), None)
            }
        }
    }

    /// Longer than the 8,000 bytes that HASHBYTES took before SQL Server 2016, and
    /// with characters of every length.
    pub(super) fn known_text() -> String {
        "aé€😀".repeat(2000)
    }

    /// What the hash of the known text says.
    fn of(hash: &[u8]) -> Option<HashedAs> {
        let text = Self::known_text();
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        if hash == sha256(utf16) {
            Some(HashedAs::Utf16)
        } else if hash == sha256(text) {
            Some(HashedAs::Utf8)
        } else {
            None
        }
    }
}

/// Has the server hash the known text.
pub(super) async fn hashed_as(session: &mut Session) -> Result<HashedAs, StoreError> {
    let hash = session
        .ask(
            "see how the server hashes",
            |_| {
                let text = Value::Text(Some(HashedAs::known_text()));
                Statement::new("SELECT HASHBYTES('SHA2_256', @P1)", vec![text])
            },
            |mut row: Row| row.bytes(0),
        )
        .await;
    let why = match hash {
        Ok(hash) => match hash.first().and_then(|hash| HashedAs::of(hash)) {
            Some(hashed_as) => return Ok(hashed_as),
            None => "its HASHBYTES gives something that is no SHA-256 of a known text".to_string(),
        },
        Err(error) => match error.kind {
            StoreErrorKind::Statement => {
                format!("its HASHBYTES does not take it: {}", error.message.why())
            }
            StoreErrorKind::Busy | StoreErrorKind::Connection | StoreErrorKind::Table => {
                return Err(error);
            }
        },
    };
    Err(StoreError::new(
        StoreErrorKind::Statement,
        Message::new(
            325,
            format!(
                "Cannot compare payloads in {}",
                database_place(session.target())
            ),
            format!(
                "{why}; a row is recorded only where its whole payload still is the one that was \
                 sent, which the server compares by its SHA-256"
            ),
            "use SQL Server 2016 or later (before, HASHBYTES took 8,000 bytes), or show this \
             message to your DBA",
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_texts_hash_tells_the_encoding_and_a_key_is_made_of_it() {
        let text = HashedAs::known_text();
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(utf16.len() > 8000);
        for (bytes, expected) in [
            (utf16.as_slice(), Some(HashedAs::Utf16)),
            (text.as_bytes(), Some(HashedAs::Utf8)),
            (&utf16[..8000], None),
        ] {
            let hashed_as = HashedAs::of(&sha256(bytes));
            assert_eq!(hashed_as, expected);
            if let Some(hashed_as) = hashed_as {
                assert_eq!(hashed_as.key(1, None, &utf16).digest, sha256(bytes));
            }
        }
    }
}
