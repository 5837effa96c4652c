//! What was read from a kernel queue and is not durable yet, in memory that outlives this process.
//!
//! ```text
//!  header | scratch: read(2) writes here | half 0: records | half 1: records
//! ```
//! A notice is in the scratch or in a half from the moment in which the kernel gave it away until what it led to is durable.
//! After SIGKILL at any instruction the next instance finds it, possibly twice. While the records of one half are worked off,
//! new ones go to the other.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{Ordering, compiler_fence};

use module_api::{SensorError, SensorFd};

use super::Notice;
use super::inotify::HalfMoved;
use crate::clock;
use crate::sys::Mapping;

/// Bytes in front of everything else: magic, id, the current half, the used bytes of both halves, whether something is lost, where
/// the records of the scratch begin, and the last stamp.
const HEADER: usize = 64;
/// "wzfimrec".
const MAGIC: u64 = u64::from_le_bytes(*b"wzfimrec");
/// Bytes of one read: some hundred notices.
const SCRATCH: usize = 65_536;
/// Bytes of records in one half: some thousand notices.
const HALF: usize = 2 << 20;
const SIZE: usize = HEADER + SCRATCH + 2 * HALF;

/// Where it says that something is lost.
const LOST: usize = 40;
/// Where it says how much of the current half was used when the scratch was read into.
const BEFORE_SCRATCH: usize = 48;
/// Where it has the stamp of what was read last.
const STAMP: usize = 56;

/// The recorder of one queue.
#[derive(Debug)]
pub(crate) struct Recorder {
    sensor: SensorFd,
    map: Mapping,
    /// Both halves hold what an earlier instance left, so there is no half to switch to.
    left: bool,
    /// They are worked off, and nothing is recorded meanwhile.
    closed: bool,
}

/// What an earlier instance left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Records, in their order.
    pub(crate) notices: Vec<Notice>,
    /// What read(2) had written and may not have been recorded.
    pub(crate) scratch: Vec<u8>,
    /// How many of the last records are of what is in the scratch.
    pub(crate) of_scratch: usize,
    /// Something was lost, and no scan has found what yet.
    pub(crate) lost: bool,
}

/// There is no room: what was recorded has to be worked off first. What was read stays in the scratch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// A recorder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecorderError {
    /// It cannot be made.
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// It cannot be mapped.
    #[error("the recorder cannot be mapped: {0}")]
    Map(#[from] std::io::Error),
    /// It is of another version, or belongs to another database.
    #[error("the recorder does not belong to this baseline")]
    Foreign,
}

impl Recorder {
    /// An empty recorder called `name`, for the baseline of this `id`.
    pub(crate) fn new(name: &str, id: u64) -> Result<Self, RecorderError> {
        let mut recorder = Self::map(SensorFd::recorder(name, SIZE)?)?;
        // So that read(2) meets no page that is not there yet: with a SIGKILL pending it could give up there, and what it has
        // taken out of the queue would be nowhere.
        recorder.clear_scratch(SCRATCH);
        recorder.set(8, id);
        compiler_fence(Ordering::SeqCst);
        recorder.set(0, MAGIC);
        Ok(recorder)
    }

    /// The recorder of an earlier instance, and what it holds.
    pub(crate) fn adopt(sensor: SensorFd, id: u64) -> Result<(Self, Left), RecorderError> {
        if sensor.size_of_recorder() != Some(SIZE as u64) {
            return Err(RecorderError::Foreign);
        }
        let mut recorder = Self::map(sensor)?;
        if recorder.get(0) != MAGIC || recorder.get(8) != id {
            return Err(RecorderError::Foreign);
        }
        let current = recorder.current();
        let mut left = Left::default();
        for half in [1 - current, current] {
            left.notices.extend(recorder.records(half, 0));
        }
        let before_scratch = usize::try_from(recorder.get(BEFORE_SCRATCH)).unwrap_or(HALF);
        left.of_scratch = recorder.records(current, before_scratch).len();
        left.scratch = recorder.scratch().to_vec();
        left.lost = recorder.get(LOST) != 0;
        recorder.left = !left.notices.is_empty() || left.scratch.iter().any(|byte| *byte != 0);
        Ok((recorder, left))
    }

    fn map(sensor: SensorFd) -> Result<Self, RecorderError> {
        let map = Mapping::new(sensor.as_fd(), SIZE)?;
        Ok(Self { sensor, map, left: false, closed: false })
    }

    /// A copy for whoever keeps it.
    pub(crate) fn sensor(&self) -> Result<SensorFd, RecorderError> {
        let fd: OwnedFd = self.sensor.as_fd().try_clone_to_owned()?;
        Ok(SensorFd::new(self.sensor.name(), fd)?)
    }

    /// Where read(2) is about to write what gets this `stamp`.
    pub(crate) fn begin_read(&mut self, stamp: i64) -> &mut [u8] {
        let used = self.used(self.current());
        self.set(BEFORE_SCRATCH, used as u64);
        self.later_than(stamp);
        self.scratch()
    }

    /// The stamp for what is read next: the time in nanoseconds since 1970, or more where the clock was set back.
    pub(crate) fn next_stamp(&self) -> i64 {
        clock::now().max(self.get(STAMP).cast_signed().saturating_add(1))
    }

    /// What is read from now on gets a stamp later than this one.
    pub(crate) fn later_than(&mut self, stamp: i64) {
        self.set(STAMP, self.get(STAMP).cast_signed().max(stamp).cast_unsigned());
    }

    /// What read(2) wrote; zero behind it.
    pub(crate) fn scratch(&mut self) -> &mut [u8] {
        self.map.bytes().get_mut(HEADER..HEADER + SCRATCH).unwrap_or_default()
    }

    /// What is in the scratch was recorded, or is of no use.
    pub(crate) fn clear_scratch(&mut self, used: usize) {
        compiler_fence(Ordering::SeqCst);
        if let Some(used) = self.scratch().get_mut(..used) {
            // All of it was recorded, so a kill half-way leaves nothing that is needed.
            used.fill(0);
        }
        compiler_fence(Ordering::SeqCst);
    }

    /// Records a notice.
    pub(crate) fn append(&mut self, notice: &Notice) -> Result<(), Full> {
        let record = serde_json::to_vec(notice).map_err(|_| Full)?;
        let (half, used) = (self.current(), self.used(self.current()));
        let end = used + 4 + record.len();
        if end > HALF {
            return Err(Full);
        }
        let begin = HEADER + SCRATCH + half * HALF + used;
        let room = self.map.bytes().get_mut(begin..begin + 4 + record.len()).ok_or(Full)?;
        let (length, body) = room.split_at_mut(4);
        length.copy_from_slice(&(record.len() as u32).to_le_bytes());
        body.copy_from_slice(&record);
        compiler_fence(Ordering::SeqCst);
        self.set(24 + 8 * half, end as u64);
        Ok(())
    }

    /// Takes what was in the scratch of an earlier instance into its records, so that there is room to read. What does not fit
    /// closes the recorder until the rest is durable.
    pub(crate) fn take_over(&mut self, scratch: &[Notice]) {
        if scratch.iter().all(|notice| self.append(notice).is_ok()) {
            self.clear_scratch(SCRATCH);
        } else {
            self.closed = true;
        }
    }

    /// Records the name that the first half of a move is about, as long as the other half is still to be read: it is in this
    /// process's memory alone, and what is recorded with the other half says all of it.
    pub(crate) fn append_half(&mut self, half: Option<&HalfMoved>) -> Result<(), Full> {
        half.map_or(Ok(()), |half| self.append(half.notice()))
    }

    /// New records go to the other half, which must be empty.
    pub(crate) fn switch(&mut self) {
        if self.left {
            self.closed = true;
            return;
        }
        let other = 1 - self.current();
        debug_assert_eq!(self.used(other), 0, "its records would be taken for durable");
        self.set(16, other as u64);
    }

    /// Everything in the half that is not written to is durable.
    pub(crate) fn forget(&mut self) {
        let other = 1 - self.current();
        self.set(24 + 8 * other, 0);
        if self.left {
            self.set(24 + 8 * self.current(), 0);
            self.clear_scratch(SCRATCH);
            self.left = false;
            self.closed = false;
        }
    }

    /// Notes whether something is lost: the queue was full, or this recorder was. It stays noted until a scan has found what it
    /// was.
    pub(crate) fn set_lost(&mut self, lost: bool) {
        self.set(LOST, u64::from(lost));
    }

    /// Whether a read may be recorded as a whole: notices take less than ten times the bytes that the kernel needs for them.
    pub(crate) fn has_room(&self) -> bool {
        !self.closed && self.used(self.current()) + 10 * SCRATCH < HALF
    }

    fn records(&self, half: usize, from: usize) -> Vec<Notice> {
        let begin = HEADER + SCRATCH + half * HALF;
        let mut bytes = self.map.get(begin + from..begin + self.used(half)).unwrap_or_default();
        let mut notices = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some((record, rest)) = rest.split_at_checked(length) else { break };
            notices.extend(serde_json::from_slice::<Notice>(record).ok());
            bytes = rest;
        }
        notices
    }

    fn current(&self) -> usize {
        usize::from(self.get(16) == 1)
    }

    fn used(&self, half: usize) -> usize {
        usize::try_from(self.get(24 + 8 * half)).unwrap_or(0).min(HALF)
    }

    fn get(&self, at: usize) -> u64 {
        let bytes = self.map.get(at..at + 8).and_then(|bytes| bytes.first_chunk().copied());
        bytes.map_or(0, u64::from_le_bytes)
    }

    /// Eight bytes at a place that is a multiple of eight: a kill leaves the old ones or the new ones.
    fn set(&mut self, at: usize, value: u64) {
        compiler_fence(Ordering::SeqCst);
        if let Some(bytes) = self.map.bytes().get_mut(at..at + 8) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        compiler_fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod tests;
