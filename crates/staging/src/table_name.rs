//! The staging table's name: a checked identifier, quoted by the store, never pasted.

use std::fmt;
use std::str::FromStr;

use csc_message::Message;

/// The longest part of a name, in characters: SQL Server's limit for an identifier.
const LONGEST_PART: usize = 128;

/// The name of a table, with its schema where one was given.
///
/// Each part is 1 to 128 letters (A-Z), digits and underscores, so that quoting it
/// in any dialect gives the same identifier and nothing else. The parts keep the
/// case they were written in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// Reads `table`, `schema.table`, and either with its parts quoted as SQL Server
    /// (`[schema].[table]`) or PostgreSQL (`"schema"."table"`) quote them.
    pub fn parse(text: &str) -> Result<Self, TableNameFault> {
        let mut parts = Vec::new();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(TableNameFault::Blank);
        }
        loop {
            let (part, after) = first_part(rest)?;
            check(part)?;
            parts.push(part.to_string());
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
        let name = parts.pop().ok_or(TableNameFault::Blank)?;
        let schema = parts.pop();
        if !parts.is_empty() {
            return Err(TableNameFault::TooManyParts);
        }
        Ok(TableName { schema, name })
    }

    /// The schema, where one was given.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The table's own name, without its schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is a table of fake children: its name ends in `_anon`, in any case.
    /// Every other table counts as one of real children (`staging-table.md`).
    pub fn is_anon(&self) -> bool {
        self.name.to_ascii_lowercase().ends_with("_anon")
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

impl FromStr for TableName {
    type Err = TableNameFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        TableName::parse(text)
    }
}

/// The first part of a dotted name, without its quotes, and what follows the dot.
fn first_part(text: &str) -> Result<(&str, Option<&str>), TableNameFault> {
    let text = text.trim_start();
    let (part, rest) = match text.chars().next() {
        Some(quote @ ('[' | '"')) => {
            let closing = if quote == '[' { ']' } else { '"' };
            let inner = &text[1..];
            inner
                .split_once(closing)
                .ok_or(TableNameFault::UnclosedQuote)?
        }
        Some(_) | None => {
            let end = text.find('.').unwrap_or(text.len());
            (text[..end].trim_end(), &text[end..])
        }
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Ok((part, None));
    }
    match rest.strip_prefix('.') {
        Some(after) => Ok((part, Some(after))),
        // As in `[a]b` or `"a""b"`: something other than a dot after a closing quote.
        None => Err(TableNameFault::Character(
            rest.chars().next().unwrap_or(' '),
        )),
    }
}

fn check(part: &str) -> Result<(), TableNameFault> {
    if part.is_empty() {
        return Err(TableNameFault::EmptyPart);
    }
    if let Some(other) = part
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && *c != '_')
    {
        return Err(TableNameFault::Character(other));
    }
    if part.len() > LONGEST_PART {
        return Err(TableNameFault::TooLong);
    }
    Ok(())
}

/// Why a text is not the name of a staging table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableNameFault {
    /// Nothing but white space.
    #[error("it is blank")]
    Blank,
    /// A dot with nothing before or after it.
    #[error("there is a dot with no name on one side of it")]
    EmptyPart,
    /// More than a schema and a table.
    #[error(
        "it has more than a schema and a table; the database is named by DATABASE or DB_CONNECTION_STRING"
    )]
    TooManyParts,
    /// A `[` or `"` that is not closed.
    #[error("a [ or \" in it is not closed")]
    UnclosedQuote,
    /// A character other than a letter, a digit, an underscore.
    #[error("it holds {0:?}, and only the letters A-Z, digits and _ are allowed")]
    Character(char),
    /// A part of more than 128 characters.
    #[error("a part of it is longer than {LONGEST_PART} characters, SQL Server's limit")]
    TooLong,
}

impl TableNameFault {
    /// What a person is told: CSC0240. `value` is what was given as the name.
    pub fn message(self, value: &str) -> Message {
        // A name is short. Something longer was meant for another setting, and may
        // hold what must not be shown.
        let shown = if value.chars().count() <= LONGEST_PART && !value.contains(['=', ';', '@']) {
            format!("{:?}", value.trim())
        } else {
            "the value given".to_string()
        };
        Message::new(
            240,
            format!("Not a table name: {shown}"),
            self.to_string(),
            "give TABLE_NAME as table or schema.table, e.g. ssd_api_data_staging_anon",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<(Option<String>, String), TableNameFault> {
        TableName::parse(text).map(|t| (t.schema().map(str::to_string), t.name().to_string()))
    }

    #[test]
    fn a_name_is_read_in_every_dialects_spelling() {
        let table = |name: &str| Ok((None, name.to_string()));
        let both = |schema: &str, name: &str| Ok((Some(schema.to_string()), name.to_string()));
        for (text, expected) in [
            ("ssd_api_data_staging", table("ssd_api_data_staging")),
            ("  t1 ", table("t1")),
            ("[t]", table("t")),
            ("\"t\"", table("t")),
            (
                "ssd_development.ssd_api_data_staging",
                both("ssd_development", "ssd_api_data_staging"),
            ),
            ("[dbo].[Staging]", both("dbo", "Staging")),
            ("\"dbo\".\"Staging\"", both("dbo", "Staging")),
            ("dbo.[Staging]", both("dbo", "Staging")),
            ("[dbo] . staging", both("dbo", "staging")),
            ("dbo . staging", both("dbo", "staging")),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_could_become_sql_of_its_own_is_refused() {
        for (text, expected) in [
            ("", TableNameFault::Blank),
            ("   ", TableNameFault::Blank),
            ("t; DROP TABLE x", TableNameFault::Character(';')),
            ("a b", TableNameFault::Character(' ')),
            ("[a]]b]", TableNameFault::Character(']')),
            ("\"a\"\"b\"", TableNameFault::Character('"')),
            ("[a", TableNameFault::UnclosedQuote),
            ("\"a", TableNameFault::UnclosedQuote),
            ("[a.b]", TableNameFault::Character('.')),
            ("[]", TableNameFault::EmptyPart),
            ("dbo.", TableNameFault::EmptyPart),
            (".t", TableNameFault::EmptyPart),
            ("dbo..t", TableNameFault::EmptyPart),
            ("HDM_Local.dbo.t", TableNameFault::TooManyParts),
            ("#t", TableNameFault::Character('#')),
            ("tablé", TableNameFault::Character('é')),
            ("a'b", TableNameFault::Character('\'')),
        ] {
            assert_eq!(parts(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_part_of_128_characters_is_the_longest() {
        assert!(TableName::parse(&"a".repeat(128)).is_ok());
        assert_eq!(
            TableName::parse(&"a".repeat(129)),
            Err(TableNameFault::TooLong)
        );
    }

    #[test]
    fn only_a_name_that_ends_in_anon_is_a_table_of_fake_children() {
        for (text, anon) in [
            ("ssd_api_data_staging_anon", true),
            ("dbo.SSD_API_DATA_STAGING_ANON", true),
            ("ssd_api_data_staging", false),
            ("ssd_anon.ssd_api_data_staging", false),
            ("ssd_api_data_staging_anon_2", false),
            ("anon", false),
        ] {
            assert_eq!(TableName::parse(text).unwrap().is_anon(), anon, "{text}");
        }
    }

    #[test]
    fn the_message_names_the_value_but_not_one_that_may_hold_a_password() {
        let message = TableNameFault::Character(' ').message("my table");
        assert_eq!(message.code(), 240);
        assert_eq!(message.what(), "Not a table name: \"my table\"");
        let message = TableNameFault::Character(';').message("Server=x;Pwd=hunter2");
        assert_eq!(message.what(), "Not a table name: the value given");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_every_name_reads_back(text in ".*") {
            if let Ok(table) = TableName::parse(&text) {
                proptest::prop_assert_eq!(TableName::parse(&table.to_string()), Ok(table));
            }
        }
    }
}
