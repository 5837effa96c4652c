//! What the disk needs at least: one small append that is waited for.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

/// A file that grows by 4 KiB with each append.
pub(crate) struct Appended(File);

impl Appended {
    /// Makes the file.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let file = OpenOptions::new().create_new(true).append(true).open(path);
        file.map(Self).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Appends, waits for the disk, and says how long it took.
    pub(crate) fn append(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        self.write().map_err(|error| format!("cannot append: {error}"))?;
        Ok(began.elapsed())
    }

    fn write(&mut self) -> io::Result<()> {
        self.0.write_all(&[0x5a; 4096])?;
        self.0.sync_data()
    }
}
