//! From dictionaries to instances of models.

use std::fmt;

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDict, PyList, PyString, PyTuple, PyType, PyTzInfo};
use pyo3::{ffi, intern};

use super::plan::{FieldKind, Init, ModelField, ModelPlan, plan_of};
use crate::errors::{ELEMENT_IS_NOT_A_LIST, ELEMENT_MISSING};
use crate::sio::convert::{invalid, read_int};
use crate::sio::dates::{read_date, read_datetime};
use crate::sio::input::Sources;

/// How deeply models may hold others. Bodies are checked for less; objects that other services give may hold themselves.
const MAX_DEPTH: usize = 200;

/// A reading of one message.
pub(crate) struct Reading<'a, 'py> {
    /// The service that it is read for, which `after_created` sees.
    pub(crate) service: Option<&'a Bound<'py, PyAny>>,
}

/// Where a value is: fields and positions from the outermost model inwards.
#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    depth: usize,
    name: &'a str,
    index: Option<usize>,
}

impl<'a> Path<'a> {
    const ROOT: Path<'static> = Path {
        parent: None,
        depth: 0,
        name: "",
        index: None,
    };

    fn child(&'a self, name: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            depth: self.depth + 1,
            name,
            index: None,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        write!(f, "/{}", self.name)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

impl<'py> Reading<'_, 'py> {
    /// Reads the outermost instance.
    pub(crate) fn instance(
        &self,
        plan: &Bound<'py, ModelPlan>,
        sources: &Sources<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.read(plan, sources, &Path::ROOT)
    }

    /// Fields are checked in alphabetical order, and the first fault is the one that is told. Only what cannot be read comes after what
    /// is missing, as far as that can be told without looking into other fields: so callers see the same error whoever checks.
    fn read(
        &self,
        plan: &Bound<'py, ModelPlan>,
        sources: &Sources<'_, 'py>,
        path: &Path<'_>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = plan.py();
        if path.depth > MAX_DEPTH {
            return Err(PyRecursionError::new_err(format!(
                "cannot read a model: its values have more than {MAX_DEPTH} levels, or contain themselves"
            )));
        }
        let plan = plan.get();
        let class = plan.class(py);
        let arguments = (plan.init == Init::Fields).then(|| PyDict::new(py));
        let instance = match plan.init {
            Init::Bare => Some(new_instance(class)?),
            Init::Empty => Some(class.call0()?),
            Init::Fields => None,
        };
        for (index, field) in plan.fields.iter().enumerate() {
            let place = path.child(&field.text);
            let value = match sources.get(&field.name)? {
                Some(value) => match self.value(field, value, place) {
                    Ok(value) => value,
                    Err(error) if field.kind.holds_others() => return Err(error),
                    Err(error) => {
                        let missing = first_missing(py, &plan.fields[index + 1..], sources, path)?;
                        return Err(missing.unwrap_or(error));
                    }
                },
                None if field.required => return Err(missing(py, &place)),
                None => field.missing_value(py)?,
            };
            match (&instance, &arguments) {
                (Some(instance), _) => set(instance, &field.name, &value)?,
                (None, Some(arguments)) => arguments.set_item(&field.name, value)?,
                (None, None) => unreachable!("an instance is made before its fields or with them"),
            }
        }
        let instance = match (instance, arguments) {
            (Some(instance), _) => instance,
            (None, arguments) => class.call((), arguments.as_ref())?,
        };
        if plan.has_after_created {
            let context = context(py)?.call0()?;
            context.setattr(intern!(py, "service"), self.service)?;
            context.setattr(intern!(py, "data"), sources.body)?;
            context.setattr(intern!(py, "DataClass"), class)?;
            instance.call_method1(intern!(py, "after_created"), (context,))?;
        }
        Ok(instance)
    }

    fn value(&self, field: &ModelField, value: Bound<'py, PyAny>, path: Path<'_>) -> PyResult<Bound<'py, PyAny>> {
        let py = value.py();
        if value.is_none() {
            return match field.kind {
                _ if field.nullable => Ok(value),
                FieldKind::Model(_) => Err(missing(py, &path)),
                FieldKind::List | FieldKind::Models(_) => Err(not_a_list(py, &path)),
                _ => Ok(value),
            };
        }
        let refused = |expected: &str, error: PyErr| invalid(&path.to_string(), &value, expected, &error, false);
        match &field.kind {
            FieldKind::Text | FieldKind::Float | FieldKind::Bool | FieldKind::Dict | FieldKind::Any => Ok(value),
            FieldKind::Int => read_int(&value).map_err(|error| refused("an integer", error)),
            FieldKind::Date => read_date(&value)
                .and_then(|time| time.call_method0(intern!(py, "date")))
                .map_err(|error| refused("a date", error)),
            FieldKind::DateTime => read_datetime(&value).map_err(|error| refused("a date and time", error)),
            FieldKind::DateTimeZ => read_datetime(&value)
                .and_then(with_zone)
                .map_err(|error| refused("a date and time", error)),
            FieldKind::IsoTimestamp => read_datetime(&value)
                .and_then(|time| time.call_method0(intern!(py, "isoformat")))
                .map_err(|error| refused("a date and time", error)),
            FieldKind::List => match list(&value) {
                Some(list) => Ok(list.into_any()),
                None => Err(not_a_list(py, &path)),
            },
            FieldKind::Model(class) => self.nested(class, &value, &path),
            FieldKind::Models(class) => {
                let Some(list) = list(&value) else {
                    return Err(not_a_list(py, &path));
                };
                let read = PyList::empty(py);
                for (index, item) in list.iter().enumerate() {
                    let path = Path {
                        index: Some(index),
                        ..path
                    };
                    read.append(self.nested(class, &item, &path)?)?;
                }
                Ok(read.into_any())
            }
        }
    }

    fn nested(&self, class: &Py<PyType>, value: &Bound<'py, PyAny>, path: &Path<'_>) -> PyResult<Bound<'py, PyAny>> {
        let py = value.py();
        if let Ok(dict) = value.cast::<PyDict>() {
            let sources = Sources {
                body: Some(dict),
                params: None,
                body_first: true,
            };
            return self.read(&plan_of(class.bind(py))?, &sources, path);
        }
        if value.is_instance(class.bind(py))? {
            return Ok(value.clone());
        }
        Err(missing(py, path))
    }
}

#[cold]
fn first_missing(
    py: Python<'_>,
    fields: &[ModelField],
    sources: &Sources<'_, '_>,
    path: &Path<'_>,
) -> PyResult<Option<PyErr>> {
    for field in fields {
        if field.required && sources.get(&field.name)?.is_none() {
            return Ok(Some(missing(py, &path.child(&field.text))));
        }
        if field.kind.holds_others() {
            break;
        }
    }
    Ok(None)
}

#[cold]
fn missing(py: Python<'_>, path: &Path<'_>) -> PyErr {
    ELEMENT_MISSING.error(py, (path.to_string(),))
}

#[cold]
fn not_a_list(py: Python<'_>, path: &Path<'_>) -> PyErr {
    ELEMENT_IS_NOT_A_LIST.error(py, (path.to_string(),))
}

fn list<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyList>> {
    match value.cast::<PyList>() {
        Ok(list) => Some(list.clone()),
        Err(_) => value.cast::<PyTuple>().ok().map(|tuple| tuple.to_list()),
    }
}

/// A point in time in UTC, if it says no zone itself.
fn with_zone(time: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = time.py();
    if !time.is_instance_of::<PyDateTime>() || !time.getattr(intern!(py, "tzinfo"))?.is_none() {
        return Ok(time);
    }
    let zone = PyDict::new(py);
    zone.set_item(intern!(py, "tzinfo"), PyTzInfo::utc(py)?)?;
    time.call_method(intern!(py, "replace"), (), Some(&zone))
}

/// An instance whose fields are not set, without calling any `__init__`.
pub(crate) fn new_instance<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    class.call_method1(intern!(py, "__new__"), (class,))
}

/// Sets a field, even of a frozen dataclass, whose own `__setattr__` would refuse.
fn set(instance: &Bound<'_, PyAny>, name: &Py<PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    // SAFETY: the three pointers are valid objects; the function takes references of its own
    let result = unsafe { ffi::PyObject_GenericSetAttr(instance.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if result == 0 {
        Ok(())
    } else {
        Err(PyErr::fetch(instance.py()))
    }
}

/// What a model's values are taken from: a dictionary, or what an object says of itself. `None`: nothing of the kind.
pub(crate) fn as_dict<'py>(data: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    if let Ok(dict) = data.cast::<PyDict>() {
        return Ok(Some(dict.clone()));
    }
    if super::plan_of_instance(data)?.is_some() {
        return super::to_dict(data).map(Some);
    }
    let py = data.py();
    if data.get_type().getattr_opt(intern!(py, "to_dict"))?.is_some() {
        return Ok(data.call_method0(intern!(py, "to_dict"))?.cast_into().ok());
    }
    Ok(None)
}

fn context<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyType>> {
    static CONTEXT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CONTEXT.import(py, "busbar.models", "ModelCtx")
}
