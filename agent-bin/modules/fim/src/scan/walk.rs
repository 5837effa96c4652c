//! A walker: lists folders and compares each name with its row.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::folder::Folder;
use super::hashing::ToRead;
use super::list::{CHUNK, Listing, buffer};
use super::queue::Task;
use super::{Finding, Shared};
use crate::baseline::{BaselineError, BaselineReader, FolderId, KnownFolder};
use crate::entry::{Entry, Kind};
use crate::look::{Digesting, For, Names, is_gone, look, open_folder};
use crate::path_bytes::PathBytes;

/// Rows that are read at once.
const PAGE: usize = 1_024;

/// How deep a walker goes into what it has found before it reads on.
const DEEPEST: usize = 32;

/// A thread that walks folders until there are no more.
pub(super) fn run(shared: &Arc<Shared>, reader: &BaselineReader) {
    let mut walker = Walker { shared, reader, depth: 0, room: buffer() };
    while let Some(task) = shared.folders.pop(&shared.stop) {
        walker.perform(task);
    }
    // All walkers end together.
    shared.files.close();
    shared.outbox.flush(&shared.stop);
}

struct Walker<'a> {
    shared: &'a Arc<Shared>,
    reader: &'a BaselineReader,
    depth: usize,
    /// For the listing of one folder; empty while it is used.
    room: Vec<MaybeUninit<u8>>,
}

/// Why a folder is not walked to its end.
enum Cut {
    Disk(io::Error),
    Database(BaselineError),
    Stopped,
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<BaselineError> for Cut {
    fn from(error: BaselineError) -> Self {
        Self::Database(error)
    }
}

impl Walker<'_> {
    fn perform(&mut self, task: Task) {
        let (path, result) = match task {
            Task::Start(path) => {
                let result = self.start(&path);
                (path, result)
            }
            Task::Folder { path, known } => {
                let result = self.folder(&path, known);
                (path, result)
            }
        };
        let error = match result {
            Ok(()) | Err(Cut::Stopped) => return,
            // It was there a moment ago.
            Err(Cut::Disk(error)) if is_gone(&error) => {
                self.shared.tell(Finding::Gone { path });
                return;
            }
            Err(Cut::Disk(error)) => error.to_string(),
            Err(Cut::Database(error)) => error.to_string(),
        };
        self.shared.tell(Finding::Unreadable { path, error });
    }

    /// A path where the scan begins: it is compared itself.
    fn start(&mut self, path: &PathBytes) -> Result<(), Cut> {
        let row = self.reader.find(path)?;
        if self.shared.plan.rules.of(path).is_none() {
            if row.is_some() {
                self.shared.tell(Finding::Excluded { path: path.clone() });
            }
            return Ok(());
        }
        if self.shared.looker.own.holds_path(path) {
            return Ok(());
        }
        if let Some((fstype, false)) = self.shared.mounts.of(path) {
            let fstype = fstype.to_owned();
            self.shared.tell(Finding::Mount { path: path.clone(), fstype, entered: false });
            return Ok(());
        }
        let (parent, name) = match path.split() {
            Some((parent, name)) => (parent, name.to_vec()),
            None => (path.clone(), Vec::new()),
        };
        let fd = match open_folder(&parent, For::Passing) {
            Err(error) if is_gone(&error) && row.is_none() => return Ok(()),
            opened => opened?,
        };
        let parent = Folder::new(parent, fd, self.shared);
        let names = self.shared.looker.owners.names();
        let known = self.reader.known_folder(path)?;
        self.name(&parent, path, name, row, known, &names);
        Ok(())
    }

    fn folder(&mut self, path: &PathBytes, known: Option<KnownFolder>) -> Result<(), Cut> {
        let shared = self.shared;
        if let Some(known) = known.filter(|known| known.scanned == shared.plan.number) {
            for (name, known) in self.reader.subfolders(known.id)? {
                let child = path.join(&name);
                if shared.plan.rules.of_child(&child).is_some() && self.may_enter(&child) {
                    self.enter(child, Some(known));
                }
            }
            return Ok(());
        }
        let id = known.map(|known| known.id);
        let folder = Folder::new(path.clone(), open_folder(path, For::Listing)?, shared);
        shared.progress.folders.fetch_add(1, Ordering::Relaxed);
        let names = shared.looker.owners.names();
        let mut room = std::mem::take(&mut self.room);
        if room.is_empty() {
            room = buffer();
        }
        let mut listing = Listing::new(folder.fd.as_fd(), &mut room);
        let (found, last) = listing.next()?;
        if last {
            self.room = room;
            self.compare(&folder, found, id, &names)?;
        } else {
            self.chunk(&folder, found, id, &names)?;
            loop {
                let (found, last) = listing.next()?;
                self.chunk(&folder, found, id, &names)?;
                if last {
                    break;
                }
            }
            self.missing(&folder, id)?;
        }
        folder.is_complete();
        Ok(())
    }

    /// Compares all names of a folder with all its rows, both in order.
    fn compare(
        &mut self,
        folder: &Arc<Folder>,
        found: Vec<Vec<u8>>,
        id: Option<FolderId>,
        names: &Names,
    ) -> Result<(), Cut> {
        let mut rows = Rows::new(self.reader, id);
        for name in found {
            while let Some((gone, ..)) = rows.next_if(|row| *row < name)? {
                self.gone(folder, &gone);
            }
            let (row, known) = match rows.next_if(|row| *row == name)? {
                Some((_, row, known)) => (Some(row), known),
                None => (None, None),
            };
            self.child(folder, name, row, known, names)?;
        }
        while let Some((gone, ..)) = rows.next_if(|_| true)? {
            self.gone(folder, &gone);
        }
        Ok(())
    }

    /// Compares some names of a folder that has too many.
    fn chunk(
        &mut self,
        folder: &Arc<Folder>,
        found: Vec<Vec<u8>>,
        id: Option<FolderId>,
        names: &Names,
    ) -> Result<(), Cut> {
        for name in found {
            let row = match id {
                Some(id) => self.reader.entry_in(id, &name)?,
                None => None,
            };
            let is_folder = row.as_ref().is_some_and(|row| row.kind == Kind::Folder);
            let known = match id.filter(|_| is_folder) {
                Some(id) => self.reader.known_in(id, &name)?,
                None => None,
            };
            self.child(folder, name, row, known, names)?;
        }
        Ok(())
    }

    /// Finds the rows of such a folder whose names are not there.
    fn missing(&mut self, folder: &Arc<Folder>, id: Option<FolderId>) -> Result<(), Cut> {
        let mut rows = Rows::new(self.reader, id);
        while let Some((name, ..)) = rows.next_if(|_| true)? {
            if self.shared.stopped() {
                return Err(Cut::Stopped);
            }
            let fd = folder.fd.as_fd();
            let path = folder.path.join(&name);
            if self.shared.mounts.at(&path).is_none()
                && look(fd, &name, &Names::default())?.is_none()
            {
                self.gone(folder, &name);
            }
        }
        Ok(())
    }

    fn gone(&self, folder: &Folder, name: &[u8]) {
        let path = folder.path.join(name);
        let excluded = self.shared.plan.rules.of_child(&path).is_none();
        self.shared.tell(if excluded {
            Finding::Excluded { path }
        } else {
            Finding::Gone { path }
        });
    }

    fn child(
        &mut self,
        folder: &Arc<Folder>,
        name: Vec<u8>,
        row: Option<Entry>,
        known: Option<KnownFolder>,
        names: &Names,
    ) -> Result<(), Cut> {
        let shared = self.shared;
        shared.pace.wait(&shared.stop);
        if shared.stopped() {
            return Err(Cut::Stopped);
        }
        let path = folder.path.join(&name);
        if shared.plan.rules.of_child(&path).is_none() {
            if row.is_some() {
                shared.tell(Finding::Excluded { path });
            }
            return Ok(());
        }
        if !self.may_enter(&path) {
            return Ok(());
        }
        self.name(folder, &path, name, row, known, names);
        Ok(())
    }

    /// Whether what is at the path may be touched at all; says so where a file system is mounted.
    fn may_enter(&self, path: &PathBytes) -> bool {
        if self.shared.looker.own.holds_path(path) {
            return false;
        }
        let Some((fstype, entered)) = self.shared.mounts.at(path) else { return true };
        let (path, fstype) = (path.clone(), fstype.to_owned());
        self.shared.tell(Finding::Mount { path, fstype, entered });
        entered
    }

    /// Compares one name with its row, and goes on below if it is a folder.
    fn name(
        &mut self,
        folder: &Arc<Folder>,
        path: &PathBytes,
        name: Vec<u8>,
        row: Option<Entry>,
        known: Option<KnownFolder>,
        names: &Names,
    ) {
        let shared = self.shared;
        let path = path.clone();
        let mut entry = match look(folder.fd.as_fd(), &name, names) {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                if row.is_some() {
                    shared.tell(Finding::Gone { path });
                }
                return;
            }
            Err(error) => {
                shared.tell(Finding::Unreadable { path, error: error.to_string() });
                return;
            }
        };
        if entry.kind == Kind::Folder {
            if shared.looker.own.holds(&entry) {
                return;
            }
            if row.as_ref() != Some(&entry) {
                shared.tell(Finding::Differs { path: path.clone(), entry });
            }
            self.enter(path, known);
            return;
        }
        shared.progress.files.fetch_add(1, Ordering::Relaxed);
        let Some(rule) = shared.plan.rules.of_child(&path) else { return };
        let limit = rule.max_hash_size;
        match shared.looker.digest(&mut entry, row.as_ref(), limit) {
            Digesting::Due => {
                let folder = Arc::clone(folder);
                let file = ToRead { folder, name, entry, row, limit, attempts: 0 };
                shared.files.push(file, &shared.stop);
            }
            Digesting::Done => {
                if row.as_ref() != Some(&entry) {
                    shared.tell(Finding::Differs { path, entry });
                }
            }
        }
    }

    /// Has the folder walked: later, or at once if there are many already.
    fn enter(&mut self, path: PathBytes, known: Option<KnownFolder>) {
        if self.shared.folders.push(path, known)
            && self.depth < DEEPEST
            && let Some(task) = self.shared.folders.try_pop()
        {
            self.depth += 1;
            self.perform(task);
            self.depth -= 1;
        }
    }
}

/// A name, its row, and what is known of it as a folder.
type Row = (Vec<u8>, Entry, Option<KnownFolder>);

/// The rows of a folder in the order of their names.
struct Rows<'a> {
    reader: &'a BaselineReader,
    id: Option<FolderId>,
    page: VecDeque<Row>,
    after: Option<Vec<u8>>,
}

impl<'a> Rows<'a> {
    fn new(reader: &'a BaselineReader, id: Option<FolderId>) -> Self {
        Self { reader, id, page: VecDeque::new(), after: None }
    }

    fn next_if(
        &mut self,
        wanted: impl FnOnce(&Vec<u8>) -> bool,
    ) -> Result<Option<Row>, BaselineError> {
        if self.page.is_empty()
            && let Some(id) = self.id
        {
            self.page = self.reader.children_to_scan(id, self.after.as_deref(), PAGE)?.into();
            self.after = self.page.back().map(|(name, ..)| name.clone());
            // The last page.
            if self.page.len() < PAGE {
                self.id = None;
            }
        }
        match self.page.front() {
            Some((name, ..)) if wanted(name) => Ok(self.page.pop_front()),
            Some(_) | None => Ok(None),
        }
    }
}

const _: () = assert!(CHUNK > PAGE, "a folder that is read at once has few pages");
