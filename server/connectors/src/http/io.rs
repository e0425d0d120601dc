//! A connection's socket: notes when bytes come and go, and says what hyper does not let its user say.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use busbar_model::Cid;

use crate::http::watch::{Connection, Fate};

/// How long, and how much, is read and thrown away before a connection is closed whose client may still be sending.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// What hyper writes by itself when a request's head is not one begins like this.
const BY_ITSELF: &[(&[u8], u16, &str)] = &[
    (b"HTTP/1.1 400 Bad Request\r\n", 400, "Bad request"),
    (b"HTTP/1.1 414 URI Too Long\r\n", 414, "URI too long"),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        431,
        "Request header fields too large",
    ),
];

/// A socket under watch.
pub(crate) struct Watched<S> {
    inner: S,
    connection: Arc<Connection>,
    server: Option<HeaderValue>,
    /// Bytes of ours that go out before anything else.
    replacement: Bytes,
    linger: Option<Linger>,
}

struct Linger {
    limit: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S, connection: Arc<Connection>, server: Option<HeaderValue>) -> Self {
        Self {
            inner,
            connection,
            server,
            replacement: Bytes::new(),
            linger: None,
        }
    }

    /// An answer of the server outside of any request, after which the connection closes.
    fn last_words(&self, status: u16, reason: &str, details: &str) -> Bytes {
        let cid = Cid::new();
        let body = format!(r#"{{"result":"Error","cid":"{cid}","details":"{details}"}}"#);
        let server = match &self.server {
            Some(server) => format!("server: {}\r\n", String::from_utf8_lossy(server.as_bytes())),
            None => String::new(),
        };
        tracing::debug!(%cid, status, "refused a request's head: {details}");
        let length = body.len();
        Bytes::from(format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n{server}x-zato-cid: {cid}\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        ))
    }

    /// What to send instead of an answer that hyper makes by itself, which knows neither cid nor server. Its first header tells it from
    /// ours.
    fn replace(&self, buffer: &[u8]) -> Option<Bytes> {
        if !buffer.starts_with(b"HTTP/1.1 4") {
            return None;
        }
        let (line, status, details) = BY_ITSELF.iter().find(|(line, _, _)| buffer.starts_with(line))?;
        let rest = &buffer[line.len()..];
        let is_its_own = rest
            .get(..17)
            .is_some_and(|first| first.eq_ignore_ascii_case(b"connection: close"))
            && rest
                .get(17..38)
                .is_some_and(|second| second.eq_ignore_ascii_case(b"\r\ncontent-length: 0\r\n"));
        let reason = std::str::from_utf8(&line[13..line.len() - 2]).expect("the lines are ASCII");
        is_its_own.then(|| self.last_words(*status, reason, details))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.replacement.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.replacement))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.replacement.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn note_write<T>(&self, result: Poll<T>) -> Poll<T> {
        self.connection.note_write(result.is_pending());
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let fate = this.connection.fate();
        if fate == Some(Fate::HeadTimeout) {
            if this.replacement.is_empty() {
                this.replacement = this.last_words(408, "Request Timeout", "The request's head took too long");
            }
            // whoever sends a head that slowly has room for an answer, or does not read it
            let _ = this.poll_replacement(cx);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.connection.note_read();
            if fate == Some(Fate::Close) {
                this.connection.reprieve();
            }
        } else if fate == Some(Fate::Close) {
            // as if the client had closed: there is nothing in flight
            return Poll::Ready(Ok(()));
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(replacement) = this.replace(buffer) {
            this.replacement = replacement;
            this.connection.lingers.store(true, Ordering::Relaxed);
            return Poll::Ready(Ok(buffer.len()));
        }
        ready!(this.poll_replacement(cx))?;
        let result = Pin::new(&mut this.inner).poll_write(cx, buffer);
        this.note_write(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(first) = buffers.iter().find(|buffer| !buffer.is_empty())
            && let Some(replacement) = this.replace(first)
        {
            this.replacement = replacement;
            this.connection.lingers.store(true, Ordering::Relaxed);
            return Poll::Ready(Ok(buffers.iter().map(|buffer| buffer.len()).sum()));
        }
        ready!(this.poll_replacement(cx))?;
        let result = Pin::new(&mut this.inner).poll_write_vectored(cx, buffers);
        this.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let replaced = this.poll_replacement(cx);
        let result = match replaced {
            Poll::Ready(Ok(())) => Pin::new(&mut this.inner).poll_flush(cx),
            other => other,
        };
        this.note_write(result)
    }

    /// Closes; where the client may still be sending, what it sends is read for a moment. Closing a socket with unread bytes in it resets
    /// the connection, and the reset may overtake the answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(this.poll_replacement(cx))?;
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.connection.lingers.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(|| Linger {
            limit: Box::pin(tokio::time::sleep(LINGER)),
            left: LINGER_BYTES,
        });
        let mut waste = [std::mem::MaybeUninit::uninit(); 16 * 1024];
        loop {
            if linger.limit.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::uninit(&mut waste);
            // an error here is as good an end as any
            if ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer)).is_err() {
                return Poll::Ready(Ok(()));
            }
            let read = buffer.filled().len();
            linger.left = linger.left.saturating_sub(read);
            if read == 0 || linger.left == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
