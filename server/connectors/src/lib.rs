//! What speaks to the world outside: one folder per protocol, channels and outgoing connections side by side.

pub mod http;
