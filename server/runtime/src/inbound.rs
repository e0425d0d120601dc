//! The seam between channels, which speak a protocol, and the dispatcher, which knows services, security and limits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use busbar_model::object::Snapshot;
use busbar_model::rate_limit::RateLimits;
use busbar_model::{Cid, Error};
use bytes::Bytes;

use crate::call::{ChannelHead, Fault, Outcome};
use crate::handler::BoxFuture;

/// Runs a request that a channel has received and read: checks declared input, finds the service, calls it, keeps the deadline.
pub trait Dispatch: Send + Sync + 'static {
    /// Runs it. Dropping the future cancels the call.
    fn dispatch(&self, request: Inbound) -> BoxFuture<'static, Outcome>;

    /// Says why a request would be refused before any service saw it, without running it. Nothing is, unless the implementor says so.
    fn check(&self, request: &Inbound) -> Result<(), Fault> {
        let _ = request;
        Ok(())
    }

    /// Asks the service what tells this request from others, for those who keep answers (http.md 11): its `get_request_hash`. `None`: it
    /// does not say, or not of this one. Nobody does, unless the implementor says so.
    fn request_hash(&self, request: &Inbound) -> Option<BoxFuture<'static, Result<Option<Bytes>, Fault>>> {
        let _ = request;
        None
    }
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

/// Makes the guards of channels out of what is configured.
pub trait Gate: Send + Sync + 'static {
    /// Reads the security definitions of `snapshot`, for the guards of its channels. Nothing that runs changes. As long as nothing that
    /// guards are made of is another object than before, these are the same.
    ///
    /// # Errors
    ///
    /// What is configured cannot be used.
    fn guards(&self, snapshot: &Snapshot) -> Result<Arc<dyn Guards>, Error>;
}

/// Makes guards, all out of one state of the configuration.
pub trait Guards: Send + Sync + 'static {
    /// The guard of an entrance; `None`: it is open to everyone.
    ///
    /// # Errors
    ///
    /// The entrance asks for something that is not there.
    fn of(&self, entrance: &Entrance<'_>) -> Result<Option<Arc<dyn Guard>>, Error>;
}

/// What a channel says of who may use it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entrance<'a> {
    /// Name of the channel.
    pub channel: &'a str,
    /// The service behind it.
    pub service: &'a str,
    /// Its security definition.
    pub security: Option<&'a str>,
    /// Its security groups.
    pub groups: &'a [String],
    /// Whether the caller's roles must allow what it does.
    pub has_rbac: bool,
    /// Whether the credentials of any definition do whose roles allow it.
    pub is_delegated: bool,
    /// Whether it is a door of the management API: whoever's roles allow the management service may come in as well, and who comes
    /// with wrong credentials again and again must wait.
    pub is_management: bool,
    /// How often it may be called.
    pub limits: Option<&'a RateLimits>,
}

/// Decides whether a request may come in.
pub trait Guard: Send + Sync + 'static {
    /// Decides, or says what it takes to.
    fn check(&self, visitor: &Visitor<'_>) -> Verdict;
}

/// A request, as a guard sees it.
#[derive(Clone, Copy)]
pub struct Visitor<'r> {
    /// Correlation id.
    pub cid: Cid,
    /// HTTP method.
    pub method: &'r str,
    /// The address, as far as the request tells: `https://host:port/path`, not decoded.
    pub url: &'r dyn Fn() -> String,
    /// Raw query string.
    pub query: &'r str,
    /// Who calls: the socket's peer, or whom a trusted proxy names.
    pub remote: IpAddr,
    /// A request header by its lower-case name.
    pub header: &'r dyn Fn(&str) -> Option<&'r [u8]>,
    /// The caller's TLS certificate.
    pub certificate: Option<&'r Certificate>,
    /// Whether a trusted proxy sent this, so that what it says of its client's certificate counts.
    pub is_proxied: bool,
}

/// A client's certificate, checked: its fields by name. A field may be there more than once.
#[derive(Debug, Clone, Default)]
pub struct Certificate(pub Vec<(&'static str, String)>);

/// What a guard decided.
pub enum Verdict {
    /// It may come in.
    In(Admission),
    /// It may not.
    Out(Fault),
    /// Somebody must be asked first.
    Wait(Asking),
    /// The credentials are in the body.
    Body(Looking),
}

/// Asks somebody who a caller is.
pub type Asking = BoxFuture<'static, Result<Admission, Fault>>;

/// Looks at a body for who a caller is, and asks somebody if that does not tell.
pub type Looking = Box<dyn FnOnce(&[u8]) -> Asking + Send>;

/// Who came in; `None`: whoever has the credentials of the channel's own definition, or anybody if it is open.
pub type Admission = Option<Arc<Identity>>;

/// Who a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the security definition.
    pub name: String,
    /// Its type: `basic_auth`, `apikey`, `oauth`.
    pub kind: String,
    /// The user's name.
    pub username: String,
    /// What the caller's token says, a JSON object; empty: there is none that says anything.
    pub claims: String,
}

/// Services that the hub itself answers. Channels name them like any other.
pub mod builtin {
    /// Answers that the server is there: `/zato/ping`.
    pub const PING: &str = "pub.zato.ping";
    /// Calls the service that the path names: `/zato/api/invoke/{service_name}`.
    pub const INVOKER: &str = "pub.zato.service.service-invoker";
    /// Calls the services that a JSON-RPC request names.
    pub const JSON_RPC: &str = "pub.zato.channel.json-rpc.gateway";
    /// Path parameter of [`INVOKER`].
    pub const INVOKER_PARAM: &str = "service_name";
    /// Security definition that guards [`INVOKER`].
    pub const PUBAPI: &str = "pubapi";
    /// Says that the server is there to whoever has the credentials of the definition that has this name too.
    pub const PING_BASIC: &str = "zato.ping.plain_http.basic_auth";
    /// The same over SOAP, with the credentials of Basic authentication, or of WS-Security. The definitions have these names too.
    pub const PING_SOAP_BASIC: &str = "zato.ping.soap.basic_auth";
    /// See [`PING_SOAP_BASIC`].
    pub const PING_SOAP_WSS: &str = "zato.ping.soap.wss.clear_text";
    /// Gives a token for a user name and a password: `/zato/jwt/log-in`.
    pub const LOG_IN: &str = "zato.security.jwt.log-in";
    /// Describes what can be called: `/openapi.json`.
    pub const OPENAPI: &str = "busbar.openapi";
    /// A page on which calls can be tried: `/openapi`.
    pub const OPENAPI_PAGE: &str = "busbar.openapi.page";
    /// How often services are called and how long they take, for Prometheus: `/metrics`, for administrators.
    pub const METRICS: &str = "busbar.metrics";
    /// Makes a token worthless: `/zato/jwt/log-out`.
    pub const LOG_OUT: &str = "zato.security.jwt.log-out";
    /// How the names of busbar's own services begin. Those that manage do something with objects of all types, and are for administrators.
    pub const WHOLE: &str = "busbar.";
    /// Runs the management service that the path names: `/zato/json/{service_name}`.
    pub const MANAGE: &str = "busbar.manage";
    /// Runs the management service that the header `SOAPAction` names: `/zato/soap`.
    pub const MANAGE_SOAP: &str = "busbar.manage.soap";
    /// As [`INVOKER`], management services among what the path may name. For listeners of administrators only.
    pub const MANAGE_INVOKER: &str = "busbar.manage.invoker";
    /// Runs any service, named in the body: `/zato/admin/invoke`.
    pub const INVOKE: &str = "zato.service.invoke";
    /// Security definition that guards [`INVOKE`].
    pub const ADMIN_INVOKE: &str = "admin.invoke";
    /// Deploys the file in the body: `PUT /zato/deploy/{file_name}`.
    pub const DEPLOY: &str = "busbar.deploy";
    /// Gives callers the WSDL that is kept for a service: `/zato/wsdl`.
    pub const WSDL: &str = "busbar.wsdl";
    /// Path parameter of [`DEPLOY`].
    pub const DEPLOY_PARAM: &str = "file_name";
    /// Deploys a file whose text is in the body: what roles must allow for [`DEPLOY`] too.
    pub const UPLOAD: &str = "zato.service.upload-package";
    /// Deploys a file from an editor: `/ide-deploy`.
    pub const IDE_DEPLOY: &str = "zato.ide-deploy.create";
    /// Security definition that guards [`IDE_DEPLOY`].
    pub const IDE_PUBLISHER: &str = "ide_publisher";
    /// Security definition that guards [`INVOKE`] between servers: `/zato/internal/invoke`.
    pub const INTERNAL_INVOKE: &str = "zato.internal.invoke";
}
