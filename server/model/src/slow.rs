//! What is kept of a call that took long.

use serde::{Deserialize, Serialize};

/// One call of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlowCall {
    /// The service.
    pub service: String,
    /// Correlation id of the request, to find it in the log.
    pub cid: String,
    /// How it was called: `http-soap`, `invoke`...
    pub channel: String,
    /// When it began: milliseconds since 1970, UTC.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// From how many milliseconds on it counts as slow.
    pub threshold_ms: u64,
}

impl SlowCall {
    /// What a worker reports one under to the hub.
    pub const KIND: &'static str = "service.slow";
}
