//! Secrets: tokens that only this server can read, hashes of passwords, random values.
//!
//! * [`ServerKey`] - the server's key, and Fernet tokens made with it
//! * [`hash_secret`], [`verify_hash`] - hashes of passwords
//! * [`random_secret`], [`random_text`] - random values

mod hash;
mod token;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

pub use hash::{hash_secret, verify_hash};
pub use token::{Decrypted, ServerKey};

/// Bytes of the operating system's randomness, so many bits of them; fewer than 8 make no secret.
///
/// # Panics
/// If the operating system has no source of randomness, which no server can go on without.
pub fn random_secret(bits: usize) -> Vec<u8> {
    let mut bytes = vec![0; bits.div_ceil(8)];
    getrandom::fill(&mut bytes).expect("the operating system has a source of randomness");
    bytes
}

/// The same as text that can stand in a URL.
pub fn random_text(bits: usize) -> String {
    URL_SAFE.encode(random_secret(bits))
}
