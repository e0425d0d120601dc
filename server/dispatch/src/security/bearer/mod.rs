//! `security.bearer_token` on channels: OAuth 2 access tokens that somebody else gave to the caller (RFC 6750).
//!
//! * [`Bearer`] - one definition, ready to check tokens
//! * [`jws`] - signed tokens and public keys
//! * [`keys`] - where the keys come from, and when they are looked up again
//! * [`introspection`] - asks the issuer about tokens that say nothing by themselves
//! * [`claims`] - what a token must say
//! * [`remembered`] - what was found out about tokens of late

mod claims;
mod introspection;
mod jws;
mod keys;
mod remembered;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::{Cid, Error, Kind};
use busbar_runtime::Fault;
use busbar_runtime::inbound::{Admission, Identity, Verdict};
use busbar_runtime::peers::{PeerAddress, Peers};

use self::claims::Rules;
use self::introspection::{Introspection, Known};
use self::jws::{Algorithm, Token};
use self::keys::{Keys, Origin, Signature};
use self::remembered::end;
use crate::security::basic::bearer_token;
use crate::security::definitions::unauthorized;
use crate::security::guard::forbidden;

/// What callers of secured channels are shown as the realm.
const REALM: &str = "Bearer realm=\"busbar\"";

/// One definition.
pub(crate) struct Bearer {
    name: String,
    config: SecurityBearerToken,
    rules: Rules,
    /// Empty: any.
    algorithms: Vec<Algorithm>,
    source: Source,
}

enum Source {
    Keys(Keys),
    Introspection(Introspection),
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// There is none.
    Missing,
    /// It is wrong, and how.
    Invalid(&'static str),
    /// It is right, and not enough.
    Insufficient,
    /// Nobody can say now.
    Unavailable,
}

const UNREADABLE: Refusal = Refusal::Invalid("The token cannot be read");
const UNSIGNED: Refusal = Refusal::Invalid("The token's signature is not right");
const INACTIVE: Refusal = Refusal::Invalid("The token is not active");

/// The definitions that are in use, so that a change of others does not lose what they have looked up.
#[derive(Default)]
pub(crate) struct Bearers {
    peers: Option<Arc<dyn Peers>>,
    live: Mutex<HashMap<String, Weak<Bearer>>>,
}

impl Bearers {
    /// Definitions whose keys and issuers are reached through `peers`.
    pub(crate) fn new(peers: Arc<dyn Peers>) -> Self {
        Self {
            peers: Some(peers),
            live: Mutex::default(),
        }
    }

    /// The definition of this name: the one that is in use, unless it is another now.
    pub(crate) fn get(&self, name: &str, config: SecurityBearerToken) -> Result<Arc<Bearer>, Error> {
        // the map is whole after every statement
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bearer) = live.get(name).and_then(Weak::upgrade)
            && bearer.config == config
        {
            return Ok(bearer);
        }
        let bearer = Arc::new(Bearer::build(name, config, self.peers.as_ref())?);
        live.insert(name.to_owned(), Arc::downgrade(&bearer));
        Ok(bearer)
    }

    /// Forgets the definitions that are gone.
    pub(crate) fn sweep(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, bearer| bearer.strong_count() > 0);
    }
}

impl Bearer {
    fn build(name: &str, config: SecurityBearerToken, peers: Option<&Arc<dyn Peers>>) -> Result<Self, Error> {
        let open = |url: &str| {
            let address = PeerAddress {
                url: url.to_owned(),
                tls_verify: config.tls_verify,
                tls_ca_path: config.tls_ca_path.clone(),
            };
            match peers {
                Some(peers) => peers.open(&format!("security.bearer_token `{name}`"), &address),
                None => Err(Error::new(
                    Kind::Internal,
                    format!("security.bearer_token `{name}` has nobody to ask"),
                )),
            }
        };
        let source = if !config.introspection_url.is_empty() {
            Source::Introspection(Introspection::new(&config, open(&config.introspection_url)?))
        } else {
            let origin = match (config.jwks_url.as_str(), config.jwks_path.as_str()) {
                ("", "") => Origin::Text,
                ("", path) => Origin::File(path.into()),
                (url, _) => Origin::Peer(open(url)?),
            };
            Source::Keys(Keys::build(name, &config, origin)?)
        };
        Ok(Self {
            name: name.to_owned(),
            rules: Rules::of(name, &config),
            algorithms: config
                .algorithms
                .split_whitespace()
                .filter_map(Algorithm::named)
                .collect(),
            source,
            config,
        })
    }

    /// Whether a request may come in, by its `Authorization`.
    pub(crate) fn check(self: &Arc<Self>, authorization: Option<&[u8]>, cid: Cid) -> Verdict {
        let refused = |refusal| Verdict::Out(self.fault(refusal, cid));
        let Some(token) = authorization.and_then(bearer_token) else {
            return refused(Refusal::Missing);
        };
        let Ok(token) = std::str::from_utf8(token) else {
            return refused(UNREADABLE);
        };
        let known = match &self.source {
            Source::Introspection(introspection) => introspection.known(token).map(|known| match known {
                Known::Good(identity) => Ok(identity),
                Known::Inactive => Err(INACTIVE),
            }),
            Source::Keys(keys) => match keys.remembered(token) {
                Some(identity) => Some(Ok(identity)),
                None => match self.parse(token) {
                    Ok(parsed) => self.judge(token, &parsed, keys.check(&parsed)),
                    Err(refusal) => Some(Err(refusal)),
                },
            },
        };
        match known {
            Some(Ok(identity)) => Verdict::In(Some(identity)),
            Some(Err(refusal)) => refused(refusal),
            None => {
                let (bearer, token) = (Arc::clone(self), token.to_owned());
                Verdict::Wait(Box::pin(async move { bearer.ask(&token, cid).await }))
            }
        }
    }

    /// Finds out what is not known yet.
    async fn ask(&self, token: &str, cid: Cid) -> Result<Admission, Fault> {
        let found = match &self.source {
            Source::Introspection(introspection) => self.introspect(introspection, token).await,
            Source::Keys(keys) => match self.parse(token) {
                Ok(parsed) => {
                    let signature = keys.check_anew(&parsed).await;
                    self.judge(token, &parsed, signature)
                        .unwrap_or(Err(Refusal::Unavailable))
                }
                Err(refusal) => Err(refusal),
            },
        };
        found.map(Some).map_err(|refusal| self.fault(refusal, cid))
    }

    async fn introspect(&self, introspection: &Introspection, token: &str) -> Result<Arc<Identity>, Refusal> {
        let claims = introspection.ask(token).await.map_err(|error| {
            let error = error.chain();
            tracing::warn!(
                error,
                "cannot ask about a token for security.bearer_token `{}`",
                self.name
            );
            Refusal::Unavailable
        })?;
        let Some(claims) = claims else {
            introspection.remember_inactive(token);
            return Err(INACTIVE);
        };
        let identity = Arc::new(self.rules.identity(&claims, SystemTime::now())?);
        introspection.remember(token, &identity, &claims);
        Ok(identity)
    }

    fn parse<'t>(&self, token: &'t str) -> Result<Token<'t>, Refusal> {
        let token = Token::parse(token).ok_or(UNREADABLE)?;
        match self.algorithms.is_empty() || self.algorithms.contains(&token.algorithm) {
            true => Ok(token),
            false => Err(UNSIGNED),
        }
    }

    /// What follows from a signature; `None`: that is still to be found out.
    fn judge(&self, text: &str, token: &Token<'_>, signature: Signature) -> Option<Result<Arc<Identity>, Refusal>> {
        Some(match signature {
            Signature::Good(keys) => match token.claims() {
                Some(claims) => self.rules.identity(&claims, SystemTime::now()).map(|identity| {
                    let identity = Arc::new(identity);
                    if let Some(end) = end(&claims) {
                        keys.remember(text, &identity, end + self.rules.leeway());
                    }
                    identity
                }),
                None => Err(UNREADABLE),
            },
            Signature::Bad | Signature::Unknown => Err(UNSIGNED),
            Signature::Unavailable => Err(Refusal::Unavailable),
            Signature::Pending => return None,
        })
    }

    /// As a request without a token is refused.
    pub(crate) fn refusal(&self, cid: Cid) -> Fault {
        self.fault(Refusal::Missing, cid)
    }

    fn fault(&self, refusal: Refusal, cid: Cid) -> Fault {
        let (fault, challenge) = match refusal {
            Refusal::Missing => (unauthorized(cid), REALM.to_owned()),
            Refusal::Invalid(what) => (
                unauthorized(cid),
                format!("{REALM}, error=\"invalid_token\", error_description=\"{what}\""),
            ),
            Refusal::Insufficient => {
                let scopes = self.rules.scopes();
                let scopes = if scopes.is_empty() {
                    scopes
                } else {
                    format!(", scope=\"{scopes}\"")
                };
                (forbidden(), format!("{REALM}, error=\"insufficient_scope\"{scopes}"))
            }
            // the caller may be right, and is not told to get another token
            Refusal::Unavailable => {
                let fault = Fault::new(503, "The token cannot be checked now, try again later");
                return fault.with_header("Retry-After", "5");
            }
        };
        fault.with_header("WWW-Authenticate", challenge)
    }
}
