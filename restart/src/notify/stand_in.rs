//! A socket in the manager's place, for tests of what it is sent.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::{Notifier, StartEnvironment};

/// Receives what a notifier sends.
#[derive(Debug)]
pub(crate) struct Manager {
    folder: tempfile::TempDir,
    pub(crate) socket: UnixDatagram,
}

/// A manager, and a notifier that talks to it.
pub(crate) fn manager() -> (Manager, Notifier) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let socket = UnixDatagram::bind(&path).unwrap();
    let environment =
        StartEnvironment { notify_socket: Some(path.into()), ..StartEnvironment::default() };
    (Manager { folder, socket }, Notifier::from(&environment))
}

/// The name of the socket in its folder.
const NAME: &str = "notify";

impl Manager {
    /// Nothing that is sent meanwhile arrives.
    pub(crate) fn is_away_during(&self, act: impl FnOnce()) {
        let (here, away) = (self.folder.path().join(NAME), self.folder.path().join("away"));
        std::fs::rename(&here, &away).unwrap();
        act();
        std::fs::rename(away, here).unwrap();
    }

    /// The next message and the descriptors that came with it.
    pub(crate) fn receive(&self) -> (String, Vec<OwnedFd>) {
        let mut bytes = [0; 512];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg(&self.socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        (String::from_utf8(bytes[..received.bytes].to_vec()).unwrap(), fds)
    }

    /// All messages up to a status, which is not among them.
    pub(crate) fn read_until_status(self) -> Vec<String> {
        let messages = std::iter::from_fn(|| Some(self.receive().0));
        messages.take_while(|message| !message.starts_with("STATUS=")).collect()
    }
}
