//! A connection that belongs to one caller for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::client::{Inner, transaction_result};
use super::command::{Way, upper, way};
use super::line::Line;
use super::{RedisFailure, RedisFailureKind, Reply};

/// A connection that belongs to one caller: what it watches and selects holds until it is dropped. It is not replaced when it is lost.
pub struct RedisSession {
    client: Arc<Inner>,
    line: Option<Line>,
    _permit: OwnedSemaphorePermit,
    /// Something is watched, or a transaction is open.
    is_pending: bool,
    /// What was set cannot be taken back.
    is_spoiled: bool,
}

impl RedisSession {
    pub(super) fn new(client: Arc<Inner>, line: Line, permit: OwnedSemaphorePermit) -> Self {
        Self {
            client,
            line: Some(line),
            _permit: permit,
            is_pending: false,
            is_spoiled: false,
        }
    }

    /// Runs one command. An error that Redis reports is an `Err`.
    pub async fn execute(&mut self, command: &[Vec<u8>]) -> Result<Reply, RedisFailure> {
        let limit = self.client.response_timeout();
        match way(command) {
            Way::Blocking(wait) => self.run_waiting(command, wait.map(|wait| wait + limit)).await,
            _ => self.run_waiting(command, Some(limit)).await,
        }
    }

    /// Runs one command for as long as `limit` says.
    pub(super) async fn run_waiting(
        &mut self,
        command: &[Vec<u8>],
        limit: Option<Duration>,
    ) -> Result<Reply, RedisFailure> {
        let commands = [command.to_vec()];
        let mut replies = self.run(&commands, limit).await?;
        replies.pop().unwrap_or(Reply::Nil).into_result()
    }

    /// Runs commands in one go; see [`RedisClient::pipeline`](super::RedisClient::pipeline). A transaction ends what is watched, and fails
    /// with [`RedisFailureKind::Watch`] if that was changed.
    pub async fn pipeline(
        &mut self,
        commands: &[Vec<Vec<u8>>],
        transaction: bool,
    ) -> Result<Vec<Result<Reply, RedisFailure>>, RedisFailure> {
        let limit = self.client.response_timeout();
        if !transaction {
            // each of them may wait, one after the other
            let waits = commands.iter().try_fold(limit, |sum, command| match way(command) {
                Way::Blocking(wait) => wait.map(|wait| sum + wait),
                _ => Some(sum),
            });
            return Ok(self
                .run(commands, waits)
                .await?
                .into_iter()
                .map(Reply::into_result)
                .collect());
        }
        let mut all = Vec::with_capacity(commands.len() + 2);
        all.push(vec![b"MULTI".to_vec()]);
        all.extend_from_slice(commands);
        all.push(vec![b"EXEC".to_vec()]);
        transaction_result(self.run(&all, Some(limit)).await?)
    }

    async fn run(&mut self, commands: &[Vec<Vec<u8>>], limit: Option<Duration>) -> Result<Vec<Reply>, RedisFailure> {
        for command in commands {
            let Some(name) = command.first() else {
                return Err(RedisFailure::new(RedisFailureKind::Data, "a command needs a name"));
            };
            match upper(name).as_slice() {
                b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"MONITOR" | b"SYNC" | b"PSYNC" => {
                    return Err(RedisFailure::new(
                        RedisFailureKind::Data,
                        "use a subscription to receive messages",
                    ));
                }
                b"WATCH" | b"MULTI" => self.is_pending = true,
                b"EXEC" | b"DISCARD" | b"UNWATCH" => self.is_pending = false,
                _ if way(command) == Way::Session => self.is_spoiled = true,
                _ => {}
            }
        }
        let Some(line) = &mut self.line else {
            return Err(RedisFailure::new(
                RedisFailureKind::Connection,
                "the session's connection was lost",
            ));
        };
        let result = line.run(commands, limit).await;
        match &result {
            Err(failure) => {
                self.client.suspect(failure);
                self.line = None;
            }
            Ok(replies) => {
                for reply in replies {
                    if let Reply::Error(failure) = reply {
                        self.client.suspect(failure);
                    }
                }
            }
        }
        result
    }
}

impl Drop for RedisSession {
    fn drop(&mut self) {
        if let Some(line) = self.line.take()
            && line.is_clean()
            && !self.is_pending
            && !self.is_spoiled
        {
            self.client.keep(line);
        }
    }
}
