//! What a connection says of itself to its back-end.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::object::{Object, Record};
use busbar_model::{Error, Kind};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;

use super::bearer::TokenSource;
use super::ntlm::Account;
use super::ntlm::config::SecurityNtlm;
use super::wss::UsernameToken;
use crate::http::client_cert::SecurityTlsKeyCert;
use crate::http::config::Transport;
use crate::http::outgoing_config::OutgoingHttp;

/// The credentials that a connection sends.
#[derive(Clone, PartialEq)]
pub(super) enum Credentials {
    None,
    Basic {
        username: String,
        password: String,
    },
    ApiKey {
        header: String,
        key: String,
    },
    /// Tokens that are asked for when they are needed.
    Bearer(Arc<TokenSource>),
    /// A WS-Security token in the header of every envelope.
    Wss(UsernameToken),
    /// A log-in of every line.
    Ntlm(Account),
    /// A TLS certificate.
    Certificate(SecurityTlsKeyCert),
    /// The security definition of this name is switched off.
    Inactive(String),
}

impl Credentials {
    /// What its security definition lets the connection `name` send. `tokens` tells where tokens come from, if it is for those.
    pub(super) fn find(
        definition: Option<&Record>,
        tokens: impl FnOnce() -> Result<Option<Arc<TokenSource>>, Error>,
        name: &str,
        config: &OutgoingHttp,
    ) -> Result<Self, Error> {
        let security = config.security.as_str();
        let is_soap = config.transport == Transport::Soap;
        if security.is_empty() {
            return Ok(Self::None);
        }
        let Some(record) = definition else {
            let message = format!("outgoing.http `{name}` needs security definition `{security}`, which is not there");
            return Err(Error::new(Kind::Config, message));
        };
        if !record.is_active {
            return Ok(Self::Inactive(security.to_owned()));
        }
        let field = |name: &str| {
            record
                .body
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match record.kind.as_str() {
            "security.basic_auth" => Ok(Self::Basic {
                username: field("username"),
                password: field("password"),
            }),
            "security.apikey" => Ok(Self::ApiKey {
                header: field("header"),
                key: field("password"),
            }),
            SecurityBearerToken::KIND => match tokens()? {
                Some(source) => Ok(Self::Bearer(source)),
                None => {
                    let message = format!(
                        "outgoing.http `{name}` cannot send tokens of `{security}`, which says only how those of callers are checked"
                    );
                    Err(Error::new(Kind::Config, message).with_hint(format!("give `{security}` an `auth_server_url`")))
                }
            },
            SecurityTlsKeyCert::KIND => {
                let certificate = record.parse::<SecurityTlsKeyCert>().map_err(|error| {
                    Error::new(Kind::Config, format!("cannot read security.tls_key_cert `{security}`"))
                        .with_source(error)
                })?;
                Ok(Self::Certificate(certificate))
            }
            "security.wss" if !is_soap => {
                let message = format!("outgoing.http `{name}` sends no envelopes in which `{security}` could stand");
                Err(Error::new(Kind::Config, message).with_hint("give the connection `transport: soap`"))
            }
            "security.wss" => Ok(Self::Wss(UsernameToken {
                username: field("username"),
                password: field("password"),
                is_digest: field("password_type") == "digest",
            })),
            SecurityNtlm::KIND => Ok(Self::Ntlm(Account::new(&field("username"), &field("password")))),
            other => {
                let message =
                    format!("outgoing.http `{name}` cannot use security definition `{security}` of type `{other}`");
                Err(Error::new(Kind::Config, message).with_hint(
                    "use one of type `basic_auth`, `apikey`, `bearer_token`, `ntlm`, `tls_key_cert` or `wss`",
                ))
            }
        }
    }

    /// Adds the headers that every request carries; fails with what is wrong if they cannot be any.
    pub(super) fn add_to(&self, defaults: &mut HeaderMap) -> Result<(), String> {
        match self {
            Self::Basic { username, password } => {
                defaults.insert(AUTHORIZATION, basic_auth(username, password));
            }
            Self::ApiKey { header, key } => {
                let header: HeaderName = header.parse().map_err(|_| format!("`{header}` is not a header name"))?;
                let mut key = HeaderValue::from_str(key).map_err(|_| "the API key is not a header value".to_owned())?;
                key.set_sensitive(true);
                defaults.insert(header, key);
            }
            // sent otherwise, or not at all
            Self::None | Self::Bearer(_) | Self::Wss(_) | Self::Ntlm(_) | Self::Certificate(_) | Self::Inactive(_) => {}
        }
        Ok(())
    }
}

/// The header of a user name and a password.
pub(super) fn basic_auth(username: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
    let mut value = HeaderValue::try_from(text).expect("base64 is a header value");
    value.set_sensitive(true);
    value
}
