//! Files and folders for their owner alone: they hold children's records, or say what was
//! sent.
//!
//! On Unix that is the mode. On Windows it is an access list that lets in the account that
//! runs the program, SYSTEM and the administrators, and takes nothing from the folder
//! above: `ProgramData` would let everybody read.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Options under which a new file can be read and written by its owner only. One that is
/// there already keeps the rights that it has.
pub fn owner_only() -> OwnerOnly {
    OwnerOnly {
        options: OpenOptions::new(),
        creates: Creates::Nothing,
    }
}

/// [`OpenOptions`], for a file of the owner's alone.
#[derive(Clone, Debug)]
pub struct OwnerOnly {
    options: OpenOptions,
    creates: Creates,
}

#[derive(Clone, Copy, Debug)]
enum Creates {
    Nothing,
    IfMissing,
    New,
}

impl OwnerOnly {
    /// As [`OpenOptions::read`].
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.options.read(read);
        self
    }

    /// As [`OpenOptions::write`].
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.options.write(write);
        self
    }

    /// As [`OpenOptions::append`].
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.options.append(append);
        self
    }

    /// As [`OpenOptions::truncate`].
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.options.truncate(truncate);
        self
    }

    /// Creates the file where it is missing.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.creates = if create {
            Creates::IfMissing
        } else {
            Creates::Nothing
        };
        self
    }

    /// Creates the file; one that is there is an error.
    pub fn create_new(&mut self, create: bool) -> &mut Self {
        self.creates = if create {
            Creates::New
        } else {
            Creates::Nothing
        };
        self
    }

    /// Opens the file.
    #[cfg(unix)]
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = self.options.clone();
        match self.creates {
            Creates::Nothing => {}
            Creates::IfMissing => {
                options.create(true);
            }
            Creates::New => {
                options.create_new(true);
            }
        }
        options.mode(0o600).open(path)
    }

    /// Opens the file.
    #[cfg(windows)]
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        use csc_windows::access::create_file;
        let path = path.as_ref();
        match self.creates {
            Creates::Nothing => {}
            Creates::New => drop(create_file(path)?),
            Creates::IfMissing => match create_file(path) {
                Err(e) if !path.exists() => return Err(e),
                Ok(_) | Err(_) => {}
            },
        }
        self.options.open(path)
    }
}

/// Creates a folder, and those above it that are missing, for its owner alone. One that
/// is there already keeps the rights that it has.
#[cfg(unix)]
pub fn create_folder_for_owner(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)
}

/// Creates a folder, and those above it that are missing, for its owner alone. One that
/// is there already keeps the rights that it has.
#[cfg(windows)]
pub fn create_folder_for_owner(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        create_folder_for_owner(above)?;
    }
    match csc_windows::access::create_folder(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// Whether nobody but the owner gets at it.
    #[cfg(unix)]
    fn is_closed(path: &Path) -> bool {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
    }

    /// Whether nobody but the owner gets at it.
    #[cfg(windows)]
    fn is_closed(path: &Path) -> bool {
        use csc_windows::access::{Target, current_account, read};
        let target = if path.is_dir() {
            Target::Folder
        } else {
            Target::File
        };
        let list = read(path).unwrap();
        list.others(&current_account().unwrap(), target).is_empty()
    }

    #[test]
    fn a_new_file_and_new_folders_are_for_their_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        create_folder_for_owner(&folder).unwrap();
        create_folder_for_owner(&folder).unwrap();
        let file = folder.join("c.txt");
        owner_only().write(true).create(true).open(&file).unwrap();
        for path in [&place.path().join("a"), &folder, &file] {
            assert!(is_closed(path), "{}", path.display());
        }
    }

    #[test]
    fn what_is_there_is_opened_as_asked() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.txt");
        let missing = owner_only().read(true).open(&path).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let write = |options: &mut OwnerOnly, text: &str| {
            let mut file = options.open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write(owner_only().write(true).create_new(true), "first ");
        let again = owner_only().write(true).create_new(true).open(&path);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        write(owner_only().append(true).create(true), "second");
        let mut text = String::new();
        let mut file = owner_only().read(true).open(&path).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first second");
        write(
            owner_only().write(true).create(true).truncate(true),
            "third",
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third");
    }
}
