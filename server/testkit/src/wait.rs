//! Waiting for an event, with a limit.

use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen soon. Generous: the machine runs other tests at the same time.
pub const LIMIT: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(10);

/// Asks again and again until `probe` gives something, and gives it back.
///
/// # Panics
///
/// After [`LIMIT`], naming `what` has not happened.
#[track_caller]
pub fn wait_until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_for(LIMIT, what, probe)
}

/// [`wait_until`] with a limit of its own.
///
/// # Panics
///
/// After `limit`, naming `what` has not happened.
#[track_caller]
pub fn wait_for<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        std::thread::sleep(POLL);
    }
}
