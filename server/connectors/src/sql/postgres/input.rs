//! Bytes that were read off a socket and not used yet.

use std::io;
use std::task::{Context, Poll};

use sqlx_core::io::ReadBuf;
use sqlx_core::net::Socket;

/// Bytes that are read at a time, at first and at most: as many as come.
const FIRST: usize = 8 * 1024;
const MOST: usize = 128 * 1024;
/// What a buffer may hold on to that is empty when it is read into again.
const KEPT: usize = 1024 * 1024;

/// Bytes in the order in which they came.
#[derive(Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// What was not used yet.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// So many bytes were used.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.start += count;
    }

    /// Reads what there is. `wanted`: bytes that are to find room at least, with those that are there. `Ok(0)`: the other side has ended.
    pub(super) fn try_fill<S: Socket + ?Sized>(&mut self, socket: &mut S, wanted: usize) -> io::Result<usize> {
        self.make_room(wanted);
        let mut room = &mut self.buffer[self.end..];
        let all = room.len();
        let count = socket.try_read(&mut room)?;
        self.end += count;
        if count == all && all < MOST {
            // there is more where this came from
            let longer = (self.buffer.len() * 2).clamp(FIRST, MOST.max(self.buffer.len()));
            self.buffer.resize(longer, 0);
        }
        Ok(count)
    }

    fn make_room(&mut self, wanted: usize) {
        let held = self.end - self.start;
        if held == 0 {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.is_empty() {
            self.buffer.resize(FIRST, 0);
        }
        let is_short = self.buffer.len() - self.start < wanted || self.end == self.buffer.len();
        if is_short && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        // whoever announces much has to send it before there is room for all of it
        let least = wanted.min(held * 2 + MOST).max(held + 1);
        if self.buffer.len() < least {
            self.buffer.resize(least, 0);
        }
    }
}

/// A socket that is read far more at a time than whoever decrypts what comes asks for.
pub(super) struct Ahead<S> {
    socket: S,
    input: Input,
}

impl<S: Socket> Ahead<S> {
    pub(super) fn new(socket: S) -> Self {
        let input = Input::default();
        Self { socket, input }
    }
}

impl<S: Socket> Socket for Ahead<S> {
    fn try_read(&mut self, out: &mut dyn ReadBuf) -> io::Result<usize> {
        if self.input.bytes().is_empty() && self.input.try_fill(&mut self.socket, 0)? == 0 {
            return Ok(0);
        }
        let bytes = self.input.bytes();
        let count = bytes.len().min(out.remaining_mut());
        out.put_slice(&bytes[..count]);
        self.input.advance(count);
        Ok(count)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.input.bytes().is_empty() {
            self.socket.poll_read_ready(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(cx)
    }
}
