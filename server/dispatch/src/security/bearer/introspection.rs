//! Tokens of which only their issuer knows whether they are good: it is asked (RFC 7662).

use std::sync::Arc;
use std::time::Duration;

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::{Error, Kind};
use busbar_runtime::inbound::Identity;
use busbar_runtime::peers::{Peer, PeerAnswer, Question};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::claims::Claims;
use super::remembered::{Remembered, end};

/// Good tokens that are remembered.
const MAX_GOOD: usize = 10_000;
/// Tokens that are not good: fewer, because anybody can make some up. They have a place of their own, so they take none from good ones.
const MAX_INACTIVE: usize = 1_000;
/// How client names and secrets are written before they become Basic credentials (RFC 6749 2.3.1).
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whom a definition asks about tokens.
pub(super) struct Introspection {
    peer: Arc<dyn Peer>,
    basic_auth: (String, String),
    longest: Duration,
    good: Remembered<Arc<Identity>>,
    inactive: Remembered<()>,
}

/// What is known of a token.
pub(super) enum Known {
    Good(Arc<Identity>),
    Inactive,
}

impl Introspection {
    pub(super) fn new(config: &SecurityBearerToken, peer: Arc<dyn Peer>) -> Self {
        let encoded = |text: &str| utf8_percent_encode(text, FORM).to_string();
        Self {
            peer,
            basic_auth: (encoded(&config.username), encoded(&config.password)),
            longest: Duration::from_secs(config.introspection_cache.into()),
            good: Remembered::new(MAX_GOOD),
            inactive: Remembered::new(MAX_INACTIVE),
        }
    }

    /// What was found out about a token of late.
    pub(super) fn known(&self, token: &str) -> Option<Known> {
        let good = self.good.get(token).map(Known::Good);
        good.or_else(|| self.inactive.get(token).map(|()| Known::Inactive))
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
    pub(super) fn remember(&self, token: &str, identity: &Arc<Identity>, claims: &Claims) {
        self.good.put(token, Arc::clone(identity), self.longest, end(claims));
    }

    /// Remembers that a token is not good. One that was becomes so by itself only if it was not good yet.
    pub(super) fn remember_inactive(&self, token: &str) {
        self.inactive.put(token, (), self.longest, None);
    }
}
