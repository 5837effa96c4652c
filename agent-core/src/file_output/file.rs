//! The output's file on disk: opened, measured, cut, appended to and rotated.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::FileOutputError;
use super::plan::moves;
use super::position::Position;

/// A file that is open for appending.
#[derive(Debug)]
pub(super) struct OutputFile {
    file: File,
    path: PathBuf,
    inode: u64,
    length: u64,
    /// The last line has no end yet, so the next one must not begin right behind it.
    mid_line: bool,
}

impl OutputFile {
    /// Opens the file at `path`, or makes it (mode 0640) so that it is there after a power cut too.
    pub(super) fn open_or_make(path: &Path) -> Result<Self, FileOutputError> {
        if let Some(meta) = look_at(path)?
            && !meta.is_file()
        {
            return Err(FileOutputError::NotAFile(path.to_owned()));
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o640);
        let file = match options.clone().create_new(true).open(path) {
            Ok(made) => {
                sync_folder(path)?;
                made
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                options.open(path).map_err(failed("open", path))?
            }
            Err(error) => return Err(failed("make", path)(error)),
        };
        Self::measured(file, path)
    }

    /// Finds the file with this inode under its own name or, if it was rotated since, as one of `PATH.1` to
    /// `PATH.keep`.
    pub(super) fn find(
        path: &Path,
        keep: usize,
        inode: u64,
    ) -> Result<Option<Self>, FileOutputError> {
        for number in 0..=keep {
            let candidate = rotated(path, number);
            let meta = look_at(&candidate)?;
            if meta.is_some_and(|meta| meta.is_file() && meta.ino() == inode) {
                let file = OpenOptions::new().read(true).append(true).open(&candidate);
                let found = Self::measured(file.map_err(failed("open", &candidate))?, &candidate)?;
                // Somebody may have put another file there since.
                return Ok((found.inode == inode).then_some(found));
            }
        }
        Ok(None)
    }

    fn measured(file: File, path: &Path) -> Result<Self, FileOutputError> {
        let inode = file.metadata().map_err(failed("look at", path))?.ino();
        let mut opened = Self { file, path: path.to_owned(), inode, length: 0, mid_line: false };
        opened.measure()?;
        Ok(opened)
    }

    /// Takes in what others have appended or cut since.
    pub(super) fn measure(&mut self) -> Result<(), FileOutputError> {
        let length = self.file.metadata().map_err(failed("look at", &self.path))?.len();
        if length == self.length {
            return Ok(());
        }
        if length < self.length {
            tracing::warn!(path = %self.path.display(), "the file was cut by somebody else; going on at its end");
        }
        self.length = length;
        self.mid_line = false;
        if length > 0 {
            let last = self.read_from(length - 1)?;
            self.mid_line = last.last().is_some_and(|byte| *byte != b'\n');
        }
        Ok(())
    }

    /// Whether the file still has its name; not if somebody has renamed, removed or replaced it.
    pub(super) fn has_its_name(&self) -> Result<bool, FileOutputError> {
        Ok(look_at(&self.path)?.is_some_and(|meta| meta.ino() == self.inode))
    }

    /// In bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The file with all of its bytes.
    pub(super) fn position(&self) -> Position {
        Position { inode: self.inode, offset: self.length }
    }

    /// What lies behind `offset`.
    pub(super) fn read_from(&self, offset: u64) -> Result<Vec<u8>, FileOutputError> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(failed("read", &self.path))?;
        Ok(bytes)
    }

    /// Cuts off what lies behind `length`.
    pub(super) fn cut(&mut self, length: u64) -> Result<(), FileOutputError> {
        self.file.set_len(length).map_err(failed("cut the torn end of", &self.path))?;
        self.measure()
    }

    /// Appends whole lines, beginning on a line of their own, and returns once they are on disk.
    pub(super) fn append(&mut self, lines: &str) -> Result<(), FileOutputError> {
        let begin = if self.mid_line { "\n" } else { "" };
        let text = format!("{begin}{lines}");
        self.file.write_all(text.as_bytes()).map_err(failed("write to", &self.path))?;
        self.sync_from(self.length)?;
        self.mid_line = false;
        self.length += u64::try_from(text.len()).unwrap_or(0);
        Ok(())
    }

    /// Returns once everything behind `length` is on disk. If that fails, cuts it off: the kernel may forget that these
    /// bytes never reached the disk, so that the next sync would succeed without them.
    pub(super) fn sync_from(&self, length: u64) -> Result<(), FileOutputError> {
        let synced = self.file.sync_data();
        if synced.is_err()
            && let Err(error) = self.file.set_len(length)
        {
            tracing::error!(%error, path = %self.path.display(), "the end of the file may not be on disk");
        }
        synced.map_err(failed("sync", &self.path))
    }
}

/// Moves `path` to `PATH.1` and older files up, overwriting `PATH.keep`; deletes it if none is kept. After a crash at
/// any point it can be done again.
pub(super) fn rotate(path: &Path, keep: usize) -> Result<(), FileOutputError> {
    if keep == 0 {
        fs::remove_file(path).map_err(failed("delete", path))?;
        return sync_folder(path);
    }
    let taken = (1..=keep)
        .map(|number| Ok(look_at(&rotated(path, number))?.is_some()))
        .collect::<Result<Vec<bool>, FileOutputError>>()?;
    for number in moves(&taken) {
        rename(&rotated(path, number), &rotated(path, number + 1))?;
    }
    rename(path, &rotated(path, 1))?;
    sync_folder(path)
}

fn rename(from: &Path, to: &Path) -> Result<(), FileOutputError> {
    fs::rename(from, to).map_err(failed("rotate", from))
}

/// The name of the rotated file with this number; 0 is the file itself.
fn rotated(path: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn look_at(path: &Path) -> Result<Option<Metadata>, FileOutputError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

fn sync_folder(path: &Path) -> Result<(), FileOutputError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(failed("sync the folder", folder))
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileOutputError {
    let path = path.to_owned();
    move |source| FileOutputError::Io { step, path, source }
}
