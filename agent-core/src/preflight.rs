//! Checks before a restart that the agent can come back; nothing is stopped when one of them fails.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use sha2::{Digest, Sha256};

use crate::agent::core::Core;
use crate::agent::reload::load;

/// What the probe of the state folder writes: as much as a large module state takes, in bytes.
const PROBE_BYTES: usize = 1 << 20;

/// Why a restart is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the configuration would not load; correct it and try again: {0}")]
    Config(String),
    #[error("the state folder {path} cannot be written: {source}; make room or correct its owner")]
    StateDir { path: PathBuf, source: io::Error },
    #[error("{path} cannot be executed: {source}; install it again")]
    Binary { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Controller(#[from] restart::Refusal),
}

/// What was found out on the way, for the ticket.
#[derive(Debug, Default)]
pub(crate) struct Hashes {
    /// SHA-256 of the binary that will be started.
    pub(crate) binary: Option<String>,
}

/// Checks configuration, state folder, binary and controller, in this order.
pub(crate) async fn check(core: &Core) -> Result<Hashes, Refused> {
    load(core).map_err(|error| Refused::Config(error.to_string()))?;
    let (folder, binary) = (core.paths.state_dir.clone(), core.launch.executable.clone());
    let on_disk = tokio::task::spawn_blocking(move || {
        probe(&folder).map_err(|source| Refused::StateDir { path: folder, source })?;
        hash_executable(&binary).map_err(|source| Refused::Binary { path: binary, source })
    });
    let binary = on_disk.await.map_err(|error| Refused::Config(error.to_string()))??;
    core.controller.preflight().await?;
    Ok(Hashes { binary: Some(binary) })
}

/// Writes and syncs a file of the size that saving may need, and removes it.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(".preflight");
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0x5a; PROBE_BYTES])?;
        file.sync_all()
    });
    // The file of a failed probe is removed as well: it takes room that is missing already.
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn hash_executable(path: &Path) -> io::Result<String> {
    access(path, AccessFlags::X_OK)?;
    let mut file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&chunk[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        probe(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(probe(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn only_an_executable_file_is_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        std::fs::write(&plain, b"abc").unwrap();
        assert_eq!(hash_executable(&plain).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(hash_executable(folder.path()).is_err());
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&plain, executable).unwrap();
        assert_eq!(
            hash_executable(&plain).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
