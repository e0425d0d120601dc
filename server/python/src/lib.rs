//! The Python host: the only crate that knows an interpreter.
//!
//! * [`about`] - which interpreter it is, and the packages that it finds
//! * [`host`] - the interpreter behind the seam `Handler`: calls, deployments, configuration
//! * [`environment`] - what all calls of one process share
//! * [`turn`] - handler threads that take turns
//! * [`loader`] - hot deployment
//! * [`interpreter`] - starting CPython
//! * [`service`], [`sio`], [`json`] - what a service is and sees, and its data
//! * [`faces`] - what connectors look like from Python
//! * [`bench`] - the server that tests of services run in

pub mod about;
pub mod bench;
pub mod environment;
mod errors;
pub mod faces;
mod headers;
pub mod host;
mod interpreter;
mod json;
mod kept;
mod loader;
pub mod service;
mod sio;
mod sync;
#[cfg(test)]
mod testing;
pub mod turn;

pub use busbar_sio::names::{NamingRules, UntypedOutput};
pub use environment::Environment;
pub use host::{Host, HostConfig};
