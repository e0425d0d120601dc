//! XML requests of services that declare their input.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;

use busbar_model::sio::Declaration;
use busbar_sio::soap;
use busbar_sio::xml::{parse, read_input};

use crate::errors::VALIDATION;

/// The declared elements of an XML body, in the shape that JSON would have; of a SOAP envelope those of the first element in its body.
/// `None`: there is no such element. The error has status 400.
pub(crate) fn read<'py>(
    py: Python<'py>,
    declaration: Option<&Declaration>,
    body: &[u8],
    is_soap: bool,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let root = parse(body).map_err(|error| VALIDATION.error(py, (py.None(), error.message)))?;
    let root = if is_soap { soap::payload(root) } else { Some(root) };
    let Some(root) = root else { return Ok(None) };
    let values = PyDict::new(py);
    for (name, value) in declaration
        .map(|declaration| read_input(declaration, &root))
        .unwrap_or_default()
    {
        values.set_item(name, to_python(py, value)?)?;
    }
    Ok(Some(values))
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
