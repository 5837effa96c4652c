//! Whether the state folder can be written, and has room for what will be saved.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::report::Looked;

/// The room that is wanted at least, in bytes: tickets, steps in the journal, and modules that save for the first time.
const LEAST_ROOM: u64 = 1 << 20;

/// What the probe really writes, in bytes: a block of any file system.
const BLOCK: [u8; 4096] = [0x5a; 4096];

/// The name of the probe.
const PROBE: &str = ".preflight";

/// Checks the folder. Blocks.
pub(super) fn check(folder: &Path) -> Looked {
    let needed = saved_last(&folder.join("modules")).max(LEAST_ROOM);
    let free = match free(folder) {
        Ok(free) => free,
        Err(error) => return unusable(folder, &error),
    };
    if let Some(looked) = too_little(folder, needed, free) {
        return looked;
    }
    match probe(folder, needed) {
        Ok(()) => Looked::ok(format!("{}: {free} bytes free, {needed} needed", folder.display())),
        // A quota, or a file system that promises more than it has.
        Err(error) if is_full(&error) => no_room(folder, needed, free, &format!(" ({error})")),
        Err(error) => unusable(folder, &error),
    }
}

/// What all modules together saved last, in bytes. Each keeps the state before until the next is written, so as much again
/// is what a restart may take.
fn saved_last(modules: &Path) -> u64 {
    let Ok(folders) = std::fs::read_dir(modules) else { return 0 };
    let states = folders.flatten().map(|folder| folder.path().join("state"));
    states.filter_map(|state| state.metadata().ok()).map(|state| state.len()).sum()
}

/// What this user may still write, in bytes.
fn free(folder: &Path) -> io::Result<u64> {
    let found = statvfs(folder)?;
    // What is set aside for root counts only for root.
    let root = rustix::process::geteuid().is_root();
    let blocks = if root { found.f_bfree } else { found.f_bavail };
    Ok(blocks.saturating_mul(found.f_frsize))
}

fn too_little(folder: &Path, needed: u64, free: u64) -> Option<Looked> {
    (free < needed).then(|| no_room(folder, needed, free, ""))
}

fn no_room(folder: &Path, needed: u64, free: u64, why: &str) -> Looked {
    Looked::refused_unless_forced(format!(
        "the state folder {} has {free} bytes free, and {needed} are needed for what the modules save{why}; make room",
        folder.display()
    ))
}

fn unusable(folder: &Path, error: &io::Error) -> Looked {
    Looked::refused(format!(
        "the state folder {} cannot be written: {error}; correct its owner, or mount it writable",
        folder.display()
    ))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Reserves that much, writes and syncs a block of it, and removes the file.
fn probe(folder: &Path, bytes: u64) -> io::Result<()> {
    let path = folder.join(PROBE);
    let opened = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
    let written = opened.and_then(|mut file| {
        reserve(&file, bytes)?;
        file.write_all(&BLOCK)?;
        file.sync_all()
    });
    // The file of a failed probe is removed as well: it takes room that is missing already.
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Not every file system can; what it says of its free room has to do then.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::report::Grade;

    #[test]
    fn the_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        probe(folder.path(), LEAST_ROOM).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(probe(&folder.path().join("missing"), 1).is_err());
    }

    #[test]
    fn more_than_the_disk_has_cannot_be_reserved_and_leaves_nothing_either() {
        let folder = tempfile::tempdir().unwrap();
        probe(folder.path(), 1 << 60).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_modules_saved_last_is_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let modules = folder.path().join("modules");
        assert_eq!(saved_last(&modules), 0);
        for (module, bytes) in [("fim", 3 << 20), ("sca", 100)] {
            std::fs::create_dir_all(modules.join(module)).unwrap();
            let state = File::create(modules.join(module).join("state")).unwrap();
            state.set_len(bytes).unwrap();
            std::fs::write(modules.join(module).join("state.previous"), b"does not count").unwrap();
        }
        assert_eq!(saved_last(&modules), (3 << 20) + 100);
        let looked = check(folder.path());
        assert_eq!(looked.grade, Grade::Ok);
        assert!(looked.text.contains("3145828 needed"), "{looked:?}");
    }

    #[test]
    fn a_lack_of_room_names_the_bytes_and_may_be_forced() {
        let folder = Path::new("/s");
        assert_eq!(too_little(folder, 100, 100), None);
        let looked = too_little(folder, 100, 99).unwrap();
        assert!(looked.may_be_forced, "{looked:?}");
        assert!(looked.text.contains("99 bytes free, and 100 are needed"), "{looked:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_may_not_be_forced() {
        let folder = tempfile::tempdir().unwrap();
        let looked = check(&folder.path().join("missing"));
        assert_eq!((looked.grade, looked.may_be_forced), (Grade::Refused, false), "{looked:?}");
    }
}
