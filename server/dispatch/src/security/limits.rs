//! Rate limits at work: counters by the calendar, without a lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::rate_limit::{Quota, RateLimit, RateLimits, Window};
use busbar_runtime::Fault;

/// Whether an object's callers have called often enough.
#[derive(Debug)]
pub(crate) struct Limiter {
    lines: Vec<(RateLimit, Arc<AtomicU64>)>,
    /// Callers are told how much is left: on limits of users.
    shows_quota: bool,
}

/// All counters, by object and line, so that a change of the configuration does not begin to count anew.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<HashMap<Key, Arc<AtomicU64>>>);

/// Kind and name of the object, whom the line is for, and its window.
type Key = (String, String, String);

impl Counters {
    /// A limiter of an object, `None` if it has no limits.
    pub(crate) fn limiter(&self, kind: &str, name: &str, is_active: bool, limits: &RateLimits) -> Option<Limiter> {
        if !is_active || limits.lines().is_empty() {
            return None;
        }
        // the map is whole after every statement
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counter = |line: &RateLimit| {
            let from = line.from.map(|network| network.to_string()).unwrap_or_default();
            let window = line.quota.map_or(0, |quota| quota.window.seconds());
            let key = (kind.to_owned(), name.to_owned(), format!("{from} {window}"));
            Arc::clone(counters.entry(key).or_default())
        };
        Some(Limiter {
            lines: limits
                .lines()
                .iter()
                .map(|line| (line.clone(), counter(line)))
                .collect(),
            shows_quota: kind.starts_with("security."),
        })
    }

    /// Forgets the counters of lines that are gone.
    pub(crate) fn sweep(&self) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|_, counter| Arc::strong_count(counter) > 1);
    }
}

impl Limiter {
    /// Counts a call, or refuses it.
    pub(crate) fn check(&self, remote: IpAddr) -> Result<(), Fault> {
        self.check_at(remote, SystemTime::now())
    }

    fn check_at(&self, remote: IpAddr, now: SystemTime) -> Result<(), Fault> {
        let Some((line, counter)) = self.lines.iter().find(|(line, _)| line.is_for(remote)) else {
            return Err(Fault::new(403, "Error 403 Forbidden"));
        };
        let Some(quota) = line.quota else {
            return Ok(());
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if count(counter, quota, now) {
            return Ok(());
        }
        let again = UNIX_EPOCH + Duration::from_secs(next_window(quota.window, now));
        let mut fault =
            Fault::new(429, "Error 429 Too Many Requests").with_header("Retry-After", httpdate::fmt_http_date(again));
        if self.shows_quota {
            fault = fault
                .with_header("X-RateLimit-Limit", quota.calls.to_string())
                .with_header("X-RateLimit-Remaining", "0");
        }
        Err(fault)
    }
}

/// Counts a call if the quota allows it. A counter is the window's number in its upper half and the calls in its lower one, so that
/// however many threads count at once, a window never lets in one too many.
fn count(counter: &AtomicU64, quota: Quota, now: Duration) -> bool {
    let window = now.as_secs() / quota.window.seconds();
    let step = |state: u64| {
        let (counted, calls) = (state >> 32, state & 0xffff_ffff);
        // another thread may have read the clock a moment later; a clock that was set back by more begins anew
        let is_current = counted == window || counted == window + 1;
        match (is_current, calls < u64::from(quota.calls)) {
            (true, true) => Some(state + 1),
            (true, false) => None,
            (false, _) => Some((window & 0xffff_ffff) << 32 | 1),
        }
    };
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
}

/// When the next window begins, in seconds since 1970.
fn next_window(window: Window, now: Duration) -> u64 {
    (now.as_secs() / window.seconds() + 1) * window.seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(text: &str) -> Limiter {
        let limits = text.parse().unwrap();
        Counters::default().limiter("security.jwt", "a", true, &limits).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000 / 86_400 * 86_400 + seconds)
    }

    #[test]
    fn windows_follow_the_calendar() {
        let limiter = limiter("10.0.0.0/8=2/m\n127.0.0.1=*\n10.0.0.1=*");
        let check = |address: &str, seconds| {
            limiter
                .check_at(address.parse().unwrap(), at(seconds))
                .map_err(|fault| fault.status)
        };
        // everybody of a line shares its counter, and only the first line that matches counts
        assert_eq!(check("10.0.0.1", 58), Ok(()));
        assert_eq!(check("10.0.0.2", 59), Ok(()));
        assert_eq!(check("10.0.0.1", 59), Err(429));
        assert_eq!(check("10.0.0.3", 60), Ok(()));
        assert_eq!(check("127.0.0.1", 59), Ok(()));
        assert_eq!(check("192.168.0.1", 60), Err(403));
    }

    #[test]
    fn refusals_say_when_to_come_back() {
        let limiter = limiter("*=1/d");
        let address = "::1".parse().unwrap();
        limiter.check_at(address, at(5)).unwrap();
        let fault = limiter.check_at(address, at(86_399)).unwrap_err();
        assert_eq!(fault.details.unwrap(), "Error 429 Too Many Requests");
        let headers: Vec<_> = fault
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            headers,
            [
                "Retry-After: Wed, 15 Nov 2023 00:00:00 GMT",
                "X-RateLimit-Limit: 1",
                "X-RateLimit-Remaining: 0"
            ]
        );
        limiter.check_at(address, at(86_400)).unwrap();
        // a clock that was set back does not lock everybody out until it is there again
        limiter
            .check_at(address, at(86_400) - Duration::from_secs(10 * 86_400))
            .unwrap();
    }

    #[test]
    fn many_threads_count_exactly() {
        let limiter = limiter("*=1000/h");
        let admitted: usize = std::thread::scope(|scope| {
            let count = || {
                (0..500)
                    .filter(|_| limiter.check_at("127.0.0.1".parse().unwrap(), at(0)).is_ok())
                    .count()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 1000);
    }

    #[test]
    fn a_change_goes_on_counting_and_what_is_gone_is_forgotten() {
        let counters = Counters::default();
        let limiter = |text: &str| {
            counters
                .limiter("channel.http", "a", true, &text.parse().unwrap())
                .unwrap()
        };
        let address = "127.0.0.1".parse().unwrap();
        let first = limiter("*=1/d");
        first.check_at(address, at(0)).unwrap();
        let second = limiter("*=2/d");
        drop(first);
        counters.sweep();
        second.check_at(address, at(0)).unwrap();
        assert_eq!(second.check_at(address, at(0)).unwrap_err().status, 429);
        drop(second);
        counters.sweep();
        assert!(counters.0.lock().unwrap().is_empty());
        assert!(
            counters
                .limiter("channel.http", "a", false, &"*=1/d".parse().unwrap())
                .is_none()
        );
    }
}
