//! Unique pupil numbers: a check letter and twelve digits, of which the first three are
//! the authority's (the DfE's guide to UPNs).

/// The check letters in the order of their values.
const LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPQRTUVWXYZ";

/// The number with these twelve digits: digit 2 counts twice, digit 3 three times, and so
/// on; what the sum leaves when it is divided by 23 is the letter.
pub(super) fn with_digits(digits: [u8; 12]) -> String {
    let sum: usize = digits
        .iter()
        .enumerate()
        .map(|(at, digit)| usize::from(*digit) * (at + 2))
        .sum();
    let digits: String = digits
        .iter()
        .map(|digit| char::from(b'0' + digit))
        .collect();
    format!("{}{digits}", char::from(LETTERS[sum % 23]))
}

/// Whether a text is a whole number with the right letter, of no authority that there is:
/// those of authorities begin with 2 to 9.
pub(super) fn is_of_nobody(text: &str) -> bool {
    let bytes: Option<&[u8; 13]> = text.as_bytes().try_into().ok();
    bytes.is_some_and(|bytes| {
        let mut digits = [0; 12];
        for (digit, byte) in digits.iter_mut().zip(&bytes[1..]) {
            if !byte.is_ascii_digit() {
                return false;
            }
            *digit = byte - b'0';
        }
        digits[0] == 0 && with_digits(digits) == text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_is_that_of_the_guide() {
        // 2·8 + 3·0 + 4·1 + 5·2 + 6·0 + 7·0 + 8·0 + 9·1 + 10·1 + 11·2 + 12·0 + 13·1 = 84,
        // which leaves 15.
        assert_eq!(
            with_digits([8, 0, 1, 2, 0, 0, 0, 1, 1, 2, 0, 1]),
            "R801200011201"
        );
        assert_eq!(with_digits([0; 12]), "A000000000000");
    }

    #[test]
    fn a_number_of_nobodys_is_told_by_its_letter_and_its_authority() {
        assert!(is_of_nobody("A000000000000"));
        for other in [
            "B000000000000",
            "R801200011201",
            "A00000000000",
            "A0000000é0000",
            "",
        ] {
            assert!(!is_of_nobody(other), "{other}");
        }
    }
}
