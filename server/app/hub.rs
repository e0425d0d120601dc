//! A server's hub: built and checked, then answering, then drained.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use busbar_admin::Management;
use busbar_admin::control::{Control, Parts, Running};
use busbar_broker::RedisConfig;
use busbar_connectors::pickup::{PickupBatch, Watcher};
use busbar_dispatch::Deployer;
use busbar_dispatch::deploy::{module_of, read_source};
use busbar_runtime::handler::Source;
use busbar_runtime::task::{self, TaskKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::Exit;
use crate::config::Config;
use crate::directory::Directory;
use crate::node::{Node, Setup};
use crate::object_files::ObjectFiles;
use crate::{control, logging, odb, package, user};

/// Batches of changed files that wait while one is being deployed. More wait in the pickup directory itself.
const PICKUP_QUEUE: usize = 16;

/// Runs a server until it is told to stop.
pub fn run(directory: &Directory, config: &Config) -> anyhow::Result<u8> {
    logging::start("hub", &config.log.level)?;
    raise_file_limit();
    let pid_file = directory.lock_pid_file()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("hub")
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(run_until_told(config, start(directory, config)));
    // whatever still runs in the background has nothing left to do
    runtime.shutdown_background();
    std::fs::remove_file(directory.control_socket()).ok();
    drop(pid_file);
    result
}

/// Starts a node, waits for a signal, drains; a second signal stops at once.
pub async fn run_until_told(
    config: &Config,
    start: impl Future<Output = anyhow::Result<Arc<Node>>>,
) -> anyhow::Result<u8> {
    let mut signals = Signals::new()?;
    let node = tokio::select! {
        node = start => node?,
        name = signals.next() => {
            tracing::info!("stopped by {name} while starting");
            return Ok(0);
        }
    };
    let name = signals.next().await;
    let limit = Duration::from_secs(config.calls.drain_secs);
    tracing::info!("stopping on {name}; calls in flight have up to {} s", limit.as_secs());
    tokio::select! {
        () = node.drain(limit) => tracing::info!("stopped"),
        name = signals.next() => tracing::warn!("stopping at once on a second {name}"),
    }
    Ok(0)
}

async fn start(directory: &Directory, config: &Config) -> anyhow::Result<Arc<Node>> {
    let started = std::time::Instant::now();
    let setup = Setup {
        name: directory.name(),
        store: odb::open(directory, config).await.map_err(Exit::from)?,
        directory: directory.path().to_owned(),
        package: package::unpack(&directory.work())?,
        secret_key: Some(directory.secret_key()?),
        venv: config.venv(directory.path()),
        redis: RedisConfig {
            executable: config.redis.executable.clone(),
            directory: directory.work().join("redis"),
            log: directory.logs().join("redis.log"),
        },
        redis_is_optional: false,
        workers: config.workers.count(),
        python_log_level: config.log.python_level(),
        doubles: None,
    };
    let building = Node::build(setup, config).await?;
    building.read_user_files(directory.user_directories()).await?;
    let remove = config.hot_deploy.remove_with_file;
    let pickup = directory.pickup();
    let (watcher, files) = Watcher::with_folders(&pickup).map_err(Exit::from)?;
    building
        .deployer
        .start(read_sources(&files, Some(&pickup)), remove)
        .await
        .map_err(Exit::from)?;
    let (sender, batches) = mpsc::channel(PICKUP_QUEUE);
    watcher.spawn(sender).map_err(Exit::from)?;
    task::spawn(
        "pickup",
        TaskKind::Once,
        deploy_batches(building.deployer.clone(), pickup, batches, remove),
    );

    ObjectFiles::watch(&directory.objects(), &directory.work(), building.changes.clone()).await?;

    // before HTTP answers: whoever got an answer may use the command line
    let socket = control::bind(&directory.control_socket())?;
    let node = building.listen();
    node.minutes.spawn();
    let running = Running::new(node.deployer.clone(), node.dispatcher.clone(), directory.pickup());
    let parts = Parts {
        node: node.clone(),
        services: running.clone(),
        deployments: running,
        queue: Arc::new(node.queue.clone()),
        statistics: node.minutes.clone(),
    };
    let definitions = node.dispatcher.definitions().clone();
    let management = Management::new(node.changes.clone(), parts.clone(), definitions);
    node.serve_natives(Arc::new(management));
    let control = Control::new(node.changes.clone(), parts);
    control::spawn(socket, Arc::new(control));
    let duration_ms = started.elapsed().as_millis() as u64;
    tracing::info!(
        duration_ms,
        admin = node.admin_address(),
        "server `{}` is ready on {} (pid {})",
        directory.name(),
        node.address(),
        std::process::id()
    );
    Ok(node)
}

/// Deploys what the pickup directory reports.
pub async fn deploy_batches(
    deployer: Arc<Deployer>,
    pickup: PathBuf,
    mut batches: mpsc::Receiver<PickupBatch>,
    remove: bool,
) {
    while let Some(PickupBatch { changed, removed }) = batches.recv().await {
        // a file that another door deploys or takes out just now is what that leaves, not what it was when it was reported
        let mut turn = deployer.turn().await;
        let changed: Vec<PathBuf> = changed.into_iter().filter(|path| path.exists()).collect();
        // what is wrong with a file has been logged where it was found
        if let Err(error) = turn.deploy(read_sources(&changed, Some(&pickup))).await {
            tracing::error!(
                error = error.chain(),
                "cannot deploy what was picked up; copy it again when this is mended"
            );
        }
        let modules: Vec<String> = removed
            .iter()
            .filter(|path| remove && !path.exists())
            .filter_map(|path| module_of(path, &pickup).filter(|module| turn.runs(module, path)))
            .collect();
        if let Err(error) = turn.remove(&modules).await {
            tracing::error!(
                error = error.chain(),
                "cannot remove the services of files that are gone"
            );
        }
    }
}

/// Reads the files that can be read; the others are logged. `pickup`: the directory by whose folders modules are called, if there is one.
/// Whoever a file there belongs to has deployed it.
pub fn read_sources(files: &[PathBuf], pickup: Option<&Path>) -> Vec<Source> {
    let read = |path: &PathBuf| match read_source(path, pickup) {
        Ok(source) => Some(Source {
            deployed_by: pickup.map(|_| user::of_file(path)),
            ..source
        }),
        Err(error) => {
            tracing::error!(error = error.chain(), "cannot deploy `{}`", path.display());
            None
        }
    };
    files.iter().filter_map(read).collect()
}

/// The signals that stop a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("cannot wait for signals");
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Takes as many open files as the system allows: each connection is one.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointers are to a live value
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
