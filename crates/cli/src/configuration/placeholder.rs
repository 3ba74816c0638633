//! Values that a template has in the place of real ones: somebody has not filled them in.

use super::keys::Key;

/// What the pilot's templates, and ours, have.
const PLACEHOLDERS: [&str; 11] = [
    "...",
    "…",
    "SUBSCRIPTION_PRIMARY_KEY_CODE",
    "SUBSCRIPTION_SECONDARY_KEY_CODE",
    "OAUTH_TOKEN_ENDPOINT",
    "OAUTH_CLIENT_ID_CODE",
    "NATIVE_OAUTH_PRIMARY_KEY_CODE",
    "NATIVE_OAUTH_SECONDARY_KEY_CODE",
    "OAUTH_SCOPE_LINK",
    "as supplied from dfe api portal",
    "your_3_digit_la_code",
];

/// Whether a value is a template's.
pub fn is_placeholder(key: Key, value: &str) -> bool {
    let value = value.trim();
    let is = |word: &str| value.eq_ignore_ascii_case(word);
    // A password may look like anything.
    if key == Key::DbPassword {
        return is("...") || is("<password>");
    }
    if PLACEHOLDERS.iter().any(|word| is(word))
        || (value.len() > 2 && value.starts_with('<') && value.ends_with('>'))
    {
        return true;
    }
    match key {
        Key::LaCode => value == "000",
        Key::Server => is("ESLLREPORTS00X") || is(r"SERVER\INSTANCE"),
        Key::DbConnectionString => {
            let lower = value.to_ascii_lowercase().replace(' ', "");
            [r"server=server\instance;", "server=esllreports00x;"]
                .iter()
                .any(|part| lower.contains(part))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_values_are_known_whatever_their_case() {
        for value in [
            "...",
            "SUBSCRIPTION_PRIMARY_KEY_CODE",
            "subscription_primary_key_code",
            "OAUTH_TOKEN_ENDPOINT",
            "As supplied from DfE API portal",
            "<dfe-supplied-value>",
            "<anything>",
            " your_3_digit_la_code ",
        ] {
            assert!(is_placeholder(Key::SupplierKey, value), "{value}");
        }
        assert!(is_placeholder(Key::LaCode, "000"));
        assert!(is_placeholder(
            Key::DbConnectionString,
            r"Driver={ODBC Driver 17 for SQL Server};Server=SERVER\INSTANCE;Database=HDM_Local;"
        ));
        for value in ["201", "a real key", "<", "https://x/<y>"] {
            assert!(!is_placeholder(Key::SupplierKey, value), "{value}");
        }
        assert!(!is_placeholder(Key::SupplierKey, "000"));
        assert!(!is_placeholder(Key::DbPassword, "<x>"));
    }
}
