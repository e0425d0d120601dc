//! `busbar test`: pytest, with a server in its process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use busbar_admin::enmasse::{self, Document, ImportOptions, ReadOptions};
use busbar_dispatch::deploy::read_source;
use busbar_model::object::{Change, ChangeSet, Record};
use busbar_model::{Error, Kind};
use busbar_python::bench::{self, Bench, Deployed, Doubles};
use clap::Args;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::cli::Exit;
use crate::cli::run::{in_process, venv};
use crate::config::{Config, OFF};
use crate::node::{Node, Setup};
use crate::{hub, logging, package};

/// How long calls that tests have left behind may take when all tests are done.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// In whose name objects are changed.
const CALLER: &str = "test";
/// Services log as they do on a server; the server itself only what is wrong.
const LOG_LEVEL: &str = "warn,service=info";

/// Runs tests.
#[derive(Debug, Args)]
pub struct Test {
    /// Arguments of pytest.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PYTEST ARGUMENTS")]
    arguments: Vec<String>,
}

impl Test {
    /// Runs the command: its exit code is pytest's.
    pub fn run(self) -> anyhow::Result<u8> {
        logging::start("test", LOG_LEVEL)?;
        hub::raise_file_limit();
        let package = package::unpack(&package::cache()?)?;
        // before there are other threads: Python delivers Ctrl-C to the thread that started it, and that is to be pytest's
        bench::start_interpreter(venv(), package.clone()).map_err(Exit::from)?;
        let home = tempfile::Builder::new()
            .prefix("busbar-test-")
            .tempdir()
            .context("cannot create a temporary directory")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        let doubles = Arc::new(Doubles::default());
        let node = runtime.block_on(start(home.path(), package, doubles.clone()))?;
        let bench = Arc::new(TestBench {
            node: node.clone(),
            runtime: runtime.handle().clone(),
        });
        let result = bench::run_pytest(bench, doubles, self.arguments);
        runtime.block_on(node.drain(DRAIN_LIMIT));
        runtime.shutdown_background();
        drop(home);
        let code = result.map_err(Exit::from)?;
        // the interpreter is not finalised: what the services started may still run
        std::process::exit(code.into())
    }
}

async fn start(home: &Path, package: PathBuf, doubles: Arc<Doubles>) -> anyhow::Result<Arc<Node>> {
    let mut config = Config::default();
    config.http.address = "127.0.0.1:0".to_owned();
    config.admin.address = OFF.to_owned();
    let setup = Setup {
        doubles: Some(doubles),
        ..in_process("test", home, package, &config).await?
    };
    Ok(Node::build(setup, &config).await?.listen())
}

/// The server, for the tests in its process.
struct TestBench {
    node: Arc<Node>,
    runtime: Handle,
}

impl Bench for TestBench {
    fn address(&self) -> String {
        self.node.address().to_owned()
    }

    fn deploy(&self, files: Vec<PathBuf>) -> Result<Deployed, Error> {
        let sources = files
            .iter()
            .map(|file| read_source(file, None))
            .collect::<Result<Vec<_>, _>>()?;
        let report = self.runtime.block_on(self.node.deployer.deploy(sources))?;
        Ok(Deployed {
            services: report.deployed.into_iter().collect(),
            failed: report
                .failed
                .into_iter()
                .map(|error| (error.module, error.message, error.traceback))
                .collect(),
        })
    }

    fn remove(&self, modules: Vec<String>) -> Result<(), Error> {
        let report = self.runtime.block_on(self.node.deployer.remove(&modules))?;
        match report.failed.into_iter().next() {
            Some(error) => Err(Error::new(Kind::Service, error.to_string())),
            None => Ok(()),
        }
    }

    fn objects(&self) -> Vec<(String, String)> {
        let snapshot = self.node.changes.snapshot();
        let objects = snapshot.iter();
        objects
            .map(|record| (record.kind.clone(), record.name.clone()))
            .collect()
    }

    fn change(&self, kind: String, name: String, body: Option<Map<String, Value>>) -> Result<(), Error> {
        let change = match body {
            Some(body) => Change::Put(Record {
                kind,
                name,
                is_active: true,
                body: body.into(),
                version: 0,
                id: 0,
            }),
            None => Change::Delete { kind, name },
        };
        let set = ChangeSet { changes: vec![change] };
        self.runtime.block_on(self.node.changes.apply(set, CALLER))?;
        Ok(())
    }

    fn import(&self, file: &Path) -> Result<(), Error> {
        let document = Document::read(file, &ReadOptions::from_env())
            .map_err(|problems| Error::new(Kind::BadRequest, problems.to_string()))?;
        let import = enmasse::import(&self.node.changes, document, ImportOptions::replacing(), CALLER);
        self.runtime.block_on(import)?;
        Ok(())
    }
}
