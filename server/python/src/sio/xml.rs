//! XML requests of services that declare their input.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;

use busbar_model::sio::Declaration;
use busbar_sio::xml::{parse, read_input};

use crate::errors::VALIDATION;

/// The declared elements of an XML body, in the shape that JSON would have. The error has status 400.
pub(crate) fn read<'py>(
    py: Python<'py>,
    declaration: Option<&Declaration>,
    body: &[u8],
) -> PyResult<Bound<'py, PyDict>> {
    let root = parse(body).map_err(|error| VALIDATION.error(py, (py.None(), error.message)))?;
    let values = PyDict::new(py);
    for (name, value) in declaration
        .map(|declaration| read_input(declaration, &root))
        .unwrap_or_default()
    {
        values.set_item(name, to_python(py, value)?)?;
    }
    Ok(values)
}

fn to_python(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => number.as_f64().into_pyobject(py)?.into_any(),
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(items) => {
            let items = items
                .into_iter()
                .map(|item| to_python(py, item))
                .collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Object(values) => {
            let dict = PyDict::new(py);
            for (name, value) in values {
                dict.set_item(name, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}
