//! What is known of a service class: read once, when it is deployed, so that a call looks nothing up.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyModule, PyString, PyType};

use busbar_model::service::ServiceInfo;
use busbar_sio::names::NamingRules;

use crate::service::instance::Service;
use crate::service::name::service_name;
use crate::sio::Sio;

/// A deployed service class.
#[derive(Debug)]
pub struct ServiceClass {
    info: ServiceInfo,
    class: Py<PyType>,
    pub(crate) name: Py<PyString>,
    pub(crate) impl_name: Py<PyString>,
    pub(crate) logger: Py<PyAny>,
    pub(crate) sio: Option<Sio>,
    pub(crate) hooks: Hooks,
    /// Checks input against the class's JSON Schema: called with the cid and the payload.
    pub(crate) schema: Option<Py<PyAny>>,
    /// Milliseconds beyond which a call is logged as slow.
    pub(crate) slow_threshold: Option<Duration>,
    /// Methods `handle_GET` and so on, by verb.
    verbs: Vec<(String, Py<PyString>)>,
    usage: AtomicU64,
}

/// Which methods the class has of its own. One that it has not costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hooks {
    pub(crate) accept: bool,
    pub(crate) before_handle: bool,
    pub(crate) validate_input: bool,
    pub(crate) validate_output: bool,
    pub(crate) after_handle: bool,
    pub(crate) finalize_handle: bool,
    /// At least one of the hooks for jobs of the scheduler, before and after.
    pub(crate) before_job: bool,
    pub(crate) after_job: bool,
}

const BEFORE_JOB: [&CStr; 4] = [
    c"before_job",
    c"before_one_time_job",
    c"before_interval_based_job",
    c"before_cron_style_job",
];
const AFTER_JOB: [&CStr; 4] = [
    c"after_job",
    c"after_one_time_job",
    c"after_interval_based_job",
    c"after_cron_style_job",
];

/// The classes of a module that are services: defined in that very module, in alphabetical order.
///
/// Left out are classes with an attribute `zato_dont_import`, and those whose `before_add_to_store` does not return something true.
pub fn deployable<'py>(py: Python<'py>, module: &Bound<'py, PyModule>) -> PyResult<Vec<Bound<'py, PyType>>> {
    let base = py.get_type::<Service>();
    let own_name = module.name()?;
    let mut found: Vec<Bound<'py, PyType>> = Vec::new();
    // sorted, as `dir()` gives it
    for name in module.dir()? {
        let Some(value) = module.getattr_opt(name.cast::<PyString>()?)? else {
            continue;
        };
        let Ok(class) = value.cast_into::<PyType>() else {
            continue;
        };
        if !class.is_subclass(&base)? || found.iter().any(|known| known.is(&class)) {
            continue;
        }
        if !class.getattr(intern!(py, "__module__"))?.eq(&own_name)?
            || class.hasattr(intern!(py, "zato_dont_import"))?
        {
            continue;
        }
        if wants_to_be_added(&class)? {
            found.push(class);
        }
    }
    Ok(found)
}

/// Asks the class itself. An exception there means no, and is logged.
fn wants_to_be_added(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = class.py();
    if !is_own(class, c"before_add_to_store")? {
        return Ok(true);
    }
    let logger = logger_of(py, &class.name()?.to_string())?;
    match class
        .call_method1(intern!(py, "before_add_to_store"), (logger,))
        .and_then(|answer| answer.is_truthy())
    {
        Ok(answer) => Ok(answer),
        Err(error) => {
            let traceback = crate::errors::traceback(py, &error);
            tracing::warn!(
                "cannot deploy class `{}`: exception in before_add_to_store()\n{traceback}",
                class.name()?
            );
            Ok(false)
        }
    }
}

impl ServiceClass {
    /// Reads a class. `stem` is the name of its file without the ending, the module part of its name; `rules` say which types the names
    /// of its input and output imply.
    ///
    /// Errors say what cannot be deployed so: a SimpleIO declaration that makes no sense, a name that is not text.
    pub fn read(py: Python<'_>, class: &Bound<'_, PyType>, stem: &str, rules: &NamingRules) -> PyResult<Arc<Self>> {
        let class_name = class.name()?.to_string();
        let name = name_of(class, stem, &class_name)?;
        let impl_name = format!("{stem}.{class_name}");
        let mut verbs = Vec::new();
        for attribute in class.dir()? {
            let attribute = attribute.cast_into::<PyString>()?;
            if let Some(verb) = attribute.to_str()?.strip_prefix("handle_")
                && !verb.is_empty()
                && verb.bytes().all(|byte| byte.is_ascii_uppercase())
            {
                verbs.push((verb.to_owned(), attribute.unbind()));
            }
        }
        let sio = Sio::read(class, rules)?;
        let calls_hooks = class
            .getattr_opt(intern!(py, "call_hooks"))?
            .map_or(Ok(true), |flag| flag.is_truthy())?;
        let has_one_of = |hooks: [&CStr; 4]| -> PyResult<bool> {
            for hook in hooks {
                if is_own(class, hook)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let hooks = Hooks {
            accept: is_own(class, c"accept")?,
            before_handle: calls_hooks && is_own(class, c"before_handle")?,
            validate_input: is_own(class, c"validate_input")?,
            validate_output: is_own(class, c"validate_output")?,
            after_handle: calls_hooks && is_own(class, c"after_handle")?,
            finalize_handle: is_own(class, c"finalize_handle")?,
            before_job: calls_hooks && has_one_of(BEFORE_JOB)?,
            after_job: has_one_of(AFTER_JOB)?,
        };
        let info = ServiceInfo {
            name: name.clone(),
            impl_name: impl_name.clone(),
            module: stem.to_owned(),
            http_methods: verbs.iter().map(|(verb, _)| verb.clone()).collect(),
            sio: sio.as_ref().map(|sio| sio.declaration.clone()),
            summary: summary_of(class)?,
            deadline_secs: deadline_of(class)?,
            has_request_hash: is_own(class, c"get_request_hash")?,
        };
        let schema = match class.getattr_opt(intern!(py, "schema"))? {
            Some(path) if path.is_truthy()? => {
                let checker = py.import("busbar.schema")?.getattr("Checker")?;
                Some(checker.call1((class, path))?.unbind())
            }
            _ => None,
        };
        // what services of older versions look at
        class.setattr(intern!(py, "has_sio"), sio.is_some())?;
        class.setattr(
            intern!(py, "http_method_handlers"),
            PyList::new(py, &info.http_methods)?,
        )?;
        class.setattr(intern!(py, OWN_NAME), &name)?;
        Ok(Arc::new(Self {
            logger: logger_of(py, &name)?.unbind(),
            name: PyString::new(py, &name).unbind(),
            impl_name: PyString::new(py, &impl_name).unbind(),
            info,
            class: class.clone().unbind(),
            sio,
            hooks,
            schema,
            slow_threshold: slow_threshold_of(class)?,
            verbs,
            usage: AtomicU64::new(0),
        }))
    }

    /// What the hub knows of it.
    pub fn info(&self) -> &ServiceInfo {
        &self.info
    }

    /// The class.
    pub fn class<'py>(&self, py: Python<'py>) -> &Bound<'py, PyType> {
        self.class.bind(py)
    }

    /// Calls `after_add_to_store`, once it is deployed. An exception there is logged and changes nothing.
    pub fn added(&self, py: Python<'_>) {
        let class = self.class.bind(py);
        if !is_own(class, c"after_add_to_store").unwrap_or(false) {
            return;
        }
        if let Err(error) = class.call_method1(intern!(py, "after_add_to_store"), (&self.logger,)) {
            let service = &self.info.name;
            let traceback = crate::errors::traceback(py, &error);
            tracing::warn!(
                service,
                "exception in after_add_to_store() of service `{service}`\n{traceback}"
            );
        }
    }

    /// The method for a verb. `None`: the class has methods for others, but not for this one. A class without any has `handle` for all.
    pub(crate) fn method(&self, py: Python<'_>, verb: &str) -> Option<Py<PyString>> {
        if self.verbs.is_empty() {
            return Some(intern!(py, "handle").clone().unbind());
        }
        self.verbs
            .iter()
            .find(|(known, _)| known == verb)
            .map(|(_, method)| method.clone_ref(py))
    }

    /// Whether the class has methods for verbs.
    pub(crate) fn has_verbs(&self) -> bool {
        !self.verbs.is_empty()
    }

    /// Counts a call.
    pub(crate) fn count(&self) {
        self.usage.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls there have been in this process, of this generation.
    pub(crate) fn usage(&self) -> u64 {
        self.usage.load(Ordering::Relaxed)
    }
}

/// Attribute of a deployed class that has its name; looked for on the class itself, never on its bases.
pub(crate) const OWN_NAME: &str = "_busbar_name";

/// What `get_name()` of a class answers: the name it was deployed under, or the one that it would get.
pub(crate) fn known_name(class: &Bound<'_, PyType>) -> PyResult<String> {
    let py = class.py();
    let own = class.getattr(intern!(py, "__dict__"))?;
    if own.contains(OWN_NAME)? {
        return own.get_item(OWN_NAME)?.extract();
    }
    let module: String = class.getattr(intern!(py, "__module__"))?.extract()?;
    let stem = module.rsplit('.').next().unwrap_or_default();
    name_of_attribute(class)?.map_or_else(|| Ok(service_name(stem, &class.name()?.to_string())), Ok)
}

/// An attribute `name`, a `get_name()` of the class's own, or what file and class are called.
fn name_of(class: &Bound<'_, PyType>, stem: &str, class_name: &str) -> PyResult<String> {
    let py = class.py();
    if is_own(class, c"get_name")? {
        let name = class.call_method0(intern!(py, "get_name"))?;
        return name
            .extract::<String>()
            .ok()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| PyValueError::new_err(format!("get_name() of class `{class_name}` must return text")));
    }
    Ok(name_of_attribute(class)?.unwrap_or_else(|| service_name(stem, class_name)))
}

fn name_of_attribute(class: &Bound<'_, PyType>) -> PyResult<Option<String>> {
    if !is_own(class, c"name")? {
        return Ok(None);
    }
    let name = class.getattr(intern!(class.py(), "name"))?;
    // a property is for instances, and says nothing of the class
    Ok(name.extract::<String>().ok().filter(|name| !name.is_empty()))
}

/// Whether the class, or one between it and the base of all services, has an attribute of its own by that name.
fn is_own(class: &Bound<'_, PyType>, name: &CStr) -> PyResult<bool> {
    let py = class.py();
    let name = PyString::new(py, &name.to_string_lossy());
    let base = py.get_type::<Service>();
    for ancestor in class.mro() {
        if ancestor.is(&base) {
            return Ok(false);
        }
        if ancestor.getattr(intern!(py, "__dict__"))?.contains(&name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn summary_of(class: &Bound<'_, PyType>) -> PyResult<String> {
    // only its own docstring: that of a base class would describe something else
    let doc = class
        .getattr(intern!(class.py(), "__dict__"))?
        .call_method1(intern!(class.py(), "get"), ("__doc__",))?;
    let doc: Option<String> = doc.extract().ok();
    Ok(doc
        .and_then(|doc| doc.trim().lines().next().map(|line| line.trim().to_owned()))
        .unwrap_or_default())
}

fn slow_threshold_of(class: &Bound<'_, PyType>) -> PyResult<Option<Duration>> {
    let Some(threshold) = class.getattr_opt(intern!(class.py(), "slow_threshold"))? else {
        return Ok(None);
    };
    // anything but a number is the user's own affair
    Ok(threshold
        .extract::<u64>()
        .ok()
        .filter(|milliseconds| *milliseconds > 0)
        .map(Duration::from_millis))
}

fn deadline_of(class: &Bound<'_, PyType>) -> PyResult<Option<u32>> {
    let py = class.py();
    let Some(deadline) = class.getattr_opt(intern!(py, "deadline_secs"))? else {
        return Ok(None);
    };
    if !deadline.is_instance_of::<PyInt>() {
        // a method or property of that name is the user's own affair
        return Ok(None);
    }
    match deadline.extract::<u32>() {
        Ok(0) | Err(_) => Err(PyTypeError::new_err(
            "the class attribute `deadline_secs` must be a number of seconds, 1 or more",
        )),
        Ok(seconds) => Ok(Some(seconds)),
    }
}

fn logger_of<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "logging"))?
        .call_method1(intern!(py, "getLogger"), (name,))
}
