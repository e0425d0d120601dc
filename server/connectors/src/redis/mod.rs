#![doc = include_str!("docs.md")]

mod client;
mod command;
mod config;
mod error;
mod line;
mod reply;
mod resp;
mod session;
mod subscription;
#[cfg(test)]
mod tests;

pub use self::client::RedisClient;
pub use self::config::RedisConfig;
pub use self::error::{RedisFailure, RedisFailureKind};
pub use self::reply::Reply;
pub use self::session::RedisSession;
pub use self::subscription::{PushKind, RedisPush, RedisSubscription};
