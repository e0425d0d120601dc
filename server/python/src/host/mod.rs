//! The interpreter behind the seam [`Handler`]: in the hub's own process, or in a worker.

mod config;
mod handles;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busbar_model::object::Snapshot;
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error, Kind};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment, PoolNumbers, UserFiles};
use busbar_runtime::link::frame::Health;
use busbar_runtime::{Call, Fault, Handler, HubPort, Outcome, ReplyTo, ServiceHandle};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::runtime::Runtime;

pub use config::HostConfig;

use crate::environment::{Environment, ServiceNames};
use crate::interpreter::{self, Setup};
use crate::loader::{Loader, Prepared, Transaction};
use crate::service::{self, ServiceClass};
use crate::sync::lock;
use crate::turn::{Job, Limits, Own, Turns, Work};
use handles::Handles;

/// How long an import that was told to end may take to do so, before nobody waits for it any more.
const IMPORT_GRACE: Duration = Duration::from_secs(5);
/// How long hooks that run after a commit, or when the process ends, may take.
const HOOKS_LIMIT: Duration = Duration::from_secs(10);

/// The Python host: one interpreter, its threads, and the generations of services that it holds.
pub struct Host {
    environment: Arc<Environment>,
    turns: Arc<Turns>,
    loader: Arc<Loader>,
    handles: Handles,
    /// The services that are deployed, several with one name among them.
    claims: Mutex<BTreeMap<ServiceHandle, Arc<ServiceClass>>>,
    prepared: Mutex<HashMap<u64, Arc<Prepared>>>,
    /// Deployments are imported, and become current, one after another.
    deploying: tokio::sync::Mutex<()>,
    import_limit: Duration,
    runtime: Option<Runtime>,
}

/// A service of one generation as something that can be called.
struct Target {
    environment: Arc<Environment>,
    class: Arc<ServiceClass>,
}

impl Work for Target {
    fn name(&self) -> &str {
        &self.class.info().name
    }

    fn run(&self, py: Python<'_>, call: &Call) -> Outcome {
        service::run(py, &self.environment, &self.class, call)
    }
}

impl Host {
    /// Starts the interpreter, unless this process has one, and everything around it. Handler threads start with the first calls.
    pub fn start(config: HostConfig, hub: Arc<dyn HubPort>) -> Result<Arc<Self>, Error> {
        let setup = Setup {
            venv: config.venv.clone(),
            package_dir: config.package_dir.clone(),
        };
        interpreter::start(&setup)?;
        let internal =
            |what: &'static str| move |error: std::io::Error| Error::new(Kind::Internal, what).with_source(error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.io_threads.max(1))
            .thread_name("busbar-io")
            .enable_all()
            .build()
            .map_err(internal("cannot start the threads of the I/O runtime"))?;
        let environment = Arc::new(Environment::build(&config, hub, runtime.handle().clone())?);
        environment.share();
        let (exception, loader) = Python::attach(|py| -> PyResult<_> {
            py.import("busbar.logs")?.call_method1("setup", (&config.log_level,))?;
            let exception = py.import("busbar.errors")?.getattr("DeadlineExceeded")?.unbind();
            Ok((exception, Loader::new(py, config.naming.clone())?))
        })
        .map_err(|error| {
            Error::new(Kind::Config, "the Python package of busbar cannot be imported")
                .with_hint(format!("it is expected in `{}`", config.package_dir.display()))
                .with_source(std::io::Error::other(error.to_string()))
        })?;
        let limits = Limits {
            max_threads: config.max_threads.max(1),
            max_queue: config.max_queue,
            stack_size: config.stack_size,
            idle: Duration::from_secs(config.idle_secs.max(1)),
        };
        let turns =
            Turns::start(limits, exception).map_err(internal("cannot start the threads that watch over calls"))?;
        Ok(Arc::new(Self {
            environment,
            turns,
            loader: Arc::new(loader),
            handles: Handles::default(),
            claims: Mutex::default(),
            prepared: Mutex::default(),
            deploying: tokio::sync::Mutex::default(),
            import_limit: Duration::from_secs(config.import_secs.max(1)),
            runtime: Some(runtime),
        }))
    }

    /// Version of the interpreter: `3.11.7`.
    pub fn python_version(&self) -> String {
        interpreter::version()
    }

    /// The runtime on which connectors do their I/O.
    pub fn runtime(&self) -> tokio::runtime::Handle {
        self.environment.runtime.clone()
    }

    /// What all calls share.
    pub fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    /// Where a source file uses what services of later versions have on `self`, or what only Python 2 knows: line and text. The file need
    /// not parse. For `busbar check`.
    pub fn findings(&self, source: &[u8]) -> Vec<(usize, String)> {
        let found = Python::attach(|py| {
            let missing: Vec<(String, String)> = service::missing().collect();
            let arguments = (PyBytes::new(py, source), missing);
            py.import("busbar.check")?
                .call_method1("findings", arguments)?
                .extract()
        });
        found.unwrap_or_else(|error: PyErr| {
            tracing::error!(%error, "cannot look through a source file");
            Vec::new()
        })
    }

    /// Figures of the moment. Does not wait for the interpreter.
    pub fn health(&self) -> Health {
        self.turns.health()
    }

    async fn import(&self, deployment: Arc<Deployment>) -> Result<Vec<ServiceInfo>, DeployError> {
        let _one = self.deploying.lock().await;
        let generation = deployment.generation;
        let transaction = Arc::new(Transaction::default());
        let about_all = |message: String| DeployError {
            module: String::new(),
            message,
            traceback: String::new(),
            worker_lost: false,
        };
        let own = Own {
            what: "import",
            limit: self.import_limit,
        };
        let receiver = own
            .start(&self.turns, {
                let (loader, transaction) = (self.loader.clone(), transaction.clone());
                move |py| loader.prepare(py, &deployment, &transaction)
            })
            .map_err(|error| about_all(error.chain()))?;
        let prepared = match tokio::time::timeout(self.import_limit + IMPORT_GRACE, receiver).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(about_all("importing failed inside of busbar, see the log".to_owned())),
            Err(_) => {
                self.abandon(transaction.clone()).await;
                let module = transaction.loading().unwrap_or_default();
                let message = format!(
                    "importing took longer than {} s and could not be stopped",
                    self.import_limit.as_secs()
                );
                return Err(DeployError {
                    module,
                    message,
                    traceback: String::new(),
                    worker_lost: false,
                });
            }
        };
        let services = prepared.services.iter().map(|service| service.info().clone()).collect();
        lock(&self.prepared).insert(generation, Arc::new(prepared));
        Ok(services)
    }

    /// Undoes what an import has done that cannot be stopped.
    async fn abandon(&self, transaction: Arc<Transaction>) {
        let own = Own {
            what: "import-abandon",
            limit: HOOKS_LIMIT,
        };
        let result = self
            .run_own(own, move |py| {
                transaction.abandon(py).map_err(|error| error.to_string())
            })
            .await;
        if let Err(error) | Ok(Err(error)) = result.map_err(|error| error.chain()) {
            tracing::error!(error, "cannot undo an import that could not be stopped");
        }
    }

    async fn install(&self, commit: &Commit) -> Result<(), Error> {
        let _one = self.deploying.lock().await;
        let generation = commit.generation;
        let prepared = lock(&self.prepared).remove(&generation).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("there is no prepared deployment of generation `{generation}`"),
            )
        })?;
        let mut targets = Vec::with_capacity(commit.services.len());
        for (impl_name, handle) in &commit.services {
            // left out: what the settings leave out, or what has the name of a built-in service
            let class = prepared.services.iter().find(|it| it.info().impl_name == *impl_name);
            if let Some(class) = class {
                let target = Target {
                    environment: self.environment.clone(),
                    class: class.clone(),
                };
                targets.push((*handle, Arc::new(target) as Arc<dyn Work>, class.clone()));
            }
        }
        let own = Own {
            what: "commit",
            limit: HOOKS_LIMIT,
        };
        let (loader, shared) = (self.loader.clone(), prepared.clone());
        self.run_own(own, move |py| {
            loader.install(py, &shared).map_err(|error| error.to_string())
        })
        .await?
        .map_err(|error| {
            Error::new(Kind::Internal, format!("cannot install generation `{generation}`"))
                .with_source(std::io::Error::other(error))
        })?;

        let stems = prepared.stems();
        let names = {
            let mut claims = lock(&self.claims);
            claims.retain(|_, class| !stems.contains(class.info().module.as_str()));
            claims.extend(targets.iter().map(|(handle, _, class)| (*handle, class.clone())));
            // in the order of handles: of several with one name the newest stays
            claims
                .values()
                .map(|class| (class.info().name.clone(), class.clone()))
                .collect::<ServiceNames>()
        };
        let count = targets.len();
        self.handles.commit(
            &stems,
            targets
                .into_iter()
                .map(|(handle, target, class)| (handle, class.info().module.clone(), target)),
        );
        self.environment.services.store(Arc::new(names));
        tracing::debug!(generation, services = count, "generation `{generation}` is current");

        // the services can be called by now: a hook that hangs delays nothing but the answer
        let own = Own {
            what: "after_add_to_store",
            limit: HOOKS_LIMIT,
        };
        let hooks = self.run_own(own, move |py| {
            for service in &prepared.services {
                service.added(py);
            }
        });
        if tokio::time::timeout(HOOKS_LIMIT, hooks).await.is_err() {
            tracing::warn!(
                generation,
                "a hook `after_add_to_store` of generation `{generation}` has not ended yet"
            );
        }
        Ok(())
    }

    async fn run_own<T: Send + 'static>(
        &self,
        own: Own,
        work: impl FnOnce(Python<'_>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let what = own.what;
        let receiver = own.start(&self.turns, work)?;
        receiver
            .await
            .map_err(|_| Error::new(Kind::Internal, format!("`{what}` failed inside of busbar, see the log")))
    }
}

impl Handler for Host {
    fn submit(&self, call: Call, reply: ReplyTo) {
        match self.handles.get(call.service) {
            Some(work) => self.turns.submit(Job { call, work, reply }),
            None => {
                let fault = Fault::new(503, "the service was just replaced, try again").with_header("Retry-After", "1");
                reply.send(Outcome::Fault(fault));
            }
        }
    }

    fn cancel(&self, cid: Cid) {
        self.turns.cancel(cid);
    }

    fn prepare(&self, deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        Box::pin(self.import(deployment))
    }

    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.install(&commit).await })
    }

    fn abort(&self, generation: u64) -> BoxFuture<'_, ()> {
        lock(&self.prepared).remove(&generation);
        Box::pin(std::future::ready(()))
    }

    fn configure(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(self.environment.configure(snapshot)))
    }

    fn files(&self, files: Arc<UserFiles>) -> BoxFuture<'_, Result<(), Error>> {
        self.environment.files.store(Arc::new(files.into()));
        Box::pin(std::future::ready(Ok(())))
    }

    fn pools(&self) -> BoxFuture<'_, Vec<PoolNumbers>> {
        Box::pin(std::future::ready(self.environment.sql.pools()))
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let start = Instant::now();
            self.turns.drain().await;
            let own = Own {
                what: "atexit",
                limit: HOOKS_LIMIT,
            };
            let hooks = self.run_own(own, |py| {
                // the interpreter is never finalised, so what services registered to run at the end runs here
                py.import("atexit")
                    .and_then(|atexit| atexit.call_method0("_run_exitfuncs"))
                    .map(drop)
                    .map_err(|error| error.to_string())
            });
            match tokio::time::timeout(HOOKS_LIMIT, hooks).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(error, "a function registered with `atexit` failed"),
                Ok(Err(error)) => tracing::warn!(error = error.chain(), "cannot run what was registered with `atexit`"),
                Err(_) => tracing::warn!("functions registered with `atexit` have not ended"),
            }
            self.turns.stop();
            tracing::debug!(
                duration_ms = start.elapsed().as_millis() as u64,
                "the Python host has drained"
            );
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.turns.stop();
        if let Some(runtime) = self.runtime.take() {
            // may be dropped by a task, which must not wait for a runtime to end
            runtime.shutdown_background();
        }
    }
}
