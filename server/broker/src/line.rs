//! The broker's own connection to Redis.

use std::time::Duration;

use busbar_model::{Error, Kind};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError};
use tokio::sync::Mutex;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long an answer may take, unless the command itself waits.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A connection that is opened when it is needed, and again after it was lost.
pub(crate) struct Line {
    client: Client,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl Line {
    /// A line to the Redis at `url`. Fails only if the URL is none.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        // the URL stays out of messages, it may hold a password
        let client = Client::open(url)
            .map_err(|error| Error::new(Kind::Config, "cannot use the URL of Redis").with_source(error))?;
        Ok(Self {
            client,
            open: Mutex::default(),
        })
    }

    /// Runs a command.
    pub(crate) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connection().await?;
        let result = match tokio::time::timeout(ANSWER_LIMIT, command.query_async(&mut connection)).await {
            Ok(result) => result,
            Err(_) => Err(late()),
        };
        self.judge(result).await
    }

    /// Runs commands as one transaction.
    pub(crate) async fn run_all<T: FromRedisValue>(&self, commands: &mut redis::Pipeline) -> Result<T, RedisError> {
        let mut connection = self.connection().await?;
        let commands = commands.atomic();
        let result = match tokio::time::timeout(ANSWER_LIMIT, commands.query_async(&mut connection)).await {
            Ok(result) => result,
            Err(_) => Err(late()),
        };
        self.judge(result).await
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        // the limit for answers is ours: some commands wait
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(None);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.named(error))?;
        Ok(open.insert(connection).clone())
    }

    /// Names the server if that did not let us in: the library's own words do not say which one it was.
    fn named(&self, error: RedisError) -> RedisError {
        if error.kind() != ErrorKind::AuthenticationFailed {
            return error;
        }
        let address = self.client.get_connection_info().addr();
        let what = "Redis does not accept the user name or the password";
        RedisError::from((error.kind(), what, format!("the one at `{address}`")))
    }

    /// Forgets a connection that was lost.
    async fn judge<T>(&self, result: Result<T, RedisError>) -> Result<T, RedisError> {
        if let Err(error) = &result
            && is_lost(error)
        {
            *self.open.lock().await = None;
        }
        result
    }
}

fn late() -> RedisError {
    RedisError::from((ErrorKind::Io, "Redis did not answer in time"))
}

/// Whether it is the connection that failed, rather than the command.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error()
}

/// An error for whoever asked for something.
pub(crate) fn failed(what: impl Into<String>, error: RedisError) -> Error {
    let kind = if is_lost(&error) {
        Kind::Connection
    } else {
        Kind::Internal
    };
    Error::new(kind, what).with_source(error)
}
