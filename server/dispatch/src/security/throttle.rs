//! Credentials that were wrong, so that passwords cannot be tried one after the other: where users log in, at the doors of the management
//! API, and wherever a password is known by its hash.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use busbar_runtime::Fault;

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(60);
/// Failures of one address with one user name.
const MAX_PER_USER: u32 = 10;
/// Failures of one address.
const MAX_PER_ADDRESS: u32 = 50;
/// Addresses and names that are remembered.
const MAX_REMEMBERED: usize = 20_000;

/// Failures of late.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<Key, Failures>>);

/// The address, IPv6 ones by their network, and a hash of the user name; none: all names together.
type Key = (IpAddr, Option<u64>);

#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Throttle {
    /// How long a caller must wait, if it must.
    pub(crate) fn wait(&self, address: IpAddr, username: &str, now: Instant) -> Option<Duration> {
        // the map is whole after every statement
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |key: Key, max| {
            let Failures { since, count } = failures.get(&key)?;
            let left = WINDOW.checked_sub(now.saturating_duration_since(*since))?;
            (*count >= max && !left.is_zero()).then_some(left)
        };
        let [user, all] = keys(address, username);
        left(user, MAX_PER_USER).max(left(all, MAX_PER_ADDRESS))
    }

    /// Notes a failure. The one after which the caller must wait is logged.
    pub(crate) fn note(&self, address: IpAddr, username: &str, now: Instant) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() + 2 > MAX_REMEMBERED {
            make_room(&mut failures, now);
        }
        for key in keys(address, username) {
            let failures = failures.entry(key).or_insert(Failures { since: now, count: 0 });
            if now.saturating_duration_since(failures.since) >= WINDOW {
                *failures = Failures { since: now, count: 0 };
            }
            failures.count += 1;
            let max = if key.1.is_some() { MAX_PER_USER } else { MAX_PER_ADDRESS };
            if failures.count == max {
                tracing::warn!(
                    remote = %address,
                    "{max} log-ins from {address} have failed within {} s: further ones are refused for that long",
                    WINDOW.as_secs()
                );
            }
        }
    }
}

/// The answer to whoever must wait.
pub(crate) fn too_often(wait: Duration) -> Fault {
    Fault::new(429, "Error 429 Too Many Requests").with_retry_after(wait)
}

/// Forgets what counts no longer; if that is not enough, the user names, then everything. So many addresses that fail at once are more than
/// a throttle can stop, and keeping everybody else out would be worse.
fn make_room(failures: &mut HashMap<Key, Failures>, now: Instant) {
    failures.retain(|_, failures| now.saturating_duration_since(failures.since) < WINDOW);
    if failures.len() * 2 > MAX_REMEMBERED {
        tracing::warn!("very many log-ins fail, from many addresses");
        failures.retain(|(_, username), _| username.is_none());
    }
    if failures.len() * 2 > MAX_REMEMBERED {
        failures.clear();
    }
}

fn keys(address: IpAddr, username: &str) -> [Key; 2] {
    let address = match address.to_canonical() {
        // whoever has one of these addresses has all of its network
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    };
    [(address, Some(hash(username))), (address, None)]
}

fn hash(username: &str) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(username)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_often_must_wait() {
        let throttle = Throttle::default();
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let now = Instant::now();
        for _ in 0..MAX_PER_USER {
            assert_eq!(throttle.wait(one, "ann", now), None);
            throttle.note(one, "ann", now);
        }
        assert_eq!(throttle.wait(one, "ann", now), Some(WINDOW));
        assert_eq!(
            (throttle.wait(one, "bob", now), throttle.wait(other, "ann", now)),
            (None, None)
        );
        assert_eq!(throttle.wait(one, "ann", now + WINDOW), None);
        for number in 0..MAX_PER_ADDRESS {
            throttle.note(other, &number.to_string(), now);
        }
        assert_eq!(throttle.wait(other, "new", now), Some(WINDOW));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for number in 0..MAX_REMEMBERED as u32 {
            throttle.note(IpAddr::V4(number.into()), "ann", now);
        }
        let remembered = throttle.0.lock().unwrap().len();
        assert!(remembered <= MAX_REMEMBERED, "{remembered}");
        assert_eq!(throttle.wait("192.168.0.1".parse().unwrap(), "ann", now), None);
    }
}
