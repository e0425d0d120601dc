//! Commands that go together.

use std::sync::Mutex;

use busbar_connectors::redis::{RedisFailure, RedisFailureKind, RedisSession, Reply};
use busbar_model::{Error, Kind};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::client::{Redis, RedisMethod, Target, bitfield, no_method};
use crate::faces::redis::errors::{of_failure, raise, to_exception};
use crate::faces::redis::table::Method;
use crate::sync::lock;
use crate::turn;

/// Commands that are kept until `execute()` sends them in one go. After `watch()` they are sent at once, until `multi()`.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Pipeline {
    client: Py<Redis>,
    is_transaction: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    /// The connection on which something is watched.
    session: Option<RedisSession>,
    /// `multi()` was called: commands are kept although something is watched.
    is_multi: bool,
}

type Replies = Vec<Result<Reply, RedisFailure>>;

impl Pipeline {
    pub(super) fn new(client: Py<Redis>, is_transaction: bool) -> Self {
        Self {
            client,
            is_transaction,
            state: Mutex::default(),
        }
    }

    /// Keeps a command, and gives the pipeline back so that calls can be chained; while something is watched, runs it at once.
    pub(super) fn take<'py>(slf: &Bound<'py, Self>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let mut state = lock(&this.state);
        if state.session.is_none() || state.is_multi {
            state.commands.push(command);
            return Ok(slf.clone().into_any());
        }
        drop(state);
        let Command { words, shape, cast } = command;
        let reply = this.run_now(slf.py(), words)?;
        shape.convert(&this.client.get().to(slf.py(), cast), reply)
    }

    /// Runs a command on the session; opens one if there is none.
    fn run_now(&self, py: Python<'_>, words: Vec<Vec<u8>>) -> PyResult<Reply> {
        let client = self.client.get();
        let redis = client.client(py)?;
        let session = lock(&self.state).session.take();
        let is_watching = session.is_some();
        let (session, reply) = turn::block_on(py, client.environment(), async move {
            let mut session = match session {
                Some(session) => session,
                None => redis.session_for(&words).await?,
            };
            let reply = session.execute(&words).await;
            Ok::<_, Error>((session, reply))
        })
        .map_err(|error| to_exception(py, &error))?;
        match reply {
            Err(failure) if failure.kind() == RedisFailureKind::Connection => {
                Err(watching_failed(py, &failure.into(), is_watching))
            }
            reply => {
                lock(&self.state).session = Some(session);
                reply.map_err(|failure| of_failure(py, &failure))
            }
        }
    }

    fn send(&self, py: Python<'_>, commands: Vec<Vec<Vec<u8>>>, session: Option<RedisSession>) -> PyResult<Replies> {
        let client = self.client.get();
        let redis = client.client(py)?;
        let is_watching = session.is_some();
        let is_transaction = self.is_transaction || is_watching;
        turn::block_on(py, client.environment(), async move {
            match session {
                Some(mut session) => session.pipeline(&commands, is_transaction).await,
                None => redis.pipeline(&commands, is_transaction).await,
            }
            .map_err(Error::from)
        })
        .map_err(|error| watching_failed(py, &error, is_watching))
    }
}

/// What was watched when the connection was lost may have been changed: whoever tries again reads it anew.
fn watching_failed(py: Python<'_>, error: &Error, is_watching: bool) -> PyErr {
    if is_watching && error.kind() == Kind::Connection {
        return raise(
            py,
            "WatchError",
            "A ConnectionError occurred on while watching one or more keys",
        );
    }
    to_exception(py, error)
}

#[pymethods]
impl Pipeline {
    /// Sends what was kept, and gives a list of what each command gives. Raises the first error among them, unless told not to.
    #[pyo3(signature = (raise_on_error = true))]
    fn execute<'py>(&self, py: Python<'py>, raise_on_error: bool) -> PyResult<Bound<'py, PyList>> {
        let State { commands, session, .. } = std::mem::take(&mut *lock(&self.state));
        let results = PyList::empty(py);
        if commands.is_empty() {
            return Ok(results);
        }
        let (words, shapes): (Vec<_>, Vec<_>) = commands
            .into_iter()
            .map(|Command { words, shape, cast }| (words, (shape, cast)))
            .unzip();
        // kept for the error, which names the command
        let names: Vec<String> = words.iter().map(|words| shown(words)).collect();
        let replies = self.send(py, words, session)?;
        let mut first_error = None;
        for (index, (reply, (shape, cast))) in replies.into_iter().zip(shapes).enumerate() {
            let result = match reply {
                Ok(Reply::Error(failure)) | Err(failure) => {
                    let name = names.get(index).map_or("", String::as_str);
                    let message = format!(
                        "Command # {} ({name}) of pipeline caused error: {}",
                        index + 1,
                        failure.message()
                    );
                    Err(raise(py, failure.kind().class_name(), &message))
                }
                Ok(reply) => shape.convert(&self.client.get().to(py, cast), reply),
            };
            match result {
                Ok(value) => results.append(value)?,
                Err(error) => {
                    results.append(error.value(py))?;
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if raise_on_error => Err(error),
            _ => Ok(results),
        }
    }

    /// Watches keys: if one of them is changed before `execute()`, that raises `WatchError` and nothing is done.
    #[pyo3(signature = (*names))]
    fn watch(&self, names: &Bound<'_, PyTuple>) -> PyResult<bool> {
        let py = names.py();
        if lock(&self.state).is_multi {
            return Err(raise(py, "RedisError", "Cannot issue a WATCH after a MULTI"));
        }
        let mut words = vec![b"WATCH".to_vec()];
        for name in names {
            words.push(super::values::encode(&name)?);
        }
        self.run_now(py, words).map(|_| true)
    }

    /// Forgets what is watched.
    fn unwatch(&self, py: Python<'_>) -> PyResult<bool> {
        if lock(&self.state).session.is_some() {
            self.run_now(py, vec![b"UNWATCH".to_vec()])?;
            lock(&self.state).session = None;
        }
        Ok(true)
    }

    /// From here on commands are kept again, although something is watched.
    fn multi(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = lock(&self.state);
        let wrong = if state.is_multi {
            Some("Cannot issue nested calls to MULTI")
        } else if !state.commands.is_empty() {
            Some("Commands without an initial WATCH have already been issued")
        } else {
            None
        };
        if let Some(message) = wrong {
            drop(state);
            return Err(raise(py, "RedisError", message));
        }
        state.is_multi = true;
        Ok(())
    }

    /// Forgets what was kept and what is watched.
    fn reset(&self) {
        let forgotten = std::mem::take(&mut *lock(&self.state));
        drop(forgotten);
    }

    /// The same as `reset()`.
    fn discard(&self) {
        self.reset();
    }

    /// Keeps any command: its name, and its arguments.
    #[pyo3(signature = (*args, **_options))]
    fn execute_command<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        _options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::take(slf, Command::by_hand(args)?)
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

    /// The same as `reset()`.
    fn close(&self) {
        self.reset();
    }

    fn __getattr__(slf: &Bound<'_, Self>, name: &str) -> PyResult<RedisMethod> {
        match Method::find(name) {
            Some(method) => Ok(RedisMethod {
                target: Target::Pipeline(slf.clone().unbind()),
                method,
            }),
            None => Err(no_method(name)),
        }
    }

    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let names = PyList::new(slf.py(), Method::names())?;
        for name in slf.get_type().dir()? {
            names.append(name)?;
        }
        Ok(names)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyTuple>) {
        self.reset();
    }

    fn __len__(&self) -> usize {
        lock(&self.state).commands.len()
    }

    fn __bool__(&self) -> bool {
        true
    }
}

/// A command as errors show it, its values cut short.
fn shown(words: &[Vec<u8>]) -> String {
    let text = words
        .iter()
        .map(|word| String::from_utf8_lossy(word))
        .collect::<Vec<_>>()
        .join(" ");
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
