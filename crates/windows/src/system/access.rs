//! Access lists: made with a new file or folder, and read.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_SUCCESS, GENERIC_READ, GENERIC_WRITE, HANDLE, INVALID_HANDLE_VALUE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
    ConvertStringSidToSidW, GetNamedSecurityInfoW, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, DACL_SECURITY_INFORMATION, GetAce, GetTokenInformation,
    INHERIT_ONLY_ACE, INHERITED_ACE, LookupAccountSidW, OWNER_SECURITY_INFORMATION,
    PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES, SID_NAME_USE, SidTypeAlias, SidTypeComputer,
    SidTypeGroup, SidTypeUser, SidTypeWellKnownGroup, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::{Wide, copied};
use crate::access::{AccessList, Account, AccountKind, Entry, EntryKind};
use crate::limit::within;

/// The longest that Windows may look up accounts' names: it may ask a domain that does
/// not answer.
const NAMES_LIMIT: Duration = Duration::from_secs(5);

/// Makes a new, empty file for the account that runs the program, SYSTEM and the
/// administrators alone. It takes nothing from the folder's list. A file that is there
/// already is an error.
pub fn create_file(path: &Path) -> io::Result<File> {
    create_file_with(path, &for_us_alone("")?)
}

/// Makes a new folder for the same, and with it whatever will be made in it. Its parent
/// must be there; it must not.
pub fn create_folder(path: &Path) -> io::Result<()> {
    create_folder_with(path, &for_us_alone("OICI")?)
}

/// A protected list, in Windows' language for lists (SDDL).
fn for_us_alone(handed_down: &str) -> io::Result<String> {
    let us = current_sid()?;
    Ok(format!(
        "D:P(A;{handed_down};FA;;;{us})(A;{handed_down};FA;;;SY)(A;{handed_down};FA;;;BA)"
    ))
}

fn create_file_with(path: &Path, list: &str) -> io::Result<File> {
    let path = Wide::new(path.as_os_str())?;
    let descriptor = Descriptor::parse(list)?;
    let attributes = descriptor.attributes();
    // SAFETY: `path` ends with NUL; `attributes` and the descriptor in it outlive the
    // call; a template is not given.
    let handle = unsafe {
        CreateFileW(
            path.as_ptr(),
            GENERIC_READ | GENERIC_WRITE,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            &attributes,
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Windows has just opened it for us, and nobody else has it.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok(File::from(handle))
}

fn create_folder_with(path: &Path, list: &str) -> io::Result<()> {
    let path = Wide::new(path.as_os_str())?;
    let descriptor = Descriptor::parse(list)?;
    let attributes = descriptor.attributes();
    // SAFETY: `path` ends with NUL; `attributes` and the descriptor in it outlive the
    // call.
    match unsafe { CreateDirectoryW(path.as_ptr(), &attributes) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The owner and the access list of a file or folder. Windows may take some seconds to
/// look up the names.
pub fn read(path: &Path) -> io::Result<AccessList> {
    let Read { owner, entries } = read_raw(path)?;
    let mut sids: Vec<String> = entries.iter().flatten().map(|e| e.sid.clone()).collect();
    sids.push(owner.clone());
    sids.sort();
    sids.dedup();
    let accounts = looked_up(sids);
    let account = |sid: String| {
        let found = accounts.iter().find(|account| account.sid == sid);
        found.cloned().unwrap_or_else(|| unknown(sid))
    };
    Ok(AccessList {
        owner: account(owner),
        entries: entries.map(|entries| {
            entries
                .into_iter()
                .map(|entry| Entry {
                    kind: entry.kind,
                    mask: entry.mask,
                    inherited: entry.flags & INHERITED_ACE != 0,
                    for_content_only: entry.flags & INHERIT_ONLY_ACE != 0,
                    account: account(entry.sid),
                })
                .collect()
        }),
    })
}

/// The account that runs the program.
pub fn current_account() -> io::Result<Account> {
    static KNOWN: OnceLock<Account> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let sid = current_sid()?;
    let found = looked_up(vec![sid.clone()]).pop();
    Ok(KNOWN
        .get_or_init(|| found.unwrap_or_else(|| unknown(sid)))
        .clone())
}

fn unknown(sid: String) -> Account {
    Account {
        sid,
        name: None,
        kind: AccountKind::Unknown,
    }
}

/// What Windows knows of these, or nothing where it takes too long. It is then asked no
/// more: a domain that does not answer would hold up every look.
fn looked_up(sids: Vec<String>) -> Vec<Account> {
    static GIVEN_UP: AtomicBool = AtomicBool::new(false);
    if GIVEN_UP.load(Ordering::Relaxed) {
        return Vec::new();
    }
    within(NAMES_LIMIT, move || {
        sids.into_iter()
            .map(|sid| {
                let (name, kind) = look_up(&sid).unwrap_or((None, AccountKind::Unknown));
                Account { sid, name, kind }
            })
            .collect()
    })
    .unwrap_or_else(|| {
        GIVEN_UP.store(true, Ordering::Relaxed);
        Vec::new()
    })
}

struct Read {
    owner: String,
    entries: Option<Vec<RawEntry>>,
}

struct RawEntry {
    kind: EntryKind,
    flags: u32,
    mask: u32,
    sid: String,
}

fn read_raw(path: &Path) -> io::Result<Read> {
    let path = Wide::new(std::path::absolute(path)?.as_os_str())?;
    let (mut owner, mut list): (PSID, *mut ACL) = (null_mut(), null_mut());
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: `path` ends with NUL; the places for the answers are ours; what is not
    // asked for may be null.
    let error = unsafe {
        GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
            &mut owner,
            null_mut(),
            &mut list,
            null_mut(),
            &mut descriptor,
        )
    };
    if error != ERROR_SUCCESS {
        return Err(io::Error::from_raw_os_error(error.cast_signed()));
    }
    // `owner` and `list` point into it, so it lives to the end.
    let _descriptor = Descriptor(descriptor);
    // SAFETY: the owner was asked for, so `owner` is valid as long as the descriptor.
    let owner = unsafe { sid_text(owner) }?;
    if list.is_null() {
        return Ok(Read {
            owner,
            entries: None,
        });
    }
    // SAFETY: Windows has given a valid list, which lives as long as the descriptor.
    let count = unsafe { (*list).AceCount };
    let mut entries = Vec::new();
    for at in 0..u32::from(count) {
        // SAFETY: the same list, and `at` is one of its entries.
        entries.extend(unsafe { entry(list, at) }?);
    }
    Ok(Read {
        owner,
        entries: Some(entries),
    })
}

/// ACCESS_ALLOWED_ACE_TYPE and ACCESS_DENIED_ACE_TYPE; and the same with a condition
/// (ACCESS_ALLOWED_CALLBACK_ACE_TYPE), which is laid out alike. One that lets in under a
/// condition counts as letting in, one that keeps out so does not count.
const ALLOWED: u8 = 0;
const DENIED: u8 = 1;
const ALLOWED_ON_CONDITION: u8 = 9;

/// An entry, where it is one for files.
///
/// # Safety
/// `list` is a valid access list, and has an entry `at`.
unsafe fn entry(list: *const ACL, at: u32) -> io::Result<Option<RawEntry>> {
    let mut found = null_mut();
    // SAFETY: as the caller promises; the place for the answer is ours.
    if unsafe { GetAce(list, at, &mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every entry begins with its header.
    let header: ACE_HEADER = unsafe { *found.cast::<ACE_HEADER>() };
    let kind = match header.AceType {
        ALLOWED | ALLOWED_ON_CONDITION => EntryKind::Allow,
        DENIED => EntryKind::Deny,
        _ => return Ok(None),
    };
    let entry = found.cast::<ACCESS_ALLOWED_ACE>();
    // SAFETY: an entry of these kinds is a header, a mask, and an identifier from
    // `SidStart` on.
    let mask = unsafe { (*entry).Mask };
    // SAFETY: the same; only the place is taken, since the identifier is longer than the
    // field.
    let sid = unsafe { &raw mut (*entry).SidStart };
    Ok(Some(RawEntry {
        kind,
        flags: header.AceFlags.into(),
        mask,
        // SAFETY: a valid list has a valid identifier there.
        sid: unsafe { sid_text(sid.cast()) }?,
    }))
}

/// The text of an identifier.
///
/// # Safety
/// `sid` points to a valid identifier.
unsafe fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text = null_mut();
    // SAFETY: as the caller promises; the place for the answer is ours.
    if unsafe { ConvertSidToStringSidW(sid, &mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Windows has just written it, and ended it with NUL.
    let copy = unsafe { copied(text) };
    // SAFETY: it was allocated by LocalAlloc, as the call's page says, and is not used
    // any more.
    unsafe { LocalFree(text.cast()) };
    copy.ok_or_else(|| io::Error::other("an identifier has no text"))
}

/// `DOMAIN\name`, and what it is.
fn look_up(sid: &str) -> Option<(Option<String>, AccountKind)> {
    /// UNLEN and DNLEN are 256 and 15; a group's name may have 256 as well.
    const ROOM: usize = 512;
    let sid = Wide::new(sid.as_ref()).ok()?;
    let mut binary: PSID = null_mut();
    // SAFETY: `sid` ends with NUL; the place for the answer is ours.
    if unsafe { ConvertStringSidToSidW(sid.as_ptr(), &mut binary) } == 0 {
        return None;
    }
    let (mut name, mut domain) = ([0u16; ROOM], [0u16; ROOM]);
    let (mut name_room, mut domain_room) = (ROOM as u32, ROOM as u32);
    let mut kind: SID_NAME_USE = 0;
    // SAFETY: the identifier was made just now; both buffers have the room that is
    // stated.
    let found = unsafe {
        LookupAccountSidW(
            null(),
            binary,
            name.as_mut_ptr(),
            &mut name_room,
            domain.as_mut_ptr(),
            &mut domain_room,
            &mut kind,
        )
    };
    // SAFETY: it was allocated by LocalAlloc, as the call's page says, and is not used
    // any more.
    unsafe { LocalFree(binary) };
    if found == 0 {
        return None;
    }
    // On success these are lengths without the NUL.
    let text = |units: &[u16], length: u32| {
        String::from_utf16_lossy(units.get(..length as usize).unwrap_or_default())
    };
    let (name, domain) = (text(&name, name_room), text(&domain, domain_room));
    let full = if domain.is_empty() {
        name
    } else {
        format!("{domain}\\{name}")
    };
    #[allow(non_upper_case_globals)] // they are Windows' names
    let kind = match kind {
        SidTypeUser | SidTypeComputer => AccountKind::Single,
        SidTypeGroup | SidTypeAlias | SidTypeWellKnownGroup => AccountKind::Group,
        _ => AccountKind::Unknown,
    };
    Some((Some(full), kind))
}

fn current_sid() -> io::Result<String> {
    let mut token: HANDLE = null_mut();
    // SAFETY: it takes nothing, and gives a pseudo handle that is always valid.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the handle is valid, and the place for the answer ours.
    if unsafe { OpenProcessToken(process, TOKEN_QUERY, &mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Windows has just opened it for us, and nobody else has it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // A TOKEN_USER with the longest identifier (SECURITY_MAX_SID_SIZE, 68 bytes) has 84
    // bytes; these are 128, and aligned for it.
    let mut room = [0u64; 16];
    let mut needed = 0;
    // SAFETY: the token is open, and the buffer as long as is stated.
    let got = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            room.as_mut_ptr().cast(),
            size_of_val(&room) as u32,
            &mut needed,
        )
    };
    if got == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Windows has filled the buffer with a TOKEN_USER.
    let sid = unsafe { (*room.as_ptr().cast::<TOKEN_USER>()).User.Sid };
    // SAFETY: it points into the buffer, which is still there.
    unsafe { sid_text(sid) }
}

/// A security descriptor of Windows' (LocalAlloc).
struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    fn parse(text: &str) -> io::Result<Descriptor> {
        let text = Wide::new(text.as_ref())?;
        let mut descriptor = null_mut();
        // SAFETY: `text` ends with NUL; the place for the answer is ours; its length is
        // not asked for.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                null_mut(),
            )
        };
        match made {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(Descriptor(descriptor)),
        }
    }

    /// They point to the descriptor: it must outlive them.
    fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it was allocated by LocalAlloc, as both calls' pages say, and is freed
        // once.
        unsafe { LocalFree(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Target;

    const EVERYONE: &str = "S-1-1-0";

    fn others(path: &Path, target: Target) -> Vec<String> {
        read(path)
            .unwrap()
            .others(&current_account().unwrap(), target)
            .iter()
            .map(|other| other.account.sid.clone())
            .collect()
    }

    #[test]
    fn a_file_and_a_folder_of_ours_are_open_to_nobody_else() {
        let place = tempfile::tempdir().unwrap();
        let (file, folder) = (place.path().join("a.txt"), place.path().join("state"));
        create_file(&file).unwrap();
        create_folder(&folder).unwrap();
        assert_eq!(others(&file, Target::File), Vec::<String>::new());
        assert_eq!(others(&folder, Target::Folder), Vec::<String>::new());
        let list = read(&file).unwrap();
        let us = current_account().unwrap();
        let own = list.entries.unwrap();
        assert!(own.iter().all(|entry| !entry.inherited), "{own:?}");
        assert!(own.iter().any(|entry| entry.account.sid == us.sid));
        std::fs::write(&file, "ours").unwrap();
        std::fs::write(folder.join("in.txt"), "ours").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "ours");
    }

    #[test]
    fn a_file_that_everyone_may_read_is_found_out() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("open.txt");
        let us = current_sid().unwrap();
        create_file_with(&file, &format!("D:P(A;;FA;;;{us})(A;;FR;;;WD)")).unwrap();
        assert_eq!(others(&file, Target::File), [EVERYONE]);
        let list = read(&file).unwrap();
        let found = list.others(&current_account().unwrap(), Target::File);
        assert!(found[0].may_read && !found[0].may_change, "{found:?}");
    }

    #[test]
    fn a_folder_that_everyone_may_look_into_is_found_out() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("open");
        create_folder_with(&folder, "D:P(A;OICI;FA;;;WD)").unwrap();
        assert_eq!(others(&folder, Target::Folder), [EVERYONE]);
    }

    #[test]
    fn what_is_there_already_is_not_made_again_and_what_is_not_there_not_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.txt");
        std::fs::write(&file, "theirs").unwrap();
        let refused = create_file(&file).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs");
        let refused = create_folder(place.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        let missing = read(&place.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let odd = create_file(Path::new("a\0b")).unwrap_err();
        assert_eq!(odd.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn accounts_are_known_by_name() {
        let us = current_account().unwrap();
        assert!(us.name.is_some(), "{us:?}");
        let (name, kind) = look_up("S-1-1-0").unwrap();
        assert_eq!(kind, AccountKind::Group);
        assert!(name.is_some_and(|name| !name.is_empty()));
        assert_eq!(look_up("no identifier"), None);
    }
}
