//! The watchdog: further turns when a holder does not move, and replies that were kept back too long.
//!
//! Sleeps while nothing waits. Python can sleep, compute and call into C without telling us; what tells is the thread's CPU clock. A
//! thread whose clock stands still waits for something outside, with the interpreter free: it does not count. A thread that waits for
//! the interpreter's lock wakes up every switch interval and so uses a little; a thread that computes uses a lot. Both count towards the
//! bound on turns, because more threads would only stand in the same line.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::sync::lock;
use crate::turn::scheduler::{Turns, Wake};
use crate::turn::slot::{Slot, Standing};

/// Time between two looks.
const TICK: Duration = Duration::from_micros(500);
/// A holder that has not moved for so long is judged.
pub(super) const PATIENCE: Duration = Duration::from_micros(900);
/// How often a holder that has been judged is looked at again.
const REVIEW: Duration = Duration::from_millis(5);
/// Looks without any reason to look after which the watchdog goes to sleep.
const QUIET_TICKS: u32 = 40;

/// What was seen of a holder.
struct Seen {
    slot: Arc<Slot>,
    moves: u64,
    since: Instant,
    cpu: u64,
    /// What it does was found out already.
    judged: bool,
}

pub(super) fn start(turns: &Arc<Turns>) -> std::io::Result<()> {
    let turns = turns.clone();
    std::thread::Builder::new()
        .name("busbar-watchdog".to_owned())
        .spawn(move || watch(&turns))
        .map(drop)
}

fn watch(turns: &Arc<Turns>) {
    let mut seen: Vec<Seen> = Vec::new();
    let mut quiet = 0;
    while wait_for_reason(turns, &mut quiet, &mut seen) {
        std::thread::sleep(TICK);
        let mut state = lock(&turns.state);
        let is_waiting = !state.queue.is_empty() || !state.resumers.is_empty();
        let busy: Vec<Arc<Slot>> = state
            .slots
            .iter()
            .filter(|slot| slot.standing() != Standing::None || slot.has_unflushed.load(Ordering::Relaxed))
            .cloned()
            .collect();
        drop(state);
        seen.retain(|seen| busy.iter().any(|slot| Arc::ptr_eq(slot, &seen.slot)));
        let now = Instant::now();
        let mut verdicts = Vec::new();
        let mut has_unflushed = false;
        let mut has_guesses = false;
        for slot in busy {
            let moves = slot.moves();
            let known = seen.iter_mut().find(|seen| Arc::ptr_eq(&seen.slot, &slot));
            let Some(known) = known else {
                has_unflushed |= slot.has_unflushed.load(Ordering::Relaxed);
                let cpu = slot.cpu_time().unwrap_or(0);
                seen.push(Seen {
                    slot,
                    moves,
                    since: now,
                    cpu,
                    judged: false,
                });
                continue;
            };
            if known.moves != moves {
                has_unflushed |= slot.has_unflushed.load(Ordering::Relaxed);
                let cpu = slot.cpu_time().unwrap_or(0);
                *known = Seen {
                    slot,
                    moves,
                    since: now,
                    cpu,
                    judged: false,
                };
                continue;
            }
            // between two looks without a move: what it kept back is old enough
            slot.try_flush();
            has_unflushed |= slot.has_unflushed.load(Ordering::Relaxed);
            let standing = slot.standing();
            // set aside because somebody waited: nobody may wait any more, but its standing is a guess as yet
            let is_guess = standing == Standing::Burning && !known.judged;
            has_guesses |= is_guess;
            let patience = if known.judged { REVIEW } else { PATIENCE };
            if !(is_waiting || is_guess) || now - known.since < patience {
                continue;
            }
            let cpu = slot.cpu_time().unwrap_or(known.cpu);
            let verdict = if cpu == known.cpu {
                Standing::Blocked
            } else {
                Standing::Burning
            };
            *known = Seen {
                slot: slot.clone(),
                moves,
                since: now,
                cpu,
                judged: true,
            };
            if verdict != standing {
                verdicts.push((slot, moves, verdict));
            }
        }
        state = lock(&turns.state);
        for (slot, moves, verdict) in verdicts {
            turns.judge(&mut state, &slot, moves, verdict);
        }
        let wake = turns.hand_out(&mut state);
        drop(state);
        // the watchdog is awake: there is nobody else to wake for that reason
        if !matches!(wake, Wake::Watchdog) {
            turns.wake(wake);
        }
        quiet = if is_waiting || has_unflushed || has_guesses {
            0
        } else {
            quiet + 1
        };
    }
}

/// Sleeps until there is something to look after; false: it is time to end.
fn wait_for_reason(turns: &Turns, quiet: &mut u32, seen: &mut Vec<Seen>) -> bool {
    let mut state = lock(&turns.state);
    if *quiet >= QUIET_TICKS && state.queue.is_empty() && state.resumers.is_empty() {
        state.watching = false;
        seen.clear();
    }
    while !state.watching && !state.stopping {
        state = turns
            .watch
            .wait(state)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *quiet = 0;
    }
    !state.stopping || !state.queue.is_empty() || !state.slots.is_empty()
}
