//! Access lists: who else may read or change a file or a folder.
//!
//! The rule is that of mode bits on Unix: a file of ours is for the account that runs the
//! program. SYSTEM and the administrators do not count, nor does the owner: they get at
//! it whatever the list says. A single account that somebody has let in by name, such as
//! that of the scheduled task, is no accident; a group is, and so is whoever Windows
//! cannot tell.

use std::path::Path;

#[cfg(windows)]
pub use crate::system::access::{create_file, create_folder, current_account, read};

/// An account or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its security identifier, e.g. `S-1-5-18`.
    pub sid: String,
    /// `DOMAIN\name`, where Windows could tell.
    pub name: Option<String>,
    /// What it is.
    pub kind: AccountKind,
}

/// What a security identifier stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// One account: a person's, a service's or a machine's.
    Single,
    /// Several: a group, or everybody of some kind.
    Group,
    /// Windows could not tell.
    Unknown,
}

/// Whether an entry lets in or keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// It lets in.
    Allow,
    /// It keeps out.
    Deny,
}

/// One entry of an access list (ACE).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether it lets in or keeps out.
    pub kind: EntryKind,
    /// The rights (ACCESS_MASK).
    pub mask: u32,
    /// It came down from the folder above.
    pub inherited: bool,
    /// It is not for the folder itself, only for what is made in it.
    pub for_content_only: bool,
    /// Whom it is about.
    pub account: Account,
}

/// A file's or folder's owner and access list (DACL).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    /// The owner.
    pub owner: Account,
    /// The entries, in their order. `None`: there is no list, so everybody may do
    /// everything. So it is on a disk without access lists (FAT).
    pub entries: Option<Vec<Entry>>,
}

/// Somebody else who gets at a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Who.
    pub account: Account,
    /// It may read.
    pub may_read: bool,
    /// It may write, delete, or change the list.
    pub may_change: bool,
    /// The entry stands at the file itself, so that it stays when inheritance is cut.
    pub is_explicit: bool,
}

/// A file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file.
    File,
    /// A folder, and what is made in it.
    Folder,
}

const EVERYONE: &str = "S-1-1-0";
const SYSTEM: &str = "S-1-5-18";
const ADMINISTRATORS: &str = "S-1-5-32-544";

/// Groups that Windows itself knows (MS-DTYP 2.4.2.4): they are told by name even where
/// it does not answer.
const BROAD: [(&str, &str); 12] = [
    (EVERYONE, "Everyone"),
    ("S-1-5-1", "Dialup"),
    ("S-1-5-2", "Network"),
    ("S-1-5-4", "Interactive"),
    ("S-1-5-7", "Anonymous Logon"),
    ("S-1-5-11", "Authenticated Users"),
    ("S-1-5-32-545", "Users"),
    ("S-1-5-32-546", "Guests"),
    ("S-1-5-32-547", "Power Users"),
    ("S-1-5-113", "Local account"),
    ("S-1-15-2-1", "All application packages"),
    ("S-1-15-2-2", "All restricted application packages"),
];

/// FILE_READ_DATA (for a folder FILE_LIST_DIRECTORY), GENERIC_READ, GENERIC_ALL.
const READS: u32 = 0x1 | 0x8000_0000 | 0x1000_0000;
/// FILE_WRITE_DATA, FILE_APPEND_DATA, FILE_DELETE_CHILD, DELETE, WRITE_DAC, WRITE_OWNER,
/// GENERIC_WRITE, GENERIC_ALL.
const CHANGES: u32 = 0x2 | 0x4 | 0x40 | 0x1_0000 | 0x4_0000 | 0x8_0000 | 0x4000_0000 | 0x1000_0000;

impl Account {
    /// What a person knows it by.
    pub fn shown(&self) -> &str {
        let known = BROAD.iter().find(|(sid, _)| *sid == self.sid);
        match (&self.name, known) {
            (Some(name), _) => name,
            (None, Some((_, name))) => name,
            (None, None) => &self.sid,
        }
    }

    /// Who gets at every file of this machine: SYSTEM, the administrators, those of the
    /// domain, Windows' own installer; and stand-ins for the owner.
    fn has_it_anyway(&self) -> bool {
        let of_domain = |rid: &str| self.sid.starts_with("S-1-5-21-") && self.sid.ends_with(rid);
        matches!(
            self.sid.as_str(),
            SYSTEM | ADMINISTRATORS | "S-1-3-0" | "S-1-3-4"
        ) || self.sid == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
            || of_domain("-512")
            || of_domain("-519")
    }
}

impl AccessList {
    /// Who else than `us`, the administrators and the owner may read or change it.
    pub fn others(&self, us: &Account, target: Target) -> Vec<Other> {
        let Some(entries) = &self.entries else {
            let everyone = Account {
                sid: EVERYONE.into(),
                name: None,
                kind: AccountKind::Group,
            };
            return vec![Other {
                account: everyone,
                may_read: true,
                may_change: true,
                is_explicit: true,
            }];
        };
        let mut denied: Vec<(&str, u32)> = Vec::new();
        let mut others: Vec<Other> = Vec::new();
        for entry in entries {
            if entry.for_content_only && target == Target::File {
                continue;
            }
            let sid = entry.account.sid.as_str();
            let mask = match entry.kind {
                EntryKind::Deny => {
                    // What is kept from a folder's content alone is not kept from itself.
                    if !entry.for_content_only {
                        denied.push((sid, entry.mask));
                    }
                    continue;
                }
                // An entry counts only for what none before it has settled.
                EntryKind::Allow => denied
                    .iter()
                    .filter(|(who, _)| *who == sid || *who == EVERYONE)
                    .fold(entry.mask, |mask, (_, kept)| mask & !kept),
            };
            if sid == us.sid
                || sid == self.owner.sid
                || entry.account.has_it_anyway()
                || entry.account.kind == AccountKind::Single
                || mask & (READS | CHANGES) == 0
            {
                continue;
            }
            let at = match others.iter().position(|other| other.account.sid == sid) {
                Some(at) => at,
                None => {
                    others.push(Other {
                        account: entry.account.clone(),
                        may_read: false,
                        may_change: false,
                        is_explicit: false,
                    });
                    others.len() - 1
                }
            };
            others[at].may_read |= mask & READS != 0;
            others[at].may_change |= mask & CHANGES != 0;
            others[at].is_explicit |= !entry.inherited;
        }
        others
    }

    /// The command that leaves a path to `us`, the owner, SYSTEM, the administrators and
    /// whom somebody has let in by name, and takes it from the others. Groups are given by
    /// their identifiers: their names are another language's on another Windows.
    pub fn mend(&self, us: &Account, others: &[Other], target: Target, path: &Path) -> String {
        let handed_down = match target {
            Target::File => "",
            Target::Folder => "(OI)(CI)",
        };
        let mut grants: Vec<(String, &str)> = vec![(written(us), "F")];
        if self.owner.sid != us.sid && !self.owner.has_it_anyway() {
            grants.push((written(&self.owner), "F"));
        }
        grants.extend([SYSTEM, ADMINISTRATORS].map(|sid| (format!("*{sid}"), "F")));
        // With inheritance goes what came down; what stands at the path itself stays.
        for entry in self.entries.iter().flatten().filter(|e| e.inherited) {
            let who = written(&entry.account);
            if entry.account.kind == AccountKind::Single
                && entry.kind == EntryKind::Allow
                && entry.mask & (READS | CHANGES) != 0
                && grants.iter().all(|(granted, _)| *granted != who)
            {
                let changes = entry.mask & CHANGES != 0;
                grants.push((who, if changes { "M" } else { "R" }));
            }
        }
        let mut command = format!(
            "icacls {} /inheritance:r /grant:r",
            quoted(&path.to_string_lossy())
        );
        for (who, right) in grants {
            command.push_str(&format!(" \"{who}:{handed_down}{right}\""));
        }
        for other in others.iter().filter(|other| other.is_explicit) {
            command.push_str(&format!(" /remove:g \"*{}\"", other.account.sid));
        }
        command
    }
}

/// An account as `icacls` takes it. A `$` (a managed service account's) or the like means
/// something to PowerShell, so the identifier stands for such a name.
fn written(account: &Account) -> String {
    match &account.name {
        Some(name) if !name.contains(['$', '`', '"', '%', ':']) => name.clone(),
        Some(_) | None => format!("*{}", account.sid),
    }
}

/// A path for PowerShell and the command prompt alike. Only in PowerShell do `$` and `` ` ``
/// mean anything, so only there can they be quoted.
fn quoted(path: &str) -> String {
    if path.contains(['$', '`']) {
        format!("'{}'", path.replace('\'', "''"))
    } else {
        format!("\"{path}\"")
    }
}

#[cfg(test)]
mod tests;
