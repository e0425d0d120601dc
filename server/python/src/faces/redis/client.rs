//! `self.kvdb` and `self.kvdb.conn`.

use std::sync::Arc;
use std::time::Duration;

use busbar_connectors::redis::{RedisClient, RedisNode, Reply};
use busbar_model::{Error, Kind};
use pyo3::exceptions::{PyAttributeError, PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use crate::environment::Environment;
use crate::errors::to_python;
use crate::faces::redis::Command;
use crate::faces::redis::errors::{of_failure, to_exception};
use crate::faces::redis::pipeline::Pipeline;
use crate::faces::redis::refused;
use crate::faces::redis::scan::{ScanIterator, Scanned};
use crate::faces::redis::script::Script;
use crate::faces::redis::shape::{Shape, To};
use crate::faces::redis::table::Method;
use crate::turn;

/// Which Redis.
#[derive(Clone, Default)]
pub(crate) enum Source {
    /// The server's own: `self.kvdb`.
    #[default]
    Kvdb,
    /// A further one: an `outconn_redis` of this name.
    Named(Arc<str>),
}

/// The key/value database: `.conn` is its client, and attributes that it has not itself are the client's.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Kvdb {
    environment: Arc<Environment>,
    source: Source,
}

impl Kvdb {
    pub(crate) fn new(environment: Arc<Environment>, source: Source) -> Self {
        Self { environment, source }
    }

    fn is_text(&self) -> bool {
        let Source::Named(name) = &self.source else { return true };
        let connection = self.environment.outgoing_redis.get(name);
        connection.is_ok_and(|connection| connection.config().decode_responses)
    }

    fn client(&self, is_text: bool) -> Redis {
        Redis {
            environment: self.environment.clone(),
            source: self.source.clone(),
            is_text,
        }
    }
}

#[pymethods]
impl Kvdb {
    /// The client, with the methods of redis-py. Text in, text out, unless an `outconn_redis` says otherwise.
    #[getter]
    fn conn(&self) -> Redis {
        self.client(self.is_text())
    }

    /// Asks the server whether it is there. Raises what redis-py would if it is not.
    fn ping<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.conn().run_words(&("PING",).into_pyobject(py)?)
    }

    /// The same client, but what it gives is bytes: for values that are no text.
    #[getter]
    fn conn_bytes(&self) -> Redis {
        self.client(false)
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

    /// A new `pubsub()` that has subscribed to these channels; those given by name have their messages passed to what is given for them.
    #[pyo3(signature = (*args, **kwargs))]
    fn subscribe<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let subscription = Redis::pubsub(&Bound::new(py, self.conn())?, None)?;
        subscription.call_method("subscribe", args.clone(), kwargs)?;
        Ok(subscription)
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

    fn __setitem__(&self, py: Python<'_>, key: Bound<'_, PyAny>, value: Bound<'_, PyAny>) -> PyResult<()> {
        self.conn().__setitem__(py, key, value)
    }

    fn __delitem__(&self, py: Python<'_>, key: Bound<'_, PyAny>) -> PyResult<()> {
        self.conn().__delitem__(py, key)
    }

    fn __contains__(&self, py: Python<'_>, key: Bound<'_, PyAny>) -> PyResult<bool> {
        self.conn().__contains__(py, key)
    }

    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyAny> {
        class_for(slf.as_any(), "redis", "Redis")
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __repr__(&self) -> String {
        match &self.source {
            Source::Kvdb => "<kvdb>".to_owned(),
            Source::Named(name) => format!("<outgoing.redis `{name}`>"),
        }
    }
}

/// `self.outgoing.redis`: further servers by name; everything else is the key/value database's.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct RedisServers(pub(crate) Arc<Environment>);

#[pymethods]
impl RedisServers {
    /// The client of the key/value database; the same as `self.kvdb.conn`.
    #[getter]
    fn conn(&self) -> Redis {
        self.kvdb().conn()
    }

    /// The server of that name. KeyError if there is none, `Inactive` if it is switched off.
    #[pyo3(signature = (name, skip_inactive = false))]
    fn get(&self, py: Python<'_>, name: &str, skip_inactive: bool) -> PyResult<Kvdb> {
        match self.0.outgoing_redis.get(name) {
            Err(error) if !(skip_inactive && error.kind() == Kind::Inactive) => Err(to_python(py, &error, name)),
            _ => Ok(Kvdb::new(self.0.clone(), Source::Named(name.into()))),
        }
    }

    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<Kvdb> {
        self.get(py, name, false)
    }

    fn __contains__(&self, name: &str) -> bool {
        !matches!(self.0.outgoing_redis.get(name), Err(error) if error.kind() == Kind::NotFound)
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, self.kvdb())?.getattr(name)
    }

    fn __repr__(&self) -> &'static str {
        "<outgoing.redis>"
    }
}

impl RedisServers {
    fn kvdb(&self) -> Kvdb {
        Kvdb::new(self.0.clone(), Source::Kvdb)
    }
}

/// The client of the key/value database. Its methods are those of redis-py; `execute_command` is for commands that have none.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Redis {
    environment: Arc<Environment>,
    source: Source,
    is_text: bool,
}

impl Redis {
    /// The same, giving bytes.
    fn as_bytes(&self) -> Self {
        Self {
            environment: self.environment.clone(),
            source: self.source.clone(),
            is_text: false,
        }
    }

    pub(super) fn client(&self, py: Python<'_>) -> PyResult<RedisClient> {
        match &self.source {
            Source::Kvdb => self.environment.redis.clone().ok_or_else(|| {
                let error = Error::new(Kind::Config, "this server has no key/value database")
                    .with_hint("set [redis] url, or let the server start a Redis of its own");
                to_python(py, &error, "kvdb")
            }),
            Source::Named(name) => {
                let connection = self.environment.outgoing_redis.get(name);
                connection
                    .map(|connection| connection.client().clone())
                    .map_err(|error| to_python(py, &error, name))
            }
        }
    }

    pub(super) fn environment(&self) -> &Arc<Environment> {
        &self.environment
    }

    /// Whether it gives text rather than bytes.
    pub(super) fn is_text(&self) -> bool {
        self.is_text
    }

    /// Runs a command and waits for its reply.
    pub(super) fn run<'py>(&self, py: Python<'py>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let Command { words, shape, cast } = command;
        if shape == Shape::Nothing {
            return Ok(PyList::empty(py).into_any());
        }
        let reply = self.reply(py, words)?;
        shape.convert(&self.to(py, cast), reply)
    }

    /// How replies are turned into what services get.
    pub(super) fn to<'py>(&self, py: Python<'py>, cast: Option<Py<PyAny>>) -> To<'py> {
        To {
            py,
            is_text: self.is_text,
            cast: cast.map(|cast| cast.into_bound(py)),
        }
    }

    /// Runs a command on one node of a cluster.
    pub(super) fn run_at<'py>(
        &self,
        py: Python<'py>,
        node: RedisNode,
        command: Command,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Command { words, shape, cast } = command;
        let client = self.client(py)?;
        let reply = turn::block_on(py, &self.environment, async move {
            client.execute_at(&node, &words).await.map_err(Error::from)
        })
        .map_err(|error| to_exception(py, &error))?;
        shape.convert(&self.to(py, cast), reply)
    }

    /// The nodes of a cluster that have keys; none, if it is none.
    pub(super) fn nodes(&self, py: Python<'_>) -> PyResult<Vec<RedisNode>> {
        let client = self.client(py)?;
        turn::block_on(py, &self.environment, async move {
            client.nodes().await.map_err(Error::from)
        })
        .map_err(|error| to_exception(py, &error))
    }

    fn reply(&self, py: Python<'_>, words: Vec<Vec<u8>>) -> PyResult<Reply> {
        let client = self.client(py)?;
        // one thread alone is quickest when it waits for the socket itself; others travel together
        if turn::has_time(client.response_timeout())
            && let Some(direct) = client.direct(&words)
            && let Some(result) = turn::wait(py, || direct.run(&words))
        {
            return result.map_err(|failure| of_failure(py, &failure));
        }
        turn::block_on(py, &self.environment, async move {
            client.execute(&words).await.map_err(Error::from)
        })
        .map_err(|error| to_exception(py, &error))
    }

    fn run_words<'py>(&self, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.run(args.py(), Command::by_hand(args, None)?)
    }
}

#[pymethods]
impl Redis {
    /// Runs any command: its name, and its arguments. With `NEVER_DECODE=True` what it gives is bytes.
    #[pyo3(signature = (*args, **options))]
    fn execute_command<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if options.is_some_and(|options| options.contains("NEVER_DECODE").unwrap_or(false)) {
            return self.as_bytes().run(args.py(), Command::by_hand(args, options)?);
        }
        self.run(args.py(), Command::by_hand(args, options)?)
    }

    /// Receives what others publish.
    #[pyo3(
        signature = (**options),
        text_signature = "($self, shard_hint=None, ignore_subscribe_messages=False)"
    )]
    fn pubsub<'py>(slf: &Bound<'py, Self>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let class = slf.py().import("busbar.kvdb.pubsub")?.getattr("PubSub")?;
        class.call((slf,), options)
    }

    /// A lock that all who use this Redis share.
    #[pyo3(
        signature = (name, *args, **options),
        text_signature = "($self, name, timeout=None, sleep=0.1, blocking=True, blocking_timeout=None, lock_class=None, \
                          thread_local=True, raise_on_release_error=True)"
    )]
    fn lock<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let make = slf.py().import("busbar.kvdb.lock")?.getattr("make")?;
        let mut all = vec![slf.clone().into_any(), name.clone()];
        all.extend(args.iter());
        make.call(PyTuple::new(slf.py(), all)?, options)
    }

    /// Numbers of any size within a value, changed and read together.
    #[pyo3(signature = (key, default_overflow = None))]
    fn bitfield<'py>(
        slf: &Bound<'py, Self>,
        key: &Bound<'py, PyAny>,
        default_overflow: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        bitfield(slf.as_any(), key, default_overflow)
    }

    /// Whether it gives text rather than bytes.
    #[getter]
    fn _is_text(&self) -> bool {
        self.is_text
    }

    /// Waits without holding other calls up.
    fn _pause(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let duration = Duration::try_from_secs_f64(seconds.max(0.0))
            .map_err(|_| PyValueError::new_err(format!("cannot wait for {seconds} seconds")))?;
        turn::block_on(py, &self.environment, async move {
            tokio::time::sleep(duration).await;
            Ok::<(), Error>(())
        })
        .map_err(|error| to_python(py, &error, "pause"))
    }

    /// Commands that are sent in one go, in a transaction unless that is false.
    #[pyo3(signature = (transaction = true, shard_hint = None))]
    fn pipeline(slf: &Bound<'_, Self>, transaction: bool, shard_hint: Option<&Bound<'_, PyAny>>) -> PyResult<Pipeline> {
        let _ = shard_hint;
        Pipeline::new(slf, transaction)
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
        let _ = shard_hint;
        let py = slf.py();
        let watch_error = py.import("busbar.kvdb.exceptions")?.getattr("WatchError")?;
        loop {
            let pipeline = Bound::new(py, Pipeline::new(slf, true)?)?;
            if !watches.is_empty() {
                pipeline.call_method("watch", watches.clone(), None)?;
            }
            let result = func.call1((&pipeline,)).and_then(|value| {
                let executed = pipeline.call_method0("execute")?;
                Ok(if value_from_callable { value } else { executed })
            });
            pipeline.call_method0("reset")?;
            match result {
                Err(error) if error.matches(py, &watch_error)? => {
                    if let Some(delay) = watch_delay.filter(|delay| *delay > 0.0) {
                        slf.get()._pause(py, delay)?;
                    }
                }
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
    #[pyo3(signature = (name, r#match = None, count = None, no_values = None))]
    fn hscan_iter(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        r#match: Option<&Bound<'_, PyAny>>,
        count: Option<u64>,
        no_values: Option<bool>,
    ) -> PyResult<ScanIterator> {
        let scanned = if no_values == Some(true) {
            Scanned::Fields
        } else {
            Scanned::Hash
        };
        ScanIterator::new(slf, scanned, Some(name), r#match, count, None)
    }

    /// All members of a sorted set with their scores, a few at a time.
    #[pyo3(signature = (name, r#match = None, count = None, score_cast_func = None))]
    fn zscan_iter(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        r#match: Option<&Bound<'_, PyAny>>,
        count: Option<u64>,
        score_cast_func: Option<Py<PyAny>>,
    ) -> PyResult<ScanIterator> {
        let iterator = ScanIterator::new(slf, Scanned::SortedSet, Some(name), r#match, count, None)?;
        Ok(iterator.with_cast(score_cast_func))
    }

    /// A script that can be called like a function.
    fn register_script(slf: &Bound<'_, Self>, script: &Bound<'_, PyAny>) -> PyResult<Script> {
        Script::new(slf.as_any(), script)
    }

    /// What makes bytes of values and text of replies.
    fn get_encoder<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.connection_pool(py)?.call_method0("get_encoder")
    }

    /// What libraries ask about the connection: how values are encoded.
    #[getter]
    pub(super) fn connection_pool<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = py.import("busbar.kvdb.pool")?.getattr("ConnectionPool")?;
        class.call1((self.is_text,))
    }

    /// The same as `connection_pool.connection_kwargs`.
    fn get_connection_kwargs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.connection_pool(py)?.getattr("connection_kwargs")
    }

    /// Nothing is held open: this does nothing.
    fn close(&self) {}

    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyAny> {
        class_for(slf.as_any(), "redis", "Redis")
    }

    fn __copy__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __deepcopy__<'py>(slf: Bound<'py, Self>, _memo: &Bound<'py, PyAny>) -> Bound<'py, Self> {
        slf
    }

    fn __getattr__(slf: &Bound<'_, Self>, name: &str) -> PyResult<RedisMethod> {
        match Method::find(name) {
            Some(method) => Ok(RedisMethod {
                target: Target::Client(slf.clone().unbind()),
                method,
            }),
            None => Err(no_method("`self.kvdb.conn`", name)),
        }
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let value = self.run_words(&("GET", &key).into_pyobject(py)?)?;
        if value.is_none() {
            Err(PyKeyError::new_err(key.unbind()))
        } else {
            Ok(value)
        }
    }

    fn __setitem__(&self, py: Python<'_>, key: Bound<'_, PyAny>, value: Bound<'_, PyAny>) -> PyResult<()> {
        self.run_words(&("SET", key, value).into_pyobject(py)?).map(drop)
    }

    fn __delitem__(&self, py: Python<'_>, key: Bound<'_, PyAny>) -> PyResult<()> {
        self.run_words(&("DEL", key).into_pyobject(py)?).map(drop)
    }

    fn __contains__(&self, py: Python<'_>, key: Bound<'_, PyAny>) -> PyResult<bool> {
        self.run_words(&("EXISTS", key).into_pyobject(py)?)?.is_truthy()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyTuple>) {}

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

/// `bitfield` of a client or a pipeline.
pub(super) fn bitfield<'py>(
    client: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    default_overflow: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let class = client.py().import("busbar.kvdb.bitfield")?.getattr("BitField")?;
    class.call1((client, key, default_overflow))
}

/// What an object says that its class is. For `isinstance(conn, redis.Redis)`, in services that have imported `redis` themselves: nobody
/// else pays for it.
pub(super) fn class_for<'py>(object: &Bound<'py, PyAny>, module: &str, name: &str) -> Bound<'py, PyAny> {
    let imported = || {
        let modules = object.py().import("sys")?.getattr("modules")?;
        modules.get_item(module)?.getattr(name)
    };
    imported()
        .ok()
        .filter(|class| class.is_instance_of::<PyType>())
        .unwrap_or_else(|| object.get_type().into_any())
}

/// What is said of a name that is no method of this object.
pub(super) fn no_method(of: &str, name: &str) -> PyErr {
    PyAttributeError::new_err(match refused::reason(name) {
        Some(reason) => format!("`{name}` of {of} is not offered: {reason}"),
        None => format!(
            "{of} has no attribute `{name}`; commands that have no method of their own go through \
             execute_command('NAME OF THE COMMAND', ...)"
        ),
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
