//! What speaks to the world outside: one folder per protocol, channels and outgoing connections side by side.
//!
//! * [`check`] - whether connections can be made of objects
//! * [`command`] - commands of the operating system
//! * [`http`] - channels and outgoing connections over HTTP
//! * [`imap`] - mailboxes
//! * `live` - connections that are made when they are needed
//! * [`pickup`] - the directory from which services are deployed
//! * [`ping`] - asking the other side of a connection whether it is there
//! * [`redis`] - a client of Redis
//! * [`smtp`] - e-mail out
//! * [`sql`] - databases over SQL
//! * [`zmq`] - outgoing connections over ZeroMQ

pub mod check;
pub mod command;
pub mod http;
pub mod imap;
mod live;
pub mod pickup;
pub mod ping;
pub mod redis;
pub mod smtp;
pub mod sql;
pub mod zmq;
