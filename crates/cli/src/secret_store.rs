//! The system's own stores for secrets: Windows Credential Manager; on Linux the Secret
//! Service (GNOME Keyring, KWallet, KeePassXC) and the kernel's keyring.
//!
//! An entry's service is `csc-sender`, its user the setting's name. A store is opened
//! when it is first asked, and asked on a thread of its own: a Secret Service that is
//! locked waits for somebody to type its password, and a run must not wait with it.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyring_core::{CredentialStore, Entry, Error};
use secrecy::{ExposeSecret, SecretString};

use crate::console;

/// The service under which every entry stands.
pub const SERVICE: &str = "csc-sender";

/// How long a store may take where nobody sits before the screen.
const PATIENCE_ALONE: Duration = Duration::from_secs(5);
/// How long it may take where somebody may be typing its password in another window.
const PATIENCE_WITH_A_PERSON: Duration = Duration::from_secs(60);
/// After so long a person is told what is being waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// One of the system's stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Windows Credential Manager.
    #[cfg_attr(not(windows), allow(dead_code))]
    CredentialManager,
    /// The Secret Service, on the session's D-Bus.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    SecretService,
    /// The kernel's keyring (keyutils).
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    KernelKeyring,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKind::CredentialManager => "Windows Credential Manager",
            StoreKind::SecretService => "the Secret Service",
            StoreKind::KernelKeyring => "the kernel's keyring",
        })
    }
}

/// Why a store could not be asked.
#[derive(Clone, Debug)]
pub struct StoreFault {
    kind: StoreKind,
    why: String,
    /// There is no such store here, so nothing can be in it.
    pub is_absent: bool,
}

impl StoreFault {
    fn new(kind: StoreKind, why: String) -> Self {
        StoreFault {
            kind,
            why,
            is_absent: false,
        }
    }

    /// Why a store could not be opened.
    fn of_opening(kind: StoreKind, error: &Error) -> Self {
        let why = words(error);
        // A bus without a Secret Service is usual on servers. D-Bus says it by this name;
        // the other words are the library's where there is no bus at the address.
        let is_absent = kind == StoreKind::SecretService
            && ["Error.ServiceUnknown", "no secret service provider"]
                .iter()
                .any(|sign| why.contains(sign));
        StoreFault {
            kind,
            why: if is_absent {
                "this session's D-Bus has none".to_string()
            } else {
                why
            },
            is_absent,
        }
    }
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.why)
    }
}

/// All of them in a line.
pub fn all(faults: &[StoreFault]) -> String {
    let words: Vec<String> = faults.iter().map(StoreFault::to_string).collect();
    words.join("; ")
}

/// What a search through the stores came to. `faults` are the stores that could not be
/// asked; what they hold is not known.
pub struct Answer<T> {
    /// What was found.
    pub found: Vec<(StoreKind, T)>,
    /// The stores that could not be asked.
    pub faults: Vec<StoreFault>,
}

/// What keeping a secret came to.
pub struct Kept {
    /// Where it is now.
    pub kind: StoreKind,
    /// How long it stays, where that is not until it is deleted.
    pub until: Option<String>,
    /// The stores that would have gone before, and why they did not take it.
    pub passed_over: Vec<StoreFault>,
    /// The stores that had an older value, which was deleted.
    pub deleted_from: Vec<StoreKind>,
}

/// This system's stores, in the order in which they are asked.
pub struct SecretStores {
    stores: Vec<Store>,
    patience: Duration,
}

type Opener = fn() -> keyring_core::Result<Arc<CredentialStore>>;

struct Store {
    kind: StoreKind,
    state: Mutex<State>,
}

#[derive(Clone)]
enum State {
    Closed(Opener),
    Open(Arc<CredentialStore>),
    /// It is not asked again: each time could cost the whole patience.
    Unusable(StoreFault),
}

impl SecretStores {
    /// None: for a world that has nothing to do with this machine's.
    pub fn none() -> Self {
        SecretStores {
            stores: Vec::new(),
            patience: PATIENCE_ALONE,
        }
    }

    /// Those of this system. Nothing is opened yet.
    pub fn of_this_system() -> Self {
        #[allow(unused_mut)]
        let mut stores: Vec<(StoreKind, Opener)> = Vec::new();
        #[cfg(windows)]
        stores.push((StoreKind::CredentialManager, || {
            windows_native_keyring_store::Store::new().map(|store| store as Arc<CredentialStore>)
        }));
        #[cfg(target_os = "linux")]
        {
            // Without a session's bus, as in a service, there is nobody to ask.
            if has_session_bus() {
                stores.push((StoreKind::SecretService, || {
                    zbus_secret_service_keyring_store::Store::new()
                        .map(|store| store as Arc<CredentialStore>)
                }));
            }
            stores.push((StoreKind::KernelKeyring, || {
                linux_keyutils_keyring_store::Store::new()
                    .map(|store| store as Arc<CredentialStore>)
            }));
        }
        SecretStores {
            stores: stores
                .into_iter()
                .map(|(kind, opener)| Store {
                    kind,
                    state: Mutex::new(State::Closed(opener)),
                })
                .collect(),
            patience: if console::is_watched() {
                PATIENCE_WITH_A_PERSON
            } else {
                PATIENCE_ALONE
            },
        }
    }

    /// The stores' names, in the order in which they are asked.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.stores.iter().map(|s| s.kind.to_string()).collect();
        names.join(", then ")
    }

    /// Whether this system has one at all.
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    /// The value from the first store that has it. A store that cannot be asked does not
    /// keep the next one from being asked.
    pub fn find(&self, name: &'static str) -> Answer<SecretString> {
        let mut answer = Answer {
            found: Vec::new(),
            faults: Vec::new(),
        };
        for store in &self.stores {
            match self.ask(store, name, |entry| entry.get_password()) {
                Ok(Some(value)) => {
                    answer.found.push((store.kind, SecretString::from(value)));
                    break;
                }
                Ok(None) => {}
                Err(fault) if fault.is_absent => {}
                Err(fault) => answer.faults.push(fault),
            }
        }
        answer
    }

    /// Keeps the value in the first store that takes it, and deletes older ones from the
    /// others, so that one value is the secret's.
    ///
    /// # Errors
    /// Why each store did not take it.
    pub fn keep(&self, name: &'static str, value: &SecretString) -> Result<Kept, Vec<StoreFault>> {
        let mut passed_over = Vec::new();
        for (n, store) in self.stores.iter().enumerate() {
            let value = value.clone();
            let set = move |entry: &Entry| {
                entry.set_password(value.expose_secret())?;
                Ok(until(entry))
            };
            match self.ask(store, name, set) {
                // "No such entry" is no answer to this question, and not a kept secret.
                Ok(None) => {
                    let why = "it did not take it".to_string();
                    passed_over.push(StoreFault::new(store.kind, why));
                }
                Ok(Some(until)) => {
                    let deleted_from = self.stores[n + 1..]
                        .iter()
                        .filter(|later| matches!(self.delete_from(later, name), Ok(Some(()))))
                        .map(|later| later.kind)
                        .collect();
                    return Ok(Kept {
                        kind: store.kind,
                        until,
                        passed_over,
                        deleted_from,
                    });
                }
                Err(fault) => passed_over.push(fault),
            }
        }
        Err(passed_over)
    }

    /// Deletes the value from every store that has it.
    pub fn delete(&self, name: &'static str) -> Answer<()> {
        let mut answer = Answer {
            found: Vec::new(),
            faults: Vec::new(),
        };
        for store in &self.stores {
            match self.delete_from(store, name) {
                Ok(Some(())) => answer.found.push((store.kind, ())),
                Ok(None) => {}
                Err(fault) if fault.is_absent => {}
                Err(fault) => answer.faults.push(fault),
            }
        }
        answer
    }

    fn delete_from(&self, store: &Store, name: &'static str) -> Result<Option<()>, StoreFault> {
        self.ask(store, name, |entry| entry.delete_credential())
    }

    /// Asks a store about an entry; `None` where it has none. Waits no longer than the
    /// patience: the thread is left behind then, and the store is not asked again.
    fn ask<T: Send + 'static>(
        &self,
        store: &Store,
        name: &'static str,
        question: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<Option<T>, StoreFault> {
        let mut state = store.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Unusable(fault) = &*state {
            return Err(fault.clone());
        }
        let kind = store.kind;
        let (tell, told) = channel();
        let before = state.clone();
        let spawned = std::thread::Builder::new()
            .name("secret store".to_string())
            .spawn(move || {
                let opened = match before {
                    State::Closed(open) => open().map_err(|e| StoreFault::of_opening(kind, &e)),
                    State::Open(opened) => Ok(opened),
                    State::Unusable(fault) => Err(fault),
                };
                let reply = opened.map(|opened| {
                    let answer = entry(kind, &*opened, name).and_then(|entry| question(&entry));
                    (opened, answer)
                });
                // Nobody listens any more where the patience has ended.
                let _ = tell.send(reply);
            });
        if let Err(e) = spawned {
            return Err(StoreFault::new(kind, e.to_string()));
        }
        let silence = SILENCE.min(self.patience);
        let reply = told.recv_timeout(silence).or_else(|error| match error {
            RecvTimeoutError::Timeout => {
                if console::is_watched() {
                    console::note(&format!(
                        "Waiting for {kind}: it may be asking for its password in another window."
                    ));
                }
                told.recv_timeout(self.patience.saturating_sub(silence))
            }
            RecvTimeoutError::Disconnected => Err(error),
        });
        let (opened, answer) = match reply {
            Ok(Ok(reply)) => reply,
            Ok(Err(fault)) => {
                *state = State::Unusable(fault.clone());
                return Err(fault);
            }
            Err(error) => {
                let why = match error {
                    RecvTimeoutError::Timeout => format!(
                        "it did not answer within {} seconds; it may be locked",
                        self.patience.as_secs()
                    ),
                    RecvTimeoutError::Disconnected => "it failed".to_string(),
                };
                let fault = StoreFault::new(kind, why);
                *state = State::Unusable(fault.clone());
                return Err(fault);
            }
        };
        *state = State::Open(opened);
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => {
                let fault = StoreFault::new(kind, words(&error));
                // Somebody who closes the window that asks for the password is not shown
                // it again for the next secret.
                if matches!(error, Error::NoStorageAccess(_)) {
                    *state = State::Unusable(fault.clone());
                }
                Err(fault)
            }
        }
    }
}

/// The entry of a setting. In Credential Manager it stays on this machine: the crate's
/// own choice would carry it along with a roaming profile.
fn entry(kind: StoreKind, store: &CredentialStore, name: &str) -> keyring_core::Result<Entry> {
    match kind {
        StoreKind::CredentialManager => {
            let local = [("persistence", "Local")].into();
            store.build(SERVICE, name, Some(&local))
        }
        StoreKind::SecretService | StoreKind::KernelKeyring => store.build(SERVICE, name, None),
    }
}

/// An error's words. Its `Debug` may show what was stored.
fn words(error: &Error) -> String {
    match error {
        Error::NoStorageAccess(why) => format!("it is locked or does not let us in ({why})"),
        Error::PlatformFailure(why) => why.to_string(),
        Error::TooLong(_, limit) => format!("it takes {limit} bytes at most"),
        Error::Ambiguous(entries) => format!("it has {} entries of that name", entries.len()),
        other => other.to_string(),
    }
}

/// How long the kernel keeps an entry. The others keep theirs until it is deleted.
#[cfg(target_os = "linux")]
fn until(entry: &Entry) -> Option<String> {
    let key = entry
        .as_any()
        .downcast_ref::<linux_keyutils_keyring_store::Cred>()?;
    // See keyrings(7): the persistent keyring of an account lives on between its
    // sessions, and expires when nothing has used it for so many seconds.
    let seconds = std::fs::read_to_string("/proc/sys/kernel/keys/persistent_keyring_expiry")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    Some(match (key.persistent, seconds) {
        (Some(_), Some(seconds)) => format!(
            "until this machine restarts, or nothing has asked for it for {} hours",
            seconds / 3600
        ),
        (Some(_), None) => "until this machine restarts".to_string(),
        (None, _) => "until this session ends or this machine restarts".to_string(),
    })
}

#[cfg(not(target_os = "linux"))]
fn until(_: &Entry) -> Option<String> {
    None
}

/// Whether there may be a session's bus, where zbus would look for one. `disabled:` is
/// how GLib's programs are told that there is none.
#[cfg(target_os = "linux")]
fn has_session_bus() -> bool {
    match std::env::var_os("DBUS_SESSION_BUS_ADDRESS") {
        Some(address) => {
            !address.is_empty() && !address.as_encoded_bytes().starts_with(b"disabled:")
        }
        None => {
            let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| {
                format!("/run/user/{}", rustix::process::geteuid().as_raw()).into()
            });
            std::path::Path::new(&folder).join("bus").exists()
        }
    }
}

#[cfg(test)]
impl SecretStores {
    /// A store in memory.
    pub fn in_memory(values: &[(&'static str, &str)]) -> Self {
        let store: Arc<CredentialStore> = keyring_core::mock::Store::new().unwrap();
        for (name, value) in values {
            let entry = entry(StoreKind::SecretService, &*store, name).unwrap();
            entry.set_password(value).unwrap();
        }
        SecretStores::with(State::Open(store))
    }

    /// A store that cannot be opened.
    pub fn locked() -> Self {
        SecretStores::with(State::Closed(|| {
            Err(Error::NoStorageAccess("no key".into()))
        }))
    }

    /// Whether any store was asked anything.
    pub fn were_asked(&self) -> bool {
        let asked = |store: &Store| !matches!(*store.state.lock().unwrap(), State::Closed(_));
        self.stores.iter().any(asked)
    }

    fn with(state: State) -> Self {
        SecretStores {
            stores: vec![Store {
                kind: StoreKind::SecretService,
                state: Mutex::new(state),
            }],
            patience: PATIENCE_ALONE,
        }
    }
}
