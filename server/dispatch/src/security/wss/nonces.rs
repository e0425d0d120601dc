//! Nonces that were seen of late, so that a message which somebody recorded cannot be sent again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Nonces that are remembered. Beyond, callers are refused until some are forgotten: one that was forgotten early could be sent again.
const MAX: usize = 200_000;
/// Old ones are looked for when there are so many, and then again whenever there are twice as many as were left.
const MANY: usize = 1024;

/// When nothing could be forgotten, this must pass before it is tried again: looking at all of them costs milliseconds.
const SWEEP_AGAIN: Duration = Duration::from_secs(1);

/// The nonces of all definitions.
#[derive(Debug)]
pub(crate) struct Nonces {
    max: usize,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// By digest, and until when.
    until: HashMap<[u8; 32], Instant>,
    sweep_at: usize,
    /// When all of them were last looked at to no avail.
    swept: Option<Instant>,
}

impl Default for Nonces {
    fn default() -> Self {
        Self::with_max(MAX)
    }
}

impl Nonces {
    fn with_max(max: usize) -> Self {
        let seen = Seen {
            until: HashMap::new(),
            sweep_at: MANY,
            swept: None,
        };
        Self {
            max,
            seen: Mutex::new(seen),
        }
    }

    /// Whether a nonce of a definition has not been seen for so long. From now on it has been.
    pub(crate) fn is_new(&self, definition: &str, nonce: &str, freshness: Duration, now: Instant) -> bool {
        let digest = Sha256::new()
            .chain_update((definition.len() as u64).to_le_bytes())
            .chain_update(definition)
            .chain_update(nonce)
            .finalize();
        // the map is whole after every statement
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = seen
            .swept
            .is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_AGAIN);
        if seen.until.len() >= seen.sweep_at && is_due {
            seen.until.retain(|_, until| *until > now);
            seen.sweep_at = (seen.until.len() * 2).clamp(MANY.min(self.max), self.max);
            seen.swept = (seen.until.len() >= self.max).then_some(now);
            if seen.swept.is_some() {
                tracing::warn!(
                    "there are {} nonces to remember: callers with new ones are refused for now",
                    self.max
                );
            }
        }
        if seen.until.len() >= self.max {
            return false;
        }
        let previous = seen.until.insert(digest.into(), now + freshness);
        previous.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_forgotten_in_time_and_bounded() {
        let nonces = Nonces::with_max(3000);
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let is_new = |definition: &str, nonce: &str, now| nonces.is_new(definition, nonce, minute, now);
        assert!(is_new("a", "1", now) && is_new("b", "1", now) && !is_new("a", "1", now));
        assert!(is_new("a", "1", now + minute));
        for number in 0..6000 {
            is_new("a", &number.to_string(), now + minute);
        }
        assert_eq!(nonces.seen.lock().unwrap().until.len(), 3000);
        assert!(!is_new("a", "new", now + minute));
        assert!(is_new("a", "new", now + minute * 3));
        assert!(nonces.seen.lock().unwrap().until.len() < MANY);
    }
}
