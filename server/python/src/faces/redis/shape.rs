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
    /// Bytes that are no text.
    Bytes,
    /// A list of dictionaries.
    Dicts,
    /// A list of dictionaries with these keys.
    Records(&'static [&'static str]),
    /// A list of a stream's entries: pairs of an id and a dictionary.
    Entries,
    /// Lists of a stream's name and its entries.
    Streams,
    /// Where to go on, entries, and ids of entries that are gone.
    Claimed,
    /// Ids of entries out of the same reply.
    ClaimedIds,
    /// What nobody has acknowledged yet, in sum.
    Pending,
    /// What a stream is like.
    StreamInfo,
    /// A list of pairs of coordinates, or `None`.
    Points,
    /// A list of places: each the name, and what was asked for besides.
    Places,
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
            (Self::Bytes, Reply::Bulk(bytes)) => PyBytes::new(py, &bytes).into_any(),
            (Self::Dicts, Reply::Array(items)) => list(py, items, |item| match item {
                Reply::Array(items) => Ok(dict(py, items)?.into_any()),
                other => plain(py, other),
            })?,
            (Self::Records(names), Reply::Array(items)) => list(py, items, |item| record(py, names, item))?,
            (Self::Entries, Reply::Array(items)) => entries(py, items)?,
            (Self::Streams, Reply::Nil) => PyList::empty(py).into_any(),
            (Self::Streams, Reply::Array(items)) => list(py, items, |item| stream(py, item))?,
            (Self::Claimed, Reply::Array(items)) => {
                let claimed = PyList::empty(py);
                for (index, item) in items.into_iter().enumerate() {
                    claimed.append(match item {
                        Reply::Array(found) if index == 1 => entries(py, found)?,
                        other => plain(py, other)?,
                    })?;
                }
                claimed.into_any()
            }
            (Self::ClaimedIds, Reply::Array(mut items)) if items.len() > 1 => plain(py, items.swap_remove(1))?,
            (Self::Pending, Reply::Array(items)) => pending(py, items)?.into_any(),
            (Self::StreamInfo, Reply::Array(items)) => stream_info(py, items)?.into_any(),
            (Self::Points, Reply::Array(items)) => list(py, items, |item| match item {
                Reply::Array(point) => Ok(floats(py, point)?.into_any()),
                other => plain(py, other),
            })?,
            (Self::Places, Reply::Array(items)) => list(py, items, |item| place(py, item))?,
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

/// A list of what each of the items becomes.
fn list<'py>(
    py: Python<'py>,
    items: Vec<Reply>,
    convert: impl Fn(Reply) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let items = items.into_iter().map(convert).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, items)?.into_any())
}

fn record<'py>(py: Python<'py>, names: &[&str], item: Reply) -> PyResult<Bound<'py, PyAny>> {
    let Reply::Array(values) = item else {
        return plain(py, item);
    };
    let record = PyDict::new(py);
    for (name, value) in names.iter().zip(values) {
        record.set_item(name, plain(py, value)?)?;
    }
    Ok(record.into_any())
}

fn entries(py: Python<'_>, items: Vec<Reply>) -> PyResult<Bound<'_, PyAny>> {
    list(py, items, |item| entry(py, item))
}

/// Id and fields. What was deleted meanwhile has none.
fn entry(py: Python<'_>, item: Reply) -> PyResult<Bound<'_, PyAny>> {
    let Reply::Array(pair) = item else {
        return Ok((py.None(), py.None()).into_pyobject(py)?.into_any());
    };
    let mut pair = pair.into_iter();
    let id = plain(py, pair.next().unwrap_or(Reply::Nil))?;
    let fields = match pair.next() {
        Some(Reply::Array(fields)) => dict(py, fields)?.into_any(),
        _ => py.None().into_bound(py),
    };
    Ok((id, fields).into_pyobject(py)?.into_any())
}

fn stream(py: Python<'_>, item: Reply) -> PyResult<Bound<'_, PyAny>> {
    let Reply::Array(pair) = item else {
        return plain(py, item);
    };
    let mut pair = pair.into_iter();
    let stream = PyList::empty(py);
    stream.append(plain(py, pair.next().unwrap_or(Reply::Nil))?)?;
    stream.append(match pair.next() {
        Some(Reply::Array(found)) => entries(py, found)?,
        other => plain(py, other.unwrap_or(Reply::Nil))?,
    })?;
    Ok(stream.into_any())
}

fn pending(py: Python<'_>, items: Vec<Reply>) -> PyResult<Bound<'_, PyDict>> {
    let sum = PyDict::new(py);
    for (name, item) in ["pending", "min", "max", "consumers"].into_iter().zip(items) {
        let value = match item {
            // a list of pairs of text, the number too
            Reply::Array(consumers) => list(py, consumers, |consumer| {
                let consumer = record(py, &["name", "pending"], consumer)?;
                let count = consumer.get_item("pending")?;
                consumer.set_item("pending", py.get_type::<pyo3::types::PyInt>().call1((count,))?)?;
                Ok(consumer)
            })?,
            Reply::Nil if name == "consumers" => PyList::empty(py).into_any(),
            other => plain(py, other)?,
        };
        sum.set_item(name, value)?;
    }
    Ok(sum)
}

fn stream_info(py: Python<'_>, items: Vec<Reply>) -> PyResult<Bound<'_, PyDict>> {
    let info = PyDict::new(py);
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        let is = |wanted: &[u8]| name.as_bytes().is_some_and(|name| name == wanted);
        let value = match value {
            value @ Reply::Array(_) if is(b"first-entry") || is(b"last-entry") => entry(py, value)?,
            Reply::Array(found) if is(b"entries") => entries(py, found)?,
            value => plain(py, value)?,
        };
        info.set_item(plain(py, name)?, value)?;
    }
    Ok(info)
}

fn floats(py: Python<'_>, items: Vec<Reply>) -> PyResult<Bound<'_, PyTuple>> {
    let items = items
        .into_iter()
        .map(|item| Shape::Float.convert(py, item))
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

/// Name, and in this order as far as they were asked for: distance, hash, coordinates.
fn place(py: Python<'_>, item: Reply) -> PyResult<Bound<'_, PyAny>> {
    let Reply::Array(parts) = item else {
        return plain(py, item);
    };
    let place = PyList::empty(py);
    for (index, part) in parts.into_iter().enumerate() {
        place.append(match part {
            Reply::Array(point) => floats(py, point)?.into_any(),
            part @ Reply::Bulk(_) if index > 0 => Shape::Float.convert(py, part)?,
            part => plain(py, part)?,
        })?;
    }
    Ok(place.into_any())
}
