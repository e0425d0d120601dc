//! Plain data that every other crate of busbar speaks: no I/O, nothing asynchronous, no interpreter.
//!
//! * [`audit`] - what is kept of a channel's messages
//! * [`bearer_token`] - OAuth 2 bearer tokens, sent and received
//! * [`cid`] - correlation ids
//! * [`difference`] - what leads from one state of all objects to another
//! * [`error`] - the one error that connectors, faces and doors exchange, with its kind
//! * [`fields`] - what object types do alike with their fields
//! * [`format`] - data formats and channel types as they are spelt on the wire
//! * [`network`] - addresses and networks of addresses
//! * [`object`] - what can be configured: object types, records and changes
//! * [`rate_limit`] - how often who may call
//! * [`references`] - what objects name
//! * [`service`] - what a deployed service declares
//! * [`sio`] - SimpleIO declarations
//! * [`wildcard`] - patterns of names
//! * [`slow`] - what is kept of a call that took long

pub mod audit;
pub mod bearer_token;
mod body;
pub mod cid;
pub mod difference;
pub mod error;
pub mod fields;
pub mod format;
pub mod network;
pub mod object;
pub mod rate_limit;
pub mod references;
mod schema;
pub mod service;
pub mod sio;
pub mod slow;
pub mod wildcard;

pub use cid::Cid;
pub use error::{Error, Kind};
pub use format::{ChannelType, DataFormat, JobType, SoapVersion};
pub use network::Network;
