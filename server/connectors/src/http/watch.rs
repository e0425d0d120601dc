//! What is known of each open connection, and the sweep that closes those which are idle or stuck.
//!
//! A timer per connection that is reset with every request is work on the hot path for something that hardly ever happens. Here each
//! connection notes the time in tenths of a second, a store of one word, and a sweep looks at all of them twice a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How often connections are looked at.
pub(crate) const SWEEP: Duration = Duration::from_millis(500);

/// The clock that connections note times by: tenths of a second since the server started. Moved on by the sweep's companion task, so
/// that reading it costs next to nothing.
#[derive(Debug)]
pub(crate) struct Ticks {
    start: Instant,
    now: AtomicU32,
}

/// Tenths of a second.
pub(crate) const TICK: Duration = Duration::from_millis(100);

impl Ticks {
    fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }

    fn advance(&self) -> u32 {
        // 13 years until it begins again
        let now = (self.start.elapsed().as_millis() / TICK.as_millis()) as u32;
        // 0 means never
        self.now.store(now.max(1), Ordering::Relaxed);
        now.max(1)
    }
}

/// How long connections may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a request's head.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// For their peer to read something of a response.
    pub(crate) write: Duration,
}

/// Idle connections are closed after this when there are too many.
const CROWDED_IDLE: Duration = Duration::from_secs(2);

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    ticks: Arc<Ticks>,
    /// Requests that have been read and not been answered in full.
    active: AtomicU32,
    /// Requests answered.
    served: AtomicU64,
    /// When it opened, or when its last answer was complete.
    idle_since: AtomicU32,
    /// When the first byte of a head that is not complete came; 0: none has.
    head_since: AtomicU32,
    /// When its peer stopped reading; 0: it has not.
    stalled_since: AtomicU32,
    /// Many requests at once: reading bytes is no sign of a head then.
    is_http2: AtomicBool,
    /// The sweep has given up on it. Its next read says so to whoever reads.
    verdict: Mutex<Verdict>,
    has_verdict: AtomicBool,
    /// Read what still comes for a moment before closing, so that an answer given early is not lost to a reset.
    pub(crate) lingers: AtomicBool,
}

/// What the sweep decided.
#[derive(Debug, Default)]
struct Verdict {
    fate: Option<Fate>,
    waker: Option<Waker>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was idle for too long.
    Close,
    /// Its request's head does not come: it is told so.
    HeadTimeout,
    /// Its peer does not read.
    Stalled,
    /// The server stops: what is being answered is answered, then it closes.
    Shutdown,
    /// At once.
    Abort,
}

impl Connection {
    /// A request has been read.
    pub(crate) fn begin(self: &Arc<Self>, is_http2: bool) -> InFlight {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        if is_http2 {
            self.note_http2();
        }
        InFlight(Arc::clone(self))
    }

    /// The client speaks HTTP/2.
    pub(crate) fn note_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    /// Bytes have come.
    pub(crate) fn note_read(&self) {
        if self.active.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.ticks.now(), Ordering::Relaxed);
        }
    }

    /// Bytes have left, or they cannot.
    pub(crate) fn note_write(&self, is_stalled: bool) {
        let stalled_since = self.stalled_since.load(Ordering::Relaxed);
        if is_stalled && stalled_since == 0 {
            self.stalled_since.store(self.ticks.now(), Ordering::Relaxed);
        } else if !is_stalled && stalled_since != 0 {
            self.stalled_since.store(0, Ordering::Relaxed);
        }
    }

    /// The sweep's decision, if there is one.
    pub(crate) fn fate(&self) -> Option<Fate> {
        if self.has_verdict.load(Ordering::Acquire) {
            self.lock().fate
        } else {
            None
        }
    }

    /// Who is to be woken by a decision.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        self.lock().waker = Some(waker.clone());
    }

    /// A request came just as the connection was to be closed for want of one: it goes on.
    pub(crate) fn reprieve(&self) {
        let mut verdict = self.lock();
        if verdict.fate == Some(Fate::Close) {
            verdict.fate = None;
            self.has_verdict.store(false, Ordering::Release);
        }
    }

    fn decide(&self, fate: Fate) {
        let mut verdict = self.lock();
        verdict.fate = Some(fate);
        self.has_verdict.store(true, Ordering::Release);
        let waker = verdict.waker.clone();
        drop(verdict);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Verdict> {
        // every statement leaves it whole
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, now: u32, patience: &Patience, is_crowded: bool) -> Option<Fate> {
        let passed = |since: u32, limit: Duration| since != 0 && TICK * now.saturating_sub(since) >= limit;
        if passed(self.stalled_since.load(Ordering::Relaxed), patience.write) {
            return Some(Fate::Stalled);
        }
        if self.active.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let idle_since = self.idle_since.load(Ordering::Relaxed);
        let is_http2 = self.is_http2.load(Ordering::Relaxed);
        if !is_http2 && passed(self.head_since.load(Ordering::Relaxed), patience.head) {
            return Some(Fate::HeadTimeout);
        }
        let is_new = self.served.load(Ordering::Relaxed) == 0;
        let limit = match (is_new, is_crowded) {
            (true, _) => patience.head,
            (false, true) => CROWDED_IDLE,
            (false, false) => patience.idle,
        };
        let is_quiet = is_http2 || self.head_since.load(Ordering::Relaxed) == 0;
        (is_quiet && passed(idle_since, limit)).then_some(Fate::Close)
    }
}

/// One request that is being answered. Dropped with the last byte of its answer, or with whatever kept it from being answered.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let connection = &*self.0;
        connection.idle_since.store(connection.ticks.now(), Ordering::Relaxed);
        connection.served.fetch_add(1, Ordering::Relaxed);
        connection.active.fetch_sub(1, Ordering::Release);
    }
}

/// All open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    ticks: Arc<Ticks>,
    max: usize,
    inner: Mutex<Open>,
    /// Rung when one has closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let ticks = Arc::new(Ticks {
            start: Instant::now(),
            now: AtomicU32::new(1),
        });
        Arc::new(Self {
            ticks,
            max,
            inner: Mutex::default(),
            closed: Notify::new(),
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// Waits until one closes, or a little while.
    pub(crate) async fn wait_closed(&self) {
        // the ring may have come between the caller's look and this
        let _ = tokio::time::timeout(Duration::from_millis(100), self.closed.notified()).await;
    }

    /// Notes a new one, until the registration is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> Registration {
        let mut open = self.lock();
        open.next_id += 1;
        let connection = Arc::new(Connection {
            id: open.next_id,
            active: AtomicU32::new(0),
            served: AtomicU64::new(0),
            idle_since: AtomicU32::new(self.ticks.now()),
            head_since: AtomicU32::new(0),
            stalled_since: AtomicU32::new(0),
            is_http2: AtomicBool::new(false),
            verdict: Mutex::default(),
            has_verdict: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            ticks: Arc::clone(&self.ticks),
        });
        open.connections.insert(connection.id, Arc::clone(&connection));
        drop(open);
        Registration {
            connections: Arc::clone(self),
            connection,
        }
    }

    /// Looks at all of them once.
    pub(crate) fn sweep(&self, patience: &Patience) {
        let now = self.ticks.advance();
        let open = self.lock();
        let is_crowded = open.connections.len() >= self.max;
        let doomed: Vec<_> = open
            .connections
            .values()
            .filter(|connection| !connection.has_verdict.load(Ordering::Relaxed))
            .filter_map(|connection| Some((Arc::clone(connection), connection.judge(now, patience, is_crowded)?)))
            .collect();
        drop(open);
        for (connection, fate) in doomed {
            connection.decide(fate);
        }
    }

    /// Decides on all of them.
    pub(crate) fn decide_all(&self, fate: Fate) {
        let connections: Vec<_> = self.lock().connections.values().cloned().collect();
        for connection in connections {
            connection.decide(fate);
        }
    }

    /// Moves the clock on.
    pub(crate) fn tick(&self) {
        self.ticks.advance();
    }

    /// How many requests are being answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock()
            .connections
            .values()
            .map(|connection| connection.active.load(Ordering::Relaxed) as usize)
            .sum()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // every statement leaves it whole
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among the open ones.
#[derive(Debug)]
pub(crate) struct Registration {
    connections: Arc<Connections>,
    pub(crate) connection: Arc<Connection>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("an HTTP connection panicked");
        }
        self.connections.lock().connections.remove(&self.connection.id);
        self.connections.closed.notify_waiters();
    }
}
