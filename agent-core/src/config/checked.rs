//! A copy of the configuration as the checks of a restart have seen it, for a new process that finds the file broken.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use module_api::ModuleKind;
use restart::{ReplaceFileError, replace_file};

use super::{Config, ConfigError, file};
use crate::Paths;
use crate::agent::TICKET;

/// The copy in the state folder. It stays after the restart, and the next one replaces it.
const COPY: &str = "checked-config.yml";

/// A configuration may hold what is not for everybody.
const MODE: u32 = 0o600;

/// No copy could be made; there is none of an earlier restart either.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// What the file says now could not be loaded.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    #[error(transparent)]
    Write(#[from] ReplaceFileError),
    #[error("cannot remove {path}, a configuration that was checked earlier: {source}")]
    Remove { path: PathBuf, source: io::Error },
}

/// Keeps what the file says in the state folder, which is checked once more, so that nothing else is ever kept: the file may
/// have changed since the checks. Durable when it returns. Blocks.
pub(crate) fn keep(paths: &Paths, kinds: &[Arc<dyn ModuleKind>]) -> Result<(), KeepError> {
    let copy = paths.state(COPY);
    match std::fs::remove_file(&copy) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            return Err(KeepError::Remove { path: copy, source });
        }
        Ok(()) | Err(_) => {}
    }
    let text = if paths.config_is_given {
        file::read(&paths.config).map_err(ConfigError::from)?
    } else {
        file::read_if_present(&paths.config).map_err(ConfigError::from)?.unwrap_or_default()
    };
    Config::parse(&text, &paths.config, kinds)?;
    Ok(replace_file(&copy, text.as_bytes(), MODE)?)
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

    fn paths(folder: &Path, config_is_given: bool) -> Paths {
        Paths {
            config: folder.join("agent.yml"),
            config_is_given,
            state_dir: folder.to_owned(),
            run_dir: folder.to_owned(),
            socket: None,
        }
    }

    #[test]
    fn what_was_checked_counts_only_while_a_restart_is_under_way() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path(), true);
        std::fs::write(&paths.config, "agent: {}\n").unwrap();
        keep(&paths, &[]).unwrap();
        std::fs::write(&paths.config, "broken").unwrap();
        assert_eq!(text(folder.path()), None, "this start is no restart");
        std::fs::write(folder.path().join(TICKET), "{}").unwrap();
        assert_eq!(text(folder.path()).as_deref(), Some("agent: {}\n"));
    }

    #[test]
    fn what_has_broken_since_the_checks_is_not_kept_and_nothing_older_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let paths = paths(folder.path(), true);
        std::fs::write(folder.path().join(TICKET), "{}").unwrap();
        for broken in [Some("no_such_section: 1\n"), None] {
            std::fs::write(&paths.config, "agent: {}\n").unwrap();
            keep(&paths, &[]).unwrap();
            match broken {
                Some(text) => std::fs::write(&paths.config, text).unwrap(),
                None => std::fs::remove_file(&paths.config).unwrap(),
            }
            assert!(matches!(keep(&paths, &[]), Err(KeepError::Configuration(_))));
            assert_eq!(text(folder.path()), None);
        }
    }

    #[test]
    fn a_configuration_that_nobody_named_and_is_not_there_is_kept_as_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(TICKET), "{}").unwrap();
        assert_eq!(text(folder.path()), None, "nothing was kept");
        keep(&paths(folder.path(), false), &[]).unwrap();
        assert_eq!(text(folder.path()).as_deref(), Some(""));
    }
}
