//! Commands that go together.

use std::sync::Mutex;

use busbar_connectors::redis::{RedisFailure, RedisFailureKind, RedisSession, Reply};
use busbar_model::{Error, Kind};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::client::{Redis, RedisMethod, Target, bitfield, class_for, no_method};
use crate::faces::redis::errors::{failure_in, of_failure, raise, to_exception};
use crate::faces::redis::script::Script;
use crate::faces::redis::shape::{Shape, text_or_bytes};
use crate::faces::redis::table::Method;
use crate::faces::redis::values::encode;
use crate::sync::lock;
use crate::turn;

/// Commands that are kept until `execute()` sends them in one go. After `watch()` they are sent at once, until `multi()`.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Pipeline {
    client: Py<Redis>,
    is_transaction: bool,
    /// Scripts of redis-py that Redis has to know before `execute()`, since only their hashes are sent.
    scripts: Py<PySet>,
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

/// What a pipeline has of its client, since redis-py's pipelines are clients: none of these is a command to be kept.
const OF_CLIENT: [&str; 6] = [
    "hscan_iter",
    "pipeline",
    "pubsub",
    "scan_iter",
    "sscan_iter",
    "zscan_iter",
];

type Replies = Vec<Result<Reply, RedisFailure>>;

impl Pipeline {
    pub(super) fn new(client: &Bound<'_, Redis>, is_transaction: bool) -> PyResult<Self> {
        Ok(Self {
            client: client.clone().unbind(),
            is_transaction,
            scripts: PySet::empty(client.py())?.unbind(),
            state: Mutex::default(),
        })
    }

    /// Keeps a command, and gives the pipeline back so that calls can be chained; while something is watched, runs it at once.
    pub(super) fn take<'py>(slf: &Bound<'py, Self>, command: Command) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let is_watch = is_named(&command.words, &["WATCH"]);
        let mut state = lock(&this.state);
        if (state.session.is_none() && !is_watch) || state.is_multi {
            state.commands.push(command);
            return Ok(slf.clone().into_any());
        }
        drop(state);
        let Command { words, shape, cast } = command;
        if shape == Shape::Nothing {
            return Ok(PyList::empty(slf.py()).into_any());
        }
        let reply = this.run_now(slf.py(), words)?;
        shape.convert(&this.client.get().to(slf.py(), cast), reply)
    }

    /// Runs a command on the session; opens one if there is none.
    fn run_now(&self, py: Python<'_>, words: Vec<Vec<u8>>) -> PyResult<Reply> {
        let client = self.client.get();
        let redis = client.client(py)?;
        let session = lock(&self.state).session.take();
        let is_watching = session.is_some();
        let is_end = is_named(&words, &["UNWATCH", "DISCARD", "EXEC"]);
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
                if !(is_end && reply.is_ok()) {
                    lock(&self.state).session = Some(session);
                }
                reply.map_err(|failure| of_failure(py, &failure))
            }
        }
    }

    fn send(
        &self,
        py: Python<'_>,
        commands: Vec<Kept>,
        session: Option<RedisSession>,
        is_transaction: bool,
    ) -> PyResult<Replies> {
        let client = self.client.get();
        let redis = client.client(py)?;
        let is_watching = session.is_some();
        // kept for the error, which names the command
        let names: Vec<(usize, String)> = commands.iter().map(|it| (it.number, shown(&it.words))).collect();
        let words: Vec<_> = commands.into_iter().map(|it| it.words).collect();
        turn::block_on(py, client.environment(), async move {
            match session {
                Some(mut session) => session.pipeline(&words, is_transaction).await,
                None => redis.pipeline(&words, is_transaction).await,
            }
            .map_err(Error::from)
        })
        .map_err(|error| {
            let refused = failure_in(&error).and_then(|failure| Some((failure, names.get(failure.command()?)?)));
            match refused {
                Some((failure, (number, name))) => caused(py, *number, name, failure),
                None => watching_failed(py, &error, is_watching),
            }
        })
    }

    /// Has Redis learn the scripts of redis-py.
    fn load_scripts(&self, py: Python<'_>) -> PyResult<()> {
        let scripts = self.scripts.bind(py);
        while let Some(script) = scripts.pop() {
            let words = vec![
                b"SCRIPT".to_vec(),
                b"LOAD".to_vec(),
                encode(&script.getattr("script")?)?,
            ];
            self.client.get().run(py, Command::new(words, Shape::Text))?;
        }
        Ok(())
    }
}

/// A command on its way, and the how manieth of the pipeline it is.
struct Kept {
    number: usize,
    words: Vec<Vec<u8>>,
}

fn is_named(words: &[Vec<u8>], names: &[&str]) -> bool {
    let name = words.first().map_or(&[][..], Vec::as_slice);
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// What `execute()` raises: which command it was, and what Redis said.
fn caused(py: Python<'_>, number: usize, name: &str, failure: &RedisFailure) -> PyErr {
    let message = format!(
        "Command # {number} ({name}) of pipeline caused error: {}",
        failure.message()
    );
    raise(py, failure.kind().class_name(), &message)
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
    /// Sends what was kept, and gives a list of what each command gives. Raises the first error among them, unless told not to: then it is
    /// in the list. Raises `WatchError` if something that is watched was changed, also with nothing to send.
    #[pyo3(signature = (raise_on_error = true))]
    fn execute<'py>(&self, py: Python<'py>, raise_on_error: bool) -> PyResult<Bound<'py, PyList>> {
        let State {
            commands,
            session,
            is_multi,
        } = std::mem::take(&mut *lock(&self.state));
        let results = PyList::empty(py);
        if commands.is_empty() && session.is_none() {
            return Ok(results);
        }
        self.load_scripts(py)?;
        let mut kept = Vec::with_capacity(commands.len());
        let mut expected = Vec::with_capacity(commands.len());
        for (index, Command { words, shape, cast }) in commands.into_iter().enumerate() {
            let number = index + 1;
            let name = shown(&words);
            if shape != Shape::Nothing {
                kept.push(Kept { number, words });
            }
            expected.push((number, name, shape, cast));
        }
        let mut replies = self
            .send(py, kept, session, self.is_transaction || is_multi)?
            .into_iter();
        for (number, name, shape, cast) in expected {
            let reply = match shape {
                Shape::Nothing => Ok(Reply::Array(Vec::new())),
                _ => replies.next().unwrap_or(Ok(Reply::Nil)),
            };
            let result = match reply {
                Ok(Reply::Error(failure)) | Err(failure) if raise_on_error => {
                    return Err(caused(py, number, &name, &failure));
                }
                Ok(Reply::Error(failure)) | Err(failure) => Err(of_failure(py, &failure)),
                Ok(reply) => shape.convert(&self.client.get().to(py, cast), reply),
            };
            match result {
                Ok(value) => results.append(value)?,
                Err(error) if raise_on_error => return Err(error),
                Err(error) => results.append(error.value(py))?,
            }
        }
        Ok(results)
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
            words.push(encode(&name)?);
        }
        self.run_now(py, words).map(|_| true)
    }

    /// Forgets what is watched.
    fn unwatch(&self, py: Python<'_>) -> PyResult<bool> {
        if lock(&self.state).session.is_some() {
            self.run_now(py, vec![b"UNWATCH".to_vec()])?;
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
    fn reset(&self, py: Python<'_>) {
        self.scripts.bind(py).clear();
        let forgotten = std::mem::take(&mut *lock(&self.state));
        drop(forgotten);
    }

    /// The same as `reset()`.
    fn discard(&self, py: Python<'_>) {
        self.reset(py);
    }

    /// Keeps any command: its name, and its arguments.
    #[pyo3(signature = (*args, **options))]
    fn execute_command<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::take(slf, Command::by_hand(args, options)?)
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
    fn close(&self, py: Python<'_>) {
        self.reset(py);
    }

    /// A lock of the client: it is taken at once, not with the pipeline's commands.
    #[pyo3(signature = (*args, **options))]
    fn lock<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.client.bind(args.py()).call_method("lock", args.clone(), options)
    }

    /// A script that can be called like a function; then the pipeline keeps it as one of its commands.
    fn register_script(slf: &Bound<'_, Self>, script: &Bound<'_, PyAny>) -> PyResult<Script> {
        Script::new(slf.as_any(), script)
    }

    /// What makes bytes of values and text of replies.
    fn get_encoder<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.connection_pool(py)?.call_method0("get_encoder")
    }

    /// The same as the client's.
    #[getter]
    fn connection_pool<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.client.get().connection_pool(py)
    }

    /// What is kept, to look at: a tuple of the command's words and a dictionary of options for each.
    #[getter]
    fn command_stack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let stack = PyList::empty(py);
        // copied: no Python runs while the lock is held
        let commands: Vec<_> = lock(&self.state).commands.iter().map(|it| it.words.clone()).collect();
        for words in &commands {
            let words = words
                .iter()
                .map(|word| text_or_bytes(py, std::str::from_utf8(word).is_ok(), word))
                .collect::<PyResult<Vec<_>>>()?;
            stack.append((PyTuple::new(py, words)?, PyDict::new(py)))?;
        }
        Ok(stack)
    }

    /// Scripts of redis-py that are made known to Redis before the commands are sent.
    #[getter]
    fn scripts(&self, py: Python<'_>) -> Py<PySet> {
        self.scripts.clone_ref(py)
    }

    /// Whether something is watched.
    #[getter]
    fn watching(&self) -> bool {
        lock(&self.state).session.is_some()
    }

    /// Whether `multi()` was called.
    #[getter]
    fn explicit_transaction(&self) -> bool {
        lock(&self.state).is_multi
    }

    /// Whether the commands are sent as a transaction.
    #[getter]
    fn transaction(&self) -> bool {
        self.is_transaction
    }

    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyAny> {
        class_for(slf.as_any(), "redis.client", "Pipeline")
    }

    fn __getattr__<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(method) = Method::find(name) {
            let target = Target::Pipeline(slf.clone().unbind());
            return Ok(Bound::new(py, RedisMethod { target, method })?.into_any());
        }
        if OF_CLIENT.contains(&name) {
            return slf.get().client.bind(py).getattr(name);
        }
        Err(no_method("a pipeline", name))
    }

    fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let names = PyList::new(slf.py(), Method::names().chain(OF_CLIENT))?;
        for name in slf.get_type().dir()? {
            names.append(name)?;
        }
        Ok(names)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*args))]
    fn __exit__(&self, args: &Bound<'_, PyTuple>) {
        self.reset(args.py());
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
