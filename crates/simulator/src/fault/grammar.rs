//! From the words of `--fault` to an order.

use std::num::NonZeroU64;
use std::str::FromStr;

use thiserror::Error;

use super::known::{KNOWN, retry_after};
use super::{FaultOrder, Gateway, Trouble, When};

/// Why the words of a fault can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultOrderError {
    /// No fault has that name.
    #[error("no fault is called {name:?}; there are: {}", known_names())]
    UnknownName {
        /// The name as given.
        name: String,
    },
    /// The value is missing, not wanted, or not what the fault takes.
    #[error("{}; write {usage}", wrong_value(name, value.as_deref()))]
    Value {
        /// The fault's name.
        name: String,
        /// The value as given.
        value: Option<String>,
        /// How the fault is written.
        usage: &'static str,
    },
    /// What follows the fault is not one of its options, or not with such a value.
    #[error(
        "{option:?} is not an option of the fault {name}; there are every=N, times=N (both from 1), \
         after=N, and for status and 429 retry-after=SECONDS or http-date:SECONDS"
    )]
    Option {
        /// The fault's name.
        name: String,
        /// The option as given.
        option: String,
    },
}

fn known_names() -> String {
    let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
    names.join(", ")
}

fn wrong_value(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("the fault {name} can't take the value {value:?}"),
        None => format!("the fault {name} needs a value"),
    }
}

impl FromStr for FaultOrder {
    type Err = FaultOrderError;

    fn from_str(words: &str) -> Result<Self, FaultOrderError> {
        let mut pieces = words.split(',').map(str::trim);
        let first = pieces.next().unwrap_or_default();
        let (name, value) = match first.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (first, None),
        };
        let mut trouble = trouble(name, value)?;
        let mut when = When {
            after: 0,
            every: NonZeroU64::MIN,
            times: None,
        };
        for option in pieces {
            take_option(option, &mut when, &mut trouble).ok_or_else(|| {
                FaultOrderError::Option {
                    name: name.to_owned(),
                    option: option.to_owned(),
                }
            })?;
        }
        Ok(FaultOrder {
            words: words.to_owned(),
            trouble,
            when,
        })
    }
}

/// Takes one option in; `None` when it is none.
fn take_option(option: &str, when: &mut When, trouble: &mut Trouble) -> Option<()> {
    let (name, value) = option.split_once('=')?;
    match name {
        "after" => when.after = value.parse().ok()?,
        "every" => when.every = value.parse().ok()?,
        "times" => when.times = Some(value.parse::<NonZeroU64>().ok()?.get()),
        "retry-after" => {
            let Trouble::Gateway(Gateway::Status(_, wait)) = trouble else {
                return None;
            };
            *wait = Some(retry_after(value)?);
        }
        _ => return None,
    }
    Some(())
}

fn trouble(name: &str, value: Option<&str>) -> Result<Trouble, FaultOrderError> {
    let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
        return Err(FaultOrderError::UnknownName {
            name: name.to_owned(),
        });
    };
    (known.read)(value).ok_or_else(|| FaultOrderError::Value {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        usage: known.usage,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::known::NOWHERE;
    use super::super::{Expiry, Form, Lost, Naming, Refuse, RetryAfter};
    use super::*;

    fn parsed(words: &str) -> FaultOrder {
        words.parse().unwrap()
    }

    #[test]
    fn every_fault_reads_the_values_of_its_usage() {
        let gateway = Trouble::Gateway;
        for (words, trouble) in [
            ("status=503", gateway(Gateway::Status(503, None))),
            (
                "status=503,retry-after=7",
                gateway(Gateway::Status(503, Some(RetryAfter::Seconds(7)))),
            ),
            ("429", gateway(Gateway::Status(429, None))),
            (
                "429=30",
                gateway(Gateway::Status(429, Some(RetryAfter::Seconds(30)))),
            ),
            (
                "429=http-date:30",
                gateway(Gateway::Status(429, Some(RetryAfter::HttpDate(30)))),
            ),
            ("reset", gateway(Gateway::Reset)),
            ("forbid", gateway(Gateway::Forbid)),
            ("redirect", gateway(Gateway::Redirect(NOWHERE.to_owned()))),
            (
                "redirect=http://127.0.0.1:9/a?b=c",
                gateway(Gateway::Redirect("http://127.0.0.1:9/a?b=c".to_owned())),
            ),
            ("html", gateway(Gateway::Html)),
            ("no-content", gateway(Gateway::NoContent)),
            ("max-bytes=20000", gateway(Gateway::MaxBytes(20_000))),
            ("slow=250", Trouble::Slow(Duration::from_millis(250))),
            ("revoke-primary-key", Trouble::RevokedPrimaryKey),
            (
                "refuse=C-1",
                Trouble::Refuse(Refuse::Child("C-1".to_owned(), Naming::Index)),
            ),
            (
                "refuse-unnamed=C-1",
                Trouble::Refuse(Refuse::Child("C-1".to_owned(), Naming::None)),
            ),
            (
                "refuse-nonsense=C-1",
                Trouble::Refuse(Refuse::Child("C-1".to_owned(), Naming::Nonsense)),
            ),
            ("refuse-all", Trouble::Refuse(Refuse::All)),
            ("drop", Trouble::Lost(Lost::Drop)),
            ("garbage", Trouble::Lost(Lost::Garbage)),
            ("receipts-short", Trouble::Lost(Lost::ReceiptShort)),
            ("receipts=text", Trouble::Receipts(Form::Text)),
            ("receipts=json", Trouble::Receipts(Form::Json)),
            ("detail=text", Trouble::Detail(Form::Text)),
            (
                "expire-tokens",
                Trouble::TokenExpiry(Expiry::Submissions(1)),
            ),
            (
                "expire-tokens=3",
                Trouble::TokenExpiry(Expiry::Submissions(3)),
            ),
            ("expire-tokens=3s", Trouble::TokenExpiry(Expiry::Seconds(3))),
            ("token-status=401", Trouble::TokenStatus(401)),
        ] {
            assert_eq!(parsed(words).trouble, trouble, "{words}");
            assert_eq!(parsed(words).to_string(), words);
        }
    }

    #[test]
    fn options_say_when() {
        let when = |words: &str| parsed(words).when;
        let every = |n| NonZeroU64::new(n).unwrap();
        assert_eq!(
            when("drop"),
            When {
                after: 0,
                every: every(1),
                times: None
            }
        );
        assert_eq!(
            when("drop, every=3 ,times=2,after=0"),
            When {
                after: 0,
                every: every(3),
                times: Some(2)
            }
        );
        assert_eq!(when("status=500,after=4").after, 4);
    }

    #[test]
    fn an_unknown_fault_is_told_which_there_are() {
        let error = "explode=1".parse::<FaultOrder>().unwrap_err().to_string();
        assert!(
            error.starts_with("no fault is called \"explode\""),
            "{error}"
        );
        for known in KNOWN {
            assert!(error.contains(known.name), "{error}");
        }
    }

    #[test]
    fn a_wrong_value_or_option_is_named_with_what_would_do() {
        for (words, message) in [
            (
                "status",
                "the fault status needs a value; write status=CODE",
            ),
            (
                "status=99",
                "the fault status can't take the value \"99\"; write status=CODE",
            ),
            (
                "status=600",
                "the fault status can't take the value \"600\"; write status=CODE",
            ),
            (
                "refuse=",
                "the fault refuse can't take the value \"\"; write refuse=CHILD",
            ),
            (
                "drop=1",
                "the fault drop can't take the value \"1\"; write drop",
            ),
            (
                "redirect=a b",
                "the fault redirect can't take the value \"a b\"; write redirect[=URL]",
            ),
            (
                "receipts=xml",
                "the fault receipts can't take the value \"xml\"; write receipts=json|text",
            ),
        ] {
            assert_eq!(
                words.parse::<FaultOrder>().unwrap_err().to_string(),
                message
            );
        }
        for words in [
            "drop,every=0",
            "drop,times=0",
            "drop,after=-1",
            "drop,retry-after=3",
            "status=503,retry-after=soon",
            "drop,sometimes=3",
            "drop,every",
            "drop,",
        ] {
            let error = words.parse::<FaultOrder>().unwrap_err();
            assert!(
                matches!(error, FaultOrderError::Option { .. }),
                "{words}: {error}"
            );
            let option = format!("{:?} is not an option", words.split_once(',').unwrap().1);
            assert!(error.to_string().starts_with(&option), "{error}");
        }
    }
}
