//! The seam between the dispatcher and services that the hub runs itself, without an interpreter: those that manage the server.

use std::sync::Arc;

use busbar_model::{Cid, DataFormat, Error, Kind};
use bytes::Bytes;
use serde_json::Value;

use crate::call::{ChannelFields, HeadBuilder, Outcome, RequestFields};
use crate::handler::BoxFuture;
use crate::hub_port::HubRequest;

/// Services that the hub runs itself. Channels and other services call them by name like any other.
pub trait Natives: Send + Sync + 'static {
    /// Whether there is one of this name.
    fn has(&self, name: &str) -> bool;

    /// Runs one. What it changes it changes to the end, even if the caller stops waiting.
    fn call(&self, call: NativeCall) -> BoxFuture<'static, Outcome>;
}

/// How a service that the hub runs itself was reached, which decides about the shape of its answer (management.md 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A channel: JSON or XML with a response element and `zato_env`, in a SOAP envelope if the channel's are.
    Channel,
    /// The URL that names any service: JSON with `zato_env` among the service's own keys.
    Api,
    /// Another service, or the command line: JSON with a response element and without `zato_env`.
    Internal,
}

/// A call of a service that the hub runs itself.
#[derive(Debug, Clone)]
pub struct NativeCall {
    /// How it was reached.
    pub door: Door,
    /// Correlation id.
    pub cid: Cid,
    /// Which service.
    pub service: Arc<str>,
    /// How it was called: formats, envelope, channel, who calls. See [`Head`](crate::Head).
    pub head: Bytes,
    /// The body as it was received.
    pub body: Bytes,
}

impl NativeCall {
    /// A call by another service of this server, which may call anything: its name is all that is known of who calls.
    pub fn of_service(cid: Cid, service: &str, caller: &str, body: Bytes) -> Self {
        let channel = HeadBuilder::channel(&ChannelFields {
            data_format: DataFormat::Json,
            channel: service,
            username: caller,
            ..ChannelFields::default()
        });
        Self {
            door: Door::Internal,
            cid,
            service: service.into(),
            head: HeadBuilder::request(&channel, RequestFields::default()).finish([].into_iter(), [].into_iter()),
            body,
        }
    }
}

/// The answer to a service that runs in a worker and has called one of the hub's, as it goes over the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeReply {
    /// HTTP status; 400 and up if the service failed.
    pub status: u16,
    /// A JSON document, or in words what went wrong.
    pub body: Bytes,
}

impl NativeReply {
    /// What a worker asks of the hub to have such a service called: the cid, the body and the name of the service that calls.
    pub const KIND: &'static str = "native";
    /// The operation that asks for nothing but whether there is such a service.
    pub const FIND: &'static str = "find";

    /// As bytes.
    pub fn pack(&self) -> Bytes {
        [&self.status.to_le_bytes(), &self.body[..]].concat().into()
    }

    /// The other way. What is too short for a status stands for a failure without words.
    pub fn unpack(packed: &Bytes) -> Self {
        match packed.split_first_chunk::<2>() {
            Some((status, _)) => Self {
                status: u16::from_le_bytes(*status),
                body: packed.slice(2..),
            },
            None => Self {
                status: 500,
                body: Bytes::new(),
            },
        }
    }
}

/// Calls a service for another one that runs in a worker, or says that there is one.
///
/// # Errors
///
/// [`Kind::NotFound`]: there is no such service. [`Kind::Protocol`]: the request is none.
pub async fn call_for_worker(natives: Arc<dyn Natives>, request: HubRequest) -> Result<Bytes, Error> {
    let wrong = || Error::new(Kind::Protocol, "a request of a worker does not hold a call");
    if !natives.has(&request.name) {
        return Err(Error::new(
            Kind::NotFound,
            format!("there is no service `{}`", request.name),
        ));
    }
    if request.operation == NativeReply::FIND {
        return Ok(Bytes::new());
    }
    let [cid, body, caller]: [Bytes; 3] = request.parts.try_into().map_err(|_| wrong())?;
    let caller = std::str::from_utf8(&caller).map_err(|_| wrong())?;
    let cid = Cid::from_bytes(&cid).ok_or_else(wrong)?;
    let call = NativeCall::of_service(cid, &request.name, caller, body);
    let reply = match natives.call(call).await {
        Outcome::Reply(reply) => NativeReply {
            status: reply.status,
            body: reply.body,
        },
        Outcome::Fault(fault) => NativeReply {
            status: fault.status,
            body: match fault.details {
                Some(Value::String(text)) => text.into(),
                Some(details) => details.to_string().into(),
                None => Bytes::new(),
            },
        },
    };
    Ok(reply.pack())
}
