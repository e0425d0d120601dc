//! What went wrong with a mail server.

use busbar_model::{Error, Kind};
use lettre::transport::smtp;

/// An error of the library.
pub(super) fn failed(name: &str, error: smtp::Error) -> Error {
    let kind = if error.is_timeout() {
        Kind::Timeout
    } else if error.is_tls() {
        Kind::Tls
    } else if error.is_permanent() || error.is_transient() || error.is_response() {
        Kind::Unavailable
    } else {
        Kind::Connection
    };
    Error::new(kind, format!("email.smtp `{name}` did not take the message")).with_source(error)
}
