//! Passwords that are stored as hashes: who reads them cannot log in with them.
//!
//! Argon2id takes tens of milliseconds and 19 MB on purpose, far too much for each request. So a hash is asked once: the password that it
//! is of is remembered as a keyed digest, with a key that lives as long as the process, and from then on both right and wrong passwords
//! cost a digest and a comparison. Until then few are looked at, one at a time, and on a thread of their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use busbar_model::Error;
use busbar_runtime::Fault;
use busbar_runtime::crypto::{hash_secret, random_secret, verify_hash};
use ring::hmac;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// How the text of a hash begins. A password that begins like this cannot be one.
const MARK: &str = "$argon2";
/// Passwords that wait to be looked at. Beyond, callers are told to come back.
const MAX_WAITING: usize = 32;

/// What a password is known by.
pub(crate) enum Password {
    /// Itself.
    Text(String),
    /// Its hash.
    Hashed(Arc<Hashed>),
}

/// The hashes in use, which outlive changes of the configuration with what is known of them.
#[derive(Default)]
pub(crate) struct Passwords {
    desk: Arc<Desk>,
    known: Mutex<HashMap<String, Weak<Hashed>>>,
}

/// One hash.
pub(crate) struct Hashed {
    hash: String,
    /// The digest of the password that it is of, since somebody brought it.
    right: OnceLock<Digest>,
    desk: Arc<Desk>,
}

/// Where passwords are looked at.
struct Desk {
    /// Of digests.
    key: hmac::Key,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

type Digest = [u8; 32];

impl Default for Desk {
    fn default() -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &random_secret(256)),
            turns: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
        }
    }
}

/// What is to be stored of a password that nobody needs but those who bring it. A hash already is what is to be stored.
///
/// # Errors
/// The password cannot be hashed: it is too long.
pub fn hashed_password(password: &str) -> Result<String, Error> {
    if is_hash(password) {
        return Ok(password.to_owned());
    }
    hash_secret(password.as_bytes())
}

/// Whether what is stored is a hash.
pub fn is_hash(stored: &str) -> bool {
    stored.starts_with(MARK)
}

impl Passwords {
    /// What a stored password is known by.
    pub(crate) fn get(&self, stored: String) -> Password {
        if !is_hash(&stored) {
            return Password::Text(stored);
        }
        // the map is whole after every statement
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hashed) = known.get(&stored).and_then(Weak::upgrade) {
            return Password::Hashed(hashed);
        }
        let hashed = Arc::new(Hashed {
            hash: stored.clone(),
            right: OnceLock::new(),
            desk: Arc::clone(&self.desk),
        });
        known.insert(stored, Arc::downgrade(&hashed));
        Password::Hashed(hashed)
    }

    /// Forgets the hashes that are gone.
    pub(crate) fn sweep(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, hashed| hashed.strong_count() > 0);
    }
}

impl Hashed {
    /// Whether it is of this password, if that can be told without looking.
    pub(crate) fn knows(&self, password: &[u8]) -> Option<bool> {
        let right = self.right.get()?;
        Some(self.digest(password).ct_eq(right).into())
    }

    /// Whether it is of this password.
    ///
    /// # Errors
    /// 503: too many passwords wait to be looked at.
    pub(crate) async fn look(self: Arc<Self>, password: Vec<u8>) -> Result<bool, Fault> {
        let place = Place::take(&self.desk).ok_or_else(busy)?;
        let turn = Arc::clone(&self.desk.turns).acquire_owned().await;
        let turn = turn.map_err(|_| busy())?;
        // somebody else may have brought the right one meanwhile
        if let Some(is_right) = self.knows(&password) {
            return Ok(is_right);
        }
        let this = Arc::clone(&self);
        let looked = tokio::task::spawn_blocking(move || {
            // it goes on when the caller has gone, so it keeps both until then
            let (_place, _turn) = (place, turn);
            let is_right = verify_hash(&password, &this.hash)?;
            if is_right {
                this.right.get_or_init(|| this.digest(&password));
            }
            Ok::<_, Error>(is_right)
        });
        match looked.await {
            Ok(Ok(is_right)) => Ok(is_right),
            Ok(Err(error)) => {
                tracing::error!(
                    error = error.chain(),
                    "a stored password cannot be read, and lets nobody in"
                );
                Ok(false)
            }
            Err(error) => {
                tracing::error!(%error, "a password could not be looked at");
                Err(Fault::new(500, "Internal server error"))
            }
        }
    }

    fn digest(&self, password: &[u8]) -> Digest {
        let tag = hmac::sign(&self.desk.key, password);
        tag.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

/// A place among those that wait.
struct Place(Arc<Desk>);

impl Place {
    fn take(desk: &Arc<Desk>) -> Option<Self> {
        let place = Self(Arc::clone(desk));
        (desk.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn busy() -> Fault {
    Fault::new(503, "Too many log-ins at once, try again later").with_header("Retry-After", "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(passwords: &Passwords, stored: &str) -> Arc<Hashed> {
        match passwords.get(stored.to_owned()) {
            Password::Hashed(hashed) => hashed,
            Password::Text(text) => panic!("{text} is no hash"),
        }
    }

    #[tokio::test]
    async fn a_hash_is_asked_once() {
        let stored = hashed_password("s3cret").unwrap();
        assert!(is_hash(&stored) && !stored.contains("s3cret"));
        assert_eq!(hashed_password(&stored).unwrap(), stored);
        let passwords = Passwords::default();
        let first = hashed(&passwords, &stored);
        assert_eq!(first.knows(b"s3cret"), None);
        assert!(!Arc::clone(&first).look(b"guess".to_vec()).await.unwrap());
        assert_eq!(first.knows(b"s3cret"), None, "a wrong one says nothing about others");
        assert!(Arc::clone(&first).look(b"s3cret".to_vec()).await.unwrap());
        assert_eq!(
            (first.knows(b"s3cret"), first.knows(b"guess")),
            (Some(true), Some(false))
        );
        // a change of something else does not forget it
        assert_eq!(hashed(&passwords, &stored).knows(b"s3cret"), Some(true));
        drop(first);
        assert_eq!(hashed(&passwords, &stored).knows(b"s3cret"), None);
    }

    #[tokio::test]
    async fn no_more_wait_than_there_are_places() {
        let passwords = Passwords::default();
        let hashed = hashed(&passwords, &hashed_password("s3cret").unwrap());
        let places: Vec<_> = (0..MAX_WAITING).map(|_| Place::take(&hashed.desk).unwrap()).collect();
        let fault = Arc::clone(&hashed).look(b"s3cret".to_vec()).await.unwrap_err();
        assert_eq!(fault.status, 503);
        drop(places);
        assert!(hashed.look(b"s3cret".to_vec()).await.unwrap());
    }

    #[tokio::test]
    async fn what_only_looks_like_a_hash_lets_nobody_in() {
        let passwords = Passwords::default();
        let hashed = hashed(&passwords, "$argon2id$v=19$nonsense");
        assert!(!hashed.look(b"$argon2id$v=19$nonsense".to_vec()).await.unwrap());
    }
}
