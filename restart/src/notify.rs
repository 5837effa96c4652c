//! Tells the service manager about this process, by the `sd_notify` protocol.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, sendmsg_addr, socket_with,
};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::StartEnvironment;
use crate::identity::own_pid;
use crate::kernel_clock::{monotonic, timespec};

/// How long one message may wait for a manager that does not read. It reads at once unless it is stuck.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to the service manager; without one, every message is dropped and counts as sent. Cheap to clone.
///
/// Every call may block for up to five seconds when the manager does not read, except for [`Notifier::stopping`] and
/// [`Notifier::extend_timeout`], which are for places that must not wait. Messages arrive in the order in which they were
/// sent.
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    address: Option<Arc<SocketAddrUnix>>,
    watchdog: Option<Duration>,
}

/// A message did not reach the service manager.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The socket refused the message.
    #[error("cannot send {message:?} to the service manager: {source}")]
    Send {
        /// Its first line.
        message: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A name that the protocol cannot carry.
    #[error("{0:?} cannot be the name of a stored descriptor")]
    Name(String),
    /// There is no service manager that could prove anything.
    #[error("this process has no service manager (NOTIFY_SOCKET is not set)")]
    NoManager,
    /// The manager did not come to the message in time.
    #[error("the service manager did not read its messages within {0:?}")]
    BarrierTimeout(Duration),
}

impl From<&StartEnvironment> for Notifier {
    /// Takes path and abstract addresses; one of another kind (such as `vsock:`) counts as no manager.
    fn from(environment: &StartEnvironment) -> Self {
        let meant_for_us = environment.watchdog_pid.is_none_or(|pid| pid == own_pid());
        Self {
            address: environment.notify_socket.as_deref().and_then(address_of).map(Arc::new),
            watchdog: environment.watchdog.filter(|_| meant_for_us),
        }
    }
}

fn address_of(socket: &OsStr) -> Option<SocketAddrUnix> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
        [b'/', ..] => SocketAddrUnix::new(socket),
        _ => {
            tracing::warn!(?socket, "NOTIFY_SOCKET is of a kind that is not supported");
            return None;
        }
    };
    address
        .inspect_err(|error| tracing::warn!(?socket, %error, "NOTIFY_SOCKET is not an address"))
        .ok()
}

impl Notifier {
    /// Whether there is a service manager to talk to.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.address.is_some()
    }

    /// The process works now; `status` is what an operator sees.
    ///
    /// # Errors
    /// [`NotifyError::Send`].
    pub fn ready(&self, status: &str) -> Result<(), NotifyError> {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)), &[])
    }

    /// Changes what an operator sees.
    ///
    /// # Errors
    /// [`NotifyError::Send`].
    pub fn status(&self, text: &str) -> Result<(), NotifyError> {
        self.send(&format!("STATUS={}", one_line(text)), &[])
    }

    /// The configuration is being read anew; [`Notifier::ready`] ends it.
    ///
    /// # Errors
    /// [`NotifyError::Send`].
    pub fn reloading(&self) -> Result<(), NotifyError> {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic().as_micros()), &[])
    }

    /// The process is about to end. Since systemd 259 this cannot be taken back: send it after the point of no return.
    /// Never blocks.
    ///
    /// # Errors
    /// [`NotifyError::Send`], also when the manager does not read: then the message is lost, and the manager learns of
    /// the end when it comes.
    pub fn stopping(&self) -> Result<(), NotifyError> {
        self.send_or_drop("STOPPING=1")
    }

    /// The process is alive; due within every [`Notifier::watchdog_interval`].
    ///
    /// # Errors
    /// [`NotifyError::Send`].
    pub fn watchdog(&self) -> Result<(), NotifyError> {
        self.send("WATCHDOG=1", &[])
    }

    /// How long this process may be silent before it is killed, when the manager watches it. Call
    /// [`Notifier::watchdog`] at half of it.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Asks for `more` time from now to start, run or stop; what is left is never made shorter by it. The first one must
    /// come before the original time is up. While the process runs it holds for the watchdog, too. Never blocks.
    ///
    /// # Errors
    /// [`NotifyError::Send`], also when the manager does not read: then the message is lost. One that was kept and sent
    /// later would ask for time that is no longer needed.
    pub fn extend_timeout(&self, more: Duration) -> Result<(), NotifyError> {
        self.send_or_drop(&format!("EXTEND_TIMEOUT_USEC={}", more.as_micros()))
    }

    /// Gives the manager a copy of `fd` to keep for the next process. It keeps as many as the unit's
    /// `FileDescriptorStoreMax=` says and drops others silently, so compare `NFileDescriptorStore` afterwards.
    ///
    /// # Errors
    /// [`NotifyError::Name`], [`NotifyError::Send`].
    pub fn store_fd(&self, name: &str, fd: BorrowedFd<'_>) -> Result<(), NotifyError> {
        check_name(name)?;
        self.send(&format!("FDSTORE=1\nFDNAME={name}"), &[fd])
    }

    /// Makes the manager close every kept descriptor called `name`.
    ///
    /// # Errors
    /// [`NotifyError::Name`], [`NotifyError::Send`].
    pub fn remove_fd(&self, name: &str) -> Result<(), NotifyError> {
        check_name(name)?;
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])
    }

    /// Returns once the manager has dealt with every message sent before (systemd 246 and up). Blocks up to
    /// `timeout`.
    ///
    /// # Errors
    /// [`NotifyError::NoManager`] and [`NotifyError::BarrierTimeout`] when there is no such proof.
    pub fn barrier(&self, timeout: Duration) -> Result<(), NotifyError> {
        if self.address.is_none() {
            return Err(NotifyError::NoManager);
        }
        let failed = |source: rustix::io::Errno| NotifyError::Send {
            message: "BARRIER=1".to_owned(),
            source: source.into(),
        };
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        self.send("BARRIER=1", &[theirs.as_fd()])?;
        drop(theirs);
        // The manager closes its copy when it comes to the message, which hangs up our end.
        let deadline = monotonic() + timeout;
        loop {
            let left = deadline.saturating_sub(monotonic());
            let mut hang_up = [PollFd::new(&ours, PollFlags::empty())];
            match poll(&mut hang_up, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => return Err(NotifyError::BarrierTimeout(timeout)),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn send(&self, message: &str, fds: &[BorrowedFd<'_>]) -> Result<(), NotifyError> {
        self.send_with(SendFlags::empty(), message, fds)
    }

    /// Does not wait for a manager that has not read what came before.
    fn send_or_drop(&self, message: &str) -> Result<(), NotifyError> {
        self.send_with(SendFlags::DONTWAIT, message, &[])
    }

    fn send_with(
        &self,
        flags: SendFlags,
        message: &str,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), NotifyError> {
        let Some(address) = &self.address else {
            return Ok(());
        };
        send_to(address, flags, message, fds).map_err(|source| {
            let message = message.lines().next().unwrap_or_default().to_owned();
            NotifyError::Send { message, source: source.into() }
        })
    }
}

fn send_to(
    address: &SocketAddrUnix,
    flags: SendFlags,
    message: &str,
    fds: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    let socket: OwnedFd =
        socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(SEND_TIMEOUT))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(rustix::io::Errno::TOOBIG);
    }
    loop {
        let bytes = [IoSlice::new(message.as_bytes())];
        match sendmsg_addr(&socket, address, &bytes, &mut control, flags | SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn check_name(name: &str) -> Result<(), NotifyError> {
    if crate::hand_over::is_valid_name(name) {
        Ok(())
    } else {
        Err(NotifyError::Name(name.to_owned()))
    }
}

/// A line break would begin a field of its own.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
pub(crate) mod stand_in;
#[cfg(test)]
mod tests;
