//! HTTP, both ways.
//!
//! Inbound: a [`HttpServer`] takes requests, [`Routes`] finds the channel, a gate checks credentials, the dispatcher runs the service.
//!
//! * [`ChannelHttp`] - the object: a URL under which a service can be called
//! * [`HttpConfig`] - the server's address and limits
//! * [`Routes`] - the channels that are configured
//! * [`HttpServer`] - bound, spawned, drained
//!
//! * [`outgoing`] - connections that services call
//! * [`outgoing_config`] - their object type; where their bearer tokens come from is [`busbar_model::bearer_token`]
//! * [`client_cert`] - certificates that they present
//! * [`ca_cert`] - authorities that they trust

mod admit;
mod answer;
mod audit;
mod body;
pub mod ca_cert;
mod cache;
pub mod client_cert;
mod coding;
mod config;
mod cors;
mod extra;
mod front;
mod io;
mod items;
mod json_rpc;
pub mod outgoing;
pub mod outgoing_config;
mod pattern;
mod respond;
mod retirement;
mod routes;
mod server;
mod settings;
mod soap;
mod tls;
mod watch;

pub use config::{CacheType, ChannelHttp, ContentEncoding, ParamsPriority, Transport, UrlParamsPriority};
pub use cors::Cors;
pub use routes::{Audience, Routes};
pub use server::{BoundHttp, HttpServer};
pub use settings::{ContentTypes, HttpConfig, OpenApiAccess, Tls};
