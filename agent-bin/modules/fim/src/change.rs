//! What has become different about a path, and what differs between two looks at it: decides, and touches nothing.

use serde::{Deserialize, Serialize};

use crate::config::Attribute;
use crate::entry::{Entry, Kind};
use crate::path_bytes::PathBytes;
use crate::watch::Process;

/// One change of one path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    pub(crate) path: PathBytes,
    pub(crate) what: What,
    pub(crate) detected: Detected,
    pub(crate) by: Option<Process>,
    /// What it was noticed by: a notice, which says the same when it is read again after a crash, or a scan. It tells this
    /// change from one that looks just like it.
    pub(crate) mark: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most of them are the large one")]
pub(crate) enum What {
    /// It is new.
    Created(Entry),
    /// It was there and is there, with these differences.
    Modified {
        old: Entry,
        new: Entry,
        /// What was added to and taken from its text, where that is kept.
        diff: Option<String>,
    },
    /// It is gone; what it was last.
    Deleted(Entry),
    /// It was called `from` before, and so was everything below it.
    Moved { from: PathBytes, entry: Entry },
    /// It came and went between two looks.
    ShortLived { folder: bool },
}

/// How a change was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Detected {
    /// The kernel told of it.
    Realtime,
    /// By a scan at its time.
    Scan,
    /// By the scan that closed a gap, in which nothing was told.
    GapScan,
    /// By the scan after the kernel's queue had overflowed.
    OverflowScan,
}

impl Detected {
    /// The word in events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Scan => "scan",
            Self::GapScan => "gap_scan",
            Self::OverflowScan => "overflow_scan",
        }
    }
}

/// Which of the `watched` attributes differ, in the order of [`Attribute::ALL`].
///
/// Size, time and place of a folder follow from what is in it, and those have events of their own.
pub(crate) fn differences(old: &Entry, new: &Entry, watched: &[Attribute]) -> Vec<Attribute> {
    let folder = new.kind == Kind::Folder;
    let differs = |attribute: &Attribute| match attribute {
        Attribute::Size => !folder && old.size != new.size,
        Attribute::Mode => old.mode != new.mode,
        Attribute::Owner => (old.uid, &old.user) != (new.uid, &new.user),
        Attribute::Group => (old.gid, &old.group) != (new.gid, &new.group),
        Attribute::Mtime => !folder && old.mtime != new.mtime,
        Attribute::Inode => old.inode != new.inode,
        Attribute::Device => old.device != new.device,
        Attribute::Target => old.target != new.target,
        Attribute::Hash => old.digests != new.digests || old.unhashed != new.unhashed,
    };
    let wanted = |attribute: &Attribute| watched.contains(attribute);
    Attribute::ALL.into_iter().filter(wanted).filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::{file, folder};

    #[test]
    fn each_attribute_is_a_difference_of_its_own() {
        let old = file(1);
        let changed = |change: &dyn Fn(&mut Entry)| {
            let mut new = old.clone();
            change(&mut new);
            differences(&old, &new, &Attribute::ALL)
        };
        assert_eq!(changed(&|entry| entry.size += 1), [Attribute::Size]);
        assert_eq!(changed(&|entry| entry.mode = 0o600), [Attribute::Mode]);
        assert_eq!(changed(&|entry| entry.uid = 7), [Attribute::Owner]);
        assert_eq!(changed(&|entry| entry.group = None), [Attribute::Group]);
        assert_eq!(changed(&|entry| entry.mtime += 1), [Attribute::Mtime]);
        assert_eq!(changed(&|entry| entry.inode += 1), [Attribute::Inode]);
        assert_eq!(changed(&|entry| entry.device += 1), [Attribute::Device]);
        assert_eq!(changed(&|entry| entry.digests.sha256 = None), [Attribute::Hash]);
        assert_eq!(changed(&|entry| entry.target = Some(vec![b'/'])), [Attribute::Target]);
        let unseen = changed(&|entry| {
            entry.ctime += 1;
            entry.links += 1;
            entry.settled = !entry.settled;
        });
        assert_eq!(unseen, []);
    }

    #[test]
    fn a_folder_does_not_change_with_what_is_in_it() {
        let (old, mut new) = (folder(1), folder(1));
        new.size += 4_096;
        new.mtime += 1;
        assert_eq!(differences(&old, &new, &Attribute::ALL), []);
        new.mode = 0o700;
        assert_eq!(differences(&old, &new, &Attribute::ALL), [Attribute::Mode]);
    }

    #[test]
    fn only_what_is_watched_is_a_difference() {
        let (old, mut new) = (file(1), file(1));
        new.size += 1;
        new.mode = 0o600;
        assert_eq!(differences(&old, &new, &[Attribute::Mode]), [Attribute::Mode]);
    }
}
