//! Reads messages, has them run, acknowledges them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use busbar_runtime::queue::{Deliver, Delivered, Message};
use busbar_runtime::task::{self, TaskKind};
use redis::{Cmd, RedisError, Value, cmd};
use tokio::sync::OwnedSemaphorePermit;

use super::RedisQueue;
use super::entry::{self, Fields};

/// Name of the consumer group.
const GROUP: &str = "busbar";
/// How long one read waits for messages.
const READ_WAIT: Duration = Duration::from_secs(1);
/// Pause after Redis could not be used.
const PAUSE: Duration = Duration::from_millis(500);
/// Messages that wait to be run again, at most; while there are more nothing new is read.
const MAX_HELD: usize = 10_000;
/// How often a server says that what it holds is still in good hands.
const REFRESH: Duration = Duration::from_secs(15);
/// What nobody has spoken for so long was left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(60);
/// How often to look for it.
const LOOK: Duration = Duration::from_secs(30);

impl RedisQueue {
    /// Begins to run messages.
    pub fn consume(self: &Arc<Self>, deliver: Arc<dyn Deliver>) {
        task::spawn("queue-reader", TaskKind::Once, self.clone().read(deliver));
        task::spawn("queue-refresh", TaskKind::Once, self.clone().refresh());
    }

    /// Runs nothing new, and waits for what runs. What has not ended by `limit` is run again when a server starts.
    pub async fn drain(&self, limit: Duration) {
        self.stop.send_replace(true);
        let all = self.config.concurrency.max(1) as u32;
        // an error says that it took too long
        drop(tokio::time::timeout(limit, self.permits.acquire_many(all)).await);
    }

    async fn stopped(&self) {
        // an error would say that the sender is gone, and it is a field of ours
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }

    /// The reader: first what this server left when it ended, then what is new, now and then what others have left.
    async fn read(self: Arc<Self>, deliver: Arc<dyn Deliver>) {
        let mut own = Some("0".to_owned());
        let mut looked = Instant::now();
        let mut is_away = false;
        loop {
            let Some(permit) = self.room().await else { return };
            let is_time_to_look = own.is_none() && looked.elapsed() > LOOK;
            // the first time that anybody runs it
            let is_new = own.is_none() && !is_time_to_look;
            let result = if is_time_to_look {
                looked = Instant::now();
                self.left_behind().await
            } else {
                self.next(own.as_deref()).await
            };
            match result {
                Ok(found) => {
                    if is_away {
                        is_away = false;
                        tracing::info!("the queue can be read again");
                    }
                    if let Some(last) = &mut own {
                        match found.last() {
                            Some((id, _)) => last.clone_from(id),
                            None => own = None,
                        }
                    }
                    self.begin(found, is_new, permit, &deliver).await;
                }
                Err(error) if error.code() == Some("NOGROUP") => {
                    drop(permit);
                    if let Err(error) = self.make_group().await {
                        tracing::warn!(%error, "cannot make the queue's consumer group");
                        self.pause().await;
                    }
                }
                Err(error) => {
                    drop(permit);
                    if !is_away {
                        is_away = true;
                        tracing::warn!(%error, "cannot read the queue; trying on");
                    }
                    self.pause().await;
                }
            }
        }
    }

    /// Waits until there is room for a message. `None`: told to stop.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let permit = tokio::select! {
                biased;
                () = self.stopped() => return None,
                permit = self.permits.clone().acquire_owned() => permit.ok()?,
            };
            if self.held().len() < MAX_HELD {
                return Some(permit);
            }
            drop(permit);
            self.pause().await;
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = self.stopped() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }

    async fn make_group(&self) -> Result<(), RedisError> {
        let mut command = cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(&self.stream)
            .arg(GROUP)
            .arg("0")
            .arg("MKSTREAM");
        match self.line.run::<Value>(&command).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
            _ => Ok(()),
        }
    }

    /// Messages of this server's own after `own`, or new ones. Not to be given up half-way: what Redis had handed out by then would be lost
    /// sight of.
    async fn next(&self, own: Option<&str>) -> Result<Vec<(String, Option<Fields>)>, RedisError> {
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.consumer);
        command.arg("COUNT").arg(1 + self.permits.available_permits());
        if own.is_none() {
            command.arg("BLOCK").arg(READ_WAIT.as_millis() as u64);
        }
        command.arg("STREAMS").arg(&self.stream).arg(own.unwrap_or(">"));
        self.reading.run(&command).await.map(entry::of_one_stream)
    }

    /// Messages that other servers have left behind.
    async fn left_behind(&self) -> Result<Vec<(String, Option<Fields>)>, RedisError> {
        let mut command = cmd("XAUTOCLAIM");
        command.arg(&self.stream).arg(GROUP).arg(&self.consumer);
        command.arg(LEFT_BEHIND.as_millis() as u64).arg("0");
        command.arg("COUNT").arg(1 + self.permits.available_permits());
        let value: Value = self.line.run(&command).await?;
        let Value::Array(parts) = value else {
            return Ok(Vec::new());
        };
        Ok(parts.into_iter().nth(1).map(entry::entries).unwrap_or_default())
    }

    /// Starts what was read.
    async fn begin(
        self: &Arc<Self>,
        found: Vec<(String, Option<Fields>)>,
        is_new: bool,
        permit: OwnedSemaphorePermit,
        deliver: &Arc<dyn Deliver>,
    ) {
        let mut permit = Some(permit);
        for (id, fields) in found {
            if !self.held().insert(id.clone()) {
                continue;
            }
            let place = Place {
                queue: self.clone(),
                id,
            };
            let permit = match permit.take() {
                Some(permit) => permit,
                // what is not started now stays this server's own, and is read again when it starts
                None => match self.room().await {
                    Some(permit) => permit,
                    None => return,
                },
            };
            let deliver = deliver.clone();
            task::spawn("queue-message", TaskKind::Once, async move {
                let queue = place.queue.clone();
                let deliveries = if is_new { 1 } else { queue.deliveries(&place.id).await };
                queue.settle(&place.id, fields, deliveries, permit, &*deliver).await;
            });
        }
    }

    /// How often a message was delivered, this time included.
    async fn deliveries(&self, id: &str) -> u64 {
        let mut command = cmd("XPENDING");
        command.arg(&self.stream).arg(GROUP).arg(id).arg(id).arg(1);
        let rows: Result<Vec<(String, String, u64, u64)>, _> = self.line.run(&command).await;
        rows.ok().and_then(|rows| rows.first().map(|row| row.3)).unwrap_or(1)
    }

    /// Runs a message until it is done with, or the server is told to stop.
    async fn settle(
        &self,
        id: &str,
        fields: Option<Fields>,
        mut deliveries: u64,
        permit: OwnedSemaphorePermit,
        deliver: &dyn Deliver,
    ) {
        let mut permit = permit;
        let mut found = fields;
        // why it has not worked so far
        let mut failure: Option<String> = None;
        loop {
            let Some(fields) = found else {
                // it is not in the stream any more: somebody has removed it
                return self.acknowledge(id).await;
            };
            let Some(message) = fields.message() else {
                return self
                    .bury(id, &fields, "it is not a message of busbar", deliveries)
                    .await;
            };
            let (service, cid) = (message.service.clone(), message.cid);
            if is_expired(&message) {
                return match failure {
                    Some(reason) => {
                        self.bury(id, &fields, &format!("it expired, after: {reason}"), deliveries)
                            .await;
                    }
                    None => {
                        tracing::warn!(%cid, service, "a message for service `{service}` expired before its turn came");
                        self.acknowledge(id).await;
                    }
                };
            }
            if deliveries > self.config.max_deliveries {
                let reason = failure.unwrap_or_else(|| "the server ended each time it was run".to_owned());
                return self.bury(id, &fields, &reason, deliveries - 1).await;
            }
            match deliver.deliver(message).await {
                Delivered::Done => return self.acknowledge(id).await,
                Delivered::Never(reason) => return self.bury(id, &fields, &reason, deliveries).await,
                Delivered::Again(reason) if deliveries >= self.config.max_deliveries => {
                    return self.bury(id, &fields, &reason, deliveries).await;
                }
                Delivered::Again(reason) => {
                    let pause = self.config.pause(deliveries);
                    tracing::warn!(
                        %cid, service, attempt = deliveries,
                        "a message for service `{service}` is run again in {:.1} s: {reason}", pause.as_secs_f64()
                    );
                    failure = Some(reason);
                    drop(permit);
                    tokio::select! {
                        () = self.stopped() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    permit = tokio::select! {
                        () = self.stopped() => return,
                        permit = self.permits.clone().acquire_owned() => match permit {
                            Ok(permit) => permit,
                            Err(_) => return,
                        },
                    };
                }
            }
            deliveries += 1;
            match self.claim(id, deliveries).await {
                Some(Ok(again)) => found = again,
                // another server has it
                Some(Err(Gone)) | None => return,
            }
        }
    }

    /// Takes a message anew and counts that. `None`: told to stop.
    async fn claim(&self, id: &str, deliveries: u64) -> Option<Result<Option<Fields>, Gone>> {
        let mut command = cmd("XCLAIM");
        command.arg(&self.stream).arg(GROUP).arg(&self.consumer).arg(0).arg(id);
        command.arg("RETRYCOUNT").arg(deliveries);
        let value: Value = self.insist(&command).await?;
        Some(match entry::entries(value).pop() {
            Some((_, fields)) => Ok(fields),
            None => Err(Gone),
        })
    }

    /// Forgets a message.
    async fn acknowledge(&self, id: &str) {
        let mut both = redis::pipe();
        self.remove(id, &mut both);
        self.insist_all(&mut both).await;
    }

    /// Moves a message to the dead letters.
    async fn bury(&self, id: &str, fields: &Fields, reason: &str, deliveries: u64) {
        let service = fields.text("service");
        let cid = fields.text("cid");
        tracing::error!(
            cid,
            service,
            attempt = deliveries,
            "a message for service `{service}` was given up after {deliveries} deliveries and is now a dead letter: {reason}"
        );
        let mut all = redis::pipe();
        let mut add = cmd("XADD");
        add.arg(&self.dead).arg("MAXLEN").arg(self.config.max_dead).arg("*");
        fields.append(&mut add, &[]);
        add.arg("reason").arg(reason).arg("deliveries").arg(deliveries);
        add.arg("at").arg(entry::milliseconds(SystemTime::now()));
        all.add_command(add);
        self.remove(id, &mut all);
        self.insist_all(&mut all).await;
    }

    fn remove(&self, id: &str, commands: &mut redis::Pipeline) {
        commands.cmd("XACK").arg(&self.stream).arg(GROUP).arg(id);
        commands.cmd("XDEL").arg(&self.stream).arg(id);
    }

    /// Runs a command until Redis has. `None`: told to stop first.
    async fn insist(&self, command: &Cmd) -> Option<Value> {
        loop {
            match self.line.run(command).await {
                Ok(value) => return Some(value),
                Err(error) => tracing::warn!(%error, "cannot write to the queue; trying on"),
            }
            if *self.stop.borrow() {
                return None;
            }
            self.pause().await;
        }
    }

    /// The same for a transaction. These commands may run twice without harm, but for a dead letter that is there twice then.
    async fn insist_all(&self, commands: &mut redis::Pipeline) {
        loop {
            match self.line.run_all::<Value>(commands).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(%error, "cannot write to the queue; trying on"),
            }
            if *self.stop.borrow() {
                return;
            }
            self.pause().await;
        }
    }

    /// Says again and again that what this server holds is in good hands, so that no other takes it.
    async fn refresh(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stopped() => return,
                () = tokio::time::sleep(REFRESH) => {}
            }
            let ids: Vec<String> = self.held().iter().cloned().collect();
            for ids in ids.chunks(1000) {
                let mut command = cmd("XCLAIM");
                command.arg(&self.stream).arg(GROUP).arg(&self.consumer).arg(0);
                command.arg(ids).arg("JUSTID");
                if let Err(error) = self.line.run::<Value>(&command).await {
                    tracing::debug!(%error, "cannot refresh what is held of the queue");
                    break;
                }
            }
        }
    }
}

/// A message is no longer this server's.
struct Gone;

/// A message that this server holds, until this is dropped.
struct Place {
    queue: Arc<RedisQueue>,
    id: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.held().remove(&self.id);
    }
}

fn is_expired(message: &Message) -> bool {
    message.expires.is_some_and(|expires| expires <= SystemTime::now())
}
