#![doc = include_str!("docs.md")]

mod address;
mod client;
mod cluster;
mod command;
mod config;
mod direct;
mod error;
mod line;
mod outgoing;
mod outgoing_config;
mod ping;
mod reply;
mod resp;
mod sentinel;
mod session;
mod subscription;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_places;

pub use self::client::{RedisClient, RedisNode};
pub use self::config::RedisConfig;
pub use self::direct::RedisTurn;
pub use self::error::{RedisFailure, RedisFailureKind};
pub use self::outgoing::{RedisConnection, RedisConnections};
pub use self::outgoing_config::OutgoingRedis;
pub(crate) use self::ping::ping;
pub use self::reply::Reply;
pub use self::session::RedisSession;
pub use self::subscription::{PushKind, RedisPush, RedisSubscription};
