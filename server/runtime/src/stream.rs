//! Answers that come piece by piece.
//!
//! Whoever makes the pieces has a [`StreamSender`], whoever passes them on a [`ReplyStream`]. Few pieces wait between the two: the one who
//! makes them waits for the one who reads. Dropping the sender before its end breaks the stream; dropping the stream tells the sender.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc;

/// How many pieces may wait for their reader.
pub const WINDOW: usize = 16;

/// Larger pieces are cut.
pub const MAX_PIECE: usize = 64 << 10;

/// How many pieces are taken until their sender hears of it.
const TELL_EVERY: usize = WINDOW / 4;

enum Piece {
    Data(Bytes),
    End,
}

/// The end where pieces go in.
#[derive(Debug, Clone)]
pub struct StreamSender(mpsc::Sender<Piece>);

/// The end where pieces come out.
pub struct ReplyStream {
    pieces: mpsc::Receiver<Piece>,
    is_ended: bool,
    taken: usize,
    on_taken: Option<Box<dyn Fn(usize) + Send + Sync>>,
    on_abandoned: Option<Box<dyn FnOnce() + Send + Sync>>,
}

/// Nobody reads the stream any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the stream any more")]
pub struct Gone;

/// The stream stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream stopped before its end")]
pub struct Broken;

/// Why a piece was not taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody reads the stream any more.
    Gone,
    /// More pieces wait than may.
    Full,
}

impl StreamSender {
    /// Sends a piece; waits while too many wait already.
    pub async fn send(&self, mut data: Bytes) -> Result<(), Gone> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(MAX_PIECE));
            self.0.send(Piece::Data(piece)).await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Says that this was all.
    pub async fn finish(self) -> Result<(), Gone> {
        self.0.send(Piece::End).await.map_err(|_| Gone)
    }

    /// Sends a piece that whoever made it was told there is room for.
    pub(crate) fn push(&self, data: Bytes) -> Result<(), Refused> {
        // one place is kept for the end
        if self.0.capacity() <= 1 {
            return Err(if self.0.is_closed() {
                Refused::Gone
            } else {
                Refused::Full
            });
        }
        self.0.try_send(Piece::Data(data)).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => Refused::Gone,
            mpsc::error::TrySendError::Full(_) => Refused::Full,
        })
    }

    /// Says that this was all, without waiting.
    pub(crate) fn push_end(self) {
        // nobody reads, or there is the place that was kept
        drop(self.0.try_send(Piece::End));
    }
}

impl ReplyStream {
    /// Both ends of a stream.
    pub fn new() -> (StreamSender, Self) {
        let (sender, pieces) = mpsc::channel(WINDOW + 1);
        let stream = Self {
            pieces,
            is_ended: false,
            taken: 0,
            on_taken: None,
            on_abandoned: None,
        };
        (StreamSender(sender), stream)
    }

    /// Calls `tell` with the number of pieces that were taken since the last time, now and then.
    pub(crate) fn on_taken(&mut self, tell: impl Fn(usize) + Send + Sync + 'static) {
        self.on_taken = Some(Box::new(tell));
    }

    /// Calls `tell` when the stream is dropped before its end.
    pub fn on_abandoned(&mut self, tell: impl FnOnce() + Send + Sync + 'static) {
        self.on_abandoned = Some(Box::new(tell));
    }

    /// The next piece; `None` at the end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Data(data)) => {
                self.taken += 1;
                if self.taken == TELL_EVERY
                    && let Some(tell) = &self.on_taken
                {
                    self.taken = 0;
                    tell(TELL_EVERY);
                }
                Some(Ok(data))
            }
            Some(Piece::End) => {
                self.is_ended = true;
                None
            }
            None => {
                self.is_ended = true;
                Some(Err(Broken))
            }
        })
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Broken>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        if !self.is_ended
            && let Some(tell) = self.on_abandoned.take()
        {
            tell();
        }
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn pieces_come_out_in_order_and_large_ones_in_parts() {
        run(async {
            let (sender, mut stream) = ReplyStream::new();
            sender.send(Bytes::new()).await.unwrap();
            sender.send(Bytes::from(vec![1; MAX_PIECE + 1])).await.unwrap();
            sender.finish().await.unwrap();
            assert_eq!(stream.next().await.unwrap().unwrap().len(), MAX_PIECE);
            assert_eq!(stream.next().await.unwrap().unwrap().len(), 1);
            assert_eq!(stream.next().await, None);
            assert_eq!(stream.next().await, None);
        });
    }

    #[test]
    fn each_end_hears_when_the_other_is_gone() {
        run(async {
            let (sender, mut stream) = ReplyStream::new();
            drop(sender);
            assert_eq!(stream.next().await, Some(Err(Broken)));

            let (sender, mut stream) = ReplyStream::new();
            let told = Arc::new(AtomicUsize::new(0));
            let count = told.clone();
            stream.on_abandoned(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            drop(stream);
            assert_eq!(sender.send(Bytes::from_static(b"x")).await, Err(Gone));
            assert_eq!(told.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn no_more_pieces_wait_than_may() {
        run(async {
            let (sender, mut stream) = ReplyStream::new();
            let told = Arc::new(AtomicUsize::new(0));
            let count = told.clone();
            stream.on_taken(move |pieces| {
                count.fetch_add(pieces, Ordering::Relaxed);
            });
            for _ in 0..WINDOW {
                sender.push(Bytes::from_static(b"x")).unwrap();
            }
            assert_eq!(sender.push(Bytes::from_static(b"x")), Err(Refused::Full));
            sender.push_end();
            while stream.next().await.is_some() {}
            assert_eq!(told.load(Ordering::Relaxed), WINDOW);
        });
    }
}
