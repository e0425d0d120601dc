//! The `Authorization` header: Basic and Bearer.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands behind a scheme's name, compared without regard to case.
fn behind<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    name.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}

/// The token of a Bearer header.
pub(crate) fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    behind(value, b"bearer ").filter(|token| !token.is_empty())
}

/// Whether a header is of the Basic scheme, well-formed or not.
pub(crate) fn is_basic(value: &[u8]) -> bool {
    behind(value, b"basic ").is_some()
}

/// Shows the user name and the password of a well-formed Basic header.
pub(crate) fn with_basic<R>(value: &[u8], look: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
    let encoded = behind(value, b"basic ")?;
    // names and passwords fit the stack nearly always
    let mut stack = [0; 256];
    let heap;
    let decoded = match BASE64.decode_slice(encoded, &mut stack) {
        Ok(length) => &stack[..length],
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => {
            heap = BASE64.decode(encoded).ok()?;
            &heap[..]
        }
        Err(base64::DecodeSliceError::DecodeError(_)) => return None,
    };
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(look(&decoded[..colon], &decoded[colon + 1..]))
}
