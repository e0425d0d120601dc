//! Whether a Redis is there.

use std::time::{Duration, Instant};

use busbar_model::Error;
use busbar_model::object::{Object, Record};

use super::{OutgoingRedis, RedisClient, RedisConfig, RedisFailure};
use crate::ping::{Ping, config};

/// Sends `PING`, in a cluster to every node that has keys. The time includes logging in.
pub(crate) async fn ping(record: &Record) -> Result<Ping, Error> {
    let config: OutgoingRedis = config(record)?;
    let failed = |failure: RedisFailure| {
        let kind = Error::from(failure.clone()).kind();
        Error::new(kind, format!("cannot ping {} `{}`", OutgoingRedis::KIND, record.name)).with_source(failure)
    };
    // one that is away is to be told at once
    let client = RedisClient::new(RedisConfig {
        patience: Duration::ZERO,
        ..config.redis_config()
    })?;
    let command = [b"PING".to_vec()];
    let started = Instant::now();
    let nodes = client.nodes().await.map_err(failed)?;
    for node in &nodes {
        client.execute_at(node, &command).await.map_err(failed)?;
    }
    if nodes.is_empty() {
        client.execute(&command).await.map_err(failed)?;
    }
    let elapsed = started.elapsed();
    let seconds = elapsed.as_secs_f64();
    let info = match nodes.len() {
        0 => format!("Redis answered PING in {seconds:.4} s, logging in included"),
        count => format!("all {count} nodes of the Redis cluster answered PING in {seconds:.4} s, logging in included"),
    };
    Ok(Ping { info, elapsed })
}
