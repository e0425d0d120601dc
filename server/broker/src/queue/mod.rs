//! The durable queue: messages for services, in a Redis stream that a consumer group reads.
//!
//! * [`entry`] - a message as a stream holds it
//! * [`consumer`] - reads, runs, acknowledges
//! * [`dead`] - the stream of what was given up
//!
//! A message is in the stream until its service has returned, and pending for the server that runs it meanwhile. One that failed stays
//! pending while it waits for its next turn. So whatever dies, hub, worker or Redis, the message is found again: a server that starts
//! begins with what it left, and takes over what others have left behind.

mod consumer;
mod dead;
mod entry;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use busbar_model::{Error, Kind};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::queue::{DeadLetter, Message, Queue, QueueConfig, QueueStatus};
use redis::cmd;
use tokio::sync::{Semaphore, watch};

use crate::line::{Line, failed};

/// Stores a message unless the stream is full.
const PUT: &str = "if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end \
                   return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))";

/// A queue in Redis.
pub struct RedisQueue {
    config: QueueConfig,
    /// Key of the stream.
    stream: String,
    /// Key of the stream of dead letters.
    dead: String,
    /// What this server is called within the group.
    consumer: String,
    line: Line,
    /// The line that waits for messages.
    reading: Line,
    permits: Arc<Semaphore>,
    /// Ids of the messages that this server runs, or is going to run again.
    held: Mutex<HashSet<String>>,
    stop: watch::Sender<bool>,
}

impl RedisQueue {
    /// The queue of all servers that share the Redis at `url` and `namespace`. `consumer` tells this server from the others, and is the
    /// same each time it starts.
    pub fn new(url: &str, namespace: &str, consumer: &str, config: QueueConfig) -> Result<Arc<Self>, Error> {
        // braces: in a Redis Cluster both streams live in one place
        Ok(Arc::new(Self {
            stream: format!("busbar:{{{namespace}}}:queue"),
            dead: format!("busbar:{{{namespace}}}:dead"),
            consumer: consumer.to_owned(),
            line: Line::new(url)?,
            reading: Line::new(url)?,
            permits: Arc::new(Semaphore::new(config.concurrency.max(1))),
            held: Mutex::default(),
            stop: watch::Sender::new(false),
            config,
        }))
    }

    fn held(&self) -> MutexGuard<'_, HashSet<String>> {
        // every statement leaves the set whole
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn store(&self, message: &Message) -> Result<(), Error> {
        let what = || format!("cannot store a message for service `{}`", message.service);
        let mut command = cmd("EVAL");
        command.arg(PUT).arg(1).arg(&self.stream).arg(self.config.max_messages);
        entry::arguments(message, &mut command);
        match self.line.run::<Option<String>>(&command).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Error::new(
                Kind::Unavailable,
                format!("{}: the queue holds {} already", what(), self.config.max_messages),
            )
            .with_hint("see what keeps services from getting on with it: `busbar queue status`")),
            Err(error) => Err(failed(format!("{}: Redis cannot be used", what()), error)),
        }
    }

    async fn count(&self) -> Result<QueueStatus, Error> {
        let length = |key: &str| {
            let mut command = cmd("XLEN");
            command.arg(key);
            command
        };
        let what = "cannot look into the queue: Redis cannot be used";
        let waiting = self.line.run(&length(&self.stream)).await;
        let dead = self.line.run(&length(&self.dead)).await;
        Ok(QueueStatus {
            waiting: waiting.map_err(|error| failed(what, error))?,
            running: self.held().len() as u64,
            dead: dead.map_err(|error| failed(what, error))?,
        })
    }
}

/// The queue as others see it. `None`: there is no Redis to keep it in, and everything fails with an error that says so.
#[derive(Clone)]
pub struct QueueHandle(pub Option<Arc<RedisQueue>>);

impl QueueHandle {
    fn queue(&self) -> Result<&Arc<RedisQueue>, Error> {
        self.0.as_ref().ok_or_else(|| {
            Error::new(Kind::Unavailable, "there is no Redis to keep messages in")
                .with_temporary(false)
                .with_hint("install redis-server, or set the URL of a Redis in config/server.toml")
        })
    }
}

impl Queue for QueueHandle {
    fn put(&self, message: Message) -> BoxFuture<'static, Result<(), Error>> {
        let handle = self.clone();
        Box::pin(async move { handle.queue()?.store(&message).await })
    }

    fn status(&self) -> BoxFuture<'_, Result<QueueStatus, Error>> {
        Box::pin(async { self.queue()?.count().await })
    }

    fn dead(&self, limit: usize) -> BoxFuture<'_, Result<Vec<DeadLetter>, Error>> {
        Box::pin(async move { self.queue()?.list_dead(limit).await })
    }

    fn replay(&self, ids: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async move { self.queue()?.replay_dead(ids).await })
    }

    fn forget(&self, ids: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async move { self.queue()?.forget_dead(ids).await })
    }
}
