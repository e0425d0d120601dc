//! What a token looks like: a JWT signed with HS256, sealed in a Fernet token, so that it tells its bearer nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use busbar_runtime::crypto::{ServerKey, random_secret, random_text};
use ring::hmac;
use serde_json::json;

/// Makes tokens, with keys that live as long as the process: the sessions do no more than that either.
pub(crate) struct Mint {
    /// Signs JWTs.
    signing: hmac::Key,
    /// Seals them.
    seal: ServerKey,
}

impl Default for Mint {
    fn default() -> Self {
        Self {
            signing: hmac::Key::new(hmac::HMAC_SHA256, &random_secret(256)),
            seal: ServerKey::generate(),
        }
    }
}

impl Mint {
    /// A token that nobody had before.
    pub(crate) fn token(&self, username: &str, ttl_secs: u32) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        // no `exp`: the end moves with each use and is kept by the server
        let claims = json!({"sub": username, "iat": now, "ttl": ttl_secs, "jti": random_text(128)});
        self.seal.encrypt(self.sign(&claims.to_string()).as_bytes())
    }

    fn sign(&self, claims: &str) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let tag = hmac::sign(&self.signing, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

#[cfg(test)]
mod tests {
    use busbar_runtime::crypto::Decrypted;

    use super::*;

    #[test]
    fn a_token_is_a_sealed_jwt() {
        let mint = Mint::default();
        let token = mint.token("ann", 60);
        let Decrypted::Secret(jwt) = mint.seal.decrypt(&token).unwrap() else {
            panic!("not a token")
        };
        let jwt = String::from_utf8(jwt).unwrap();
        let (signed, tag) = jwt.rsplit_once('.').unwrap();
        hmac::verify(&mint.signing, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(tag).unwrap()).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["ttl"]), (&json!("ann"), &json!(60)));
        assert_ne!(mint.token("ann", 60), token);
    }
}
