//! The tokens that are good now.
//!
//! How long a token lives is not written in it: each use makes it live for its definition's `ttl` again, so the hub keeps the end. A
//! token is known by its digest, so that nothing here could be sent as one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Tokens at once. Beyond, the one that would have ended first makes room.
const MAX: usize = 100_000;

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    start: Instant,
    max: usize,
    open: RwLock<HashMap<Key, Session>>,
}

type Key = [u8; 32];

/// One token.
#[derive(Debug)]
struct Session {
    /// Name of the definition that it was given for, and which version of it. A definition that is changed ends its sessions.
    definition: Arc<str>,
    version: u64,
    ttl: Duration,
    /// Milliseconds since the start.
    ends: AtomicU64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            max: MAX,
            open: RwLock::default(),
        }
    }
}

impl Sessions {
    /// Notes a token that was given.
    pub(crate) fn open(&self, token: &str, definition: &str, version: u64, ttl: Duration) {
        self.open_at(Instant::now(), token, definition, version, ttl);
    }

    fn open_at(&self, now: Instant, token: &str, definition: &str, version: u64, ttl: Duration) {
        let now = self.millis(now);
        let session = Session {
            definition: definition.into(),
            version,
            ttl,
            ends: AtomicU64::new(now + ttl.as_millis() as u64),
        };
        // the map is whole after every statement
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.max {
            open.retain(|_, session| session.ends.load(Ordering::Relaxed) > now);
        }
        if open.len() >= self.max {
            let first = open
                .iter()
                .min_by_key(|(_, session)| session.ends.load(Ordering::Relaxed));
            if let Some(key) = first.map(|(key, _)| *key) {
                tracing::warn!(
                    "there are {} JWT tokens: the one that would end first ends now",
                    self.max
                );
                open.remove(&key);
            }
        }
        open.insert(key(token), session);
    }

    /// Whether a token is good for this version of the definition. If so, it lives on.
    pub(crate) fn is_good(&self, token: &[u8], definition: &str, version: u64) -> bool {
        self.is_good_at(Instant::now(), token, definition, version)
    }

    fn is_good_at(&self, now: Instant, token: &[u8], definition: &str, version: u64) -> bool {
        let now = self.millis(now);
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = open.get(&key(token)) else {
            return false;
        };
        let is_good = *session.definition == *definition
            && session.version == version
            && session.ends.load(Ordering::Relaxed) > now;
        if is_good {
            session
                .ends
                .fetch_max(now + session.ttl.as_millis() as u64, Ordering::Relaxed);
        }
        is_good
    }

    /// Ends a session. False: there is none.
    pub(crate) fn close(&self, token: &[u8]) -> bool {
        let now = self.millis(Instant::now());
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.remove(&key(token))
            .is_some_and(|session| session.ends.load(Ordering::Relaxed) > now)
    }

    /// Ends the sessions for which `is_valid` (definition and version) says no, and those that are over.
    pub(crate) fn sweep(&self, is_valid: impl Fn(&str, u64) -> bool) {
        let now = self.millis(Instant::now());
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| {
            session.ends.load(Ordering::Relaxed) > now && is_valid(&session.definition, session.version)
        });
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }
}

fn key(token: impl AsRef<[u8]>) -> Key {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_on_with_each_use() {
        let sessions = Sessions::default();
        let start = sessions.start;
        let at = |seconds| start + Duration::from_secs(seconds);
        sessions.open_at(at(0), "t", "shop", 1, Duration::from_secs(10));
        assert!(!sessions.is_good_at(at(1), b"t2", "shop", 1));
        assert!(!sessions.is_good_at(at(1), b"t", "other", 1));
        assert!(
            !sessions.is_good_at(at(1), b"t", "shop", 2),
            "the definition was changed"
        );
        assert!(sessions.is_good_at(at(9), b"t", "shop", 1));
        assert!(sessions.is_good_at(at(18), b"t", "shop", 1));
        assert!(!sessions.is_good_at(at(28), b"t", "shop", 1));
    }

    #[test]
    fn tokens_can_be_given_back_and_swept() {
        let sessions = Sessions::default();
        let ttl = Duration::from_secs(60);
        sessions.open("a", "shop", 1, ttl);
        sessions.open("b", "shop", 1, ttl);
        sessions.open("c", "gone", 1, ttl);
        assert!(sessions.close(b"a") && !sessions.close(b"a") && !sessions.is_good(b"a", "shop", 1));
        sessions.sweep(|definition, _| definition == "shop");
        assert!(sessions.is_good(b"b", "shop", 1) && !sessions.is_good(b"c", "gone", 1));
    }

    #[test]
    fn there_are_never_too_many() {
        let sessions = Sessions {
            max: 2,
            ..Sessions::default()
        };
        let open = |token, seconds| sessions.open(token, "shop", 1, Duration::from_secs(seconds));
        open("a", 30);
        open("b", 20);
        open("c", 10);
        let is_good = |token: &[u8]| sessions.is_good(token, "shop", 1);
        assert!(is_good(b"a") && !is_good(b"b") && is_good(b"c"));
    }
}
