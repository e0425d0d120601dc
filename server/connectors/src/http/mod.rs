//! HTTP, both ways.
//!
//! Inbound: a [`HttpServer`] takes requests, [`Routes`] finds the channel, a gate checks credentials, the dispatcher runs the service.
//!
//! * [`ChannelHttp`] - the object: a URL under which a service can be called
//! * [`HttpConfig`] - the server's address and limits
//!
//! * [`outgoing`] - connections that services call
//! * [`outgoing_config`] - their object type

mod config;
pub mod outgoing;
pub mod outgoing_config;
mod pattern;
mod settings;

pub use config::{ChannelHttp, ParamsPriority, Transport, UrlParamsPriority};
pub use settings::{HttpConfig, Network, Tls};
