//! The kernel's queues of this instance, each with its recorder: adopted from the instance before, or new.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use module_api::SensorFd;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::folder_watches::FolderWatches;
use super::scope::Scope;
use crate::clock;
use crate::path_bytes::PathBytes;
use crate::sys;
use crate::watch::inotify::HalfMoved;
use crate::watch::recorder::Recorder;
use crate::watch::{Notice, Parent, Told, fanotify, inotify};

/// Everything that tells.
pub(crate) struct Watching {
    pub(super) fanotify: Option<Queue>,
    pub(super) inotify: Option<Queue>,
    pub(super) folder_watches: Option<FolderWatches>,
    pub(super) scope: Scope,
    /// A move of which inotify has told one half.
    pub(super) half: Option<HalfMoved>,
    /// When a queue was read last, in nanoseconds since 1970.
    pub(super) last_read: Option<i64>,
    /// The kernel queues for fanotify without limit.
    pub(super) unlimited: bool,
    /// What is watched how, for the status.
    pub(super) filesystems: Vec<WatchedFilesystem>,
}

/// A queue of the kernel.
pub(crate) struct Queue {
    pub(super) fd: AsyncFd<OwnedFd>,
    pub(super) recorder: Recorder,
}

/// One file system, and what tells of it.
#[derive(Debug, Clone)]
pub(crate) struct WatchedFilesystem {
    pub(crate) mount_point: PathBytes,
    /// `fanotify` or `inotify`.
    pub(crate) kind: &'static str,
    /// Why it is not fanotify.
    pub(crate) note: Option<String>,
}

/// What one round of reading gave.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) notices: Vec<Notice>,
    pub(crate) overflowed: bool,
    /// How many bytes the kernel gave, also about what is not ours.
    pub(crate) bytes: usize,
}

impl Queue {
    pub(super) fn new(fd: OwnedFd, recorder: Recorder) -> io::Result<Self> {
        Ok(Self { fd: sys::readable(fd)?, recorder })
    }

    /// One read into the scratch, of what gets this stamp; 0 when there is nothing.
    fn fill(&mut self, stamp: i64) -> io::Result<usize> {
        let Self { fd, recorder } = self;
        // Whatever the runtime knows of it: it may not have looked since the queue was empty.
        match rustix::io::read(fd.get_ref(), recorder.begin_read(stamp)) {
            Err(Errno::AGAIN) => {
                // Has the runtime look again before it says that there is something.
                let empty: io::Result<()> =
                    fd.try_io(Interest::READABLE, |_| Err(io::ErrorKind::WouldBlock.into()));
                empty.map_or(Ok(0), |()| Ok(0))
            }
            read => Ok(read?),
        }
    }

    /// Waits until there may be something.
    async fn readable(&self) {
        match self.fd.ready(Interest::READABLE).await {
            Ok(guard) => drop(guard),
            // The runtime is ending.
            Err(_) => std::future::pending().await,
        }
    }

    fn queued_bytes(&self) -> Option<u64> {
        rustix::io::ioctl_fionread(self.fd.get_ref().as_fd()).ok()
    }

    /// Records what is ours of what was read, and takes it out of the scratch. What cannot be recorded is lost in an overflow.
    fn record(&mut self, bytes: usize, kept: &mut Read, half: Option<&HalfMoved>) {
        let recorder = &mut self.recorder;
        let fits = kept.notices.iter().all(|notice| recorder.append(notice).is_ok())
            && recorder.append_half(half).is_ok();
        kept.overflowed |= !fits;
        if kept.overflowed {
            recorder.set_lost(true);
        }
        recorder.clear_scratch(bytes);
    }
}

impl Watching {
    /// Waits until a queue may have something. Never returns when there is none.
    pub(crate) async fn readable(&mut self) {
        let of = async |queue: &mut Option<Queue>| match queue {
            Some(queue) => queue.readable().await,
            None => std::future::pending().await,
        };
        tokio::select! {
            () = of(&mut self.fanotify) => {}
            () = of(&mut self.inotify) => {}
        }
    }

    /// Whether everything that a read gives can be recorded.
    pub(crate) fn has_room(&self) -> bool {
        [&self.fanotify, &self.inotify].into_iter().flatten().all(|queue| queue.recorder.has_room())
    }

    /// Reads each queue once.
    ///
    /// # Errors
    /// When the kernel refuses, which means that the queue is of no use any more.
    pub(crate) fn read(&mut self) -> io::Result<Read> {
        let mut read = Read::default();
        let stamp = self.next_stamp();
        if let Some(queue) = &mut self.fanotify {
            let bytes = queue.fill(stamp)?;
            let scratch = queue.recorder.scratch().get(..bytes).unwrap_or_default();
            let told = fanotify::parse(scratch);
            let mut kept = self.scope.keep(told, stamp);
            queue.record(bytes, &mut kept, None);
            read.add(Read { bytes, ..kept });
        }
        let stamp = self.next_stamp();
        if let Some(queue) = &mut self.inotify {
            let bytes = queue.fill(stamp)?;
            let scratch = queue.recorder.scratch().get(..bytes).unwrap_or_default();
            let mut told = inotify::parse(scratch, &mut self.half);
            if bytes == 0 {
                told.extend(self.half.take().map(|half| Told::Notice(half.into_notice())));
            }
            let mut kept = Read::default();
            for told in told {
                kept.take(told, stamp);
            }
            queue.record(bytes, &mut kept, self.half.as_ref());
            read.add(Read { bytes, ..kept });
        }
        self.last_read = Some(clock::now());
        Ok(read)
    }

    /// Later than the stamp of everything that was read, also where the clock was set back.
    fn next_stamp(&self) -> i64 {
        let queues = [&self.fanotify, &self.inotify].into_iter().flatten();
        queues.map(|queue| queue.recorder.next_stamp()).max().unwrap_or(0)
    }

    /// What is read from now on gets a stamp later than this one.
    pub(super) fn later_than(&mut self, stamp: i64) {
        for queue in [&mut self.fanotify, &mut self.inotify].into_iter().flatten() {
            queue.recorder.later_than(stamp);
        }
    }

    /// What is recorded from now on is not among what is being worked off.
    pub(crate) fn switch(&mut self) {
        for queue in [&mut self.fanotify, &mut self.inotify].into_iter().flatten() {
            queue.recorder.switch();
        }
        // The half of a move is not among what is being worked off.
        if let Some(queue) = &mut self.inotify
            && queue.recorder.append_half(self.half.as_ref()).is_err()
        {
            tracing::warn!("half of a move is not recorded: a kill at this moment would lose it");
        }
    }

    /// What was recorded before the last switch is durable.
    pub(crate) fn forget(&mut self) {
        for queue in [&mut self.fanotify, &mut self.inotify].into_iter().flatten() {
            queue.recorder.forget();
        }
    }

    /// A scan has found everything that was lost.
    pub(crate) fn found_lost(&mut self) {
        for queue in [&mut self.fanotify, &mut self.inotify].into_iter().flatten() {
            queue.recorder.set_lost(false);
        }
    }

    /// What has new folders watched, where that is needed.
    pub(crate) fn folder_watches(&self) -> Option<FolderWatches> {
        self.folder_watches.clone()
    }

    /// What the next instance is to get.
    ///
    /// # Errors
    /// When a descriptor cannot be copied.
    pub(crate) fn sensors(&self) -> Result<Vec<SensorFd>, String> {
        let mut sensors = Vec::new();
        for (name, queue) in [("fanotify", &self.fanotify), ("inotify", &self.inotify)] {
            let Some(queue) = queue else { continue };
            let fd = queue.fd.get_ref().try_clone().map_err(|error| error.to_string())?;
            sensors.push(SensorFd::new(name, fd).map_err(|error| error.to_string())?);
            sensors.push(queue.recorder.sensor().map_err(|error| error.to_string())?);
        }
        Ok(sensors)
    }

    /// The bytes that wait in the queues, as far as the kernel says.
    pub(crate) fn queued_bytes(&self) -> Option<u64> {
        let queues = [&self.fanotify, &self.inotify].into_iter().flatten();
        queues.map(Queue::queued_bytes).sum()
    }
}

/// The bytes of fanotify that the kernel says wait are as many as these for each event, whatever it is about.
const FANOTIFY_EVENT: u64 = 24;

impl Watching {
    /// The events that wait, where the kernel says that: inotify says bytes alone.
    pub(crate) fn queued_events(&self) -> Option<u64> {
        match (&self.fanotify, &self.inotify) {
            (Some(queue), None) => Some(queue.queued_bytes()? / FANOTIFY_EVENT),
            (Some(_) | None, _) => None,
        }
    }

    /// How many events may wait in a queue; `None` when there is no limit, no queue, or none that is known.
    pub(crate) fn queue_limit(&self) -> Option<u64> {
        let file = match (&self.fanotify, &self.inotify) {
            (Some(_), _) if self.unlimited => return None,
            (Some(_), _) => "/proc/sys/fs/fanotify/max_queued_events",
            (None, Some(_)) => "/proc/sys/fs/inotify/max_queued_events",
            (None, None) => return None,
        };
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

impl Read {
    pub(super) fn add(&mut self, other: Self) {
        self.notices.extend(other.notices);
        self.overflowed |= other.overflowed;
        self.bytes += other.bytes;
    }

    pub(super) fn take(&mut self, told: Told, stamp: i64) {
        let notice = match told {
            Told::Notice(notice) => notice,
            // Its folder is gone, as a rule, and if it is a root nothing else says so.
            Told::WatchGone(watch) => Notice::of(Parent::Watch(watch), b""),
            Told::Overflow => {
                self.overflowed = true;
                return;
            }
        };
        let read_at = (stamp, self.notices.len() as u32);
        self.notices.push(Notice { read_at, ..notice });
    }
}
