//! NTLM, version 2 (MS-NLMP): a log-in in three messages that holds for the line over which it was made.
//!
//! * [`config`] - the object type
//! * [`message`] - the three messages
//! * [`login`] - an exchange over a line that must be logged in first
//!
//! Own code, because what others keep does not fit: `sspi` brings Kerberos, smart cards and a second TLS library's provider with it;
//! `ntlmclient`, `winauth` and the rest have had one or two releases each. Nothing is signed or sealed here, so it takes no RC4 and no DES:
//! MD4 and HMAC-MD5 are RustCrypto's, as the other hashes are. There is no channel binding (`Extended Protection`).

pub mod config;
pub(super) mod login;
pub(super) mod message;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_runtime::crypto::random_secret;
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use time::OffsetDateTime;

use super::HttpFailure;
use message::Challenge;

/// Who logs in.
#[derive(Clone, PartialEq)]
pub(super) struct Account {
    /// Empty: the back-end's own.
    domain: String,
    username: String,
    password: String,
}

impl Account {
    /// The account of a user name, `DOMAIN\user` or `user@domain`.
    pub(super) fn new(username: &str, password: &str) -> Self {
        let (domain, username) = username.split_once('\\').unwrap_or(("", username));
        Self {
            domain: domain.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    /// The user name as a definition has it.
    pub(super) fn name(&self) -> String {
        if self.domain.is_empty() {
            self.username.clone()
        } else {
            format!("{}\\{}", self.domain, self.username)
        }
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// What asks for a challenge.
    fn opening() -> HeaderValue {
        header(&message::negotiate())
    }

    /// What answers the challenge in a response's headers; `None` if there is none.
    fn answer(&self, headers: &HeaderMap) -> Option<Result<HeaderValue, HttpFailure>> {
        let challenge = headers.get_all(WWW_AUTHENTICATE).iter().find_map(|value| {
            let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ')?;
            scheme.eq_ignore_ascii_case("NTLM").then(|| rest.trim().to_owned())
        })?;
        let wrong = |what: &str| HttpFailure::Protocol(format!("the challenge of the NTLM log-in {what}").into());
        let answered = STANDARD
            .decode(challenge)
            .map_err(|_| wrong("is not Base64"))
            .and_then(|bytes| {
                let challenge = Challenge::read(&bytes).map_err(&wrong)?;
                let nonce = random_secret(64).try_into().expect("64 bits are 8 bytes");
                Ok(header(&challenge.answer(
                    self,
                    nonce,
                    OffsetDateTime::now_utc(),
                    &bytes,
                )))
            });
        Some(answered)
    }
}

fn header(message: &[u8]) -> HeaderValue {
    let text = format!("NTLM {}", STANDARD.encode(message));
    let mut value = HeaderValue::try_from(text).expect("base64 is a header value");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_domain_or_none() {
        for (name, domain, username) in [
            ("CORP\\ann", "CORP", "ann"),
            ("ann@corp", "", "ann@corp"),
            ("ann", "", "ann"),
        ] {
            let account = Account::new(name, "p");
            assert_eq!((account.domain.as_str(), account.username.as_str()), (domain, username));
        }
    }

    #[test]
    fn only_challenges_are_answered() {
        let account = Account::new("CORP\\ann", "p");
        let answer = |value: &'static str| {
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(value))]);
            account.answer(&headers)
        };
        assert!(answer("NTLM").is_none() && answer("Basic realm=\"a\"").is_none() && answer("Negotiate abc").is_none());
        assert!(answer("NTLM !").unwrap().is_err());
        assert!(answer("ntlm TlRMTVNTUAACAAAA").unwrap().is_err());
    }
}
