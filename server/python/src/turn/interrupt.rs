//! Exceptions raised into calls that were cancelled, and the age of the interpreter's lock.
//!
//! One thread does both, because both need the interpreter from outside: every half second, or when it is poked, it takes the lock, notes
//! the time, and looks after the calls that must end. As long as it cannot get the lock the age grows, and the hub sees it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::sync::lock;
use crate::turn::scheduler::Turns;
use crate::turn::slot::{Running, Slot, What};

/// Time between two probes of the interpreter's lock.
const PROBE: Duration = Duration::from_millis(500);
/// A call that was told to end, and goes on, is told again after so long: it may have swallowed the exception.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// The interrupting thread, seen from the others.
pub(super) struct Interrupt {
    exception: Py<PyAny>,
    poked: Mutex<bool>,
    poke: Condvar,
    start: Instant,
    /// When the lock was got last, in milliseconds after `start`.
    probed: AtomicU64,
}

impl Interrupt {
    /// Raises `exception`, a class.
    pub fn new(exception: Py<PyAny>) -> Self {
        Self {
            exception,
            poked: Mutex::new(false),
            poke: Condvar::new(),
            start: Instant::now(),
            probed: AtomicU64::new(0),
        }
    }

    /// Starts the thread.
    pub fn start(turns: &Arc<Turns>) -> std::io::Result<()> {
        let turns = turns.clone();
        std::thread::Builder::new()
            .name("busbar-interrupt".to_owned())
            .spawn(move || watch(&turns))
            .map(drop)
    }

    /// There is a call to interrupt.
    pub fn poke(&self) {
        *lock(&self.poked) = true;
        self.poke.notify_all();
    }

    /// How long ago the interpreter's lock was got last.
    pub fn age(&self) -> Duration {
        self.start
            .elapsed()
            .saturating_sub(Duration::from_millis(self.probed.load(Ordering::Relaxed)))
    }
}

fn watch(turns: &Arc<Turns>) {
    let interrupt = &turns.interrupt;
    Python::attach(|py| {
        loop {
            interrupt
                .probed
                .store(interrupt.start.elapsed().as_millis() as u64, Ordering::Relaxed);
            interrupt_all(py, turns);
            let is_over = py.detach(|| {
                let mut poked = lock(&interrupt.poked);
                if !*poked {
                    let waited = interrupt.poke.wait_timeout(poked, PROBE);
                    poked = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                }
                *poked = false;
                drop(poked);
                let state = lock(&turns.state);
                state.stopping && state.slots.is_empty()
            });
            if is_over {
                break;
            }
        }
    });
}

fn interrupt_all(py: Python<'_>, turns: &Turns) {
    let slots = lock(&turns.state).slots.clone();
    for slot in slots {
        let now = Instant::now();
        let mut is_first = false;
        let due = lock(&slot.running).as_mut().is_some_and(|running| {
            // nobody else keeps the deadline of what busbar does itself
            if matches!(running.what, What::Own(_)) && running.limit <= now && running.cancelled.is_none() {
                running.cancelled = Some(now);
            }
            is_first = !running.raised;
            is_due(running, now)
        });
        if !due {
            continue;
        }
        // formatting runs Python, which lets other threads in: what it shows is checked again below
        let stack = if is_first { stack(py, &slot) } else { None };
        let mut running = lock(&slot.running);
        let Some(running) = running.as_mut().filter(|running| is_due(running, now)) else {
            continue;
        };
        // SAFETY: the interpreter is held; the thread is alive or its number is not found
        unsafe { ffi::PyThreadState_SetAsyncExc(slot.ident, turns.interrupt.exception.as_ptr()) };
        running.raised = true;
        running.told = Some(now);
        if is_first {
            let stack = stack.unwrap_or_default();
            match &running.what {
                What::Call { cid, work } => {
                    let service = work.name();
                    tracing::warn!(%cid, service, "a call of `{service}` was given up while it ran here:\n{stack}");
                }
                What::Own(what) => {
                    tracing::warn!("`{what}` took too long and was given up while it ran here:\n{stack}")
                }
            }
        }
    }
}

/// Whether the call must be told, or told again, to end.
fn is_due(running: &Running, now: Instant) -> bool {
    running.cancelled.is_some()
        && running
            .told
            .is_none_or(|told| now.saturating_duration_since(told) >= TELL_AGAIN)
}

/// Where the thread is in Python right now.
fn stack(py: Python<'_>, slot: &Slot) -> Option<String> {
    let format = || -> PyResult<String> {
        let frames = py
            .import("sys")?
            .call_method0("_current_frames")?
            .cast_into::<PyDict>()?;
        let Some(frame) = frames.get_item(slot.ident)? else {
            return Ok(String::new());
        };
        let lines = py.import("traceback")?.call_method1("format_stack", (frame,))?;
        Ok(lines.extract::<Vec<String>>()?.concat())
    };
    match format() {
        Ok(text) => Some(text.trim_end().to_owned()),
        Err(error) => {
            tracing::debug!(%error, "cannot format the stack of a thread");
            None
        }
    }
}
