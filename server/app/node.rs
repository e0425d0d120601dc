//! The parts of a server, put together: what `busbar start` and `busbar run` have in common.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use busbar_admin::control::{Node as NodeView, NodeStatus, RedisStatus, WorkerStatus};
use busbar_admin::{Changes, Registry};
use busbar_broker::private::RedisState;
use busbar_broker::{PrivateRedis, QueueHandle, RedisConfig, RedisProcess, RedisQueue};
use busbar_connectors::http::outgoing::HttpPeers;
use busbar_connectors::http::{Audience, BoundHttp, HttpConfig, HttpServer, OpenApiAccess, Routes};
use busbar_connectors::pickup::{UserDirectories, UserFilesWatcher};
use busbar_connectors::zmq::{OutgoingZmq, ZmqSockets};
use busbar_dispatch::{
    Cache, Definitions, Delivery, Deployer, Dispatcher, Minutes, NameFilter, ServiceTable, SlowCalls,
};
use busbar_model::audit::AuditEntry;
use busbar_model::object::Object;
use busbar_model::slow::SlowCall;
use busbar_model::{Error, Kind};
use busbar_python::bench::Doubles;
use busbar_python::{Host, HostConfig};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::native::{NativeReply, Natives, call_for_worker};
use busbar_runtime::queue::{Message, Queue};
use busbar_runtime::task::{self, TaskKind};
use busbar_runtime::workers::{PoolConfig, WorkerCommand, WorkerPool};
use busbar_runtime::{Configure, Handler, HubPort, HubRequest};
use busbar_store::Store;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::cli::Exit;
use crate::config::Config;
use crate::odb;
use crate::openapi::Description;
use crate::registry;
use crate::worker::{SETTINGS, WorkerSettings};

/// How long workers may take until their interpreters run.
const WORKERS_LIMIT: Duration = Duration::from_secs(60);
/// How long the private Redis may take until it answers; it goes on trying afterwards.
const REDIS_LIMIT: Duration = Duration::from_secs(30);
/// How long messages that wait in the hub's sockets may take to leave when the server stops.
const SOCKETS_LIMIT: Duration = Duration::from_secs(2);
/// How long the last statistics may take into the ODB when the server stops.
const STATISTICS_LIMIT: Duration = Duration::from_secs(5);

/// What a node is made of, apart from its settings.
pub struct Setup {
    /// Name of the server.
    pub name: String,
    /// Its objects and sources.
    pub store: Arc<Store>,
    /// Where it works: the server's directory.
    pub directory: PathBuf,
    /// Where the Python package was unpacked.
    pub package: PathBuf,
    /// File that holds the server's key; `None`: a key that lasts as long as the process.
    pub secret_key: Option<PathBuf>,
    /// Virtual environment whose packages services can import.
    pub venv: Option<PathBuf>,
    /// Where a private Redis keeps its files, and its log.
    pub redis: RedisConfig,
    /// Whether it goes on without a private Redis if there is no `redis-server`.
    pub redis_is_optional: bool,
    /// Worker processes; 0: in process.
    pub workers: usize,
    /// The interpreter's log level.
    pub python_log_level: String,
    /// What answers in the place of back-ends; `None`: they do. Needs `workers` to be 0.
    pub doubles: Option<Arc<Doubles>>,
}

/// A running node.
pub struct Node {
    name: String,
    started: Instant,
    address: String,
    http: HttpServer,
    admin: Option<HttpServer>,
    admin_address: String,
    handler: Arc<dyn Handler>,
    pool: Option<Arc<WorkerPool>>,
    zmq: Arc<ZmqSockets>,
    redis: Redis,
    routes: Arc<Routes>,
    slow_calls: Arc<SlowCalls>,
    natives: NativeSlot,
    /// What services took by minute.
    pub minutes: Arc<Minutes>,
    /// Messages for services.
    pub queue: QueueHandle,
    /// Deploys service files.
    pub deployer: Arc<Deployer>,
    /// Runs requests.
    pub dispatcher: Arc<Dispatcher>,
    /// Changes the configured objects.
    pub changes: Arc<Changes>,
    /// The objects and sources.
    pub store: Arc<Store>,
}

/// Services of the hub, once they are there.
type NativeSlot = Arc<OnceLock<Arc<dyn Natives>>>;

/// The node's Redis.
enum Redis {
    None,
    Own(Arc<RedisProcess>),
    External(String),
}

impl Node {
    /// Puts the parts together and starts everything but the listener.
    pub async fn build(setup: Setup, config: &Config) -> anyhow::Result<Building> {
        // the address first: a port that is taken is the most likely failure
        let scheme = if config.http.tls.is_some() { "https" } else { "http" };
        let http = config.http.clone().in_directory(&setup.directory.join("config"));
        let admin = match config.admin.address(&http.address) {
            Some(address) => {
                let config = HttpConfig {
                    address,
                    ..http.clone()
                };
                Some(HttpServer::bind_of(config, "admin").await.map_err(Exit::from)?)
            }
            None => None,
        };
        let http = HttpServer::bind(http).await.map_err(Exit::from)?;
        let redis = start_redis(&setup, config)?;
        let zmq = Arc::new(ZmqSockets::new().map_err(Exit::from)?);
        let queue = QueueHandle(make_queue(&setup, config, &redis)?);
        let slow_calls = Arc::new(SlowCalls::default());
        let natives = NativeSlot::default();
        let port: Arc<dyn HubPort> = Arc::new(Connectors {
            zmq: zmq.clone(),
            doubles: setup.doubles.clone(),
            queue: queue.clone(),
            cache: Cache::new(config.cache.clone()),
            slow_calls: slow_calls.clone(),
            natives: natives.clone(),
        });
        let host = HostConfig {
            server_name: setup.name.clone(),
            directory: setup.directory.clone(),
            package_dir: setup.package.clone(),
            secret_key_file: setup.secret_key.clone(),
            venv: setup.venv.clone(),
            max_threads: config.workers.max_threads,
            max_queue: config.calls.max_queue,
            import_secs: config.hot_deploy.import_secs,
            return_tracebacks: config.calls.return_tracebacks,
            hide_messages: config.calls.hide_messages,
            default_error_message: config.calls.default_error_message.clone(),
            redis_url: match config.redis.kvdb_url.as_str() {
                "" => redis.url(),
                url => Some(url.to_owned()),
            },
            log_level: setup.python_log_level.clone(),
            naming: config.simple_io.naming(),
            encrypt_secrets: config.simple_io.encrypt_secrets,
            ..HostConfig::default()
        };
        let (handler, pool) = start_handler(&setup, config, host, port).await?;
        if let Redis::Own(process) = &redis
            && let Err(error) = process.wait_ready(REDIS_LIMIT).await
        {
            tracing::error!(
                error = error.chain(),
                hint = error.hint(),
                "the server goes on without its key-value database until Redis answers"
            );
        }

        let table = ServiceTable::new();
        let definitions = Definitions::with_peers(Arc::new(HttpPeers::new(&setup.name)));
        let routes = Routes::build(Arc::new(definitions.clone()), &config.http).map_err(Exit::from)?;
        routes.set_queue(Arc::new(queue.clone()));
        if config.admin.on_main_listener {
            routes.share_management();
        }
        let deadline = config.calls.deadline();
        let dispatcher = Dispatcher::new(table.clone(), definitions.clone(), handler.clone(), deadline);
        let message_deadline = Duration::from_secs(config.queue.deadline_secs);
        let delivery = Arc::new(Delivery::new(
            dispatcher.clone(),
            table.clone(),
            Arc::new(queue.clone()),
            message_deadline,
        ));
        let deployer = Deployer::new(setup.store.clone(), handler.clone(), table.clone());
        deployer.serve_only(NameFilter {
            allow: config.hot_deploy.allow.clone(),
            deny: config.hot_deploy.deny.clone(),
        });
        let mut configurables: Vec<Arc<dyn Configure>> = vec![Arc::new(definitions), table.clone(), routes.clone()];
        if config.http.openapi != OpenApiAccess::Off {
            let openapi = dispatcher.openapi().clone();
            configurables.push(Arc::new(Description::new(openapi, &setup.name, &config.http)));
        }
        if setup.doubles.is_none() {
            configurables.push(zmq.clone());
        }
        let minutes = Minutes::new(
            table.clone(),
            setup.store.clone(),
            &setup.name,
            config.statistics.clone(),
        );
        let changes = Changes::new(
            setup.store.clone(),
            Registry::new(registry::TYPES),
            configurables,
            handler.clone(),
            {
                let natives = natives.clone();
                move |name| table.get(name).is_some() || natives.get().is_some_and(|it| it.has(name))
            },
        );
        changes.start().await.map_err(Exit::from)?;
        deployer
            .deploy_builtin(registry::BUILTIN_SERVICES)
            .await
            .map_err(Exit::from)?;
        Ok(Building {
            setup,
            scheme,
            http,
            admin,
            handler,
            pool,
            zmq,
            redis,
            queue,
            delivery,
            deployer,
            dispatcher,
            changes,
            routes,
            slow_calls,
            natives,
            minutes,
        })
    }
}

/// A node whose services are still to be deployed: nothing answers yet.
pub struct Building {
    setup: Setup,
    scheme: &'static str,
    http: BoundHttp,
    admin: Option<BoundHttp>,
    handler: Arc<dyn Handler>,
    pool: Option<Arc<WorkerPool>>,
    zmq: Arc<ZmqSockets>,
    redis: Redis,
    queue: QueueHandle,
    delivery: Arc<Delivery>,
    /// Deploys service files.
    pub deployer: Arc<Deployer>,
    dispatcher: Arc<Dispatcher>,
    /// Changes the configured objects.
    pub changes: Arc<Changes>,
    routes: Arc<Routes>,
    slow_calls: Arc<SlowCalls>,
    natives: NativeSlot,
    minutes: Arc<Minutes>,
}

impl Building {
    /// Gives services the files that users keep for them, now and whenever one changes.
    pub async fn read_user_files(&self, directories: UserDirectories) -> anyhow::Result<()> {
        let (watcher, files) = UserFilesWatcher::new(directories).map_err(Exit::from)?;
        self.handler.files(Arc::new(files)).await.map_err(Exit::from)?;
        let (sender, mut changes) = mpsc::channel(1);
        watcher.spawn(sender).map_err(Exit::from)?;
        let handler = self.handler.clone();
        task::spawn("user-files", TaskKind::Once, async move {
            while let Some(files) = changes.recv().await {
                match handler.files(Arc::new(files)).await {
                    Ok(()) => tracing::info!("configuration and static files were read again"),
                    Err(error) => {
                        tracing::error!(error = error.chain(), "services do not see changed configuration files")
                    }
                }
            }
        });
        Ok(())
    }

    /// Begins to answer.
    pub fn listen(self) -> Arc<Node> {
        let shown = |bound: &BoundHttp| format!("{}://{}", self.scheme, bound.local_address());
        let address = shown(&self.http);
        let admin_address = self.admin.as_ref().map(shown).unwrap_or_default();
        let spawn = |bound: BoundHttp, audience| bound.spawn(&self.routes, audience, self.dispatcher.clone());
        let http = spawn(self.http, Audience::Clients);
        let admin = self.admin.map(|bound| spawn(bound, Audience::Administrators));
        if let Some(queue) = &self.queue.0 {
            // not before: messages that were left are for services that are deployed by now
            queue.consume(self.delivery);
        }
        Arc::new(Node {
            name: self.setup.name,
            started: Instant::now(),
            address,
            http,
            admin,
            admin_address,
            handler: self.handler,
            pool: self.pool,
            zmq: self.zmq,
            redis: self.redis,
            routes: self.routes,
            slow_calls: self.slow_calls,
            natives: self.natives,
            minutes: self.minutes,
            queue: self.queue,
            deployer: self.deployer,
            dispatcher: self.dispatcher,
            changes: self.changes,
            store: self.setup.store,
        })
    }
}

impl Node {
    /// Where it answers: `http://127.0.0.1:11223`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Runs these services in the hub from now on, for whoever calls them.
    pub fn serve_natives(&self, natives: Arc<dyn Natives>) {
        self.natives.get_or_init(|| natives.clone());
        self.dispatcher.serve_natives(natives);
    }

    /// Where administrators call, likewise; empty: nowhere.
    pub fn admin_address(&self) -> &str {
        &self.admin_address
    }

    /// Stops accepting, lets calls in flight finish up to `limit`, then stops workers, sockets, and Redis last.
    pub async fn drain(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let administrators = async {
            match &self.admin {
                Some(admin) => admin.drain(limit).await,
                None => 0,
            }
        };
        let (clients, administrators) = tokio::join!(self.http.drain(limit), administrators);
        let cut_off = clients + administrators;
        if cut_off > 0 {
            tracing::warn!(
                "{cut_off} connection(s) were cut off: their calls did not end within {} s",
                limit.as_secs()
            );
        }
        let left = || {
            end.saturating_duration_since(Instant::now())
                .max(Duration::from_secs(1))
        };
        if let Some(queue) = &self.queue.0 {
            queue.drain(left()).await;
        }
        if tokio::time::timeout(left(), self.handler.drain()).await.is_err() {
            tracing::warn!("workers were stopped with calls still running");
        }
        self.zmq.stop(SOCKETS_LIMIT).await;
        if let Redis::Own(process) = &self.redis {
            process.stop().await;
        }
        let stored = tokio::time::timeout(STATISTICS_LIMIT, self.minutes.store()).await;
        if !matches!(stored, Ok(Ok(()))) {
            tracing::warn!("the last statistics are lost: the ODB did not take them in time");
        }
        self.store.close().await;
    }
}

impl NodeView for Node {
    fn status(&self) -> BoxFuture<'_, NodeStatus> {
        Box::pin(async move {
            let workers = self.pool.as_ref().map(|pool| pool.status()).unwrap_or_default();
            NodeStatus {
                name: self.name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                uptime_secs: self.started.elapsed().as_secs(),
                address: self.address.clone(),
                admin_address: self.admin_address.clone(),
                workers: workers
                    .into_iter()
                    .map(|worker| WorkerStatus {
                        number: worker.index as u32,
                        pid: worker.pid,
                        state: worker.state,
                        calls: worker.in_flight as u32,
                        restarts: worker.restarts,
                        memory_bytes: worker.memory_bytes,
                    })
                    .collect(),
                redis: self.redis.status(),
                pools: self.handler.pools().await,
            }
        })
    }

    fn audit_log(&self, channel: &str) -> Option<Vec<AuditEntry>> {
        self.routes.audit_log(channel)
    }

    fn slow_calls(&self, service: Option<&str>) -> Vec<SlowCall> {
        self.slow_calls.list(service)
    }
}

impl Redis {
    fn url(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Own(process) => Some(process.url()),
            Self::External(url) => Some(url.clone()),
        }
    }

    fn status(&self) -> RedisStatus {
        match self {
            Self::None => RedisStatus {
                state: "none".to_owned(),
                ..RedisStatus::default()
            },
            Self::Own(process) => {
                let state = match process.state() {
                    RedisState::Starting => "starting",
                    RedisState::Ready => "ready",
                    RedisState::Stopped => "stopped",
                };
                RedisStatus {
                    state: state.to_owned(),
                    url: process.url(),
                    is_private: true,
                }
            }
            Self::External(url) => {
                // the part before the host may hold a password
                let shown = match (url.split_once("://"), url.rsplit_once('@')) {
                    (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
                    _ => url.clone(),
                };
                RedisStatus {
                    state: "external".to_owned(),
                    url: shown,
                    is_private: false,
                }
            }
        }
    }
}

fn start_redis(setup: &Setup, config: &Config) -> anyhow::Result<Redis> {
    if !config.redis.url.is_empty() {
        return Ok(Redis::External(config.redis.url.clone()));
    }
    match PrivateRedis::build(&setup.redis) {
        Ok(redis) => Ok(Redis::Own(redis.spawn())),
        Err(error) if setup.redis_is_optional => {
            tracing::warn!(hint = error.hint(), "self.kvdb cannot be used: {}", error.chain());
            Ok(Redis::None)
        }
        Err(error) => Err(Exit::from(error).into()),
    }
}

/// The queue that all servers of this name share which use the same Redis.
fn make_queue(setup: &Setup, config: &Config, redis: &Redis) -> anyhow::Result<Option<Arc<RedisQueue>>> {
    let Some(url) = redis.url() else { return Ok(None) };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let consumer = format!("{}@{}:{}", setup.name, host.trim(), setup.directory.display());
    let queue = RedisQueue::new(&url, &setup.name, &consumer, config.queue.clone()).map_err(Exit::from)?;
    Ok(Some(queue))
}

type Handlers = (Arc<dyn Handler>, Option<Arc<WorkerPool>>);

async fn start_handler(
    setup: &Setup,
    config: &Config,
    host: HostConfig,
    port: Arc<dyn HubPort>,
) -> anyhow::Result<Handlers> {
    if setup.workers == 0 {
        std::env::set_current_dir(&setup.directory)
            .with_context(|| format!("cannot work in `{}`", setup.directory.display()))?;
        let host = tokio::task::spawn_blocking(move || Host::start(host, port))
            .await?
            .map_err(Exit::from)?;
        if let Some(doubles) = &setup.doubles {
            host.environment().outgoing_http.answer_with(doubles.clone());
        }
        return Ok((host, None));
    }
    let settings = WorkerSettings {
        host,
        log_level: config.log.level.clone(),
        directory: setup.directory.clone(),
        hub_pid: std::process::id(),
    };
    let command = WorkerCommand {
        program: executable()?,
        arguments: vec!["worker".to_owned()],
        environment: vec![(
            SETTINGS.to_owned(),
            serde_json::to_string(&settings).context("cannot pack the workers' settings")?,
        )],
        hidden: odb::variables(config),
    };
    let limit = config.workers.memory_limit_mb << 20;
    let pool_config = PoolConfig {
        workers: setup.workers,
        window: config.workers.max_threads,
        max_queue: config.calls.max_queue,
        memory_limit: (limit > 0).then_some(limit),
        deaf_after: Duration::from_secs(config.workers.deaf_after_secs.max(1)),
        import_limit: Duration::from_secs(config.hot_deploy.import_secs),
    };
    let pool = WorkerPool::spawn(pool_config, command, port);
    pool.wait_ready(WORKERS_LIMIT).await.map_err(Exit::from)?;
    Ok((pool.clone(), Some(pool)))
}

/// The executable that runs: through the kernel, so that workers are of the same version even while the file is being replaced.
fn executable() -> anyhow::Result<PathBuf> {
    let path = Path::new("/proc/self/exe");
    if path.exists() {
        Ok(path.to_owned())
    } else {
        std::env::current_exe().context("cannot find the busbar executable")
    }
}

/// The connectors that live in the hub.
struct Connectors {
    zmq: Arc<ZmqSockets>,
    doubles: Option<Arc<Doubles>>,
    queue: QueueHandle,
    cache: Cache,
    slow_calls: Arc<SlowCalls>,
    natives: NativeSlot,
}

impl HubPort for Connectors {
    fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>> {
        if request.kind == OutgoingZmq::KIND {
            return match &self.doubles {
                Some(doubles) => doubles.request(request),
                None => self.zmq.request(request),
            };
        }
        if request.kind == Cache::KIND {
            return Box::pin(std::future::ready(self.cache.request(&request)));
        }
        if request.kind == SlowCall::KIND {
            return Box::pin(std::future::ready(self.slow_calls.request(&request)));
        }
        if request.kind == NativeReply::KIND
            && let Some(natives) = self.natives.get()
        {
            return Box::pin(call_for_worker(natives.clone(), request));
        }
        if request.kind == Message::KIND {
            let put = Message::from_request(request).map(|message| self.queue.put(message));
            return Box::pin(async move {
                put?.await?;
                Ok(Bytes::new())
            });
        }
        let error = Error::new(
            Kind::NotFound,
            format!("there is no connector of kind `{}` in the hub", request.kind),
        );
        Box::pin(std::future::ready(Err(error)))
    }
}
