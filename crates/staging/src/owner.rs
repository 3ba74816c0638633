//! Files for their owner alone: they hold children's records, or say what was sent.

use std::fs::OpenOptions;

/// Options under which a new file can be read and written by its owner only. (On Windows
/// a file has the access list of its folder.)
pub fn owner_only() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
