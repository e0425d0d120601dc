//! Why a body was refused.

use busbar_model::{Error, Kind};

/// A request that cannot be accepted. Always the caller's fault, status 400; the message is meant for them and names the element,
/// but never repeats more of the body than one value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SioError {
    /// What is wrong: `Element missing: name` in the words that clients know, anything else in ours.
    pub message: String,
}

impl SioError {
    /// A refusal with a text for the caller.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// The refusal of a request that lacks a required element.
    pub fn missing(element: &str) -> Self {
        Self::new(format!("Element missing: {element}"))
    }
}

impl From<SioError> for Error {
    fn from(error: SioError) -> Self {
        Self::new(Kind::BadRequest, error.message)
    }
}
