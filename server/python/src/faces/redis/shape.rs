//! What replies become: the types that redis-py gives with `decode_responses=True`.

use busbar_connectors::redis::Reply;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySet, PyString, PyTuple};

use crate::faces::redis::errors::of_failure;

/// How replies are turned into what services get.
pub(super) struct To<'py> {
    pub(super) py: Python<'py>,
    /// Text rather than bytes.
    pub(super) is_text: bool,
    /// What makes a score of the text that Redis sends, if it is not `float`.
    pub(super) cast: Option<Bound<'py, PyAny>>,
}

impl<'py> To<'py> {
    /// The same, but text always: for what Redis says rather than what users keep in it.
    fn text(&self) -> Self {
        Self {
            py: self.py,
            is_text: true,
            cast: None,
        }
    }
}

/// What the reply of a command becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text, number, list or `None`, as it comes.
    Plain,
    /// An empty list: the command is about nothing, and is not sent.
    Nothing,
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
    /// Bytes that are no text.
    Bytes,
    /// Text of Redis's own, or lists of it, also for those who want bytes.
    Text,
    /// `True`, whatever it is.
    Done,
    /// A list of pairs.
    Pairs,
    /// A list of tuples of so many, or as it comes if that is none.
    Groups(usize),
    /// What this function of `busbar.kvdb.replies` makes of it.
    Python(&'static str),
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
    pub(super) fn convert<'py>(self, to: &To<'py>, reply: Reply) -> PyResult<Bound<'py, PyAny>> {
        let py = to.py;
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
                    .map(|item| Self::Float.convert(to, item))
                    .collect::<PyResult<Vec<_>>>()?;
                PyList::new(py, items)?.into_any()
            }
            (Self::Set, Reply::Array(items) | Reply::Set(items)) => {
                let items = items
                    .into_iter()
                    .map(|item| plain(to, item))
                    .collect::<PyResult<Vec<_>>>()?;
                PySet::new(py, items)?.into_any()
            }
            (Self::Dict, Reply::Nil) => PyDict::new(py).into_any(),
            (Self::Dict, Reply::Array(items)) => dict(to, items)?.into_any(),
            (Self::Scored, Reply::Array(items)) => scored(to, items)?.into_any(),
            (Self::Tuple, Reply::Array(items)) => {
                let items = items
                    .into_iter()
                    .map(|item| plain(to, item))
                    .collect::<PyResult<Vec<_>>>()?;
                PyTuple::new(py, items)?.into_any()
            }
            (Self::PoppedScore, Reply::Array(items)) => {
                let mut popped = Vec::with_capacity(3);
                for (index, item) in items.into_iter().enumerate() {
                    popped.push(if index == 2 {
                        Self::Float.convert(to, item)?
                    } else {
                        plain(to, item)?
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
                    (Self::ScanDict, Reply::Array(items)) => dict(to, items)?.into_any(),
                    (Self::ScanScored, Reply::Array(items)) => scored(to, items)?.into_any(),
                    (_, found) => plain(to, found)?,
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
            (Self::Text, reply) => plain(&to.text(), reply)?,
            (Self::Done, _) => true.into_pyobject(py)?.to_owned().into_any(),
            (Self::Pairs, Reply::Array(items)) => grouped(to, items, 2)?,
            (Self::Groups(size @ 1..), Reply::Array(items)) => grouped(to, items, size)?,
            (Self::Python(name), reply) => py
                .import(intern!(py, "busbar.kvdb.replies"))?
                .call_method1(name, (plain(to, reply)?,))?,
            (Self::Bytes, Reply::Bulk(bytes)) => PyBytes::new(py, &bytes).into_any(),
            (Self::Dicts, Reply::Array(items)) => list(to, items, |item| named(to, item, None))?,
            (Self::Records(names), Reply::Array(items)) => list(to, items, |item| record(to, names, item))?,
            (Self::Entries, Reply::Array(items)) => entries(to, items)?,
            (Self::Streams, Reply::Nil) => PyList::empty(py).into_any(),
            (Self::Streams, Reply::Array(items)) => list(to, items, |item| stream(to, item))?,
            (Self::Claimed, Reply::Array(items)) => {
                let claimed = PyList::empty(py);
                for (index, item) in items.into_iter().enumerate() {
                    claimed.append(match item {
                        Reply::Array(found) if index == 1 => entries(to, found)?,
                        other => plain(to, other)?,
                    })?;
                }
                claimed.into_any()
            }
            (Self::ClaimedIds, Reply::Array(mut items)) if items.len() > 1 => plain(to, items.swap_remove(1))?,
            (Self::Pending, Reply::Array(items)) => pending(to, items)?.into_any(),
            (Self::StreamInfo, Reply::Array(items)) => stream_info(to, items)?.into_any(),
            (Self::Points, Reply::Array(items)) => list(to, items, |item| match item {
                Reply::Array(point) => Ok(floats(to, point)?.into_any()),
                other => plain(to, other),
            })?,
            (Self::Places, Reply::Array(items)) => list(to, items, |item| place(to, item))?,
            (_, reply) => plain(to, reply)?,
        })
    }
}

/// A reply as it comes.
fn plain<'py>(to: &To<'py>, reply: Reply) -> PyResult<Bound<'py, PyAny>> {
    let py = to.py;
    Ok(match reply {
        Reply::Nil => py.None().into_bound(py),
        Reply::Status(status) => text(to, status.as_bytes())?,
        Reply::Int(number) => number.into_pyobject(py)?.into_any(),
        Reply::Bulk(bytes) => text(to, &bytes)?,
        Reply::Array(items) | Reply::Set(items) => {
            let items = items
                .into_iter()
                .map(|item| plain(to, item))
                .collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Reply::Map(pairs) => {
            let dict = PyDict::new(py);
            for (name, value) in pairs {
                dict.set_item(plain(to, name)?, plain(to, value)?)?;
            }
            dict.into_any()
        }
        Reply::Double(number) => number.into_pyobject(py)?.into_any(),
        Reply::Bool(truth) => truth.into_pyobject(py)?.to_owned().into_any(),
        Reply::Error(failure) => of_failure(py, &failure).into_value(py).into_bound(py).into_any(),
    })
}

fn text<'py>(to: &To<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    text_or_bytes(to.py, to.is_text, bytes)
}

/// Text or bytes; for what is no text the same `UnicodeDecodeError` as with redis-py.
pub(super) fn text_or_bytes<'py>(py: Python<'py>, is_text: bool, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if !is_text {
        return Ok(PyBytes::new(py, bytes).into_any());
    }
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

fn dict<'py>(to: &To<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyDict>> {
    let py = to.py;
    let dict = PyDict::new(py);
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        dict.set_item(plain(to, name)?, plain(to, value)?)?;
    }
    Ok(dict)
}

fn scored<'py>(to: &To<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyList>> {
    let pairs = PyList::empty(to.py);
    let mut items = items.into_iter();
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        pairs.append((plain(to, member)?, cast(to, score)?))?;
    }
    Ok(pairs)
}

/// A score, as whoever called wants it: from its text or, where that says no (`int` of `1e+18`), from the number.
fn cast<'py>(to: &To<'py>, score: Reply) -> PyResult<Bound<'py, PyAny>> {
    let Some(cast) = &to.cast else {
        return Shape::Float.convert(to, score);
    };
    let number = Shape::Float.convert(to, score.clone())?;
    cast.call1((plain(to, score)?,)).or_else(|_| cast.call1((number,)))
}

/// Tuples of so many items each; what is left over at the end is dropped, as with redis-py.
fn grouped<'py>(to: &To<'py>, items: Vec<Reply>, size: usize) -> PyResult<Bound<'py, PyAny>> {
    let groups = PyList::empty(to.py);
    let mut items = items.into_iter();
    loop {
        let group: Vec<Reply> = items.by_ref().take(size).collect();
        if group.len() < size {
            return Ok(groups.into_any());
        }
        let group = group
            .into_iter()
            .map(|item| plain(to, item))
            .collect::<PyResult<Vec<_>>>()?;
        groups.append(PyTuple::new(to.py, group)?)?;
    }
}

/// A list of what each of the items becomes.
fn list<'py>(
    to: &To<'py>,
    items: Vec<Reply>,
    convert: impl Fn(Reply) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = to.py;
    let items = items.into_iter().map(convert).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, items)?.into_any())
}

fn record<'py>(to: &To<'py>, names: &[&str], item: Reply) -> PyResult<Bound<'py, PyAny>> {
    let py = to.py;
    let Reply::Array(values) = item else {
        return plain(to, item);
    };
    let record = PyDict::new(py);
    for (name, value) in names.iter().zip(values) {
        record.set_item(name, plain(to, value)?)?;
    }
    Ok(record.into_any())
}

fn entries<'py>(to: &To<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyAny>> {
    list(to, items, |item| entry(to, item))
}

/// Id and fields. Of what was deleted meanwhile there are none, or not even the id.
fn entry<'py>(to: &To<'py>, item: Reply) -> PyResult<Bound<'py, PyAny>> {
    let py = to.py;
    let Reply::Array(pair) = item else {
        return Ok((py.None(), py.None()).into_pyobject(py)?.into_any());
    };
    let mut pair = pair.into_iter();
    let id = plain(to, pair.next().unwrap_or(Reply::Nil))?;
    let fields = match pair.next() {
        Some(Reply::Array(fields)) => dict(to, fields)?.into_any(),
        _ => PyDict::new(py).into_any(),
    };
    Ok((id, fields).into_pyobject(py)?.into_any())
}

fn stream<'py>(to: &To<'py>, item: Reply) -> PyResult<Bound<'py, PyAny>> {
    let py = to.py;
    let Reply::Array(pair) = item else {
        return plain(to, item);
    };
    let mut pair = pair.into_iter();
    let stream = PyList::empty(py);
    stream.append(plain(to, pair.next().unwrap_or(Reply::Nil))?)?;
    stream.append(match pair.next() {
        Some(Reply::Array(found)) => entries(to, found)?,
        other => plain(to, other.unwrap_or(Reply::Nil))?,
    })?;
    Ok(stream.into_any())
}

fn pending<'py>(to: &To<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyDict>> {
    let py = to.py;
    let sum = PyDict::new(py);
    for (name, item) in ["pending", "min", "max", "consumers"].into_iter().zip(items) {
        let value = match item {
            // a list of pairs of text, the number too
            Reply::Array(consumers) => list(to, consumers, |consumer| {
                let consumer = record(to, &["name", "pending"], consumer)?;
                let count = consumer.get_item("pending")?;
                consumer.set_item("pending", py.get_type::<pyo3::types::PyInt>().call1((count,))?)?;
                Ok(consumer)
            })?,
            Reply::Nil if name == "consumers" => PyList::empty(py).into_any(),
            other => plain(to, other)?,
        };
        sum.set_item(name, value)?;
    }
    Ok(sum)
}

fn stream_info<'py>(to: &To<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyDict>> {
    let info = PyDict::new(to.py);
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        let is = |wanted: &[u8]| name.as_bytes().is_some_and(|name| name == wanted);
        let value = match value {
            value @ Reply::Array(_) if is(b"first-entry") || is(b"last-entry") => entry(to, value)?,
            // only of what was asked for in full: everything in the stream, and its groups with their consumers
            Reply::Array(found) if is(b"entries") => {
                let all = PyDict::new(to.py);
                for item in found {
                    let (id, fields): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry(to, item)?.extract()?;
                    all.set_item(id, fields)?;
                }
                all.into_any()
            }
            Reply::Array(groups) if is(b"groups") => list(to, groups, |group| named(to, group, Some(b"consumers")))?,
            value => plain(to, value)?,
        };
        info.set_item(plain(&to.text(), name)?, value)?;
    }
    Ok(info)
}

/// Names that are always text, and values. The value of this name is a list of the same.
fn named<'py>(to: &To<'py>, item: Reply, nested: Option<&[u8]>) -> PyResult<Bound<'py, PyAny>> {
    let Reply::Array(items) = item else {
        return plain(to, item);
    };
    let named_values = PyDict::new(to.py);
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        let value = match value {
            Reply::Array(inner) if nested.is_some() && name.as_bytes() == nested => {
                list(to, inner, |item| named(to, item, None))?
            }
            value => plain(to, value)?,
        };
        named_values.set_item(plain(&to.text(), name)?, value)?;
    }
    Ok(named_values.into_any())
}

fn floats<'py>(to: &To<'py>, items: Vec<Reply>) -> PyResult<Bound<'py, PyTuple>> {
    let py = to.py;
    let items = items
        .into_iter()
        .map(|item| Shape::Float.convert(to, item))
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

/// Name, and in this order as far as they were asked for: distance, hash, coordinates.
fn place<'py>(to: &To<'py>, item: Reply) -> PyResult<Bound<'py, PyAny>> {
    let py = to.py;
    let Reply::Array(parts) = item else {
        return plain(to, item);
    };
    let place = PyList::empty(py);
    for (index, part) in parts.into_iter().enumerate() {
        place.append(match part {
            Reply::Array(point) => floats(to, point)?.into_any(),
            part @ Reply::Bulk(_) if index > 0 => Shape::Float.convert(to, part)?,
            part => plain(to, part)?,
        })?;
    }
    Ok(place.into_any())
}
