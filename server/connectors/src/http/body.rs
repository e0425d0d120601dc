//! Reading a request's body within limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};
use tokio::time::{Instant, timeout_at};

/// How long a body is watched before its rate is judged.
const WINDOW: Duration = Duration::from_secs(5);

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Bytes at most.
    pub(crate) max: usize,
    /// Bytes that must come in each window of five seconds; 0: it may come as slowly as it likes.
    pub(crate) per_window: u64,
}

impl BodyLimits {
    pub(crate) fn new(max: usize, rate: u64) -> Self {
        Self {
            max,
            per_window: rate * WINDOW.as_secs(),
        }
    }
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// More than the limit.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// Slower than the limit.
    #[error("the body comes too slowly")]
    TooSlow,
    /// The line dropped, or the framing is wrong.
    #[error("the body cannot be read")]
    Broken(#[source] hyper::Error),
}

/// Reads all of it. A body that is there already, as small ones are nearly always, is given on without a copy or a timer.
pub(crate) async fn read(body: &mut Incoming, limits: BodyLimits) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // what is announced needs no reading to be refused
    if body.size_hint().lower() > limits.max as u64 {
        return Err(BodyError::TooLarge(limits.max));
    }
    let Some(first) = next(body, &mut None, limits).await? else {
        return Ok(Bytes::new());
    };
    if first.len() > limits.max {
        return Err(BodyError::TooLarge(limits.max));
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut window = None;
    // room for what has come, not for what is announced: an announcement costs its sender nothing
    let mut whole = BytesMut::from(first);
    while let Some(data) = next(body, &mut window, limits).await? {
        if whole.len() + data.len() > limits.max {
            return Err(BodyError::TooLarge(limits.max));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Reads and forgets at most so many bytes, so that the connection can be used again. False: there is more.
pub(crate) async fn skip(body: &mut Incoming, max: usize, limits: BodyLimits) -> bool {
    let mut window = None;
    let mut left = max;
    loop {
        match next(body, &mut window, limits).await {
            Ok(Some(data)) => match left.checked_sub(data.len()) {
                Some(less) => left = less,
                None => return false,
            },
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// A stretch of time in which some bytes must come.
struct Window {
    end: Instant,
    bytes: u64,
}

/// The next piece of data; `None` at the end. Trailers are skipped: nobody asked for them.
async fn next(
    body: &mut Incoming,
    window: &mut Option<Window>,
    limits: BodyLimits,
) -> Result<Option<Bytes>, BodyError> {
    loop {
        // one look without a timer first
        let ready = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
        let frame = match ready {
            Poll::Ready(frame) => frame,
            Poll::Pending => wait(body, window, limits.per_window).await?,
        };
        match frame.transpose().map_err(BodyError::Broken)?.map(Frame::into_data) {
            Some(Ok(data)) => {
                if let Some(window) = window {
                    window.bytes += data.len() as u64;
                }
                return Ok(Some(data));
            }
            Some(Err(_trailers)) => {}
            None => return Ok(None),
        }
    }
}

type MaybeFrame = Option<Result<Frame<Bytes>, hyper::Error>>;

async fn wait(body: &mut Incoming, window: &mut Option<Window>, least: u64) -> Result<MaybeFrame, BodyError> {
    let mut frame = std::pin::pin!(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)));
    if least == 0 {
        return Ok(frame.await);
    }
    loop {
        let now = Instant::now();
        let current = window.get_or_insert(Window {
            end: now + WINDOW,
            bytes: 0,
        });
        if current.end <= now {
            if current.bytes < least {
                return Err(BodyError::TooSlow);
            }
            *current = Window {
                end: now + WINDOW,
                bytes: 0,
            };
        }
        if let Ok(frame) = timeout_at(current.end, frame.as_mut()).await {
            return Ok(frame);
        }
    }
}
