//! The bench in the place of a service manager: hears when a process is ready.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longer than any start takes that works.
const PATIENCE: Duration = Duration::from_secs(30);

/// A notification socket.
pub(crate) struct ReadySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ReadySocket {
    pub(crate) fn bind(folder: &Path) -> Result<Self, String> {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path);
        let socket = socket.map_err(|error| format!("{}: {error}", path.display()))?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        Ok(Self { socket, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until a process says that it is ready, and tells when that was.
    pub(crate) fn until_ready(&self) -> Result<Instant, String> {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message);
            let length = length.map_err(|error| format!("no process became ready: {error}"))?;
            let now = Instant::now();
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(now);
            }
        }
    }
}
