//! `self.request.input`: where its values come from (sio.md 4), and the object itself (sio.md 10).

use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFrozenSet, PyString, PyTuple, PyType};
use pyo3::{PyTypeInfo, ffi, intern};

use busbar_model::sio::ElementKind;
use busbar_runtime::crypto::ServerKey;

use crate::errors::ELEMENT_MISSING;
use crate::sio::convert::{missing_value, read_value};
use crate::sio::declaration::Field;
use crate::sio::output::is_empty;

/// Where the values of an input are.
pub(crate) struct Sources<'a, 'py> {
    /// The body, if it is an object.
    pub(crate) body: Option<&'a Bound<'py, PyDict>>,
    /// Path and query parameters.
    pub(crate) params: Option<&'a Bound<'py, PyDict>>,
    /// A value in the body wins over a parameter of the same name.
    pub(crate) body_first: bool,
}

impl<'py> Sources<'_, 'py> {
    /// The value of an element.
    pub(crate) fn get(&self, name: &Py<PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (first, second) = if self.body_first {
            (self.body, self.params)
        } else {
            (self.params, self.body)
        };
        if let Some(value) = first.map(|values| values.get_item(name)).transpose()?.flatten() {
            return Ok(Some(value));
        }
        Ok(second.map(|values| values.get_item(name)).transpose()?.flatten())
    }
}

/// Builds declared input. Undeclared keys of the body are dropped, undeclared parameters are kept.
///
/// `key`: what secrets are encrypted with, if they are. Errors have status 400: `ElementMissing` for the alphabetically first required element that is not there, `ValidationException` for
/// a value that cannot be read.
pub(crate) fn declared<'py>(
    py: Python<'py>,
    fields: &[Field],
    sources: &Sources<'_, 'py>,
    key: Option<&ServerKey>,
) -> PyResult<Bound<'py, ServiceInput>> {
    let input = new_input(py)?;
    for field in fields {
        let value = match sources.get(&field.name)? {
            Some(value) => value,
            None if field.required => return Err(ELEMENT_MISSING.error(py, (&field.name,))),
            None => {
                if !field.skip_empty {
                    input.as_super().set_item(&field.name, missing_value(py, field))?;
                }
                continue;
            }
        };
        let value = match read_value(field, value, key) {
            Ok(value) => value,
            // what is missing is told before what cannot be read, so that callers see the same error whoever checks
            Err(error) => return Err(first_missing(py, fields, sources)?.unwrap_or(error)),
        };
        if field.skip_empty && is_empty(&value)? {
            continue;
        }
        input.as_super().set_item(&field.name, value)?;
    }
    if let Some(params) = sources.params {
        for (name, value) in params {
            if !input.as_super().contains(&name)? {
                input.as_super().set_item(name, value)?;
            }
        }
    }
    Ok(input)
}

/// Puts nodes of an XML body, whose root as an object is `root`, in the place of the texts that were read out of it (sio.md 1.1, `use_text`).
pub(crate) fn give_nodes<'py>(
    fields: &[Field],
    body: &Bound<'py, PyDict>,
    root: &Bound<'py, PyAny>,
    input: &Bound<'py, PyAny>,
) -> PyResult<()> {
    for field in fields.iter().filter(|field| field.kind == ElementKind::Text) {
        if body.contains(&field.name)?
            && let Some(node) = root.getattr_opt(&field.name)?
        {
            input.set_item(&field.name, node)?;
        }
    }
    Ok(())
}

#[cold]
fn first_missing<'py>(py: Python<'py>, fields: &[Field], sources: &Sources<'_, 'py>) -> PyResult<Option<PyErr>> {
    for field in fields.iter().filter(|field| field.required) {
        if sources.get(&field.name)?.is_none() {
            return Ok(Some(ELEMENT_MISSING.error(py, (&field.name,))));
        }
    }
    Ok(None)
}

/// Input of a service that declares none: the keys of the body, then parameters that are not there yet.
pub(crate) fn undeclared<'py>(py: Python<'py>, sources: &Sources<'_, 'py>) -> PyResult<Bound<'py, ServiceInput>> {
    let input = new_input(py)?;
    for (name, value) in [sources.body, sources.params]
        .into_iter()
        .flatten()
        .flat_map(|values| values.iter())
    {
        if !input.as_super().contains(&name)? {
            input.as_super().set_item(name, value)?;
        }
    }
    Ok(input)
}

fn new_input(py: Python<'_>) -> PyResult<Bound<'_, ServiceInput>> {
    Bound::new(py, ServiceInput)
}

/// What a service receives: a dictionary whose keys are attributes too.
#[pyclass(frozen, extends = PyDict, subclass, module = "_busbar")]
pub(crate) struct ServiceInput;

#[pymethods]
impl ServiceInput {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        // `dict.__init__` fills it, as for any subclass of `dict`
        Self
    }

    /// A key. Methods of dictionaries win: `input.items` is the method, `input['items']` the key.
    fn __getattribute__<'py>(slf: &Bound<'py, Self>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(value) = slf.as_super().get_item(name)?
            && !attributes_of_dict(py)?.contains(name)?
        {
            return Ok(value);
        }
        // SAFETY: both pointers are valid; the result is a new reference, or null with an exception set
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyObject_GenericGetAttr(slf.as_ptr(), name.as_ptr())) }
    }

    /// Called when there is neither a key nor an attribute.
    fn __getattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        let keys: Vec<String> = slf.as_super().keys().iter().map(|key| format!("`{key}`")).collect();
        let keys = if keys.is_empty() {
            "none at all".to_owned()
        } else {
            keys.join(", ")
        };
        Err(PyAttributeError::new_err(format!(
            "no such key `{name}` in the input; there are: {keys}"
        )))
    }

    fn __setattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.as_super().set_item(name, value)
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        if slf.as_super().contains(name)? {
            return slf.as_super().del_item(name);
        }
        Err(PyAttributeError::new_err(format!("no such key `{name}` in the input")))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let dict = PyDict::type_object(py).call_method1(intern!(py, "__repr__"), (slf,))?;
        Ok(format!("ServiceInput({dict})"))
    }

    /// `ValueError` unless one of the elements has a value.
    #[pyo3(signature = (*names))]
    fn require_any(slf: &Bound<'_, Self>, names: &Bound<'_, PyTuple>) -> PyResult<()> {
        for name in names {
            if slf
                .as_super()
                .get_item(&name)?
                .map_or(Ok(false), |value| value.is_truthy())?
            {
                return Ok(());
            }
        }
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        Err(PyValueError::new_err(format!(
            "at least one of the elements is required: {}",
            names.join(", ")
        )))
    }

    /// A copy that shares nothing with the request.
    fn deepcopy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let copy = new_input(py)?;
        let deepcopy = py.import(intern!(py, "copy"))?.getattr(intern!(py, "deepcopy"))?;
        // over a copy: copying a value may run code that changes this very input
        for (name, value) in slf.as_super().copy()? {
            copy.as_super().set_item(name, deepcopy.call1((value,))?)?;
        }
        Ok(copy)
    }

    /// A copy with the same values.
    fn copy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let copy = new_input(slf.py())?;
        copy.as_super().update(slf.as_super().as_mapping())?;
        Ok(copy)
    }

    /// A plain dictionary of it.
    fn to_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        slf.as_super().copy()
    }
}

/// Names that mean the attribute even if there is such a key.
fn attributes_of_dict(py: Python<'_>) -> PyResult<&Bound<'_, PyFrozenSet>> {
    static ATTRIBUTES: PyOnceLock<Py<PyFrozenSet>> = PyOnceLock::new();
    let attributes = ATTRIBUTES.get_or_try_init(py, || {
        let class: Bound<'_, PyType> = ServiceInput::type_object(py);
        PyFrozenSet::new(py, class.dir()?).map(Bound::unbind)
    })?;
    Ok(attributes.bind(py))
}
