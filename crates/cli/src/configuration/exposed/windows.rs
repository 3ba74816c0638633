//! Access lists: who else gets at a file or folder, in words, and the `icacls` command.

use std::path::Path;

use csc_windows::access::{AccessList, Account, Other, Target};

/// A file that others get at.
#[cfg(windows)]
pub fn file(path: &Path, why: &str) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let look = Look::at(path, Target::File)?;
    look.warning(&path.display().to_string(), &format!(", and {why}"))
}

/// The state folder.
#[cfg(windows)]
pub fn state_folder(path: &Path) -> Option<String> {
    if !path.is_dir() {
        return None;
    }
    Look::at(path, Target::Folder)?.state_folder()
}

/// The journal's folder, where that is not the state folder: what SQLite makes beside the
/// journal during a run takes the folder's access list.
#[cfg(windows)]
pub fn journal_folder(journal: &Path, state_folder: &Path) -> Option<String> {
    let folder = std::path::absolute(journal).ok()?;
    let folder = folder.parent()?;
    let is_other = std::path::absolute(state_folder).ok()? != folder;
    if !is_other || !folder.is_dir() {
        return None;
    }
    Look::at(folder, Target::Folder)?.journal_folder()
}

/// What was found at a path.
struct Look<'a> {
    path: &'a Path,
    target: Target,
    us: Account,
    list: AccessList,
}

#[cfg(windows)]
impl<'a> Look<'a> {
    /// `None` where the list may not be read, or nothing is there.
    fn at(path: &'a Path, target: Target) -> Option<Self> {
        use csc_windows::access::{current_account, read};
        Some(Look {
            path,
            target,
            us: current_account().ok()?,
            list: read(path).ok()?,
        })
    }
}

impl Look<'_> {
    fn others(&self) -> Vec<Other> {
        self.list.others(&self.us, self.target)
    }

    /// `None` where nobody else gets at it.
    fn warning(&self, called: &str, why: &str) -> Option<String> {
        let others = self.others();
        Some(format!(
            "others may {} {called} ({}){why}; {}",
            verb(&others)?,
            names(&others),
            self.mend(&others)
        ))
    }

    fn state_folder(&self) -> Option<String> {
        let others = self.others();
        Some(format!(
            "others may {} the state folder {} ({}); if it is csc-sender's alone, {}; if not, name \
             another in STATE_DIR",
            verb(&others)?,
            self.path.display(),
            names(&others),
            self.mend(&others)
        ))
    }

    fn journal_folder(&self) -> Option<String> {
        let others = self.others();
        Some(format!(
            "others may {} the folder of the journal {} ({}), and what SQLite writes beside the \
             journal takes the folder's rights; if it is csc-sender's alone, {}; if not, leave \
             JOURNAL away or name a file in a folder of its own",
            verb(&others)?,
            self.path.display(),
            names(&others),
            self.mend(&others)
        ))
    }

    /// The command. Who runs the nightly task may be among the others, so it is said.
    fn mend(&self, others: &[Other]) -> String {
        let by = if self.list.owner.sid == self.us.sid {
            String::new()
        } else {
            format!(
                " as its owner {} or as an administrator",
                self.list.owner.shown()
            )
        };
        format!(
            "mend it{by} (and put in the account of the scheduled task, if that is another): {}",
            self.list.mend(&self.us, others, self.target, self.path)
        )
    }
}

/// `None` where there is nobody.
fn verb(others: &[Other]) -> Option<&'static str> {
    let reads = others.iter().any(|other| other.may_read);
    let changes = others.iter().any(|other| other.may_change);
    match (reads, changes) {
        (true, true) => Some("read and change"),
        (true, false) => Some("read"),
        (false, true) => Some("change"),
        (false, false) => None,
    }
}

fn names(others: &[Other]) -> String {
    let names: Vec<&str> = others.iter().map(|other| other.account.shown()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use csc_windows::access::{AccountKind, Entry, EntryKind};

    use super::*;

    fn account(sid: &str, name: &str, kind: AccountKind) -> Account {
        Account {
            sid: sid.into(),
            name: Some(name.into()),
            kind,
        }
    }

    fn look<'a>(path: &'a str, target: Target, owner: &str, mask: u32) -> Look<'a> {
        let us = account("S-1-5-21-1-2-3-1001", "CONTOSO\\ana", AccountKind::Single);
        let owner = account(owner, "CONTOSO\\bob", AccountKind::Single);
        let users = account("S-1-5-32-545", "BUILTIN\\Users", AccountKind::Group);
        let entries = vec![Entry {
            kind: EntryKind::Allow,
            mask,
            inherited: true,
            for_content_only: false,
            account: users,
        }];
        Look {
            path: Path::new(path),
            target,
            list: AccessList {
                owner,
                entries: Some(entries),
            },
            us,
        }
    }

    const READ: u32 = 0x12_0089;
    const ALL: u32 = 0x1F_01FF;

    #[test]
    fn the_warning_names_who_and_gives_the_command() {
        let ours = look(r"C:\csc\.env", Target::File, "S-1-5-21-1-2-3-1001", READ);
        assert_eq!(
            ours.warning(r"C:\csc\.env", ", and it holds or may hold secrets")
                .unwrap(),
            r#"others may read C:\csc\.env (BUILTIN\Users), and it holds or may hold secrets; mend it (and put in the account of the scheduled task, if that is another): icacls "C:\csc\.env" /inheritance:r /grant:r "CONTOSO\ana:F" "*S-1-5-18:F" "*S-1-5-32-544:F""#
        );
    }

    #[test]
    fn a_folder_of_somebody_elses_is_for_them_to_mend() {
        let theirs = look(r"C:\state", Target::Folder, "S-1-5-21-1-2-3-1002", ALL);
        let warning = theirs.state_folder().unwrap();
        assert!(
            warning.starts_with(
                r"others may read and change the state folder C:\state (BUILTIN\Users); if it is csc-sender's alone, mend it as its owner CONTOSO\bob or as an administrator (and"
            ),
            "{warning}"
        );
        let warning = theirs.journal_folder().unwrap();
        assert!(
            warning.contains(r"the folder of the journal C:\state"),
            "{warning}"
        );
        assert!(warning.contains(r#""*S-1-5-18:(OI)(CI)F""#), "{warning}");
    }

    #[test]
    fn where_nobody_else_gets_at_it_nothing_is_said() {
        let closed = look(r"C:\state", Target::Folder, "S-1-5-21-1-2-3-1001", 0);
        assert_eq!(closed.state_folder(), None);
        assert_eq!(closed.journal_folder(), None);
        assert_eq!(closed.warning("it", ""), None);
    }
}
