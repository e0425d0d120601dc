//! What is known of one thread that takes turns.

use std::ffi::c_long;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use busbar_model::Cid;
use busbar_runtime::handler::ReplySink;

use crate::sync::lock;
use crate::turn::Work;

/// How long a call that was told to end may still wait in faces, to clean up.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How a thread stands with its turn. Changed only under the scheduler's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Standing {
    /// Holds none.
    None = 0,
    /// Holds one, and goes from call to call. There is one such thread at most, apart from moments.
    Moving = 1,
    /// Holds one, and has not moved for a while although it uses the CPU or waits for the interpreter.
    Burning = 2,
    /// Holds one, but sleeps or waits in C, with the interpreter free.
    Blocked = 3,
}

/// One thread.
pub(super) struct Slot {
    /// Python's number for the thread.
    pub ident: c_long,
    /// The thread's CPU clock.
    pub clock: libc::clockid_t,
    thread: Thread,
    /// A turn has been handed to this thread, which does not know yet.
    pub granted: AtomicBool,
    standing: AtomicU8,
    /// Number of the wait that this thread is in; 0: none. Changed only under the scheduler's lock.
    pub awaiting: AtomicU64,
    /// Counts up whenever the thread starts or ends something: the sign of life that the watchdog looks at.
    moves: AtomicU64,
    /// When it last did so, in nanoseconds since [`epoch`].
    moved_at: AtomicU64,
    /// What the thread runs.
    pub running: Mutex<Option<Running>>,
    /// Takes replies that may have been kept back.
    unflushed: Mutex<Option<Arc<dyn ReplySink>>>,
    pub has_unflushed: AtomicBool,
}

/// What a thread runs.
pub(super) struct Running {
    pub what: What,
    /// When waiting in faces ends. The deadline, or a little later once the call has been told.
    pub limit: Instant,
    /// When it was cancelled.
    pub cancelled: Option<Instant>,
    /// When an exception, or an error out of a face, last told it to end.
    pub told: Option<Instant>,
    /// An exception has been raised into the thread and may still be pending there.
    pub raised: bool,
}

/// A call, or something busbar does itself.
pub(super) enum What {
    /// A call of a service.
    Call { cid: Cid, work: Arc<dyn Work> },
    /// Imports and hooks, whose deadline nobody else keeps.
    Own(&'static str),
}

impl Slot {
    /// The slot of the current thread, which is attached to the interpreter.
    pub fn new(ident: c_long) -> Self {
        let mut clock = libc::CLOCK_MONOTONIC;
        // SAFETY: the thread is the current one, so it is alive, and the clock's id has room
        unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
        Self {
            ident,
            clock,
            thread: std::thread::current(),
            granted: AtomicBool::new(false),
            standing: AtomicU8::new(Standing::None as u8),
            awaiting: AtomicU64::new(0),
            moves: AtomicU64::new(0),
            moved_at: AtomicU64::new(epoch().elapsed().as_nanos() as u64),
            running: Mutex::new(None),
            unflushed: Mutex::new(None),
            has_unflushed: AtomicBool::new(false),
        }
    }

    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Relaxed) {
            1 => Standing::Moving,
            2 => Standing::Burning,
            3 => Standing::Blocked,
            _ => Standing::None,
        }
    }

    pub fn set_standing(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Relaxed);
    }

    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Shows the watchdog that the thread gets on. Called by the thread itself only.
    pub fn moved(&self) {
        self.moves.store(self.moves() + 1, Ordering::Relaxed);
        self.moved_at
            .store(epoch().elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    /// How long ago the thread last got on.
    pub fn still_for(&self) -> Duration {
        let moved_at = Duration::from_nanos(self.moved_at.load(Ordering::Relaxed));
        epoch().elapsed().saturating_sub(moved_at)
    }

    pub fn unpark(&self) {
        self.thread.unpark();
    }

    /// CPU time that the thread has used, in nanoseconds. `None` once it has ended.
    pub fn cpu_time(&self) -> Option<u64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel checks the clock's id, which may be that of a thread that has ended
        let status = unsafe { libc::clock_gettime(self.clock, &raw mut time) };
        (status == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// When waiting in faces must end.
    pub fn wait_limit(&self) -> Option<Instant> {
        lock(&self.running).as_ref().map(|running| running.limit)
    }

    /// Notes that the call hears, with the error that is about to be raised, that it must end. False if there was no reason: it is not
    /// cancelled and has time left.
    pub fn tell(&self) -> bool {
        let now = Instant::now();
        let mut running = lock(&self.running);
        let Some(running) = running.as_mut() else { return false };
        if running.cancelled.is_none() && running.limit > now {
            return false;
        }
        running.told = Some(now);
        running.limit = now + GRACE;
        true
    }

    /// Answers into a sink, and remembers to flush it.
    pub fn keep_back(&self, sink: Arc<dyn ReplySink>) {
        let mut unflushed = lock(&self.unflushed);
        if let Some(other) = &*unflushed {
            if Arc::ptr_eq(other, &sink) {
                return;
            }
            other.flush();
        }
        *unflushed = Some(sink);
        self.has_unflushed.store(true, Ordering::Release);
    }

    /// Flushes what was kept back. Must not be called attached: it may wait for a socket.
    pub fn flush(&self) {
        if !self.has_unflushed.swap(false, Ordering::Acquire) {
            return;
        }
        // the lock is let go first: the slot's own thread takes it attached, and must not wait for the socket there
        let sink = lock(&self.unflushed).take();
        if let Some(sink) = sink {
            sink.flush();
        }
    }

    /// The same as far as it needs no waiting: for the watchdog, which has the other threads to look after.
    pub fn try_flush(&self) {
        if !self.has_unflushed.load(Ordering::Acquire) {
            return;
        }
        let mut unflushed = lock(&self.unflushed);
        if unflushed.as_ref().is_none_or(|sink| sink.try_flush()) {
            *unflushed = None;
            self.has_unflushed.store(false, Ordering::Release);
        }
    }
}

/// A moment that times are kept relative to, so that they fit an atomic.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
