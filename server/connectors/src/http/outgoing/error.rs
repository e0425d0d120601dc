//! What can go wrong between a service and its back-end, in the detail that faces need to raise what `requests` would.

use std::io;

use busbar_model::{Error, Kind};

/// Why an outgoing request has no response. It is the first source of the [`Error`] that [`send`](super::HttpConnection::send) gives; get
/// it back with [`HttpFailure::of`].
#[derive(Debug, thiserror::Error)]
pub enum HttpFailure {
    /// The address has names in braces and the call gave no parameters at all.
    #[error("no parameters were given for the URL path")]
    NoPathParams,
    /// The address has a name in braces for which the call gave no parameter.
    #[error("the URL path could not be built, parameter `{0}` is missing")]
    MissingPathParam(String),
    /// Address and parameters do not make a URL.
    #[error("`{url}` is not a URL: {reason}")]
    InvalidUrl {
        /// What they make. Without user name and password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A method or a header cannot be sent.
    #[error("{0}")]
    InvalidRequest(String),
    /// All connections of the pool were in use for as long as the call could wait.
    #[error("all {0} connections of the pool are in use")]
    PoolTimeout(u32),
    /// The host has no address.
    #[error("`{host}` cannot be resolved")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody listens there, or the way is closed.
    #[error("cannot connect to `{address}`")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Connecting, TLS included, took longer than allowed.
    #[error("connecting to `{0}` took too long")]
    ConnectTimeout(String),
    /// Sending, or waiting for the response or the rest of it, took longer than allowed.
    #[error("no whole response within {0} s")]
    ReadTimeout(f64),
    /// TLS did not work out: an unknown authority, another name, an old protocol.
    #[error("TLS with `{host}` failed")]
    Tls {
        /// The host.
        host: String,
        /// What was wrong.
        source: io::Error,
    },
    /// The line dropped before a response came.
    #[error("the connection was lost before a response came")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The line dropped in the middle of a response's body.
    #[error("the connection was lost in the middle of the response")]
    Truncated(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What came is not HTTP.
    #[error("the response is not HTTP")]
    Protocol(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// More redirects than followed.
    #[error("more than {0} redirects")]
    TooManyRedirects(usize),
    /// The body is not in the encoding that it is said to be in.
    #[error("the response's body is not {encoding}")]
    ContentDecoding {
        /// `gzip` or `deflate`.
        encoding: &'static str,
        /// What was wrong.
        source: io::Error,
    },
    /// The body is larger than accepted.
    #[error("the response's body is larger than {0} bytes")]
    TooLarge(u64),
}

impl HttpFailure {
    /// The failure behind an error of this connector.
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// What kind of failure it is for those who do not know HTTP.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoPathParams | Self::MissingPathParam(_) | Self::InvalidUrl { .. } | Self::InvalidRequest(_) => {
                Kind::BadRequest
            }
            Self::PoolTimeout(_) => Kind::Unavailable,
            Self::Resolve { .. } | Self::Connect { .. } | Self::Lost(_) | Self::Truncated(_) => Kind::Connection,
            Self::ConnectTimeout(_) | Self::ReadTimeout(_) => Kind::Timeout,
            Self::Tls { .. } => Kind::Tls,
            Self::Protocol(_) | Self::TooManyRedirects(_) | Self::ContentDecoding { .. } => Kind::Protocol,
            Self::TooLarge(_) => Kind::TooLarge,
        }
    }

    /// The error of `send`, naming the connection: ``outgoing.http `CRM` ``.
    pub(super) fn into_error(self, title: &str) -> Error {
        Error::new(self.kind(), format!("cannot call {title}")).with_source(self)
    }
}
