//! Redis, as busbar runs it.
//!
//! * [`private`] - the server that a hub starts for itself when no `[redis] url` is set

pub mod private;

pub use private::{PrivateRedis, RedisConfig, RedisProcess};
