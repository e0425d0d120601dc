//! A session: one connection in the hands of one user, with the transaction on it.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use tokio::task::AbortHandle;

use super::error::{SqlFailure, SqlFailureClass};
use super::link::{Link, ServerInfo};
use super::lock;
use super::mysql::GONE;
use super::options::{Engine, SqlTarget};
use super::outcome::Outcome;
use super::pool::Lease;
use super::scan::{Scanned, Verb};
use super::sqlite::is_outside;
use super::value::Param;

/// Isolation levels, and what switches a session between committing by itself and not.
const LEVELS: [&str; 4] = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// A statement to be run.
pub struct SqlRequest {
    /// The statement.
    pub scanned: Arc<Scanned>,
    /// Its values, one list for each time that it is run.
    pub lists: Vec<Vec<Param>>,
    /// Whether it is run for its effect alone, once for each list.
    pub is_many: bool,
}

impl SqlRequest {
    /// With lists after IN written out, and numbers in strings. Where a statement is run many times lists stay, since each may have a length
    /// of its own.
    fn spread(mut self) -> Result<Self, SqlFailure> {
        match self.lists.as_slice() {
            [values] => {
                if let Some((scanned, values)) = self.scanned.spread(values)? {
                    self.scanned = Arc::new(scanned);
                    self.lists = vec![values];
                }
            }
            _ if self.scanned.has_inside() => {
                let message = "a placeholder stands in a string, which executemany cannot write a value into";
                return Err(SqlFailure::new(SqlFailureClass::Programming, message));
            }
            _ => {}
        }
        Ok(self)
    }
}

/// A session. Cloning it is cheap and shares everything; dropping the last clone gives the connection back, or closes it.
///
/// One statement runs at a time. A statement whose future is dropped in the middle takes the connection with it.
#[derive(Clone)]
pub struct SqlSession {
    inner: Arc<Inner>,
}

struct Inner {
    target: Arc<SqlTarget>,
    server: ServerInfo,
    slot: Arc<tokio::sync::Mutex<Slot>>,
    state: Mutex<State>,
    lease: Mutex<Option<Lease>>,
    runtime: Handle,
}

/// The connection, which whoever runs a statement holds on to.
struct Slot {
    link: Option<Link>,
    is_running: bool,
    since: Instant,
}

#[derive(Default)]
struct State {
    autocommit: bool,
    isolation: Option<&'static str>,
    read_only: Option<bool>,
    deferrable: Option<bool>,
    in_transaction: bool,
    /// Something that a rollback is needed for even though the session began no transaction itself.
    is_dirty: bool,
    /// What was sent last may have committed something, and nobody was told yet what came of it.
    may_have_committed: bool,
    reading: Option<(Weak<Outcome>, AbortHandle)>,
    broken: Option<String>,
    is_closed: bool,
}

/// The connection while a statement runs.
struct Flight {
    slot: OwnedMutexGuard<Slot>,
    inner: Arc<Inner>,
}

impl SqlSession {
    /// A session with a connection of its own, which belongs to no pool. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Of class [`SqlFailureClass::Operational`] when the database cannot be reached or refuses the connection.
    pub async fn open(target: SqlTarget) -> Result<Self, SqlFailure> {
        let target = Arc::new(target);
        let (link, server) = Link::open(&target).await?;
        Ok(Self::new(target, link, server, Instant::now(), None))
    }

    pub(super) fn new(
        target: Arc<SqlTarget>,
        link: Link,
        server: ServerInfo,
        since: Instant,
        lease: Option<Lease>,
    ) -> Self {
        let slot = Slot {
            link: Some(link),
            is_running: false,
            since,
        };
        let inner = Inner {
            target,
            server,
            slot: Arc::new(tokio::sync::Mutex::new(slot)),
            state: Mutex::default(),
            lease: Mutex::new(lease),
            runtime: Handle::current(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Kind of database.
    pub fn engine(&self) -> Engine {
        self.inner.target.engine
    }

    /// What is at the other end.
    pub fn server(&self) -> &ServerInfo {
        &self.inner.server
    }

    /// Whether each statement is committed by itself.
    pub fn autocommit(&self) -> bool {
        lock(&self.inner.state).autocommit
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        lock(&self.inner.state).in_transaction
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        lock(&self.inner.state).is_closed
    }

    /// Whether the connection was lost, or a statement on it was cut off.
    pub fn is_broken(&self) -> bool {
        lock(&self.inner.state).broken.is_some()
    }

    /// The isolation level that was set; `None`: the server's.
    pub fn isolation(&self) -> Option<&'static str> {
        lock(&self.inner.state).isolation
    }

    /// Whether transactions only read, and whether they may wait until nothing can make them fail; `None`: the server's default.
    pub fn characteristics(&self) -> (Option<bool>, Option<bool>) {
        let state = lock(&self.inner.state);
        (state.read_only, state.deferrable)
    }

    /// Sets whether each statement is committed by itself.
    pub fn set_autocommit(&self, autocommit: bool) -> Result<(), SqlFailure> {
        let mut state = self.idle("autocommit")?;
        state.autocommit = autocommit;
        Ok(())
    }

    /// Sets the isolation level of the transactions that follow; `AUTOCOMMIT` is one too.
    pub fn set_isolation(&self, level: Option<&str>) -> Result<(), SqlFailure> {
        let level = level.map(|level| level.trim().replace('_', " ").to_uppercase());
        let mut state = self.idle("the isolation level")?;
        match level.as_deref() {
            None => {
                state.isolation = None;
                state.autocommit = false;
            }
            Some("AUTOCOMMIT") => {
                state.autocommit = true;
                return Ok(());
            }
            Some(name) => {
                let known = LEVELS.iter().find(|level| **level == name);
                let known = known.ok_or_else(|| {
                    let message = format!(
                        "isolation level `{name}` is not one of {}, AUTOCOMMIT",
                        LEVELS.join(", ")
                    );
                    SqlFailure::new(SqlFailureClass::Programming, message)
                })?;
                let is_lite = self.engine() == Engine::Sqlite;
                if is_lite && !matches!(*known, "READ UNCOMMITTED" | "SERIALIZABLE") {
                    let message =
                        format!("SQLite has the isolation levels READ UNCOMMITTED and SERIALIZABLE, not {known}");
                    return Err(SqlFailure::new(SqlFailureClass::NotSupported, message));
                }
                state.isolation = Some(known);
                state.autocommit = false;
            }
        }
        Ok(())
    }

    /// Sets whether transactions only read.
    pub fn set_read_only(&self, read_only: Option<bool>) -> Result<(), SqlFailure> {
        self.idle("readonly")?.read_only = read_only;
        Ok(())
    }

    /// Sets whether transactions may wait until nothing can make them fail.
    pub fn set_deferrable(&self, deferrable: Option<bool>) -> Result<(), SqlFailure> {
        self.idle("deferrable")?.deferrable = deferrable;
        Ok(())
    }

    fn idle(&self, what: &str) -> Result<std::sync::MutexGuard<'_, State>, SqlFailure> {
        let state = lock(&self.inner.state);
        if state.in_transaction {
            let message = format!("{what} cannot be set within a transaction; commit or roll back first");
            return Err(SqlFailure::new(SqlFailureClass::Programming, message));
        }
        Ok(state)
    }

    /// Runs a statement. Gives back as soon as its first rows are there; the rest follows while they are read.
    pub async fn execute(&self, request: SqlRequest) -> Result<Arc<Outcome>, SqlFailure> {
        let inner = &self.inner;
        let request = request.spread()?;
        let mut flight = inner.take().await?;
        inner.prepare(&mut flight).await?;
        let engine = inner.target.engine;
        let begin = inner.begin(&request.scanned);
        let (outcome, mut outlet) = Outcome::new(request.is_many, engine == Engine::MySql);
        {
            let mut state = lock(&inner.state);
            // from here on, since whoever ends the session or the transaction may do so before the statement has ended
            state.in_transaction |= begin.is_some();
            let verb = request.scanned.verb;
            state.is_dirty |= matches!(verb, Verb::Transaction | Verb::Savepoint) || request.scanned.is_script;
        }
        let commits = inner.may_commit(&request.scanned);
        lock(&inner.state).may_have_committed = commits;
        // of several results the last one counts: it is known when all of them have come
        let is_streamed = !request.scanned.is_script || engine == Engine::MySql;
        let own = inner.clone();
        let mut pump = Box::pin(async move {
            let mut began = false;
            let link = flight.slot.link.as_mut();
            let result = match link {
                Some(link) => {
                    let SqlRequest { scanned, lists, .. } = &request;
                    link.run(scanned, lists, begin.as_deref(), &mut began, &mut outlet)
                        .await
                }
                None => Err(SqlFailure::lost("the connection is closed")),
            };
            let result = result.map_err(|failure| told(failure, commits));
            if begin.is_some() {
                lock(&own.state).in_transaction = began;
            }
            if let (Some(link), Engine::Sqlite) = (flight.slot.link.as_mut(), engine) {
                let may_be_other = result.is_err()
                    || request.scanned.is_script
                    || matches!(request.scanned.verb, Verb::Transaction | Verb::Savepoint);
                if may_be_other && let Some(is_open) = link.is_in_transaction().await {
                    lock(&own.state).in_transaction = is_open;
                }
            }
            flight.land(&result);
            drop(own);
            match result {
                Err(failure) => outlet.finish(Some(failure)).await,
                Ok(()) => outlet.finish(None).await,
            }
        });
        loop {
            tokio::select! {
                biased;
                () = &mut pump => {
                    drop(pump);
                    outcome.receive_all().await;
                    break;
                }
                _ = outcome.receive() => {
                    let summary = outcome.summary();
                    if is_streamed && summary.columns.is_some() && summary.count.is_none() {
                        // the rest comes while the first rows are read
                        let task = tokio::spawn(pump);
                        lock(&inner.state).reading = Some((Arc::downgrade(&outcome), task.abort_handle()));
                        break;
                    }
                }
            }
        }
        match outcome.failure() {
            Some(failure) => Err(failure),
            None => Ok(outcome),
        }
    }

    /// Waits for further rows of an outcome of this session.
    pub async fn fetch(&self, outcome: &Outcome) -> Result<(), SqlFailure> {
        outcome.receive_some().await;
        self.fetched(outcome)
    }

    /// Waits for all rows that are left of an outcome of this session.
    pub async fn fetch_all(&self, outcome: &Outcome) -> Result<(), SqlFailure> {
        outcome.receive_all().await;
        self.fetched(outcome)
    }

    fn fetched(&self, outcome: &Outcome) -> Result<(), SqlFailure> {
        if outcome.is_complete() {
            lock(&self.inner.state).reading = None;
        }
        match outcome.failure() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Commits the open transaction, if there is one.
    pub async fn commit(&self) -> Result<(), SqlFailure> {
        self.end("COMMIT").await
    }

    /// Rolls the open transaction back, if there is one.
    pub async fn rollback(&self) -> Result<(), SqlFailure> {
        self.end("ROLLBACK").await
    }

    async fn end(&self, sql: &'static str) -> Result<(), SqlFailure> {
        let inner = &self.inner;
        let commits = sql == "COMMIT";
        let is_open = {
            let state = lock(&inner.state);
            if state.is_closed {
                return Err(closed());
            }
            // whoever commits what was lost must not take it for committed
            state.in_transaction || state.is_dirty || state.broken.is_some()
        };
        if !is_open {
            return Ok(());
        }
        let mut flight = match inner.take().await {
            // the transaction has ended with the connection
            Err(failure) if failure.is_disconnect() && !commits => return Ok(()),
            taken => taken?,
        };
        lock(&inner.state).may_have_committed = commits;
        let is_lite_idle = inner.target.engine == Engine::Sqlite && !lock(&inner.state).in_transaction;
        let result = match flight.slot.link.as_mut() {
            Some(link) => link.command(sql).await.map_err(|failure| told(failure, commits)),
            None => Err(SqlFailure::lost("the connection is closed")),
        };
        // SQLite says so when there is no transaction, the others do not mind; one that was begun here has been lost then
        let was_outside = result.as_ref().is_err_and(is_outside);
        let result = if is_lite_idle && was_outside { Ok(()) } else { result };
        // SQLite keeps the transaction when it is too busy to commit: it can be tried again
        let is_over = result.is_ok() || was_outside || inner.target.engine != Engine::Sqlite;
        if is_over {
            let mut state = lock(&inner.state);
            state.in_transaction = false;
            state.is_dirty = false;
        }
        flight.land(&result);
        result
    }

    /// What whoever waited for something of this session is told: where the wait was given up while something was to be committed, that the
    /// outcome is unknown.
    pub fn waited<T>(&self, result: Result<T, SqlFailure>) -> Result<T, SqlFailure> {
        let mut state = lock(&self.inner.state);
        match result {
            Err(failure) if failure.class() == SqlFailureClass::Cancelled => {
                let may_have_committed = std::mem::take(&mut state.may_have_committed);
                Err(if may_have_committed {
                    failure.outcome_unknown()
                } else {
                    failure
                })
            }
            result => {
                // rows that are still on their way may end in a failure too
                state.may_have_committed &= state.reading.is_some();
                result
            }
        }
    }

    /// Asks whether the database is there.
    pub async fn ping(&self) -> Result<(), SqlFailure> {
        let mut flight = self.inner.take().await?;
        let result = match flight.slot.link.as_mut() {
            Some(link) => link.ping().await,
            None => Err(SqlFailure::lost("the connection is closed")),
        };
        flight.land(&result);
        result
    }

    /// Ends the session: an open transaction is rolled back, the connection goes back to its pool, or is closed.
    pub async fn close(&self) {
        if let Some(work) = self.inner.end_of_life(false) {
            work.await;
        }
    }

    /// Ends the session and its connection, without a word to the other side.
    pub fn invalidate(&self) {
        if let Some(work) = self.inner.end_of_life(true) {
            self.inner.runtime.spawn(work);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = lock(&self.state);
        if state.is_closed {
            return;
        }
        let is_dirty = state.in_transaction || state.is_dirty;
        drop(state);
        let slot = self.slot.clone();
        let lease = lock(&self.lease).take();
        self.runtime
            .spawn(give_back(slot, lease, self.server.clone(), is_dirty, false));
    }
}

impl Inner {
    /// What is left to do when the session ends; `None`: it has ended already.
    fn end_of_life(&self, is_broken: bool) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        let (is_dirty, is_broken) = {
            let mut state = lock(&self.state);
            if std::mem::replace(&mut state.is_closed, true) {
                return None;
            }
            if let Some((outcome, task)) = state.reading.take() {
                if let Some(outcome) = outcome.upgrade() {
                    outcome.give_up();
                }
                if is_broken {
                    task.abort();
                }
            }
            let is_dirty = state.in_transaction || state.is_dirty;
            state.in_transaction = false;
            (is_dirty, is_broken || state.broken.is_some())
        };
        let lease = lock(&self.lease).take();
        Some(give_back(
            self.slot.clone(),
            lease,
            self.server.clone(),
            is_dirty,
            is_broken,
        ))
    }

    /// Takes the connection for a statement: what is still being read is read to its end first.
    async fn take(self: &Arc<Self>) -> Result<Flight, SqlFailure> {
        let reading = {
            let mut state = lock(&self.state);
            if state.is_closed {
                return Err(closed());
            }
            if let Some(why) = &state.broken {
                return Err(self.gone(&format!(": {why}")));
            }
            state.reading.take()
        };
        // if nobody reads it any more, it ends by itself
        if let Some(outcome) = reading.and_then(|(outcome, _)| outcome.upgrade()) {
            outcome.receive_all().await;
        }
        let slot = self.slot.clone().lock_owned().await;
        if slot.link.is_none() {
            return Err(self.gone(""));
        }
        let mut flight = Flight {
            slot,
            inner: self.clone(),
        };
        flight.slot.is_running = true;
        Ok(flight)
    }

    fn gone(&self, why: &str) -> SqlFailure {
        let failure = SqlFailure::lost(format!("the connection is of no use any more{why}"));
        match self.target.engine {
            Engine::MySql => failure.numbered(GONE),
            Engine::Postgres | Engine::Sqlite => failure,
        }
    }

    /// Tells the connection how transactions are to be, where that is not part of opening one.
    async fn prepare(&self, flight: &mut Flight) -> Result<(), SqlFailure> {
        let (autocommit, isolation) = {
            let state = lock(&self.state);
            (state.autocommit, state.isolation)
        };
        let result = match flight.slot.link.as_mut() {
            Some(link) => link.tell(autocommit, isolation).await,
            None => Err(SqlFailure::lost("the connection is closed")),
        };
        if result.is_err() {
            flight.land(&result);
        }
        result
    }

    /// What has to be run before a statement, if anything.
    fn begin(&self, scanned: &Scanned) -> Option<String> {
        let state = lock(&self.state);
        let is_outside = scanned.verb == Verb::Outside && self.target.engine == Engine::Sqlite;
        let is_own = scanned.verb == Verb::Transaction && self.target.engine == Engine::Sqlite && !state.in_transaction;
        if state.autocommit || state.in_transaction || is_outside || is_own {
            return None;
        }
        Some(Link::begin(
            self.target.engine,
            state.isolation,
            state.read_only,
            state.deferrable,
        ))
    }

    /// Whether something may have been committed once a statement has been sent: it may write outside of a transaction, or ends one.
    fn may_commit(&self, scanned: &Scanned) -> bool {
        let state = lock(&self.state);
        let is_alone = state.autocommit && !state.in_transaction;
        scanned.commits || (is_alone && scanned.writes)
    }
}

impl State {
    /// The connection is of no use any more, and what was open on it has ended.
    fn lose(&mut self, why: &str) {
        self.broken = Some(why.to_owned());
        self.in_transaction = false;
        self.is_dirty = false;
    }
}

impl Flight {
    /// The statement has ended, one way or another.
    fn land<T>(&mut self, result: &Result<T, SqlFailure>) {
        self.slot.is_running = false;
        let mut state = lock(&self.inner.state);
        if let Err(failure) = result
            && failure.is_disconnect()
        {
            self.slot.link = None;
            state.lose(failure.message());
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !std::mem::replace(&mut self.slot.is_running, false) {
            return;
        }
        // a statement was cut off in the middle: what the connection says next would be its answer
        let Some(link) = self.slot.link.take() else {
            return;
        };
        lock(&self.inner.state).lose("a statement on it was cut off");
        let target = self.inner.target.clone();
        self.inner.runtime.spawn(async move {
            let label = target.label().to_owned();
            if let Err(failure) = link.cut_off(&target).await {
                tracing::warn!(error = %failure, "a statement that was cut off may still run in {label}");
            }
        });
    }
}

/// Gives a connection back to its pool, or closes it.
async fn give_back(
    slot: Arc<tokio::sync::Mutex<Slot>>,
    lease: Option<Lease>,
    server: ServerInfo,
    is_dirty: bool,
    is_broken: bool,
) {
    let mut slot = slot.lock_owned().await;
    let Some(mut link) = slot.link.take() else {
        // it was lost: others of the pool may be as well
        if let Some(lease) = lease {
            lease.suspect();
        }
        return;
    };
    let since = slot.since;
    drop(slot);
    let Some(lease) = lease.filter(|lease| !is_broken && lease.wants_back()) else {
        link.close().await;
        return;
    };
    if is_dirty && !link.reset().await {
        link.close().await;
        return;
    }
    lease.give_back(link, server, since).await;
}

/// A failure of something that commits, if it worked.
fn told(failure: SqlFailure, commits: bool) -> SqlFailure {
    if commits && failure.is_disconnect() {
        failure.outcome_unknown()
    } else {
        failure
    }
}

fn closed() -> SqlFailure {
    SqlFailure::new(SqlFailureClass::Interface, "the connection is closed")
}
