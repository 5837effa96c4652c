//! The files that have to be read, and the threads that do it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::folder::Folder;
use super::{Finding, Shared};
use crate::entry::{Entry, Unhashed};
use crate::hash::{Hashed, Hasher, Job, Need};
use crate::look::{ATTEMPTS, Digesting, is_gone, is_unchanged, look, open_regular};

/// Files that wait. Each keeps its folder open.
const LONGEST: usize = 64;

/// A file that has to be read.
#[derive(Debug)]
pub(super) struct ToRead {
    pub(super) folder: Arc<Folder>,
    pub(super) name: Vec<u8>,
    /// As it was looked at before it is read.
    pub(super) entry: Entry,
    pub(super) row: Option<Entry>,
    /// Bytes. A larger file is not read.
    pub(super) limit: u64,
    /// How often it has been read.
    pub(super) attempts: u32,
}

/// The files that wait.
#[derive(Debug, Default)]
pub(super) struct HashQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    files: VecDeque<ToRead>,
    closed: bool,
}

impl HashQueue {
    /// Adds a file. Waits for room, but not longer than until `stop`; then the file is dropped.
    pub(super) fn push(&self, file: ToRead, stop: &AtomicBool) {
        let mut state = self.lock();
        while state.files.len() >= LONGEST {
            if stop.load(Ordering::Relaxed) {
                drop(state);
                return;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.files.push_back(file);
        drop(state);
        self.changed.notify_all();
    }

    /// There will be no more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    fn pop(&self, need: Need, stop: &AtomicBool) -> Option<ToRead> {
        let mut state = self.lock();
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(file) = state.files.pop_front() {
                let had_no_room = state.files.len() + 1 == LONGEST;
                drop(state);
                if had_no_room {
                    self.changed.notify_all();
                }
                return Some(file);
            }
            if state.closed || need == Need::IfReady {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that reads files until there are no more.
pub(super) fn run(shared: &Arc<Shared>) {
    // Files that have changed while they were read.
    let again = RefCell::new(VecDeque::new());
    let mut next = |need| loop {
        let due = again.borrow_mut().pop_front();
        let file = match due {
            Some(file) => file,
            None => shared.files.pop(need, &shared.stop)?,
        };
        match open_regular(file.folder.fd.as_fd(), &file.name, &file.entry) {
            Ok(opened) => return Some(Job { file: opened, limit: file.entry.size, tag: file }),
            Err(error) if is_gone(&error) => again.borrow_mut().extend(look_again(shared, file)),
            Err(error) => tell_unread(shared, file, Unhashed::Unreadable(error.to_string())),
        }
    };
    let mut done = |hashed: Hashed<ToRead>| {
        let Hashed { tag: mut file, file: opened, result } = hashed;
        match result {
            Ok((digests, bytes)) => {
                shared.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
                let whole = bytes == file.entry.size;
                if whole && is_unchanged(opened.as_fd(), &file.entry).unwrap_or(false) {
                    file.entry.digests = digests;
                    tell(shared, file);
                } else {
                    again.borrow_mut().extend(look_again(shared, file));
                }
            }
            Err(error) => tell_unread(shared, file, Unhashed::Unreadable(error.to_string())),
        }
    };
    Hasher::new(shared.wanted()).run(&mut next, &mut done, &shared.stop);
}

/// The file as it is now, if it has to be read once more.
fn look_again(shared: &Shared, mut file: ToRead) -> Option<ToRead> {
    file.attempts += 1;
    if file.attempts >= ATTEMPTS {
        tell_unread(shared, file, Unhashed::KeptChanging);
        return None;
    }
    let names = shared.looker.owners.names();
    let path = || file.folder.path.join(&file.name);
    match look(file.folder.fd.as_fd(), &file.name, &names) {
        Ok(Some(mut entry)) => {
            let due = shared.looker.digest(&mut entry, file.row.as_ref(), file.limit);
            file.entry = entry;
            match due {
                Digesting::Due => return Some(file),
                Digesting::Done => tell(shared, file),
            }
        }
        Ok(None) => shared.tell(Finding::Gone { path: path() }),
        Err(error) => shared.tell(Finding::Unreadable { path: path(), error: error.to_string() }),
    }
    None
}

fn tell_unread(shared: &Shared, mut file: ToRead, reason: Unhashed) {
    file.entry.unhashed = Some(reason);
    tell(shared, file);
}

fn tell(shared: &Shared, file: ToRead) {
    if file.row.as_ref() != Some(&file.entry) {
        let path = file.folder.path.join(&file.name);
        shared.tell(Finding::Differs { path, entry: file.entry });
    }
}
