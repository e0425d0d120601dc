//! The seam through which the hub asks other servers what it must know itself: which keys sign tokens, whether a token is good.

use std::sync::Arc;

use busbar_model::Error;
use bytes::Bytes;

use crate::handler::BoxFuture;

/// Opens ways to other servers.
pub trait Peers: Send + Sync + 'static {
    /// A way to one address, used for many questions. Nothing is sent yet. `name` is the object's that needs it, for messages.
    ///
    /// # Errors
    ///
    /// The address is none, or the file of authorities cannot be used.
    fn open(&self, name: &str, address: &PeerAddress) -> Result<Arc<dyn Peer>, Error>;
}

/// Another server, at one address.
pub trait Peer: Send + Sync + 'static {
    /// Asks it. Every whole answer is one, whatever its status.
    ///
    /// # Errors
    ///
    /// It cannot be reached, takes too long, or answers with more than it may.
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<PeerAnswer, Error>>;
}

/// Where another server is, and how it is known to be the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    /// `https://login.example.com/keys`.
    pub url: String,
    /// Whether its TLS certificate is verified.
    pub tls_verify: bool,
    /// File with the certificate authorities to trust, in PEM; empty: those of Mozilla's list.
    pub tls_ca_path: String,
}

/// What is asked.
#[derive(Clone, Default)]
pub struct Question {
    /// Fields of a form to send by POST; none: a GET.
    pub form: Vec<(String, String)>,
    /// User name and password to send.
    pub basic_auth: Option<(String, String)>,
}

/// What it answered.
#[derive(Debug, Clone)]
pub struct PeerAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}
