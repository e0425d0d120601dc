//! Bearer tokens: asked for when they are first needed, kept until shortly before they expire.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use busbar_model::{Error, Kind};
use busbar_runtime::peers::PeerAddress;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::connection::HttpConnection;
use super::double::Double;
use super::message::HttpRequest;
use super::peers::{form, plain_connection};
use busbar_model::bearer_token::{ClientAuth, SecurityBearerToken, TokenFormat};

/// How long the authorization server may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a token of which nothing is said is kept.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);
/// The longest that any token is kept.
const LONGEST_LIFE: f64 = 365.0 * 24.0 * 3600.0;
/// How long before its end a token counts as expired, at most.
const MARGIN: Duration = Duration::from_secs(60);
/// Scopes for which tokens are kept at a time.
const MAX_KEPT: usize = 100;

/// Where the tokens of one security definition come from.
pub struct TokenSource {
    /// Whose they are, for messages.
    owner: String,
    config: SecurityBearerToken,
    connection: HttpConnection,
    /// Held while a token is asked for: whoever else needs one waits for that.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By scopes.
    tokens: HashMap<String, Token>,
    failed: Option<Failed>,
}

struct Token {
    text: String,
    until: Instant,
}

/// How asking for a token ended last, for those who were waiting meanwhile: each asking anew would make the last one wait for all.
struct Failed {
    at: Instant,
    scopes: String,
    kind: Kind,
    message: String,
}

/// A token for a request.
pub(super) struct Given {
    pub text: String,
    /// It was asked for just now, so it is no use to ask again.
    pub is_new: bool,
}

// a source that is built anew knows none of the tokens
impl PartialEq for TokenSource {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl TokenSource {
    /// `owner` says whose tokens they are: ``security.bearer_token `CRM` ``.
    pub(super) fn build(
        owner: &str,
        config: SecurityBearerToken,
        component: &str,
        double: Option<&Arc<dyn Double>>,
    ) -> Result<Self, Error> {
        let failed = || format!("cannot set {owner} up");
        let address = PeerAddress {
            url: config.auth_server_url.clone(),
            tls_verify: config.tls_verify,
            tls_ca_path: config.tls_ca_path.clone(),
        };
        let connection = plain_connection(owner, &address, 1, TIMEOUT, component)
            .map_err(|error| Error::new(error.kind(), failed()).with_source(error))?;
        Ok(Self {
            owner: owner.to_owned(),
            config,
            connection: connection.answered_by(double.cloned()),
            kept: Mutex::default(),
        })
    }

    /// A token for some scopes; empty: those of the definition. `refused` is one that somebody did not accept: it is given to nobody
    /// any more.
    ///
    /// # Errors
    ///
    /// [`Kind::Connection`] and its kin if the authorization server cannot be reached, [`Kind::Protocol`] if it gives no token.
    pub async fn token(&self, scopes: &str, refused: Option<&str>) -> Result<String, Error> {
        let given = self.get(scopes, refused, Instant::now() + TIMEOUT).await?;
        Ok(given.text)
    }

    /// The same, for a call that must end in time.
    pub(super) async fn get(&self, scopes: &str, refused: Option<&str>, deadline: Instant) -> Result<Given, Error> {
        let late = |_| self.error(Kind::Timeout, "it took too long");
        timeout_at(deadline, self.kept_or_new(scopes, refused))
            .await
            .map_err(late)?
    }

    async fn kept_or_new(&self, scopes: &str, refused: Option<&str>) -> Result<Given, Error> {
        let scopes = if scopes.trim().is_empty() {
            &self.config.scopes
        } else {
            scopes
        };
        let scopes = scopes.split_whitespace().collect::<Vec<_>>().join(" ");
        let came = Instant::now();
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        kept.tokens
            .retain(|_, token| token.until > now && refused != Some(token.text.as_str()));
        if let Some(token) = kept.tokens.get(&scopes) {
            return Ok(Given {
                text: token.text.clone(),
                is_new: false,
            });
        }
        if let Some(failed) = &kept.failed
            && failed.at > came
            && failed.scopes == scopes
        {
            return Err(Error::new(failed.kind, failed.message.clone()));
        }
        match self.ask(&scopes).await {
            Ok(token) => {
                kept.failed = None;
                let text = token.text.clone();
                if kept.tokens.len() >= MAX_KEPT {
                    let first = kept.tokens.iter().min_by_key(|(_, token)| token.until);
                    if let Some(first) = first.map(|(scopes, _)| scopes.clone()) {
                        kept.tokens.remove(&first);
                    }
                }
                kept.tokens.insert(scopes, token);
                Ok(Given { text, is_new: true })
            }
            Err(error) => {
                let (kind, message) = (error.kind(), error.chain());
                kept.failed = Some(Failed {
                    at: Instant::now(),
                    scopes,
                    kind,
                    message: message.clone(),
                });
                // as those who wait get it
                Err(Error::new(kind, message))
            }
        }
    }

    /// Asks the authorization server.
    async fn ask(&self, scopes: &str) -> Result<Token, Error> {
        let asked = Instant::now();
        let response = self
            .connection
            .send_plain(self.request(scopes))
            .await
            .map_err(|failure| {
                self.error(failure.kind(), "the authorization server cannot be called")
                    .with_source(failure)
            })?;
        // nothing of what it says goes into messages: it may repeat the secret
        if response.status != 200 {
            let is_temporary = response.status >= 500 || response.status == 429;
            let kind = if is_temporary { Kind::Connection } else { Kind::Protocol };
            return Err(self.error(kind, &format!("the authorization server answered {}", response.status)));
        }
        let wrong = |what: &str| self.error(Kind::Protocol, what);
        let answer: Value = serde_json::from_slice(&response.body)
            .map_err(|_| wrong("the authorization server did not answer with JSON"))?;
        let text = answer["access_token"]
            .as_str()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| wrong("there is no `access_token` in what the authorization server answered"))?;
        let life = life(&answer["expires_in"]);
        Ok(Token {
            text: text.to_owned(),
            until: asked + life - MARGIN.min(life / 10),
        })
    }

    fn request(&self, scopes: &str) -> HttpRequest {
        let config = &self.config;
        let mut fields = vec![("grant_type", config.grant_type.as_str())];
        let basic_auth = match config.client_auth {
            ClientAuth::Form => {
                fields.push((config.client_id_field.as_str(), config.username.as_str()));
                fields.push((config.client_secret_field.as_str(), config.password.as_str()));
                None
            }
            // encoded, so that a colon in a name is none (RFC 6749 2.3.1)
            ClientAuth::Basic => {
                let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                Some((encoded(&config.username), encoded(&config.password)))
            }
        };
        if !scopes.is_empty() {
            fields.push(("scope", scopes));
        }
        fields.extend(config.extra());
        let (body, content_type) = match config.data_format {
            TokenFormat::Form => (form(fields), "application/x-www-form-urlencoded"),
            TokenFormat::Json => {
                let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
                (
                    Value::Object(fields.collect::<Map<_, _>>()).to_string(),
                    "application/json",
                )
            }
        };
        HttpRequest {
            body: body.into(),
            content_type: Some(content_type.to_owned()),
            basic_auth,
            headers: vec![("Accept".to_owned(), "application/json".to_owned())],
            ..HttpRequest::new("POST")
        }
    }

    fn error(&self, kind: Kind, what: &str) -> Error {
        Error::new(kind, format!("no token of {}: {what}", self.owner))
    }
}

/// How long a token lives, which servers write as a number or as text.
fn life(expires_in: &Value) -> Duration {
    let seconds = match expires_in {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    seconds
        .filter(|seconds: &f64| seconds.is_finite())
        .map_or(UNKNOWN_LIFE, |seconds| {
            Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_LIFE))
        })
}
