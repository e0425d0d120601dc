//! The one error that crosses crates: what kind it is, what could not be done, and what to do about it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What kind of failure it is. Decided where the error is born; every edge translates it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The caller sent something that cannot be accepted.
    BadRequest,
    /// No credentials, or wrong ones.
    Unauthorized,
    /// Credentials are right but do not allow this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The thing is there but is switched off.
    Inactive,
    /// It exists already, or it changed meanwhile.
    Conflict,
    /// Larger than the limit.
    TooLarge,
    /// More often than allowed.
    TooManyRequests,
    /// Took longer than allowed.
    Timeout,
    /// Could not be reached, or the line dropped.
    Connection,
    /// The other side presented or demanded TLS that did not work out.
    Tls,
    /// The other side answered something that does not follow its protocol.
    Protocol,
    /// A bounded queue or pool is full; try again later.
    Unavailable,
    /// The worker that ran the call died.
    WorkerLost,
    /// The call was given up: its caller left or its deadline passed.
    Cancelled,
    /// A setting is wrong.
    Config,
    /// User code failed: a service file does not import, an exception came out of `handle()`.
    Service,
    /// A defect of busbar itself, or of the machine (disk full...).
    Internal,
}

impl Kind {
    /// The HTTP status that a failure of this kind has unless somebody decides otherwise.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::Inactive => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::TooManyRequests => 429,
            Self::WorkerLost => 502,
            Self::Unavailable => 503,
            Self::Cancelled => 504,
            Self::Timeout
            | Self::Connection
            | Self::Tls
            | Self::Protocol
            | Self::Config
            | Self::Service
            | Self::Internal => 500,
        }
    }

    /// What kind of failure a service tells of that answers with this HTTP status, 400 or more.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            429 => Self::TooManyRequests,
            502 => Self::WorkerLost,
            503 => Self::Unavailable,
            504 => Self::Cancelled,
            400..500 => Self::BadRequest,
            _ => Self::Service,
        }
    }
}

/// Something could not be done.
///
/// The message is a lower-case fragment that names the object and its kind, quoted, and can be shown to whoever asked; it
/// does not repeat its source, whoever logs prints the chain. The hint says what to do.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    temporary: bool,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; temporary if that kind usually is (a lost line, a full queue, a time-out).
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let temporary = matches!(
            kind,
            Kind::Timeout | Kind::Connection | Kind::Unavailable | Kind::WorkerLost | Kind::TooManyRequests
        );
        Self {
            kind,
            message: message.into(),
            hint: None,
            temporary,
            retry_after: None,
            source: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says whether trying again may help.
    #[must_use]
    pub fn with_temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
    }

    /// Says how long to wait before trying again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What could not be done.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// How long to wait before trying again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The message, and the messages of all its causes, joined by `: `. For logs.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What is left of an [`Error`] once it has crossed a process border.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireError {
    /// See [`Error::kind`].
    pub kind: Kind,
    /// The whole chain of messages.
    pub message: String,
    /// See [`Error::hint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// See [`Error::is_temporary`].
    pub temporary: bool,
}

impl From<&Error> for WireError {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind,
            message: error.chain(),
            hint: error.hint.clone(),
            temporary: error.temporary,
        }
    }
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        Self {
            kind: wire.kind,
            message: wire.message,
            hint: wire.hint,
            temporary: wire.temporary,
            retry_after: None,
            source: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_and_display_only_the_first() {
        let inner = std::io::Error::other("connection refused");
        let error = Error::new(Kind::Connection, "cannot reach outgoing.http `CRM`").with_source(inner);
        assert_eq!(error.to_string(), "cannot reach outgoing.http `CRM`");
        assert_eq!(error.chain(), "cannot reach outgoing.http `CRM`: connection refused");
        assert!(error.is_temporary());
    }
}
