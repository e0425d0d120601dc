//! The seam between channels, which speak a protocol, and the dispatcher, which knows services, security and limits.

use std::sync::Arc;
use std::time::Duration;

use busbar_model::Cid;
use bytes::Bytes;

use crate::call::{ChannelHead, Fault, Outcome};
use crate::handler::BoxFuture;

/// Runs a request that a channel has received and read: checks declared input, finds the service, calls it, keeps the deadline.
pub trait Dispatch: Send + Sync + 'static {
    /// Runs it. Dropping the future cancels the call.
    fn dispatch(&self, request: Inbound) -> BoxFuture<'static, Outcome>;
}

/// A request on its way from a channel to a service. Route and credentials are settled by now.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Correlation id, made by the channel.
    pub cid: Cid,
    /// Name of the service.
    pub service: Arc<str>,
    /// The channel's part of the head, as a copy to read formats and flags from.
    pub channel: ChannelHead,
    /// The packed head, channel's part included.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
    /// How long the caller will wait at most; `None`: the service's own deadline.
    pub timeout: Option<Duration>,
}

/// Checks the credentials of a request against the security definition that its channel names.
pub trait Gate: Send + Sync + 'static {
    /// Lets the caller in, or says why not. `header` looks a request header up by its lower-case name.
    fn check<'h>(&self, security: &str, header: &dyn Fn(&str) -> Option<&'h [u8]>, cid: Cid) -> Result<(), Fault>;
}

/// Services that the hub itself answers. Channels name them like any other.
pub mod builtin {
    /// Answers that the server is there: `/zato/ping`.
    pub const PING: &str = "pub.zato.ping";
    /// Calls the service that the path names: `/zato/api/invoke/{service_name}`.
    pub const INVOKER: &str = "pub.zato.service.service-invoker";
    /// Path parameter of [`INVOKER`].
    pub const INVOKER_PARAM: &str = "service_name";
    /// Security definition that guards [`INVOKER`].
    pub const PUBAPI: &str = "pubapi";
}
