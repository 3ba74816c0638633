//! Values as they travel: what a statement is given, and what its rows hold.

use mssql_tds::datatypes::column_values::ColumnValues;
use mssql_tds::datatypes::sql_string::SqlString;
use mssql_tds::datatypes::sqltypes::SqlType;
use mssql_tds::message::parameters::rpc_parameters::{RpcParameter, StatusFlags};

/// The longest text that is not of a MAX type, in UTF-16 units.
const LONGEST_WORD: u16 = 4000;

/// A value that a statement is given. Every kind has one declared type whatever the
/// value, so that the server makes one plan for a statement and keeps it.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    /// BIGINT.
    Number(i64),
    /// NVARCHAR(4000).
    Word(Option<String>),
    /// NVARCHAR(MAX).
    Text(Option<String>),
    /// VARBINARY(32).
    Digest(Option<[u8; 32]>),
    /// VARBINARY(MAX).
    Packed(Vec<u8>),
}

impl Value {
    /// As the driver takes it; the parameters of a statement are @P1, @P2, ….
    pub(super) fn parameter(self, number: usize) -> RpcParameter {
        let text = |text: Option<String>| text.map(SqlString::from_utf8_string);
        let value = match self {
            Value::Number(number) => SqlType::BigInt(Some(number)),
            Value::Word(word) => SqlType::NVarchar(text(word), LONGEST_WORD),
            Value::Text(words) => SqlType::NVarcharMax(text(words)),
            Value::Digest(digest) => SqlType::VarBinary(digest.map(|d| d.to_vec()), 32),
            Value::Packed(bytes) => SqlType::VarBinaryMax(Some(bytes)),
        };
        RpcParameter::new(Some(format!("@P{number}")), StatusFlags::NONE, value)
    }
}

/// One row of an answer.
pub(super) struct Row(Vec<ColumnValues>);

impl Row {
    pub(super) fn new(values: Vec<ColumnValues>) -> Self {
        Row(values)
    }

    fn take(&mut self, column: usize) -> ColumnValues {
        self.0.get_mut(column).map_or(ColumnValues::Null, |value| {
            std::mem::replace(value, ColumnValues::Null)
        })
    }

    /// A whole number of any width.
    pub(super) fn number(&mut self, column: usize) -> Option<i64> {
        match self.take(column) {
            ColumnValues::TinyInt(number) => Some(number.into()),
            ColumnValues::SmallInt(number) => Some(number.into()),
            ColumnValues::Int(number) => Some(number.into()),
            ColumnValues::BigInt(number) => Some(number),
            _ => None,
        }
    }

    /// A text, with what cannot be read in it replaced. `None` for NULL.
    pub(super) fn text(&mut self, column: usize) -> Option<String> {
        let bytes = self.utf16(column)?;
        let units = units(&bytes);
        Some(
            char::decode_utf16(units)
                .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        )
    }

    /// A text as the server keeps it: UTF-16, low byte first. `None` for NULL.
    pub(super) fn utf16(&mut self, column: usize) -> Option<Vec<u8>> {
        match self.take(column) {
            ColumnValues::String(text) if text.is_utf16() => Some(text.into_parts().0),
            // Every text is asked for as NVARCHAR; this one is the server's own (a date
            // in words).
            ColumnValues::String(text) => {
                Some(SqlString::from_utf8_string(text.to_utf8_string()).bytes)
            }
            _ => None,
        }
    }

    /// Bytes. `None` for NULL.
    pub(super) fn bytes(&mut self, column: usize) -> Option<Vec<u8>> {
        match self.take(column) {
            ColumnValues::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

/// A text's characters; `None` where half of a surrogate pair stands alone, so that it
/// is no text in any other encoding.
pub(super) fn from_utf16(bytes: &[u8]) -> Option<String> {
    char::decode_utf16(units(bytes))
        .collect::<Result<_, _>>()
        .ok()
}

/// As much of a text as a column of so many UTF-16 units takes, and never half of a
/// character: NVARCHAR(500) counts a character outside the basic plane as two.
pub(super) fn cut(text: &str, limit: Option<usize>) -> &str {
    let Some(limit) = limit else { return text };
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.len_utf16();
        if used > limit {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_units_and_never_inside_a_character() {
        for (text, limit, expected) in [
            ("añ€😀z", Some(3), "añ€"),
            ("añ€😀z", Some(4), "añ€"),
            ("añ€😀z", Some(5), "añ€😀"),
            ("añ€😀z", Some(6), "añ€😀z"),
            ("añ€😀z", Some(50), "añ€😀z"),
            ("añ€😀z", Some(0), ""),
            ("añ€😀z", None, "añ€😀z"),
        ] {
            let shown = cut(text, limit);
            assert_eq!(shown, expected, "{limit:?}");
            assert!(limit.is_none_or(|limit| shown.encode_utf16().count() <= limit));
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        let whole = SqlString::from_utf8_string("a😀".into()).bytes;
        assert_eq!(from_utf16(&whole).as_deref(), Some("a😀"));
        assert_eq!(from_utf16(&whole[..4]), None);
        assert_eq!(from_utf16(&[]).as_deref(), Some(""));
        let mut row = Row::new(vec![ColumnValues::String(SqlString::new(
            whole[..4].to_vec(),
            mssql_tds::datatypes::sql_string::EncodingType::Utf16,
        ))]);
        assert_eq!(row.text(0).as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn a_value_that_is_not_there_is_none() {
        let mut row = Row::new(vec![ColumnValues::Null, ColumnValues::Int(7)]);
        assert_eq!(row.text(0), None);
        assert_eq!(row.number(0), None);
        assert_eq!(row.number(1), Some(7));
        assert_eq!(row.bytes(9), None);
    }
}
