//! Where modules' states are kept: replaced atomically, checked when read, with the generation before as a fallback.

mod envelope;

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use module_api::{ModuleName, Restored};
use restart::{ReplaceFileError, replace_file};

use envelope::{open, seal};

/// A state that could not be saved or read, for a reason other than the content of its file.
#[derive(Debug, thiserror::Error)]
pub enum StateStoreError {
    /// A step on a file or folder failed.
    #[error("cannot {step} {path}: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The new state could not be written; the one before is untouched.
    #[error(transparent)]
    Replace(#[from] ReplaceFileError),
}

/// What was found of a module's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What the module gets.
    pub restored: Restored,
    /// Set when that is the generation before the last, because the last could not be read.
    pub fallback: Option<Fallback>,
}

/// Why the last state was not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Where the unreadable file is kept now; `None` if there was none.
    pub kept_as: Option<PathBuf>,
    /// What was wrong with it.
    pub reason: String,
}

impl Loaded {
    /// What a person should be told, if anything is wrong.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        if let Some(fallback) = &self.fallback {
            let kept =
                fallback.kept_as.as_ref().map(|path| format!(" (kept as {})", path.display()));
            return Some(format!(
                "the last saved state could not be used: {}{}; the one before it is used",
                fallback.reason,
                kept.unwrap_or_default()
            ));
        }
        match &self.restored {
            Restored::Unreadable { kept_as, reason } => Some(format!(
                "the saved state could not be used: {reason} (kept as {}); the module starts afresh",
                kept_as.display()
            )),
            Restored::Nothing | Restored::Found { .. } => None,
        }
    }
}

/// The states of all modules, each in a folder of its own: `NAME/state`, and `NAME/state.previous` before it.
///
/// One process uses a folder, and one state is saved at a time per module. All methods block for disk I/O.
#[derive(Debug, Clone)]
pub struct StateStore {
    folder: PathBuf,
}

/// A file as it was found.
enum Found {
    Missing,
    Good { version: u32, bytes: Vec<u8> },
    Bad { reason: String },
}

impl StateStore {
    /// States in `folder`, which is made when the first state is saved.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder of a module, made if it is not there, with mode 0700 in any case. Its path is absolute. Files called `state*` in
    /// it are those of this store; the rest is the module's.
    ///
    /// # Errors
    /// Why it cannot be made or protected.
    pub fn folder_of(&self, module: &ModuleName) -> Result<PathBuf, StateStoreError> {
        let folder = self.folder.join(module.as_str());
        make_private(&self.folder)?;
        make_private(&folder)?;
        std::path::absolute(&folder).map_err(failed("find", &folder))
    }

    /// Saves a state durably. The state before is kept as `state.previous`. A crash at any moment leaves the old state
    /// or the new one, whole.
    ///
    /// # Errors
    /// Why it could not be written; the state before is still there.
    pub fn save(
        &self,
        module: &ModuleName,
        version: u32,
        bytes: &[u8],
    ) -> Result<(), StateStoreError> {
        let folder = self.folder_of(module)?;
        let state = folder.join("state");
        keep_previous(&state, &folder.join("state.previous"))?;
        replace_file(&state, &seal(module, version, bytes), 0o600)?;
        Ok(())
    }

    /// Reads the last state. A file with wrong content is renamed to `state.corrupt-N`, and the state before is taken.
    ///
    /// # Errors
    /// The disk refused to read or rename. Wrong content is no error: it is in the answer.
    pub fn load(&self, module: &ModuleName) -> Result<Loaded, StateStoreError> {
        let folder = self.folder.join(module.as_str());
        let state = folder.join("state");
        let (kept_as, reason) = match read(&state, module)? {
            Found::Good { version, bytes } => {
                return Ok(Loaded { restored: Restored::Found { version, bytes }, fallback: None });
            }
            Found::Bad { reason } => (Some(set_aside(&state, &folder)?), reason),
            Found::Missing => (None, format!("{} is missing", state.display())),
        };
        let previous = folder.join("state.previous");
        let (restored, fallback) = match (read(&previous, module)?, kept_as) {
            (Found::Good { version, bytes }, kept_as) => {
                (Restored::Found { version, bytes }, Some(Fallback { kept_as, reason }))
            }
            (Found::Bad { reason: also }, kept_as) => {
                let previous_kept = set_aside(&previous, &folder)?;
                let reason = format!("{reason}; the state before it: {also}");
                (Restored::Unreadable { kept_as: kept_as.unwrap_or(previous_kept), reason }, None)
            }
            (Found::Missing, Some(kept_as)) => (Restored::Unreadable { kept_as, reason }, None),
            (Found::Missing, None) => (Restored::Nothing, None),
        };
        Ok(Loaded { restored, fallback })
    }
}

/// Gives the current state a second name without taking the first away, so that there is one at every moment.
fn keep_previous(state: &Path, previous: &Path) -> Result<(), StateStoreError> {
    let link = previous.with_extension("previous.tmp");
    // One that a crash has left, and one that the rename below leaves when both names are the same file already.
    remove_if_there(&link)?;
    match fs::hard_link(state, &link) {
        Ok(()) => {
            fs::rename(&link, previous).map_err(failed("rename", &link))?;
            remove_if_there(&link)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A file system without hard links.
        Err(_) => {
            let bytes = fs::read(state).map_err(failed("read", state))?;
            Ok(replace_file(previous, &bytes, 0o600)?)
        }
    }
}

fn read(path: &Path, module: &ModuleName) -> Result<Found, StateStoreError> {
    let contents = match fs::read(path) {
        Ok(contents) => contents,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(failed("read", path)(error)),
    };
    Ok(match open(module, contents) {
        Ok((version, bytes)) => Found::Good { version, bytes },
        Err(reason) => Found::Bad { reason: reason.to_string() },
    })
}

/// Renames a file to the first free `state.corrupt-N`.
fn set_aside(path: &Path, folder: &Path) -> Result<PathBuf, StateStoreError> {
    let mut number = 1_u32;
    let kept = loop {
        let candidate = folder.join(format!("state.corrupt-{number}"));
        if candidate.symlink_metadata().is_err() {
            break candidate;
        }
        number += 1;
    };
    fs::rename(path, &kept).map_err(failed("set aside", path))?;
    sync_folder(folder)?;
    Ok(kept)
}

fn make_private(folder: &Path) -> Result<(), StateStoreError> {
    match fs::metadata(folder) {
        Ok(meta) if meta.permissions().mode() & 0o777 == 0o700 => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed("make", folder))?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
        }
        Err(error) => return Err(failed("look at", folder)(error)),
    }
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed("protect", folder))
}

fn remove_if_there(path: &Path) -> Result<(), StateStoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), StateStoreError> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(failed("sync the folder", folder))
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateStoreError {
    let path = path.to_owned();
    move |source| StateStoreError::Io { step, path, source }
}

#[cfg(test)]
mod tests;
