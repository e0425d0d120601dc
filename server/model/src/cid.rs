//! Correlation ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Id of one request, carried through every log line, nested call and response of it: 24 lower-case hexadecimal digits
/// (service-api.md 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cid([u8; Cid::LEN]);

impl Cid {
    /// Length of the text form, in bytes.
    pub const LEN: usize = 24;

    /// A new random id. Unique in practice (96 random bits), not a secret.
    pub fn new() -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bits = fastrand::u128(..);
        let mut text = [0; Self::LEN];
        for digit in &mut text {
            *digit = DIGITS[(bits & 0xf) as usize];
            bits >>= 4;
        }
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a cid holds hexadecimal digits only")
    }

    /// The id as the bytes of its text.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Reads an id back from the bytes of its text; `None` if they are not 24 lower-case hexadecimal digits.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text: [u8; Self::LEN] = bytes.try_into().ok()?;
        text.iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            .then_some(Self(text))
    }
}

impl Default for Cid {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text was not 24 lower-case hexadecimal digits.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is not a cid: 24 lower-case hexadecimal digits are expected")]
pub struct ParseCidError(String);

impl FromStr for Cid {
    type Err = ParseCidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes()).ok_or_else(|| ParseCidError(text.to_owned()))
    }
}

impl Serialize for Cid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Cid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_cid_reads_back() {
        let cid = Cid::new();
        assert_eq!(cid.as_str().len(), 24);
        assert_eq!(cid.as_str().parse::<Cid>().unwrap(), cid);
        assert_ne!(cid, Cid::new());
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "0123456789abcdef0123456",
            "0123456789ABCDEF01234567",
            "0123456789abcdef0123456g",
        ] {
            assert!(text.parse::<Cid>().is_err(), "{text}");
        }
    }
}
