//! What went wrong with a mail server.

use busbar_model::{Error, Kind};
use lettre::transport::smtp;

/// What a server, or the line to it, had against `what`: `take the message`.
pub(super) fn failed(name: &str, what: &str, error: smtp::Error) -> Error {
    let kind = if error.is_timeout() {
        Kind::Timeout
    } else if error.is_tls() {
        Kind::Tls
    } else if error.is_permanent() || error.is_transient() || error.is_response() {
        Kind::Unavailable
    } else {
        Kind::Connection
    };
    Error::new(kind, format!("email.smtp `{name}` did not {what}")).with_source(error)
}
