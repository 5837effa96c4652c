//! Delivers one batch after the other; the same way after a failure as after a start.

use std::sync::Arc;

use super::file::{OutputFile, rotate};
use super::plan::{Step, next_step};
use super::position::Position;
use super::recovery::judge;
use super::{FileOutput, FileOutputConfig, FileOutputError, Progress};
use crate::spool::{Spool, StoredEvent};

/// The most events in one batch; bounds the memory of a batch together with its bytes.
const BATCH_EVENTS: usize = 500;

/// How many events are compared with the end of the file after a kill: more than one batch of any version holds.
const COMPARED_EVENTS: usize = 4 * BATCH_EVENTS;

/// The longest end of a file that is compared, in bytes. A batch is far shorter unless one event is that large.
const COMPARED_BYTES: u64 = 256 << 20;

/// Delivers batches. Blocks; it has to be called from a thread that may.
#[derive(Debug)]
pub(super) struct Delivery {
    spool: Arc<Spool>,
    config: FileOutputConfig,
    keep: usize,
    /// `None` at the start and after a failure: then the file says what is delivered.
    at: Option<At>,
}

/// Where the delivery is.
#[derive(Debug)]
struct At {
    file: OutputFile,
    /// The last delivered event.
    cursor: u64,
    /// What the spool holds of the file.
    recorded: Option<Position>,
}

impl Delivery {
    pub(super) fn new(spool: Arc<Spool>, config: FileOutputConfig) -> Self {
        let keep = usize::try_from(config.keep).unwrap_or(usize::MAX);
        Self { spool, config, keep, at: None }
    }

    /// Delivers the next batch, or makes room for it.
    pub(super) fn deliver_batch(&mut self) -> Result<Progress, FileOutputError> {
        // Taken out, so that every failure leads through `resume` to what is really in the file.
        let mut at = match self.at.take() {
            Some(at) => at,
            None => self.resume()?,
        };
        let events = self.spool.read_after(at.cursor, BATCH_EVENTS)?;
        if events.is_empty() {
            self.at = Some(at);
            return Ok(Progress::UpToDate);
        }
        if at.file.has_its_name()? {
            at.file.measure()?;
        } else {
            tracing::info!(path = %self.config.path.display(), "the file was moved away; going on in a new one");
            at.file = OutputFile::open_or_make(&self.config.path)?;
        }
        let sizes = events.iter().map(|event| line_size(&event.body));
        match next_step(at.file.length(), self.config.rotate_bytes, sizes) {
            Step::Rotate => {
                rotate(&self.config.path, self.keep)?;
                at.file = OutputFile::open_or_make(&self.config.path)?;
            }
            Step::Write(count) => self.write(&mut at, events.get(..count).unwrap_or_default())?,
        }
        self.at = Some(at);
        Ok(Progress::Some)
    }

    fn write(&self, at: &mut At, events: &[StoredEvent]) -> Result<(), FileOutputError> {
        // Where the file ends has to be on record before it grows, or a kill would leave lines of unknown meaning.
        if at.recorded != Some(at.file.position()) {
            self.record(at)?;
        }
        let lines: String = events.iter().flat_map(|event| [event.body.as_str(), "\n"]).collect();
        at.file.append(&lines)?;
        at.cursor = events.last().map_or(at.cursor, |event| event.seq);
        self.record(at)
    }

    fn record(&self, at: &mut At) -> Result<(), FileOutputError> {
        let position = at.file.position();
        self.spool.delivered_blocking(FileOutput::NAME, at.cursor, position.encode())?;
        at.recorded = Some(position);
        Ok(())
    }

    /// Finds out what is in the file already, and opens it.
    fn resume(&self) -> Result<At, FileOutputError> {
        self.spool.register_output_blocking(FileOutput::NAME)?;
        let (mut cursor, position) = self.spool.cursor(FileOutput::NAME)?;
        let mut recorded = position.as_deref().and_then(Position::decode);
        if let Some(position) = recorded {
            let found = OutputFile::find(&self.config.path, self.keep, position.inode)?;
            if let Some(mut file) = found {
                cursor = self.reconcile(&mut file, position.offset, cursor)?;
                recorded = Some(file.position());
            } else {
                tracing::warn!(path = %self.config.path.display(), "the file on record is gone; going on in a new one");
            }
        } else if position.is_some() {
            tracing::warn!(
                output = FileOutput::NAME,
                "the position on record is unknown; going on at the end of the file"
            );
        }
        let file = OutputFile::open_or_make(&self.config.path)?;
        Ok(At { file, cursor, recorded })
    }

    /// Compares the end of the file with the events that come next, cuts a torn line off, and records what was found.
    /// Returns the new cursor.
    fn reconcile(
        &self,
        file: &mut OutputFile,
        offset: u64,
        cursor: u64,
    ) -> Result<u64, FileOutputError> {
        let path = self.config.path.display();
        if file.length() < offset {
            tracing::warn!(%path, "the file is shorter than on record: somebody has cut it; going on at its end");
            return self.found(file, file.length(), cursor);
        }
        if file.length() - offset > COMPARED_BYTES {
            tracing::warn!(%path, "somebody has written to the file; going on at its end, and the last events may be there twice");
            return self.found(file, file.length(), cursor);
        }
        let tail = file.read_from(offset)?;
        let next = self.spool.read_after(cursor, COMPARED_EVENTS)?;
        let verdict = judge(&tail, next.iter().map(|event| event.body.as_str()));
        if verdict.keep < tail.len() {
            tracing::info!(%path, bytes = tail.len() - verdict.keep, "cutting off a line that was not finished");
            file.cut(offset + u64::try_from(verdict.keep).unwrap_or(u64::MAX))?;
        }
        let delivered = verdict.delivered.checked_sub(1).and_then(|last| next.get(last));
        self.found(file, offset, delivered.map_or(cursor, |event| event.seq))
    }

    /// Records the whole file, of which what lies behind `synced` may not be on disk yet, as belonging to events up to
    /// `cursor`.
    fn found(&self, file: &OutputFile, synced: u64, cursor: u64) -> Result<u64, FileOutputError> {
        file.sync_from(synced)?;
        self.spool.delivered_blocking(FileOutput::NAME, cursor, file.position().encode())?;
        Ok(cursor)
    }
}

fn line_size(body: &str) -> u64 {
    u64::try_from(body.len()).map_or(u64::MAX / 4, |size| size + 1)
}
