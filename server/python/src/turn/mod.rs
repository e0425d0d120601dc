//! Handler threads that take turns.
//!
//! Only one thread at a time can run Python, and threads that fight over the interpreter's lock spend more on handing it over than on
//! calls. So a thread must hold a *turn* to run Python. It keeps the turn over many short calls in a row and gives it up when it is
//! about to wait in Rust; it gets one back, before any new call, when what it waited for is there. A watchdog hands out further turns
//! while holders sleep or burn CPU inside Python or C, where nobody tells us.
//!
//! * [`scheduler`] - who holds a turn, who waits for one, the queue of calls
//! * [`slot`] - what is known of one thread
//! * [`thread`] - the loop of a handler thread, and threads of their own for imports
//! * [`watchdog`] - further turns, and replies that were kept back too long
//! * [`interrupt`] - exceptions raised into calls that were cancelled, and the age of the interpreter's lock

mod interrupt;
mod scheduler;
mod slot;
mod thread;
mod watchdog;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use busbar_model::{Cid, Error, Kind};
use busbar_runtime::{Call, Outcome, ReplyTo};
use pyo3::prelude::*;

pub(crate) use scheduler::{Limits, Turns};
pub(crate) use thread::Own;

use crate::environment::Environment;
use crate::sync::lock;
use slot::Slot;

/// Something that can be called: a service of one generation.
pub(crate) trait Work: Send + Sync {
    /// Its name, for logs.
    fn name(&self) -> &str;

    /// Runs one call of it. Panics are caught by the caller.
    fn run(&self, py: Python<'_>, call: &Call) -> Outcome;
}

/// A call on its way to a thread.
pub(crate) struct Job {
    pub call: Call,
    pub work: Arc<dyn Work>,
    pub reply: ReplyTo,
}

/// The call that the current thread runs.
#[derive(Debug, Clone, Copy)]
pub struct CurrentCall {
    /// Its correlation id; calls nested in it have the same.
    pub cid: Cid,
    /// When its caller stops waiting.
    pub deadline: Instant,
}

/// What a call goes on with once its answer has been handed over.
type FollowUp = Box<dyn FnOnce(Python<'_>)>;

thread_local! {
    static FOLLOW_UP: Cell<Option<FollowUp>> = const { Cell::new(None) };
    static CURRENT: Cell<Option<CurrentCall>> = const { Cell::new(None) };
    static MEMBER: RefCell<Option<Member>> = const { RefCell::new(None) };
}

/// A thread that takes turns.
#[derive(Clone)]
struct Member {
    turns: Arc<Turns>,
    slot: Arc<Slot>,
}

/// The call that this thread runs; `None` on threads that services started themselves, and while modules are imported.
pub fn current() -> Option<CurrentCall> {
    CURRENT.get()
}

/// Lets the call that this thread runs go on once its answer has been handed over. Nobody waits for that any more, so its deadline no longer
/// counts; it can still be cancelled.
pub(crate) fn follow_up(work: impl FnOnce(Python<'_>) + 'static) {
    FOLLOW_UP.set(Some(Box::new(work)));
}

/// Does blocking work with the interpreter detached and this thread's turn given up, then takes the turn back.
///
/// The one way in which a face waits: other calls run meanwhile. On threads that take no turns (those that services started) it just
/// detaches.
pub fn wait<T, F>(py: Python<'_>, work: F) -> T
where
    F: Send + FnOnce() -> T,
    T: Send,
{
    let Some(member) = MEMBER.with_borrow(Clone::clone) else {
        return py.detach(work);
    };
    let member = Detached(member);
    py.detach(move || {
        let member = member;
        member.0.turns.give_up(&member.0.slot);
        // takes the turn back even when `work` panics: the thread is about to run Python either way
        let _guard = TakeBack(member.0);
        work()
    })
}

/// Whether the call that this thread runs may take for so long before its deadline; there is none outside calls.
pub fn has_time(span: Duration) -> bool {
    current().is_none_or(|call| call.deadline.saturating_duration_since(Instant::now()) > span)
}

/// Runs a future on the I/O runtime of `environment` while this thread waits detached and without a turn.
///
/// Ends early with an error of kind [`Kind::Cancelled`] when the current call is cancelled or its deadline passes; the future is dropped
/// then. What the call does after that (in a `finally`) is given one more second.
pub fn block_on<T, E, F>(py: Python<'_>, environment: &Environment, future: F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let runtime = environment.runtime.clone();
    let Some(member) = MEMBER.with_borrow(Clone::clone) else {
        return py.detach(move || runtime.block_on(future));
    };
    let limit = member.slot.wait_limit();
    let member = Detached(member);
    py.detach(move || {
        let Detached(Member { turns, slot }) = member;
        if limit.is_some_and(|limit| limit <= Instant::now()) {
            slot.tell();
            return Err(cancelled().into());
        }
        let mut future = Box::pin(future);
        {
            // what is ready at once needs no other thread
            let _runtime = runtime.enter();
            if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return result;
            }
        }
        let result = Arc::new(Mutex::new(None));
        // before the task is there, so that it cannot end before anybody waits for it
        let number = turns.give_up_until_resumed(&slot);
        let task = runtime.spawn({
            let (result, done) = (
                result.clone(),
                Done {
                    turns: turns.clone(),
                    slot: slot.clone(),
                    number,
                },
            );
            async move {
                let outcome = future.await;
                *lock(&result) = Some(outcome);
                // also dropped when the future panics or the runtime stops: the thread must not wait for ever
                drop(done);
            }
        });
        turns.park(&slot, number, limit);
        if let Some(result) = lock(&result).take() {
            return result;
        }
        task.abort();
        // no reason to stop early: the task has panicked, or its runtime is stopping
        let error = if slot.tell() {
            cancelled()
        } else {
            Error::new(Kind::Internal, "an I/O task ended without a result")
        };
        Err(error.into())
    })
}

fn cancelled() -> Error {
    Error::new(
        Kind::Cancelled,
        "the call was given up: its deadline has passed or its caller has left",
    )
}

/// A member on its way into a closure that runs detached.
struct Detached(Member);

struct TakeBack(Member);

impl Drop for TakeBack {
    fn drop(&mut self) {
        self.0.turns.take_back(&self.0.slot);
    }
}

struct Done {
    turns: Arc<Turns>,
    slot: Arc<Slot>,
    number: u64,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.turns.resume(&self.slot, self.number);
    }
}
