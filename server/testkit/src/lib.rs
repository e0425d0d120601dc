//! What tests of the real executable are written with: a server of their own, a client that can also misbehave, and peers that do
//! whatever a test needs.
//!
//! - [`server`]: [`TestServer`], a server in a temporary environment on a port of its own
//! - [`client`]: [`Connection`], [`Request`] and [`Response`]: HTTP/1.1, exactly as told
//! - [`backend`]: [`Backend`], an HTTP back-end whose every answer is scripted, faults included
//! - [`database`]: databases of PostgreSQL and MySQL servers that are the test's own
//! - [`own_server`]: servers of databases that are the test's own, to be killed and set up as it likes
//! - [`pgbouncer`]: a proxy that shares connections of PostgreSQL
//! - [`port`]: ports for servers that must be given one
//! - [`proxy`]: a line to a server that can be cut
//! - [`zeromq`]: peers of ZeroMQ connections
//! - [`provider`]: [`Provider`], an identity provider whose tokens and keys are made up as a test goes
//! - [`load`]: [`Load`], many keep-alive connections that count what they get
//! - [`process`]: commands with a time limit, signals, and what the kernel tells of processes
//! - [`wait`]: waiting for an event, never for time to pass
//!
//! Everything here blocks and panics: a test has nothing better to do, and a message that says what was expected is worth more than an
//! error that is passed on.

pub mod backend;
pub mod client;
pub mod database;
pub mod load;
pub mod own_server;
pub mod pgbouncer;
pub mod port;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod server;
pub mod wait;
pub mod zeromq;

pub use backend::{Answer, Backend};
pub use client::{Connection, Request, Response};
pub use database::Database;
pub use load::{Load, Tally};
pub use own_server::OwnServer;
pub use pgbouncer::Pgbouncer;
pub use port::free_port;
pub use process::{Output, run};
pub use provider::{Provider, SigningKey};
pub use proxy::{Moment, Proxy};
pub use server::TestServer;
pub use wait::{LIMIT, wait_until};
