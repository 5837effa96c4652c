//! Sees from outside when a program file is opened, which is what execve does first.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

/// How often a watch looks whether it is over.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// A watch on one file.
pub(crate) struct Opened {
    queue: OwnedFd,
}

impl Opened {
    pub(crate) fn watch(file: &Path) -> Result<Self, String> {
        let watch = || {
            let queue = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            add_watch(&queue, file, WatchFlags::OPEN)?;
            Ok(Self { queue })
        };
        watch().map_err(|error: Errno| format!("cannot watch {}: {error}", file.display()))
    }

    /// When the file was opened, until `over`.
    pub(crate) fn moments(&self, over: &AtomicBool) -> Result<Vec<Instant>, String> {
        let mut moments = Vec::new();
        while !over.load(Ordering::Acquire) {
            let mut ready = [PollFd::new(&self.queue, PollFlags::IN)];
            let woken = poll(&mut ready, Some(&LOOK)).map_err(|error| error.to_string())?;
            if woken > 0 {
                moments.push(Instant::now());
                self.empty();
            }
        }
        Ok(moments)
    }

    fn empty(&self) {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.queue, &mut room);
        while reader.next().is_ok() {}
    }
}
