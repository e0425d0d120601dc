//! `/zato/jwt/log-in` and `/zato/jwt/log-out` (http.md 6).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use busbar_model::Cid;
use busbar_runtime::{Fault, Head, Outcome, Reply};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::security::bearer_token;
use crate::security::definitions::{Definition, Definitions};
use crate::security::jwt::sessions::Sessions;
use crate::security::jwt::token::Mint;
use crate::security::throttle::too_often;

/// What the endpoints need from one request to the next.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) sessions: Sessions,
    mint: Mint,
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The user name or the password is not right.
    Credentials,
    /// There were too many wrong ones; this long no others are looked at.
    TooOften(Duration),
}

impl Definitions {
    /// Gives a token for a user name and a password to whoever asks from `remote`, an address with its port. It is good until its time is
    /// over, or [`Definitions::close_session`].
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn open_session(&self, username: &str, password: &str, remote: &str, cid: Cid) -> Result<String, Refused> {
        let desk = &self.state().desk;
        let address = remote_ip(remote);
        let now = Instant::now();
        if let Some(wait) = self.state().throttle.wait(address, username, now) {
            return Err(Refused::TooOften(wait));
        }
        let table = self.table();
        // all are looked at, so that the time tells nothing of which user names there are
        let mut found: Option<&Definition> = None;
        for (definition, jwt) in table.jwt() {
            let is_right =
                jwt.username.as_bytes().ct_eq(username.as_bytes()) & jwt.password.as_bytes().ct_eq(password.as_bytes());
            if bool::from(is_right) && definition.is_usable && found.is_none() {
                found = Some(definition);
            }
        }
        let Some((definition, jwt)) = found.and_then(|definition| Some((definition, definition.jwt()?))) else {
            tracing::info!(%cid, remote, "a JWT log-in was refused");
            self.state().throttle.note(address, username, now);
            return Err(Refused::Credentials);
        };
        let token = desk.mint.token(&jwt.username, jwt.ttl);
        let ttl = Duration::from_secs(jwt.ttl.into());
        desk.sessions.open(&token, &definition.name, jwt.version, ttl);
        Ok(token)
    }

    /// Makes the token of a request worthless. Whether it had one that was good.
    pub fn close_session(&self, head: &Head<'_>) -> bool {
        let authorization = head.headers().find(|(name, _)| *name == "authorization");
        let token = authorization.and_then(|(_, value)| bearer_token(value));
        token.is_some_and(|token| self.state().desk.sessions.close(token))
    }

    /// `/zato/jwt/log-in`.
    pub(crate) fn log_in(&self, head: &Head<'_>, body: &[u8], cid: Cid) -> Outcome {
        let Ok(Credentials { username, password }) = serde_json::from_slice(body) else {
            let message = "Expected a JSON object with the texts `username` and `password`";
            return Outcome::Fault(Fault::new(400, message));
        };
        match self.open_session(&username, &password, head.remote, cid) {
            Ok(token) => Outcome::Reply(Reply {
                status: 200,
                headers: vec![("Authorization".to_owned(), token.clone())],
                body: json!({"response": {"token": token}}).to_string().into(),
                ..Reply::default()
            }),
            Err(Refused::Credentials) => Outcome::Fault(
                Fault::new(401, format!("Unauthorized; cid={cid}")).with_header("WWW-Authenticate", "jwt"),
            ),
            Err(Refused::TooOften(wait)) => Outcome::Fault(too_often(wait)),
        }
    }

    /// `/zato/jwt/log-out`.
    pub(crate) fn log_out(&self, head: &Head<'_>) -> Outcome {
        let (status, body) = match self.close_session(head) {
            true => (200, json!({})),
            false => (400, json!({"result": "No token was given, or it is not a valid one"})),
        };
        Outcome::Reply(Reply {
            status,
            body: body.to_string().into(),
            ..Reply::default()
        })
    }
}

/// The address without its port.
pub(crate) fn remote_ip(remote: &str) -> IpAddr {
    let parsed = remote.parse::<std::net::SocketAddr>().map(|address| address.ip());
    // channels write what they were given by the socket
    parsed.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}
