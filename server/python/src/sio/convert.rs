//! How values of declared input are read (sio.md 3).

use pyo3::exceptions::{PyArithmeticError, PyLookupError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTypeInfo, intern};

use busbar_model::sio::ElementKind;
use busbar_runtime::crypto::{Decrypted, ServerKey};

use crate::errors::{self, VALIDATION};
use crate::sio::dates::{read_date, read_datetime};
use crate::sio::declaration::Field;

/// Longest part of a value that an error repeats, in characters.
const SHOWN: usize = 100;

/// Converts a value of an element. The error is a `ValidationException`, status 400, that names the element and the value.
///
/// `key`: what secrets are encrypted with, if they are.
pub(crate) fn read_value<'py>(
    field: &Field,
    value: Bound<'py, PyAny>,
    key: Option<&ServerKey>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if value.is_none() {
        return Ok(match field.kind {
            ElementKind::Bool => PyBool::new(py, false).to_owned().into_any(),
            ElementKind::Float => PyFloat::new(py, 0.0).into_any(),
            ElementKind::List => PyList::empty(py).into_any(),
            _ => value,
        });
    }
    match field.kind {
        ElementKind::Text => read_text(value),
        ElementKind::Secret => read_secret(value, key),
        ElementKind::AsIs => Ok(value),
        ElementKind::Opaque => bunchify(&value),
        ElementKind::Bool => read_bool(&value)
            .map(|flag| PyBool::new(py, flag).to_owned().into_any())
            .map_err(|error| refused(field, &value, "true or false", &error)),
        ElementKind::List => Ok(match () {
            () if value.is_instance_of::<PyList>() => value,
            () if value.is_instance_of::<PyTuple>() => value.cast::<PyTuple>()?.to_list().into_any(),
            () => PyList::new(py, [value])?.into_any(),
        }),
        ElementKind::Dict => read_dict(field, &value, key),
        ElementKind::DictList => read_dict_list(field, &value, key),
        ElementKind::Custom => read_custom(field, &value),
        // of these, nothing is nothing: an empty text gets through as it is
        _ if is_empty_text(&value) => Ok(if field.kind == ElementKind::Csv {
            PyList::empty(py).into_any()
        } else {
            value
        }),
        ElementKind::Int => read_int(&value).map_err(|error| refused(field, &value, "an integer", &error)),
        ElementKind::Float => read_float(&value)
            .and_then(finite)
            .map_err(|error| refused(field, &value, "a number", &error)),
        ElementKind::Decimal => {
            read_decimal(&value).map_err(|error| refused(field, &value, "a decimal number", &error))
        }
        ElementKind::Date => read_date(&value).map_err(|error| refused(field, &value, "a date", &error)),
        ElementKind::DateTime => {
            read_datetime(&value).map_err(|error| refused(field, &value, "a date and time", &error))
        }
        ElementKind::Utc => without_utc_offset(&value),
        ElementKind::Uuid => read_uuid(&value).map_err(|error| refused(field, &value, "a UUID", &error)),
        ElementKind::Csv => read_csv(&value).map_err(|error| refused(field, &value, "comma-separated text", &error)),
    }
}

/// What an optional element is that was not sent.
pub(crate) fn missing_value<'py>(py: Python<'py>, field: &Field) -> Bound<'py, PyAny> {
    match (&field.default, field.kind) {
        (Some(default), _) => default.bind(py).clone(),
        (None, ElementKind::Bool) => PyBool::new(py, false).to_owned().into_any(),
        (None, _) => intern!(py, "").clone().into_any(),
    }
}

pub(crate) fn read_text(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if value.is_exact_instance_of::<PyString>() {
        Ok(value)
    } else {
        Ok(value.str()?.into_any())
    }
}

/// A secret as services see it: encrypted, unless it is already, because the caller is a service that was given it so.
fn read_secret<'py>(value: Bound<'py, PyAny>, key: Option<&ServerKey>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let value = read_text(value)?;
    let Some(key) = key else { return Ok(value) };
    let text = value.cast::<PyString>()?.to_str()?;
    if text.is_empty() || matches!(key.decrypt(text), Ok(Decrypted::Secret(_))) {
        return Ok(value);
    }
    Ok(PyString::new(py, &key.encrypt(text.as_bytes())).into_any())
}

pub(crate) fn read_int<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if value.is_exact_instance_of::<PyInt>() {
        return Ok(value.clone());
    }
    if let Some(number) = value
        .cast::<PyString>()
        .ok()
        .and_then(|text| text.to_str().ok())
        .and_then(plain_int)
    {
        return Ok(number.into_pyobject(py)?.into_any());
    }
    // signs, blanks, big numbers: as Python reads them
    PyInt::type_object(py).call1((value,))
}

/// Text that is a few digits, with or without a minus.
fn plain_int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

pub(crate) fn read_bool(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(flag.is_true());
    }
    let text = value.str()?;
    let text = text.to_str()?.trim();
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&["true", "yes", "on", "y", "t", "1"]) {
        Ok(true)
    } else if is_one_of(&["false", "no", "off", "n", "f", "0", "", "none"]) {
        Ok(false)
    } else {
        Err(PyValueError::new_err(""))
    }
}

pub(crate) fn read_float<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.is_exact_instance_of::<PyFloat>() {
        return Ok(value.clone());
    }
    if let Some(number) = value
        .cast_exact::<PyString>()
        .ok()
        .and_then(|text| text.to_str().ok())
        .and_then(plain_float)
    {
        return Ok(PyFloat::new(value.py(), number).into_any());
    }
    // exponents, blanks, infinity: as Python reads them
    PyFloat::type_object(value.py()).call1((value,))
}

/// Refuses what JSON has no form for: a service could not send it back.
fn finite(number: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if number.extract::<f64>()?.is_finite() {
        Ok(number)
    } else {
        Err(PyValueError::new_err("it is not finite"))
    }
}

/// Text that is digits with at most one point, with or without a minus: what Rust reads as Python does.
fn plain_float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    .then(|| text.parse().ok())?
}

pub(crate) fn read_decimal<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    let class = DECIMAL.import(py, "decimal", "Decimal")?;
    if value.is_instance(class)? {
        return Ok(value.clone());
    }
    if value.is_instance_of::<PyFloat>() {
        // through its text, so that 1.1 does not become the 52 digits of the nearest double
        return class.call1((value.str()?,));
    }
    class.call1((value,))
}

pub(crate) fn read_uuid<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static UUID: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = UUID.import(value.py(), "uuid", "UUID")?;
    if value.is_instance(class)? {
        Ok(value.clone())
    } else {
        class.call1((value.str()?,))
    }
}

pub(crate) fn without_utc_offset<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let text = match value.getattr_opt(intern!(py, "isoformat"))? {
        Some(isoformat) => isoformat.call0()?.str()?,
        None => value.str()?,
    };
    let text = text.to_str()?;
    Ok(PyString::new(py, text.strip_suffix("+00:00").unwrap_or(text)).into_any())
}

fn read_csv<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(PyList::new(py, text.to_str()?.split(','))?.into_any());
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        return Ok(value.clone());
    }
    Err(PyValueError::new_err(""))
}

fn read_dict<'py>(field: &Field, value: &Bound<'py, PyAny>, key: Option<&ServerKey>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let Ok(dict) = value.cast::<PyDict>() else {
        return Err(refused(field, value, "an object", &PyTypeError::new_err("")));
    };
    if field.nested.is_empty() {
        return Ok(value.clone());
    }
    let read = bunch(py)?.call0()?.cast_into::<PyDict>()?;
    for nested in &field.nested {
        let converted = match dict.get_item(&nested.name)? {
            Some(value) => read_value(nested, value, key)?,
            None if nested.required => {
                let message = format!("key `{}` was not found in element `{}`", nested.text, field.text);
                return Err(VALIDATION.error(py, (py.None(), message)));
            }
            None => missing_value(py, nested),
        };
        read.set_item(&nested.name, converted)?;
    }
    Ok(read.into_any())
}

fn read_dict_list<'py>(
    field: &Field,
    value: &Bound<'py, PyAny>,
    key: Option<&ServerKey>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if !value.is_instance_of::<PyList>() && !value.is_instance_of::<PyTuple>() {
        return Err(refused(field, value, "a list of objects", &PyTypeError::new_err("")));
    }
    let rows = PyList::empty(py);
    for row in value.try_iter()? {
        rows.append(read_dict(field, &row?, key)?)?;
    }
    Ok(rows.into_any())
}

/// Elements of the user's own: today `from_json(value)`, in older services `convert(value)` or `from_(value)`.
fn read_custom<'py>(field: &Field, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let Some(element) = field.element.as_ref().map(|element| element.bind(py)) else {
        return Ok(value.clone());
    };
    for name in [intern!(py, "from_json"), intern!(py, "convert"), intern!(py, "from_")] {
        if let Some(method) = element.getattr_opt(name)? {
            return method.call1((value,)).map_err(|error| {
                let about_the_value = error.is_instance_of::<PyValueError>(py)
                    || error.is_instance_of::<PyTypeError>(py)
                    || error.is_instance_of::<PyArithmeticError>(py)
                    || error.is_instance_of::<PyLookupError>(py);
                if about_the_value {
                    return refused(field, value, "what its element reads", &error);
                }
                if !errors::is_ordinary(py, &error) || errors::is_for_callers(py, &error) {
                    return error;
                }
                // mostly a value of another type than the element was written for; if it is not, the log has it
                let traceback = errors::traceback(py, &error);
                let name = &field.text;
                tracing::warn!(element = %name, "{name}: its element could not read a value, which is answered with 400\n{traceback}");
                invalid(name, value, "what its element reads", &error, false)
            });
        }
    }
    Ok(value.clone())
}

/// The error about a value of an element.
#[cold]
fn refused(field: &Field, value: &Bound<'_, PyAny>, expected: &str, reason: &PyErr) -> PyErr {
    let tells_reason = matches!(
        field.kind,
        ElementKind::Date | ElementKind::DateTime | ElementKind::Custom
    );
    invalid(&field.text, value, expected, reason, tells_reason)
}

/// The error about a value: status 400. `tells_reason`: the reader gave a reason that callers can use.
#[cold]
pub(crate) fn invalid(
    name: &str,
    value: &Bound<'_, PyAny>,
    expected: &str,
    reason: &PyErr,
    tells_reason: bool,
) -> PyErr {
    let py = value.py();
    let mut message = format!("element `{name}`: {} is not {expected}", shown(value));
    if tells_reason {
        let reason = reason.value(py).to_string();
        if !reason.is_empty() {
            message.push_str(": ");
            message.push_str(&reason);
        }
    }
    let error = VALIDATION.error(py, (py.None(), message));
    error.set_cause(py, Some(reason.clone_ref(py)));
    error
}

fn shown(value: &Bound<'_, PyAny>) -> String {
    let text = value
        .repr()
        .map_or_else(|_| "the value".to_owned(), |text| text.to_string_lossy().into_owned());
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn is_empty_text(value: &Bound<'_, PyAny>) -> bool {
    value
        .cast::<PyString>()
        .is_ok_and(|text| text.len().is_ok_and(|length| length == 0))
}

/// The class `bunch.Bunch`.
pub(crate) fn bunch<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyType>> {
    static BUNCH: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    BUNCH.import(py, "bunch", "Bunch")
}

/// `bunch.bunchify(value)`
pub(crate) fn bunchify<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static BUNCHIFY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    BUNCHIFY.import(value.py(), "bunch", "bunchify")?.call1((value,))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_are_told_from_those_left_to_python() {
        for text in [
            "0",
            "-0",
            "1.5",
            "-12.25",
            "1.",
            "007.0",
            "123456789012345678901234567890",
        ] {
            assert_eq!(plain_float(text), Some(text.parse::<f64>().unwrap()), "{text}");
        }
        for text in [
            "", "-", ".5", "-.5", "1.2.3", "--1", "+1", " 1", "1e5", "1_0", "inf", "nan", "\u{661}",
        ] {
            assert_eq!(plain_float(text), None, "{text}");
        }
    }
}
