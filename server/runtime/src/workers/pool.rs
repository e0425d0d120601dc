//! The pool of worker processes: one queue in front of them all, and the state that a new worker is brought to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use busbar_model::difference::Difference;
use busbar_model::object::Snapshot;
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error, Kind};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedMutexGuard, watch};

use crate::call::{Call, Fault, Outcome, ServiceHandle};
use crate::handler::{BoxFuture, Commit, DeployError, Deployment, Handler, PoolNumbers, ReplyTo, Source, UserFiles};
use crate::hub_port::HubPort;
use crate::link::frame::{Control, Controlled};
use crate::link::hub::WorkerLink;
use crate::task::{self, TaskKind};
use crate::workers::process::WorkerCommand;
use crate::workers::slot::Slot;

/// How long a worker may take over a rare request, beyond what it imports.
const CONTROL_LIMIT: Duration = Duration::from_secs(30);
/// How long somebody who asks for numbers waits for a worker that does not answer.
const NUMBERS_LIMIT: Duration = Duration::from_secs(1);
/// How long a deployment waits for a worker when there is none at the moment.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// A worker that has not taken this many bytes yet gets no further calls.
const MAX_BACKLOG: usize = 64 << 20;

/// Settings of a pool.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// How many workers.
    pub workers: usize,
    /// How many calls one worker has at most; more wait in the hub.
    pub window: usize,
    /// How many calls wait in the hub at most; beyond, callers get 503.
    pub max_queue: usize,
    /// Resident bytes beyond which a worker is killed and replaced; `None`: no limit.
    pub memory_limit: Option<u64>,
    /// How long the import of a deployment may take. Workers keep it by themselves: one that does not answer a while later is given up.
    pub import_limit: Duration,
    /// How long a worker may leave heartbeats unanswered, or its interpreter be out of reach, before it is killed and replaced.
    pub deaf_after: Duration,
}

/// What `busbar status` shows of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Which one, from 1.
    pub index: usize,
    /// Its process; `None` while it is being started.
    pub pid: Option<u32>,
    /// `starting`, `ready`.
    pub state: String,
    /// How often this worker was replaced.
    pub restarts: u64,
    /// Calls that it has.
    pub in_flight: usize,
    /// Resident bytes.
    pub memory_bytes: u64,
}

/// A pool of worker processes behind the [`Handler`] seam.
pub struct WorkerPool {
    pub(super) config: PoolConfig,
    pub(super) command: WorkerCommand,
    pub(super) port: Arc<dyn HubPort>,
    /// Workers that take calls.
    ready: ArcSwap<Vec<Arc<WorkerLink>>>,
    turn: AtomicUsize,
    queue: Mutex<VecDeque<(Call, ReplyTo)>>,
    queued: AtomicUsize,
    /// What every worker must know. Held from the start of a deployment to its end, so that a new worker never misses one.
    pub(super) state: Arc<tokio::sync::Mutex<State>>,
    deploying: Mutex<Option<Deploying>>,
    slots: Vec<Slot>,
    pub(super) stopping: watch::Sender<bool>,
    /// Counts changes of the list of ready workers.
    ready_changed: watch::Sender<u64>,
}

/// What every worker knows.
#[derive(Default)]
pub(super) struct State {
    snapshot: Option<Arc<Snapshot>>,
    files: Option<Arc<UserFiles>>,
    generation: u64,
    builtin: Vec<String>,
    sources: BTreeMap<String, Source>,
    services: BTreeMap<String, Vec<(String, ServiceHandle)>>,
}

/// A deployment that is prepared and neither committed nor aborted.
struct Deploying {
    state: OwnedMutexGuard<State>,
    deployment: Arc<Deployment>,
    services: Vec<ServiceInfo>,
}

impl WorkerPool {
    /// Starts the workers. Returns at once; [`WorkerPool::wait_ready`] waits for them.
    pub fn spawn(config: PoolConfig, command: WorkerCommand, port: Arc<dyn HubPort>) -> Arc<Self> {
        let pool = Arc::new(Self {
            slots: (1..=config.workers).map(Slot::new).collect(),
            config,
            command,
            port,
            ready: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            queue: Mutex::default(),
            queued: AtomicUsize::new(0),
            state: Arc::default(),
            deploying: Mutex::default(),
            stopping: watch::Sender::new(false),
            ready_changed: watch::Sender::new(0),
        });
        for index in 0..pool.slots.len() {
            let pool = pool.clone();
            task::spawn("worker-slot", TaskKind::Once, async move {
                pool.slots[index].run(&pool).await
            });
        }
        pool
    }

    /// Waits until every worker is ready, at most `limit`, and no longer once one of them fails again and again.
    ///
    /// # Errors
    /// Says what the last worker that did not come up died of.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), Error> {
        let mut changed = self.ready_changed.subscribe();
        let ready = || self.ready.load().len() >= self.config.workers;
        let settled = changed.wait_for(|_| ready() || self.slots.iter().any(Slot::keeps_failing));
        // the sender is a field of ours: this ends by the condition or by the limit
        if tokio::time::timeout(limit, settled).await.is_ok() && ready() {
            return Ok(());
        }
        let why = self
            .slots
            .iter()
            .find_map(Slot::last_failure)
            .unwrap_or_else(|| "it says nothing".to_owned());
        Err(Error::new(Kind::Internal, format!("the workers do not start: {why}"))
            .with_hint("see the log for what the worker printed"))
    }

    /// What `busbar status` shows.
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.slots.iter().map(Slot::status).collect()
    }

    /// How long a worker may take over a rare request.
    fn control_limit(&self) -> Duration {
        self.config.import_limit + CONTROL_LIMIT
    }

    /// Calls that wait in the hub.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Brings a worker to the state of the others and lets it take calls.
    pub(super) async fn bring_up(&self, link: &Arc<WorkerLink>) -> Result<(), Error> {
        let state = self.state.lock().await;
        if let Some(snapshot) = &state.snapshot {
            done(
                link.control(Control::Configure(Snapshot::clone(snapshot)), self.control_limit())
                    .await?,
            )?;
        }
        if let Some(files) = &state.files {
            done(
                link.control(Control::Files(UserFiles::clone(files)), CONTROL_LIMIT)
                    .await?,
            )?;
        }
        if !state.sources.is_empty() || !state.builtin.is_empty() {
            let deployment = Deployment {
                generation: state.generation,
                sources: state.sources.values().cloned().collect(),
                builtin: state.builtin.clone(),
                removed: Vec::new(),
                again: false,
            };
            match link.control(Control::Prepare(deployment), self.control_limit()).await? {
                Controlled::Prepared(_) => {}
                Controlled::Refused(error) => {
                    let traceback = error.traceback.clone();
                    return Err(
                        Error::new(Kind::Service, "the new worker cannot import what the others run")
                            .with_source(error)
                            .with_hint(traceback),
                    );
                }
                other => return done(other),
            }
            let services = state.services.values().flatten().cloned().collect();
            let commit = Commit {
                generation: state.generation,
                services,
            };
            done(link.control(Control::Commit(commit), self.control_limit()).await?)?;
        }
        self.change_ready(|ready| ready.push(link.clone()));
        drop(state);
        self.take_from_queue();
        Ok(())
    }

    /// The worker takes no further calls.
    pub(super) fn retire(&self, link: &Arc<WorkerLink>) {
        self.change_ready(|ready| ready.retain(|other| !Arc::ptr_eq(other, link)));
    }

    fn change_ready(&self, change: impl Fn(&mut Vec<Arc<WorkerLink>>)) {
        self.ready.rcu(|ready| {
            let mut ready = Vec::clone(ready);
            change(&mut ready);
            ready
        });
        self.ready_changed();
    }

    /// Tells who waits for workers that something has changed.
    pub(super) fn ready_changed(&self) {
        self.ready_changed.send_modify(|count| *count += 1);
    }

    /// The ready worker with the fewest calls, if one has room.
    fn with_room(&self) -> Option<Arc<WorkerLink>> {
        let ready = self.ready.load();
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = ready.len();
        (0..count)
            .map(|offset| &ready[(start + offset) % count])
            .min_by_key(|link| link.in_flight())
            .filter(|link| link.in_flight() < self.config.window && link.backlog() < MAX_BACKLOG)
            .cloned()
    }

    /// Gives waiting calls to workers as far as there is room.
    pub(super) fn take_from_queue(&self) {
        while self.queued.load(Ordering::Acquire) > 0 {
            let Some(link) = self.with_room() else { return };
            let next = {
                let mut queue = lock(&self.queue);
                let next = queue.pop_front();
                self.queued.store(queue.len(), Ordering::Release);
                next
            };
            let Some((call, reply)) = next else { return };
            link.submit(&call, reply);
        }
    }

    fn enqueue(&self, call: Call, reply: ReplyTo) {
        {
            let mut queue = lock(&self.queue);
            if queue.len() < self.config.max_queue && !*self.stopping.borrow() {
                queue.push_back((call, reply));
                self.queued.store(queue.len(), Ordering::Release);
            } else {
                drop(queue);
                let text = "The server is busy: too many calls are waiting";
                return reply.send(Outcome::Fault(Fault::new(503, text).with_header("Retry-After", "1")));
            }
        }
        // room may have come up between the look at the workers and the queue
        self.take_from_queue();
    }

    /// Runs a request on every ready worker at once. A worker that dies meanwhile is left out: its successor is brought up to the state
    /// that this leads to.
    async fn on_all(&self, control: impl Fn() -> Control) -> Vec<Controlled> {
        self.on_all_within(self.control_limit(), control).await
    }

    async fn on_all_within(&self, limit: Duration, control: impl Fn() -> Control) -> Vec<Controlled> {
        let workers = Vec::clone(&self.ready.load());
        self.on_each(workers, |link| {
            let control = control();
            async move { link.control(control, limit).await }
        })
        .await
    }

    /// The answers of the workers that gave one.
    async fn on_each<F>(&self, workers: Vec<Arc<WorkerLink>>, ask: impl Fn(Arc<WorkerLink>) -> F) -> Vec<Controlled>
    where
        F: Future<Output = Result<Controlled, Error>> + Send + 'static,
    {
        let requests = workers.into_iter().map(|link| tokio::spawn(ask(link)));
        let mut answers = Vec::new();
        for request in requests.collect::<Vec<_>>() {
            match request.await {
                Ok(Ok(answer)) => answers.push(answer),
                Ok(Err(error)) => tracing::warn!(error = error.chain(), "a worker did not take part in a change"),
                Err(error) => tracing::error!(%error, "a request to a worker panicked"),
            }
        }
        answers
    }

    /// The state, as soon as there is a worker to change it on: the last one may just be replaced. `None` after [`READY_LIMIT`].
    async fn state_with_worker(&self) -> Option<OwnedMutexGuard<State>> {
        let mut changed = self.ready_changed.subscribe();
        let state = async {
            loop {
                let state = self.state.clone().lock_owned().await;
                if !self.ready.load().is_empty() {
                    return state;
                }
                // a worker that comes up needs it
                drop(state);
                // the sender is a field of ours: it is not gone before this is
                changed.changed().await.ok();
            }
        };
        tokio::time::timeout(READY_LIMIT, state).await.ok()
    }

    async fn prepare_all(&self, deployment: &Arc<Deployment>, first: bool) -> Result<Vec<ServiceInfo>, DeployError> {
        let prepare = || Control::Prepare(Deployment::clone(deployment));
        // a file that kills whoever imports it must not take every worker down: one tries first, unless none serves anything yet
        let mut found = None;
        let mut others = Vec::clone(&self.ready.load());
        if !first {
            if others.is_empty() {
                return Err(lost("the worker that was to import it died".to_owned()));
            }
            let canary = others.remove(0);
            match canary.control(prepare(), self.control_limit()).await {
                Ok(Controlled::Prepared(services)) => found = Some(services),
                Ok(Controlled::Refused(error)) => return Err(error),
                Ok(other) => return Err(nobodys(format!("the worker answered {other:?}"))),
                Err(error) if error.kind() == Kind::WorkerLost => {
                    return Err(lost("the worker that imported it died".to_owned()));
                }
                Err(error) => {
                    return Err(nobodys(format!(
                        "the worker that imported it failed: {}",
                        error.chain()
                    )));
                }
            }
        }
        let limit = self.control_limit();
        let ask = |link: Arc<WorkerLink>| {
            let control = prepare();
            async move { link.control(control, limit).await }
        };
        for answer in self.on_each(others, ask).await {
            match answer {
                Controlled::Prepared(services) => found = Some(services),
                Controlled::Refused(error) => return Err(error),
                other => return Err(nobodys(format!("a worker answered {other:?}"))),
            }
        }
        found.ok_or_else(|| lost("every worker that imported it died".to_owned()))
    }

    /// Waits until a worker that died has been replaced, so that whoever tries again does not take the last one down.
    async fn replaced(&self) {
        let mut changed = self.ready_changed.subscribe();
        let is_full = || {
            let ready = self.ready.load();
            ready.iter().filter(|link| !link.is_closed()).count() >= self.config.workers
        };
        let mut stopping = self.stopping.subscribe();
        let full = async {
            tokio::select! {
                _ = changed.wait_for(|_| is_full()) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        };
        // when the limit passes there may still be another worker
        tokio::time::timeout(READY_LIMIT, full).await.ok();
    }
}

/// A deployment failed that no file in particular is to blame for.
fn nobodys(message: String) -> DeployError {
    DeployError {
        module: String::new(),
        message,
        traceback: String::new(),
        worker_lost: false,
    }
}

/// The same because a worker died.
fn lost(message: String) -> DeployError {
    DeployError {
        worker_lost: true,
        ..nobodys(message)
    }
}

impl Handler for WorkerPool {
    fn submit(&self, call: Call, reply: ReplyTo) {
        if self.queued.load(Ordering::Acquire) == 0
            && let Some(link) = self.with_room()
        {
            link.submit(&call, reply);
        } else {
            self.enqueue(call, reply);
        }
    }

    fn cancel(&self, cid: Cid) {
        {
            let mut queue = lock(&self.queue);
            if let Some(position) = queue.iter().position(|(call, _)| call.cid == cid) {
                queue.remove(position);
                self.queued.store(queue.len(), Ordering::Release);
                return;
            }
        }
        // a worker that is being retired is killed soon: what it still runs need not be cancelled
        self.ready.load().iter().any(|link| link.cancel(cid));
    }

    fn prepare(&self, deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        Box::pin(async move {
            let Some(state) = self.state_with_worker().await else {
                return Err(nobodys(format!(
                    "no worker was ready within {} s",
                    READY_LIMIT.as_secs()
                )));
            };
            match self.prepare_all(&deployment, state.sources.is_empty()).await {
                Ok(services) => {
                    *lock(&self.deploying) = Some(Deploying {
                        state,
                        deployment,
                        services: services.clone(),
                    });
                    Ok(services)
                }
                Err(error) => {
                    let generation = deployment.generation;
                    self.on_all(|| Control::Abort { generation }).await;
                    if error.worker_lost {
                        // whatever replaces it needs the state
                        drop(state);
                        self.replaced().await;
                    }
                    Err(error)
                }
            }
        })
    }

    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let Some(Deploying {
                mut state,
                deployment,
                services,
            }) = lock(&self.deploying).take()
            else {
                return Err(Error::new(
                    Kind::Internal,
                    "a deployment was committed that was not prepared",
                ));
            };
            let mut by_module: BTreeMap<String, Vec<(String, ServiceHandle)>> = BTreeMap::new();
            for source in &deployment.sources {
                by_module.insert(source.module.clone(), Vec::new());
            }
            for info in &services {
                let handle = commit.services.iter().find(|(name, _)| *name == info.impl_name);
                if let Some(service) = handle {
                    by_module.entry(info.module.clone()).or_default().push(service.clone());
                }
            }
            state.services.extend(by_module);
            state.builtin.extend(deployment.builtin.iter().cloned());
            state.sources.extend(
                deployment
                    .sources
                    .iter()
                    .map(|source| (source.module.clone(), source.clone())),
            );
            for module in &deployment.removed {
                state.services.remove(module);
                state.sources.remove(module);
            }
            state.generation = deployment.generation;
            for answer in self.on_all(|| Control::Commit(Commit::clone(&commit))).await {
                if let Err(error) = done(answer) {
                    tracing::error!(error = error.chain(), "a worker did not commit a deployment");
                }
            }
            Ok(())
        })
    }

    fn abort(&self, generation: u64) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.on_all(|| Control::Abort { generation }).await;
            lock(&self.deploying).take();
        })
    }

    fn configure(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut state = self.state.lock().await;
            let before = state.snapshot.replace(snapshot.clone());
            let difference = before.map(|before| Difference::between(&before, &snapshot));
            let limit = self.control_limit();
            let workers = Vec::clone(&self.ready.load());
            let answers = self.on_each(workers, |link| {
                let (difference, snapshot) = (difference.clone(), snapshot.clone());
                async move {
                    if let Some(difference) = difference {
                        match link.control(Control::Change(difference), limit).await? {
                            // it did not take over the change before this one
                            Controlled::Behind => {}
                            answer => return Ok(answer),
                        }
                    }
                    link.control(Control::Configure(Snapshot::clone(&snapshot)), limit)
                        .await
                }
            });
            for answer in answers.await {
                done(answer)?;
            }
            Ok(())
        })
    }

    fn files(&self, files: Arc<UserFiles>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut state = self.state.lock().await;
            state.files = Some(files.clone());
            for answer in self.on_all(|| Control::Files(UserFiles::clone(&files))).await {
                done(answer)?;
            }
            Ok(())
        })
    }

    fn pools(&self) -> BoxFuture<'_, Vec<PoolNumbers>> {
        Box::pin(async move {
            let answers = self.on_all_within(NUMBERS_LIMIT, || Control::Pools).await;
            let pools = answers.into_iter().filter_map(|answer| match answer {
                Controlled::Pools(pools) => Some(pools),
                _ => None,
            });
            PoolNumbers::add_up(pools.flatten())
        })
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.on_all(|| Control::Drain).await;
            self.stopping.send_replace(true);
            for (_, reply) in std::mem::take(&mut *lock(&self.queue)) {
                reply.send(Outcome::Fault(Fault::new(503, "The server is stopping")));
            }
            for slot in &self.slots {
                slot.stopped().await;
            }
        })
    }
}

/// What a pool hears from its links. Holds the pool weakly: links must not keep it alive.
pub(super) struct PoolEvents {
    pub(super) pool: Weak<WorkerPool>,
    pub(super) hello: Mutex<Option<tokio::sync::oneshot::Sender<crate::link::frame::Hello>>>,
}

impl crate::link::hub::LinkEvents for PoolEvents {
    fn hello(&self, hello: crate::link::frame::Hello) {
        if let Some(waiting) = lock(&self.hello).take() {
            // an error here says that the slot has given up on the worker
            drop(waiting.send(hello));
        }
    }

    fn room(&self) {
        if let Some(pool) = self.pool.upgrade()
            && pool.queued.load(Ordering::Acquire) > 0
        {
            pool.take_from_queue();
        }
    }
}

fn done(answer: Controlled) -> Result<(), Error> {
    match answer {
        Controlled::Done | Controlled::Prepared(_) | Controlled::Pools(_) => Ok(()),
        Controlled::Failed(error) => Err(error.into()),
        Controlled::Behind => Err(Error::new(Kind::Internal, "a worker has other objects than the hub")),
        Controlled::Refused(error) => {
            Err(Error::new(Kind::Service, "a worker refused a deployment").with_source(error))
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // the data is whole after every statement, so a panic elsewhere while the lock was held leaves nothing half-made
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
