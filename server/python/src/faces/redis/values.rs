//! How values are sent: text as UTF-8, bytes as they are, numbers as text. Anything else is an error, as with redis-py.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDateTime, PyDelta, PyDict, PyFloat, PyInt, PyMemoryView, PyString};

use crate::faces::redis::errors::data_error;

/// One value.
pub(super) fn encode(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_str()?.as_bytes().to_vec());
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if !value.is_instance_of::<PyBool>() {
        if value.is_instance_of::<PyInt>() {
            // an enumeration's own text is not its number
            let number = value
                .py()
                .get_type::<PyInt>()
                .call_method1(intern!(value.py(), "__repr__"), (value,))?;
            return Ok(number.cast::<PyString>()?.to_str()?.as_bytes().to_vec());
        }
        if value.is_instance_of::<PyFloat>() {
            return Ok(value.repr()?.to_str()?.as_bytes().to_vec());
        }
        if value.is_instance_of::<PyByteArray>() || value.is_instance_of::<PyMemoryView>() {
            let bytes = value
                .py()
                .get_type::<PyBytes>()
                .call1((value,))?
                .cast_into::<PyBytes>()?;
            return Ok(bytes.as_bytes().to_vec());
        }
    }
    let name = value.get_type().name()?;
    Err(data_error(
        value.py(),
        &format!("Invalid input of type: '{name}'. Convert to a bytes, string, int or float first."),
    ))
}

/// Several values: those of a list or of anything else that can be gone through, else the value on its own.
pub(super) fn encode_all(value: &Bound<'_, PyAny>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    let is_one = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>();
    match value.try_iter() {
        Ok(items) if !is_one => {
            for item in items {
                words.push(encode(&item?)?);
            }
        }
        _ => words.push(encode(value)?),
    }
    Ok(())
}

/// Names and values of a mapping.
pub(super) fn encode_mapping(mapping: &Bound<'_, PyAny>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    let items = if mapping.is_instance_of::<PyDict>() {
        mapping.call_method0(intern!(mapping.py(), "items"))?
    } else {
        mapping.clone()
    };
    for pair in items.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
        words.push(encode(&name)?);
        words.push(encode(&value)?);
    }
    Ok(())
}

/// A time span as seconds, or milliseconds: a number or a `timedelta`.
pub(super) fn encode_span(value: &Bound<'_, PyAny>, is_millis: bool) -> PyResult<Vec<u8>> {
    if !value.is_instance_of::<PyDelta>() {
        return encode(value);
    }
    let seconds: f64 = value.call_method0(intern!(value.py(), "total_seconds"))?.extract()?;
    Ok(format!(
        "{:.0}",
        if is_millis {
            (seconds * 1000.0).trunc()
        } else {
            seconds.trunc()
        }
    )
    .into_bytes())
}

/// A point in time as seconds, or milliseconds, since 1970: a number or a `datetime`.
pub(super) fn encode_time(value: &Bound<'_, PyAny>, is_millis: bool) -> PyResult<Vec<u8>> {
    if !value.is_instance_of::<PyDateTime>() {
        return encode(value);
    }
    let seconds: f64 = value.call_method0(intern!(value.py(), "timestamp"))?.extract()?;
    Ok(format!(
        "{:.0}",
        if is_millis {
            (seconds * 1000.0).trunc()
        } else {
            seconds.trunc()
        }
    )
    .into_bytes())
}
