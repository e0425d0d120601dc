//! `/zato/jwt/log-in` and `/zato/jwt/log-out` (http.md 6).

use std::net::IpAddr;
use std::time::{Duration, Instant};

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

impl Definitions {
    /// Gives a token for a user name and a password.
    pub(crate) fn log_in(&self, head: &Head<'_>, body: &[u8], cid: busbar_model::Cid) -> Outcome {
        let Ok(Credentials { username, password }) = serde_json::from_slice(body) else {
            let message = "Expected a JSON object with the texts `username` and `password`";
            return Outcome::Fault(Fault::new(400, message));
        };
        let desk = &self.state().desk;
        let remote = remote_ip(head.remote);
        let now = Instant::now();
        if let Some(wait) = self.state().throttle.wait(remote, &username, now) {
            return Outcome::Fault(too_often(wait));
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
            tracing::info!(%cid, remote = head.remote, "a JWT log-in was refused");
            self.state().throttle.note(remote, &username, now);
            return Outcome::Fault(
                Fault::new(401, format!("Unauthorized; cid={cid}")).with_header("WWW-Authenticate", "jwt"),
            );
        };
        let token = desk.mint.token(&jwt.username, jwt.ttl);
        let ttl = Duration::from_secs(jwt.ttl.into());
        desk.sessions.open(&token, &definition.name, jwt.version, ttl);
        Outcome::Reply(Reply {
            status: 200,
            headers: vec![("Authorization".to_owned(), token.clone())],
            body: json!({"response": {"token": token}}).to_string().into(),
            ..Reply::default()
        })
    }

    /// Makes the token of a request worthless.
    pub(crate) fn log_out(&self, head: &Head<'_>) -> Outcome {
        let authorization = head.headers().find(|(name, _)| *name == "authorization");
        let token = authorization.and_then(|(_, value)| bearer_token(value));
        let (status, body) = match token.is_some_and(|token| self.state().desk.sessions.close(token)) {
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
