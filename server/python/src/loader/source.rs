//! One module: its text, what it imports, how it is run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use busbar_runtime::handler::Source;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyModule, PyString, PyTuple};

use crate::loader::hook;

/// Appended to the name of a file that is called like a module of somebody else. No import statement can spell it.
const APART: &str = "@pickup";
/// `ast.PyCF_ONLY_AST`.
const ONLY_AST: i32 = 0x400;

/// A module that was read and compiled.
pub(super) struct Module {
    /// Name of its file without the ending.
    pub stem: String,
    /// Its name in `sys.modules`: the stem, unless that is the name of a module of Python, of busbar or of an installed package, which
    /// must not be shadowed.
    pub name: String,
    /// Names that it imports anywhere, whoever they belong to.
    pub imports: BTreeSet<String>,
    /// By class, the services that it invokes, as far as its source names them.
    pub invokes: BTreeMap<String, Vec<String>>,
    path: String,
    text: Arc<[u8]>,
    decoded: String,
    code: Py<PyAny>,
}

/// The package that relative imports of a module start from: of an `__init__.py` its own name, of others what stands before their last dot.
fn package_of<'m>(name: &'m str, path: &str) -> &'m str {
    if is_package(path) {
        name
    } else {
        name.rsplit_once('.').map_or("", |(package, _)| package)
    }
}

fn is_package(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == "__init__.py")
}

impl Module {
    /// Reads and compiles a file. `known`: the name under which this stem was loaded before.
    pub fn read(py: Python<'_>, source: &Source, known: Option<String>) -> PyResult<Self> {
        let name = match known {
            Some(name) => name,
            None => name_of(py, source)?,
        };
        Self::compile(
            py,
            source.module.clone(),
            name,
            source.path.clone(),
            source.text.as_slice().into(),
        )
    }

    /// Whether it is the same text from the same file.
    pub fn is_same(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }

    /// The same module, to be loaded once more.
    pub fn again(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self {
            stem: self.stem.clone(),
            name: self.name.clone(),
            imports: self.imports.clone(),
            invokes: self.invokes.clone(),
            path: self.path.clone(),
            text: self.text.clone(),
            decoded: self.decoded.clone(),
            code: self.code.clone_ref(py),
        })
    }

    fn compile(py: Python<'_>, stem: String, name: String, path: String, text: Arc<[u8]>) -> PyResult<Self> {
        let builtins = py.import("builtins")?;
        let bytes = PyBytes::new(py, &text);
        let tree = builtins.call_method1("compile", (&bytes, &path, "exec", ONLY_AST, true))?;
        let imports = imports(py, &tree, package_of(&name, &path))?;
        let invokes = py
            .import("busbar.deploy")?
            .call_method1("invoked", (&tree,))?
            .extract()?;
        let code = builtins
            .call_method1("compile", (&bytes, &path, "exec", 0, true))?
            .unbind();
        let decoded = py
            .import("importlib.util")?
            .call_method1("decode_source", (&bytes,))?
            .extract()?;
        Ok(Self {
            stem,
            name,
            imports,
            invokes,
            path,
            text,
            decoded,
            code,
        })
    }

    /// A module object that is ready to run, with everything that the import system would have set.
    pub fn create<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyModule>> {
        let module = PyModule::new(py, &self.name)?;
        let loader = Bound::new(
            py,
            SourceLoader {
                name: self.name.clone(),
                path: self.path.clone(),
                text: self.decoded.clone(),
            },
        )?;
        let options = PyDict::new(py);
        options.set_item("origin", &self.path)?;
        let spec =
            py.import("importlib.machinery")?
                .call_method("ModuleSpec", (&self.name, &loader), Some(&options))?;
        spec.setattr("has_location", true)?;
        let globals = module.dict();
        if is_package(&self.path) {
            // nothing is found in a directory: every module is deployed by itself
            let nowhere = PyList::empty(py);
            spec.setattr("submodule_search_locations", &nowhere)?;
            globals.set_item("__path__", nowhere)?;
        }
        globals.set_item("__file__", &self.path)?;
        globals.set_item("__loader__", loader)?;
        globals.set_item("__spec__", spec)?;
        globals.set_item("__package__", package_of(&self.name, &self.path))?;
        globals.set_item("__builtins__", py.import("builtins")?)?;
        globals.set_item(hook::LINKS, PyDict::new(py))?;
        Ok(module)
    }

    /// Runs the module's code.
    pub fn run(&self, module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        py.import("builtins")?
            .call_method1("exec", (&self.code, module.dict()))?;
        Ok(())
    }

    /// Lets tracebacks show the lines that were loaded, not those that the file has by now.
    pub fn remember_lines(&self, py: Python<'_>) -> PyResult<()> {
        let lines = PyString::new(py, &self.decoded).call_method1("splitlines", (true,))?;
        // entries without a time of change are left alone when files are looked at again
        linecache(py)?.set_item(&self.path, (self.decoded.len(), py.None(), lines, &self.path))
    }

    /// What tracebacks show for this path now.
    pub fn remembered<'py>(&self, py: Python<'py>) -> PyResult<(String, Option<Bound<'py, PyAny>>)> {
        Ok((self.path.clone(), linecache(py)?.get_item(&self.path)?))
    }

    /// Forgets what tracebacks show.
    pub fn forget_lines(&self, py: Python<'_>) -> PyResult<()> {
        put_lines_back(py, &self.path, None)
    }
}

/// Lets tracebacks show for `path` what they showed before.
pub(super) fn put_lines_back(py: Python<'_>, path: &str, before: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let cache = linecache(py)?;
    match before {
        Some(entry) => cache.set_item(path, entry),
        None => cache.call_method1("pop", (path, py.None())).map(drop),
    }
}

fn linecache(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(py.import("linecache")?.getattr("cache")?.cast_into()?)
}

fn name_of(py: Python<'_>, source: &Source) -> PyResult<String> {
    let stem = &source.module;
    Ok(if belongs_to_others(py, stem, &source.path)? {
        format!("{stem}{APART}")
    } else {
        stem.clone()
    })
}

fn belongs_to_others(py: Python<'_>, stem: &str, path: &str) -> PyResult<bool> {
    if let Some(module) = hook::modules(py)?.get_item(stem)? {
        return Ok(!hook::is_ours(&module));
    }
    let sys = py.import("sys")?;
    if sys.getattr("stdlib_module_names")?.contains(stem)? || sys.getattr("builtin_module_names")?.contains(stem)? {
        return Ok(true);
    }
    if stem.contains('.') {
        return Ok(false);
    }
    let spec = py
        .import("importlib.machinery")?
        .getattr("PathFinder")?
        .call_method1("find_spec", (stem,))?;
    // a directory without `__init__.py` is no module that anybody misses, and the pickup directory itself may have been put on the path
    Ok(!spec.is_none()
        && !spec.getattr("loader")?.is_none()
        && spec
            .getattr("origin")?
            .extract::<&str>()
            .is_ok_and(|origin| origin != path))
}

/// Every name that a module imports: statements wherever they stand, and `import_module('name')`. A name that is imported from a module may be
/// a module itself, so it counts as one.
fn imports(py: Python<'_>, tree: &Bound<'_, PyAny>, package: &str) -> PyResult<BTreeSet<String>> {
    let ast = py.import("ast")?;
    let (import, import_from, call) = (ast.getattr("Import")?, ast.getattr("ImportFrom")?, ast.getattr("Call")?);
    let mut names = BTreeSet::new();
    for node in ast.call_method1("walk", (tree,))?.try_iter()? {
        let node = node?;
        let kind = node.get_type();
        if kind.is(&import) {
            for alias in node.getattr("names")?.cast_into::<PyList>()? {
                let name: String = alias.getattr("name")?.extract()?;
                names.extend(name.match_indices('.').map(|(end, _)| name[..end].to_owned()));
                names.insert(name);
            }
        } else if kind.is(&import_from) {
            let module: Option<String> = node.getattr("module")?.extract()?;
            let level: usize = node.getattr("level")?.extract::<Option<usize>>()?.unwrap_or_default();
            let Some(base) = hook::absolute(module.as_deref().unwrap_or_default(), package, level) else {
                continue;
            };
            for alias in node.getattr("names")?.cast_into::<PyList>()? {
                names.insert(format!("{base}.{}", alias.getattr("name")?.extract::<String>()?));
            }
            names.insert(base);
        } else if kind.is(&call)
            && let Some(name) = imported_by_call(&node)?
        {
            names.insert(name);
        }
    }
    Ok(names)
}

/// `name` of `import_module('name')`, `importlib.import_module('name')`, `__import__('name')`.
fn imported_by_call(call: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let function = call.getattr("func")?;
    let name = match function.getattr_opt("id")? {
        Some(name) => Some(name),
        None => function.getattr_opt("attr")?,
    };
    let is_import = name.is_some_and(|name| {
        name.extract::<&str>()
            .is_ok_and(|name| matches!(name, "import_module" | "__import__"))
    });
    if !is_import {
        return Ok(None);
    }
    let arguments = call.getattr("args")?.cast_into::<PyList>()?;
    let Ok(first) = arguments.get_item(0) else {
        return Ok(None);
    };
    Ok(first.getattr_opt("value")?.and_then(|value| value.extract().ok()))
}

/// `__loader__` of a module: shows its source to whoever asks (`inspect`, `linecache`, debuggers).
#[pyclass(frozen, module = "_busbar")]
struct SourceLoader {
    name: String,
    path: String,
    text: String,
}

#[pymethods]
impl SourceLoader {
    fn get_source(&self, fullname: &str) -> Option<&str> {
        (fullname == self.name).then_some(self.text.as_str())
    }

    #[pyo3(signature = (fullname=None))]
    fn get_filename(&self, fullname: Option<&str>) -> &str {
        let _ = fullname;
        &self.path
    }

    fn is_package(&self, fullname: &str) -> bool {
        let _ = fullname;
        is_package(&self.path)
    }

    #[pyo3(signature = (*_arguments))]
    fn create_module(&self, _arguments: &Bound<'_, PyTuple>) -> Option<()> {
        None
    }

    /// Modules are loaded when their file is deployed, and not otherwise.
    fn exec_module(&self, module: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = module;
        let message = format!("`{}` is loaded by deploying `{}`", self.name, self.path);
        Err(pyo3::exceptions::PyImportError::new_err(message))
    }
}
