//! A copy of the configuration as the checks of a restart have seen it, for a new process that finds the file broken.

use std::path::Path;

use restart::{ReplaceFileError, replace_file};

use super::{ConfigError, file};
use crate::agent::TICKET;

/// The copy in the state folder. It stays after the restart, and the next one replaces it.
const COPY: &str = "checked-config.yml";

/// A configuration may hold what is not for everybody.
const MODE: u32 = 0o600;

/// The copy could not be made; an earlier one may be left, which belongs to an earlier restart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("cannot read the configuration again: {0}")]
    Read(#[from] ConfigError),
    #[error(transparent)]
    Write(#[from] ReplaceFileError),
}

/// Keeps what the file at `path` says, or that there is none, in the state folder. Durable when it returns. Blocks.
pub(crate) fn keep(path: &Path, state_dir: &Path) -> Result<(), KeepError> {
    let text = file::read_if_present(path).map_err(ConfigError::from)?.unwrap_or_default();
    Ok(replace_file(&state_dir.join(COPY), text.as_bytes(), MODE)?)
}

/// What was kept for the restart that is under way: only a start with a ticket is one that was checked.
pub(super) fn text(state_dir: &Path) -> Option<String> {
    let is_restart = state_dir.join(TICKET).exists();
    let copy = state_dir.join(COPY);
    if !is_restart {
        return None;
    }
    match file::read_if_present(&copy) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, "the configuration that was checked cannot be used either");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_checked_counts_only_while_a_restart_is_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("agent.yml");
        std::fs::write(&config, "agent: {}\n").unwrap();
        keep(&config, folder.path()).unwrap();
        std::fs::write(&config, "broken").unwrap();
        assert_eq!(text(folder.path()), None, "this start is no restart");
        std::fs::write(folder.path().join(TICKET), "{}").unwrap();
        assert_eq!(text(folder.path()).as_deref(), Some("agent: {}\n"));
    }

    #[test]
    fn a_configuration_that_is_not_there_is_kept_as_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(TICKET), "{}").unwrap();
        assert_eq!(text(folder.path()), None, "nothing was kept");
        keep(&folder.path().join("missing.yml"), folder.path()).unwrap();
        assert_eq!(text(folder.path()).as_deref(), Some(""));
    }
}
