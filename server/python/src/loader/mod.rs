//! Hot deployment: imports generation after generation of service files into one interpreter.
//!
//! A deployment is a transaction. Its files, and the modules that import one of them, are compiled and run beside the modules that
//! serve calls; only when all of them could be loaded and their services read do they take the others' place. Code that runs meanwhile
//! sees the modules it was loaded with, even if it imports them inside a function: see [`hook`].
//!
//! * [`source`] - one module: its text, what it imports, how it is run
//! * [`transaction`] - loading the modules of one deployment
//! * [`hook`] - `__import__` and the finder for modules that are being loaded
//! * [`failure`] - what is said about a deployment that failed

mod failure;
mod hook;
mod source;
mod transaction;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use busbar_runtime::handler::{DeployError, Deployment};
use busbar_sio::names::NamingRules;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

use crate::service::{self, ServiceClass};
use crate::sync::lock;
use source::Module;
pub(crate) use transaction::Transaction;

/// The user's modules of the current generation.
pub(crate) struct Loader {
    modules: Mutex<BTreeMap<String, Arc<Module>>>,
    /// What the last attempt left, which failed.
    kept: Mutex<Kept>,
    /// Which types the names of input and output imply.
    rules: NamingRules,
}

/// What is left of attempts that failed, for the next one.
#[derive(Default)]
struct Kept {
    /// Modules that were run without fault, by name.
    loaded: HashMap<String, (Arc<Module>, Py<PyModule>)>,
    /// Names of all modules that were to be loaded.
    tried: HashSet<String>,
}

impl Kept {
    /// Those that can be taken as they are: nothing that they import is another module now.
    fn fitting(&self, py: Python<'_>, pending: &BTreeMap<String, Arc<Module>>) -> HashMap<String, Py<PyModule>> {
        let mut fitting: BTreeSet<&String> = pending
            .iter()
            .filter(|(name, module)| self.loaded.get(*name).is_some_and(|(known, _)| known.is_same(module)))
            .map(|(name, _)| name)
            .collect();
        loop {
            let concerns = |name: &String| pending.contains_key(name) || self.tried.contains(name);
            let left: BTreeSet<&String> = fitting
                .iter()
                .filter(|name| {
                    let imports = &pending[**name].imports;
                    imports
                        .iter()
                        .all(|import| !concerns(import) || fitting.contains(import))
                })
                .copied()
                .collect();
            if left.len() == fitting.len() {
                break;
            }
            fitting = left;
        }
        let loaded = |name: &&String| Some(((*name).clone(), self.loaded.get(*name)?.1.clone_ref(py)));
        fitting.iter().filter_map(loaded).collect()
    }
}

/// A deployment that was imported and waits for its commit.
pub(crate) struct Prepared {
    /// What was imported, in order.
    modules: Vec<(Arc<Module>, Py<PyModule>)>,
    /// Stems of modules to forget.
    removed: Vec<String>,
    /// Names of modules of our own package.
    builtin: Vec<String>,
    /// The services of all of them.
    pub services: Vec<Arc<ServiceClass>>,
}

impl Prepared {
    /// Whether a module of this name is in it.
    fn has(&self, name: &str) -> bool {
        self.modules.iter().any(|(module, _)| module.name == name)
    }

    /// Stems whose services are replaced.
    pub fn stems(&self) -> HashSet<&str> {
        let imported = self.modules.iter().map(|(module, _)| module.stem.as_str());
        let others = self.removed.iter().chain(&self.builtin).map(String::as_str);
        imported.chain(others).collect()
    }
}

impl Loader {
    /// A loader without modules. Replaces `__import__`, once per process.
    pub fn new(py: Python<'_>, rules: NamingRules) -> PyResult<Self> {
        hook::install(py)?;
        Ok(Self {
            modules: Mutex::default(),
            kept: Mutex::default(),
            rules,
        })
    }

    /// Imports a deployment. Nothing of it is visible to anybody else afterwards, whether it worked or not.
    pub fn prepare(
        &self,
        py: Python<'_>,
        deployment: &Deployment,
        transaction: &Arc<Transaction>,
    ) -> Result<Prepared, DeployError> {
        let result = self.import(py, deployment, transaction);
        {
            let mut kept = lock(&self.kept);
            match &result {
                Ok(prepared) => kept.loaded.retain(|name, _| !prepared.has(name)),
                Err(_) => {
                    let loaded = transaction.all_loaded(py).into_iter();
                    kept.loaded
                        .extend(loaded.map(|(module, loaded)| (module.name.clone(), (module, loaded))));
                }
            }
        }
        if let Err(error) = transaction.put_back(py) {
            tracing::error!(error = %error, "cannot put `sys.modules` back after importing generation {}", deployment.generation);
        }
        result
    }

    fn import(
        &self,
        py: Python<'_>,
        deployment: &Deployment,
        transaction: &Arc<Transaction>,
    ) -> Result<Prepared, DeployError> {
        let mut own = Vec::new();
        for name in &deployment.builtin {
            read_builtin(py, name, &mut own).map_err(|error| failure::describe(py, name, &error))?;
        }
        let mut pending = BTreeMap::new();
        for source in &deployment.sources {
            let known = lock(&self.modules)
                .values()
                .find(|module| module.stem == source.module)
                .map(|module| module.name.clone());
            let module =
                Module::read(py, source, known).map_err(|error| failure::describe(py, &source.module, &error))?;
            pending.insert(module.name.clone(), Arc::new(module));
        }
        self.add_dependants(py, deployment, &mut pending)?;
        let order = order(&pending);

        let reused = {
            let mut kept = lock(&self.kept);
            if !deployment.again {
                *kept = Kept::default();
            }
            kept.tried.extend(pending.keys().cloned());
            kept.fitting(py, &pending)
        };
        transaction.begin(pending, reused);
        let modules = transaction::within(transaction, || -> Result<Vec<_>, DeployError> {
            let mut modules = Vec::new();
            for module in order {
                let loaded = transaction.load(py, &module.name).map_err(|error| {
                    failure::describe(py, &transaction.failed().unwrap_or_else(|| module.stem.clone()), &error)
                })?;
                modules.push((module, loaded));
            }
            Ok(modules)
        })?;
        for (module, loaded) in &modules {
            self.link(py, module, loaded.bind(py), transaction)
                .map_err(|error| failure::describe(py, &module.stem, &error))?;
        }

        let mut services: Vec<Arc<ServiceClass>> = Vec::new();
        for (module, loaded) in &modules {
            let loaded = loaded.bind(py);
            read_services(py, module, loaded, &self.rules, &mut services)
                .map_err(|error| failure::describe(py, &module.stem, &error))?;
        }
        // nobody takes a built-in service's name
        services.retain(|service| own.iter().all(|builtin| builtin.info().name != service.info().name));
        own.extend(last_of_each_name(services));
        Ok(Prepared {
            modules,
            removed: deployment.removed.clone(),
            builtin: deployment.builtin.clone(),
            services: own,
        })
    }

    /// Adds every module that imports one which is about to change, directly or through others. They are read anew from the text they
    /// were loaded from.
    fn add_dependants(
        &self,
        py: Python<'_>,
        deployment: &Deployment,
        pending: &mut BTreeMap<String, Arc<Module>>,
    ) -> Result<(), DeployError> {
        let current = lock(&self.modules).clone();
        loop {
            let dependants: Vec<&Arc<Module>> = current
                .values()
                .filter(|module| !pending.contains_key(&module.name) && !deployment.removed.contains(&module.stem))
                .filter(|module| module.imports.iter().any(|name| pending.contains_key(name)))
                .collect();
            if dependants.is_empty() {
                return Ok(());
            }
            for module in dependants {
                let again = module
                    .again(py)
                    .map_err(|error| failure::describe(py, &module.stem, &error))?;
                pending.insert(again.name.clone(), Arc::new(again));
            }
        }
    }

    /// Ties a module to those that it imports, so that an `import` inside one of its functions finds the generation that it was loaded
    /// with.
    fn link(
        &self,
        py: Python<'_>,
        module: &Module,
        loaded: &Bound<'_, PyModule>,
        transaction: &Transaction,
    ) -> PyResult<()> {
        let links = hook::links(loaded)?;
        for name in &module.imports {
            if links.contains(name)? {
                continue;
            }
            if let Some(other) = transaction.loaded(py, name) {
                links.set_item(name, other)?;
            } else if lock(&self.modules).contains_key(name)
                && let Some(other) = hook::modules(py)?.get_item(name)?
            {
                links.set_item(name, other)?;
            }
        }
        Ok(())
    }

    /// Lets a prepared deployment take the place of what was there.
    pub fn install(&self, py: Python<'_>, prepared: &Prepared) -> PyResult<()> {
        let sys_modules = hook::modules(py)?;
        let mut modules = lock(&self.modules).clone();
        for stem in &prepared.removed {
            let names: Vec<String> = modules
                .values()
                .filter(|module| module.stem == *stem)
                .map(|module| module.name.clone())
                .collect();
            for name in names {
                if let Some(module) = modules.remove(&name) {
                    forget(py, &sys_modules, &module)?;
                }
            }
        }
        for (module, loaded) in &prepared.modules {
            sys_modules.set_item(&module.name, loaded)?;
            module.remember_lines(py)?;
            modules.insert(module.name.clone(), module.clone());
        }
        *lock(&self.modules) = modules;
        Ok(())
    }
}

fn forget(py: Python<'_>, sys_modules: &Bound<'_, PyDict>, module: &Module) -> PyResult<()> {
    if let Some(loaded) = sys_modules.get_item(&module.name)?
        && hook::is_ours(&loaded)
    {
        sys_modules.del_item(&module.name)?;
    }
    module.forget_lines(py)
}

/// Modules after those that they import, as far as that is possible.
fn order(pending: &BTreeMap<String, Arc<Module>>) -> Vec<Arc<Module>> {
    let mut ordered = Vec::with_capacity(pending.len());
    let mut seen = BTreeSet::new();
    for start in pending.values() {
        // depth first without recursion: a chain of modules may be longer than a stack is deep
        let mut stack = vec![(start, false)];
        while let Some((module, is_done)) = stack.pop() {
            if is_done {
                ordered.push(module.clone());
            } else if seen.insert(&module.name) {
                stack.push((module, true));
                stack.extend(
                    module
                        .imports
                        .iter()
                        .rev()
                        .filter_map(|name| pending.get(name))
                        .map(|module| (module, false)),
                );
            }
        }
    }
    ordered
}

fn read_services(
    py: Python<'_>,
    module: &Module,
    loaded: &Bound<'_, PyModule>,
    rules: &NamingRules,
    services: &mut Vec<Arc<ServiceClass>>,
) -> PyResult<()> {
    for class in service::deployable(py, loaded)? {
        let invokes = module.invokes.get(class.name()?.to_str()?);
        class.setattr("invokes", invokes.cloned().unwrap_or_default())?;
        services.push(ServiceClass::read(py, &class, &module.stem, rules)?);
    }
    Ok(())
}

/// Built-in services: an ordinary import, because nothing replaces them while the process lives.
fn read_builtin(py: Python<'_>, name: &str, services: &mut Vec<Arc<ServiceClass>>) -> PyResult<()> {
    let module = py.import(name)?;
    // what their names imply is not for a server's settings to change
    let rules = NamingRules::default();
    for class in service::deployable(py, &module)? {
        services.push(ServiceClass::read(py, &class, name, &rules)?);
    }
    Ok(())
}

/// Of services that share a name the last one wins.
fn last_of_each_name(services: Vec<Arc<ServiceClass>>) -> Vec<Arc<ServiceClass>> {
    let mut kept: Vec<Arc<ServiceClass>> = Vec::with_capacity(services.len());
    for service in services {
        let name = &service.info().name;
        if let Some(index) = kept.iter().position(|other| other.info().name == *name) {
            let other = kept.remove(index);
            tracing::warn!(
                service = name,
                "`{}` and `{}` both say that they are `{name}`, the latter is deployed",
                other.info().impl_name,
                service.info().impl_name
            );
        }
        kept.push(service);
    }
    kept
}
