//! Sees each version of the restart ticket in the moment in which it is put in place.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use serde_json::Value;

const TICKET: &CStr = c"ticket.json";

/// How far the ticket says that the old process came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// There is none.
    None,
    /// It was decided, and nobody was asked.
    Committed,
    /// The replacement was, or is just being, asked for.
    Requested,
    /// The modules have ended.
    Stopped,
}

/// A watch on the state folder of an agent.
pub(crate) struct TicketWatch {
    folder: PathBuf,
    inotify: OwnedFd,
}

impl TicketWatch {
    /// Sees what happens to the ticket in `folder` from now on.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&inotify, &folder, WatchFlags::MOVED_TO).unwrap();
        Self { folder, inotify }
    }

    /// Waits until the ticket has come to `phase`, or beyond it.
    pub(crate) fn wait_for(&self, phase: Phase) {
        let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
        loop {
            let mut readable = [PollFd::new(&self.inotify, PollFlags::IN)];
            let ready = poll(&mut readable, Some(&patience)).unwrap();
            assert_eq!(ready, 1, "the ticket never came to {phase:?}");
            if self.ticket_was_placed() && self.phase() >= phase {
                return;
            }
        }
    }

    fn ticket_was_placed(&self) -> bool {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut room);
        let mut placed = false;
        while let Ok(event) = reader.next() {
            placed |= event.file_name() == Some(TICKET);
        }
        placed
    }

    /// What the ticket says now.
    pub(crate) fn phase(&self) -> Phase {
        let Some(ticket) = self.ticket() else { return Phase::None };
        let stamps = ticket["stamps"].as_array().unwrap();
        if ticket["stage"] == "stopped" {
            Phase::Stopped
        } else if stamps.iter().any(|stamp| stamp["phase"] == "requested") {
            Phase::Requested
        } else {
            Phase::Committed
        }
    }

    fn ticket(&self) -> Option<Value> {
        let text = std::fs::read(self.folder.join("ticket.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Changes what the ticket says.
    pub(crate) fn amend(&self, change: impl FnOnce(&mut Value)) {
        let mut ticket = self.ticket().expect("there is a ticket");
        change(&mut ticket);
        std::fs::write(self.folder.join("ticket.json"), ticket.to_string()).unwrap();
    }
}
