//! Replaces a small file so that after any crash either the old or the new content is there, whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that could not be replaced. The old content is untouched.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {path}: {source}")]
pub struct ReplaceFileError {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Writes `contents` beside `path`, syncs it, renames it over `path` and syncs the folder.
///
/// The file gets `mode` (before the process's umask). Only one writer per path may be active: the temporary name is
/// fixed, so that a crash leaves at most one stray file, which the next call overwrites.
///
/// # Errors
/// [`ReplaceFileError`] names the step and the file; `path` still holds what it held.
pub fn replace_file(path: &Path, contents: &[u8], mode: u32) -> Result<(), ReplaceFileError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let at = |step, path: &Path| {
        let path = path.to_owned();
        move |source| ReplaceFileError { step, path, source }
    };

    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .map_err(at("create", &temporary))?;
    file.write_all(contents).map_err(at("write", &temporary))?;
    file.sync_all().map_err(at("sync", &temporary))?;
    std::fs::rename(&temporary, path).map_err(at("rename onto", path))?;
    sync_folder_of(path).map_err(at("sync the folder of", path))
}

/// Makes it durable that `path` was made, renamed or removed.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path)).and_then(|folder| folder.sync_all())
}

/// The folder of `path`, which for a bare name is the working directory.
fn folder_of(path: &Path) -> &Path {
    let named = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    named.unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_bare_name_is_the_working_directory() {
        let folders =
            ["note.json", "a/note.json", "/note.json"].map(|path| folder_of(Path::new(path)));
        assert_eq!(folders, [Path::new("."), Path::new("a"), Path::new("/")]);
    }

    #[test]
    fn a_file_is_replaced_whole_and_no_temporary_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("note.json");
        replace_file(&path, b"a longer first content", 0o600).unwrap();
        replace_file(&path, b"second", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unwritable_folder_is_named_and_the_old_content_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("note.json");
        let error = replace_file(&path, b"x", 0o600).unwrap_err().to_string();
        assert!(error.contains("missing/note.json.tmp"), "{error}");
    }
}
