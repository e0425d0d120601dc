//! Fernet tokens: AES-128 in CBC mode, and HMAC-SHA256 over everything, which is looked at first.

use std::time::{SystemTime, UNIX_EPOCH};

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use busbar_model::{Error, Kind};

use crate::crypto::random_secret;

/// Written with padding; others leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const VERSION: u8 = 0x80;
/// Version and time.
const IV_AT: usize = 1 + 8;
const CIPHERTEXT_AT: usize = IV_AT + 16;
const BLOCK: usize = 16;
const MAC: usize = 32;

/// The key that a server encrypts secrets with: 32 bytes, half of them for signatures. Its text form is what others call a Fernet key.
#[derive(Clone)]
pub struct ServerKey {
    signing: [u8; 16],
    encryption: [u8; 16],
}

/// What came of a text that may be a token.
#[derive(Debug, PartialEq, Eq)]
pub enum Decrypted {
    /// It was one.
    Secret(Vec<u8>),
    /// It is some other text.
    Plain,
}

impl ServerKey {
    /// A new key.
    pub fn generate() -> Self {
        let bytes = random_secret(256);
        Self::from_bytes(&bytes).expect("32 bytes were asked for")
    }

    /// Reads a key's text form.
    ///
    /// # Errors
    /// When it is not the base64 form of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        BASE64
            .decode(text.trim())
            .ok()
            .and_then(|bytes| Self::from_bytes(&bytes))
            .ok_or_else(|| {
                Error::new(
                    Kind::Config,
                    "a key must be 32 bytes in the base64 form that URLs can hold",
                )
                .with_hint("a key is made by `busbar quickstart`, or by `self.crypto.generate_key()`")
            })
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (signing, encryption) = bytes.split_at_checked(16)?;
        Some(Self {
            signing: signing.try_into().ok()?,
            encryption: encryption.try_into().ok()?,
        })
    }

    /// The key as text.
    pub fn to_text(&self) -> String {
        BASE64.encode([self.signing, self.encryption].concat())
    }

    /// Makes a token of something.
    pub fn encrypt(&self, data: &[u8]) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let iv = random_secret(128);
        let iv = <[u8; BLOCK]>::try_from(&*iv).expect("128 bits were asked for");
        self.token(data, now, iv)
    }

    fn token(&self, data: &[u8], time: u64, iv: [u8; BLOCK]) -> String {
        let cipher = cbc::Encryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        let ciphertext = cipher.encrypt_padded_vec::<Pkcs7>(data);
        let mut token = Vec::with_capacity(CIPHERTEXT_AT + ciphertext.len() + MAC);
        token.push(VERSION);
        token.extend_from_slice(&time.to_be_bytes());
        token.extend_from_slice(&iv);
        token.extend_from_slice(&ciphertext);
        let mac = self.mac(&token).finalize().into_bytes();
        token.extend_from_slice(&mac);
        BASE64.encode(token)
    }

    /// Reads a token. Text that is no token at all is said to be so.
    ///
    /// # Errors
    /// When it has a token's shape and was made with another key, or changed since.
    pub fn decrypt(&self, text: &str) -> Result<Decrypted, Error> {
        let Some(token) = token_bytes(text) else {
            return Ok(Decrypted::Plain);
        };
        let refused = || {
            Error::new(Kind::BadRequest, "a token cannot be decrypted with this server's key")
                .with_hint("it was made with another key, or changed since; the key is in `config/secret.key`")
        };
        let (signed, mac) = token.split_at(token.len() - MAC);
        self.mac(signed).verify_slice(mac).map_err(|_| refused())?;
        let iv = <[u8; BLOCK]>::try_from(&signed[IV_AT..CIPHERTEXT_AT]).expect("the range has the size of a block");
        cbc::Decryptor::<Aes128>::new(&self.encryption.into(), &iv.into())
            .decrypt_padded_vec::<Pkcs7>(&signed[CIPHERTEXT_AT..])
            .map(Decrypted::Secret)
            .map_err(|_| refused())
    }

    fn mac(&self, data: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.signing).expect("keys of any size are taken");
        mac.update(data);
        mac
    }
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey(..)")
    }
}

/// The bytes of a text that has the shape of a token.
fn token_bytes(text: &str) -> Option<Vec<u8>> {
    // the version and a time before the year 2100 or so; this alone is not text that anybody types
    if !text.starts_with("gAAAAA") {
        return None;
    }
    let token = BASE64.decode(text).ok()?;
    let ciphertext = token.len().checked_sub(CIPHERTEXT_AT + MAC)?;
    (ciphertext > 0 && ciphertext.is_multiple_of(BLOCK)).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    // the vector that the specification of Fernet gives
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str =
        "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    #[test]
    fn tokens_are_those_of_fernet() {
        let key = ServerKey::parse(KEY).unwrap();
        assert_eq!(key.to_text(), KEY);
        let iv: Vec<u8> = (0..16).collect();
        assert_eq!(key.token(b"hello", 499_162_800, iv.try_into().unwrap()), TOKEN);
        assert_eq!(key.decrypt(TOKEN).unwrap(), Decrypted::Secret(b"hello".to_vec()));
        assert_eq!(
            key.decrypt(TOKEN.trim_end_matches('=')).unwrap(),
            Decrypted::Secret(b"hello".to_vec())
        );
    }

    #[test]
    fn any_data_comes_back() {
        let key = ServerKey::generate();
        for size in [0, 1, 15, 16, 17, 100_000] {
            let data = random_secret(size * 8);
            let token = key.encrypt(&data);
            assert_ne!(token, key.encrypt(&data));
            assert_eq!(key.decrypt(&token).unwrap(), Decrypted::Secret(data));
        }
    }

    #[test]
    fn what_is_no_token_is_plain_and_what_was_changed_is_refused() {
        let key = ServerKey::generate();
        for text in ["", "hunter2", "gAAAAA", "gAAAAAé", "gAAAAABkZGRk", &KEY.repeat(4)] {
            assert_eq!(key.decrypt(text).unwrap(), Decrypted::Plain, "{text}");
        }
        let other = ServerKey::generate().encrypt(b"a");
        assert_eq!(key.decrypt(&other).unwrap_err().kind(), Kind::BadRequest);
        let token = key.encrypt(b"abc");
        // the last digit has bits that stand for nothing
        for position in 6..token.len() - 3 {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(key.decrypt(&changed).is_err(), "{position}");
        }
    }

    #[test]
    fn keys_are_32_bytes() {
        for text in ["", "abc", &KEY[..40], &KEY.repeat(2), "é"] {
            assert!(ServerKey::parse(text).is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", ServerKey::generate()), "ServerKey(..)");
    }
}
