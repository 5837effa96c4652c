//! Gives hyper's own refusals, which have no body, the JSON body that every error of the control API has.
//!
//! Bytes that are not a request never reach the service: hyper answers them itself with a bare status. There is no
//! hook for it, so this I/O object recognises that answer on its way out. It cannot be taken for anything else: answers of the
//! service always have a body, and JSON never contains the line ends that it is recognised by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::{ApiAnswer, ErrorKind};

/// Passes everything through, except for answers of hyper without a body.
#[derive(Debug)]
pub(super) struct ParseErrorIo<T> {
    inner: T,
    /// What is still to be written instead of hyper's refusal.
    refusal: Vec<u8>,
}

impl<T> ParseErrorIo<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, refusal: Vec::new() }
    }
}

impl<T: Write + Unpin> ParseErrorIo<T> {
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.refusal))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Read + Unpin> Read for ParseErrorIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for ParseErrorIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(cx))?;
        if let Some(refusal) = instead_of(buffer) {
            self.refusal = refusal;
            return Poll::Ready(Ok(buffer.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What to write instead of `answer`, if that is a refusal without a body.
fn instead_of(answer: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(answer).ok()?;
    let (status_line, headers) = head.split_once("\r\n")?;
    let (code, message) = match status_line.strip_prefix("HTTP/1.1 ")?.get(..4)? {
        "400 " => (ErrorKind::MalformedRequest, "this is not an HTTP/1.1 request"),
        "414 " => (ErrorKind::UriTooLong, "the path and query are too long"),
        "431 " => (ErrorKind::HeadersTooLarge, "the headers are too many or too long"),
        _ => return None,
    };
    if !headers.contains("content-length: 0\r\n") || !headers.ends_with("\r\n\r\n") {
        return None;
    }
    let body = format!("{}\n", ApiAnswer::error(code, message).body);
    let length = body.len();
    Some(
        format!(
            "{status_line}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        )
        .into_bytes(),
    )
}
