//! Connections of PEP 249.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use busbar_connectors::sql::{Engine, Scanned, SqlFailure, SqlFailureClass, SqlSession, SqlTarget, Style};
use busbar_model::{Error, Kind};
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::cursor::SqlCursor;
use super::errors::{class, raise, to_exception};
use super::pool;
use super::values::JsonForm;
use crate::environment::Environment;
use crate::errors::to_python;
use crate::service::instance::Service;
use crate::sync::lock;
use crate::turn;

/// Statements whose placeholders are remembered, by all connections together.
const MAX_SCANNED: usize = 4096;

type Scans = HashMap<(Engine, Option<Style>), HashMap<String, Arc<Scanned>>>;

static SCANNED: LazyLock<Mutex<Scans>> = LazyLock::new(Mutex::default);

/// The names of the exceptions that connections carry, as PEP 249 proposes.
const EXCEPTIONS: &[&str] = &[
    "Warning",
    "Error",
    "InterfaceError",
    "DatabaseError",
    "DataError",
    "OperationalError",
    "IntegrityError",
    "InternalError",
    "ProgrammingError",
    "NotSupportedError",
];

/// A connection to a database. Made by `busbar.sql.connect`.
#[pyclass(frozen, weakref, module = "_busbar")]
pub(crate) struct SqlConnection {
    pub(super) session: SqlSession,
    pub(super) environment: Arc<Environment>,
    style: Mutex<Style>,
    json_text: AtomicBool,
    json_loads: OnceLock<Py<PyAny>>,
    is_used: AtomicBool,
    info: Py<PyDict>,
}

/// The environment that a call asks for, or that of the process.
pub(super) fn environment(py: Python<'_>, service: Option<&Bound<'_, Service>>) -> PyResult<Arc<Environment>> {
    if let Some(service) = service {
        return Ok(service.get().invocation()?.environment.clone());
    }
    Environment::of_process().ok_or_else(|| {
        let error = Error::new(
            Kind::Config,
            "there is no server in this process whose connections could be used",
        );
        to_python(py, &error, "sql")
    })
}

/// Opens a connection: to the database of a URL, or one out of the pool of that name.
#[pyfunction]
#[pyo3(signature = (target, service, options))]
pub(super) fn sql_connect(
    py: Python<'_>,
    target: &str,
    service: Option<&Bound<'_, Service>>,
    options: Vec<(String, String)>,
) -> PyResult<SqlConnection> {
    let environment = environment(py, service)?;
    if !target.contains("://") {
        if let Some((name, _)) = options.first() {
            let message =
                format!("option `{name}` belongs to the object `{target}`, it cannot be given for one connection");
            return Err(raise(py, SqlFailureClass::Interface, message));
        }
        return pool::lease(py, &environment, target);
    }
    let target = SqlTarget::of_url(target, &options).map_err(|failure| to_exception(py, &failure))?;
    let session = turn::block_on(py, &environment, SqlSession::open(target));
    let session = session.map_err(|failure| to_exception(py, &failure))?;
    Ok(SqlConnection::new(py, session, environment))
}

impl SqlConnection {
    pub(super) fn new(py: Python<'_>, session: SqlSession, environment: Arc<Environment>) -> Self {
        Self {
            session,
            environment,
            style: Mutex::new(Style::Pyformat),
            json_text: AtomicBool::new(false),
            json_loads: OnceLock::new(),
            is_used: AtomicBool::new(false),
            info: PyDict::new(py).unbind(),
        }
    }

    /// Takes the connection for one thread, until the guard is dropped.
    pub(super) fn enter(&self, py: Python<'_>) -> PyResult<Used<'_>> {
        if self.is_used.swap(true, Ordering::AcqRel) {
            let message = "the connection is used by another thread; each thread needs one of its own";
            return Err(raise(py, SqlFailureClass::Programming, message));
        }
        Ok(Used(&self.is_used))
    }

    /// Waits for the database.
    pub(super) fn wait<T, F>(&self, py: Python<'_>, future: F) -> PyResult<T>
    where
        F: Future<Output = Result<T, SqlFailure>> + Send + 'static,
        T: Send + 'static,
    {
        let result = turn::block_on(py, &self.environment, future);
        self.session
            .waited(result)
            .map_err(|failure| to_exception(py, &failure))
    }

    /// A statement, cut at its placeholders.
    pub(super) fn scan(
        &self,
        py: Python<'_>,
        sql: &str,
        parameters: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Arc<Scanned>> {
        let engine = self.session.engine();
        let style = parameters.map(|parameters| match *lock(&self.style) {
            // as with Python's own driver, values with names have placeholders with names
            Style::Qmark if engine == Engine::Sqlite && parameters.is_instance_of::<PyDict>() => Style::Named,
            style => style,
        });
        let mut scans = lock(&SCANNED);
        let known = scans.entry((engine, style)).or_default();
        if let Some(scanned) = known.get(sql) {
            return Ok(scanned.clone());
        }
        let scanned = Scanned::new(sql, style, engine).map_err(|failure| to_exception(py, &failure))?;
        let scanned = Arc::new(scanned);
        if known.len() >= MAX_SCANNED {
            known.clear();
        }
        known.insert(sql.to_owned(), scanned.clone());
        Ok(scanned)
    }

    /// What becomes of JSON.
    pub(super) fn json_form(&self) -> JsonForm<'_> {
        match self.json_loads.get() {
            _ if self.json_text.load(Ordering::Relaxed) => JsonForm::Text,
            Some(loads) => JsonForm::Read(loads),
            None => JsonForm::Objects,
        }
    }
}

/// The connection while one thread has it.
pub(super) struct Used<'a>(&'a AtomicBool);

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[pymethods]
impl SqlConnection {
    /// Kind of database: `postgresql`, `mysql` or `sqlite`.
    #[getter]
    fn engine(&self) -> &'static str {
        self.session.engine().name()
    }

    /// Version of the server, as it says it.
    #[getter]
    fn server_version(&self) -> &str {
        &self.session.server().version
    }

    /// The number by which the server knows the connection; SQLite has none.
    #[getter]
    fn backend_pid(&self) -> Option<u64> {
        self.session.server().backend
    }

    /// Whatever the user of the connection keeps with it.
    #[getter]
    fn info(&self, py: Python<'_>) -> Py<PyDict> {
        self.info.clone_ref(py)
    }

    /// Whether each statement is committed by itself.
    #[getter]
    fn get_autocommit(&self) -> bool {
        self.session.autocommit()
    }

    #[setter]
    fn set_autocommit(&self, py: Python<'_>, autocommit: bool) -> PyResult<()> {
        self.session
            .set_autocommit(autocommit)
            .map_err(|failure| to_exception(py, &failure))
    }

    /// Isolation level of the transactions that follow; `None`: the server's.
    #[getter]
    fn get_isolation_level(&self) -> Option<&'static str> {
        if self.session.autocommit() {
            return Some("AUTOCOMMIT");
        }
        self.session.isolation()
    }

    #[setter]
    fn set_isolation_level(&self, py: Python<'_>, level: Option<&str>) -> PyResult<()> {
        self.session
            .set_isolation(level)
            .map_err(|failure| to_exception(py, &failure))
    }

    /// Whether transactions only read; `None`: the server's default. PostgreSQL only.
    #[getter]
    fn get_readonly(&self) -> Option<bool> {
        self.session.characteristics().0
    }

    #[setter]
    fn set_readonly(&self, py: Python<'_>, readonly: Option<bool>) -> PyResult<()> {
        self.session
            .set_read_only(readonly)
            .map_err(|failure| to_exception(py, &failure))
    }

    /// Whether transactions may wait until nothing can make them fail; `None`: the server's default. PostgreSQL only.
    #[getter]
    fn get_deferrable(&self) -> Option<bool> {
        self.session.characteristics().1
    }

    #[setter]
    fn set_deferrable(&self, py: Python<'_>, deferrable: Option<bool>) -> PyResult<()> {
        self.session
            .set_deferrable(deferrable)
            .map_err(|failure| to_exception(py, &failure))
    }

    /// How placeholders are spelt: `pyformat` (also `%s`), `format`, `qmark`, `numeric` or `named`.
    #[getter]
    fn get_paramstyle(&self) -> &'static str {
        lock(&self.style).name()
    }

    #[setter]
    fn set_paramstyle(&self, py: Python<'_>, style: &str) -> PyResult<()> {
        let parsed = Style::parse(style).ok_or_else(|| {
            let message = format!("paramstyle `{style}` is not one of pyformat, format, qmark, numeric and named");
            raise(py, SqlFailureClass::Interface, message)
        })?;
        *lock(&self.style) = parsed;
        Ok(())
    }

    /// Whether JSON comes as text, not as what it stands for.
    #[getter]
    fn get_json_text(&self) -> bool {
        self.json_text.load(Ordering::Relaxed)
    }

    #[setter]
    fn set_json_text(&self, json_text: bool) {
        self.json_text.store(json_text, Ordering::Relaxed);
    }

    /// What reads JSON, instead of the driver: a function that is given its text. It can be given once.
    #[getter]
    fn get_json_loads(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.json_loads.get().map(|loads| loads.clone_ref(py))
    }

    #[setter]
    fn set_json_loads(&self, py: Python<'_>, loads: Py<PyAny>) -> PyResult<()> {
        self.json_loads.set(loads).map_err(|_| {
            let message = "the connection has a function that reads JSON already";
            raise(py, SqlFailureClass::Programming, message)
        })
    }

    /// Whether the driver has begun a transaction that is still open.
    #[getter]
    fn in_transaction(&self) -> bool {
        self.session.in_transaction()
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.session.is_closed()
    }

    /// Whether it was lost, or a statement on it was cut off: it is of no use any more.
    #[getter]
    fn is_broken(&self) -> bool {
        self.session.is_broken()
    }

    /// A new cursor.
    fn cursor(slf: &Bound<'_, Self>) -> PyResult<SqlCursor> {
        if slf.get().session.is_closed() {
            return Err(raise(slf.py(), SqlFailureClass::Interface, "the connection is closed"));
        }
        Ok(SqlCursor::new(slf.clone().unbind()))
    }

    /// Runs a statement with a new cursor, and gives the cursor.
    #[pyo3(signature = (operation, parameters = None))]
    fn execute<'py>(
        slf: &Bound<'py, Self>,
        operation: &str,
        parameters: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, SqlCursor>> {
        let cursor = Bound::new(slf.py(), Self::cursor(slf)?)?;
        SqlCursor::execute(cursor, operation, parameters)
    }

    /// Commits the open transaction, if there is one.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let _used = self.enter(py)?;
        let session = self.session.clone();
        self.wait(py, async move { session.commit().await })
    }

    /// Rolls the open transaction back, if there is one.
    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        let _used = self.enter(py)?;
        let session = self.session.clone();
        self.wait(py, async move { session.rollback().await })
    }

    /// Raises `OperationalError` if the database does not answer.
    fn ping(&self, py: Python<'_>) -> PyResult<()> {
        let _used = self.enter(py)?;
        let session = self.session.clone();
        self.wait(py, async move { session.ping().await })
    }

    /// Rolls an open transaction back and closes the connection, or gives it back to its pool.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.session.is_closed() {
            return Ok(());
        }
        let _used = self.enter(py)?;
        let session = self.session.clone();
        self.wait(py, async move {
            session.close().await;
            Ok(())
        })
    }

    /// Closes the connection for good: it does not go back to its pool.
    fn invalidate(&self) {
        self.session.invalidate();
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Commits, or rolls back if there was an exception. The connection stays open.
    fn __exit__(
        &self,
        py: Python<'_>,
        exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if exception.is_none() {
            self.commit(py)
        } else {
            self.rollback(py)
        }
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if EXCEPTIONS.contains(&name) {
            return class(py, name);
        }
        Err(PyAttributeError::new_err(format!(
            "SQL connections have no attribute `{name}`"
        )))
    }

    fn __repr__(&self) -> String {
        let state = match (self.session.is_closed(), self.session.is_broken()) {
            (true, _) => ", closed",
            (_, true) => ", broken",
            _ => "",
        };
        format!("<SQL connection, {}{state}>", self.session.engine().name())
    }
}
