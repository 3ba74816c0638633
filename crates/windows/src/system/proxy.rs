//! The system's proxy settings and configuration script (WinHTTP).

use std::io;
use std::ptr::null;

use windows_sys::Win32::Foundation::{GetLastError, GlobalFree};
use windows_sys::Win32::Networking::WinHttp::{
    WINHTTP_ACCESS_TYPE_NAMED_PROXY, WINHTTP_ACCESS_TYPE_NO_PROXY, WINHTTP_AUTO_DETECT_TYPE_DHCP,
    WINHTTP_AUTO_DETECT_TYPE_DNS_A, WINHTTP_AUTOPROXY_AUTO_DETECT, WINHTTP_AUTOPROXY_CONFIG_URL,
    WINHTTP_AUTOPROXY_OPTIONS, WINHTTP_CURRENT_USER_IE_PROXY_CONFIG, WINHTTP_PROXY_INFO,
    WinHttpCloseHandle, WinHttpGetDefaultProxyConfiguration, WinHttpGetIEProxyConfigForCurrentUser,
    WinHttpGetProxyForUrl, WinHttpOpen, WinHttpSetTimeouts,
};

use super::{Wide, copied};
use crate::proxy::{Answer, Fault, LOGON_WANTED, Script, Settings};

/// The settings of the account that runs the program ("Internet Options", "Proxy").
pub fn user_settings() -> io::Result<Settings> {
    let mut found = WINHTTP_CURRENT_USER_IE_PROXY_CONFIG::default();
    // SAFETY: the place for the answer is ours.
    if unsafe { WinHttpGetIEProxyConfigForCurrentUser(&mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let detects = found.fAutoDetect != 0;
    Ok(Settings {
        detects,
        script: Text(found.lpszAutoConfigUrl).copied(),
        proxies: Text(found.lpszProxy).copied(),
        bypass: Text(found.lpszProxyBypass).copied(),
    })
}

/// The machine's settings, meant for services (`netsh winhttp show proxy`).
pub fn machine_settings() -> io::Result<Settings> {
    let mut found = WINHTTP_PROXY_INFO::default();
    // SAFETY: the place for the answer is ours.
    if unsafe { WinHttpGetDefaultProxyConfiguration(&mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let named = found.dwAccessType == WINHTTP_ACCESS_TYPE_NAMED_PROXY;
    let (proxies, bypass) = taken(&found);
    Ok(Settings {
        detects: false,
        script: None,
        proxies: proxies.filter(|_| named),
        bypass: bypass.filter(|_| named),
    })
}

/// Both texts of an answer, which are freed with this.
fn taken(info: &WINHTTP_PROXY_INFO) -> (Option<String>, Option<String>) {
    (
        Text(info.lpszProxy).copied(),
        Text(info.lpszProxyBypass).copied(),
    )
}

/// Asks a script of an address. It may take as long as Windows likes.
pub(crate) fn ask(script: &Script, url: &str) -> Result<Answer, Fault> {
    // A server that wants a logon is asked again with the account's own: so Windows' page
    // on the call recommends, since the logon is slow.
    match ask_once(script, url, false) {
        Err(Fault::Code(LOGON_WANTED)) => ask_once(script, url, true),
        answer => answer,
    }
}

fn ask_once(script: &Script, url: &str, logs_on: bool) -> Result<Answer, Fault> {
    let no_text = |_| Fault::Code(ERROR_INVALID_URL);
    let url = Wide::new(url.as_ref()).map_err(no_text)?;
    let address = match script {
        Script::Announced => None,
        Script::At(address) => Some(Wide::new(address.as_ref()).map_err(no_text)?),
    };
    let mut options = WINHTTP_AUTOPROXY_OPTIONS {
        fAutoLogonIfChallenged: logs_on.into(),
        ..WINHTTP_AUTOPROXY_OPTIONS::default()
    };
    match &address {
        None => {
            options.dwFlags = WINHTTP_AUTOPROXY_AUTO_DETECT;
            options.dwAutoDetectFlags =
                WINHTTP_AUTO_DETECT_TYPE_DHCP | WINHTTP_AUTO_DETECT_TYPE_DNS_A;
        }
        Some(address) => {
            options.dwFlags = WINHTTP_AUTOPROXY_CONFIG_URL;
            options.lpszAutoConfigUrl = address.as_ptr();
        }
    }
    let session = Session::open()?;
    let mut found = WINHTTP_PROXY_INFO::default();
    // SAFETY: the session is open; `url` and the script's address end with NUL and
    // outlive the call, as `options` does; the place for the answer is ours.
    if unsafe { WinHttpGetProxyForUrl(session.0, url.as_ptr(), &mut options, &mut found) } == 0 {
        return Err(last_fault());
    }
    let (proxies, bypass) = taken(&found);
    Ok(match proxies {
        Some(proxies) if found.dwAccessType == WINHTTP_ACCESS_TYPE_NAMED_PROXY => {
            Answer::Through { proxies, bypass }
        }
        Some(_) | None => Answer::Direct,
    })
}

/// ERROR_WINHTTP_INVALID_URL.
const ERROR_INVALID_URL: u32 = 12005;

fn last_fault() -> Fault {
    // SAFETY: it takes nothing, and reads a number of this thread's.
    Fault::Code(unsafe { GetLastError() })
}

/// A session of WinHTTP's.
struct Session(*mut core::ffi::c_void);

impl Session {
    fn open() -> Result<Session, Fault> {
        /// For each step of fetching a script, in milliseconds.
        const STEP: i32 = 5_000;
        // SAFETY: the texts may be null: no agent is named, and no proxy of its own.
        let handle =
            unsafe { WinHttpOpen(null(), WINHTTP_ACCESS_TYPE_NO_PROXY, null(), null(), 0) };
        if handle.is_null() {
            return Err(last_fault());
        }
        let session = Session(handle);
        // SAFETY: the session was opened just now.
        match unsafe { WinHttpSetTimeouts(handle, STEP, STEP, STEP, STEP) } {
            0 => Err(last_fault()),
            _ => Ok(session),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: it was opened by WinHttpOpen, and is closed once.
        unsafe { WinHttpCloseHandle(self.0) };
    }
}

/// A text that WinHTTP has allocated (GlobalAlloc), or null.
struct Text(*mut u16);

impl Text {
    /// A copy; `None` where there is none, or a blank one.
    fn copied(&self) -> Option<String> {
        // SAFETY: null, or a text that WinHTTP has ended with NUL and that is ours alone.
        let copy = unsafe { copied(self.0) };
        copy.filter(|text| !text.trim().is_empty())
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was allocated by GlobalAlloc, as the calls' pages say, and is
            // freed once.
            unsafe { GlobalFree(self.0.cast()) };
        }
    }
}
