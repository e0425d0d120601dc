//! `busbar run`: service files in one process, without an environment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use busbar_admin::Changes;
use busbar_broker::RedisConfig;
use busbar_connectors::http::ChannelHttp;
use busbar_connectors::pickup::{PickupBatch, UserDirectories, Watcher};
use busbar_dispatch::Deployer;
use busbar_model::object::{Change, ChangeSet, Object, Record};
use busbar_runtime::task::{self, TaskKind};
use busbar_store::Store;
use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::Exit;
use crate::config::{Config, OFF};
use crate::hub::{self, read_sources};
use crate::node::{Node, Setup};
use crate::{logging, package};

/// Batches of changed files that wait while one is being deployed.
const PICKUP_QUEUE: usize = 16;

/// Runs service files.
#[derive(Debug, Args)]
pub struct Run {
    /// Service files. Other files of their directories can be imported.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Address that clients will call.
    #[arg(long, default_value = "127.0.0.1:11223", value_name = "HOST:PORT")]
    address: SocketAddr,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    #[arg(long, default_value = "info")]
    log_level: String,
}

impl Run {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<u8> {
        let files = absolute(&self.files)?;
        import_beside(&files);
        logging::start("run", &self.log_level)?;
        hub::raise_file_limit();
        let home = tempfile::Builder::new()
            .prefix("busbar-")
            .tempdir()
            .context("cannot create a temporary directory")?;
        let mut config = Config::default();
        config.http.address = self.address.to_string();
        // there is nobody who could log in: nothing is kept, accounts neither
        config.admin.address = OFF.to_owned();
        config.calls.return_tracebacks = true;
        config.log.level = self.log_level;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        let result = runtime.block_on(hub::run_until_told(&config, start(&files, home.path(), &config)));
        runtime.shutdown_background();
        drop(home);
        result
    }
}

async fn start(files: &[PathBuf], home: &Path, config: &Config) -> anyhow::Result<Arc<Node>> {
    let setup = in_process("run", home, package::unpack(&package::cache()?)?, config).await?;
    let building = Node::build(setup, config).await?;
    let (sender, batches) = mpsc::channel(PICKUP_QUEUE);
    let directories: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    for directory in directories {
        let (watcher, _) = Watcher::quiet(directory).map_err(Exit::from)?;
        watcher.spawn(sender.clone()).map_err(Exit::from)?;
    }
    building.read_user_files(user_directories(files)).await?;
    building
        .deployer
        .deploy(read_sources(files, None))
        .await
        .map_err(Exit::from)?;
    let node = building.listen();
    println!("busbar listens on {}", node.address());
    publish(&node.deployer, &node.changes, node.address()).await?;
    task::spawn("pickup", TaskKind::Once, reload(files.to_vec(), node.clone(), batches));
    Ok(node)
}

/// What a server is made of that runs services in this process, has no directory of its own, and is gone when it ends. `home` takes what
/// must be a file.
pub async fn in_process(name: &str, home: &Path, package: PathBuf, config: &Config) -> anyhow::Result<Setup> {
    Ok(Setup {
        name: name.to_owned(),
        store: Store::in_memory().await.map_err(Exit::from)?,
        directory: std::env::current_dir().context("cannot tell the working directory")?,
        package,
        secret_key: None,
        venv: venv(),
        redis: RedisConfig {
            executable: String::new(),
            directory: home.join("redis"),
            log: home.join("redis.log"),
        },
        redis_is_optional: true,
        workers: 0,
        python_log_level: config.log.python_level(),
        doubles: None,
    })
}

/// Where files for the services lie: beside their own.
fn user_directories(files: &[PathBuf]) -> UserDirectories {
    let directories: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    UserDirectories {
        config: directories
            .iter()
            .map(|directory| directory.join("user-conf"))
            .collect(),
        statics: directories.iter().map(|directory| directory.join("static")).collect(),
    }
}

/// Deploys the files again when they are saved.
async fn reload(files: Vec<PathBuf>, node: Arc<Node>, mut batches: mpsc::Receiver<PickupBatch>) {
    while let Some(batch) = batches.recv().await {
        let changed: Vec<PathBuf> = batch.changed.into_iter().filter(|path| files.contains(path)).collect();
        if changed.is_empty() {
            continue;
        }
        if let Err(error) = node.deployer.deploy(read_sources(&changed, None)).await {
            tracing::error!(error = error.chain(), "cannot deploy what was saved");
        } else if let Err(error) = publish(&node.deployer, &node.changes, node.address()).await {
            tracing::error!("cannot open the channels of the services: {error:#}");
        }
    }
}

/// Gives every service a channel of its own name, and prints how to call those that are new.
async fn publish(deployer: &Deployer, changes: &Arc<Changes>, address: &str) -> anyhow::Result<()> {
    let services: BTreeMap<String, String> = deployer
        .list()
        .into_iter()
        .filter(|row| !row.is_builtin)
        .map(|row| (row.name, row.summary))
        .collect();
    let snapshot = changes.snapshot();
    let open: HashMap<&str, &Record> = snapshot
        .of_kind(ChannelHttp::KIND)
        .map(|record| (&*record.name, record))
        .collect();
    let mut set = ChangeSet::default();
    let mut lines = String::new();
    for (name, summary) in services.iter().filter(|(name, _)| !open.contains_key(name.as_str())) {
        lines += &format!("  curl {address}/{name} -d '{{}}'    {summary}\n");
        let body = json!({"service": name, "url_path": format!("/{name}"), "data_format": "json"});
        set.changes.push(Change::Put(Record {
            kind: ChannelHttp::KIND.to_owned(),
            name: name.clone(),
            is_active: true,
            body: body.as_object().cloned().unwrap_or_default().into(),
            version: 0,
            id: 0,
        }));
    }
    for name in open.keys().filter(|name| !services.contains_key(**name)) {
        set.changes.push(Change::Delete {
            kind: ChannelHttp::KIND.to_owned(),
            name: (*name).to_owned(),
        });
    }
    if !set.changes.is_empty() {
        changes
            .apply(set, "run")
            .await
            .map_err(|error| Exit::from(busbar_model::Error::from(error)))?;
    }
    // not before they are open: a script may act on them at once
    print!("{lines}");
    Ok(())
}

/// The files, by paths that hold wherever the process works.
pub fn absolute(files: &[PathBuf]) -> Result<Vec<PathBuf>, Exit> {
    let resolve = |file: &PathBuf| {
        let shown = file.display();
        let path =
            std::path::absolute(file).map_err(|error| Exit::new(2, format!("cannot read `{shown}`: {error}")))?;
        if path.is_file() {
            Ok(path)
        } else {
            Err(Exit::new(2, format!("there is no file `{shown}`")))
        }
    };
    files.iter().map(resolve).collect()
}

/// Lets the files import what lies beside them, as `python FILE` does.
pub fn import_beside(files: &[PathBuf]) {
    let own: BTreeSet<PathBuf> = files
        .iter()
        .filter_map(|file| file.parent())
        .map(PathBuf::from)
        .collect();
    let given = std::env::var_os("PYTHONPATH").unwrap_or_default();
    let path = std::env::join_paths(
        own.into_iter()
            .chain(std::env::split_paths(&given).filter(|path| !path.as_os_str().is_empty())),
    );
    if let Ok(path) = path {
        // SAFETY: the command has started no thread yet
        unsafe { std::env::set_var("PYTHONPATH", path) };
    }
}

/// The virtual environment that is active, if any.
pub fn venv() -> Option<PathBuf> {
    std::env::var_os("VIRTUAL_ENV")
        .filter(|venv| !venv.is_empty())
        .map(PathBuf::from)
}
