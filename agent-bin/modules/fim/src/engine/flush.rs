//! Looks at everything that a window holds, tells what has changed, and moves the baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tokio::task::spawn_blocking;

use super::folder_watches::FolderWatches;
use super::window::Contents;
use crate::baseline::Op;
use crate::book::{Book, BookError, Outcome, Sorted};
use crate::change::Detected;
use crate::entry::Kind;
use crate::gather::{Ended, Hint, Inside};
use crate::path_bytes::PathBytes;
use crate::tell::{TellError, Teller, Unfinished};

/// Paths that are looked at before what was decided about them is told.
const SLICE: usize = 1_024;

/// How something was noticed, and by what: see [`Change::mark`](crate::change::Change::mark).
type Noticed = (Detected, String);

/// A window that was worked off.
pub(crate) struct Flushed {
    pub(crate) book: Book,
    /// Folders of which too much is new; they are to be scanned.
    pub(crate) to_scan: Vec<PathBytes>,
    /// What could not be looked at, and why.
    pub(crate) troubles: Vec<(PathBytes, io::Error)>,
    /// Why folders are not watched.
    pub(crate) unwatched: Option<String>,
}

/// Works off `contents`. When it fails nothing is lost: what was not told is decided again by the next instance.
pub(crate) async fn flush(
    book: Book,
    mut teller: Teller,
    contents: Contents,
    watches: Option<FolderWatches>,
) -> Result<Flushed, TellError> {
    let Contents { notices, hints, after, ended: mut all_ended, left } = contents;
    let read_at = notices.last().map_or((0, 0), |notice| notice.read_at);
    let (book, sorted) = in_book(book, move |book| book.sort(&notices, hints)).await?;
    let Sorted { moves, hints, ended } = sorted;
    all_ended.extend(ended);
    let mut steps = Steps { begun: left, read_at };
    if !moves.is_empty() {
        steps.begin(&mut teller, &hints, &all_ended);
    }
    let book = teller.tell(book, moves).await?;
    let flushed = Flushed { book, to_scan: Vec::new(), troubles: Vec::new(), unwatched: None };
    let (seen, ended) = (BTreeSet::new(), all_ended);
    let mut flushing = Flushing { flushed, teller, watches, seen, ended, steps };
    let mut left = hints;
    while !left.is_empty() {
        let rest = left.keys().nth(SLICE).cloned().map(|first| left.split_off(&first));
        let slice = std::mem::replace(&mut left, rest.unwrap_or_default());
        flushing = flushing.slice(slice, &mut left).await?;
    }
    let Flushing { mut flushed, mut teller, ended, steps, .. } = flushing;
    flushed.book = teller.tell(flushed.book, Book::rest(ended)).await?;
    if steps.begun {
        teller.end_window().await?;
    }
    let (book, ()) = in_book(flushed.book, move |book| book.note(&after)).await?;
    flushed.book = book;
    Ok(flushed)
}

struct Flushing {
    flushed: Flushed,
    teller: Teller,
    watches: Option<FolderWatches>,
    /// Paths that were looked at because others led to them.
    seen: BTreeSet<PathBytes>,
    /// Names that came and went, and were not told of yet.
    ended: Ended,
    steps: Steps,
}

/// Whether the window is worked off in more than one durable step.
struct Steps {
    begun: bool,
    read_at: (i64, u32),
}

impl Steps {
    /// There will be more than one step: what is still to be looked at is stored with the next one, each time anew, since a
    /// look may lead to more.
    fn begin(&mut self, teller: &mut Teller, hints: &BTreeMap<PathBytes, Hint>, ended: &Ended) {
        self.begun = true;
        teller.begin_window(&Unfinished::new(hints, ended, self.read_at));
    }
}

impl Flushing {
    async fn slice(
        mut self,
        slice: BTreeMap<PathBytes, Hint>,
        left: &mut BTreeMap<PathBytes, Hint>,
    ) -> Result<Self, TellError> {
        let (all, whole) = (slice.clone(), self.ended.clone());
        let mut ended = std::mem::take(&mut self.ended);
        let decide =
            move |book: &mut Book| book.decide(slice, &mut ended).map(|done| (done, ended));
        let (book, (decided, ended)) = in_book(self.flushed.book, decide).await?;
        self.ended = ended;
        self.flushed.to_scan.extend(decided.to_scan);
        self.flushed.troubles.extend(decided.troubles);
        for (path, hint) in decided.more {
            if self.seen.insert(path.clone()) {
                left.entry(path).or_insert(hint);
            }
        }
        let folders = new_folders(&decided.outcomes);
        if !left.is_empty() || !self.ended.is_empty() || !Teller::is_one_step(&decided.outcomes) {
            let mut hints = all;
            hints.extend(left.iter().map(|(path, hint)| (path.clone(), hint.clone())));
            self.steps.begin(&mut self.teller, &hints, &whole);
        }
        self.flushed.book = self.teller.tell(book, decided.outcomes).await?;
        if let Some(watches) = self.watches.clone().filter(|_| !folders.is_empty()) {
            self = self.watch(watches, folders, left).await?;
        }
        Ok(self)
    }

    /// Has new folders watched, and then listed once more: what was made before the watch was there told nobody.
    async fn watch(
        mut self,
        watches: FolderWatches,
        folders: Vec<(PathBytes, Noticed)>,
        left: &mut BTreeMap<PathBytes, Hint>,
    ) -> Result<Self, TellError> {
        let (book, (watched, problem)) = in_book(self.flushed.book, move |book| {
            let mut watched = Vec::new();
            let mut problem = None;
            for (folder, detected) in folders.into_iter().filter(|one| watches.wants(&one.0)) {
                match watches.add(&folder) {
                    Ok(Some(watch)) => watched.push((folder, watch, detected)),
                    Ok(None) => {}
                    Err(error) => problem = Some(error.to_string()),
                }
            }
            let note = |(path, watch, _): &(PathBytes, i32, Noticed)| Op::Watch {
                path: path.clone(),
                watch: Some(*watch),
            };
            book.note(&watched.iter().map(note).collect::<Vec<_>>())?;
            Ok((watched, problem))
        })
        .await?;
        self.flushed.book = book;
        self.flushed.unwatched = problem.or_else(|| self.flushed.unwatched.take());
        for (folder, _, (detected, mark)) in watched {
            let hint = Hint { inside: Inside::Names, mark, ..Hint::of(detected) };
            left.entry(folder).or_insert(hint).inside = Inside::Names;
        }
        Ok(self)
    }
}

fn new_folders(outcomes: &[Outcome]) -> Vec<(PathBytes, Noticed)> {
    let operations = outcomes
        .iter()
        .flat_map(|outcome| outcome.operations.iter().map(move |operation| (operation, outcome)));
    let folder = |(operation, outcome): (&Op, &Outcome)| match operation {
        Op::Put { path, entry, .. } if entry.kind == Kind::Folder => {
            Some((path.clone(), (outcome.detected, outcome.mark.clone())))
        }
        Op::Put { .. }
        | Op::Remove { .. }
        | Op::Move { .. }
        | Op::Scanned { .. }
        | Op::Watch { .. }
        | Op::Ghost { .. }
        | Op::Text { .. } => None,
    };
    operations.filter_map(folder).collect()
}

/// Does a step that blocks.
pub(crate) async fn in_book<T: Send + 'static>(
    mut book: Book,
    step: impl FnOnce(&mut Book) -> Result<T, BookError> + Send + 'static,
) -> Result<(Book, T), TellError> {
    Ok(spawn_blocking(move || step(&mut book).map(|result| (book, result))).await??)
}
