//! Windows' settings, by its own calls.

use std::time::Duration;

use csc_windows::proxy::{Answer, Fault, Script, Settings, ask, machine_settings, user_settings};

use super::SystemLookup;

/// The longest for a script's answer. Where the network announces a script, Windows asks
/// DHCP and DNS first, which takes some seconds.
const LIMIT: Duration = Duration::from_secs(15);

pub(super) struct Windows;

impl SystemLookup for Windows {
    fn settings(&self) -> Vec<(&'static str, Settings)> {
        // An account that has never had settings (a service's) is answered by an error:
        // it names no proxy.
        [
            ("Windows' proxy settings", user_settings()),
            (
                "Windows' proxy settings for services (netsh winhttp show proxy)",
                machine_settings(),
            ),
        ]
        .into_iter()
        .filter_map(|(whose, settings)| Some((whose, settings.ok()?)))
        .collect()
    }

    fn ask(&self, script: &Script, url: &str) -> Result<Answer, Fault> {
        ask(script, url, LIMIT)
    }
}
