//! One place in the pool: starts a worker process, watches it, replaces it when it dies, is deaf, stuck or too large.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busbar_model::{Error, Kind};
use tokio::process::Child;
use tokio::sync::{oneshot, watch};

use crate::link::hub::WorkerLink;
use crate::task::{self, TaskKind};
use crate::workers::pool::{PoolEvents, WorkerPool, WorkerStatus, lock};
use crate::workers::process::resident_memory;

/// How often a worker is looked at.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// How long a process may take until its interpreter runs.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a retired worker may finish what it has.
const RETIRE_LIMIT: Duration = Duration::from_secs(30);
/// How long a worker may take to exit once its link is closed.
const EXIT_LIMIT: Duration = Duration::from_secs(2);
/// How long a process that has closed its link may take to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(200);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// One place in the pool.
pub(super) struct Slot {
    index: usize,
    shown: Mutex<Shown>,
    ended: watch::Sender<bool>,
}

#[derive(Default)]
struct Shown {
    pid: Option<u32>,
    link: Option<Arc<WorkerLink>>,
    starts: u64,
    /// Starts that failed since the last one that did not.
    failures: u32,
    last_failure: Option<String>,
}

/// A process and its link.
struct Worker {
    child: Child,
    pid: u32,
    link: Arc<WorkerLink>,
}

/// Why a worker takes no more calls.
enum End {
    /// Its link is closed: it died, or it is about to be killed.
    Lost,
    /// It holds calls that cannot be stopped.
    Stuck,
    /// The pool stops.
    Stopping,
}

impl Slot {
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            shown: Mutex::default(),
            ended: watch::Sender::new(false),
        }
    }

    pub(super) fn status(&self) -> WorkerStatus {
        let shown = lock(&self.shown);
        WorkerStatus {
            index: self.index,
            pid: shown.pid,
            state: if shown.link.is_some() { "ready" } else { "starting" }.to_owned(),
            restarts: shown.starts.saturating_sub(1),
            in_flight: shown.link.as_ref().map_or(0, |link| link.in_flight()),
            memory_bytes: shown.pid.and_then(resident_memory).unwrap_or(0),
        }
    }

    pub(super) fn last_failure(&self) -> Option<String> {
        lock(&self.shown).last_failure.clone()
    }

    /// Whether there is little hope that its worker will start.
    pub(super) fn keeps_failing(&self) -> bool {
        lock(&self.shown).failures >= 3
    }

    /// Waits until the slot's last worker is gone after the pool was told to stop.
    pub(super) async fn stopped(&self) {
        // an error would say that the sender is gone, and it is a field of ours
        drop(self.ended.subscribe().wait_for(|ended| *ended).await);
    }

    /// Keeps a worker running until the pool stops.
    pub(super) async fn run(&self, pool: &Arc<WorkerPool>) {
        let mut backoff = FIRST_BACKOFF;
        let mut stopping = pool.stopping.subscribe();
        while !*stopping.borrow() {
            match self.bring_up(pool).await {
                Ok(worker) => {
                    backoff = FIRST_BACKOFF;
                    self.watch(pool, worker).await;
                }
                Err(error) => {
                    let message = error.chain();
                    tracing::error!(
                        worker = self.index,
                        error = message,
                        hint = error.hint(),
                        "worker {} did not start",
                        self.index
                    );
                    {
                        let mut shown = lock(&self.shown);
                        shown.failures += 1;
                        shown.last_failure = Some(message);
                    }
                    pool.ready_changed();
                    tokio::select! {
                        () = tokio::time::sleep(backoff) => {}
                        _ = stopping.wait_for(|stopping| *stopping) => {}
                    }
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
        self.ended.send_replace(true);
    }

    async fn bring_up(&self, pool: &Arc<WorkerPool>) -> Result<Worker, Error> {
        let started = Instant::now();
        let (mut child, stream) = pool.command.start(self.index)?;
        let pid = child.id().unwrap_or_default();
        {
            let mut shown = lock(&self.shown);
            shown.starts += 1;
            shown.pid = Some(pid);
        }
        let (sender, hello) = oneshot::channel();
        let events = Arc::new(PoolEvents {
            pool: Arc::downgrade(pool),
            hello: Mutex::new(Some(sender)),
        });
        let link = WorkerLink::spawn(stream, pool.port.clone(), events);
        let ready = async {
            // both ways of hearing nothing: the link is closed, or the limit passes
            let hello = tokio::select! {
                hello = hello => hello.ok(),
                () = link.closed() => None,
                () = tokio::time::sleep(START_LIMIT) => {
                    let message = format!("no word from the process within {} s", START_LIMIT.as_secs());
                    return Err(Error::new(Kind::Timeout, message));
                }
            };
            let Some(hello) = hello else {
                return Err(Error::new(Kind::WorkerLost, "the process ended while it was starting"));
            };
            pool.bring_up(&link).await?;
            Ok(hello)
        };
        match ready.await {
            Ok(hello) => {
                let duration_ms = started.elapsed().as_millis() as u64;
                tracing::info!(
                    worker = self.index,
                    pid,
                    python = hello.python,
                    duration_ms,
                    "worker {} is ready (pid {pid}, Python {})",
                    self.index,
                    hello.python
                );
                {
                    let mut shown = lock(&self.shown);
                    shown.link = Some(link.clone());
                    shown.failures = 0;
                }
                Ok(Worker { child, pid, link })
            }
            Err(error) => {
                let status = end(&mut child, &link).await;
                lock(&self.shown).pid = None;
                Err(error.with_hint(format!("the process ended with {status}")))
            }
        }
    }

    /// Watches a ready worker until it must be replaced.
    async fn watch(&self, pool: &Arc<WorkerPool>, mut worker: Worker) {
        let end_reason = self.watch_until_end(pool, &worker).await;
        pool.retire(&worker.link);
        {
            let mut shown = lock(&self.shown);
            shown.link = None;
            shown.pid = None;
        }
        let index = self.index;
        match end_reason {
            End::Lost => {
                let status = end(&mut worker.child, &worker.link).await;
                tracing::error!(
                    worker = index,
                    pid = worker.pid,
                    "worker {index} (pid {}) ended with {status}; it is replaced",
                    worker.pid
                );
            }
            End::Stuck => {
                tracing::error!(
                    worker = index,
                    pid = worker.pid,
                    "worker {index} (pid {}) runs calls that cannot be stopped; it is replaced and ends when its other calls are done",
                    worker.pid
                );
                task::spawn("retired-worker", TaskKind::Once, async move {
                    let deadline = Instant::now() + RETIRE_LIMIT;
                    while worker.link.awaited() > 0 && Instant::now() < deadline {
                        tokio::select! {
                            () = tokio::time::sleep(HEARTBEAT) => {}
                            () = worker.link.closed() => break,
                        }
                    }
                    end(&mut worker.child, &worker.link).await;
                });
            }
            End::Stopping => {
                worker.link.close();
                if tokio::time::timeout(EXIT_LIMIT, worker.child.wait()).await.is_err() {
                    end(&mut worker.child, &worker.link).await;
                }
            }
        }
    }

    async fn watch_until_end(&self, pool: &WorkerPool, worker: &Worker) -> End {
        let mut stopping = pool.stopping.subscribe();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let index = self.index;
        // heartbeats are not asked for while a worker imports what the others run, which may take long
        let started = Instant::now();
        loop {
            tokio::select! {
                _ = heartbeat.tick() => {}
                () = worker.link.closed() => return End::Lost,
                _ = stopping.wait_for(|stopping| *stopping) => return End::Stopping,
            }
            worker.link.ping();
            let heard = worker.link.heard();
            let silence = heard.at.max(started).elapsed();
            let interpreter = Duration::from_millis(heard.health.interpreter_age_ms) + silence;
            if silence.max(interpreter) > pool.config.deaf_after + HEARTBEAT {
                tracing::error!(
                    worker = index,
                    pid = worker.pid,
                    "worker {index} has been deaf for {} ms; it is killed",
                    interpreter.as_millis()
                );
                return End::Lost;
            }
            if heard.health.stuck > 0 {
                return End::Stuck;
            }
            if let (Some(limit), Some(used)) = (pool.config.memory_limit, resident_memory(worker.pid))
                && used > limit
            {
                tracing::error!(
                    worker = index,
                    pid = worker.pid,
                    used_bytes = used,
                    limit_bytes = limit,
                    "worker {index} uses {} MB, its limit is {} MB; it is killed",
                    used >> 20,
                    limit >> 20
                );
                return End::Lost;
            }
        }
    }
}

/// Kills a process if it still runs, and says how it ended. One that closed its link is about to end by itself, and its status says more.
async fn end(child: &mut Child, link: &WorkerLink) -> String {
    let limit = if link.is_closed() { LAST_WORDS } else { Duration::ZERO };
    let status = match tokio::time::timeout(limit, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            // an error says that it has ended already
            drop(child.start_kill());
            child.wait().await
        }
    };
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("an unknown status ({error})"),
    }
}
