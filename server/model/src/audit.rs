//! What is kept of a channel's messages.

use serde::{Deserialize, Serialize};

/// One message, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditEntry {
    /// `received` or `sent`.
    pub direction: String,
    /// Correlation id of the request.
    pub cid: String,
    /// Milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// Who asked.
    pub remote: String,
    /// Method of the request.
    pub method: String,
    /// Path and query of the request.
    pub path: String,
    /// Status of the answer; 0 for requests.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// Length of the body.
    pub size_bytes: usize,
    /// The body, or as much of it as is kept.
    pub body: String,
}
