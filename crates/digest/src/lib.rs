//! SHA-256, the one hash that records, rows and receipts are told apart by.
//!
//! Every record of a run is hashed twice: as it stands in its row, and by what it means. By
//! ring, which rustls brings along: on processors with instructions for SHA-256 it takes as
//! long as the `sha2` crate, on those without, as many servers are, little more than half.

use ring::digest::{SHA256, digest};

/// The SHA-256 of some bytes (FIPS 180-4).
pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes.as_ref()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn the_standards_own_example_has_its_hash() {
        let expected = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61,
            0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(sha256("abc"), expected);
    }

    proptest! {
        #[test]
        fn another_implementation_says_the_same(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            let expected: [u8; 32] = sha2::Sha256::digest(&bytes).into();
            prop_assert_eq!(sha256(&bytes), expected);
        }
    }
}
