//! How much processor time the journal's thread has used, as the kernel counts it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The name that the crate gives the thread.
const THREAD: &str = "command-journal";

/// The thread of one journal.
pub(crate) struct JournalCpu(PathBuf);

/// The thread of the only journal that is open; `None` where there are several, or where the kernel does not tell.
pub(crate) fn of_the_journal() -> Option<JournalCpu> {
    let threads = fs::read_dir("/proc/self/task").ok()?.filter_map(Result::ok);
    let mut found = threads.map(|thread| thread.path()).filter(|thread| {
        fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim_end() == THREAD)
    });
    let only = found.next()?;
    found.next().is_none().then(|| JournalCpu(only.join("schedstat")))
}

impl JournalCpu {
    /// Since the thread began.
    pub(crate) fn used(&self) -> Option<Duration> {
        let text = fs::read_to_string(&self.0).ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    }
}
