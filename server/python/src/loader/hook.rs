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

/// Before the name of a package in a table: how the module sees that package.
const VIEW: &str = "package ";

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
    let Some(globals) = globals.and_then(|globals| globals.cast_exact::<PyDict>().ok()) else {
        return plain();
    };
    let Some(links) = globals.get_item(intern!(py, LINKS))? else {
        return plain();
    };
    let Ok(links) = links.cast_into::<PyDict>() else {
        return plain();
    };
    if let Some(module) = links.get_item(name)?
        && level == 0
        && !name.extract::<&str>()?.contains('.')
        && !is_package(&module)
    {
        return Ok(module);
    }
    if let Some(module) = own(globals, &links, name, fromlist, level)? {
        return Ok(module);
    }
    if level != 0 {
        // the import system would look for the package among its own, and say that it misses that
        return match absolute_in(globals, name, level)? {
            Some(missing) => Err(PyModuleNotFoundError::new_err(format!("No module named '{missing}'"))),
            None => plain(),
        };
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

/// The full name of what a statement imports; `None` if it leads out of its package.
pub(super) fn absolute(name: &str, package: &str, level: usize) -> Option<String> {
    if level == 0 {
        return Some(name.to_owned());
    }
    let mut base = package;
    for _ in 1..level {
        base = base.rsplit_once('.')?.0;
    }
    match (base, name) {
        ("", _) => None,
        (base, "") => Some(base.to_owned()),
        (base, name) => Some(format!("{base}.{name}")),
    }
}

/// The same of a statement in a module with these globals.
fn absolute_in(globals: &Bound<'_, PyDict>, name: &Bound<'_, PyAny>, level: i32) -> PyResult<Option<String>> {
    let package = match globals.get_item(intern!(globals.py(), "__package__"))? {
        Some(package) if level > 0 => package.extract().unwrap_or_default(),
        _ => String::new(),
    };
    let (Ok(name), Ok(level)) = (name.extract::<&str>(), usize::try_from(level)) else {
        return Ok(None);
    };
    Ok(absolute(name, &package, level))
}

/// What an import statement finds among the user's modules; `None` if it is about others.
///
/// Packages are shown to each module apart: as one object they would have to say which generation of their modules they hold.
fn own<'py>(
    globals: &Bound<'py, PyDict>,
    links: &Bound<'py, PyDict>,
    name: &Bound<'py, PyAny>,
    fromlist: Option<&Bound<'py, PyAny>>,
    level: i32,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = globals.py();
    let Some(name) = absolute_in(globals, name, level)? else {
        return Ok(None);
    };
    let module = find(py, links, &name)?;
    let wanted = match fromlist {
        Some(wanted) if wanted.is_truthy()? => wanted,
        _ => {
            return match module {
                Some(module) if name.contains('.') => chain(py, links, &name, module).map(Some),
                module => Ok(module),
            };
        }
    };
    let mut inside = Vec::new();
    for item in wanted.try_iter()? {
        let item = item?;
        if let Ok(item) = item.extract::<String>()
            && let Some(module) = find(py, links, &format!("{name}.{item}"))?
        {
            inside.push((item, module));
        }
    }
    if inside.is_empty() {
        return Ok(module);
    }
    // only the statement sees it
    let shown = view(py, &name, module.as_ref())?;
    for (item, module) in inside {
        shown.setattr(item.as_str(), module)?;
    }
    Ok(Some(shown.into_any()))
}

/// A module of the user's by its full name, of the generation that the importing module belongs to.
fn find<'py>(py: Python<'py>, links: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Some(module) = links.get_item(name)? {
        return Ok(Some(module));
    }
    let found = match transaction::current() {
        Some(transaction) => transaction.find(py, name)?.map(Bound::into_any),
        None => None,
    };
    // deployed earlier, and not part of this deployment
    let found = match found {
        Some(module) => Some(module),
        None => modules(py)?.get_item(name)?.filter(is_ours),
    };
    if let Some(module) = &found {
        links.set_item(name, module)?;
    }
    Ok(found)
}

/// What `import a.b.c` gives: `a`, which has `b`, which has `c`.
fn chain<'py>(
    py: Python<'py>,
    links: &Bound<'py, PyDict>,
    name: &str,
    module: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut shown = module;
    let mut rest = name;
    while let Some((package, last)) = rest.rsplit_once('.') {
        let key = format!("{VIEW}{package}");
        let parent = match links.get_item(&key)? {
            Some(parent) => parent,
            None => {
                let real = find(py, links, package)?;
                let parent = view(py, package, real.as_ref())?.into_any();
                links.set_item(key, &parent)?;
                parent
            }
        };
        parent.setattr(last, shown)?;
        shown = parent;
        rest = package;
    }
    Ok(shown)
}

/// A package as one module sees it. What it does not have itself is looked for in its `__init__.py`, if there is one.
fn view<'py>(py: Python<'py>, name: &str, real: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyModule>> {
    let shown = PyModule::new(py, name)?;
    shown.setattr("__path__", PyList::empty(py))?;
    if let Some(real) = real {
        let get = py.import("functools")?.getattr("partial")?;
        shown.setattr(
            "__getattr__",
            get.call1((py.import("builtins")?.getattr("getattr")?, real))?,
        )?;
    }
    Ok(shown)
}

/// Whether a module of the user's is an `__init__.py`.
fn is_package(module: &Bound<'_, PyAny>) -> bool {
    module.hasattr(intern!(module.py(), "__path__")).unwrap_or(false)
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

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn relative_names_start_from_the_package() {
        for (name, package, level, expected) in [
            ("json", "crm", 0, Some("json")),
            ("common", "crm.api", 1, Some("crm.api.common")),
            ("", "crm.api", 1, Some("crm.api")),
            ("common", "crm.api", 2, Some("crm.common")),
            ("common", "crm.api", 3, None),
            ("common", "", 1, None),
        ] {
            assert_eq!(
                absolute(name, package, level).as_deref(),
                expected,
                "{name} {package} {level}"
            );
        }
    }
}
