//! What a check says of the settings: which are set, which not filled in, and where the
//! secrets were found.

use url::Url;

use super::{Config, KEYS, Key, Source, is_placeholder};

/// A setting that somebody gives, as it may be shown.
pub struct Given {
    /// Its name.
    pub name: &'static str,
    /// Its value, without what is or may be a secret.
    pub shown: String,
    /// Where it came from.
    pub source: Source,
}

impl Config {
    /// What flags, environment and files give, in the order of the template. The system's
    /// store is not listed.
    pub fn all_given(&self) -> Vec<Given> {
        KEYS.iter()
            .filter_map(|info| {
                let found = self.value(info.key)?;
                Some(Given {
                    name: info.name,
                    shown: self.shown(info.key, found),
                    source: found.source.clone(),
                })
            })
            .collect()
    }

    /// The settings that still have a template's value, which counts as none.
    pub fn not_filled_in(&self) -> Vec<&'static str> {
        KEYS.iter()
            .filter(|info| {
                self.value(info.key)
                    .is_some_and(|found| is_placeholder(info.key, &found.value))
            })
            .map(|info| info.name)
            .collect()
    }

    /// Where each secret was found, the system's store asked too.
    pub fn secrets_found(&self) -> Vec<(&'static str, Source)> {
        Key::secrets()
            .filter_map(|key| Some((key.name(), self.filled(key)?.source.clone())))
            .collect()
    }

    /// A setting's web address, where it is one.
    pub fn address(&self, key: Key) -> Option<Url> {
        let url = Url::parse(self.filled(key)?.value.trim()).ok()?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        (matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && is_plain)
            .then_some(url)
    }
}
