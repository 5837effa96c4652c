//! Gives systemd a socket to keep under each of the names given, as another version of the agent or a forger would; for
//! `unsealed=NAME` memory that can still be changed. For tests.

use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use restart::{Notifier, StartEnvironment};

fn main() -> anyhow::Result<()> {
    let notifier = Notifier::from(&StartEnvironment::capture());
    for name in std::env::args().skip(1) {
        if let Some(name) = name.strip_prefix("unsealed=") {
            let memory = rustix::fs::memfd_create("forged", rustix::fs::MemfdFlags::CLOEXEC)?;
            rustix::io::write(&memory, b"7")?;
            notifier.store_fd(name, memory.as_fd())?;
            continue;
        }
        // Not a pipe without its other end: systemd lets go of what has hung up.
        let socket = UnixDatagram::unbound()?;
        notifier.store_fd(&name, socket.as_fd())?;
    }
    // systemd takes a message only from a process that it can still look up.
    notifier.barrier(Duration::from_secs(30))?;
    Ok(())
}
