//! What speaks to the world outside: one folder per protocol, channels and outgoing connections side by side.
//!
//! * [`http`] - channels and outgoing connections over HTTP
//! * [`redis`] - a client of Redis

pub mod http;
pub mod redis;
