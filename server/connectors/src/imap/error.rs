//! What went wrong with a mailbox.

use async_imap::error::Error as ImapError;
use busbar_model::{Error, Kind};

/// What a server, or the line to it, had against `what`: `searching folder `INBOX``.
pub(super) fn failed(name: &str, what: &str, error: ImapError) -> Error {
    let kind = match &error {
        ImapError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => Kind::Timeout,
        ImapError::Io(_) | ImapError::ConnectionLost => Kind::Connection,
        ImapError::Validate(_) => Kind::BadRequest,
        _ => Kind::Protocol,
    };
    let message = match &error {
        ImapError::No(answer) | ImapError::Bad(answer) => {
            return Error::new(kind, format!("email.imap `{name}` refused {what}: {}", said(answer)));
        }
        _ => format!("email.imap `{name}` failed while {what}"),
    };
    Error::new(kind, message).with_source(error)
}

/// The text in an answer, which the library gives as `code: None, info: Some("...")`.
pub(super) fn said(answer: &str) -> &str {
    answer
        .split_once("info: Some(\"")
        .and_then(|(_, rest)| rest.strip_suffix("\")"))
        .unwrap_or(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_as_the_server_said_them() {
        let error = failed(
            "Box",
            "opening folder `a`",
            ImapError::No("code: None, info: Some(\"Mailbox doesn't exist: a\")".to_owned()),
        );
        assert_eq!(
            error.chain(),
            "email.imap `Box` refused opening folder `a`: Mailbox doesn't exist: a"
        );
    }
}
