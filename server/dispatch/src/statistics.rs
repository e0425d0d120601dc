//! How often services are called through the hub and how long they take, since the server started. In memory; deployments go on counting.
//! What is kept of it beyond that is the business of [`minutes`](crate::minutes).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_store::Tally;
use serde::{Deserialize, Serialize};

use crate::sample::Sample;

/// The calls of one service.
#[derive(Debug)]
pub struct ServiceStatistics {
    count: AtomicU64,
    /// Microseconds of all of them.
    total: AtomicU64,
    /// Of the calls that are not in `counted` yet.
    shortest: AtomicU64,
    longest: AtomicU64,
    last: AtomicU64,
    /// When the last one ended: milliseconds since 1970.
    last_at: AtomicU64,
    /// The last one that was kept.
    sample: Mutex<Option<Sample>>,
    /// What [`ServiceStatistics::take`] has given so far, together.
    counted: Mutex<Option<Tally>>,
}

impl Default for ServiceStatistics {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            total: AtomicU64::new(0),
            shortest: AtomicU64::new(u64::MAX),
            longest: AtomicU64::new(0),
            last: AtomicU64::new(0),
            last_at: AtomicU64::new(0),
            sample: Mutex::default(),
            counted: Mutex::default(),
        }
    }
}

/// What is known of the calls of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// How many there were.
    pub count: u64,
    /// Microseconds that all of them took.
    pub total_us: u64,
    /// Microseconds of the quickest.
    pub min_us: u64,
    /// Microseconds of the slowest.
    pub max_us: u64,
    /// Microseconds of the average one.
    pub mean_us: u64,
    /// Microseconds of the last one.
    pub last_us: u64,
    /// When the last one ended: milliseconds since 1970; 0: there was none.
    pub last_at_ms: u64,
}

impl ServiceStatistics {
    /// Counts a call, and says how many there were with it. Its parts are not of one moment for whoever reads meanwhile.
    pub(crate) fn record(&self, taken: Duration) -> u64 {
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.total.fetch_add(micros, Ordering::Relaxed);
        // hardly ever changed, so they are only looked at
        if micros < self.shortest.load(Ordering::Relaxed) {
            self.shortest.fetch_min(micros, Ordering::Relaxed);
        }
        if micros > self.longest.load(Ordering::Relaxed) {
            self.longest.fetch_max(micros, Ordering::Relaxed);
        }
        self.last.store(micros, Ordering::Relaxed);
        self.last_at.store(at.as_millis() as u64, Ordering::Relaxed);
        count
    }

    /// Keeps a call, in place of the one that was kept before.
    pub(crate) fn keep(&self, sample: Sample) {
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
    }

    /// The last call that was kept.
    pub fn sample(&self) -> Option<Sample> {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The calls since it was asked last; `None`: there were none.
    pub(crate) fn take(&self) -> Option<Tally> {
        // nobody is told of both halves: the calls go over while it is locked
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = counted.map_or((0, 0), |it| (it.calls, it.total_us));
        let calls = self.count.load(Ordering::Relaxed) - before.0;
        if calls == 0 {
            return None;
        }
        let total_us = self.total.load(Ordering::Relaxed) - before.1;
        // of a call that is being recorded just now a part may be here and a part in the next tally
        let mean = total_us / calls;
        let tally = Tally {
            calls,
            total_us,
            min_us: self.shortest.swap(u64::MAX, Ordering::Relaxed).min(mean),
            max_us: self.longest.swap(0, Ordering::Relaxed).max(mean),
        };
        *counted = Some(counted.map_or(tally, |it| it.with(tally)));
        Some(tally)
    }

    /// What there is to know now.
    pub fn usage(&self) -> Usage {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.count.load(Ordering::Relaxed);
        if count == 0 {
            return Usage::default();
        }
        let total_us = self.total.load(Ordering::Relaxed);
        let (shortest, longest) = counted.map_or((u64::MAX, 0), |it| (it.min_us, it.max_us));
        Usage {
            count,
            total_us,
            min_us: self.shortest.load(Ordering::Relaxed).min(shortest),
            max_us: self.longest.load(Ordering::Relaxed).max(longest),
            mean_us: total_us / count,
            last_us: self.last.load(Ordering::Relaxed),
            last_at_ms: self.last_at.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_and_timed() {
        let statistics = ServiceStatistics::default();
        assert_eq!(statistics.usage(), Usage::default());
        for millis in [20, 10, 60] {
            statistics.record(Duration::from_millis(millis));
        }
        let usage = statistics.usage();
        assert_eq!((usage.count, usage.total_us, usage.mean_us), (3, 90_000, 30_000));
        assert_eq!((usage.min_us, usage.max_us, usage.last_us), (10_000, 60_000, 60_000));
        assert!(usage.last_at_ms > 0);
    }

    #[test]
    fn each_tally_has_the_calls_since_the_one_before() {
        let statistics = ServiceStatistics::default();
        assert_eq!(statistics.take(), None);
        let mut tallies = Vec::new();
        for micros in [&[20, 10, 60][..], &[30], &[]] {
            for micros in micros {
                statistics.record(Duration::from_micros(*micros));
            }
            tallies.push(statistics.take());
        }
        let tally = |calls, total_us, min_us, max_us| {
            Some(Tally {
                calls,
                total_us,
                min_us,
                max_us,
            })
        };
        assert_eq!(tallies, [tally(3, 90, 10, 60), tally(1, 30, 30, 30), None]);
        let usage = statistics.usage();
        assert_eq!(
            (usage.count, usage.total_us, usage.min_us, usage.max_us),
            (4, 120, 10, 60)
        );
    }

    #[test]
    fn no_call_is_counted_twice_or_lost() {
        const CALLS: u64 = 20_000;
        let statistics = ServiceStatistics::default();
        let mut tallies = Vec::new();
        std::thread::scope(|scope| {
            let recorders: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for micros in 1..=CALLS {
                            statistics.record(Duration::from_micros(micros));
                        }
                    })
                })
                .collect();
            while recorders.iter().any(|it| !it.is_finished()) {
                tallies.extend(statistics.take());
            }
        });
        tallies.extend(statistics.take());
        assert!(tallies.iter().all(|it| it.min_us <= it.max_us));
        let all = tallies.into_iter().reduce(Tally::with).unwrap();
        assert_eq!((all.calls, all.total_us), (2 * CALLS, CALLS * (CALLS + 1)));
    }
}
