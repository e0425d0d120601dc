//! The loop of a handler thread, and threads of their own for work that is rare and long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use busbar_model::{Error, Kind};
use busbar_runtime::handler::ReplyTo;
use busbar_runtime::{Call, Fault, Outcome};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::sync::lock;
use crate::turn::scheduler::{Next, Turns, Wake, expired};
use crate::turn::slot::{Running, Slot, What};
use crate::turn::{CURRENT, CurrentCall, FOLLOW_UP, FollowUp, Job, MEMBER, Member, Work};

/// Replies that are kept back at most before they are flushed although more calls wait. Few enough for the hub to have something to do
/// while the worker runs the next calls.
const FLUSH_EVERY: u32 = 16;

/// How far off the deadline of a call is that has none any more: ten years.
const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Stack of threads that import: the compiler recurses deeply into sources that are nested deeply.
const OWN_STACK: usize = 16 << 20;

/// Starts a handler thread for a turn that has been handed out already.
pub(super) fn start_handler(turns: &Arc<Turns>) {
    let started = std::thread::Builder::new()
        .name("busbar-handler".to_owned())
        .stack_size(turns.limits.stack_size)
        .spawn({
            let turns = turns.clone();
            move || handle(&turns)
        });
    if let Err(error) = started {
        // the machine has no room for more: those that exist carry on
        tracing::error!(%error, "cannot start a handler thread");
        turns.not_started();
    }
}

fn handle(turns: &Arc<Turns>) {
    Python::attach(|py| {
        let slot = Arc::new(Slot::new(ident()));
        let member = Membership::new(turns, &slot, true, true);
        let mut kept_back = 0;
        loop {
            match turns.next(&slot) {
                Next::Run(job) => {
                    match run(py, &slot, job) {
                        Answered::Sent => {}
                        Answered::KeptBack => kept_back += 1,
                        Answered::FlushDue => kept_back = FLUSH_EVERY,
                    }
                    if kept_back >= FLUSH_EVERY {
                        kept_back = 0;
                        py.detach(|| slot.flush());
                    }
                }
                Next::Park(wake) => {
                    kept_back = 0;
                    // whoever was handed the turn is woken once the interpreter is free for it
                    if !py.detach(|| idle(turns, &slot, wake)) {
                        break;
                    }
                }
                Next::End => break,
            }
        }
        py.detach(|| slot.flush());
        drop(member);
    });
}

fn idle(turns: &Arc<Turns>, slot: &Arc<Slot>, wake: Wake) -> bool {
    turns.wake(wake);
    slot.flush();
    turns.park_idle(slot)
}

/// What became of an answer.
enum Answered {
    Sent,
    KeptBack,
    /// As much was kept back as should be.
    FlushDue,
}

/// Runs one call and answers it.
fn run(py: Python<'_>, slot: &Slot, job: Job) -> Answered {
    let Job { call, work, reply } = job;
    FOLLOW_UP.set(None);
    let outcome = if call.deadline <= Instant::now() {
        // nobody listens any more
        Outcome::Fault(expired())
    } else {
        CURRENT.set(Some(CurrentCall {
            cid: call.cid,
            deadline: call.deadline,
        }));
        begin(
            slot,
            What::Call {
                cid: call.cid,
                work: work.clone(),
            },
            call.deadline,
        );
        let result = catch_unwind(AssertUnwindSafe(|| work.run(py, &call)));
        let result = match (result, FOLLOW_UP.take()) {
            (Ok(outcome), Some(follow_up)) if !is_cancelled(slot) => {
                go_on(py, slot, &call, &*work, (reply, outcome), follow_up);
                return Answered::Sent;
            }
            (result, _) => result,
        };
        let cancelled = end(py, slot);
        CURRENT.set(None);
        match result {
            _ if cancelled => Outcome::Fault(expired()),
            Ok(outcome) => outcome,
            Err(panic) => {
                let message = panic_message(&*panic);
                tracing::error!(cid = %call.cid, service = work.name(), "a call of `{}` panicked: {message}", work.name());
                Outcome::Fault(Fault::new(500, "internal error"))
            }
        }
    };
    match reply {
        ReplyTo::Sink { sink, id } => {
            let flush_due = sink.reply(id, outcome);
            slot.keep_back(sink);
            if flush_due {
                Answered::FlushDue
            } else {
                Answered::KeptBack
            }
        }
        reply => {
            reply.send(outcome);
            Answered::Sent
        }
    }
}

/// Hands the answer over, and lets the call go on.
fn go_on(
    py: Python<'_>,
    slot: &Slot,
    call: &Call,
    work: &dyn Work,
    (reply, outcome): (ReplyTo, Outcome),
    follow_up: FollowUp,
) {
    let limit = Instant::now() + NO_LIMIT;
    if let Some(running) = lock(&slot.running).as_mut() {
        running.limit = limit;
    }
    CURRENT.set(Some(CurrentCall {
        cid: call.cid,
        deadline: limit,
    }));
    py.detach(|| {
        slot.flush();
        match reply {
            ReplyTo::Sink { sink, id } => {
                sink.reply(id, outcome);
                sink.flush();
            }
            reply => reply.send(outcome),
        }
    });
    let result = catch_unwind(AssertUnwindSafe(|| follow_up(py)));
    end(py, slot);
    CURRENT.set(None);
    if let Err(panic) = result {
        let message = panic_message(&*panic);
        tracing::error!(cid = %call.cid, service = work.name(), "a call of `{}` panicked: {message}", work.name());
    }
}

/// Whether what runs has been cancelled.
fn is_cancelled(slot: &Slot) -> bool {
    lock(&slot.running)
        .as_ref()
        .is_none_or(|running| running.cancelled.is_some())
}

fn begin(slot: &Slot, what: What, limit: Instant) {
    *lock(&slot.running) = Some(Running {
        what,
        limit,
        cancelled: None,
        told: None,
        raised: false,
    });
}

/// Notes that nothing runs any more, and takes back an exception that came too late to be seen: it must not hit the next call. True if
/// what ran had been cancelled.
fn end(_py: Python<'_>, slot: &Slot) -> bool {
    let mut running = lock(&slot.running);
    let Some(ended) = running.take() else { return false };
    if ended.raised {
        // exceptions are raised under the same lock and with the interpreter held, so none can come after this
        // SAFETY: the interpreter is held
        unsafe { ffi::PyThreadState_SetAsyncExc(slot.ident, std::ptr::null_mut()) };
    }
    ended.cancelled.is_some()
}

pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn ident() -> std::ffi::c_long {
    // SAFETY: asks for the number of the current thread
    unsafe { ffi::PyThread_get_thread_ident() as std::ffi::c_long }
}

/// Work on a thread of its own, which takes turns like the others.
pub(crate) struct Own {
    /// What it does, for logs: `import`.
    pub what: &'static str,
    /// How long it may take; an exception is raised into it then.
    pub limit: Duration,
}

impl Own {
    /// Runs `work` attached and with a turn. The receiver gets its result, or nothing if it panicked.
    pub fn start<T: Send + 'static>(
        self,
        turns: &Arc<Turns>,
        work: impl FnOnce(Python<'_>) -> T + Send + 'static,
    ) -> Result<tokio::sync::oneshot::Receiver<T>, Error> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let turns = turns.clone();
        let what = self.what;
        std::thread::Builder::new()
            .name(format!("busbar-{what}"))
            .stack_size(OWN_STACK)
            .spawn(move || {
                Python::attach(|py| {
                    let slot = Arc::new(Slot::new(ident()));
                    let member = Membership::new(&turns, &slot, false, false);
                    py.detach(|| turns.take_back(&slot));
                    begin(&slot, What::Own(self.what), Instant::now() + self.limit);
                    let result = catch_unwind(AssertUnwindSafe(|| work(py)));
                    end(py, &slot);
                    drop(member);
                    match result {
                        // an error here says that nobody waits any more
                        Ok(result) => drop(sender.send(result)),
                        Err(panic) => tracing::error!("`{}` panicked: {}", self.what, panic_message(&*panic)),
                    }
                });
            })
            .map_err(|error| {
                Error::new(Kind::Internal, format!("cannot start a thread for `{what}`")).with_source(error)
            })?;
        Ok(receiver)
    }
}

/// The current thread takes turns as long as this lives.
struct Membership {
    turns: Arc<Turns>,
    slot: Arc<Slot>,
    is_handler: bool,
}

impl Membership {
    fn new(turns: &Arc<Turns>, slot: &Arc<Slot>, is_handler: bool, granted: bool) -> Self {
        turns.join(slot, granted);
        MEMBER.set(Some(Member {
            turns: turns.clone(),
            slot: slot.clone(),
        }));
        Self {
            turns: turns.clone(),
            slot: slot.clone(),
            is_handler,
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        MEMBER.set(None);
        self.turns.leave(&self.slot, self.is_handler);
    }
}
