//! What the kernel tells of changes: its queues, how they survive the process that reads them, and who did it.
//!
//! Nothing here decides what has changed: a [`Notice`] says where to look.

pub(crate) mod fanotify;
pub(crate) mod filesystems;
pub(crate) mod inotify;
pub(crate) mod process;
pub(crate) mod recorder;

use serde::{Deserialize, Serialize};

use crate::path_bytes::PathBytes;
use crate::sys::Handle;
pub(crate) use process::Process;

/// A folder, as the kernel names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Parent {
    /// By its handle (fanotify).
    Handle(Handle),
    /// By the number of its watch (inotify).
    Watch(i32),
}

/// Something has happened to a name. One of a file that was made, written and removed again at once is one notice that says all
/// of it, since the kernel merges what waits in its queue; the order within is lost then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) parent: Parent,
    /// The name in the folder; empty for the folder itself.
    pub(crate) name: Vec<u8>,
    /// The name was made.
    #[serde(default, skip_serializing_if = "is_not")]
    pub(crate) created: bool,
    /// The name was removed.
    #[serde(default, skip_serializing_if = "is_not")]
    pub(crate) deleted: bool,
    /// It is a folder.
    #[serde(default, skip_serializing_if = "is_not")]
    pub(crate) folder: bool,
    /// What the name led to, where the kernel says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Handle>,
    /// The name was changed to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) renamed_to: Option<(Parent, Vec<u8>)>,
    /// The folder of the new name is one of those that are watched, as far as was known when this was read.
    #[serde(default, skip_serializing_if = "is_not")]
    pub(crate) stays: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<Process>,
    /// Where the folder was when this was read, if the baseline did not have it then.
    pub(crate) seen_at: Option<PathBytes>,
    /// The stamp of when it was read, see [`Recorder::next_stamp`](recorder::Recorder::next_stamp), and its place among those that were read
    /// then.
    pub(crate) read_at: (i64, u32),
}

impl Notice {
    /// A notice about a name, and nothing more.
    pub(crate) fn of(parent: Parent, name: &[u8]) -> Self {
        Self {
            parent,
            name: name.to_vec(),
            created: false,
            deleted: false,
            folder: false,
            target: None,
            renamed_to: None,
            stays: false,
            process: None,
            seen_at: None,
            read_at: (0, 0),
        }
    }

    /// Tells this notice from all others, also when it is found in a recorder after a crash.
    pub(crate) fn read_mark(&self) -> String {
        format!("{}.{}", self.read_at.0, self.read_at.1)
    }

    /// Whether it says the same, whenever it was read.
    fn same(&self, other: &Self) -> bool {
        let plain = |notice: &Self| Self {
            stays: false,
            process: None,
            seen_at: None,
            read_at: (0, 0),
            ..notice.clone()
        };
        plain(self) == plain(other)
    }
}

/// What is not so is not recorded: a recorder has little room.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_not(flag: &bool) -> bool {
    !*flag
}

/// What one read of a queue gave.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most of them are the large one")]
pub(crate) enum Told {
    Notice(Notice),
    /// The queue was full, and something was not queued.
    Overflow,
    /// The watch of this number is gone, with its folder or on demand.
    WatchGone(i32),
}

/// Notices that were read twice, because a crash came between two steps of the recorder, are there once: of those in the
/// scratch the last `of_scratch` that were recorded are known.
pub(crate) fn without_repeats(
    recorded: Vec<Notice>,
    of_scratch: usize,
    scratch: Vec<Notice>,
) -> Vec<Notice> {
    let before_scratch = recorded.len().saturating_sub(of_scratch);
    let mut known = recorded.get(before_scratch..).unwrap_or_default();
    let mut new = Vec::new();
    for notice in scratch {
        match known.iter().position(|known| known.same(&notice)) {
            Some(at) => known = known.get(at + 1..).unwrap_or_default(),
            None => new.push(notice),
        }
    }
    let mut all = recorded;
    all.extend(new);
    all
}

/// Says that a test could not be run here, and why.
#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that is skipped must not look as if it had passed")]
pub(crate) fn skipped(test: &str, why: impl std::fmt::Display) {
    eprintln!("skipped: {test}: {why}");
}
