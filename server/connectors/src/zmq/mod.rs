#![doc = include_str!("docs.md")]

mod config;
mod error;
mod outbox;
mod outgoing;
mod ping;
mod socket;
#[cfg(test)]
mod tests;
mod thread;

pub use self::config::{OutgoingZmq, SocketMethod, SocketType};
pub use self::outbox::{ZmqState, ZmqStatus};
pub use self::outgoing::ZmqSockets;
pub(crate) use self::ping::ping;
