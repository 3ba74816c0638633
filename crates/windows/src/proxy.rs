//! The system's proxies, as Windows keeps them: the settings as they stand, and what a
//! configuration script (PAC) says of an address.

use std::fmt;
#[cfg(windows)]
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(windows)]
use std::time::Duration;

#[cfg(windows)]
pub use crate::system::proxy::{machine_settings, user_settings};

/// Proxy settings, in Windows' own writing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// "Automatically detect settings": the network is asked for a script (WPAD).
    pub detects: bool,
    /// The script's address.
    pub script: Option<String>,
    /// The proxies, e.g. `proxy:8080` or `http=a:80;https=b:443`.
    pub proxies: Option<String>,
    /// Hosts that are reached without them, e.g. `*.local;<local>`.
    pub bypass: Option<String>,
}

/// Which script is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// The one that the network announces by DHCP or DNS (WPAD).
    Announced,
    /// The one at this address.
    At(String),
}

/// What a script says of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No proxy.
    Direct,
    /// These, in Windows' writing.
    Through {
        /// The proxies, the first one first.
        proxies: String,
        /// Hosts that are reached without them.
        bypass: Option<String>,
    },
}

/// Why a script gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// WinHTTP's or Windows' error number.
    Code(u32),
    /// It took longer than this number of seconds.
    TooLong(u64),
    /// An earlier question, to which no answer has come, is still under way.
    StillAsking,
}

/// ERROR_WINHTTP_AUTODETECTION_FAILED: no script is announced.
const NOT_ANNOUNCED: u32 = 12180;
/// ERROR_WINHTTP_LOGIN_FAILURE: the script's server wants a logon.
#[cfg(windows)]
pub(crate) const LOGON_WANTED: u32 = 12015;

impl Fault {
    /// The network announces no script, which is how most networks are.
    pub fn is_none_announced(self) -> bool {
        self == Fault::Code(NOT_ANNOUNCED)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLong(seconds) => write!(f, "no answer within {seconds} seconds"),
            Fault::StillAsking => f.write_str("an earlier question to it has no answer yet"),
            Fault::Code(code) => {
                let words = match *code {
                    12002 => "its server did not answer in time",
                    12005 | 12006 => "its address is none that Windows can fetch",
                    12007 => "its server's name is not found",
                    12015 => "its server wants a logon",
                    12029 | 12030 => "its server cannot be reached",
                    12166 => "the script is faulty",
                    12167 => "it could not be fetched",
                    12175 => "its server's certificate is not trusted",
                    12178 => "Windows' service for it (WinHttpAutoProxySvc) failed",
                    NOT_ANNOUNCED => "the network announces none",
                    _ => return write!(f, "Windows' error {code}"),
                };
                write!(f, "{words} (Windows' error {code})")
            }
        }
    }
}

/// Asks a script which proxy is for an address, for at most `limit`. One question is
/// under way at a time.
#[cfg(windows)]
pub fn ask(script: &Script, url: &str, limit: Duration) -> Result<Answer, Fault> {
    let turn = Turn::take().ok_or(Fault::StillAsking)?;
    let (script, url) = (script.clone(), url.to_string());
    crate::limit::within(limit, move || {
        let _turn = turn;
        crate::system::proxy::ask(&script, &url)
    })
    .unwrap_or(Err(Fault::TooLong(limit.as_secs())))
}

/// The right to ask, which is given back when an answer has come, however late.
#[cfg(windows)]
struct Turn;

#[cfg(windows)]
static TAKEN: AtomicBool = AtomicBool::new(false);

#[cfg(windows)]
impl Turn {
    fn take() -> Option<Turn> {
        (!TAKEN.swap(true, Ordering::AcqRel)).then_some(Turn)
    }
}

#[cfg(windows)]
impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_why_and_gives_the_number_to_look_up() {
        for (fault, words) in [
            (
                Fault::Code(12167),
                "it could not be fetched (Windows' error 12167)",
            ),
            (
                Fault::Code(12180),
                "the network announces none (Windows' error 12180)",
            ),
            (Fault::Code(87), "Windows' error 87"),
            (Fault::TooLong(15), "no answer within 15 seconds"),
        ] {
            assert_eq!(fault.to_string(), words);
        }
        assert!(Fault::Code(12180).is_none_announced());
        assert!(!Fault::Code(12167).is_none_announced());
    }
}
