//! The client: one shared connection that heals itself, and a pool of connections with one user each.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use busbar_model::Error;
use busbar_runtime::task::{self, TaskKind};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionInfo};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::address::{Address, Endpoint};
use super::cluster::{Cluster, Slots};
use super::command::{Way, only_reads, upper, way};
use super::direct::{self, RedisTurn};
use super::line::{Line, open};
use super::sentinel::Sentinels;
use super::{RedisConfig, RedisFailure, RedisFailureKind, RedisSession, RedisSubscription, Reply};

/// Pause between two attempts to reach a server that has gone away.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// How long the failure of one attempt stands for all who ask.
const FAILURE_STANDS: Duration = Duration::from_millis(100);
/// Commands that may wait to be written.
const QUEUE: usize = 1024;
/// A pooled connection that was idle for longer is asked whether it still stands.
const FRESH: Duration = Duration::from_millis(200);
/// Pooled connections kept idle.
const MAX_SPARE: usize = 32;

/// A client of one Redis. Cloning it is cheap and shares everything.
///
/// All its futures must run within a tokio runtime (`Handle::block_on` will do), and may be given up at any time: a command that was
/// sent may then have run or not.
#[derive(Clone)]
pub struct RedisClient {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    config: RedisConfig,
    place: Place,
    shared: ArcSwapOption<Shared>,
    connecting: tokio::sync::Mutex<Connecting>,
    permits: Arc<Semaphore>,
    spare: Mutex<Vec<(Line, Instant)>>,
    direct: Mutex<direct::Place>,
    /// Commands on their way over the shared connection.
    travelling: AtomicUsize,
}

/// A command, or several, on their way over the shared connection.
struct Travelling<'i>(&'i AtomicUsize);

impl<'i> Travelling<'i> {
    fn begin(count: &'i AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Travelling<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where commands go.
enum Place {
    One(Endpoint),
    Sentinel(Sentinels),
    Cluster(Cluster),
}

/// A node of a cluster that has keys.
#[derive(Clone)]
pub struct RedisNode(Slots);

/// The connection that all share.
struct Shared {
    connection: MultiplexedConnection,
    is_closed: Arc<AtomicBool>,
    /// Ends the task of the connection when the last user lets go of it.
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct Connecting {
    /// When the connection was found lost.
    lost_at: Option<Instant>,
    failed: Option<(Instant, RedisFailure)>,
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl RedisClient {
    /// A client. Connects when it is first used; fails only if the URL is none that it can speak to.
    pub fn new(config: RedisConfig) -> Result<Self, Error> {
        let place = match Address::parse(&config.url)? {
            Address::One(endpoint) => Place::One(endpoint),
            Address::Sentinel {
                sentinels,
                service,
                settings,
                tls,
            } => Place::Sentinel(Sentinels {
                sentinels,
                service,
                settings,
                tls,
                known: Mutex::default(),
            }),
            Address::Cluster { nodes, ca_path, verify } => {
                Place::Cluster(Cluster::build(&config, nodes, &ca_path, verify)?)
            }
        };
        let permits = Arc::new(Semaphore::new(config.dedicated_connections));
        let inner = Inner {
            config,
            place,
            shared: ArcSwapOption::empty(),
            connecting: tokio::sync::Mutex::default(),
            permits,
            spare: Mutex::default(),
            direct: Mutex::default(),
            travelling: AtomicUsize::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs one command: its name and arguments. An error that Redis reports is an `Err`.
    pub async fn execute(&self, command: &[Vec<u8>]) -> Result<Reply, RedisFailure> {
        if command.is_empty() {
            return Err(RedisFailure::new(RedisFailureKind::Data, "a command needs a name"));
        }
        match (way(command), &self.inner.place) {
            (Way::Shared, Place::Cluster(cluster)) => {
                if upper(&command[0]) == b"SCAN" {
                    let message = "SCAN sees one node of a cluster; use scan_iter()";
                    return Err(RedisFailure::new(RedisFailureKind::Data, message));
                }
                cluster.execute(build(command), &self.inner.config).await
            }
            (Way::Shared, _) => self.execute_shared(command).await,
            (Way::Blocking(wait), _) => {
                let limit = wait.map(|wait| wait + self.inner.config.response_timeout);
                match self.execute_alone(command, limit).await {
                    // the key lives elsewhere by now, and nothing was done
                    Err(failure) if self.is_moved(&failure) => self.execute_alone(command, limit).await,
                    result => result,
                }
            }
            (Way::Session, _) => Err(needs_session(command)),
        }
    }

    async fn execute_alone(&self, command: &[Vec<u8>], limit: Option<Duration>) -> Result<Reply, RedisFailure> {
        let mut session = self.session_for(command).await?;
        if is_wait(command) {
            // waits for what its own connection wrote; any command makes that everything so far
            let ping = [b"PING".to_vec()];
            session
                .run_waiting(&ping, Some(self.inner.config.response_timeout))
                .await?;
        }
        session.run_waiting(command, limit).await
    }

    /// The nodes of a cluster that have keys; none, if it is none.
    pub async fn nodes(&self) -> Result<Vec<RedisNode>, RedisFailure> {
        match &self.inner.place {
            Place::Cluster(cluster) => {
                let masters = cluster.masters(&self.inner.config).await?;
                Ok(masters.into_iter().map(RedisNode).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Runs a command on one node of a cluster.
    pub async fn execute_at(&self, node: &RedisNode, command: &[Vec<u8>]) -> Result<Reply, RedisFailure> {
        match &self.inner.place {
            Place::Cluster(cluster) => cluster.execute_at(build(command), &node.0, &self.inner.config).await,
            _ => self.execute(command).await,
        }
    }

    /// A connection on which this thread can run a command by itself, if there is one that nobody uses. Others go through
    /// [`RedisClient::execute`].
    pub fn direct(&self, command: &[Vec<u8>]) -> Option<RedisTurn<'_>> {
        // where others are on their way, travelling with them costs less: 32 threads had 108,000 `GET` a second together, and 46,000
        // when one of them always went by itself
        let is_alone = self.inner.travelling.load(Ordering::Relaxed) == 0;
        if !is_alone || way(command) != Way::Shared || self.direct_settings().is_none() {
            return None;
        }
        RedisTurn::take(self, &self.inner.direct)
    }

    /// How such a connection is opened; `None` where there is none: with TLS, Sentinels and clusters, and while Redis is away.
    pub(super) fn direct_settings(&self) -> Option<(&ConnectionInfo, Duration, Duration)> {
        let config = &self.inner.config;
        match &self.inner.place {
            Place::One(endpoint) if endpoint.tls.is_none() && self.standing().is_some() => {
                Some((&endpoint.info, config.connect_timeout, config.response_timeout))
            }
            _ => None,
        }
    }

    pub(super) fn direct_place(&self) -> &Mutex<direct::Place> {
        &self.inner.direct
    }

    /// How long the reply to a command may take.
    pub fn response_timeout(&self) -> Duration {
        self.inner.config.response_timeout
    }

    fn is_moved(&self, failure: &RedisFailure) -> bool {
        matches!(&self.inner.place, Place::Cluster(_)) && failure.message().starts_with("MOVED ")
    }

    async fn execute_shared(&self, command: &[Vec<u8>]) -> Result<Reply, RedisFailure> {
        let _travelling = Travelling::begin(&self.inner.travelling);
        let cmd = build(command);
        let started = Instant::now();
        loop {
            let shared = self.shared().await?;
            let mut connection = shared.connection.clone();
            let failure = match connection.send_packed_command(&cmd).await {
                Ok(value) => match Reply::from(value).into_result() {
                    Ok(reply) => return Ok(reply),
                    Err(failure) => failure,
                },
                Err(error) => RedisFailure::from_library(&error),
            };
            if !self.may_repeat(&failure, &shared, only_reads(command), started).await {
                return Err(failure);
            }
        }
    }

    /// Runs commands in one go, one reply for each. In a transaction they run all together or, when Redis refuses one of them, not at
    /// all: then the refusal is the `Err`.
    pub async fn pipeline(
        &self,
        commands: &[Vec<Vec<u8>>],
        transaction: bool,
    ) -> Result<Vec<Result<Reply, RedisFailure>>, RedisFailure> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(RedisFailure::new(RedisFailureKind::Data, "a command needs a name"));
        }
        if let Some(command) = commands.iter().find(|command| way(command) == Way::Session) {
            return Err(needs_session(command));
        }
        if let Place::Cluster(_) = &self.inner.place {
            return self.pipeline_in_cluster(commands, transaction).await;
        }
        // in a transaction Redis does not wait for anything
        if !transaction && commands.iter().any(|command| matches!(way(command), Way::Blocking(_))) {
            return self.session().await?.pipeline(commands, false).await;
        }
        let _travelling = Travelling::begin(&self.inner.travelling);
        let mut pipeline = redis::Pipeline::with_capacity(commands.len() + 2);
        if transaction {
            pipeline.cmd("MULTI");
        }
        for command in commands {
            pipeline.add_command(build(command));
        }
        if transaction {
            pipeline.cmd("EXEC");
        }
        let count = pipeline.len();
        let only_reads = commands.iter().all(|command| only_reads(command));
        let started = Instant::now();
        loop {
            let shared = self.shared().await?;
            let mut connection = shared.connection.clone();
            let failure = match connection.send_packed_commands(&pipeline, 0, count).await {
                Ok(values) => {
                    let replies = values.into_iter().map(Reply::from);
                    if !transaction {
                        return Ok(replies.map(Reply::into_result).collect());
                    }
                    match transaction_result(replies) {
                        Ok(replies) => return Ok(replies),
                        Err(failure) => failure,
                    }
                }
                Err(error) => RedisFailure::from_library(&error),
            };
            if !self.may_repeat(&failure, &shared, only_reads, started).await {
                return Err(failure);
            }
        }
    }

    /// A transaction goes to the node that has its keys, which must be one; other commands each to its own.
    async fn pipeline_in_cluster(
        &self,
        commands: &[Vec<Vec<u8>>],
        transaction: bool,
    ) -> Result<Vec<Result<Reply, RedisFailure>>, RedisFailure> {
        if !transaction {
            let all = commands.iter().map(|command| self.execute(command));
            return Ok(futures_util::future::join_all(all).await);
        }
        let first = commands.first().map_or(&[][..], Vec::as_slice);
        let result = self.session_for(first).await?.pipeline(commands, true).await;
        match result {
            Err(failure) if self.is_moved(&failure) => self.session_for(first).await?.pipeline(commands, true).await,
            result => result,
        }
    }

    /// A connection for this caller alone, for `WATCH`, `MULTI` and `SELECT`. Waits when all of them are in use.
    pub async fn session(&self) -> Result<RedisSession, RedisFailure> {
        self.session_for(&[]).await
    }

    /// The same; in a cluster, to the node that has the key of this command.
    pub async fn session_for(&self, command: &[Vec<u8>]) -> Result<RedisSession, RedisFailure> {
        let permit = self.permit().await?;
        let endpoint = self.endpoint_for(command).await?;
        let response = self.inner.config.response_timeout;
        loop {
            let Some((mut line, since)) = self.inner.take_spare(&endpoint) else {
                break;
            };
            if since.elapsed() < FRESH {
                return Ok(RedisSession::new(Arc::clone(&self.inner), line, permit));
            }
            if line.run(&[vec![b"PING".to_vec()]], Some(response)).await.is_ok() {
                return Ok(RedisSession::new(Arc::clone(&self.inner), line, permit));
            }
        }
        let line = self.open_line(command).await?;
        Ok(RedisSession::new(Arc::clone(&self.inner), line, permit))
    }

    /// A connection that receives what others publish. It has nothing subscribed yet.
    pub async fn subscription(&self) -> Result<RedisSubscription, RedisFailure> {
        let permit = self.permit().await?;
        let mut line = self.open_line(&[]).await?;
        // until Redis has accepted a connection it serves others first: what is published right after the first `SUBSCRIBE` would be missed
        line.run(&[vec![b"PING".to_vec()]], Some(self.inner.config.response_timeout))
            .await?;
        Ok(RedisSubscription::new(line, permit))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, RedisFailure> {
        match timeout(
            self.inner.config.response_timeout,
            Arc::clone(&self.inner.permits).acquire_owned(),
        )
        .await
        {
            Ok(permit) => Ok(permit.expect("the semaphore of a client is never closed")),
            Err(_late) => {
                let size = self.inner.config.dedicated_connections;
                let message = format!("all {size} connections to Redis for commands that wait are in use");
                Err(RedisFailure::new(RedisFailureKind::Connection, message))
            }
        }
    }

    /// Opens a connection for one user, with patience for a server that restarts.
    async fn open_line(&self, command: &[Vec<u8>]) -> Result<Line, RedisFailure> {
        let config = &self.inner.config;
        let end = Instant::now() + config.patience;
        loop {
            let opened = match self.endpoint_for(command).await {
                Ok(endpoint) => Line::open(&endpoint, config.connect_timeout, config.response_timeout).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = &opened {
                self.inner.suspect(failure);
            }
            match opened {
                Err(failure) if is_restarting(&failure) && Instant::now() < end => {
                    tokio::time::sleep(RETRY_EVERY).await
                }
                result => return result,
            }
        }
    }

    /// The server for a command.
    async fn endpoint_for(&self, command: &[Vec<u8>]) -> Result<Endpoint, RedisFailure> {
        match &self.inner.place {
            Place::One(endpoint) => Ok(endpoint.clone()),
            Place::Sentinel(sentinels) => sentinels.master(&self.inner.config).await,
            Place::Cluster(cluster) => cluster.node_for(command, &self.inner.config).await,
        }
    }

    /// The shared connection; opens it if there is none.
    async fn shared(&self) -> Result<Arc<Shared>, RedisFailure> {
        if let Some(shared) = self.standing() {
            return Ok(shared);
        }
        let mut connecting = self.inner.connecting.lock().await;
        if let Some(shared) = self.standing() {
            return Ok(shared);
        }
        if let Some((at, failure)) = &connecting.failed
            && at.elapsed() < FAILURE_STANDS
        {
            return Err(failure.clone());
        }
        let is_first = self.inner.shared.load().is_none();
        let lost_at = *connecting.lost_at.get_or_insert_with(Instant::now);
        if connecting.failed.is_none() && !is_first {
            tracing::warn!(conn.kind = "redis", "connection to Redis lost");
        }
        loop {
            match self.connect().await {
                Ok(shared) => {
                    if !is_first {
                        let duration_ms = u64::try_from(lost_at.elapsed().as_millis()).unwrap_or(u64::MAX);
                        tracing::info!(conn.kind = "redis", duration_ms, "reconnected to Redis");
                    }
                    *connecting = Connecting::default();
                    let shared = Arc::new(shared);
                    self.inner.shared.store(Some(Arc::clone(&shared)));
                    return Ok(shared);
                }
                Err(failure) if is_restarting(&failure) && lost_at.elapsed() < self.inner.config.patience => {
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                Err(failure) => {
                    connecting.failed = Some((Instant::now(), failure.clone()));
                    return Err(failure);
                }
            }
        }
    }

    fn standing(&self) -> Option<Arc<Shared>> {
        self.inner
            .shared
            .load_full()
            .filter(|shared| !shared.is_closed.load(Ordering::Acquire))
    }

    async fn connect(&self) -> Result<Shared, RedisFailure> {
        let config = &self.inner.config;
        let endpoint = self.endpoint_for(&[]).await?;
        let stream = open(&endpoint, config.connect_timeout).await;
        let stream = stream.inspect_err(|failure| self.inner.suspect(failure))?;
        let settings = AsyncConnectionConfig::new()
            .set_response_timeout(Some(config.response_timeout))
            .set_pipeline_buffer_size(QUEUE);
        let hello = MultiplexedConnection::new_with_config(endpoint.info.redis_settings(), stream, settings);
        let (connection, driver) = match timeout(config.connect_timeout, hello).await {
            Ok(opened) => opened.map_err(|error| RedisFailure::from_library(&error).of_login(endpoint.info.addr()))?,
            Err(_late) => {
                return Err(RedisFailure::new(
                    RedisFailureKind::Timeout,
                    "Redis did not answer in time when connecting",
                ));
            }
        };
        let is_closed = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = oneshot::channel::<()>();
        let closed = Arc::clone(&is_closed);
        // the task is ours so that its end is known at once: what is sent from then on goes over a new connection
        task::spawn("redis-connection", TaskKind::Once, async move {
            tokio::select! {
                () = driver => {}
                _ = stopped => {}
            }
            closed.store(true, Ordering::Release);
        });
        Ok(Shared {
            connection,
            is_closed,
            _stop: stop,
        })
    }

    /// Decides what becomes of a command that failed, waits where waiting helps, and puts a broken connection away.
    async fn may_repeat(
        &self,
        failure: &RedisFailure,
        shared: &Arc<Shared>,
        only_reads: bool,
        started: Instant,
    ) -> bool {
        let is_patient = started.elapsed() < self.inner.config.patience;
        if failure.kind() == RedisFailureKind::BusyLoading {
            // refused before it ran, whatever it was
            if is_patient {
                tokio::time::sleep(RETRY_EVERY).await;
            }
            return is_patient;
        }
        self.inner.suspect(failure);
        if failure.kind() == RedisFailureKind::ReadOnly && matches!(self.inner.place, Place::Sentinel(_)) {
            // the master has become a replica, which refused the command before it ran
            shared.is_closed.store(true, Ordering::Release);
            if is_patient {
                tokio::time::sleep(RETRY_EVERY).await;
            }
            return is_patient;
        }
        if !failure.breaks_connection() {
            return false;
        }
        // also after a time-out: a line that leads nowhere looks like a slow server for minutes
        shared.is_closed.store(true, Ordering::Release);
        only_reads && is_patient && failure.kind() == RedisFailureKind::Connection
    }
}

impl Inner {
    pub(super) fn response_timeout(&self) -> Duration {
        self.config.response_timeout
    }

    /// Has the server looked for again, if this failure says that it may be elsewhere.
    pub(super) fn suspect(&self, failure: &RedisFailure) {
        let is_lost = failure.breaks_connection();
        match &self.place {
            Place::Sentinel(sentinels) if is_lost || failure.kind() == RedisFailureKind::ReadOnly => sentinels.forget(),
            Place::Cluster(cluster) if is_lost || failure.message().starts_with("MOVED ") => cluster.forget(),
            _ => {}
        }
    }

    fn take_spare(&self, endpoint: &Endpoint) -> Option<(Line, Instant)> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        // those that lead elsewhere lead to a master that was replaced, or to another node
        let at = spare.iter().rposition(|(line, _)| line.leads_to(endpoint))?;
        Some(spare.remove(at))
    }

    /// Keeps a connection for its next user.
    pub(super) fn keep(&self, line: Line) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push((line, Instant::now()));
        }
    }
}

/// What the replies to `MULTI`, the commands and `EXEC` mean.
pub(super) fn transaction_result(
    replies: impl IntoIterator<Item = Reply>,
) -> Result<Vec<Result<Reply, RedisFailure>>, RedisFailure> {
    let mut replies: Vec<Reply> = replies.into_iter().collect();
    let last = replies.pop();
    let refused = replies.into_iter().enumerate().find_map(|(index, reply)| {
        let failure = reply.into_result().err()?;
        // the first reply is that to `MULTI`
        Some(match index.checked_sub(1) {
            Some(command) => failure.of_command(command),
            None => failure,
        })
    });
    match last {
        Some(Reply::Array(results)) => Ok(results.into_iter().map(Reply::into_result).collect()),
        Some(Reply::Nil) => Err(RedisFailure::new(RedisFailureKind::Watch, "Watched variable changed.")),
        Some(Reply::Error(failure)) => Err(refused.unwrap_or(failure)),
        other => {
            let message = format!("not a reply to EXEC: {other:?}");
            Err(refused.unwrap_or_else(|| RedisFailure::new(RedisFailureKind::InvalidResponse, message)))
        }
    }
}

fn is_restarting(failure: &RedisFailure) -> bool {
    matches!(
        failure.kind(),
        RedisFailureKind::Connection | RedisFailureKind::BusyLoading
    )
}

/// Whether it waits for replicas rather than for values.
fn is_wait(command: &[Vec<u8>]) -> bool {
    command
        .first()
        .is_some_and(|name| matches!(upper(name).as_slice(), b"WAIT" | b"WAITAOF"))
}

fn needs_session(command: &[Vec<u8>]) -> RedisFailure {
    let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
    RedisFailure::new(
        RedisFailureKind::Data,
        format!("{name} changes its connection, which is shared here; use a transaction, a session or a subscription"),
    )
}

fn build(command: &[Vec<u8>]) -> Cmd {
    let mut cmd = Cmd::with_capacity(command.len(), command.iter().map(Vec::len).sum());
    for word in command {
        cmd.arg(word.as_slice());
    }
    cmd
}
