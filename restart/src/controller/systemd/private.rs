//! systemd's own socket as a transport for zbus.
//!
//! On it systemd gives its well-known name as the sender of its messages, where the D-Bus specification wants a unique
//! name, and zbus refuses such messages whole. So the name is replaced, in that one header field, by a unique name of the
//! same length; nobody looks at it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};

const SENDER: &[u8] = b"org.freedesktop.systemd1";
const STAND_IN: &[u8; SENDER.len()] = b":org.freedesktop.systemd";
/// Code and type of the header field with the sender.
const SENDER_FIELD: &[u8] = &[7, 1, b's', 0];
/// The part of a message that every message has.
const FIXED_HEADER: usize = 16;
/// The specification's limit for a message, in bytes.
const MAX_MESSAGE: usize = 128 * 1024 * 1024;

/// A connection to systemd's own socket.
#[derive(Debug)]
pub(super) struct PrivateSocket(pub(super) UnixStream);

impl Socket for PrivateSocket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        Split::new(Reader { stream: read, incoming: Incoming::default() }, Writer(write))
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    stream: OwnedReadHalf,
    incoming: Incoming,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut bytes = [0; 4096];
        while self.incoming.ready.is_empty() {
            let length = self.stream.read(&mut bytes).await?;
            if length == 0 {
                return Ok((0, Vec::new()));
            }
            self.incoming.take_in(&bytes[..length])?;
        }
        let length = io::Read::read(&mut self.incoming.ready, buffer)?;
        Ok((length, Vec::new()))
    }
}

#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.0.write(buffer).await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// What came in: first the lines of the handshake, then messages, which are held back until they are whole.
#[derive(Debug, Default)]
struct Incoming {
    unfinished: Vec<u8>,
    messages: bool,
    ready: VecDeque<u8>,
}

impl Incoming {
    fn take_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unfinished.extend_from_slice(bytes);
        while let Some(length) = self.whole()? {
            let mut part: Vec<u8> = self.unfinished.drain(..length).collect();
            if self.messages {
                replace_sender(&mut part);
            }
            self.ready.extend(part);
        }
        Ok(())
    }

    /// The length of the first line or message, once it is all there.
    fn whole(&mut self) -> io::Result<Option<usize>> {
        // No line of a server begins with a mark of the byte order, and every message does.
        self.messages |= matches!(self.unfinished.first(), Some(b'l' | b'B'));
        if !self.messages {
            return Ok(self.unfinished.iter().position(|byte| *byte == b'\n').map(|end| end + 1));
        }
        let (Some(body), Some(fields)) =
            (number(&self.unfinished, 4), number(&self.unfinished, 12))
        else {
            return Ok(None);
        };
        if body > MAX_MESSAGE || fields > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
        }
        let length = FIXED_HEADER + fields.next_multiple_of(8) + body;
        Ok((length <= self.unfinished.len()).then_some(length))
    }
}

/// The number at `place` in the byte order of the message.
fn number(message: &[u8], place: usize) -> Option<usize> {
    let bytes: [u8; 4] = message.get(place..place + 4)?.try_into().ok()?;
    let value = if message.first() == Some(&b'B') {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    };
    usize::try_from(value).ok()
}

fn replace_sender(message: &mut [u8]) {
    let Some(fields) = number(message, 12) else { return };
    let value = SENDER_FIELD.len() + size_of::<u32>();
    // Fields begin at multiples of eight.
    let mut places = (FIXED_HEADER..FIXED_HEADER + fields).step_by(8);
    let field = places.find(|place| {
        message.get(*place..).is_some_and(|field| {
            field.starts_with(SENDER_FIELD)
                && number(message, place + SENDER_FIELD.len()) == Some(SENDER.len())
                && field.get(value..).is_some_and(|rest| rest.starts_with(SENDER))
        })
    });
    if let Some(name) = field.and_then(|place| {
        let name = place + value;
        message.get_mut(name..name + SENDER.len())
    }) {
        name.copy_from_slice(STAND_IN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A method return with the fields reply serial and sender, and a body that holds the name as well.
    fn message(sender: &str) -> Vec<u8> {
        let mut fields = vec![5, 1, b'u', 0, 1, 0, 0, 0];
        fields.extend([7, 1, b's', 0]);
        fields.extend(u32::try_from(sender.len()).unwrap().to_le_bytes());
        fields.extend(sender.as_bytes());
        fields.push(0);
        let mut bytes = vec![b'l', 2, 0, 1];
        bytes.extend(u32::try_from(SENDER.len()).unwrap().to_le_bytes());
        bytes.extend([9, 0, 0, 0]);
        bytes.extend(u32::try_from(fields.len()).unwrap().to_le_bytes());
        bytes.extend(&fields);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(SENDER);
        bytes
    }

    #[test]
    fn only_the_sender_is_replaced_however_the_bytes_come_in() {
        let mut stream = b"OK 0123\r\nAGREE_UNIX_FD\r\n".to_vec();
        stream.extend(message("org.freedesktop.systemd1"));
        stream.extend(message(":1.7"));
        let mut expected = b"OK 0123\r\nAGREE_UNIX_FD\r\n".to_vec();
        expected.extend(message(":org.freedesktop.systemd"));
        expected.extend(message(":1.7"));
        for size in [1, 7, 64, stream.len()] {
            let mut incoming = Incoming::default();
            for chunk in stream.chunks(size) {
                incoming.take_in(chunk).unwrap();
            }
            assert_eq!(incoming.ready, expected, "in chunks of {size}");
        }
    }

    #[test]
    fn an_absurd_length_is_refused_and_not_waited_for() {
        let mut bytes = message(":1.7");
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Incoming::default().take_in(&bytes).is_err());
    }
}
