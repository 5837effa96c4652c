//! Operations on one name that is no folder, or that changes no names.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::Mutator;
use crate::forest::{Item, Kind};

type Touched = Option<(PathBuf, Option<PathBuf>)>;

/// Their owner can go on working with them, whoever that is.
const FILE_MODES: [u32; 6] = [0o600, 0o644, 0o640, 0o755, 0o4755, 0o666];
const FOLDER_MODES: [u32; 4] = [0o700, 0o755, 0o750, 0o1777];

impl Mutator {
    fn pick_file(&mut self) -> Option<Item> {
        self.inside.pick(&mut self.rng, Item::is_file)
    }

    /// Mostly small, now and then larger than one read.
    fn content(&mut self) -> Vec<u8> {
        let most = match self.rng.u32(..40) {
            0 => 300_000,
            1..8 => 1,
            _ => 4_000,
        };
        let length = self.rng.usize(..most);
        let byte = self.rng.u8(..);
        let mut content = vec![byte; length];
        content.extend(self.rng.u64(..).to_le_bytes().iter().take(length));
        content
    }

    pub(super) fn create(&mut self) -> Touched {
        let (path, content) = (self.place(), self.content());
        let mut file = File::create_new(&path).unwrap();
        file.write_all(&content).unwrap();
        let number = self.number();
        self.inside.add(path.clone(), Kind::File(number));
        Some((path, None))
    }

    pub(super) fn write(&mut self) -> Touched {
        let (path, content) = (self.pick_file()?.path, self.content());
        fs::write(&path, content).unwrap();
        Some((path, None))
    }

    pub(super) fn append(&mut self) -> Touched {
        let (path, content) = (self.pick_file()?.path, self.content());
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&content).unwrap();
        Some((path, None))
    }

    pub(super) fn truncate(&mut self) -> Touched {
        let path = self.pick_file()?.path;
        let size = self.rng.u64(..5_000);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
        Some((path, None))
    }

    pub(super) fn rewrite(&mut self) -> Touched {
        let path = self.pick_file()?.path;
        let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let meta = file.metadata().unwrap();
        let content = vec![self.rng.u8(..); usize::try_from(meta.len()).unwrap()];
        file.rewind().unwrap();
        file.write_all(&content).unwrap();
        file.set_times(FileTimes::new().set_modified(meta.modified().unwrap())).unwrap();
        Some((path, None))
    }

    pub(super) fn chmod(&mut self) -> Touched {
        let item = self.inside.pick(&mut self.rng, |item| item.kind != Kind::Link)?;
        let modes: &[u32] = if item.is_folder() { &FOLDER_MODES } else { &FILE_MODES };
        let mode = modes[self.rng.usize(..modes.len())];
        fs::set_permissions(&item.path, Permissions::from_mode(mode)).unwrap();
        Some((item.path, None))
    }

    pub(super) fn chown(&mut self) -> Touched {
        let path = self.inside.pick(&mut self.rng, |_| true)?.path;
        let mut owner = || Some([0, 1, 2, 12_345][self.rng.usize(..4)]);
        lchown(&path, owner(), owner()).unwrap();
        Some((path, None))
    }

    pub(super) fn set_times(&mut self) -> Touched {
        let path = self.pick_file()?.path;
        let since_1970 = Duration::from_nanos(self.rng.u64(..2_000_000_000_000_000_000));
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + since_1970);
        OpenOptions::new().write(true).open(&path).unwrap().set_times(times).unwrap();
        Some((path, None))
    }

    pub(super) fn hard_link(&mut self) -> Touched {
        let file = self.pick_file()?;
        let path = self.place();
        fs::hard_link(&file.path, &path).unwrap();
        if let Kind::File(number) = file.kind {
            self.linked.insert(number);
        }
        self.inside.add(path.clone(), file.kind);
        Some((path, Some(file.path)))
    }

    /// Some leads somewhere, some nowhere, some in circles.
    fn target(&mut self) -> PathBuf {
        match self.rng.u32(..4) {
            0 => PathBuf::from(format!("nowhere-{}", self.rng.u32(..))),
            1 => PathBuf::from("."),
            2 => PathBuf::from("../.."),
            _ => {
                let item = self.inside.pick(&mut self.rng, |_| true);
                item.map_or_else(|| PathBuf::from("/"), |item| item.path)
            }
        }
    }

    pub(super) fn link(&mut self) -> Touched {
        let (path, target) = (self.place(), self.target());
        symlink(&target, &path).unwrap();
        self.inside.add(path.clone(), Kind::Link);
        Some((path, Some(target)))
    }

    /// In one step by a rename, or in two.
    pub(super) fn swap_link(&mut self) -> Touched {
        let path = self.inside.pick(&mut self.rng, |item| item.kind == Kind::Link)?.path;
        let target = self.target();
        if self.rng.bool() {
            fs::remove_file(&path).unwrap();
            symlink(&target, &path).unwrap();
        } else {
            let beside = path.with_file_name(format!("swap{}", self.number()));
            symlink(&target, &beside).unwrap();
            fs::rename(&beside, &path).unwrap();
        }
        Some((path, Some(target)))
    }

    pub(super) fn fifo(&mut self) -> Touched {
        let path = self.place();
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        self.inside.add(path.clone(), Kind::Fifo);
        Some((path, None))
    }

    pub(super) fn make_short_lived(&mut self) -> Touched {
        let only_old = self.options.short_lived_in_old_folders;
        let folder = self
            .inside
            .folder(&mut self.rng, |item| !only_old || item.kind == Kind::Folder { old: true });
        let path = folder.join(format!("short-{}", self.number()));
        let mut file = File::create_new(&path).unwrap();
        if self.rng.bool() {
            file.write_all(b"gone at once").unwrap();
        }
        if self.rng.bool() {
            drop(file);
        }
        fs::remove_file(&path).unwrap();
        self.short_lived.push(path.clone());
        Some((path, None))
    }

    pub(super) fn delete(&mut self) -> Touched {
        let path = self.inside.pick(&mut self.rng, |item| !item.is_folder())?.path;
        fs::remove_file(&path).unwrap();
        self.inside.take(&path);
        Some((path, None))
    }
}
