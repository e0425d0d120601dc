//! Deployments: source files become services, all of a file or nothing of it.
//!
//! * [`Deployer`] - deploys, one batch at a time
//! * [`Turn`] - the right to do so
//! * [`source`] - files, and the modules that they are
//! * [`report`] - what is told of it

mod report;
mod source;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use busbar_model::service::ServiceInfo;
use busbar_model::{Error, Kind};
use busbar_runtime::handler::{Commit, DeployError, Deployment, Source};
use busbar_runtime::{Handler, ServiceHandle};
use busbar_store::{Store, StoredFailure, StoredSource, now};
use tokio::sync::MutexGuard;

pub use self::report::{Report, ServiceRow};
pub use self::source::{SOURCE_MAX, module_of, read_source};
use self::source::{as_source, hash};
use crate::filter::NameFilter;
use crate::sample::Sample;
use crate::table::{Entry, ServiceTable, Services};

/// Deploys source files, one batch at a time.
pub struct Deployer {
    store: Arc<Store>,
    handler: Arc<dyn Handler>,
    table: Arc<ServiceTable>,
    /// Files whose services are served, by module. Held from the start of a deployment to its end.
    current: tokio::sync::Mutex<BTreeMap<String, StoredSource>>,
    next_handle: AtomicU32,
    /// Everything that is deployed, by name: the newest of each is served, the others would be if those went.
    claims: Mutex<HashMap<String, Vec<Arc<Entry>>>>,
    /// Modules of busbar's own package that have services.
    builtin: OnceLock<HashSet<String>>,
    /// Which services of users are served; unset: all of them.
    filter: OnceLock<NameFilter>,
    /// The last failure of each module that has not been deployed since.
    failures: Mutex<BTreeMap<String, StoredFailure>>,
}

/// The right to deploy: nothing else is deployed while somebody has it. Whoever reads a file to deploy it, or puts one that was deployed
/// into its place, does that while he has it, so that nobody takes what a file was a moment ago for what it is now.
pub struct Turn<'a> {
    deployer: &'a Deployer,
    current: MutexGuard<'a, BTreeMap<String, StoredSource>>,
}

/// The generation of built-in services; those of users begin with 1.
const BUILTIN: u64 = 0;

impl Deployer {
    /// A deployer with nothing deployed; [`Deployer::start`] brings back what was.
    pub fn new(store: Arc<Store>, handler: Arc<dyn Handler>, table: Arc<ServiceTable>) -> Arc<Self> {
        Arc::new(Self {
            store,
            handler,
            table,
            current: tokio::sync::Mutex::default(),
            next_handle: AtomicU32::new(1),
            claims: Mutex::default(),
            builtin: OnceLock::new(),
            filter: OnceLock::new(),
            failures: Mutex::default(),
        })
    }

    /// Serves only services whose names `filter` allows. Comes before anything is deployed, and once.
    pub fn serve_only(&self, filter: NameFilter) {
        // a second one would leave what was deployed with the first
        drop(self.filter.set(filter));
    }

    /// Deploys the built-in services, which are in modules of busbar's own package. Comes before everything else, and once: from then on
    /// nothing that users deploy takes these modules' or these services' names.
    ///
    /// # Errors
    /// When one of the modules cannot be imported: the Python packages that it needs are missing.
    pub async fn deploy_builtin(&self, modules: &[&str]) -> Result<(), Error> {
        let _current = self.current.lock().await;
        let builtin: Vec<String> = modules.iter().map(|module| (*module).to_owned()).collect();
        if builtin.is_empty() || self.builtin.set(builtin.iter().cloned().collect()).is_err() {
            return Ok(());
        }
        let deployment = Arc::new(Deployment {
            generation: BUILTIN,
            sources: Vec::new(),
            builtin,
            removed: Vec::new(),
            again: false,
        });
        let infos = self.handler.prepare(deployment).await.map_err(|error| {
            let hint = error.traceback.clone();
            Error::new(Kind::Config, "the built-in services cannot be imported")
                .with_source(error)
                .with_hint(hint)
        })?;
        self.switch(BUILTIN, infos, &[]).await?;
        Ok(())
    }

    /// Deploys what a server served when it stopped, and what changed in the pickup directory since: `files` is all that lies there now.
    /// A file that cannot be deployed any more falls back to its last good source. With `remove_missing`, modules whose file is gone are
    /// forgotten.
    pub async fn start(&self, files: Vec<Source>, remove_missing: bool) -> Result<Report, Error> {
        let mut current = self.current.lock().await;
        let mut stored: BTreeMap<String, StoredSource> = self
            .store
            .current_sources()
            .await?
            .into_iter()
            .map(|source| (source.module.clone(), source))
            .collect();
        if remove_missing {
            let present: HashSet<&str> = files.iter().map(|file| &*file.module).collect();
            for module in stored
                .keys()
                .filter(|module| !present.contains(&***module))
                .cloned()
                .collect::<Vec<_>>()
            {
                self.store.remove_source(&module).await?;
                stored.remove(&module);
            }
        }
        let mut wanted: BTreeMap<String, Source> = stored
            .values()
            .map(|source| (source.module.clone(), as_source(source)))
            .collect();
        for mut file in files {
            // what lies there as it was deployed has not been deployed by its owner since
            if let Some(known) = stored.get(&file.module)
                && known.path == file.path
                && known.text == file.text
            {
                file.deployed_by.clone_from(&known.deployed_by);
            }
            wanted.insert(file.module.clone(), file);
        }
        // of two services with one name the one that was deployed last is served, as before; files that are new come last
        let generation = |source: &Source| stored.get(&source.module).map_or(u64::MAX, |it| it.generation);
        let mut wanted: Vec<Source> = wanted.into_values().collect();
        wanted.sort_by_key(generation);
        // a changed file that is broken now is tried once more with the text that ran last
        let fallback = |module: &str| stored.get(module).map(as_source);
        self.deploy_batch(&mut current, wanted, &fallback, false).await
    }

    /// Waits for what is being deployed, and keeps others from deploying.
    pub async fn turn(&self) -> Turn<'_> {
        Turn {
            current: self.current.lock().await,
            deployer: self,
        }
    }

    /// [`Turn::deploy`] in a turn of its own: for texts that lie in no file which somebody else may change.
    ///
    /// # Errors
    /// As there.
    pub async fn deploy(&self, sources: Vec<Source>) -> Result<Report, Error> {
        self.turn().await.deploy(sources).await
    }

    /// [`Turn::remove`] in a turn of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn remove(&self, modules: &[String]) -> Result<Report, Error> {
        self.turn().await.remove(modules).await
    }

    /// Every service, by name.
    pub fn list(&self) -> Vec<ServiceRow> {
        let mut rows: Vec<ServiceRow> = self
            .table
            .load()
            .values()
            .map(|entry| ServiceRow {
                name: entry.info.name.clone(),
                impl_name: entry.info.impl_name.clone(),
                path: format!("{}.py", entry.info.module),
                generation: entry.generation,
                is_active: self.table.is_active(&entry.info.name),
                has_sio: entry.info.sio.is_some(),
                http_methods: entry.info.http_methods.clone(),
                summary: entry.info.summary.clone(),
                is_builtin: entry.is_builtin,
                usage: entry.statistics.usage(),
            })
            .collect();
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        rows
    }

    /// The last call of a service that was kept.
    pub fn sample(&self, service: &str) -> Option<Sample> {
        self.table.get(service)?.statistics.sample()
    }

    /// The file that a module runs, as it was deployed.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn source(&self, module: &str) -> Result<Option<StoredSource>, Error> {
        let sources = self.store.current_sources().await?;
        Ok(sources.into_iter().find(|source| source.module == module))
    }

    /// What a module ran, newest first, what it runs among it.
    ///
    /// # Errors
    ///
    /// When the ODB cannot be read.
    pub async fn source_history(&self, module: &str) -> Result<Vec<StoredSource>, Error> {
        self.store.source_history(module).await
    }

    /// Files that could not be deployed and have not been since.
    pub fn last_failures(&self) -> Vec<StoredFailure> {
        self.failures().values().cloned().collect()
    }

    /// Imports what can be imported of `sources`, in one generation: as long as one of them fails it is replaced by its fallback, or left
    /// out. `again`: see [`Deployment::again`].
    async fn deploy_batch(
        &self,
        current: &mut BTreeMap<String, StoredSource>,
        mut sources: Vec<Source>,
        fallback: &(dyn Fn(&str) -> Option<Source> + Sync),
        mut again: bool,
    ) -> Result<Report, Error> {
        let mut failed = self.without_builtin(&mut sources);
        let mut fallen_back: Vec<StoredFailure> = Vec::new();
        while !sources.is_empty() {
            let (generation, prepared) = self.prepare(&sources, &[], again).await?;
            again = true;
            match prepared {
                Ok(infos) => {
                    let mut report = self.keep(current, generation, &sources, infos).await?;
                    report.failed = failed;
                    // the file that lies there still cannot be deployed
                    for failure in fallen_back {
                        self.failures().insert(failure.module.clone(), failure);
                    }
                    return Ok(report);
                }
                Err(error) => {
                    let error = blame(error, &sources);
                    let failure = self.note_failure(generation, &error).await;
                    let Some(position) = sources.iter().position(|source| source.module == error.module) else {
                        // a module that imports one of these, or nobody's fault in particular: nothing of the batch can be deployed together
                        if sources.len() > 1 {
                            return self.one_by_one(current, sources, failed, fallback).await;
                        }
                        failed.push(error);
                        break;
                    };
                    let broken = sources.swap_remove(position);
                    if let Some(good) = fallback(&error.module).filter(|good| good.text != broken.text) {
                        tracing::warn!("`{}` keeps running the code that was deployed last", error.module);
                        sources.push(good);
                        fallen_back.push(failure);
                    }
                    failed.push(error);
                }
            }
        }
        Ok(Report {
            failed,
            ..Report::default()
        })
    }

    /// Has a deployment imported, and says under which generation. Once more if the worker that did it died: it may have been killed while
    /// it happened to import files that are in order.
    async fn prepare(
        &self,
        sources: &[Source],
        removed: &[String],
        again: bool,
    ) -> Result<(u64, Result<Vec<ServiceInfo>, DeployError>), Error> {
        let mut may_retry = true;
        loop {
            let generation = self.store.next_generation().await?;
            let deployment = Deployment {
                generation,
                sources: sources.to_vec(),
                builtin: Vec::new(),
                removed: removed.to_vec(),
                again,
            };
            match self.handler.prepare(Arc::new(deployment)).await {
                Err(error) if error.worker_lost && may_retry => {
                    may_retry = false;
                    tracing::warn!(generation, "a deployment is tried once more: {}", error.message);
                }
                prepared => return Ok((generation, prepared)),
            }
        }
    }

    /// The same for files that cannot be deployed together.
    async fn one_by_one(
        &self,
        current: &mut BTreeMap<String, StoredSource>,
        sources: Vec<Source>,
        mut failed: Vec<DeployError>,
        fallback: &(dyn Fn(&str) -> Option<Source> + Sync),
    ) -> Result<Report, Error> {
        let mut report = Report::default();
        // a file may import another one of these: what fails is tried again as long as others come in
        let mut waiting = sources;
        let errors = loop {
            let (tried, mut left, mut errors) = (waiting.len(), Vec::new(), Vec::new());
            for source in waiting {
                let one = self.deploy_one(current, source.clone(), &mut report).await?;
                if !one.is_empty() {
                    errors.extend(one);
                    left.push(source);
                }
            }
            waiting = left;
            if waiting.is_empty() || waiting.len() == tried {
                break errors;
            }
        };
        failed.extend(errors);
        for broken in waiting {
            let Some(good) = fallback(&broken.module).filter(|good| good.text != broken.text) else {
                continue;
            };
            // deployed, the good text would make it forgotten, and the file that lies there still cannot be deployed
            let failure = self.failures().get(&broken.module).cloned();
            let errors = self.deploy_one(current, good, &mut report).await?;
            if errors.is_empty() {
                tracing::warn!("`{}` keeps running the code that was deployed last", broken.module);
                if let Some(failure) = failure {
                    self.failures().insert(broken.module, failure);
                }
            }
            failed.extend(errors);
        }
        report.failed = failed;
        Ok(report)
    }

    /// Deploys a file by itself and adds it to a report; what was wrong with it is given back.
    async fn deploy_one(
        &self,
        current: &mut BTreeMap<String, StoredSource>,
        source: Source,
        report: &mut Report,
    ) -> Result<Vec<DeployError>, Error> {
        let one = Box::pin(self.deploy_batch(current, vec![source], &|_| None, true)).await?;
        report.generation = one.generation.or(report.generation);
        report.deployed.extend(one.deployed);
        Ok(one.failed)
    }

    /// Stores a prepared deployment and makes it current.
    async fn keep(
        &self,
        current: &mut BTreeMap<String, StoredSource>,
        generation: u64,
        sources: &[Source],
        infos: Vec<ServiceInfo>,
    ) -> Result<Report, Error> {
        let deployed_at = now();
        let changed: Vec<StoredSource> = sources
            .iter()
            .map(|source| StoredSource {
                module: source.module.clone(),
                path: source.path.clone(),
                text: source.text.clone(),
                hash: hash(&source.text),
                generation,
                deployed_at: deployed_at.clone(),
                deployed_by: source.deployed_by.clone(),
            })
            .collect();
        if let Err(error) = self.store.put_sources(generation, &changed).await {
            // nothing runs that is not stored: a restart would bring back something else
            self.handler.abort(generation).await;
            return Err(error);
        }
        // a file that has no services any more takes those that it had along
        let modules: Vec<String> = sources.iter().map(|source| source.module.clone()).collect();
        let report = self.switch(generation, infos, &modules).await?;
        for module in report.deployed.keys() {
            self.failures().remove(module);
        }
        for source in changed {
            self.failures().remove(&source.module);
            let services = report.deployed.get(&source.module).map_or(0, Vec::len);
            tracing::info!(
                generation,
                "deployed {services} service(s) from {} (generation {generation})",
                source.path
            );
            let (module, path) = (source.module.clone(), source.path.clone());
            let before = current.insert(module.clone(), source);
            if let Some(other) = before.filter(|before| before.path != path) {
                tracing::warn!(
                    "`{module}` is deployed from `{path}` now, and from `{}` no longer",
                    other.path
                );
            }
        }
        Ok(report)
    }

    /// Hands out handles, commits, and swaps the table. What `replaced` modules had is served no longer unless `infos` has it.
    async fn switch(&self, generation: u64, infos: Vec<ServiceInfo>, replaced: &[String]) -> Result<Report, Error> {
        let before = self.table.load().as_ref().clone();
        let is_builtin = generation == BUILTIN;
        let is_free = |info: &ServiceInfo| {
            let taken = !is_builtin && before.get(&*info.name).is_some_and(|entry| entry.is_builtin);
            if taken {
                tracing::error!(
                    service = info.name,
                    "`{}` is not served: `{}` is the name of a built-in service, give the class another one",
                    info.impl_name,
                    info.name
                );
            }
            !taken
        };
        let is_allowed = |info: &ServiceInfo| {
            let allowed = is_builtin || self.filter.get().is_none_or(|filter| filter.allows(&info.name));
            if !allowed {
                tracing::info!(
                    service = info.name,
                    "`{}` is not served: the settings of this server leave it out",
                    info.name
                );
            }
            allowed
        };
        let mut infos = infos;
        let order: HashMap<&str, usize> = replaced.iter().enumerate().map(|(at, it)| (&**it, at)).collect();
        infos.sort_by_key(|info| order.get(&*info.module).copied());
        let entries: Vec<Arc<Entry>> = infos
            .into_iter()
            .filter(is_free)
            .filter(is_allowed)
            .map(|info| {
                let handle = ServiceHandle(self.next_handle.fetch_add(1, Ordering::Relaxed));
                Arc::new(Entry {
                    handle,
                    statistics: self.table.statistics(&info.name),
                    info,
                    generation,
                    is_builtin,
                })
            })
            .collect();
        let services = entries
            .iter()
            .map(|entry| (entry.info.impl_name.clone(), entry.handle))
            .collect();
        self.handler.commit(Arc::new(Commit { generation, services })).await?;

        let modules: HashSet<&str> = entries
            .iter()
            .map(|entry| &*entry.info.module)
            .chain(replaced.iter().map(|module| &**module))
            .collect();
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|_, claims| {
            claims.retain(|entry| !modules.contains(&*entry.info.module));
            !claims.is_empty()
        });
        let mut report = Report {
            generation: Some(generation),
            ..Report::default()
        };
        for entry in entries {
            report
                .deployed
                .entry(entry.info.module.clone())
                .or_default()
                .push(entry.info.name.clone());
            let claims = claims.entry(entry.info.name.clone()).or_default();
            if let Some(other) = claims.last() {
                tracing::warn!(
                    service = entry.info.name,
                    "`{}` and `{}` are both called `{}`; the first one is served",
                    entry.info.impl_name,
                    other.info.impl_name,
                    entry.info.name
                );
            }
            // handles count up: the newest is the last
            claims.push(entry);
        }
        let table: Services = claims
            .iter()
            .filter_map(|(name, claims)| Some((name.as_str().into(), Arc::clone(claims.last()?))))
            .collect();
        for (name, entry) in &table {
            let was = before.get(name);
            if was.is_some_and(|was| was.handle != entry.handle) && entry.generation < generation {
                let impl_name = &entry.info.impl_name;
                tracing::info!(service = %name, "`{name}` is served by `{impl_name}` again");
            }
        }
        self.table.swap(table);
        Ok(report)
    }

    /// Takes out files that are called like a module with built-in services.
    fn without_builtin(&self, sources: &mut Vec<Source>) -> Vec<DeployError> {
        let Some(builtin) = self.builtin.get() else {
            return Vec::new();
        };
        sources
            .extract_if(.., |source| builtin.contains(&source.module))
            .map(|source| {
                let error = DeployError {
                    message: "a module of busbar has this name, give the file another one".to_owned(),
                    module: source.module,
                    traceback: String::new(),
                    worker_lost: false,
                };
                tracing::error!("{error}");
                error
            })
            .collect()
    }

    async fn note_failure(&self, generation: u64, error: &DeployError) -> StoredFailure {
        let DeployError {
            module,
            message,
            traceback,
            ..
        } = error;
        tracing::error!(
            generation,
            "cannot deploy `{module}`, what ran before goes on: {message}\n{traceback}"
        );
        let failure = StoredFailure {
            generation,
            module: module.clone(),
            message: message.clone(),
            traceback: traceback.clone(),
            failed_at: now(),
        };
        if let Err(error) = self.store.put_failure(&failure).await {
            tracing::error!(error = error.chain(), "cannot note a failed deployment");
        }
        // several files together that are nobody's fault in particular are tried one by one, which tells
        if !module.is_empty() {
            self.failures().insert(module.clone(), failure.clone());
        }
        failure
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, StoredFailure>> {
        // the data is whole after every statement
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Turn ===

impl Turn<'_> {
    /// Whether a module runs what lay in the file of this path.
    pub fn runs(&self, module: &str, path: &Path) -> bool {
        let current = self.current.get(module);
        current.is_some_and(|source| Path::new(&source.path) == path)
    }

    /// Deploys files that were picked up together. Files that are deployed already, to the letter, are skipped; one that fails is left
    /// out, and does not keep the others from being deployed.
    ///
    /// # Errors
    /// When the ODB fails. What is wrong with a file stands in the report.
    pub async fn deploy(&mut self, sources: Vec<Source>) -> Result<Report, Error> {
        let Self { deployer, current } = self;
        let mut unchanged = Vec::new();
        let mut changed: BTreeMap<String, Source> = BTreeMap::new();
        for source in sources {
            if current
                .get(&source.module)
                .is_some_and(|known| known.hash == hash(&source.text) && known.path == source.path)
            {
                // whatever was wrong with the file has been put back
                deployer.failures().remove(&source.module);
                unchanged.push(source.module);
            } else {
                changed.insert(source.module.clone(), source);
            }
        }
        let mut report = deployer
            .deploy_batch(current, changed.into_values().collect(), &|_| None, false)
            .await?;
        report.unchanged = unchanged;
        Ok(report)
    }

    /// Takes modules' services out of the table.
    ///
    /// # Errors
    /// When the ODB fails. A module that others import stands in the report.
    pub async fn remove(&mut self, modules: &[String]) -> Result<Report, Error> {
        let Self { deployer, current } = self;
        let removed: Vec<String> = modules
            .iter()
            .filter(|module| current.contains_key(*module))
            .cloned()
            .collect();
        if removed.is_empty() {
            return Ok(Report::default());
        }
        let (generation, prepared) = deployer.prepare(&[], &removed, false).await?;
        let infos = match prepared {
            Ok(infos) => infos,
            Err(error) => {
                // a module that imports the one to be removed
                deployer.note_failure(generation, &error).await;
                return Ok(Report {
                    failed: vec![error],
                    ..Report::default()
                });
            }
        };
        for module in &removed {
            if let Err(error) = deployer.store.remove_source(module).await {
                deployer.handler.abort(generation).await;
                return Err(error);
            }
            current.remove(module);
            tracing::info!(
                generation,
                "removed the services of `{module}` (generation {generation})"
            );
        }
        deployer.switch(generation, infos, &removed).await
    }
}

/// Names the file that was copied when it is the only one: what failed may be a module that imports it, or its whole worker.
fn blame(mut error: DeployError, sources: &[Source]) -> DeployError {
    if let [only] = sources
        && only.module != error.module
    {
        if !error.module.is_empty() {
            error.message = format!("`{}`, which imports it: {}", error.module, error.message);
        }
        error.module.clone_from(&only.module);
    }
    error
}
