//! Touches open files: opens them without ever blocking, looks at them and reads slices.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;

use crate::fingerprint::{Fingerprint, LONGEST};
use crate::position::{FileKey, Position};

/// What one look at an open file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Bytes.
    pub(crate) size: u64,
    /// When it was changed last, as the file system says.
    pub(crate) modified: SystemTime,
}

/// A regular file that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// For reading.
    pub(crate) file: File,
    /// What the open file is.
    pub(crate) metadata: Metadata,
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A folder, FIFO, socket or device.
    #[error("not a regular file")]
    NotRegular,
    /// What the system said.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Bytes of a file from its position on.
#[derive(Debug)]
pub(crate) struct Slice {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether the file still is the one of the position. If not, the bytes are not worth anything.
    pub(crate) intact: bool,
}

/// Opens the regular file that `path` leads to, through symbolic links.
pub(crate) fn open_regular(path: &Path) -> Result<Opened, OpenError> {
    // Only opening a device can have effects of its own, so look first; and the file may change between the two,
    // so never block and look again.
    if !std::fs::metadata(path)?.is_file() {
        return Err(OpenError::NotRegular);
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(Opened { file, metadata }) } else { Err(OpenError::NotRegular) }
}

/// Which file it is.
pub(crate) fn key(metadata: &Metadata) -> FileKey {
    FileKey { dev: metadata.dev(), inode: metadata.ino() }
}

/// When it was created, in nanoseconds since 1970, where the file system knows.
pub(crate) fn created(metadata: &Metadata) -> Option<u64> {
    let since = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// Looks at an open file.
pub(crate) fn look(file: &File) -> io::Result<Look> {
    let metadata = file.metadata()?;
    Ok(Look { size: metadata.len(), modified: metadata.modified()? })
}

/// Reads from `position` up to byte `to`, then checks that the file is still the one of the position.
///
/// The check comes last: if the file was truncated while it was read, the mixture is not taken for lines.
pub(crate) fn slice(file: &File, position: &Position, to: u64) -> io::Result<Slice> {
    let length = usize::try_from(to.saturating_sub(position.offset)).map_err(io::Error::other)?;
    let bytes = read_at(file, position.offset, length)?;
    let intact = is_same(file, position, bytes.len())?;
    Ok(Slice { bytes, intact })
}

/// Whether `file` can be the one of `position`, and has at least `more` bytes beyond it.
pub(crate) fn is_same(file: &File, position: &Position, more: usize) -> io::Result<bool> {
    let first = read_at(file, 0, position.fingerprint.length())?;
    let long_enough = file.metadata()?.len() >= position.offset + more as u64;
    Ok(long_enough && position.fingerprint.matches(&first))
}

/// The fingerprint of the bytes before `offset`.
pub(crate) fn fingerprint(file: &File, offset: u64) -> io::Result<Fingerprint> {
    let length = usize::try_from(offset).unwrap_or(LONGEST).min(LONGEST);
    Ok(Fingerprint::EMPTY.extended(&read_at(file, 0, length)?))
}

/// Where the last line of the first `size` bytes starts: after the last newline. A line that is longer than `longest`
/// is not followed back to its start; then it is `size`.
pub(crate) fn last_line_start(file: &File, size: u64, longest: u64) -> io::Result<u64> {
    const STEP: u64 = 65_536;
    let mut from = size;
    while from > 0 && size - from <= longest {
        let start = from.saturating_sub(STEP);
        let bytes = read_at(file, start, usize::try_from(from - start).unwrap_or(0))?;
        if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        from = start;
    }
    Ok(if from == 0 { 0 } else { size })
}

/// Up to `length` bytes from `offset` on; fewer only where the file ends.
fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(bytes.get_mut(filled..).unwrap_or_default(), offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(content: &[u8]) -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, content).unwrap();
        let opened = open_regular(&path).unwrap();
        (dir, opened.file)
    }

    #[test]
    fn folders_and_sockets_are_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [dir.path(), &socket] {
            assert!(matches!(open_regular(path), Err(OpenError::NotRegular)), "{}", path.display());
        }
    }

    #[test]
    fn the_last_line_starts_after_the_last_newline() {
        let start = |content: &[u8], longest| {
            let (_dir, file) = file_with(content);
            last_line_start(&file, content.len() as u64, longest).unwrap()
        };
        assert_eq!(start(b"", 10), 0);
        assert_eq!(start(b"one\ntwo\n", 10), 8);
        assert_eq!(start(b"one\ntw", 10), 4);
        assert_eq!(start(b"tw", 10), 0);
        let long = [b"a\n".as_slice(), &[b'b'; 100_000]].concat();
        assert_eq!(start(&long, 200_000), 2);
        assert_eq!(start(&long, 300), 100_002, "too long to follow back");
    }

    #[test]
    fn a_slice_of_a_file_with_other_first_bytes_is_not_intact() {
        let (dir, file) = file_with(b"one\ntwo\nthree\n");
        let metadata = file.metadata().unwrap();
        let mut position = Position::at_start(key(&metadata), None, "x".to_owned());
        position.offset = 4;
        position.fingerprint = fingerprint(&file, 4).unwrap();
        let read = slice(&file, &position, 8).unwrap();
        assert!(read.intact && read.bytes == b"two\n");
        std::fs::write(dir.path().join("x"), b"uno\ndos\ntres\n").unwrap();
        assert!(!slice(&file, &position, 8).unwrap().intact);
    }
}
