//! What callers catch: the classes of `busbar.sql.exceptions`.

use busbar_connectors::sql::{SqlFailure, SqlFailureClass};
use busbar_model::{Error, Kind};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors::to_python;

/// The exception for a failure.
pub(super) fn to_exception(py: Python<'_>, failure: &SqlFailure) -> PyErr {
    let error = || build(py, failure).unwrap_or_else(|error| error);
    if failure.class() != SqlFailureClass::Cancelled {
        return error();
    }
    let cancelled = to_python(py, &Error::new(Kind::Cancelled, failure.message()), "sql");
    if !failure.is_outcome_unknown() {
        return cancelled;
    }
    // whoever catches what databases do must hear of it
    let error = error();
    error.set_cause(py, Some(cancelled));
    error
}

fn build(py: Python<'_>, failure: &SqlFailure) -> PyResult<PyErr> {
    let class = class(py, failure.class().name())?;
    // MySQL's drivers give the number first
    let arguments = match (failure.errno(), failure.sqlstate()) {
        (Some(number), Some(_)) => (number, failure.message()).into_pyobject(py)?,
        _ => PyTuple::new(py, [failure.message()])?,
    };
    let error = class.call1(arguments)?;
    error.setattr("message", failure.message())?;
    error.setattr("sqlstate", failure.sqlstate())?;
    error.setattr("errno", failure.errno())?;
    error.setattr("is_disconnect", failure.is_disconnect())?;
    error.setattr("is_retriable", failure.is_retriable())?;
    error.setattr("is_outcome_unknown", failure.is_outcome_unknown())?;
    for (name, text) in failure.details() {
        error.setattr(name, text)?;
    }
    Ok(PyErr::from_value(error))
}

/// A failure that is found here.
pub(super) fn raise(py: Python<'_>, class: SqlFailureClass, message: impl Into<String>) -> PyErr {
    to_exception(py, &SqlFailure::new(class, message))
}

/// A class of `busbar.sql.exceptions`.
pub(super) fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("busbar.sql.exceptions")?.getattr(name)
}
