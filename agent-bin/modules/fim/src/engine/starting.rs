//! The start of an instance: what the one before left, and whether anything can have been missed since.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use module_api::{EventSink, ModuleError, StartContext};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::Engine;
use super::folder_watches::FolderWatches;
use super::inherited::Inherited;
use super::scanning::Scanning;
use super::scope::Scope;
use super::shared::Shared;
use super::watching::{Queue, Read, WatchedFilesystem, Watching};
use super::window::Window;
use crate::baseline::{Baseline, Counts};
use crate::book::Book;
use crate::config::{Config, Directory, WatcherChoice};
use crate::look::Looker;
use crate::mounts::{Mount, concerning, own_mounts};
use crate::path_bytes::PathBytes;
use crate::rules::Rules;
use crate::tell::{Teller, Unfinished, redo};
use crate::watch::filesystems::Filesystems;
use crate::watch::inotify::Inotify;
use crate::watch::recorder::{Left, Recorder};
use crate::watch::{Told, fanotify, inotify, without_repeats};

/// Questions that may wait for the engine.
const ASKS: usize = 16;

/// How deep the agent's own folders are: `modules/NAME`.
const OWN_DEPTH: u32 = 2;

/// What was opened, with what the instance before left in it.
struct Opened {
    book: Book,
    filesystems: Filesystems,
    problems: Vec<String>,
    /// The id of the recorders that belong to this baseline.
    id: u64,
}

impl Engine {
    /// Opens everything, and watches when it returns.
    pub(crate) async fn start(
        config: Arc<Config>,
        context: StartContext,
    ) -> Result<Self, ModuleError> {
        let rules = Arc::new(Rules::new(&config, real_path));
        let StartContext { checkpoints, sensors, folder, own_folders, events, .. } = context;
        let (its_rules, its_config) = (Arc::clone(&rules), Arc::clone(&config));
        let its_own_folders = own_folders.clone();
        let its_checkpoints = checkpoints.clone();
        let opened = spawn_blocking(move || {
            open(&folder, its_own_folders, its_rules, &its_config, &its_checkpoints)
        });
        let opened = opened.await.map_err(|error| failed("opening the baseline", error))??;
        let Opened { mut book, filesystems, problems, mut id } = opened;
        // Here, where nobody comes whose start was given up; and after the redo, which has the number that a claim would take.
        book.claim(fresh_id()).map_err(|error| failed("claiming the baseline", error))?;

        let mut inherited = Inherited::of(sensors, id);
        let told_before = book.queues().map_err(|error| failed("reading the baseline", error))?;
        // A part of it is of no use: nobody knows what the rest has missed.
        let whole = inherited.queues() == told_before && told_before.contains(&true);
        if !whole {
            inherited = Inherited::default();
            id = fresh_id();
        }
        let scope = scope(&book, &rules, filesystems, own_folders)?;
        let mut rest = Unfinished::left(&checkpoints);
        let (watching, left) = begin_to_watch(&config, scope, inherited, id, &rest)?;
        let has = [watching.fanotify.is_some(), watching.inotify.is_some()];
        let unbroken = whole && has == told_before;
        if !unbroken {
            book.forget_watches().map_err(|error| failed("beginning to watch", error))?;
        }
        book.begin_to_watch(id, has).map_err(|error| failed("beginning to watch", error))?;
        let heard_all = unbroken && !left.overflowed;
        if !heard_all {
            rest.forget_folders();
        }
        let until = (heard_all, rest.read_at.0);
        let engine = Self::new(config, events, rules, (book, watching), until)?;
        Ok(engine.with_left(rest, left, problems))
    }

    fn new(
        config: Arc<Config>,
        events: Arc<dyn EventSink>,
        rules: Arc<Rules>,
        (mut book, watching): (Book, Watching),
        (unbroken, told_until): (bool, i64),
    ) -> Result<Self, ModuleError> {
        let (asks_to, asks) = mpsc::channel(ASKS);
        let sensors = watching.sensors().map_err(ModuleError::new)?;
        let shared = Arc::new(Shared::new(sensors, asks_to));
        let phase = shared.phase.subscribe();
        let teller = Teller::new(events, Arc::clone(&rules), phase.clone());
        let scanning = Scanning::begin(&rules, book.baseline(), unbroken, told_until)
            .map_err(|error| failed("reading the baseline", error))?;
        // Since when the first baseline is being made has to be known to the next instance too, should this one be killed now.
        book.set_meta(&scanning.meta()).map_err(|error| failed("beginning to watch", error))?;
        book.set_unfinished(scanning.unfinished_roots(&rules));
        Ok(Self {
            config,
            rules,
            shared,
            phase,
            asks,
            teller,
            book: Some(book),
            flushing: None,
            watching,
            window: Window::default(),
            scanning,
            problems: BTreeMap::new(),
            checks: Vec::new(),
            counts: Counts::default(),
            watched_until: None,
        })
    }

    /// Takes up what the instance before has not finished.
    fn with_left(mut self, rest: Unfinished, left: Read, problems: Vec<String>) -> Self {
        self.window = left_window(rest, left);
        if self.window.is_empty() {
            // Nothing of what was left is ours or new, so no window will be worked off that ends with forgetting it.
            self.watching.forget();
        }
        for problem in problems {
            self.problem(PathBytes::new("/"), problem);
        }
        self
    }
}

fn scope(
    book: &Book,
    rules: &Arc<Rules>,
    filesystems: Filesystems,
    own_folders: Vec<PathBuf>,
) -> Result<Scope, ModuleError> {
    Ok(Scope {
        rules: Arc::clone(rules),
        reader: book.baseline().reader().map_err(|error| failed("reading", error))?,
        filesystems,
        known: HashMap::new(),
        own_folders,
    })
}

/// What the instance before did not finish, and what it had read after that.
fn left_window(rest: Unfinished, left: Read) -> Window {
    let mut window = Window::default();
    let done = rest.read_at;
    window.left(rest, Instant::now());
    for notice in left.notices.into_iter().filter(|notice| notice.read_at > done) {
        window.told(notice, Instant::now(), Duration::ZERO);
    }
    window
}

/// Opens the baseline and moves it to where the last published events say.
fn open(
    folder: &Path,
    own_folders: Vec<PathBuf>,
    rules: Arc<Rules>,
    config: &Config,
    checkpoints: &BTreeMap<String, Vec<u8>>,
) -> Result<Opened, ModuleError> {
    let opened = Baseline::open(folder).map_err(|error| failed("opening the baseline", error))?;
    let mut problems = Vec::new();
    problems.extend(opened.set_aside.map(|kept| {
        format!(
            "the baseline was not usable and is kept as {}: {}",
            kept.kept_as.display(),
            kept.reason
        )
    }));
    let mut filesystems = Filesystems::default();
    let roots: Vec<PathBytes> = rules.roots().cloned().collect();
    for mount in entered(config, &roots)? {
        if let Err(error) = filesystems.open(&mount.point) {
            tracing::debug!(mount = %mount.point, %error, "a mount point cannot be opened");
        }
    }
    let looker = Looker::new(config, own_folders);
    let copy = filesystems.try_clone().map_err(|error| failed("copying descriptors", error))?;
    let mut book = Book::new(opened.baseline, rules, looker, copy, config.diff_size_limit);
    let unread = redo(&mut book, checkpoints);
    problems.extend(unread.map_err(|error| failed("moving the baseline", error))?);
    let id = book.watch_id().map_err(|error| failed("reading the baseline", error))?.unwrap_or(0);
    Ok(Opened { book, filesystems, problems, id })
}

/// The mounts of which something is watched. Nothing is asked of the others: it might hang.
fn entered(config: &Config, roots: &[PathBytes]) -> Result<Vec<Mount>, ModuleError> {
    let mounts = own_mounts().map_err(|error| failed("reading /proc/self/mountinfo", error))?;
    let entered = |mount: &&Mount| mount.is_entered(config.network_filesystems);
    Ok(concerning(&mounts, roots).filter(entered).cloned().collect())
}

/// Adopts what was inherited and makes what is missing. Returns what was read earlier and may not be durable.
fn begin_to_watch(
    config: &Config,
    scope: Scope,
    mut inherited: Inherited,
    id: u64,
    rest: &Unfinished,
) -> Result<(Watching, Read), ModuleError> {
    let mut watching = Watching {
        fanotify: None,
        inotify: None,
        folder_watches: None,
        scope,
        half: None,
        last_read: None,
        unlimited: config.unlimited_queue,
        filesystems: Vec::new(),
    };
    let realtime = watching.scope.rules.realtime_roots();
    let mut left = Read::default();
    if realtime.is_empty() {
        return Ok((watching, left));
    }
    inherited.later_than(rest.read_at.0);
    watching.scope.remember(&[], rest.folders());
    let whole = watching.watch_filesystems(config, &realtime, inherited.fanotify, id, &mut left)?;
    watching.watch_folders(config, whole, inherited.inotify, id, &mut left)?;
    watching.later_than(rest.read_at.0);
    Ok((watching, left))
}

impl Watching {
    /// Fanotify, where it can be: the ids of the file systems that are watched as a whole.
    fn watch_filesystems(
        &mut self,
        config: &Config,
        realtime: &[PathBytes],
        inherited: Option<(OwnedFd, Recorder, Left)>,
        id: u64,
        left: &mut Read,
    ) -> Result<BTreeSet<u64>, ModuleError> {
        let mut whole = BTreeSet::new();
        if config.watcher == WatcherChoice::Inotify {
            return Ok(whole);
        }
        let (group, recorder) = match inherited {
            Some((fd, mut recorder, found)) => {
                let found = self.left_by_fanotify(found, &mut recorder);
                recorder.set_lost(found.overflowed);
                left.add(found);
                (fanotify::Group::adopt(fd), recorder)
            }
            None => match fanotify::Group::new(config.unlimited_queue) {
                Ok(group) => (group, new_recorder("fanotify-recorder", id)?),
                Err(error) if config.watcher == WatcherChoice::Auto => {
                    tracing::info!(%error, "inotify is used instead");
                    return Ok(whole);
                }
                Err(error) => return Err(failed("watching", error)),
            },
        };
        for mount in entered(config, realtime)? {
            let opened = self.scope.filesystems.open(&mount.point);
            let marked = opened
                .map_err(std::io::Error::from)
                .and_then(|(id, fd)| group.watch(fd).map(|()| id));
            let note = marked.as_ref().err().map(ToString::to_string);
            let kind = if note.is_none() { "fanotify" } else { "inotify" };
            whole.extend(marked.ok());
            self.filesystems.push(WatchedFilesystem { mount_point: mount.point, kind, note });
        }
        for folder in &self.scope.own_folders {
            ignore(&group, folder, OWN_DEPTH);
        }
        let queue = Queue::new(group.into_fd(), recorder);
        self.fanotify = Some(queue.map_err(|error| failed("waiting for fanotify", error))?);
        Ok(whole)
    }

    /// Inotify, for what is not watched as a whole.
    fn watch_folders(
        &mut self,
        config: &Config,
        whole: BTreeSet<u64>,
        inherited: Option<(OwnedFd, Recorder, Left)>,
        id: u64,
        left: &mut Read,
    ) -> Result<(), ModuleError> {
        let all_whole = !self.filesystems.is_empty()
            && self.filesystems.iter().all(|filesystem| filesystem.kind == "fanotify");
        if all_whole || config.watcher == WatcherChoice::Fanotify {
            return Ok(());
        }
        let (instance, recorder) = match inherited {
            Some((fd, mut recorder, found)) => {
                let found = left_by_inotify(found, &mut recorder);
                recorder.set_lost(found.overflowed);
                left.add(found);
                (Inotify::adopt(fd), recorder)
            }
            None => {
                let instance = Inotify::new().map_err(|error| failed("watching", error))?;
                (instance, new_recorder("inotify-recorder", id)?)
            }
        };
        let copy = instance.as_fd().try_clone_to_owned();
        let queue = copy.and_then(|fd| Queue::new(fd, recorder));
        self.inotify = Some(queue.map_err(|error| failed("waiting for inotify", error))?);
        let rules = Arc::clone(&self.scope.rules);
        let whole = Arc::new(whole);
        self.folder_watches = Some(FolderWatches { inotify: instance, rules, whole });
        Ok(())
    }

    fn left_by_fanotify(&mut self, left: Left, recorder: &mut Recorder) -> Read {
        self.scope.remember(&left.notices, []);
        let told = fanotify::parse(&left.scratch);
        let scratch = self.scope.keep(told, recorder.next_stamp());
        left_in(left, scratch, recorder)
    }
}

/// Has nothing told of a folder of the agent itself, so that what it writes does not wake it up.
fn ignore(group: &fanotify::Group, folder: &Path, depth: u32) {
    let ignored = std::fs::File::open(folder).and_then(|folder| group.ignore(folder.as_fd()));
    if let Err(error) = ignored {
        tracing::debug!(folder = %folder.display(), %error, "the agent's own writes wake it up");
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for below in folders.filter(|_| depth > 0) {
        ignore(group, &below.path(), depth - 1);
    }
}

fn left_by_inotify(left: Left, recorder: &mut Recorder) -> Read {
    let mut half = None;
    let told = inotify::parse(&left.scratch, &mut half);
    let stamp = recorder.next_stamp();
    let mut scratch = Read::default();
    for told in told {
        scratch.take(told, stamp);
    }
    // Its other half is in the queue still, if there is one, and is told as a name of its own.
    if let Some(half) = half {
        scratch.take(Told::Notice(half.notice().clone()), stamp);
    }
    left_in(left, scratch, recorder)
}

fn left_in(left: Left, scratch: Read, recorder: &mut Recorder) -> Read {
    let overflowed = left.lost | scratch.overflowed;
    let recorded = left.notices.len();
    let notices = without_repeats(left.notices, left.of_scratch, scratch.notices);
    recorder.take_over(notices.get(recorded..).unwrap_or_default());
    Read { notices, overflowed, bytes: 0 }
}

/// Where a configured directory really is: links on the way are followed, now. One that does not exist is watched for.
fn real_path(directory: &Directory) -> PathBytes {
    let real = std::fs::canonicalize(&directory.path).unwrap_or_else(|_| directory.path.clone());
    let bytes = real.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(1, |last| last + 1);
    PathBytes::new(bytes.get(..end).unwrap_or(bytes))
}

fn new_recorder(name: &str, id: u64) -> Result<Recorder, ModuleError> {
    Recorder::new(name, id).map_err(|error| failed("making a recorder", error))
}

/// A number that no earlier one was, as far as chance goes.
fn fresh_id() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}

fn failed(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ModuleError {
    ModuleError::caused_by(format!("{what} failed"), error)
}
