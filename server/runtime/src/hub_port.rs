//! What a worker asks of the hub: operations of connectors that exist once per node.

use busbar_model::Error;
use bytes::Bytes;

use crate::handler::BoxFuture;

/// The hub, seen from a worker: over the link, or directly when both are one process.
pub trait HubPort: Send + Sync + 'static {
    /// Runs one operation. Never blocks the caller's thread by itself; faces wait for it with the interpreter detached.
    fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>>;
}

/// One operation of one object whose connector lives in the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubRequest {
    /// Kind of the object: `outgoing.zmq`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What to do: `send`, `ping`.
    pub operation: String,
    /// Arguments, as that connector defines them: for `send` of ZeroMQ one item per message part.
    pub parts: Vec<Bytes>,
}
