//! `security.wss`: a WS-Security UsernameToken in the header of an envelope (http.md 6).
//!
//! * [`SecurityWss`] - the object
//! * [`envelope`] - finds the token in a body
//! * [`nonces`] - those that were seen of late

pub(crate) mod envelope;
pub(crate) mod nonces;
mod time;

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::rate_limit::RateLimits;
use ring::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use self::envelope::{PasswordForm, UsernameToken};
use self::nonces::Nonces;

/// How much a caller's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(60);

/// A user name and a password in the security header of a SOAP message.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityWss {
    /// User name that callers send.
    #[schemars(length(min = 1), example = &"shop")]
    pub username: String,
    /// Password. Empty: none is set yet, and every caller is refused.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// How the password is sent.
    #[serde(default)]
    pub password_type: PasswordType,
    /// Messages without a nonce or a time of creation are refused.
    #[serde(default)]
    pub reject_empty_nonce_creat: bool,
    /// Messages that were created more than `reject_expiry_limit` seconds ago are refused.
    #[serde(default)]
    pub reject_stale_tokens: bool,
    /// Seconds that a message is good for after its creation.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1))]
    pub reject_expiry_limit: u32,
    /// Seconds during which no nonce may come twice.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1))]
    pub nonce_freshness_time: u32,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
}

/// How a password is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordType {
    /// As it is.
    #[default]
    ClearText,
    /// As a digest of nonce, time of creation and password.
    Digest,
}

fn an_hour() -> u32 {
    3600
}

impl Object for SecurityWss {
    const KIND: &'static str = "security.wss";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("wss");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.username.is_empty() {
            return Err(FieldError::new("username", "must not be empty"));
        }
        for (name, seconds) in [
            ("reject_expiry_limit", self.reject_expiry_limit),
            ("nonce_freshness_time", self.nonce_freshness_time),
        ] {
            if seconds == 0 {
                return Err(FieldError::new(name, "must be at least 1 second"));
            }
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

impl fmt::Debug for SecurityWss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no password in logs
        f.debug_struct("SecurityWss")
            .field("username", &self.username)
            .field("password_type", &self.password_type)
            .finish_non_exhaustive()
    }
}

/// A moment, by both clocks.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) time: SystemTime,
    pub(crate) instant: Instant,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self {
            time: SystemTime::now(),
            instant: Instant::now(),
        }
    }
}

/// Whether a body has a token that satisfies a definition called `name`. A nonce that does counts as seen.
pub(crate) fn is_right(config: &SecurityWss, name: &str, nonces: &Nonces, body: &[u8], now: Now) -> bool {
    let Some(token) = envelope::find(body) else {
        return false;
    };
    let Some(is_right) = password_is_right(config, &token) else {
        return false;
    };
    let is_user = token.username.as_bytes().ct_eq(config.username.as_bytes());
    bool::from(is_user & is_right) && is_fresh(config, &token, now) && {
        // seen only now: wrong passwords must not fill the memory of nonces
        let freshness = Duration::from_secs(config.nonce_freshness_time.into());
        token.nonce.is_empty() || nonces.is_new(name, &token.nonce, freshness, now.instant)
    }
}

fn password_is_right(config: &SecurityWss, token: &UsernameToken) -> Option<subtle::Choice> {
    match (config.password_type, token.form) {
        (PasswordType::ClearText, PasswordForm::Text) => {
            Some(token.password.as_bytes().ct_eq(config.password.as_bytes()))
        }
        (PasswordType::Digest, PasswordForm::Digest) => {
            let sent = STANDARD.decode(token.password.trim()).ok()?;
            let mut expected = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
            expected.update(&STANDARD.decode(token.nonce.trim()).ok()?);
            expected.update(token.created.as_bytes());
            expected.update(config.password.as_bytes());
            Some(sent.ct_eq(expected.finish().as_ref()))
        }
        _ => None,
    }
}

fn is_fresh(config: &SecurityWss, token: &UsernameToken, now: Now) -> bool {
    if config.reject_empty_nonce_creat && (token.nonce.is_empty() || token.created.is_empty()) {
        return false;
    }
    if token.created.is_empty() || !config.reject_stale_tokens {
        return true;
    }
    let Some(created) = time::parse(&token.created) else {
        return false;
    };
    match now.time.duration_since(created) {
        Ok(age) => age <= Duration::from_secs(config.reject_expiry_limit.into()),
        Err(ahead) => ahead.duration() <= AHEAD,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CREATED: &str = "2024-05-01T10:00:00Z";

    fn config(fields: Value) -> SecurityWss {
        let mut all = json!({"username": "ann", "password": "s<3"});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    /// Seconds after the message was created.
    fn after(seconds: u64) -> Now {
        Now {
            time: time::parse(CREATED).unwrap() + Duration::from_secs(seconds),
            instant: Instant::now(),
        }
    }

    fn message(token: &str) -> String {
        format!(
            "<?xml version='1.0'?><s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Header>
             <w:Security xmlns:w='{}' xmlns:u='{}'><w:UsernameToken>{token}</w:UsernameToken></w:Security>
             </s:Header><s:Body><a/></s:Body></s:Envelope>",
            envelope::WSSE,
            envelope::WSU,
        )
    }

    fn text(password: &str, rest: &str) -> String {
        message(&format!(
            "<w:Username>ann</w:Username><w:Password>{password}</w:Password>{rest}"
        ))
    }

    fn nonce(nonce: &str) -> String {
        format!("<w:Nonce>{nonce}</w:Nonce><u:Created>{CREATED}</u:Created>")
    }

    #[test]
    fn clear_text() {
        let config = config(json!({}));
        let is_right = |body: &str| is_right(&config, "shop", &Nonces::default(), body.as_bytes(), after(0));
        assert!(is_right(&text("s&lt;3", "")));
        assert!(is_right(&text("<![CDATA[s<3]]>", "")));
        for body in [
            text("", ""),
            text("s&lt;4", ""),
            text("s&lt;3", "").replace("ann", "bob"),
            String::new(),
        ] {
            assert!(!is_right(&body), "{body}");
        }
        // a digest where a text is expected
        assert!(!is_right(
            &text("s&lt;3", "").replace("<w:Password>", "<w:Password Type='x#PasswordDigest'>")
        ));
    }

    #[test]
    fn digests() {
        let config = config(json!({"password_type": "digest"}));
        // SHA-1 of `nonce`, the time, and the password
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        context.update(format!("nonce{CREATED}s<3").as_bytes());
        let digest = STANDARD.encode(context.finish());
        let nonce = nonce(&STANDARD.encode("nonce"));
        let sent = |digest: &str| text(digest, &nonce).replace("<w:Password>", "<w:Password Type='x#PasswordDigest'>");
        let is_right = |body: &str| is_right(&config, "shop", &Nonces::default(), body.as_bytes(), after(0));
        assert!(is_right(&sent(&digest)));
        assert!(!is_right(&sent(&digest).replace("10:00:00", "10:00:01")));
        assert!(!is_right(&sent("")) && !is_right(&sent("%%%")) && !is_right(&text("s&lt;3", &nonce)));
    }

    #[test]
    fn what_is_stale_or_was_seen_is_refused() {
        let config = config(
            json!({"reject_empty_nonce_creat": true, "reject_stale_tokens": true, "reject_expiry_limit": 60,
                                   "nonce_freshness_time": 30}),
        );
        let nonces = Nonces::default();
        let is_right = |body: &str, now| is_right(&config, "shop", &nonces, body.as_bytes(), now);
        assert!(!is_right(&text("s&lt;3", ""), after(0)), "there is no nonce");
        assert!(!is_right(&text("wrong", &nonce("MQ==")), after(0)));
        assert!(
            is_right(&text("s&lt;3", &nonce("MQ==")), after(0)),
            "wrong passwords use nonces up"
        );
        assert!(
            !is_right(&text("s&lt;3", &nonce("MQ==")), after(1)),
            "a nonce came twice"
        );
        assert!(is_right(&text("s&lt;3", &nonce("Mg==")), after(60)));
        assert!(!is_right(&text("s&lt;3", &nonce("Mw==")), after(61)));
        let early = Now {
            time: after(0).time - Duration::from_secs(61),
            ..after(0)
        };
        assert!(!is_right(&text("s&lt;3", &nonce("NA==")), early));
        assert!(!is_right(
            &text("s&lt;3", &nonce("NQ==")).replace(CREATED, "yesterday"),
            after(0)
        ));
    }
}
