//! Loading the modules of one deployment.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::loader::hook;
use crate::loader::source::{Module, put_lines_back};
use crate::sync::lock;

/// The modules of one deployment while they are imported.
///
/// Nothing is locked while Python runs. Only the importing thread loads; another one may give the transaction up.
#[derive(Default)]
pub(crate) struct Transaction {
    state: Mutex<State>,
    /// The import took too long and nobody waits for it any more: whatever it still does must not be seen.
    is_abandoned: AtomicBool,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<String, Arc<Module>>,
    /// Those of them that an attempt before has run already.
    reused: HashMap<String, Py<PyModule>>,
    loaded: HashMap<String, Py<PyModule>>,
    /// What `sys.modules` held before, by name, in the order in which it was replaced.
    replaced: Vec<(String, Option<Py<PyAny>>)>,
    /// What tracebacks showed before, by path.
    lines: Vec<(String, Option<Py<PyAny>>)>,
    /// Stems of the modules whose code runs, the one that was imported last at the end.
    loading: Vec<String>,
    /// The module whose code raised first.
    failed: Option<String>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Transaction>>> = const { RefCell::new(None) };
}

/// Runs `work` with the imports of this thread going to `transaction` first.
pub(super) fn within<T>(transaction: &Arc<Transaction>, work: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            CURRENT.set(None);
        }
    }
    CURRENT.set(Some(transaction.clone()));
    let _reset = Reset;
    work()
}

/// The transaction that this thread imports for.
pub(super) fn current() -> Option<Arc<Transaction>> {
    CURRENT.with_borrow(Clone::clone)
}

impl Transaction {
    pub(super) fn begin(&self, pending: BTreeMap<String, Arc<Module>>, reused: HashMap<String, Py<PyModule>>) {
        let mut state = lock(&self.state);
        state.pending = pending;
        state.reused = reused;
    }

    /// The module of this name if it belongs to the transaction: as it is if it is loaded or being loaded, else it is loaded now.
    pub(super) fn find<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyModule>>> {
        if !lock(&self.state).pending.contains_key(name) {
            return Ok(None);
        }
        self.load(py, name).map(|module| Some(module.into_bound(py)))
    }

    /// Loads a module of the transaction, unless it is loaded already.
    pub(super) fn load(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyModule>> {
        let (module, reused) = {
            let state = lock(&self.state);
            if let Some(loaded) = state.loaded.get(name) {
                return Ok(loaded.clone_ref(py));
            }
            let reused = state.reused.get(name).map(|loaded| loaded.clone_ref(py));
            (state.pending.get(name).cloned(), reused)
        };
        let module = module
            .ok_or_else(|| pyo3::exceptions::PyModuleNotFoundError::new_err(format!("No module named '{name}'")))?;
        if let Some(loaded) = reused {
            self.show(py, &module, loaded.bind(py))?;
            lock(&self.state).loaded.insert(name.to_owned(), loaded.clone_ref(py));
            return Ok(loaded);
        }
        let loaded = module.create(py)?;
        self.show(py, &module, &loaded)?;
        {
            let mut state = lock(&self.state);
            state.loaded.insert(name.to_owned(), loaded.clone().unbind());
            state.loading.push(module.stem.clone());
        }
        let result = module.run(&loaded);
        let mut state = lock(&self.state);
        state.loading.pop();
        if let Err(error) = result {
            state.loaded.remove(name);
            state.failed.get_or_insert_with(|| module.stem.clone());
            return Err(error);
        }
        drop(state);
        Ok(loaded.unbind())
    }

    /// Puts a module into `sys.modules`, where `dataclasses` and others look for it while it runs.
    fn show(&self, py: Python<'_>, module: &Module, loaded: &Bound<'_, PyModule>) -> PyResult<()> {
        if self.is_abandoned.load(Ordering::SeqCst) {
            return Err(pyo3::exceptions::PyImportError::new_err("the deployment was given up"));
        }
        let modules = hook::modules(py)?;
        let before = modules.get_item(&module.name)?;
        let (path, lines) = module.remembered(py)?;
        {
            let mut state = lock(&self.state);
            state.replaced.push((module.name.clone(), before.map(Bound::unbind)));
            state.lines.push((path, lines.map(Bound::unbind)));
        }
        modules.set_item(&module.name, loaded)?;
        module.remember_lines(py)
    }

    /// The module of this name if the transaction has loaded it.
    pub(super) fn loaded<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyModule>> {
        lock(&self.state).loaded.get(name).map(|module| module.bind(py).clone())
    }

    /// Everything that the transaction has loaded.
    pub(super) fn all_loaded(&self, py: Python<'_>) -> Vec<(Arc<Module>, Py<PyModule>)> {
        let state = lock(&self.state);
        let loaded = state.loaded.iter();
        loaded
            .filter_map(|(name, loaded)| Some((state.pending.get(name)?.clone(), loaded.clone_ref(py))))
            .collect()
    }

    /// Stem of the module whose code runs.
    pub(crate) fn loading(&self) -> Option<String> {
        lock(&self.state).loading.last().cloned()
    }

    /// Stem of the module whose code raised first.
    pub(super) fn failed(&self) -> Option<String> {
        lock(&self.state).failed.clone()
    }

    /// Puts back what the modules of the transaction have replaced. Doing it again changes nothing.
    pub(super) fn put_back(&self, py: Python<'_>) -> PyResult<()> {
        let (replaced, lines) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.replaced), std::mem::take(&mut state.lines))
        };
        let modules = hook::modules(py)?;
        for (name, before) in replaced.into_iter().rev() {
            match before {
                Some(before) => modules.set_item(name, before)?,
                None => modules.call_method1("pop", (name, py.None())).map(drop)?,
            }
        }
        for (path, before) in lines.into_iter().rev() {
            put_lines_back(py, &path, before.as_ref().map(|before| before.bind(py)))?;
        }
        Ok(())
    }

    /// Gives the transaction up while its thread is still at it.
    pub(crate) fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        self.is_abandoned.store(true, Ordering::SeqCst);
        self.put_back(py)
    }
}
