//! What the agent and its restart helper say to each other over the socket between them.
//!
//! ```text
//!  agent                                   helper
//!    ├── order, with descriptors ──────────> │
//!    │ <────────────────────────── ready ────┤
//!    │   (notes the request in the ticket)   │
//!    ├── go ───────────────────────────────> │ SIGTERM by pidfd, waits, becomes the next agent
//!    ├── ready, just before the end ───────> │
//!    │ <────────────────────────── ready ────┤
//!    ├── call off ─────────────────────────> │ leaves without starting anything
//! ```
//!
//! Until `go` the helper does nothing to the agent, so the agent can take every failure before it as final.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg,
    send, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::launch::{LaunchPlan, path_bytes};
use crate::ProcessIdentity;
use crate::kernel_clock::{monotonic, timespec};

/// The version of the order. The helper is started from the program's file, which may be a newer program by now.
const FORMAT: u32 = 1;
/// The kernel's limit for one message (`SCM_MAX_FD`).
const MAX_DESCRIPTORS: usize = 253;
/// The order itself, the agent's pidfd, and its standard input.
const OWN_DESCRIPTORS: usize = 3;

/// What the helper is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    format: u32,
    /// How to start the next agent.
    pub(crate) launch: LaunchPlan,
    /// The agent that is to be replaced.
    pub(crate) old: ProcessIdentity,
    /// How long the agent may take to end after SIGTERM, in milliseconds.
    pub(crate) kill_after_ms: u64,
    /// Where the ticket is.
    #[serde(with = "path_bytes")]
    pub(crate) ticket: PathBuf,
    /// Whether a pidfd of the agent comes along.
    has_pidfd: bool,
    /// The names of the descriptors to hand over, in the order in which they come.
    names: Vec<String>,
}

/// The order with everything that comes along.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) order: Order,
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) stdin: OwnedFd,
    pub(crate) fds: Vec<(String, OwnedFd)>,
}

impl Parcel {
    pub(crate) fn new(
        (launch, old, kill_after, ticket): (LaunchPlan, ProcessIdentity, Duration, PathBuf),
        pidfd: Option<OwnedFd>,
        stdin: OwnedFd,
        fds: Vec<(String, OwnedFd)>,
    ) -> Self {
        let kill_after_ms = u64::try_from(kill_after.as_millis()).unwrap_or(u64::MAX);
        let names = fds.iter().map(|(name, _)| name.clone()).collect();
        let has_pidfd = pidfd.is_some();
        let order = Order { format: FORMAT, launch, old, kill_after_ms, ticket, has_pidfd, names };
        Self { order, pidfd, stdin, fds }
    }

    /// Sends everything in one message. The order goes as a file in memory, so its size does not matter and nothing
    /// blocks.
    pub(crate) fn send(&self, link: BorrowedFd<'_>) -> io::Result<()> {
        if self.fds.len() > MAX_DESCRIPTORS - OWN_DESCRIPTORS {
            let message = format!("{} are too many for the restart helper", self.fds.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut file = File::from(memfd_create("restart-order", MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(&self.order)?)?;
        let mut fds = vec![file.as_fd(), self.stdin.as_fd()];
        fds.extend(self.pidfd.as_ref().map(AsFd::as_fd));
        fds.extend(self.fds.iter().map(|(_, fd)| fd.as_fd()));

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(Errno::TOOBIG.into());
        }
        sendmsg(link, &[IoSlice::new(b"o")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives what [`Parcel::send`] sent; waits up to `timeout` for it.
    pub(crate) fn receive(link: BorrowedFd<'_>, timeout: Duration) -> io::Result<Self> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if !readable_within(link, timeout)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut byte = [0; 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            link,
            &mut [IoSliceMut::new(&mut byte)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(invalid(
                "not every descriptor arrived; is the limit of open files too low?",
            ));
        }
        let mut fds = fds.into_iter();
        let (Some(file), Some(stdin)) = (fds.next(), fds.next()) else {
            return Err(invalid("no order came"));
        };
        let order = read_order(file.into())?;
        let pidfd = if order.has_pidfd { fds.next() } else { None };
        if fds.len() != order.names.len() || order.has_pidfd != pidfd.is_some() {
            return Err(invalid("the order does not fit the descriptors that came along"));
        }
        let fds = order.names.iter().cloned().zip(fds).collect();
        Ok(Self { order, pidfd, stdin, fds })
    }
}

fn read_order(mut file: File) -> io::Result<Order> {
    #[derive(Deserialize)]
    struct Form {
        format: u32,
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let form: Form = serde_json::from_slice(&bytes)?;
    if form.format != FORMAT {
        let message = format!("the order has format {}, this program reads {FORMAT}", form.format);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// A message of one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Helper: the order is understood, and nothing was done yet; later: still there. Agent: still there?
    Ready,
    /// Agent: replace me.
    Go,
}

/// What is heard on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A word.
    Word(Word),
    /// The other side is gone, or has closed its end.
    HungUp,
}

/// Two connected ends, both close-on-exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

pub(crate) fn say(link: BorrowedFd<'_>, word: Word) -> io::Result<()> {
    let byte: &[u8] = match word {
        Word::Ready => b"r",
        Word::Go => b"g",
    };
    send(link, byte, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// What was said and not heard yet; `None` if nothing was. Does not wait.
pub(crate) fn hear(link: BorrowedFd<'_>) -> io::Result<Option<Heard>> {
    let mut byte = [0; 1];
    match recv(link, &mut byte, RecvFlags::DONTWAIT) {
        Ok((_, 0)) | Err(Errno::CONNRESET) => Ok(Some(Heard::HungUp)),
        Ok(_) => match &byte {
            b"r" => Ok(Some(Heard::Word(Word::Ready))),
            b"g" => Ok(Some(Heard::Word(Word::Go))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "an unknown word was said")),
        },
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Like [`hear`], but waits up to `timeout`.
pub(crate) fn hear_within(link: BorrowedFd<'_>, timeout: Duration) -> io::Result<Option<Heard>> {
    if readable_within(link, timeout)? { hear(link) } else { Ok(None) }
}

fn readable_within(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let deadline = monotonic() + timeout;
    loop {
        let left = deadline.saturating_sub(monotonic());
        let mut set = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match poll(&mut set, Some(&timespec(left))) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(count: usize) -> Parcel {
        let null = || OwnedFd::from(File::open("/dev/null").unwrap());
        let launch = LaunchPlan::capture().unwrap();
        let old = ProcessIdentity::own().unwrap();
        let fds = (0..count).map(|number| (format!("fd{number}"), null())).collect();
        let order = (launch, old, Duration::from_secs(30), PathBuf::from("/t"));
        Parcel::new(order, Some(null()), null(), fds)
    }

    #[test]
    fn a_full_parcel_arrives_whole() {
        let (agent, helper) = pair().unwrap();
        let sent = parcel(250);
        sent.send(agent.as_fd()).unwrap();
        let received = Parcel::receive(helper.as_fd(), Duration::from_secs(5)).unwrap();
        assert_eq!(received.order.launch, sent.order.launch);
        assert_eq!(received.order.kill_after_ms, 30_000);
        assert!(received.pidfd.is_some());
        assert_eq!(received.fds.len(), 250);
        assert_eq!(received.fds[249].0, "fd249");
        for (_, fd) in &received.fds {
            assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn one_descriptor_too_many_is_refused_before_it_is_sent() {
        let (agent, helper) = pair().unwrap();
        assert!(parcel(251).send(agent.as_fd()).unwrap_err().to_string().contains("251"));
        assert_eq!(hear(helper.as_fd()).unwrap(), None);
    }

    #[test]
    fn an_order_of_another_version_is_refused() {
        let (agent, helper) = pair().unwrap();
        let mut sent = parcel(0);
        sent.order.format = 2;
        sent.send(agent.as_fd()).unwrap();
        let error = Parcel::receive(helper.as_fd(), Duration::from_secs(5)).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
    }

    #[test]
    fn words_and_the_end_are_heard_in_order() {
        let (agent, helper) = pair().unwrap();
        assert_eq!(hear(helper.as_fd()).unwrap(), None);
        say(agent.as_fd(), Word::Go).unwrap();
        say(agent.as_fd(), Word::Ready).unwrap();
        drop(agent);
        // A process that another test is starting may keep the end open for a moment.
        let heard =
            [(); 3].map(|()| hear_within(helper.as_fd(), Duration::from_secs(5)).unwrap().unwrap());
        assert_eq!(heard, [Heard::Word(Word::Go), Heard::Word(Word::Ready), Heard::HungUp]);
        assert!(say(helper.as_fd(), Word::Ready).is_err());
    }

    #[test]
    fn an_input_that_is_no_link_is_refused() {
        let file = File::open("/dev/null").unwrap();
        assert!(Parcel::receive(file.as_fd(), Duration::from_secs(5)).is_err());
    }
}
