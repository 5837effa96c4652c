//! Finds the file of a kept position again: under its path, or under another name in the same folder.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::position::{FileKey, Position};
use crate::read::{self, OpenError, Opened};

/// What became of the file of a kept position.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// It is here and goes on where the position says.
    Open {
        /// The file.
        file: File,
        /// Whether its own path still leads to it.
        at_its_path: bool,
    },
    /// It cannot be read on. The text says what happened and what is unknown.
    Lost(&'static str),
    /// Nobody can tell now; worth another try.
    Unreachable(String),
}

/// Lost by truncation, or because another file took the inode.
const REPLACED: &str = "was truncated or replaced while nobody watched; what stood in it after this offset is unknown, \
                        and what it holds now is read from its start";
/// Lost without a trace.
const VANISHED: &str = "was deleted, compressed or moved to another folder while nobody watched; \
                        what was written to it after this offset is unknown";

/// The files in folders that were listed, so that many positions in one folder cost one listing.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    listed: HashMap<PathBuf, HashMap<FileKey, PathBuf>>,
}

/// Finds the file of `position` again.
pub(crate) fn resume(position: &Position, folders: &mut Folders) -> Resumed {
    let path = Path::new(&position.path);
    match read::open_regular(path) {
        Ok(opened) if is_the_file(&opened, position) => continued(opened, position, true),
        Ok(_) | Err(OpenError::NotRegular) => search(position, folders),
        Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            search(position, folders)
        }
        Err(OpenError::Io(error)) => Resumed::Unreachable(error.to_string()),
    }
}

fn is_the_file(opened: &Opened, position: &Position) -> bool {
    read::key(&opened.metadata) == position.key
        && position.created_fits(read::created(&opened.metadata))
}

fn continued(opened: Opened, position: &Position, at_its_path: bool) -> Resumed {
    match read::is_same(&opened.file, position, 0) {
        Ok(true) => Resumed::Open { file: opened.file, at_its_path },
        Ok(false) => Resumed::Lost(REPLACED),
        Err(error) => Resumed::Unreachable(error.to_string()),
    }
}

/// Looks for the inode where a rotation by renaming leaves it.
fn search(position: &Position, folders: &mut Folders) -> Resumed {
    for folder in folders_of(Path::new(&position.path)) {
        let found = match folders.list(&folder) {
            Ok(files) => files.get(&position.key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Resumed::Unreachable(error.to_string()),
        };
        let Some(path) = found else { continue };
        match read::open_regular(path) {
            Ok(opened) if is_the_file(&opened, position) => {
                return match continued(opened, position, false) {
                    // Another file took the inode, so this one is gone.
                    Resumed::Lost(_) => Resumed::Lost(VANISHED),
                    answer @ (Resumed::Open { .. } | Resumed::Unreachable(_)) => answer,
                };
            }
            Ok(_) | Err(OpenError::NotRegular) => {}
            Err(OpenError::Io(error)) => return Resumed::Unreachable(error.to_string()),
        }
    }
    Resumed::Lost(VANISHED)
}

/// The folder of `path` and, if it is a symbolic link, the folder that it leads to.
fn folders_of(path: &Path) -> Vec<PathBuf> {
    let of = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    let mut folders = vec![of(path)];
    if path.is_symlink() {
        folders.extend(path.canonicalize().ok().map(|target| of(&target)));
    }
    folders
}

impl Folders {
    fn list(&mut self, folder: &Path) -> io::Result<&HashMap<FileKey, PathBuf>> {
        if !self.listed.contains_key(folder) {
            let mut files = HashMap::new();
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                // A file that vanishes while the folder is listed is not there.
                if let Ok(metadata) = entry.metadata()
                    && metadata.is_file()
                {
                    files.insert(read::key(&metadata), entry.path());
                }
            }
            self.listed.insert(folder.to_owned(), files);
        }
        Ok(self.listed.entry(folder.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn kept(dir: &TempDir, content: &str, offset: u64) -> Position {
        let path = dir.path().join("app.log");
        std::fs::write(&path, content).unwrap();
        let opened = read::open_regular(&path).unwrap();
        let mut position = Position::at_start(
            read::key(&opened.metadata),
            read::created(&opened.metadata),
            path.to_str().unwrap().to_owned(),
        );
        position.offset = offset;
        position.fingerprint = read::fingerprint(&opened.file, offset).unwrap();
        position
    }

    fn resumed(position: &Position) -> Resumed {
        resume(position, &mut Folders::default())
    }

    #[test]
    fn a_file_that_only_grew_goes_on_at_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let position = kept(&dir, "a\nb\n", 2);
        assert!(matches!(resumed(&position), Resumed::Open { at_its_path: true, .. }));
    }

    #[test]
    fn a_renamed_file_is_found_by_its_inode() {
        let dir = tempfile::tempdir().unwrap();
        let position = kept(&dir, "a\nb\n", 2);
        std::fs::rename(&position.path, dir.path().join("app.log.1")).unwrap();
        assert!(matches!(resumed(&position), Resumed::Open { at_its_path: false, .. }));
        std::fs::write(&position.path, "new\n").unwrap();
        assert!(matches!(resumed(&position), Resumed::Open { at_its_path: false, .. }));
    }

    #[test]
    fn a_truncated_or_rewritten_file_is_lost_and_said_so() {
        for content in ["x", "x\ny\n", "x\ny\nz\nmuch longer than before"] {
            let dir = tempfile::tempdir().unwrap();
            let position = kept(&dir, "a\nb\n", 4);
            std::fs::write(&position.path, content).unwrap();
            assert!(matches!(resumed(&position), Resumed::Lost(REPLACED)), "{content:?}");
        }
    }

    #[test]
    fn a_deleted_file_is_lost_and_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let position = kept(&dir, "a\nb\n", 4);
        std::fs::remove_file(&position.path).unwrap();
        assert!(matches!(resumed(&position), Resumed::Lost(VANISHED)));
        drop(dir);
        assert!(matches!(resumed(&position), Resumed::Lost(VANISHED)), "with its folder");
    }

    #[test]
    fn an_inode_used_again_by_a_later_file_is_not_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let position = Position { created: Some(1), ..kept(&dir, "a\nb\n", 0) };
        assert!(matches!(resumed(&position), Resumed::Lost(VANISHED)));
    }
}
