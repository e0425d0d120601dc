//! The keys of whoever signs tokens: looked up when they are first needed, and again when they are old or a token names another one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::{Error, Kind};
use busbar_runtime::inbound::Identity;
use busbar_runtime::peers::{Peer, PeerAnswer, Question};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::jws::{Key, Token};
use super::remembered::Remembered;

/// After so long the keys are looked up again, so that those which were taken back are known.
const REFRESH: Duration = Duration::from_secs(3600);
/// Keys that could not be looked up again for so long are not used any more.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Tokens that are remembered.
const MAX_GOOD: usize = 10_000;

/// A definition's keys.
pub(super) struct Keys {
    name: String,
    origin: Origin,
    interval: Duration,
    known: ArcSwapOption<Set>,
    /// Held while they are looked up: whoever needs keys that are not known yet waits for that.
    lookup: Mutex<Lookup>,
}

/// Where they come from.
pub(super) enum Origin {
    /// The definition itself.
    Text,
    File(PathBuf),
    Peer(Arc<dyn Peer>),
}

#[derive(Default)]
struct Lookup {
    at: Option<Instant>,
    has_failed: bool,
}

/// The keys that are known at one time, and which tokens they were found to have signed: those are forgotten together with the keys.
pub(super) struct Set {
    keys: Vec<Key>,
    at: Instant,
    good: Remembered<Arc<Identity>>,
}

/// What is known of a token's signature.
pub(super) enum Signature {
    /// One of these keys has made it.
    Good(Arc<Set>),
    Bad,
    /// Its key is not among those that are known.
    Unknown,
    /// It takes keys that are not known now.
    Pending,
    /// The keys cannot be looked up.
    Unavailable,
}

impl Keys {
    pub(super) fn build(name: &str, config: &SecurityBearerToken, origin: Origin) -> Result<Self, Error> {
        let keys = Self {
            name: name.to_owned(),
            interval: Duration::from_secs(config.jwks_refresh_interval.into()),
            known: ArcSwapOption::empty(),
            lookup: Mutex::default(),
            origin,
        };
        // a mistake in what is at hand is told whoever makes it
        let text = match &keys.origin {
            Origin::Text => config.jwks.clone().into_bytes(),
            Origin::File(path) => std::fs::read(path).map_err(|error| {
                let message = format!(
                    "cannot read the keys of security.bearer_token `{name}` from `{}`",
                    path.display()
                );
                Error::new(Kind::Config, message).with_source(error)
            })?,
            Origin::Peer(_) => return Ok(keys),
        };
        keys.keep(read(name, &text)?);
        Ok(keys)
    }

    /// Looks at a token without waiting.
    pub(super) fn check(&self, token: &Token<'_>) -> Signature {
        let Some(set) = self.known() else {
            return Signature::Pending;
        };
        match set.check(token) {
            // a text stays what it is
            signature if matches!(self.origin, Origin::Text) => signature,
            Signature::Unknown => Signature::Pending,
            _ if self.is_due(&set) => Signature::Pending,
            signature => signature,
        }
    }

    /// Whoever brings a token that these keys were found to have signed, unless it is time for other keys.
    pub(super) fn remembered(&self, token: &str) -> Option<Arc<Identity>> {
        let set = self.known()?;
        set.good.get(token).filter(|_| !self.is_due(&set))
    }

    /// Whether it is time to look again. Whoever finds somebody looking makes do with what is known.
    fn is_due(&self, set: &Set) -> bool {
        !matches!(self.origin, Origin::Text)
            && set.at.elapsed() >= REFRESH
            && self.lookup.try_lock().is_ok_and(|lookup| self.may_look(&lookup))
    }

    /// Looks at a token, with new keys if it is time for some.
    pub(super) async fn check_anew(&self, token: &Token<'_>) -> Signature {
        let mut lookup = self.lookup.lock().await;
        if self.may_look(&lookup) {
            lookup.at = Some(Instant::now());
            lookup.has_failed = match self.look_up().await {
                Ok(keys) => {
                    self.keep(keys);
                    false
                }
                Err(error) => {
                    tracing::warn!(
                        error = error.chain(),
                        "cannot look up the keys of security.bearer_token `{}`: tokens whose keys are not known are answered with 503",
                        self.name
                    );
                    true
                }
            };
        }
        let has_failed = lookup.has_failed;
        drop(lookup);
        match self.known().map(|set| set.check(token)) {
            None => Signature::Unavailable,
            // its key may be a new one
            Some(Signature::Unknown) if has_failed => Signature::Unavailable,
            Some(signature) => signature,
        }
    }

    fn known(&self) -> Option<Arc<Set>> {
        let set = self.known.load_full()?;
        let is_fixed = matches!(self.origin, Origin::Text);
        (is_fixed || set.at.elapsed() < LONGEST).then_some(set)
    }

    fn keep(&self, keys: Vec<Key>) {
        let at = Instant::now();
        let good = Remembered::new(MAX_GOOD);
        self.known.store(Some(Arc::new(Set { keys, at, good })));
    }

    fn may_look(&self, lookup: &Lookup) -> bool {
        lookup.at.is_none_or(|at| at.elapsed() >= self.interval)
    }

    async fn look_up(&self) -> Result<Vec<Key>, Error> {
        match &self.origin {
            Origin::Text => Ok(Vec::new()),
            Origin::File(path) => {
                let text = tokio::fs::read(path).await.map_err(|error| {
                    Error::new(Kind::Config, format!("cannot read `{}`", path.display())).with_source(error)
                })?;
                read(&self.name, &text)
            }
            Origin::Peer(peer) => {
                let PeerAnswer { status, body } = peer.ask(Question::default()).await?;
                if status != 200 {
                    return Err(Error::new(
                        Kind::Protocol,
                        format!("the address of the keys answered {status}"),
                    ));
                }
                read(&self.name, &body)
            }
        }
    }
}

fn read(name: &str, text: &[u8]) -> Result<Vec<Key>, Error> {
    match Key::read_set(text) {
        Some(keys) if !keys.is_empty() => Ok(keys),
        keys => {
            let what = keys.map_or("are not a JWK set", |_| "have none that signatures can be checked with");
            let message = format!("the keys of security.bearer_token `{name}` {what}");
            Err(Error::new(Kind::Config, message)
                .with_hint("a JWK set is `{\"keys\": [...]}` with keys of the types RSA, EC and OKP"))
        }
    }
}

impl Set {
    /// Remembers whom a token names that was found good, until it ends.
    pub(super) fn remember(&self, token: &str, identity: &Arc<Identity>, end: SystemTime) {
        self.good.put(token, Arc::clone(identity), LONGEST, Some(end));
    }

    fn check(self: &Arc<Self>, token: &Token<'_>) -> Signature {
        let mut is_named = false;
        for key in &self.keys {
            match (&key.id, &token.key_id) {
                (Some(id), Some(wanted)) if id == wanted => is_named = true,
                (Some(_), Some(_)) => continue,
                _ => {}
            }
            if key.verifies(token) {
                return Signature::Good(Arc::clone(self));
            }
        }
        if is_named { Signature::Bad } else { Signature::Unknown }
    }
}
