//! How far one file has been published, in the form in which it is kept.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fingerprint::Fingerprint;
use crate::lines::{End, Piece};

/// The name that the collector gives to the content of a file; a truncated file gets another one.
///
/// Part of the ids of its lines, so that a line has the same id when it is published again after a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FileId(pub(crate) Uuid);

impl FileId {
    /// An id that no file had before. The one place of this crate that reads a clock.
    pub(crate) fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the file system calls a file, whatever its path. Unique while the file exists or is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct FileKey {
    /// The device that the file is on.
    pub(crate) dev: u64,
    /// The file's number there.
    pub(crate) inode: u64,
}

/// A line longer than `max_line_bytes` of which some parts are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LongLine {
    /// Where the line starts in the file.
    pub(crate) start: u64,
    /// How many parts are published.
    pub(crate) parts: u64,
}

/// Which part of a long line a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Counted from 0.
    pub(crate) index: u64,
    /// Whether the line ends with it.
    pub(crate) last: bool,
}

/// Where a piece stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first byte of the piece.
    pub(crate) offset: u64,
    /// The first byte of its line.
    pub(crate) line_start: u64,
    /// `None` for a line in one piece.
    pub(crate) part: Option<Part>,
}

/// How far one file has been published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The content this is about.
    pub(crate) file_id: FileId,
    /// Which file it is.
    #[serde(flatten)]
    pub(crate) key: FileKey,
    /// When the file was created, in nanoseconds since 1970, where the file system knows: an inode used again has another.
    #[serde(default)]
    pub(crate) created: Option<u64>,
    /// Under which path it was matched last.
    pub(crate) path: String,
    /// The first byte that is not published.
    pub(crate) offset: u64,
    /// Of the first bytes before `offset`.
    pub(crate) fingerprint: Fingerprint,
    /// The line that `offset` is in the middle of, if parts of it are published.
    #[serde(default)]
    pub(crate) long_line: Option<LongLine>,
    /// The file that had this path before; its lines go first.
    #[serde(default)]
    pub(crate) after: Option<FileId>,
    /// The number of the change that made it so; of two positions of a file the one with the higher number is newer.
    pub(crate) seq: u64,
}

impl Position {
    /// The position at the first byte of a file. Its number is given by the book.
    pub(crate) fn at_start(key: FileKey, created: Option<u64>, path: String) -> Self {
        Self {
            file_id: FileId::fresh(),
            key,
            created,
            path,
            offset: 0,
            fingerprint: Fingerprint::EMPTY,
            long_line: None,
            after: None,
            seq: 0,
        }
    }

    /// The position at the first byte of what is now in this file, which was truncated.
    pub(crate) fn started_over(&self) -> Self {
        Self { after: None, ..Self::at_start(self.key, self.created, self.path.clone()) }
    }

    /// Whether a file with this creation time can be the one.
    pub(crate) fn created_fits(&self, created: Option<u64>) -> bool {
        self.created.is_none() || created.is_none() || self.created == created
    }

    /// Moves behind `piece` of `bytes`, which begin at byte `base` of the file, and says where the piece stands.
    pub(crate) fn advance(&mut self, base: u64, bytes: &[u8], piece: &Piece) -> Place {
        let offset = self.offset;
        let long_line = self.long_line.unwrap_or(LongLine { start: offset, parts: 0 });
        let last = piece.end != End::NextPart;
        let in_parts = !last || self.long_line.is_some();
        let place = Place {
            offset,
            line_start: long_line.start,
            part: in_parts.then_some(Part { index: long_line.parts, last }),
        };
        let consumed = bytes.get(piece.text.start..piece.next()).unwrap_or_default();
        self.fingerprint = self.fingerprint.extended(consumed);
        self.long_line = (!last).then_some(LongLine { parts: long_line.parts + 1, ..long_line });
        self.offset = base + piece.next() as u64;
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Pieces;

    fn position() -> Position {
        Position::at_start(FileKey { dev: 1, inode: 2 }, None, "/x".to_owned())
    }

    fn advance_over(position: &mut Position, bytes: &[u8], longest: usize) -> Vec<Place> {
        let base = position.offset;
        Pieces::of(bytes, longest, false)
            .map(|piece| position.advance(base, bytes, &piece))
            .collect()
    }

    #[test]
    fn the_fingerprint_covers_what_is_before_the_offset() {
        let mut position = position();
        advance_over(&mut position, b"one\ntwo\nthr", 100);
        assert_eq!(position.offset, 8);
        assert_eq!(position.fingerprint, Fingerprint::EMPTY.extended(b"one\ntwo\n"));
    }

    #[test]
    fn the_parts_of_a_long_line_are_counted_across_saves() {
        let mut position = position();
        let first = advance_over(&mut position, b"a\n12345678901", 5);
        let kept = serde_json::to_vec(&position).unwrap();
        let mut position: Position = serde_json::from_slice(&kept).unwrap();
        let then = advance_over(&mut position, b"1\nb\n", 5);
        let place = |offset, line_start, part| Place { offset, line_start, part };
        let part = |index, last| Some(Part { index, last });
        assert_eq!(
            first,
            [place(0, 0, None), place(2, 2, part(0, false)), place(7, 2, part(1, false))]
        );
        assert_eq!(then, [place(12, 2, part(2, true)), place(14, 14, None)]);
        assert_eq!(position.long_line, None);
    }

    #[test]
    fn another_creation_time_means_another_file_where_it_is_known() {
        let known = Position { created: Some(5), ..position() };
        assert!(known.created_fits(Some(5)) && known.created_fits(None));
        assert!(!known.created_fits(Some(6)));
        assert!(position().created_fits(Some(6)));
    }
}
