//! Windows' own calls: the one module of the workspace with `unsafe` in it.
//!
//! The rules: no pointer leaves it; what Windows allocates is owned by a type that frees
//! it; every block says why it is sound; every argument is checked by its type before.

#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![deny(clippy::multiple_unsafe_ops_per_block)]

pub(crate) mod access;
pub(crate) mod proxy;

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;

/// A text for Windows: UTF-16 with a NUL at its end, and none before.
struct Wide(Vec<u16>);

impl Wide {
    fn new(text: &OsStr) -> io::Result<Wide> {
        let mut units: Vec<u16> = text.encode_wide().collect();
        if units.contains(&0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "there is a NUL in it",
            ));
        }
        units.push(0);
        Ok(Wide(units))
    }

    /// Ends with NUL, and lives as long as `self`.
    fn as_ptr(&self) -> *const u16 {
        self.0.as_ptr()
    }
}

/// Copies a text of Windows'.
///
/// # Safety
/// `text` is null, or points to UTF-16 that ends with NUL and that nobody changes
/// meanwhile.
unsafe fn copied(text: *const u16) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut length = 0;
    loop {
        // SAFETY: no unit before this one is the NUL, so this one is of the text still.
        let unit = unsafe { text.add(length) };
        // SAFETY: the same: it is readable.
        if unsafe { *unit } == 0 {
            break;
        }
        length += 1;
    }
    // SAFETY: `length` units from `text` on were read just now.
    let units = unsafe { std::slice::from_raw_parts(text, length) };
    Some(String::from_utf16_lossy(units))
}
