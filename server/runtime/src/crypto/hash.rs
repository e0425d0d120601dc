//! Hashes of passwords: Argon2id for new ones; those that earlier servers made are still checked.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use hmac::Hmac;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use busbar_model::{Error, Kind};

use crate::crypto::random_secret;

/// More rounds than anybody asks for: a hash that was tampered with must not keep a thread busy for hours.
const MAX_ROUNDS: u32 = 10_000_000;

/// A hash that tells nothing about the secret, and differs every time: `$argon2id$v=19$m=19456,t=2,p=1$...`. Takes tens of milliseconds
/// on purpose.
pub fn hash_secret(secret: &[u8]) -> Result<String, Error> {
    let hashed: Result<PasswordHash, _> = Argon2::default().hash_password_with_salt(secret, &random_secret(128));
    hashed
        .map(|hash| hash.to_string())
        .map_err(|error| Error::new(Kind::BadRequest, format!("the secret cannot be hashed: {error}")))
}

/// Whether a hash is of this secret.
///
/// # Errors
/// When it is not a hash of a known kind: Argon2, or PBKDF2 in the form that Python's passlib writes.
pub fn verify_hash(secret: &[u8], hash: &str) -> Result<bool, Error> {
    if let Some(rest) = hash.strip_prefix("$pbkdf2-") {
        return verify_pbkdf2(secret, rest).ok_or_else(unknown);
    }
    let parsed = PasswordHash::new(hash).map_err(|_| unknown())?;
    if !parsed.algorithm.as_str().starts_with("argon2") {
        return Err(unknown());
    }
    Ok(Argon2::default().verify_password(secret, &parsed).is_ok())
}

fn unknown() -> Error {
    Error::new(
        Kind::BadRequest,
        "the text to compare with is not a hash of a known kind",
    )
    .with_hint("hashes begin with `$argon2id$`, `$pbkdf2-sha512$` or `$pbkdf2-sha256$`")
}

/// `sha512$25000$salt$checksum`, in base64 with a dot where others have a plus.
fn verify_pbkdf2(secret: &[u8], text: &str) -> Option<bool> {
    let alphabet = Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").ok()?;
    let base64 = GeneralPurpose::new(&alphabet, NO_PAD);
    let mut parts = text.split('$');
    let (digest, rounds, salt, checksum) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let rounds: u32 = rounds.parse().ok().filter(|rounds| (1..=MAX_ROUNDS).contains(rounds))?;
    let (salt, checksum) = (base64.decode(salt).ok()?, base64.decode(checksum).ok()?);
    let mut computed = vec![0; checksum.len()];
    match (digest, checksum.len()) {
        ("sha512", 64) => pbkdf2::pbkdf2::<Hmac<Sha512>>(secret, &salt, rounds, &mut computed).ok()?,
        ("sha256", 32) => pbkdf2::pbkdf2::<Hmac<Sha256>>(secret, &salt, rounds, &mut computed).ok()?,
        _ => return None,
    }
    Some(computed.ct_eq(&checksum).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_secret_only() {
        let hash = hash_secret(b"hunter2").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert_ne!(hash, hash_secret(b"hunter2").unwrap());
        assert!(verify_hash(b"hunter2", &hash).unwrap());
        assert!(!verify_hash(b"hunter3", &hash).unwrap());
    }

    #[test]
    fn hashes_of_earlier_servers_are_checked() {
        // hashlib.pbkdf2_hmac('sha512', b'password', b'0123456789abcdef', 1000), as passlib writes it
        let hash = "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$38DzhdBT7fPaUGBlsh42VTuuKSFAIYGZJ7l6feCDLIl.K3hdPFgxxu7xuUi4gIuH6cEIoODn18xH9Ig2ryNgUw";
        assert!(verify_hash(b"password", hash).unwrap());
        assert!(!verify_hash(b"passwort", hash).unwrap());
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "hunter2",
            "$pbkdf2-sha512$",
            "$pbkdf2-sha512$999999999$MDEy$MDEy",
            "$1$abc$def",
        ] {
            assert_eq!(verify_hash(b"a", text).unwrap_err().kind(), Kind::BadRequest, "{text}");
        }
    }
}
