//! What was found out about tokens, for a while and in bounded memory.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hashlink::LruCache;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claims::Claims;

/// Answers by token. Tokens are known by their digests, so that nothing here could be sent as one.
pub(super) struct Remembered<V> {
    answers: Mutex<LruCache<[u8; 32], Answer<V>>>,
}

struct Answer<V> {
    value: V,
    until: Instant,
    /// When the token ends by the calendar, whatever the clock that `until` goes by has done meanwhile.
    end: Option<SystemTime>,
}

impl<V: Clone> Remembered<V> {
    /// Room for so many answers. Beyond, the one that was not used for longest goes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            answers: Mutex::new(LruCache::new(max)),
        }
    }

    /// What is known of a token.
    pub(super) fn get(&self, token: &str) -> Option<V> {
        let key: [u8; 32] = Sha256::digest(token).into();
        // the map is whole after every statement
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let found = answers.get(&key)?;
        if found.until > Instant::now() && found.end.is_none_or(|end| end > SystemTime::now()) {
            return Some(found.value.clone());
        }
        answers.remove(&key);
        None
    }

    /// Remembers something for no longer than `longest`, and no longer than until the token's end.
    pub(super) fn put(&self, token: &str, value: V, longest: Duration, end: Option<SystemTime>) {
        let left = end.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let life = left.map_or(longest, |left| left.min(longest));
        if life.is_zero() {
            return;
        }
        let answer = Answer {
            value,
            until: Instant::now() + life,
            end,
        };
        let key: [u8; 32] = Sha256::digest(token).into();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(key, answer);
    }
}

/// When a token ends that says so.
pub(super) fn end(claims: &Claims) -> Option<SystemTime> {
    let end = claims.get("exp")?.as_f64()?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(end.max(0.0)).ok()?)
}
