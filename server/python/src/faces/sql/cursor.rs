//! Cursors of PEP 249.

use std::sync::{Arc, Mutex};

use busbar_connectors::sql::{Batch, Outcome, SqlFailureClass, SqlRequest, Style};
use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple, PyType};

use super::connection::SqlConnection;
use super::errors::raise;
use super::values::{list, tuple};
use crate::sync::lock;

static COLUMN: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// A cursor. Made by `connection.cursor()`.
#[pyclass(frozen, weakref, module = "_busbar")]
pub(crate) struct SqlCursor {
    connection: Py<SqlConnection>,
    state: Mutex<State>,
}

struct State {
    outcome: Option<Arc<Outcome>>,
    /// Rows that have arrived.
    rows: Batch,
    description: Option<Py<PyList>>,
    read: usize,
    /// Of a statement that is done with: rows that it gave or changed, and the id that it made.
    ended: (Option<u64>, Option<i64>),
    array_size: usize,
    is_closed: bool,
}

impl SqlCursor {
    pub(super) fn new(connection: Py<SqlConnection>) -> Self {
        Self {
            connection,
            state: Mutex::new(State {
                outcome: None,
                rows: Batch::default(),
                description: None,
                read: 0,
                ended: (None, None),
                array_size: 1,
                is_closed: false,
            }),
        }
    }

    /// Makes room for what comes of another statement.
    fn begin(&self) {
        self.clear();
        lock(&self.state).ended = (None, None);
    }

    /// Lets go of the result before.
    fn clear(&self) {
        let mut state = lock(&self.state);
        if let Some(outcome) = state.outcome.take() {
            let summary = outcome.summary();
            state.ended = (summary.count, summary.last_id);
            outcome.give_up();
        }
        state.rows = Batch::default();
        state.description = None;
        state.read = 0;
    }

    /// Of the last statement, also when the cursor is closed: SQLAlchemy closes it first.
    fn ended(&self) -> (Option<u64>, Option<i64>) {
        let state = lock(&self.state);
        state.outcome.as_ref().map_or(state.ended, |outcome| {
            let summary = outcome.summary();
            (summary.count, summary.last_id)
        })
    }

    fn run(&self, py: Python<'_>, request: SqlRequest) -> PyResult<()> {
        let connection = self.connection.get();
        let session = connection.session.clone();
        let outcome = connection.wait(py, async move { session.execute(request).await })?;
        let mut state = lock(&self.state);
        state.outcome = Some(outcome);
        Ok(())
    }

    /// The result that is read, if it has columns.
    fn result(&self, py: Python<'_>) -> PyResult<Arc<Outcome>> {
        let outcome = {
            let state = lock(&self.state);
            if state.is_closed {
                return Err(closed(py));
            }
            state.outcome.clone()
        };
        let found = outcome.filter(|outcome| outcome.summary().columns.is_some());
        found.ok_or_else(|| {
            raise(
                py,
                SqlFailureClass::Programming,
                "there are no rows to fetch: the statement gives none",
            )
        })
    }

    /// Up to so many rows.
    fn fetch<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let connection = self.connection.get();
        let _used = connection.enter(py)?;
        let outcome = self.result(py)?;
        let json_form = connection.json_form();
        let fetched = PyList::empty(py);
        let mut left = limit;
        while left > 0 {
            // the rows are taken out, so that nothing is locked while Python runs
            let mut rows = std::mem::take(&mut lock(&self.state).rows);
            if rows.is_empty() {
                rows = outcome.ready();
            }
            if rows.is_empty() {
                if !outcome.is_open() {
                    break;
                }
                let session = connection.session.clone();
                let waiting = outcome.clone();
                connection.wait(py, async move { session.fetch(&waiting).await })?;
                continue;
            }
            let mut failed = None;
            while left > 0
                && let Some(row) = rows.next_row()
            {
                left -= 1;
                match tuple(py, row, json_form) {
                    Ok(row) => fetched.append(row)?,
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            lock(&self.state).rows = rows;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        lock(&self.state).read += fetched.len();
        Ok(fetched)
    }
}

fn closed(py: Python<'_>) -> PyErr {
    raise(py, SqlFailureClass::Interface, "the cursor is closed")
}

#[pymethods]
impl SqlCursor {
    /// The connection that it belongs to.
    #[getter]
    fn connection(&self, py: Python<'_>) -> Py<SqlConnection> {
        self.connection.clone_ref(py)
    }

    /// A `Column` for each column, a tuple of seven: its name, the number of its type, and `None`; `None` if the statement gives no rows.
    #[getter]
    fn description(&self, py: Python<'_>) -> PyResult<Option<Py<PyList>>> {
        let outcome = {
            let state = lock(&self.state);
            if let Some(description) = &state.description {
                return Ok(Some(description.clone_ref(py)));
            }
            state.outcome.clone()
        };
        let Some(columns) = outcome.and_then(|outcome| outcome.summary().columns) else {
            return Ok(None);
        };
        let none = || py.None();
        let class = COLUMN.import(py, "busbar.sql.column", "Column")?;
        // without the check of arguments that a call of the class takes
        let new = py.get_type::<PyTuple>().getattr(intern!(py, "__new__"))?;
        let description = PyList::empty(py);
        for column in columns.iter() {
            let code = column.type_code;
            let fields = (column.name.as_str(), code, none(), none(), none(), none(), none());
            description.append(new.call1((class, fields))?)?;
        }
        let description = description.unbind();
        lock(&self.state).description = Some(description.clone_ref(py));
        Ok(Some(description))
    }

    /// Rows that the statement gave or changed; -1 if that is not known (yet).
    #[getter]
    fn rowcount(&self) -> i64 {
        let (count, _) = self.ended();
        count.and_then(|count| i64::try_from(count).ok()).unwrap_or(-1)
    }

    /// The id that the statement made; `None` if it made none, and with PostgreSQL.
    #[getter]
    fn lastrowid(&self) -> Option<i64> {
        let (_, last_id) = self.ended();
        last_id
    }

    /// Rows that `fetchmany` gives unless it is told.
    #[getter]
    fn get_arraysize(&self) -> usize {
        lock(&self.state).array_size
    }

    #[setter]
    fn set_arraysize(&self, size: usize) {
        lock(&self.state).array_size = size;
    }

    /// Place of the next row in the result, from 0; `None` without a result.
    #[getter]
    fn rownumber(&self) -> Option<usize> {
        let state = lock(&self.state);
        state.outcome.as_ref().map(|_| state.read)
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    /// Runs a statement. Without parameters its text is left as it is.
    #[pyo3(signature = (operation, parameters = None))]
    pub(super) fn execute<'py>(
        slf: Bound<'py, Self>,
        operation: &str,
        parameters: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let cursor = slf.get();
        let connection = cursor.connection.get();
        let _used = connection.enter(py)?;
        if lock(&cursor.state).is_closed {
            return Err(closed(py));
        }
        cursor.begin();
        let parameters = parameters.filter(|parameters| !parameters.is_none());
        let scanned = connection.scan(py, operation, parameters)?;
        let values = match parameters {
            Some(parameters) => list(&scanned, parameters)?,
            None => Vec::new(),
        };
        cursor.run(
            py,
            SqlRequest {
                scanned,
                lists: vec![values],
                is_many: false,
            },
        )?;
        Ok(slf.clone())
    }

    /// Runs a statement once for each of the parameters. What it gives is not kept.
    fn executemany<'py>(
        slf: Bound<'py, Self>,
        operation: &str,
        seq_of_parameters: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let cursor = slf.get();
        let connection = cursor.connection.get();
        let _used = connection.enter(py)?;
        if lock(&cursor.state).is_closed {
            return Err(closed(py));
        }
        cursor.begin();
        let mut sequence = seq_of_parameters.try_iter()?;
        if let Some(first) = sequence.next().transpose()? {
            let scanned = connection.scan(py, operation, Some(&first))?;
            let mut lists = vec![list(&scanned, &first)?];
            for parameters in sequence {
                lists.push(list(&scanned, &parameters?)?);
            }
            cursor.run(
                py,
                SqlRequest {
                    scanned,
                    lists,
                    is_many: true,
                },
            )?;
        }
        Ok(slf.clone())
    }

    /// Calls a procedure of MySQL, or a function of PostgreSQL whose result is then read; gives the parameters back. What a procedure gives
    /// back in its parameters is then in variables: `SELECT @_name_0, @_name_1`.
    #[pyo3(signature = (procname, parameters = None))]
    fn callproc<'py>(
        slf: Bound<'py, Self>,
        procname: &str,
        parameters: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let given: Vec<Bound<'py, PyAny>> = match parameters {
            Some(parameters) => parameters.try_iter()?.collect::<PyResult<_>>()?,
            None => Vec::new(),
        };
        let engine = slf.get().connection.get().session.engine();
        let is_plain = procname
            .chars()
            .all(|character| character.is_alphanumeric() || matches!(character, '_' | '.' | '$'));
        if !is_plain || procname.is_empty() {
            let message = format!("`{procname}` is no name of a procedure");
            return Err(raise(py, SqlFailureClass::Programming, message));
        }
        let verb = match engine {
            busbar_connectors::sql::Engine::Postgres => "SELECT * FROM",
            busbar_connectors::sql::Engine::MySql => "CALL",
            busbar_connectors::sql::Engine::Sqlite => {
                return Err(raise(py, SqlFailureClass::NotSupported, "SQLite has no procedures"));
            }
        };
        let connection = slf.get().connection.clone_ref(py);
        let placeholder = match Style::parse(connection.bind(py).getattr("paramstyle")?.extract::<&str>()?) {
            Some(Style::Qmark) => "?",
            Some(Style::Pyformat) => "%s",
            _ => {
                let message = "callproc needs a connection whose paramstyle is pyformat, format or qmark";
                return Err(raise(py, SqlFailureClass::NotSupported, message));
            }
        };
        let parameters = PyList::new(py, &given)?;
        if engine == busbar_connectors::sql::Engine::MySql {
            // by way of variables, in which callers find what the procedure gives back: `@_name_0`
            let variable = |index: usize| format!("@`_{procname}_{index}`");
            let variables: Vec<String> = (0..given.len()).map(variable).collect();
            if !given.is_empty() {
                let values = variables.iter().map(|variable| format!("{variable} = {placeholder}"));
                let sql = format!("SET {}", values.collect::<Vec<_>>().join(", "));
                Self::execute(slf.clone(), &sql, Some(parameters.as_any()))?;
            }
            Self::execute(slf, &format!("{verb} {procname}({})", variables.join(", ")), None)?;
            return Ok(parameters.into_any());
        }
        let placeholders = vec![placeholder; given.len()].join(", ");
        Self::execute(
            slf,
            &format!("{verb} {procname}({placeholders})"),
            Some(parameters.as_any()),
        )?;
        Ok(parameters.into_any())
    }

    /// The next row; `None` if there is none.
    fn fetchone<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let fetched = self.fetch(py, 1)?;
        if fetched.is_empty() {
            Ok(None)
        } else {
            fetched.get_item(0).map(Some)
        }
    }

    /// The next rows, `arraysize` if no number is given.
    #[pyo3(signature = (size = None))]
    fn fetchmany<'py>(&self, py: Python<'py>, size: Option<usize>) -> PyResult<Bound<'py, PyList>> {
        let size = size.unwrap_or_else(|| lock(&self.state).array_size);
        self.fetch(py, size)
    }

    /// All rows that are left.
    fn fetchall<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.fetch(py, usize::MAX)
    }

    /// Goes on to the next result of a script or a procedure; `None` if there is none.
    fn nextset(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        let connection = self.connection.get();
        let _used = connection.enter(py)?;
        let Some(outcome) = lock(&self.state).outcome.clone() else {
            return Ok(None);
        };
        let session = connection.session.clone();
        let waiting = outcome.clone();
        connection.wait(py, async move { session.fetch_all(&waiting).await })?;
        let has_next = outcome.next_set();
        let mut state = lock(&self.state);
        state.rows = Batch::default();
        state.description = None;
        state.read = 0;
        Ok(has_next.then_some(true))
    }

    /// Does nothing: the database says what sizes are.
    fn setinputsizes(&self, sizes: &Bound<'_, PyAny>) {
        let _ = sizes;
    }

    /// Does nothing.
    #[pyo3(signature = (size, column = None))]
    fn setoutputsize(&self, size: &Bound<'_, PyAny>, column: Option<&Bound<'_, PyAny>>) {
        let _ = (size, column);
    }

    /// Lets go of what was not read.
    fn close(&self) {
        self.clear();
        lock(&self.state).is_closed = true;
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.fetchone(py)?.ok_or_else(|| PyStopIteration::new_err(()))
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) {
        self.close();
    }
}
