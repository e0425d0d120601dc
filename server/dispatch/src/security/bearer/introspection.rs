//! Tokens of which only their issuer knows whether they are good: it is asked (RFC 7662).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::{Error, Kind};
use busbar_runtime::inbound::Identity;
use busbar_runtime::peers::{Peer, PeerAnswer, Question};
use hashlink::LruCache;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::claims::Claims;

/// Good tokens that are remembered. Beyond, the one that was not used for longest makes room.
const MAX: usize = 10_000;
/// How client names and secrets are written before they become Basic credentials (RFC 6749 2.3.1).
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whom a definition asks about tokens.
pub(super) struct Introspection {
    peer: Arc<dyn Peer>,
    basic_auth: (String, String),
    longest: Duration,
    good: Mutex<LruCache<[u8; 32], Good>>,
}

/// A token that was good when somebody asked. Known by its digest, so that nothing here could be sent as one.
struct Good {
    identity: Arc<Identity>,
    until: Instant,
}

impl Introspection {
    pub(super) fn new(config: &SecurityBearerToken, peer: Arc<dyn Peer>) -> Self {
        let encoded = |text: &str| utf8_percent_encode(text, FORM).to_string();
        Self {
            peer,
            basic_auth: (encoded(&config.username), encoded(&config.password)),
            longest: Duration::from_secs(config.introspection_cache.into()),
            good: Mutex::new(LruCache::new(MAX)),
        }
    }

    /// Whoever brings a token that was found good of late.
    pub(super) fn known(&self, token: &str) -> Option<Arc<Identity>> {
        // the map is whole after every statement
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(token);
        let found = good.get(&key)?;
        if found.until > Instant::now() {
            return Some(Arc::clone(&found.identity));
        }
        good.remove(&key);
        None
    }

    /// Asks. `None`: the token is not good.
    pub(super) async fn ask(&self, token: &str) -> Result<Option<Claims>, Error> {
        let question = Question {
            form: vec![
                ("token".to_owned(), token.to_owned()),
                ("token_type_hint".to_owned(), "access_token".to_owned()),
            ],
            basic_auth: Some(self.basic_auth.clone()),
        };
        let PeerAnswer { status, body } = self.peer.ask(question).await?;
        // nothing of what it says goes into messages: it may repeat the token
        let wrong = |what: String| Error::new(Kind::Protocol, what);
        if status != 200 {
            return Err(wrong(format!("the introspection endpoint answered {status}")));
        }
        let claims: Claims = serde_json::from_slice(&body)
            .map_err(|_| wrong("the introspection endpoint did not answer with a JSON object".to_owned()))?;
        match claims.get("active").and_then(serde_json::Value::as_bool) {
            Some(true) => Ok(Some(claims)),
            Some(false) => Ok(None),
            None => Err(wrong(
                "the introspection endpoint did not say whether the token is active".to_owned(),
            )),
        }
    }

    /// Remembers that a token is good, no longer than until it ends.
    pub(super) fn remember(&self, token: &str, identity: &Arc<Identity>, claims: &Claims, now: SystemTime) {
        let left = claims.get("exp").and_then(serde_json::Value::as_f64).map(|end| {
            let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            Duration::try_from_secs_f64(end - now).unwrap_or_default()
        });
        let life = left.unwrap_or(self.longest).min(self.longest);
        if life.is_zero() {
            return;
        }
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + life;
        let identity = Arc::clone(identity);
        good.insert(key(token), Good { identity, until });
    }
}

fn key(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
