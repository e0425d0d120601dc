//! The HTTP server, over real sockets, in front of a dispatcher that is not one.
//!
//! * [`answers`] - what a client that behaves gets
//! * [`framing`] - bodies, their limits, and requests that are framed in two ways
//! * [`limits`] - clients that are slow, idle or many, and stopping
//! * [`http2`] - HTTP/2 and TLS
//! * [`client_certs`] - certificates that clients present

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod client_certs;
mod framing;
mod http2;
mod limits;
mod setup;
