//! What can go wrong with Redis, in the kinds that redis-py has classes for.

use std::{fmt, io};

use busbar_model::{Error, Kind};
use redis::{ErrorKind, RedisError};

/// A command that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RedisFailure {
    kind: RedisFailureKind,
    message: String,
    command: Option<usize>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedisFailureKind {
    /// Redis cannot be reached, or the connection was lost.
    Connection,
    /// No reply in time.
    Timeout,
    /// No credentials, or wrong ones.
    Authentication,
    /// The user may not run this command or touch this key.
    NoPermission,
    /// Redis refused the command.
    Response,
    /// There is no script of this hash.
    NoScript,
    /// It is a replica, or has lost its disk.
    ReadOnly,
    /// It is reading its data from disk.
    BusyLoading,
    /// A command of the transaction was refused, so none was run.
    ExecAbort,
    /// It has no memory left.
    OutOfMemory,
    /// A watched key was changed, so the transaction was not run.
    Watch,
    /// What came is not the protocol of Redis.
    InvalidResponse,
    /// The command cannot be sent this way.
    Data,
}

impl RedisFailureKind {
    /// The name of the class of redis-py that stands for this kind.
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Connection => "ConnectionError",
            Self::Timeout => "TimeoutError",
            Self::Authentication => "AuthenticationError",
            Self::NoPermission => "NoPermissionError",
            Self::Response => "ResponseError",
            Self::NoScript => "NoScriptError",
            Self::ReadOnly => "ReadOnlyError",
            Self::BusyLoading => "BusyLoadingError",
            Self::ExecAbort => "ExecAbortError",
            Self::OutOfMemory => "OutOfMemoryError",
            Self::Watch => "WatchError",
            Self::InvalidResponse => "InvalidResponse",
            Self::Data => "DataError",
        }
    }
}

impl RedisFailure {
    /// A failure of this kind.
    pub fn new(kind: RedisFailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            command: None,
        }
    }

    /// The same, of this command of a transaction, counted from 0.
    pub(super) fn of_command(self, index: usize) -> Self {
        Self {
            command: Some(index),
            ..self
        }
    }

    /// The same, naming the server if that did not let us in: whoever reads it may have several.
    pub(super) fn of_login(self, server: impl fmt::Display) -> Self {
        match self.kind {
            RedisFailureKind::Authentication => Self {
                message: format!("cannot log in to Redis at `{server}`: {}", self.message),
                ..self
            },
            _ => self,
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> RedisFailureKind {
        self.kind
    }

    /// The text, as redis-py would show it: Redis's own, less the code that the kind stands for.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The command of a transaction that Redis refused, counted from 0; `None`: none in particular.
    pub fn command(&self) -> Option<usize> {
        self.command
    }

    /// A failure that Redis itself reported, from its code and the text after it.
    pub(super) fn reported(code: &str, text: &str) -> Self {
        use RedisFailureKind as K;
        let kind = match code {
            "ERR" if text.starts_with("max number of clients reached") => K::Connection,
            "ERR" if text.starts_with("invalid password") || text.contains("sent AUTH, but no password is set") => {
                K::Authentication
            }
            "ERR" => K::Response,
            "NOAUTH" | "WRONGPASS" => K::Authentication,
            "NOPERM" => K::NoPermission,
            "NOSCRIPT" => K::NoScript,
            "READONLY" => K::ReadOnly,
            "LOADING" => K::BusyLoading,
            "EXECABORT" => K::ExecAbort,
            "OOM" => K::OutOfMemory,
            // redis-py has no class for these: the code stays in the text
            _ => return Self::new(K::Response, format!("{code} {text}").trim_end()),
        };
        Self::new(kind, text)
    }

    pub(super) fn from_io(error: &io::Error, what: &str) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => RedisFailureKind::Timeout,
            io::ErrorKind::InvalidData => RedisFailureKind::InvalidResponse,
            _ => RedisFailureKind::Connection,
        };
        Self::new(kind, format!("{what}: {error}"))
    }

    pub(super) fn from_library(error: &RedisError) -> Self {
        match error.kind() {
            _ if error.is_timeout() => Self::new(RedisFailureKind::Timeout, "no reply from Redis in time"),
            ErrorKind::Server(_) | ErrorKind::Extension => {
                Self::reported(error.code().unwrap_or("ERR"), error.detail().unwrap_or_default())
            }
            ErrorKind::AuthenticationFailed => Self::new(
                RedisFailureKind::Authentication,
                error
                    .detail()
                    .unwrap_or("it does not accept the user name or the password"),
            ),
            ErrorKind::Parse => Self::new(RedisFailureKind::InvalidResponse, error.to_string()),
            ErrorKind::Client | ErrorKind::InvalidClientConfig | ErrorKind::UnexpectedReturnType => {
                Self::new(RedisFailureKind::Data, error.to_string())
            }
            _ => Self::new(
                RedisFailureKind::Connection,
                format!("connection to Redis lost: {error}"),
            ),
        }
    }

    /// Whether the connection that it came from is of no use any more.
    pub(super) fn breaks_connection(&self) -> bool {
        matches!(
            self.kind,
            RedisFailureKind::Connection | RedisFailureKind::Timeout | RedisFailureKind::InvalidResponse
        )
    }
}

impl From<RedisFailure> for Error {
    fn from(failure: RedisFailure) -> Self {
        let kind = match failure.kind {
            RedisFailureKind::Connection => Kind::Connection,
            RedisFailureKind::Timeout => Kind::Timeout,
            RedisFailureKind::BusyLoading => Kind::Unavailable,
            RedisFailureKind::InvalidResponse => Kind::Protocol,
            RedisFailureKind::Authentication => Kind::Unauthorized,
            RedisFailureKind::NoPermission => Kind::Forbidden,
            RedisFailureKind::Watch => Kind::Conflict,
            RedisFailureKind::Data => Kind::BadRequest,
            _ => Kind::Internal,
        };
        Self::new(kind, "Redis did not do what it was asked for").with_source(failure)
    }
}
