//! One round over all open files: look at each, then read, start over or finish as its tail decides.

use std::io;
use std::sync::Arc;

use module_api::ModuleError;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{Collector, Halt, predecessors};
use crate::event;
use crate::lines::Pieces;
use crate::position::Position;
use crate::read::{self, Look, Slice};
use crate::tail::Step;

/// Bytes that one file may take of a round, so that a busy file does not keep the others waiting.
const SLICE: u64 = 1 << 20;
/// Events in one batch: keeps memory small where lines are short, and is still many for one transaction.
const BATCH: usize = 1_000;

/// Said of a file that was truncated before all of it was read.
const TRUNCATED: &str = "was truncated or written anew before it was read to its end; what stood in it after this offset \
                         is lost, and what it holds now is read from its start";

impl Collector {
    /// One round. Says whether there is more to read at once.
    pub(super) async fn round(&mut self) -> Result<bool, Halt> {
        let looks = self.look().await?;
        let mut more = false;
        let mut finished = Vec::new();
        for (index, look) in looks.into_iter().enumerate() {
            let passed = match look {
                Ok(look) => self.pass(index, look).await,
                Err(error) => Err(Trouble::Io(error)),
            };
            match passed {
                Ok(Passed::Through) => {}
                Ok(Passed::Partly) => more = true,
                Ok(Passed::ForEver) => finished.extend(self.tails.get(index).map(|tail| tail.id)),
                Err(Trouble::Io(error)) => self.report(index, &error),
                Err(Trouble::Halt(halt)) => {
                    self.tails.retain(|tail| !finished.contains(&tail.id));
                    return Err(halt);
                }
            }
        }
        self.tails.retain(|tail| !finished.contains(&tail.id));
        Ok(more)
    }

    /// Looks at all files, those that came later first. So whatever is seen in a file was written before its
    /// predecessor was looked at, and the predecessor's lines up to that look are the earlier ones.
    async fn look(&self) -> Result<Vec<io::Result<Look>>, Halt> {
        let files: Vec<_> = self.tails.iter().map(|tail| Arc::clone(&tail.file)).collect();
        blocking(move || {
            let mut looks: Vec<_> = files.iter().rev().map(|file| read::look(file)).collect();
            looks.reverse();
            looks
        })
        .await
    }

    async fn pass(&mut self, index: usize, look: Look) -> Result<Passed, Trouble> {
        let now = Instant::now();
        let Some(position) = self.position(index) else { return Ok(Passed::Through) };
        if self.has_to_wait(&position, now) {
            return Ok(Passed::Through);
        }
        let grace = self.grace;
        let Some(tail) = self.tails.get_mut(index) else { return Ok(Passed::Through) };
        match tail.step(now, position.offset, look, grace) {
            Step::Rest => Ok(Passed::Through),
            Step::Read => self.read_on(index, position, look).await,
            Step::StartOver => self.start_over(index, &position).await,
            Step::Finish => self.finish(index, position, look).await,
        }
    }

    fn position(&self, index: usize) -> Option<Position> {
        let tail = self.tails.get(index)?;
        self.shared.book().get(tail.id).cloned()
    }

    /// Whether a file that had the path before, however long ago, has lines that go first.
    fn has_to_wait(&self, position: &Position, now: Instant) -> bool {
        let book = self.shared.book();
        let mut earlier = predecessors(&book, position.file_id).into_iter();
        earlier.any(|(id, offset)| {
            let tail = self.tails.iter().find(|tail| tail.id == id);
            tail.is_some_and(|tail| tail.goes_first(now, offset, self.grace))
        })
    }

    /// Publishes the complete lines of the next slice.
    async fn read_on(
        &mut self,
        index: usize,
        mut position: Position,
        look: Look,
    ) -> Result<Passed, Trouble> {
        // A slice holds at least one whole line or part, so that every pass gets on.
        let to = look.size.min(position.offset + SLICE.max(self.config.max_line_bytes + 1));
        let slice = self.slice(index, &position, to).await?;
        if !slice.intact {
            return self.start_over(index, &position).await;
        }
        let base = position.offset;
        let mut pieces = Pieces::of(&slice.bytes, self.longest_line(), false);
        loop {
            let batch = pieces.by_ref().take(BATCH);
            let events = event::lines(&mut position, base, &slice.bytes, batch);
            if events.is_empty() {
                break;
            }
            let what = format!("{} lines of {}", events.len(), position.path);
            let change = self.shared.book().plan(vec![position.clone()], Vec::new())?;
            self.publish(events, change, &what).await?;
        }
        let behind = to < look.size;
        if let Some(tail) = self.tails.get_mut(index) {
            tail.passed(look, behind);
        }
        Ok(if behind { Passed::Partly } else { Passed::Through })
    }

    /// Takes the content of the file for another one, with an id of its own.
    async fn start_over(&mut self, index: usize, old: &Position) -> Result<Passed, Trouble> {
        let fresh = old.started_over();
        let id = fresh.file_id;
        let was_behind = self.tails.get(index).is_some_and(|tail| tail.had_more_than(old.offset));
        let events = if was_behind { vec![event::gap(old, TRUNCATED)] } else { Vec::new() };
        tracing::info!(path = %old.path, offset = old.offset, "truncated or written anew: read from its start");
        let change = self.shared.book().plan(vec![fresh], vec![old.file_id])?;
        self.publish(events, change, &format!("the truncation of {}", old.path)).await?;
        if let Some(tail) = self.tails.get_mut(index) {
            tail.id = id;
            tail.failed();
        }
        Ok(Passed::Partly)
    }

    /// Publishes the last line without its newline, and forgets the file unless a pattern matches its new name.
    async fn finish(
        &mut self,
        index: usize,
        mut position: Position,
        look: Look,
    ) -> Result<Passed, Trouble> {
        let slice = self.slice(index, &position, look.size).await?;
        if !slice.intact {
            return self.start_over(index, &position).await;
        }
        let base = position.offset;
        let pieces = Pieces::of(&slice.bytes, self.longest_line(), true);
        let events = event::lines(&mut position, base, &slice.bytes, pieces);
        let what = format!("the end of {}", position.path);
        let Some(tail) = self.tails.get_mut(index) else { return Ok(Passed::Through) };
        let (set, forget, passed) = if tail.matched {
            (vec![position], Vec::new(), Passed::Through)
        } else {
            (Vec::new(), vec![tail.id], Passed::ForEver)
        };
        let change = self.shared.book().plan(set, forget)?;
        self.publish(events, change, &what).await?;
        tracing::info!("{what} was read");
        Ok(passed)
    }

    async fn slice(&self, index: usize, position: &Position, to: u64) -> Result<Slice, Trouble> {
        let Some(tail) = self.tails.get(index) else {
            return Err(Trouble::Io(io::Error::from(io::ErrorKind::NotFound)));
        };
        let (file, position) = (Arc::clone(&tail.file), position.clone());
        Ok(blocking(move || read::slice(&file, &position, to)).await??)
    }

    fn longest_line(&self) -> usize {
        usize::try_from(self.config.max_line_bytes).unwrap_or(usize::MAX - 1)
    }

    /// Warns, once a file, that it cannot be read although it is open.
    fn report(&mut self, index: usize, error: &io::Error) {
        let Some(position) = self.position(index) else { return };
        let Some(tail) = self.tails.get_mut(index) else { return };
        tail.failed();
        if !std::mem::replace(&mut tail.reported, true) {
            tracing::warn!(path = %position.path, %error, "cannot be read");
            self.pending.events.push(event::unreadable(&position.path, &error.to_string()));
        }
    }
}

/// How a pass over one file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
enum Passed {
    /// All that was seen is done.
    Through,
    /// There is more to read at once.
    Partly,
    /// The file is forgotten.
    ForEver,
}

/// Why a pass over one file was not completed.
#[derive(Debug)]
enum Trouble {
    /// This file cannot be read now; the others can.
    Io(io::Error),
    /// The round ends here.
    Halt(Halt),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<ModuleError> for Trouble {
    fn from(error: ModuleError) -> Self {
        Self::Halt(error.into())
    }
}

/// Runs `work`, which touches files, where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Halt> {
    spawn_blocking(work)
        .await
        .map_err(|error| Halt::Failed(ModuleError::caused_by("reading files failed", error)))
}
