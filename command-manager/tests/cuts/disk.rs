//! A disk whose power can be cut: what was written and not synced is lost, or survives in part.
//!
//! The model takes from SQLite only what POSIX takes:
//! - content is safe once the file was synced; before, any part of what was written may be there, by sectors of 512
//!   bytes, and a file that grew may hold zeros;
//! - a new name, and the end of an old one, is safe once the folder was synced. The VFS of the system does that with
//!   the first sync of each log that it has opened, and with a delete that asks for it. Before, a file that was removed
//!   may be there again with all its content, and one that was made may be missing;
//! - the `-shm` file is no part of it: SQLite maps it, never syncs it, and empties it when the first process opens the
//!   database after a reboot. So at a power cut it is removed, or filled with garbage where the rest is up to chance.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rusqlite::ffi;

/// What a disk writes as a whole or not at all, in bytes; 4096 on most, and smaller ones make more damage.
const SECTOR: usize = 512;

/// The files of a folder as the process sees them and as the disk has them. All of it is held in memory until
/// [`Self::lose_power`], so that the process can be killed right after.
#[derive(Debug)]
pub(crate) struct Disk {
    files: BTreeMap<PathBuf, File>,
    /// Chooses what survives; nothing does without it.
    chance: Option<Rng>,
}

#[derive(Debug, Default)]
struct File {
    /// What the process sees under this name.
    seen: Option<Vec<u8>>,
    /// What is there under this name after a power cut.
    safe: Option<Vec<u8>>,
    /// Whether the name belongs to another file than the one that is safe.
    renewed: bool,
    /// Whether the next sync of this file syncs the folder too.
    syncs_folder: bool,
}

impl Disk {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self { files: BTreeMap::new(), chance: seed.map(Rng::with_seed) }
    }

    pub(crate) fn exists(&mut self, path: &Path) -> bool {
        self.named(path).seen.is_some()
    }

    /// Opens a file, and makes it if it may and there is none.
    pub(crate) fn open(&mut self, path: &Path, may_make: bool) {
        let file = self.named(path);
        if may_make {
            file.syncs_folder = true;
            if file.seen.is_none() {
                file.renewed = true;
                file.seen = Some(Vec::new());
            }
        }
    }

    pub(crate) fn read(&self, path: &Path, buffer: &mut [u8], offset: i64) -> i32 {
        let content = self.content(path).get(index(offset)..).unwrap_or_default();
        let there = content.len().min(buffer.len());
        buffer[..there].copy_from_slice(&content[..there]);
        buffer[there..].fill(0);
        if there < buffer.len() { ffi::SQLITE_IOERR_SHORT_READ } else { ffi::SQLITE_OK }
    }

    pub(crate) fn size(&self, path: &Path) -> i64 {
        i64::try_from(self.content(path).len()).unwrap()
    }

    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8], offset: i64) -> i32 {
        let content = self.content_mut(path);
        let (from, to) = (index(offset), index(offset) + bytes.len());
        content.resize(content.len().max(to), 0);
        content[from..to].copy_from_slice(bytes);
        ffi::SQLITE_OK
    }

    pub(crate) fn truncate(&mut self, path: &Path, size: i64) -> i32 {
        self.content_mut(path).truncate(index(size));
        ffi::SQLITE_OK
    }

    pub(crate) fn sync(&mut self, path: &Path) {
        let file = self.files.get_mut(path).expect("a file that was opened");
        if file.syncs_folder {
            file.syncs_folder = false;
            self.sync_names();
        }
        let file = self.files.get_mut(path).expect("a file that was opened");
        // A file whose name is not safe is gone after a power cut, whatever was synced.
        if !file.renewed {
            file.safe.clone_from(&file.seen);
        }
    }

    pub(crate) fn delete(&mut self, path: &Path, sync_folder: bool) -> i32 {
        if self.named(path).seen.take().is_none() {
            return ffi::SQLITE_IOERR_DELETE_NOENT;
        }
        if sync_folder {
            self.sync_names();
        }
        ffi::SQLITE_OK
    }

    /// Puts onto the real disk what the power cut leaves.
    pub(crate) fn lose_power(&mut self) {
        for (path, file) in &self.files {
            let left = match &mut self.chance {
                None => file.safe.clone(),
                Some(chance) => file.left_by(chance),
            };
            match left {
                Some(content) => fs::write(path, content).unwrap(),
                None => drop(fs::remove_file(path)),
            }
            let mut shared_memory = path.clone().into_os_string();
            shared_memory.push("-shm");
            match &mut self.chance {
                Some(chance) if Path::new(&shared_memory).exists() => {
                    let garbage: Vec<u8> = (0..32 * 1024).map(|_| chance.u8(..)).collect();
                    fs::write(shared_memory, garbage).unwrap();
                }
                // Most files have none.
                _ => drop(fs::remove_file(shared_memory)),
            }
        }
    }

    fn sync_names(&mut self) {
        for file in self.files.values_mut() {
            match &file.seen {
                None => file.safe = None,
                Some(_) if file.renewed => file.safe = Some(Vec::new()),
                Some(_) => {}
            }
            file.renewed = false;
        }
    }

    /// The file of this name, which is what the real disk has when it is named for the first time.
    fn named(&mut self, path: &Path) -> &mut File {
        self.files.entry(path.to_owned()).or_insert_with(|| {
            let content = fs::read(path).ok();
            File { seen: content.clone(), safe: content, ..File::default() }
        })
    }

    fn content(&self, path: &Path) -> &[u8] {
        let file = self.files.get(path).and_then(|file| file.seen.as_deref());
        file.expect("a file that was opened")
    }

    fn content_mut(&mut self, path: &Path) -> &mut Vec<u8> {
        let file = self.files.get_mut(path).and_then(|file| file.seen.as_mut());
        file.expect("a file that was opened")
    }
}

impl File {
    /// What may be there after a power cut, one of many.
    fn left_by(&self, chance: &mut Rng) -> Option<Vec<u8>> {
        let renaming_survives = chance.bool();
        let base = match &self.safe {
            Some(safe) if !self.renewed => safe.as_slice(),
            _ => &[],
        };
        match &self.seen {
            None if renaming_survives => None,
            None => self.safe.clone(),
            Some(_) if self.renewed && !renaming_survives => self.safe.clone(),
            Some(seen) => Some(mixed(base, seen, chance)),
        }
    }
}

/// Each sector as it was or as it was to be. How many are new differs much from case to case: with one chance for all,
/// a commit of many sectors would never survive as a whole, nor with one sector missing.
fn mixed(base: &[u8], seen: &[u8], chance: &mut Rng) -> Vec<u8> {
    let new_of_hundred = [10, 50, 90, 100][chance.usize(..4)];
    let size = if chance.bool() { base.len() } else { seen.len() };
    let mut mixed = base.to_vec();
    mixed.resize(size, 0);
    for (sector, new) in mixed.chunks_mut(SECTOR).zip(seen.chunks(SECTOR)) {
        if chance.u8(..100) < new_of_hundred {
            let both = sector.len().min(new.len());
            sector[..both].copy_from_slice(&new[..both]);
        }
    }
    mixed
}

fn index(offset: i64) -> usize {
    usize::try_from(offset).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `commands.db` and its log after `act` and a power cut that nothing survives; `old` was there
    /// before.
    fn left(old: &str, act: impl FnOnce(&mut Disk, &Path, &Path)) -> [Option<String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let [main, log] = ["commands.db", "commands.db-wal"].map(|name| folder.path().join(name));
        fs::write(&main, old).unwrap();
        fs::write(&log, old).unwrap();
        let mut disk = Disk::new(None);
        disk.open(&main, false);
        act(&mut disk, &main, &log);
        disk.lose_power();
        [main, log].map(|path| fs::read_to_string(path).ok())
    }

    fn there(content: &str) -> Option<String> {
        Some(content.to_owned())
    }

    #[test]
    fn what_was_written_after_the_last_sync_is_lost() {
        let left = left("old", |disk, main, _| {
            disk.write(main, b"new", 0);
            disk.sync(main);
            disk.write(main, b"newer", 0);
            let mut seen = [0; 6];
            assert_eq!(disk.read(main, &mut seen, 0), ffi::SQLITE_IOERR_SHORT_READ);
            assert_eq!(&seen, b"newer\0");
        });
        assert_eq!(left, [there("new"), there("old")]);
    }

    #[test]
    fn a_removed_log_is_back_until_a_new_one_was_synced() {
        let renew = |disk: &mut Disk, log: &Path| {
            disk.open(log, true);
            disk.sync(log);
            disk.delete(log, false);
            disk.open(log, true);
            disk.write(log, b"new", 0);
        };
        assert_eq!(left("old", |disk, _, log| renew(disk, log))[1], there("old"));
        let synced = left("old", |disk, _, log| {
            renew(disk, log);
            disk.sync(log);
        });
        assert_eq!(synced[1], there("new"));
    }

    #[test]
    fn a_removed_file_is_gone_once_the_folder_was_synced() {
        let removed = |sync_folder| {
            left("old", |disk, _, log| assert_eq!(disk.delete(log, sync_folder), ffi::SQLITE_OK))
        };
        assert_eq!(removed(false), [there("old"), there("old")]);
        assert_eq!(removed(true), [there("old"), None]);
    }
}
