//! Calls that wait for their outcome, and the deadline that ends the wait.
//!
//! A timer per call costs more than the rest of the wait: it is armed and disarmed for each of tens of thousands of calls a second, and
//! hardly ever rings. Here a call is a slot in a slab, and one sweep looks at all slots ten times a second. Deadlines, which are
//! seconds, are kept to a tenth of one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use busbar_model::Cid;
use busbar_runtime::handler::ReplySink;
use busbar_runtime::task::{self, TaskKind};
use busbar_runtime::{Fault, Handler, Outcome, ReplyTo};

use crate::sample::Sampling;
use crate::statistics::ServiceStatistics;

/// How often deadlines are looked at.
const SWEEP: Duration = Duration::from_millis(100);

/// Slabs, so that threads which start and finish calls at the same time rarely meet. A power of two.
const SHARDS: usize = 16;

/// Turns of a slot before its count begins again.
const TURNS: u32 = (1 << 28) - 1;

/// Every call in flight.
pub(crate) struct Calls {
    handler: Arc<dyn Handler>,
    shards: [Mutex<Slab>; SHARDS],
}

#[derive(Default)]
struct Slab {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    /// Counts the calls that have used the slot, so that a late answer does not reach the next one.
    turn: u32,
    cid: Cid,
    deadline: Instant,
    state: State,
}

enum State {
    Free,
    Waiting(Option<Waker>),
    Done(Outcome),
}

impl Calls {
    /// No calls. Its sweep runs on the current tokio runtime for as long as there is somebody who could call.
    pub(crate) fn spawn(handler: Arc<dyn Handler>) -> Arc<Self> {
        let calls = Arc::new(Self {
            handler,
            shards: Default::default(),
        });
        task::spawn("deadlines", TaskKind::Once, sweep(Arc::downgrade(&calls)));
        calls
    }

    /// Makes room for the outcome of a call: where it goes, and the future that waits for it. Dropping the future cancels the call.
    pub(crate) fn wait(self: &Arc<Self>, cid: Cid, deadline: Instant) -> (ReplyTo, Waiting) {
        let shard = usize::from(cid.as_bytes()[0]) % SHARDS;
        let mut guard = self.lock(shard);
        let slab = &mut *guard;
        let index = slab.free.pop().unwrap_or_else(|| {
            slab.slots.push(Slot {
                turn: 0,
                cid,
                deadline,
                state: State::Free,
            });
            // a slab that is full of four milliard calls in flight has used up the memory before
            slab.slots.len() as u32 - 1
        });
        let slot = &mut slab.slots[index as usize];
        *slot = Slot {
            turn: (slot.turn + 1) & TURNS,
            cid,
            deadline,
            state: State::Waiting(None),
        };
        let place = Place {
            shard,
            index,
            turn: slot.turn,
        };
        drop(guard);
        let reply = ReplyTo::Sink {
            sink: Arc::clone(self) as Arc<dyn ReplySink>,
            id: place.pack(),
        };
        (
            reply,
            Waiting {
                calls: Arc::clone(self),
                cid,
                place: Some(place),
                counted: None,
            },
        )
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Slab> {
        // every statement leaves a slab whole
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers calls whose deadline has passed.
    fn expire(&self, now: Instant) {
        for shard in 0..SHARDS {
            let mut late = Vec::new();
            let mut guard = self.lock(shard);
            for slot in &mut guard.slots {
                if let State::Waiting(waker) = &mut slot.state
                    && slot.deadline <= now
                {
                    late.push((slot.cid, waker.take()));
                    slot.state = State::Done(Outcome::Fault(Fault::new(504, "The service did not answer in time")));
                }
            }
            drop(guard);
            for (cid, waker) in late {
                tracing::warn!(%cid, "a call has not been answered by its deadline");
                self.handler.cancel(cid);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }
}

async fn sweep(calls: Weak<Calls>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(calls) = calls.upgrade() else { return };
        calls.expire(Instant::now());
    }
}

impl ReplySink for Calls {
    fn reply(&self, id: u64, outcome: Outcome) -> bool {
        let place = Place::unpack(id);
        let mut slab = self.lock(place.shard);
        // an answer that comes after the deadline, or after the caller has left, finds somebody else's slot or an empty one
        let Some(slot) = slab
            .slots
            .get_mut(place.index as usize)
            .filter(|slot| slot.turn == place.turn)
        else {
            return false;
        };
        if let State::Waiting(waker) = &mut slot.state {
            let waker = waker.take();
            slot.state = State::Done(outcome);
            drop(slab);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        false
    }

    /// Nothing is kept back.
    fn flush(&self) {}

    fn try_flush(&self) -> bool {
        true
    }
}

#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    index: u32,
    turn: u32,
}

impl Place {
    /// As a number.
    fn pack(self) -> u64 {
        u64::from(self.turn) << 36 | u64::from(self.index) << 4 | self.shard as u64
    }

    fn unpack(id: u64) -> Self {
        Self {
            shard: id as usize % SHARDS,
            index: (id >> 4) as u32,
            turn: (id >> 36) as u32,
        }
    }
}

/// Waits for the outcome of a call.
pub(crate) struct Waiting {
    calls: Arc<Calls>,
    cid: Cid,
    /// `None` once the outcome has been taken.
    place: Option<Place>,
    counted: Option<Counted>,
}

/// How a call is counted.
struct Counted {
    statistics: Arc<ServiceStatistics>,
    start: Instant,
    sampling: Option<Box<Sampling>>,
}

impl Waiting {
    /// Counts the call, which began at `start`, when its outcome is there, and keeps it if `sampling` says so.
    #[must_use]
    pub(crate) fn counted(
        mut self,
        statistics: &Arc<ServiceStatistics>,
        start: Instant,
        sampling: Option<Box<Sampling>>,
    ) -> Self {
        self.counted = Some(Counted {
            statistics: Arc::clone(statistics),
            start,
            sampling,
        });
        self
    }
}

impl Future for Waiting {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let place = self.place.expect("a future is not polled after it was ready");
        let mut slab = self.calls.lock(place.shard);
        let slot = &mut slab.slots[place.index as usize];
        match &mut slot.state {
            State::Waiting(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            State::Free | State::Done(_) => {}
        }
        let State::Done(mut outcome) = std::mem::replace(&mut slot.state, State::Free) else {
            unreachable!("a slot is free only after its outcome was taken")
        };
        slab.free.push(place.index);
        drop(slab);
        self.place = None;
        if let Some(counted) = self.counted.take() {
            let count = counted.statistics.record(counted.start.elapsed());
            if let Some(sample) = counted.sampling.and_then(|it| it.ended(count, &outcome)) {
                counted.statistics.keep(sample);
            }
        }
        if let Outcome::Reply(reply) = &mut outcome
            && let Some(stream) = &mut reply.stream
        {
            let (calls, cid) = (Arc::clone(&self.calls), self.cid);
            stream.on_abandoned(move || calls.handler.cancel(cid));
        }
        Poll::Ready(outcome)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut slab = self.calls.lock(place.shard);
        let state = std::mem::replace(&mut slab.slots[place.index as usize].state, State::Free);
        slab.free.push(place.index);
        drop(slab);
        if matches!(state, State::Waiting(_)) {
            self.calls.handler.cancel(self.cid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_being_packed() {
        for (shard, index, turn) in [(0, 0, 0), (15, u32::MAX, 0xfff_ffff), (7, 1, 2)] {
            let back = Place::unpack(Place { shard, index, turn }.pack());
            assert_eq!((back.shard, back.index, back.turn), (shard, index, turn));
        }
    }
}
