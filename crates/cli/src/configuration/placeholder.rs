//! Values that a template has in the place of real ones: somebody has not filled them in.

use csc_staging::ConnectionTarget;
use csc_staging::connection::{Logon, parse_with};

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
    if matches!(key, Key::DbPassword | Key::ProxyPassword) {
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
        Key::DbConnectionString => names_a_templates_server(value),
        _ => false,
    }
}

/// `Server=SERVER\INSTANCE`, asked of the parsed string: it may stand anywhere and be
/// called Data Source, and a real `SQLSERVER\INSTANCE` is none.
fn names_a_templates_server(connection: &str) -> bool {
    // A user without a password would hide the server.
    let logon = Logon {
        user: None,
        password: Some("-".into()),
    };
    let Ok(parsed) = parse_with(connection, &logon) else {
        return false;
    };
    match parsed.target {
        ConnectionTarget::SqlServer(target) => {
            let instance = target.instance.unwrap_or_default();
            target.host.eq_ignore_ascii_case("ESLLREPORTS00X")
                || (target.host.eq_ignore_ascii_case("SERVER")
                    && instance.eq_ignore_ascii_case("INSTANCE"))
        }
        ConnectionTarget::Sqlite { .. } | ConnectionTarget::Postgres(_) => false,
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
        for value in [
            "Driver={SQL Server};Database=d;Server=SERVER\\INSTANCE",
            "Data Source=tcp:server\\instance,1433;Initial Catalog=d;User ID=u",
        ] {
            assert!(is_placeholder(Key::DbConnectionString, value), "{value}");
        }
        for value in [
            "Server=SQLSERVER\\INSTANCE;Database=d",
            "Server=SERVER;Database=d;UID=u;PWD=server=server\\instance",
        ] {
            assert!(!is_placeholder(Key::DbConnectionString, value), "{value}");
        }
        for value in ["201", "a real key", "<", "https://x/<y>"] {
            assert!(!is_placeholder(Key::SupplierKey, value), "{value}");
        }
        assert!(!is_placeholder(Key::SupplierKey, "000"));
        assert!(!is_placeholder(Key::DbPassword, "<x>"));
        assert!(!is_placeholder(Key::ProxyPassword, "<x>"));
    }
}
