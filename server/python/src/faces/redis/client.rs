//! `self.kvdb` and `self.kvdb.conn`.

use std::sync::Arc;

use busbar_connectors::redis::{RedisClient, Reply};
use busbar_model::{Error, Kind};
use pyo3::exceptions::{PyAttributeError, PyKeyError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::environment::Environment;
use crate::errors::to_python;
use crate::faces::redis::Command;
use crate::faces::redis::errors::to_exception;
use crate::faces::redis::pipeline::Pipeline;
use crate::faces::redis::scan::{ScanIterator, Scanned};
use crate::faces::redis::script::Script;
use crate::faces::redis::special::by_hand;
use crate::faces::redis::table::{Method, shape_of};
use crate::turn;

/// The key/value database: `.conn` is its client, and attributes that it has not itself are the client's.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Kvdb(pub(crate) Arc<Environment>);

#[pymethods]
impl Kvdb {
    /// The client, with the methods of redis-py. Text in, text out.
    #[getter]
    fn conn(&self) -> Redis {
        Redis(self.0.clone())
    }

    /// The same as `self.translate`.
    #[pyo3(signature = (system1, key1, value1, system2, key2, default = None))]
    #[expect(clippy::too_many_arguments, reason = "these are the arguments that services give")]
    fn translate<'py>(
        &self,
        py: Python<'py>,
        system1: &Bound<'py, PyAny>,
        key1: &Bound<'py, PyAny>,
        value1: &Bound<'py, PyAny>,
        system2: &Bound<'py, PyAny>,
        key2: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let default = default.unwrap_or_else(|| PyString::new(py, "").into_any());
        let arguments = (self.conn(), system1, key1, value1, system2, key2, default);
        py.import("busbar.facilities.translate")?
            .getattr("translate")?
            .call1(arguments)
    }

    /// This very object: there is nothing to copy.
    fn copy(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Nothing is held open: this does nothing.
    fn close(&self) {}

    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, self.conn())?.getattr(name)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.conn().__getitem__(py, key)
    }

    fn __contains__(&self, py: Python<'_>, key: Bound<'_, PyAny>) -> PyResult<bool> {
        self.conn().__contains__(py, key)
    }

    fn __repr__(&self) -> &'static str {
        "<kvdb>"
    }
}

/// The client of the key/value database. Its methods are those of redis-py for strings, keys, hashes, lists, sets, sorted sets, streams,
/// places, scripts and pipelines; `execute_command` is for the rest.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Redis(Arc<Environment>);

impl Redis {
    pub(super) fn client(&self, py: Python<'_>) -> PyResult<RedisClient> {
        self.0.redis.clone().ok_or_else(|| {
            let error = Error::new(Kind::Config, "this server has no key/value database")
                .with_hint("set [redis] url, or let the server start a Redis of its own");
            to_python(py, &error, "kvdb")
        })
    }

    pub(super) fn environment(&self) -> &Arc<Environment> {
        &self.0
    }

    /// Runs a command and waits for its reply.
    pub(super) fn run<'py>(&self, py: Python<'py>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let shape = command.shape;
        shape.convert(py, self.reply(py, command.words)?)
    }

    fn reply(&self, py: Python<'_>, words: Vec<Vec<u8>>) -> PyResult<Reply> {
        let client = self.client(py)?;
        turn::block_on(
            py,
            &self.0,
            async move { client.execute(&words).await.map_err(Error::from) },
        )
        .map_err(|error| to_exception(py, &error))
    }
}

#[pymethods]
impl Redis {
    /// Runs any command: its name, and its arguments.
    #[pyo3(signature = (*args, **_options))]
    fn execute_command<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        _options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let words = by_hand(args)?;
        let shape = shape_of(&words);
        self.run(args.py(), Command { words, shape })
    }

    /// Commands that are sent in one go, in a transaction unless that is false.
    #[pyo3(signature = (transaction = true, shard_hint = None))]
    fn pipeline(slf: &Bound<'_, Self>, transaction: bool, shard_hint: Option<&Bound<'_, PyAny>>) -> Pipeline {
        let _ = shard_hint;
        Pipeline::new(slf.clone().unbind(), transaction)
    }

    /// Calls a function with a pipeline, watches the names that are given, and tries again when they were changed meanwhile. Gives what
    /// `execute()` gives, or what the function does if `value_from_callable` is true.
    #[pyo3(signature = (func, *watches, shard_hint = None, value_from_callable = false, watch_delay = None))]
    fn transaction<'py>(
        slf: &Bound<'py, Self>,
        func: &Bound<'py, PyAny>,
        watches: &Bound<'py, PyTuple>,
        shard_hint: Option<&Bound<'py, PyAny>>,
        value_from_callable: bool,
        watch_delay: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = (shard_hint, watch_delay);
        let py = slf.py();
        let watch_error = py.import("busbar.kvdb.exceptions")?.getattr("WatchError")?;
        loop {
            let pipeline = Bound::new(py, Pipeline::new(slf.clone().unbind(), true))?;
            if !watches.is_empty() {
                pipeline.call_method("watch", watches.clone(), None)?;
            }
            let result = func.call1((&pipeline,)).and_then(|value| {
                let executed = pipeline.call_method0("execute")?;
                Ok(if value_from_callable { value } else { executed })
            });
            pipeline.call_method0("reset")?;
            match result {
                Err(error) if error.matches(py, &watch_error)? => {}
                result => return result,
            }
        }
    }

    /// All keys, a few at a time.
    #[pyo3(signature = (r#match = None, count = None, _type = None))]
    fn scan_iter(
        slf: &Bound<'_, Self>,
        r#match: Option<&Bound<'_, PyAny>>,
        count: Option<u64>,
        _type: Option<&str>,
    ) -> PyResult<ScanIterator> {
        ScanIterator::new(slf, Scanned::Keys, None, r#match, count, _type)
    }

    /// All members of a set, a few at a time.
    #[pyo3(signature = (name, r#match = None, count = None))]
    fn sscan_iter(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        r#match: Option<&Bound<'_, PyAny>>,
        count: Option<u64>,
    ) -> PyResult<ScanIterator> {
        ScanIterator::new(slf, Scanned::Set, Some(name), r#match, count, None)
    }

    /// All keys and values of a hash, a few at a time.
    #[pyo3(signature = (name, r#match = None, count = None))]
    fn hscan_iter(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        r#match: Option<&Bound<'_, PyAny>>,
        count: Option<u64>,
    ) -> PyResult<ScanIterator> {
        ScanIterator::new(slf, Scanned::Hash, Some(name), r#match, count, None)
    }

    /// All members of a sorted set with their scores, a few at a time.
    #[pyo3(signature = (name, r#match = None, count = None))]
    fn zscan_iter(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        r#match: Option<&Bound<'_, PyAny>>,
        count: Option<u64>,
    ) -> PyResult<ScanIterator> {
        ScanIterator::new(slf, Scanned::SortedSet, Some(name), r#match, count, None)
    }

    /// A script that can be called like a function.
    fn register_script(slf: &Bound<'_, Self>, script: &Bound<'_, PyAny>) -> PyResult<Script> {
        Script::new(slf, script)
    }

    /// Nothing is held open: this does nothing.
    fn close(&self) {}

    fn __getattr__(slf: &Bound<'_, Self>, name: &str) -> PyResult<RedisMethod> {
        match Method::find(name) {
            Some(method) => Ok(RedisMethod {
                target: Target::Client(slf.clone().unbind()),
                method,
            }),
            None => Err(no_method(name)),
        }
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let words = by_hand(&("GET", &key).into_pyobject(py)?)?;
        let value = self.run(
            py,
            Command {
                shape: shape_of(&words),
                words,
            },
        )?;
        if value.is_none() {
            Err(PyKeyError::new_err(key.unbind()))
        } else {
            Ok(value)
        }
    }

    fn __setitem__(&self, py: Python<'_>, key: Bound<'_, PyAny>, value: Bound<'_, PyAny>) -> PyResult<()> {
        let words = by_hand(&("SET", key, value).into_pyobject(py)?)?;
        self.run(
            py,
            Command {
                shape: shape_of(&words),
                words,
            },
        )
        .map(drop)
    }

    fn __delitem__(&self, py: Python<'_>, key: Bound<'_, PyAny>) -> PyResult<()> {
        let words = by_hand(&("DEL", key).into_pyobject(py)?)?;
        self.run(
            py,
            Command {
                shape: shape_of(&words),
                words,
            },
        )
        .map(drop)
    }

    fn __contains__(&self, py: Python<'_>, key: Bound<'_, PyAny>) -> PyResult<bool> {
        let words = by_hand(&("EXISTS", key).into_pyobject(py)?)?;
        self.run(
            py,
            Command {
                shape: shape_of(&words),
                words,
            },
        )?
        .is_truthy()
    }

    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let names = PyList::new(slf.py(), Method::names())?;
        for name in slf.get_type().dir()? {
            names.append(name)?;
        }
        Ok(names)
    }

    fn __repr__(&self) -> &'static str {
        "<client of kvdb>"
    }
}

/// What is said of a name that is no method here.
pub(super) fn no_method(name: &str) -> PyErr {
    PyAttributeError::new_err(if matches!(name, "pubsub" | "lock" | "monitor" | "client") {
        format!("`self.kvdb.conn.{name}` is not available yet in this version of busbar")
    } else {
        format!(
            "`self.kvdb.conn` has no method `{name}`; use execute_command('{}', ...)",
            name.to_uppercase()
        )
    })
}

/// A method of the client or of a pipeline.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct RedisMethod {
    pub(super) target: Target,
    pub(super) method: Method,
}

/// Whose method it is.
pub(super) enum Target {
    Client(Py<Redis>),
    Pipeline(Py<Pipeline>),
}

#[pymethods]
impl RedisMethod {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        let command = self.method.build(args, kwargs)?;
        match &self.target {
            Target::Client(client) => client.get().run(py, command),
            Target::Pipeline(pipeline) => Pipeline::take(pipeline.bind(py), command),
        }
    }
}
