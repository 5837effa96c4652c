//! What a name in the file system is: the attributes that the baseline remembers and that changes are made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::hash::Digests;

/// What kind of thing a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe; never opened.
    Fifo,
    /// A socket; never opened.
    Socket,
    /// A device of characters; never opened.
    CharDevice,
    /// A device of blocks; never opened.
    BlockDevice,
}

/// Why there is no digest of a regular file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Unhashed {
    /// Larger than the limit of its folder's configuration.
    TooLarge,
    /// It could not be opened or read; what the kernel said.
    Unreadable(String),
    /// It changed again and again while it was read.
    KeptChanging,
    /// It is a file of the agent's own state folder under another name, which must not be opened.
    OwnFile,
}

/// The attributes of one name. Times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// Bytes; of a device its number (`st_rdev`).
    pub(crate) size: u64,
    /// The permission bits, `0o7777`.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The names of owner and group when it was looked at, if they had any.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) group: Option<Arc<str>>,
    pub(crate) mtime: i64,
    /// Never reported: it says whether anything can have changed since it was looked at.
    pub(crate) ctime: i64,
    pub(crate) inode: u64,
    /// `st_dev` of its file system.
    pub(crate) device: u64,
    /// How many names the file has.
    pub(crate) links: u32,
    /// Where a symbolic link leads.
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) digests: Digests,
    pub(crate) unhashed: Option<Unhashed>,
    /// Whether `ctime` was old enough when it was looked at that every later change shows in it.
    pub(crate) settled: bool,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of `size` bytes, for tests.
    pub(crate) fn file(size: u64) -> Entry {
        Entry {
            kind: Kind::File,
            size,
            mode: 0o644,
            uid: 0,
            gid: 0,
            user: Some("root".into()),
            group: Some("root".into()),
            mtime: 1_700_000_000_000_000_000,
            ctime: 1_700_000_000_000_000_000,
            inode: 12,
            device: 0x801,
            links: 1,
            target: None,
            digests: Digests { sha256: Some([7; 32]), ..Digests::default() },
            unhashed: None,
            settled: true,
        }
    }

    /// A folder, for tests.
    pub(crate) fn folder(inode: u64) -> Entry {
        let digests = Digests::default();
        Entry { kind: Kind::Folder, mode: 0o755, inode, size: 4_096, digests, ..file(0) }
    }
}
