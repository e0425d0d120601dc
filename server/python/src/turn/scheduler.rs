//! Who holds a turn, who waits for one, and the queue of calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use busbar_model::Cid;
use busbar_runtime::link::frame::Health;
use busbar_runtime::{Fault, Outcome};
use pyo3::prelude::*;
use tokio::sync::Notify;

use crate::sync::lock;
use crate::turn::interrupt::Interrupt;
use crate::turn::slot::{Slot, Standing, What};
use crate::turn::{Job, thread, watchdog};

/// Turns that may be out without delay to threads that use the CPU. More of them mostly hand the interpreter's lock around, but with one
/// call in ten burning 20 ms at a third of what the interpreter can do, four are out at once in 1.5% of all moments.
const MAX_BURNING: usize = 4;
/// Beyond the bound each further turn takes so much longer to come than the one before: endless loops slow the others down, and do not
/// stop them.
const FURTHER_TURN: Duration = Duration::from_millis(10);
/// Threads that do not retire when they are idle.
const KEEP_THREADS: usize = 2;
/// A call that goes on for so long after it was cancelled is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// How many threads and calls there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Handler threads.
    pub max_threads: usize,
    /// Calls that wait for one.
    pub max_queue: usize,
    /// Stack of a handler thread, in bytes.
    pub stack_size: usize,
    /// How long a thread stays without work.
    pub idle: Duration,
}

/// Hands out turns to handler threads.
pub(crate) struct Turns {
    pub(super) limits: Limits,
    pub(super) state: Mutex<State>,
    /// Wakes the watchdog.
    pub(super) watch: Condvar,
    pub(super) interrupt: Interrupt,
    /// Told whenever a thread runs out of work while somebody drains.
    emptied: Notify,
    draining: AtomicBool,
    wait_numbers: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub queue: VecDeque<Job>,
    /// Threads that were in the middle of a call when they waited, and can go on.
    pub resumers: VecDeque<Arc<Slot>>,
    /// Threads without work, the one that was busy last on top: its stack and objects are still in the cache.
    idle: Vec<Arc<Slot>>,
    /// Threads that exist or are being started.
    threads: usize,
    /// All threads that take turns.
    pub slots: Vec<Arc<Slot>>,
    moving: usize,
    /// Who moves, if anybody does.
    mover: Option<Arc<Slot>>,
    burning: usize,
    /// When a turn was handed out last while threads burned CPU.
    handed_out: Option<Instant>,
    /// The watchdog looks.
    pub watching: bool,
    /// Threads end instead of waiting for work.
    pub stopping: bool,
}

/// What remains to be done once the lock is free.
#[must_use]
pub(super) enum Wake {
    Nobody,
    /// This thread has been handed a turn.
    Thread(Arc<Slot>),
    /// A new thread shall start with a turn.
    Start,
    /// Work is waiting, the watchdog must look.
    Watchdog,
}

/// What a thread does next.
pub(super) enum Next {
    /// Runs this, with its turn.
    Run(Job),
    /// Has given its turn up and waits for another.
    Park(Wake),
    /// Ends.
    End,
}

impl Turns {
    /// Starts the watchdog and the interrupting thread; handler threads start when they are needed.
    pub fn start(limits: Limits, exception: Py<PyAny>) -> std::io::Result<Arc<Self>> {
        let turns = Arc::new(Self {
            limits,
            state: Mutex::default(),
            watch: Condvar::new(),
            interrupt: Interrupt::new(exception),
            emptied: Notify::new(),
            draining: AtomicBool::new(false),
            wait_numbers: AtomicU64::new(1),
        });
        watchdog::start(&turns)?;
        Interrupt::start(&turns)?;
        Ok(turns)
    }

    /// Puts a call into the queue, and sees to it that somebody runs it.
    pub fn submit(self: &Arc<Self>, job: Job) {
        let mut state = lock(&self.state);
        if state.queue.len() >= self.limits.max_queue || state.stopping {
            drop(state);
            let fault = Fault::new(503, "too many calls are waiting, try again later").with_header("Retry-After", "1");
            job.reply.send(Outcome::Fault(fault));
            return;
        }
        state.queue.push_back(job);
        let wake = self.hand_out(&mut state);
        drop(state);
        self.wake(wake);
    }

    /// Forgets or stops every call with this id.
    pub fn cancel(self: &Arc<Self>, cid: Cid) {
        let mut state = lock(&self.state);
        let mut dropped = Vec::new();
        if state.queue.iter().any(|job| job.call.cid == cid) {
            let queue = std::mem::take(&mut state.queue);
            for job in queue {
                if job.call.cid == cid {
                    dropped.push(job);
                } else {
                    state.queue.push_back(job);
                }
            }
        }
        let slots: Vec<Arc<Slot>> = state.slots.clone();
        drop(state);
        for job in dropped {
            job.reply.send(Outcome::Fault(expired()));
        }
        let now = Instant::now();
        for slot in slots {
            let mut running = lock(&slot.running);
            let Some(call) = running.as_mut() else { continue };
            if !matches!(call.what, What::Call { cid: own, .. } if own == cid) || call.cancelled.is_some() {
                continue;
            }
            call.cancelled = Some(now);
            let waiting = slot.awaiting.load(Ordering::Acquire);
            if waiting != 0 {
                // the error that the face raises says it
                call.told = Some(now);
            }
            drop(running);
            if waiting != 0 {
                self.resume(&slot, waiting);
            }
            self.interrupt.poke();
        }
    }

    /// Figures of the moment.
    pub fn health(&self) -> Health {
        let state = lock(&self.state);
        let mut health = Health {
            interpreter_age_ms: self.interrupt.age().as_millis() as u64,
            queued: state.queue.len() as u32,
            threads: state.threads as u32,
            ..Health::default()
        };
        let slots = state.slots.clone();
        drop(state);
        for slot in slots {
            let running = lock(&slot.running);
            let Some(call) = &*running else { continue };
            health.running += 1;
            health.stuck += u32::from(call.cancelled.is_some_and(|when| when.elapsed() > STUCK_AFTER));
        }
        health
    }

    /// Waits until no call runs or waits.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            // the limit covers calls that end on a thread which finds no time to tell
            tokio::time::timeout(Duration::from_millis(50), emptied).await.ok();
        }
    }

    /// Lets all threads end when they have nothing to do. Calls are refused from now on.
    pub fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopping = true;
        let idle = std::mem::take(&mut state.idle);
        self.watch.notify_all();
        drop(state);
        for slot in idle {
            slot.unpark();
        }
        self.interrupt.poke();
    }

    fn is_empty(&self) -> bool {
        let state = lock(&self.state);
        state.queue.is_empty() && state.slots.iter().all(|slot| lock(&slot.running).is_none())
    }

    // === for threads that take turns ===

    /// Registers the current thread; `granted`: a turn was handed out for it when it was started.
    pub(super) fn join(&self, slot: &Arc<Slot>, granted: bool) {
        let mut state = lock(&self.state);
        if granted {
            // counted when the thread was asked for
            slot.set_standing(Standing::Moving);
            state.mover = Some(slot.clone());
        }
        state.slots.push(slot.clone());
    }

    /// Takes the current thread off the books, its turn included.
    pub(super) fn leave(self: &Arc<Self>, slot: &Arc<Slot>, is_handler: bool) {
        let mut state = lock(&self.state);
        release(&mut state, slot);
        state.slots.retain(|other| !Arc::ptr_eq(other, slot));
        if is_handler {
            state.threads -= 1;
        }
        let wake = self.hand_out(&mut state);
        drop(state);
        self.wake(wake);
    }

    /// A thread could not be started for a turn that was handed out.
    pub(super) fn not_started(&self) {
        let mut state = lock(&self.state);
        state.threads -= 1;
        state.moving -= 1;
    }

    /// The next call for a thread that holds a turn and has ended the one before. Resumers come first, and of two threads in good
    /// standing one stands down.
    pub(super) fn next(&self, slot: &Arc<Slot>) -> Next {
        let mut state = lock(&self.state);
        slot.moved();
        // a turn that gets on goes on, however many burn beside it
        let gets_on = slot.standing() == Standing::Moving;
        release(&mut state, slot);
        if state.moving == 0
            && (gets_on || state.burning < MAX_BURNING)
            && state.resumers.is_empty()
            && let Some(job) = state.queue.pop_front()
        {
            state.give_turn(slot);
            return Next::Run(job);
        }
        if state.stopping {
            return Next::End;
        }
        state.idle.push(slot.clone());
        let wake = if gets_on {
            self.pass_on(&mut state)
        } else {
            self.hand_out(&mut state)
        };
        drop(state);
        if self.draining.load(Ordering::Relaxed) {
            self.emptied.notify_waiters();
        }
        Next::Park(wake)
    }

    /// Waits, detached, until a turn comes. False: the thread has been idle for so long that it shall end.
    pub(super) fn park_idle(&self, slot: &Arc<Slot>) -> bool {
        let end = Instant::now() + self.limits.idle;
        loop {
            if slot.granted.swap(false, Ordering::Acquire) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            let mut state = lock(&self.state);
            if state.stopping || (left.is_zero() && state.threads > KEEP_THREADS) {
                // a turn that came this very moment counts more
                if slot.granted.swap(false, Ordering::Acquire) {
                    return true;
                }
                state.idle.retain(|other| !Arc::ptr_eq(other, slot));
                return false;
            }
            drop(state);
            std::thread::park_timeout(if left.is_zero() { self.limits.idle } else { left });
        }
    }

    /// Gives up this thread's turn because it is about to wait, detached, and will come back by [`Turns::take_back`].
    pub(super) fn give_up(self: &Arc<Self>, slot: &Arc<Slot>) {
        self.give_up_as(slot, 0);
    }

    /// Gives up this thread's turn because it is about to wait, detached, until [`Turns::resume`] is called with the number returned.
    pub(super) fn give_up_until_resumed(self: &Arc<Self>, slot: &Arc<Slot>) -> u64 {
        let number = self.wait_numbers.fetch_add(1, Ordering::Relaxed);
        self.give_up_as(slot, number);
        number
    }

    fn give_up_as(self: &Arc<Self>, slot: &Arc<Slot>, number: u64) {
        slot.flush();
        let mut state = lock(&self.state);
        slot.moved();
        let gets_on = slot.standing() == Standing::Moving;
        release(&mut state, slot);
        slot.awaiting.store(number, Ordering::Release);
        let wake = if gets_on {
            self.pass_on(&mut state)
        } else {
            self.hand_out(&mut state)
        };
        drop(state);
        self.wake(wake);
    }

    /// What a thread waited for is there: it gets a turn, or stands in line for one. Does nothing if the thread waits for something else
    /// by now.
    pub(super) fn resume(self: &Arc<Self>, slot: &Arc<Slot>, number: u64) {
        let mut state = lock(&self.state);
        if slot.awaiting.load(Ordering::Relaxed) != number {
            return;
        }
        slot.awaiting.store(0, Ordering::Release);
        state.resumers.push_back(slot.clone());
        let wake = self.hand_out(&mut state);
        drop(state);
        self.wake(wake);
    }

    /// Waits for the turn that stands in line for this thread, or that [`Turns::resume`] brings; asks for it itself at `limit`.
    pub(super) fn park(self: &Arc<Self>, slot: &Arc<Slot>, number: u64, mut limit: Option<Instant>) {
        loop {
            if slot.granted.swap(false, Ordering::Acquire) {
                slot.moved();
                return;
            }
            match limit {
                None => std::thread::park(),
                Some(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        limit = None;
                        self.resume(slot, number);
                    } else {
                        std::thread::park_timeout(left);
                    }
                }
            }
        }
    }

    /// Takes a turn back after [`Turns::give_up`], or takes a first one. Called detached.
    pub(super) fn take_back(self: &Arc<Self>, slot: &Arc<Slot>) {
        let mut state = lock(&self.state);
        slot.moved();
        if state.resumers.is_empty() && state.moving == 0 && state.may_add() {
            state.give_turn(slot);
            return;
        }
        state.resumers.push_back(slot.clone());
        let wake = self.hand_out(&mut state);
        drop(state);
        self.wake(wake);
        self.park(slot, 0, None);
    }

    // === turns ===

    /// Hands the turn out if it is free and somebody can use it.
    pub(super) fn hand_out(&self, state: &mut State) -> Wake {
        if state.queue.is_empty() && state.resumers.is_empty() {
            return Wake::Nobody;
        }
        if !state.may_add() || (state.moving > 0 && !self.set_aside(state)) {
            return self.look(state);
        }
        self.pass_on(state)
    }

    /// Takes the turn's holder, if it has not moved for long, as one that burns CPU, so that whoever waits need not wait for the
    /// watchdog's verdict as well. The watchdog is told to find out soon what it really does.
    fn set_aside(&self, state: &mut State) -> bool {
        let Some(mover) = state
            .mover
            .take_if(|mover| mover.standing() != Standing::Moving || mover.still_for() >= watchdog::PATIENCE)
        else {
            return false;
        };
        if mover.standing() == Standing::Moving {
            release(state, &mover);
            mover.set_standing(Standing::Burning);
            state.burning += 1;
            if !std::mem::replace(&mut state.watching, true) {
                self.watch.notify_all();
            }
        }
        state.moving == 0
    }

    /// Hands out a turn that has become free just now, or that may be added.
    fn pass_on(&self, state: &mut State) -> Wake {
        if state.queue.is_empty() && state.resumers.is_empty() {
            return Wake::Nobody;
        }
        if state.moving > 0 {
            return self.look(state);
        }
        let slot = match state.resumers.pop_front() {
            Some(slot) => slot,
            None => match state.idle.pop() {
                Some(slot) => slot,
                // all threads wait in the middle of calls: one that comes back takes the turn, and the next call afterwards
                None if state.threads >= self.limits.max_threads => return self.look(state),
                None => {
                    state.threads += 1;
                    state.count_turn();
                    return Wake::Start;
                }
            },
        };
        state.give_turn(&slot);
        slot.granted.store(true, Ordering::Release);
        Wake::Thread(slot)
    }

    fn look(&self, state: &mut State) -> Wake {
        if state.watching {
            Wake::Nobody
        } else {
            state.watching = true;
            Wake::Watchdog
        }
    }

    pub(super) fn wake(self: &Arc<Self>, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Thread(slot) => slot.unpark(),
            Wake::Start => thread::start_handler(self),
            Wake::Watchdog => self.watch.notify_all(),
        }
    }

    /// Changes how a holder stands, on the watchdog's word. Nothing happens if the thread has moved since.
    pub(super) fn judge(&self, state: &mut MutexGuard<'_, State>, slot: &Slot, moves: u64, standing: Standing) {
        if slot.standing() == Standing::None || slot.moves() != moves {
            return;
        }
        release(state, slot);
        slot.set_standing(standing);
        if standing == Standing::Burning {
            state.burning += 1;
        }
    }
}

impl State {
    /// Whether there may be one more turn.
    fn may_add(&self) -> bool {
        let Some(beyond) = self.burning.checked_sub(MAX_BURNING) else {
            return true;
        };
        self.handed_out
            .is_none_or(|when| when.elapsed() >= FURTHER_TURN * (beyond as u32 + 1))
    }

    fn give_turn(&mut self, slot: &Arc<Slot>) {
        slot.set_standing(Standing::Moving);
        if !self.mover.as_ref().is_some_and(|mover| Arc::ptr_eq(mover, slot)) {
            self.mover = Some(slot.clone());
        }
        self.count_turn();
    }

    fn count_turn(&mut self) {
        self.moving += 1;
        if self.burning > 0 {
            self.handed_out = Some(Instant::now());
        }
    }
}

fn release(state: &mut State, slot: &Slot) {
    match slot.standing() {
        Standing::Moving => state.moving -= 1,
        Standing::Burning => state.burning -= 1,
        Standing::None | Standing::Blocked => {}
    }
    slot.set_standing(Standing::None);
}

/// What a call is answered that was given up.
pub(super) fn expired() -> Fault {
    Fault::new(504, "the service did not answer in time")
}
