//! Dead letters: what was given up, for somebody to look at.

use busbar_model::{Error, Kind};
use busbar_runtime::queue::DeadLetter;
use redis::{RedisError, Value, cmd};

use super::RedisQueue;
use super::entry::{self, Fields};
use crate::line::failed;

/// How many are read at once.
const PAGE: usize = 100;
/// How much of a body is shown.
const EXCERPT: usize = 200;
/// What a dead letter has and a message has not. Whoever replays one wants it run, however late.
const OWN: [&str; 4] = ["reason", "deliveries", "at", "expires"];

/// What to do with a dead letter.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Replay,
    Forget,
}

impl RedisQueue {
    pub(super) async fn list_dead(&self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        let found = self.range("-", limit).await.map_err(cannot_use)?;
        Ok(found
            .into_iter()
            .filter_map(|(id, fields)| {
                let fields = fields?;
                let body = fields.get("body").unwrap_or_default();
                let shown = &body[..body.len().min(EXCERPT)];
                Some(DeadLetter {
                    id,
                    cid: fields.text("cid"),
                    service: fields.text("service"),
                    reason: fields.text("reason"),
                    deliveries: fields.number("deliveries"),
                    at_ms: fields.number("at"),
                    size_bytes: body.len(),
                    excerpt: String::from_utf8_lossy(shown).into_owned(),
                })
            })
            .collect())
    }

    pub(super) async fn replay_dead(&self, ids: Option<Vec<String>>) -> Result<usize, Error> {
        self.each(ids, Act::Replay).await
    }

    pub(super) async fn forget_dead(&self, ids: Option<Vec<String>>) -> Result<usize, Error> {
        self.each(ids, Act::Forget).await
    }

    async fn act(&self, act: Act, id: &str, fields: &Fields) -> Result<(), Error> {
        let mut commands = redis::pipe();
        if act == Act::Replay {
            let mut add = cmd("XADD");
            add.arg(&self.stream).arg("*");
            fields.append(&mut add, &OWN);
            commands.add_command(add);
        }
        commands.cmd("XDEL").arg(&self.dead).arg(id);
        self.line.run_all::<Value>(&mut commands).await.map_err(cannot_use)?;
        Ok(())
    }

    /// Does something with the dead letters of these ids, or with all that are there now. Says how many.
    async fn each(&self, ids: Option<Vec<String>>, act: Act) -> Result<usize, Error> {
        let mut count = 0;
        if let Some(ids) = ids {
            for id in ids {
                let mut command = cmd("XRANGE");
                command.arg(&self.dead).arg(&id).arg(&id);
                let found = self.line.run(&command).await.map(entry::entries).map_err(cannot_use)?;
                let Some((_, Some(fields))) = found.into_iter().next() else {
                    let message = format!("there is no dead letter `{id}`");
                    return Err(Error::new(Kind::NotFound, message).with_hint("`busbar queue dead` lists them"));
                };
                self.act(act, &id, &fields).await?;
                count += 1;
            }
            return Ok(count);
        }
        let mut command = cmd("XREVRANGE");
        command.arg(&self.dead).arg("+").arg("-").arg("COUNT").arg(1);
        let newest = self.line.run(&command).await.map(entry::entries).map_err(cannot_use)?;
        let Some((end, _)) = newest.into_iter().next() else {
            return Ok(0);
        };
        // from after the last that was seen: one that dies again meanwhile comes behind the end
        let mut from = "-".to_owned();
        loop {
            let found = self.range(&from, PAGE).await.map_err(cannot_use)?;
            if found.is_empty() {
                return Ok(count);
            }
            for (id, fields) in found {
                if let Some(fields) = fields {
                    self.act(act, &id, &fields).await?;
                    count += 1;
                }
                if id == end {
                    return Ok(count);
                }
                from = format!("({id}");
            }
        }
    }

    async fn range(&self, from: &str, limit: usize) -> Result<Vec<(String, Option<Fields>)>, RedisError> {
        let mut command = cmd("XRANGE");
        command.arg(&self.dead).arg(from).arg("+").arg("COUNT").arg(limit);
        self.line.run(&command).await.map(entry::entries)
    }
}

fn cannot_use(error: RedisError) -> Error {
    failed("cannot look at the dead letters: Redis cannot be used", error)
}
