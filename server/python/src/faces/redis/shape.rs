//! What replies become: the types that redis-py gives with `decode_responses=True`.

use busbar_connectors::redis::Reply;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySet, PyString, PyTuple};

use crate::faces::redis::errors::of_failure;

/// What the reply of a command becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text, number, list or `None`, as it comes.
    Plain,
    /// `True` for `OK`, `None` for nothing.
    Ok,
    /// `True` unless the number is 0.
    Bool,
    /// A list of those.
    Bools,
    /// A floating-point number, or `None`.
    Float,
    /// A list of those.
    Floats,
    /// A set of text.
    Set,
    /// A dictionary.
    Dict,
    /// A list of members and their scores.
    Scored,
    /// A tuple, or `None`.
    Tuple,
    /// Key, member and score, or `None`.
    PoppedScore,
    /// Cursor and list.
    Scan,
    /// Cursor and dictionary.
    ScanDict,
    /// Cursor and a list of members and their scores.
    ScanScored,
    /// `True` for `PONG`.
    Pong,
    /// Seconds and microseconds.
    Time,
    /// The sections of `INFO` as one dictionary.
    Info,
}

impl Shape {
    /// Turns a reply into what services get.
    pub(super) fn convert<'py>(self, py: Python<'py>, reply: Reply) -> PyResult<Bound<'py, PyAny>> {
        if let Reply::Error(failure) = &reply {
            return Err(of_failure(py, failure));
        }
        Ok(match (self, reply) {
            (Self::Ok, Reply::Status(text)) => (text == "OK").into_pyobject(py)?.to_owned().into_any(),
            (Self::Bool, Reply::Int(number)) => (number != 0).into_pyobject(py)?.to_owned().into_any(),
            (Self::Bools, Reply::Array(items)) => PyList::new(
                py,
                items
                    .into_iter()
                    .map(|item| matches!(item, Reply::Int(number) if number != 0)),
            )?
            .into_any(),
            (Self::Float, Reply::Bulk(text)) => float(&text)?.into_pyobject(py)?.into_any(),
            (Self::Floats, Reply::Array(items)) => {
                let items = items
                    .into_iter()
                    .map(|item| Self::Float.convert(py, item))
                    .collect::<PyResult<Vec<_>>>()?;
                PyList::new(py, items)?.into_any()
            }
            (Self::Set, Reply::Array(items) | Reply::Set(items)) => {
                let items = items
                    .into_iter()
                    .map(|item| plain(py, item))
                    .collect::<PyResult<Vec<_>>>()?;
                PySet::new(py, items)?.into_any()
            }
            (Self::Dict, Reply::Nil) => PyDict::new(py).into_any(),
            (Self::Dict, Reply::Array(items)) => dict(py, items)?.into_any(),
            (Self::Scored, Reply::Array(items)) => scored(py, items)?.into_any(),
            (Self::Tuple, Reply::Array(items)) => {
                let items = items
                    .into_iter()
                    .map(|item| plain(py, item))
                    .collect::<PyResult<Vec<_>>>()?;
                PyTuple::new(py, items)?.into_any()
            }
            (Self::PoppedScore, Reply::Array(items)) => {
                let mut popped = Vec::with_capacity(3);
                for (index, item) in items.into_iter().enumerate() {
                    popped.push(if index == 2 {
                        Self::Float.convert(py, item)?
                    } else {
                        plain(py, item)?
                    });
                }
                PyTuple::new(py, popped)?.into_any()
            }
            (Self::Scan | Self::ScanDict | Self::ScanScored, Reply::Array(items)) => {
                let [cursor, found] =
                    <[Reply; 2]>::try_from(items).unwrap_or([Reply::Int(0), Reply::Array(Vec::new())]);
                let cursor = match &cursor {
                    Reply::Int(cursor) => *cursor as u64,
                    other => other
                        .as_bytes()
                        .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
                        .unwrap_or(0),
                };
                let found = match (self, found) {
                    (Self::ScanDict, Reply::Array(items)) => dict(py, items)?.into_any(),
                    (Self::ScanScored, Reply::Array(items)) => scored(py, items)?.into_any(),
                    (_, found) => plain(py, found)?,
                };
                (cursor, found).into_pyobject(py)?.into_any()
            }
            (Self::Pong, reply) => reply
                .as_bytes()
                .is_some_and(|text| text == b"PONG")
                .into_pyobject(py)?
                .to_owned()
                .into_any(),
            (Self::Time, Reply::Array(items)) => {
                let numbers = items.iter().map(|item| {
                    item.as_bytes()
                        .and_then(|text| std::str::from_utf8(text).ok()?.parse::<i64>().ok())
                });
                PyTuple::new(py, numbers)?.into_any()
            }
            (Self::Info, Reply::Bulk(text)) => info(py, &String::from_utf8_lossy(&text))?.into_any(),
            (_, reply) => plain(py, reply)?,
        })
    }
}

/// A reply as it comes.
fn plain<'py>(py: Python<'py>, reply: Reply) -> PyResult<Bound<'py, PyAny>> {
    Ok(match reply {
        Reply::Nil => py.None().into_bound(py),
        Reply::Status(text) => PyString::new(py, &text).into_any(),
        Reply::Int(number) => number.into_pyobject(py)?.into_any(),
        Reply::Bulk(bytes) => text(py, &bytes)?,
        Reply::Array(items) | Reply::Set(items) => {
            let items = items
                .into_iter()
                .map(|item| plain(py, item))
                .collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Reply::Map(pairs) => {
            let dict = PyDict::new(py);
            for (name, value) in pairs {
                dict.set_item(plain(py, name)?, plain(py, value)?)?;
            }
            dict.into_any()
        }
        Reply::Double(number) => number.into_pyobject(py)?.into_any(),
        Reply::Bool(truth) => truth.into_pyobject(py)?.to_owned().into_any(),
        Reply::Error(failure) => of_failure(py, &failure).into_value(py).into_bound(py).into_any(),
    })
}

/// Text; the same `UnicodeDecodeError` as with redis-py if it is none.
fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text).into_any()),
        Err(_) => PyBytes::new(py, bytes).call_method1("decode", ("utf-8",)),
    }
}

fn float(text: &[u8]) -> PyResult<f64> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("Redis sent something else than a number"))
}

fn dict<'py>(py: Python<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        dict.set_item(plain(py, name)?, plain(py, value)?)?;
    }
    Ok(dict)
}

fn scored<'py>(py: Python<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyList>> {
    let pairs = PyList::empty(py);
    let mut items = items.into_iter();
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        pairs.append((plain(py, member)?, Shape::Float.convert(py, score)?))?;
    }
    Ok(pairs)
}

/// `name:value` lines; numbers as numbers, `a=1,b=2` as a dictionary.
fn info<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyDict>> {
    let number = |text: &str| -> PyResult<Bound<'py, PyAny>> {
        Ok(match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => number.into_pyobject(py)?.into_any(),
            (_, Ok(number)) if text.contains('.') => number.into_pyobject(py)?.into_any(),
            _ => PyString::new(py, text).into_any(),
        })
    };
    let info = PyDict::new(py);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if value.contains('=') {
            let inner = PyDict::new(py);
            for (name, value) in value.split(',').filter_map(|pair| pair.split_once('=')) {
                inner.set_item(name, number(value)?)?;
            }
            info.set_item(name, inner)?;
        } else {
            info.set_item(name, number(value)?)?;
        }
    }
    Ok(info)
}
