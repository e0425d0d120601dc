//! `__import__` for the user's modules, and the finder for those that are being loaded.
//!
//! `sys.modules` knows one module per name, but two generations of a module run at the same time while calls end on the old one. Every
//! module of the user's therefore carries a table of the user's modules that it imports, and an `import` in its code looks there first:
//! old code goes on with old helpers even if it imports them inside a function. Tables are Python dictionaries, so that the garbage
//! collector sees the cycles that they make. All other code costs one look into a dictionary per `import` that runs.
//!
//! An import of the user's that fails may still be one of a module that is called otherwise today: `busbar.old_imports` knows those.

use pyo3::exceptions::PyModuleNotFoundError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyModule, PyString};

use crate::loader::transaction;

/// Global of the user's modules: the modules of the user's that they import, by name.
pub(super) const LINKS: &str = "__busbar_links__";

static ORIGINAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// Replaces `__import__` and puts the finder first, unless that was done.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    if ORIGINAL.get(py).is_some() {
        return Ok(());
    }
    let builtins = py.import("builtins")?;
    let original = builtins.getattr("__import__")?.unbind();
    if ORIGINAL.set(py, original).is_err() {
        return Ok(());
    }
    let meta_path = py.import("sys")?.getattr("meta_path")?.cast_into::<PyList>()?;
    meta_path.insert(0, Bound::new(py, Finder)?)?;
    builtins.setattr("__import__", wrap_pyfunction!(import, &builtins)?)
}

/// `sys.modules`.
pub(super) fn modules(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let modules = MODULES.get_or_try_init(py, || -> PyResult<_> {
        Ok(py.import("sys")?.getattr("modules")?.cast_into()?.unbind())
    })?;
    Ok(modules.bind(py).clone())
}

/// The table of a module of the user's.
pub(super) fn links<'py>(module: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyDict>> {
    Ok(module
        .dict()
        .as_any()
        .get_item(intern!(module.py(), LINKS))?
        .cast_into()?)
}

/// Whether it is a module of the user's.
pub(super) fn is_ours(module: &Bound<'_, PyAny>) -> bool {
    module
        .cast::<PyModule>()
        .is_ok_and(|module| module.dict().contains(intern!(module.py(), LINKS)).unwrap_or(false))
}

/// `__import__`.
#[pyfunction(name = "__import__")]
#[pyo3(signature = (name, globals=None, locals=None, fromlist=None, level=0))]
fn import<'py>(
    py: Python<'py>,
    name: &Bound<'py, PyAny>,
    globals: Option<&Bound<'py, PyAny>>,
    locals: Option<&Bound<'py, PyAny>>,
    fromlist: Option<&Bound<'py, PyAny>>,
    level: i32,
) -> PyResult<Bound<'py, PyAny>> {
    let original = ORIGINAL
        .get(py)
        .expect("this function is installed after the original was kept")
        .bind(py);
    let plain = || original.call1((name, globals, locals, fromlist, level));
    if level != 0 {
        return plain();
    }
    let Some(globals) = globals.and_then(|globals| globals.cast_exact::<PyDict>().ok()) else {
        return plain();
    };
    let Some(links) = globals.get_item(intern!(py, LINKS))? else {
        return plain();
    };
    let Ok(links) = links.cast_into::<PyDict>() else {
        return plain();
    };
    if let Some(module) = links.get_item(name)? {
        return Ok(module);
    }
    if let Some(transaction) = transaction::current()
        && let Ok(text) = name.extract::<&str>()
        && let Some(module) = transaction.find(py, text)?
    {
        links.set_item(name, &module)?;
        return Ok(module.into_any());
    }
    let module = match plain() {
        Ok(module) => module,
        Err(error) => return old_module(py, name, globals, fromlist, error),
    };
    if is_ours(&module) {
        links.set_item(name, &module)?;
        return Ok(module);
    }
    if let Some(wanted) = fromlist.filter(|wanted| wanted.is_truthy().unwrap_or(false))
        && lacks_one_of(&module, wanted)?
    {
        let old = old_imports(py)?.call_method1("find_name", (&module, wanted, file_of(py, globals)?))?;
        if !old.is_none() {
            return Ok(old);
        }
    }
    Ok(module)
}

/// What an import finds that has failed: a module that had the name in former times. Otherwise `error` stands.
#[cold]
fn old_module<'py>(
    py: Python<'py>,
    name: &Bound<'py, PyAny>,
    globals: &Bound<'py, PyDict>,
    fromlist: Option<&Bound<'py, PyAny>>,
    error: PyErr,
) -> PyResult<Bound<'py, PyAny>> {
    if !error.is_instance_of::<PyModuleNotFoundError>(py) {
        return Err(error);
    }
    // a module that is there, and imports one that is not, is no matter of names
    let missing = error.value(py).getattr("name")?;
    let missing_root = missing.extract::<&str>().unwrap_or_default().split('.').next();
    if missing_root != name.extract::<&str>()?.split('.').next() {
        return Err(error);
    }
    let is_from = fromlist.is_some_and(|wanted| wanted.is_truthy().unwrap_or(false));
    let old = old_imports(py)?.call_method1("find", (name, file_of(py, globals)?, is_from))?;
    if old.is_none() { Err(error) } else { Ok(old) }
}

/// Whether a statement `from module import ...` asks for a name that is not there: an attribute, or a module that is loaded.
fn lacks_one_of(module: &Bound<'_, PyAny>, wanted: &Bound<'_, PyAny>) -> PyResult<bool> {
    for name in wanted.try_iter()? {
        let name = name?;
        if name.extract::<&str>().is_ok_and(|name| name != "*") && !module.hasattr(name.cast::<PyString>()?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn old_imports(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("busbar.old_imports")
}

fn file_of<'py>(py: Python<'py>, globals: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    Ok(globals
        .get_item(intern!(py, "__file__"))?
        .unwrap_or_else(|| PyString::new(py, "a service file").into_any()))
}

/// Finds modules of the transaction that this thread imports for: what `importlib.import_module('My-Mod')` asks.
#[pyclass(frozen, module = "_busbar")]
struct Finder;

#[pymethods]
impl Finder {
    #[pyo3(signature = (fullname, path=None, target=None))]
    fn find_spec<'py>(
        &self,
        py: Python<'py>,
        fullname: &Bound<'py, PyString>,
        path: Option<&Bound<'py, PyAny>>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (_, _) = (path, target);
        let Some(transaction) = transaction::current() else {
            return Ok(None);
        };
        let name = fullname.extract::<String>()?;
        let Some(module) = transaction.find(py, &name)? else {
            return Ok(None);
        };
        let spec = py.import("importlib.machinery")?.getattr("ModuleSpec")?;
        spec.call1((fullname, Bound::new(py, Loaded(module.unbind()))?))
            .map(Some)
    }
}

/// A loader for a module that is loaded already.
#[pyclass(frozen, module = "_busbar")]
struct Loaded(Py<PyModule>);

#[pymethods]
impl Loaded {
    fn create_module(&self, py: Python<'_>, spec: &Bound<'_, PyAny>) -> Py<PyModule> {
        let _ = spec;
        self.0.clone_ref(py)
    }

    fn exec_module(&self, module: &Bound<'_, PyAny>) -> PyResult<()> {
        if is_ours(module) {
            Ok(())
        } else {
            Err(PyModuleNotFoundError::new_err("the module was loaded by a deployment"))
        }
    }
}
