//! Looks at everything that a window holds, tells what has changed, and moves the baseline.

use std::collections::BTreeMap;
use std::io;

use tokio::task::spawn_blocking;

use super::folder_watches::FolderWatches;
use super::window::Contents;
use crate::baseline::Op;
use crate::book::{Book, BookError, Outcome, Sorted, Sure};
use crate::change::Detected;
use crate::entry::Kind;
use crate::gather::{Ended, Hint, Inside, Whereabouts};
use crate::path_bytes::PathBytes;
use crate::tell::{TellError, Teller, Unfinished};

/// Paths that are looked at before what was decided about them is told.
const SLICE: usize = 1_024;

/// How something was noticed, and by what: see [`Change::mark`](crate::change::Change::mark).
type Noticed = (Detected, String);

/// Folders, and by what each was noticed.
type Folders = Vec<(PathBytes, Noticed)>;

/// A window that was worked off.
pub(crate) struct Flushed {
    pub(crate) book: Book,
    /// Folders of which too much is new; they are to be scanned.
    pub(crate) to_scan: Vec<PathBytes>,
    /// What could not be looked at, and why.
    pub(crate) troubles: Vec<(PathBytes, io::Error)>,
    /// Why folders are not watched.
    pub(crate) unwatched: Option<String>,
    /// Where folders are that a look may have missed.
    pub(crate) folders: Whereabouts,
}

/// Works off `contents`. When it fails nothing is lost: what was not told is decided again by the next instance.
pub(crate) async fn flush(
    book: Book,
    mut teller: Teller,
    contents: Contents,
    watches: Option<FolderWatches>,
) -> Result<Flushed, TellError> {
    let Contents {
        notices,
        hints,
        after,
        ended: mut all_ended,
        folders,
        left,
        read_at,
        lost,
        all_is_heard,
    } = contents;
    let folders = if lost { Whereabouts::new() } else { folders };
    let read_at = notices.iter().map(|notice| notice.read_at).fold(read_at, Ord::max);
    let sure = Sure { unfinished: left, all_is_heard };
    let sort = move |book: &mut Book| book.sort(&notices, hints, folders, sure);
    let (book, Sorted { moves, hints, ended, folders }) = in_book(book, sort).await?;
    for (path, lives) in ended {
        all_ended.entry(path).or_default().extend(lives);
    }
    let mut steps = Steps { several: left, resumed: left, folders, read_at };
    let book = if moves.is_empty() {
        book
    } else {
        steps.leave(&mut teller, &hints, &all_ended);
        // What was told of moves cannot be found again by looking.
        teller.tell_at_once(book, moves).await?
    };
    let flushed = Flushed {
        book,
        to_scan: Vec::new(),
        troubles: Vec::new(),
        unwatched: None,
        folders: Whereabouts::new(),
    };
    let mut flushing = Flushing { flushed, teller, watches, ended: all_ended, steps };
    let mut left = hints;
    while !left.is_empty() {
        let rest = left.keys().nth(SLICE).cloned().map(|first| left.split_off(&first));
        let slice = std::mem::replace(&mut left, rest.unwrap_or_default());
        flushing = flushing.slice(slice, &mut left).await?;
    }
    let Flushing { mut flushed, mut teller, ended, steps, .. } = flushing;
    flushed.book = teller.tell(flushed.book, Book::rest(ended)).await?;
    if steps.several {
        teller.end_window(steps.read_at, &steps.folders).await?;
    }
    flushed.folders = steps.folders;
    let (book, ()) = in_book(flushed.book, move |book| book.note(&after)).await?;
    flushed.book = book;
    Ok(flushed)
}

struct Flushing {
    flushed: Flushed,
    teller: Teller,
    watches: Option<FolderWatches>,
    /// Names that came and went, and were not told of yet.
    ended: Ended,
    steps: Steps,
}

/// In how many durable steps the window is worked off.
struct Steps {
    several: bool,
    /// The instance before has begun with it.
    resumed: bool,
    /// Where folders are that the baseline has elsewhere, or not yet.
    folders: Whereabouts,
    read_at: (i64, u32),
}

impl Steps {
    /// What is still to be looked at is stored with the next step, each time anew, since a look may lead to more.
    fn leave(&mut self, teller: &mut Teller, hints: &BTreeMap<PathBytes, Hint>, ended: &Ended) {
        let rest = Unfinished::new(hints, ended, &self.folders, self.read_at);
        self.several |= !rest.is_empty();
        teller.leave(&rest);
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
        for (path, hint) in decided.undecided.into_iter().chain(decided.more) {
            hint.add_to(left, path);
        }
        let mut folders = new_folders(&decided.outcomes);
        if self.steps.resumed {
            // Some of them may have their row and no watch.
            folders.extend(
                all.iter().map(|(path, hint)| (path.clone(), (hint.detected, hint.mark.clone()))),
            );
        }
        let mut rest = left.clone();
        for path in &decided.to_scan {
            // Should this end before the scan is begun, the folder is found to be too large once more.
            let hint = Hint { inside: Inside::Everything, ..Hint::of(Detected::Realtime) };
            hint.add_to(&mut rest, path.clone());
        }
        if Teller::is_one_step(&decided.outcomes) {
            // Of what this slice told nothing is told again, but its folders may stay without a watch.
            for (path, noticed) in folders.iter().filter(|_| self.watches.is_some()) {
                hint_of(noticed).add_to(&mut rest, path.clone());
            }
            self.steps.leave(&mut self.teller, &rest, &self.ended);
        } else {
            rest.extend(all);
            self.steps.leave(&mut self.teller, &rest, &whole);
        }
        self.flushed.to_scan.extend(decided.to_scan);
        self.flushed.troubles.extend(decided.troubles);
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
        folders: Folders,
        left: &mut BTreeMap<PathBytes, Hint>,
    ) -> Result<Self, TellError> {
        let (book, (watched, problem)) =
            in_book(self.flushed.book, move |book| watch_all(book, &watches, folders)).await?;
        self.flushed.book = book;
        self.flushed.unwatched = problem.or_else(|| self.flushed.unwatched.take());
        for (folder, noticed) in watched {
            hint_of(&noticed).add_to(left, folder);
        }
        Ok(self)
    }
}

/// A folder that is new is looked at with all the names in it.
fn hint_of((detected, mark): &Noticed) -> Hint {
    Hint { inside: Inside::Names, mark: mark.clone(), ..Hint::of(*detected) }
}

/// Has folders watched that the baseline has and that have no watch yet. Returns those, and why others have none.
fn watch_all(
    book: &mut Book,
    watches: &FolderWatches,
    folders: Folders,
) -> Result<(Folders, Option<String>), BookError> {
    let (mut watched, mut notes, mut problem) = (Vec::new(), Vec::new(), None);
    for (path, noticed) in folders.into_iter().filter(|(path, _)| watches.wants(path)) {
        let Some(folder) = book.baseline().folder_id(&path)? else { continue };
        match watches.add(&path) {
            Ok(Some(watch)) if book.baseline().watch_of(folder)? != Some(watch) => {
                notes.push(Op::Watch { path: path.clone(), watch: Some(watch) });
                watched.push((path, noticed));
            }
            Ok(_) => {}
            Err(error) => problem = Some(error.to_string()),
        }
    }
    book.note(&notes)?;
    Ok((watched, problem))
}

fn new_folders(outcomes: &[Outcome]) -> Folders {
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
