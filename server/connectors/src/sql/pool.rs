//! A pool of connections to one database, in one worker.
//!
//! It is busbar's own and not sqlx's because services know pools by what SQLAlchemy's do: a size and an overflow that is closed again, a
//! wait with a limit, numbers of who waited. And because a connection that a statement was cut off on must never come back, which is known
//! only here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use busbar_runtime::task::{self, TaskKind};

use super::config::OutgoingSql;
use super::error::{SqlFailure, SqlFailureClass};
use super::link::{Link, ServerInfo};
use super::lock;
use super::options::SqlTarget;
use super::session::SqlSession;
use super::sqlite::is_outside;

/// A connection that was idle for longer is tried out before somebody gets it.
const FRESH: Duration = Duration::from_secs(1);
/// How long trying out a connection, or making it clean, may take.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// Limits of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolLimits {
    /// Connections that are kept.
    pub size: usize,
    /// Connections beyond those, which are closed after use.
    pub overflow: usize,
    /// How long somebody waits for a connection.
    pub wait: Duration,
    /// How old a connection may become.
    pub recycle: Option<Duration>,
    /// Whether idle connections are tried out before use.
    pub pre_ping: bool,
}

impl PoolLimits {
    pub(super) fn of_config(config: &OutgoingSql) -> Self {
        Self {
            size: config.pool_size as usize,
            overflow: config.max_overflow as usize,
            wait: Duration::from_secs_f64(config.pool_timeout),
            recycle: (config.recycle > 0).then(|| Duration::from_secs(config.recycle.into())),
            pre_ping: config.pre_ping,
        }
    }
}

/// Numbers of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStats {
    /// Connections in use.
    pub in_use: u64,
    /// Connections that wait for a user.
    pub idle: u64,
    /// Users that wait for a connection now.
    pub waiting: u64,
    /// Users that had to wait.
    pub waited: u64,
    /// Users that gave up waiting.
    pub timed_out: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that were closed, or lost.
    pub closed: u64,
}

/// A pool.
pub struct SqlPool {
    name: String,
    target: Arc<SqlTarget>,
    limits: PoolLimits,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    is_retired: AtomicBool,
    /// When a connection was found lost: those that were idle then may be lost too.
    suspect: Mutex<Option<Instant>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    waiting: AtomicU64,
    waited: AtomicU64,
    timed_out: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
}

struct Idle {
    link: Link,
    server: ServerInfo,
    opened: Instant,
    used: Instant,
    counted: Counted,
}

/// Counts one open connection, and that it is closed when it is dropped: it goes wherever the connection goes, also where that is lost or
/// given up in the middle of something.
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.opened.fetch_add(1, Ordering::Relaxed);
        Self(counters.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The right to one connection of a pool.
pub(super) struct Lease {
    pool: Weak<SqlPool>,
    counted: Option<Counted>,
    _permit: OwnedSemaphorePermit,
}

impl SqlPool {
    /// A pool without connections; they are opened when they are needed.
    pub fn new(name: impl Into<String>, target: SqlTarget, limits: PoolLimits) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            target: Arc::new(target),
            permits: Arc::new(Semaphore::new(limits.size + limits.overflow)),
            limits,
            idle: Mutex::default(),
            is_retired: AtomicBool::new(false),
            suspect: Mutex::default(),
            counters: Arc::default(),
        })
    }

    /// Name of the object that it belongs to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its limits.
    pub fn limits(&self) -> &PoolLimits {
        &self.limits
    }

    /// A session with a connection of the pool. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Of class [`SqlFailureClass::Operational`], retriable: none became free in time; or the database cannot be reached.
    pub async fn session(self: &Arc<Self>) -> Result<SqlSession, SqlFailure> {
        let permit = self.permit().await?;
        let mut lease = Lease {
            pool: Arc::downgrade(self),
            counted: None,
            _permit: permit,
        };
        while let Some(mut idle) = self.pop() {
            let is_old = self
                .limits
                .recycle
                .is_some_and(|recycle| idle.opened.elapsed() > recycle);
            if is_old {
                discard(idle);
                continue;
            }
            let is_suspect = lock(&self.suspect).is_some_and(|since| idle.used < since);
            if is_suspect || (self.limits.pre_ping && idle.used.elapsed() > FRESH) {
                let limit = CHECK_LIMIT.min(self.target.connect_timeout);
                let asked = Instant::now();
                match timeout(limit, idle.link.ping()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => continue,
                    Err(_) => {
                        // nothing is heard from there any more: to wait for each of those before it would take as long again
                        self.clear(asked);
                        continue;
                    }
                }
            }
            lease.counted = Some(idle.counted);
            return Ok(SqlSession::new(
                self.target.clone(),
                idle.link,
                idle.server,
                idle.opened,
                Some(lease),
            ));
        }
        let opened = Link::open(&self.target).await;
        let (link, server) = opened.map_err(|failure| {
            let failure = failure.within(&format!("outgoing.sql `{}`", self.name));
            // nothing was sent yet
            if failure.is_disconnect() {
                failure.retriable()
            } else {
                failure
            }
        })?;
        lease.counted = Some(Counted::new(&self.counters));
        Ok(SqlSession::new(
            self.target.clone(),
            link,
            server,
            Instant::now(),
            Some(lease),
        ))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, SqlFailure> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        self.counters.waited.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting::new(&self.counters.waiting);
        let got = timeout(self.limits.wait, self.permits.clone().acquire_owned()).await;
        drop(waiting);
        match got {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                self.counters.timed_out.fetch_add(1, Ordering::Relaxed);
                let PoolLimits {
                    size, overflow, wait, ..
                } = &self.limits;
                let message = format!(
                    "outgoing.sql `{}`: all {} connections (pool_size {size}, max_overflow {overflow}) were in use for {} s; \
                     close sessions earlier or raise pool_size",
                    self.name,
                    size + overflow,
                    wait.as_secs_f64(),
                );
                Err(SqlFailure::new(SqlFailureClass::Operational, message).retriable())
            }
        }
    }

    fn pop(&self) -> Option<Idle> {
        lock(&self.idle).pop()
    }

    /// Opens a session and runs a statement; gives how long that took.
    pub async fn ping(self: &Arc<Self>) -> Result<Duration, SqlFailure> {
        let started = Instant::now();
        let session = self.session().await?;
        let result = session.ping().await;
        session.close().await;
        result.map(|()| started.elapsed())
    }

    /// Its numbers.
    pub fn stats(&self) -> PoolStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = self.limits.size + self.limits.overflow;
        PoolStats {
            in_use: (all - self.permits.available_permits()) as u64,
            idle: lock(&self.idle).len() as u64,
            waiting: read(&self.counters.waiting),
            waited: read(&self.counters.waited),
            timed_out: read(&self.counters.timed_out),
            opened: read(&self.counters.opened),
            closed: read(&self.counters.closed),
        }
    }

    /// Nobody asks it for connections any more. Those that are in use stay in use, and are closed afterwards.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.clear(Instant::now());
    }

    /// Closes the connections that nobody uses, and nobody has used since.
    fn clear(&self, since: Instant) {
        let old: Vec<Idle> = lock(&self.idle).extract_if(.., |idle| idle.used <= since).collect();
        for idle in old {
            discard(idle);
        }
    }
}

impl Lease {
    /// Whether the pool still takes connections back.
    pub(super) fn wants_back(&self) -> bool {
        self.pool
            .upgrade()
            .is_some_and(|pool| !pool.is_retired.load(Ordering::Acquire))
    }

    /// Its connection was lost.
    pub(super) fn suspect(&self) {
        if let Some(pool) = self.pool.upgrade() {
            *lock(&pool.suspect) = Some(Instant::now());
        }
    }

    /// Gives a clean connection back.
    pub(super) async fn give_back(mut self, link: Link, server: ServerInfo, opened: Instant) {
        let (Some(pool), Some(counted)) = (self.pool.upgrade(), self.counted.take()) else {
            link.close().await;
            return;
        };
        let idle = Idle {
            link,
            server,
            opened,
            used: Instant::now(),
            counted,
        };
        let refused = {
            let mut kept = lock(&pool.idle);
            if kept.len() < pool.limits.size && !pool.is_retired.load(Ordering::Acquire) {
                kept.push(idle);
                None
            } else {
                Some(idle)
            }
        };
        if let Some(idle) = refused {
            idle.link.close().await;
        }
    }
}

/// Closes a connection that nobody uses. Nobody waits for that.
fn discard(idle: Idle) {
    let Idle { link, counted, .. } = idle;
    task::spawn("closing a connection of outgoing.sql", TaskKind::Once, async move {
        link.close().await;
        drop(counted);
    });
}

impl Link {
    /// Makes a connection as it was when it was new, as far as transactions go. `false`: it is of no use any more.
    pub(super) async fn reset(&mut self) -> bool {
        if let Self::Postgres(link) = self
            && link.roll_back_soon()
        {
            return true;
        }
        let is_lite = matches!(self, Self::Sqlite(_));
        let work = async {
            match self.command("ROLLBACK").await {
                Ok(()) => true,
                // only SQLite minds that there is none
                Err(failure) => is_lite && is_outside(&failure),
            }
        };
        timeout(CHECK_LIMIT, work).await.unwrap_or(false)
    }
}

/// Counts somebody who waits.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
