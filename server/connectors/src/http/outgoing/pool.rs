//! The lines of one connection, and one exchange over one of them.
//!
//! A line is driven by whoever uses it, not by a task of its own: request, response and body run in the caller's future, which
//! saves a hop between threads in each direction, and giving a call up closes its line. Nobody watches an idle line, therefore it
//! is looked at before it is used again.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use busbar_runtime::task::{self, TaskKind};
use bytes::{Bytes, BytesMut};
use http::{Request, response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::HttpFailure;
use super::connect::{Origin, Stream, connect};

/// How long a line waits for its next request before it is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// The lines of one connection: open ones that wait, and permits for those in use.
pub(super) struct Pool {
    size: u32,
    permits: Semaphore,
    idle: Mutex<HashMap<Origin, Vec<Line>>>,
    tls: Arc<ClientConfig>,
    sweeping: AtomicBool,
}

impl Pool {
    pub(super) fn new(size: u32, tls: Arc<ClientConfig>) -> Arc<Self> {
        Arc::new(Self {
            size,
            permits: Semaphore::new(size as usize),
            idle: Mutex::default(),
            tls,
            sweeping: AtomicBool::new(false),
        })
    }

    /// Waits until a line may be used.
    pub(super) async fn permit(&self) -> SemaphorePermit<'_> {
        self.permits
            .acquire()
            .await
            .expect("the semaphore of a pool is never closed")
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// An idle line that still stands, the one used last first.
    pub(super) fn take(&self, origin: &Origin) -> Option<Line> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = idle.get_mut(origin)?;
        while let Some(line) = lines.pop() {
            if line.stands() {
                return Some(line);
            }
        }
        None
    }

    /// Opens a line.
    pub(super) async fn open(&self, origin: &Origin) -> Result<Line, HttpFailure> {
        Line::open(connect(origin, &self.tls).await?).await
    }

    /// Keeps a line for later.
    pub(super) fn put_back(self: &Arc<Self>, origin: Origin, mut line: Line) {
        line.reused = true;
        line.idle_since = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // only redirects to other hosts can leave more idle lines than there are permits
        if idle.values().map(Vec::len).sum::<usize>() >= self.size as usize {
            idle.retain(|other, _| *other == origin);
        }
        idle.entry(origin).or_default().push(line);
        drop(idle);
        if !self.sweeping.swap(true, Ordering::AcqRel) {
            task::spawn("http-pool-sweep", TaskKind::Once, sweep(Arc::downgrade(self)));
        }
    }
}

/// Closes lines that nobody uses any more; ends when there are none left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE_LIMIT).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, lines| {
            lines.retain(Line::stands);
            !lines.is_empty()
        });
        if idle.is_empty() {
            // under the lock, so that a line put back from here on starts a new sweep
            pool.sweeping.store(false, Ordering::Release);
            return;
        }
    }
}

/// One open line that speaks HTTP/1.1.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once the line is closed.
    connection: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    /// Belongs to `connection` and is looked at only while that is there.
    fd: RawFd,
    idle_since: Instant,
    reused: bool,
    /// The back-end knows who is at this end of it (NTLM).
    pub(super) is_logged_in: bool,
}

/// What one exchange brought.
pub(super) struct Exchanged {
    pub(super) head: response::Parts,
    pub(super) body: Bytes,
    /// When the head was there.
    pub(super) head_at: Instant,
}

/// Why an exchange failed.
pub(super) struct ExchangeFailure {
    pub(super) failure: HttpFailure,
    /// Nothing of the request was sent.
    pub(super) is_unsent: bool,
    /// The line had been used before and dropped before the first byte of a response: the server closed it while the request was
    /// under way.
    pub(super) is_stale: bool,
}

// before anything was sent
impl From<HttpFailure> for ExchangeFailure {
    fn from(failure: HttpFailure) -> Self {
        Self {
            failure,
            is_unsent: false,
            is_stale: false,
        }
    }
}

impl Line {
    async fn open(stream: Stream) -> Result<Self, HttpFailure> {
        let fd = stream.tcp().as_raw_fd();
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            // back-ends that get these wrong exist, and other clients read them
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .max_headers(512)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| HttpFailure::Lost(error.into()))?;
        Ok(Self {
            sender,
            connection: Some(connection),
            fd,
            idle_since: Instant::now(),
            reused: false,
            is_logged_in: false,
        })
    }

    /// Whether an idle line can be used: the server has neither closed it nor sent anything unasked.
    fn stands(&self) -> bool {
        if self.connection.is_none() || self.idle_since.elapsed() >= IDLE_LIMIT {
            return false;
        }
        let mut byte = 0_u8;
        // asks the kernel, because the runtime's own view may be one event behind
        // SAFETY: one byte is written to `byte` at most, and the descriptor is open as long as `connection` is there
        let read = unsafe { libc::recv(self.fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
        read == -1 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
    }

    /// Sends a request and reads the whole response, at most `limit` bytes of body. `true` with it: the line can be used again.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: u64,
    ) -> Result<(Exchanged, bool), ExchangeFailure> {
        let reused = self.reused;
        let mut broken = None;
        let mut sending = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let sent = poll_fn(|cx| {
            drive(connection, &mut broken, cx);
            sending.as_mut().poll(cx)
        })
        .await;
        let response = sent.map_err(|mut error| {
            let is_unsent = error.take_message().is_some();
            let error = error.into_error();
            let is_stale = reused && (is_unsent || is_dropped(&error));
            ExchangeFailure {
                failure: failure(broken.take(), error, false),
                is_unsent,
                is_stale,
            }
        })?;
        let head_at = Instant::now();
        let (head, body) = response.into_parts();
        let body = read(connection, &mut broken, body, limit).await?;
        let is_ready = poll_fn(|cx| {
            drive(connection, &mut broken, cx);
            Poll::Ready(connection.is_some() && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(()))))
        })
        .await;
        Ok((Exchanged { head, body, head_at }, is_ready))
    }
}

type Driven = Option<Connection<TokioIo<Stream>, Full<Bytes>>>;

/// Moves bytes. A line that ends is dropped, which ends whoever waits for something from it.
fn drive(connection: &mut Driven, broken: &mut Option<hyper::Error>, cx: &mut Context<'_>) {
    if let Some(running) = connection
        && let Poll::Ready(end) = Pin::new(running).poll(cx)
    {
        *broken = end.err();
        *connection = None;
    }
}

async fn read(
    connection: &mut Driven,
    broken: &mut Option<hyper::Error>,
    mut body: Incoming,
    limit: u64,
) -> Result<Bytes, HttpFailure> {
    if body.size_hint().lower() > limit {
        return Err(HttpFailure::TooLarge(limit));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = poll_fn(|cx| {
            drive(connection, broken, cx);
            Pin::new(&mut body).poll_frame(cx)
        })
        .await;
        let data = match frame {
            None => break,
            Some(Err(error)) => return Err(failure(broken.take(), error, true)),
            // trailers are not shown to services
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        if (first.len() + rest.len() + data.len()) as u64 > limit {
            return Err(HttpFailure::TooLarge(limit));
        }
        // most bodies come in one piece, which is not copied
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(first.len() + data.len().max(first.len()));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Whether the line dropped before anything of a response was there.
fn is_dropped(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || io_error(error).is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
            )
        })
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

/// What the line's end or the request's error, whichever says more, means.
fn failure(broken: Option<hyper::Error>, error: hyper::Error, in_body: bool) -> HttpFailure {
    let error = match broken {
        Some(broken) if error.is_canceled() || error.is_closed() => broken,
        _ => error,
    };
    if error.is_parse() {
        HttpFailure::Protocol(error.into())
    } else if in_body && !error.is_timeout() {
        // a body that breaks its framing: cut short, or chunks that are none
        match io_error(&error).map(io::Error::kind) {
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => HttpFailure::Protocol(error.into()),
            _ => HttpFailure::Truncated(error.into()),
        }
    } else {
        HttpFailure::Lost(error.into())
    }
}
