//! SOAP envelopes, 1.1 and 1.2 (http.md 7.3, sio.md 6).
//!
//! * [`check_envelope`] - refuse what is no envelope of the channel's version, or wants what nobody here understands
//! * [`check_input`] and [`payload`] - what the service is called with: the first element in the body
//! * [`envelope`] and [`fault`] - what is answered
//! * [`management_namespace`] - what the elements of an answer of the management API belong to
//! * [`Addressing`] - what a request says of itself, and its answer in turn
//! * [`assembled`] - an envelope whose binary data comes beside it, as one
//! * [`add_header`] - what a client says of itself in an envelope that is there

mod addressing;
mod attachments;
mod header;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use addressing::Addressing;
pub use attachments::{assembled, has_attachments};
pub use header::add_header;
pub use read::{check_envelope, check_input, management_namespace, payload};
pub use write::{envelope, fault, undeclared_envelope};

/// Why a request failed, in the words of SOAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    /// The caller's fault: `Client`, in 1.2 `Sender`.
    Client,
    /// Our fault: `Server`, in 1.2 `Receiver`.
    Server,
    /// A header had to be understood and was not.
    MustUnderstand,
    /// The envelope is of another version.
    VersionMismatch,
}

/// A request that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SoapError {
    /// What kind of failure it is.
    pub code: FaultCode,
    /// What is wrong, for the caller.
    pub message: String,
}

impl SoapError {
    fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
