//! What services catch: the classes of `redis.exceptions`.

use busbar_connectors::redis::RedisFailure;
use busbar_model::Error;
use pyo3::intern;
use pyo3::prelude::*;

use crate::errors::to_python;

/// The exception for an error of Redis.
pub(super) fn to_exception(py: Python<'_>, error: &Error) -> PyErr {
    match failure_in(error) {
        Some(failure) => of_failure(py, failure),
        None => to_python(py, error, "kvdb"),
    }
}

/// What Redis said, if this error comes from there.
pub(super) fn failure_in(error: &Error) -> Option<&RedisFailure> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<RedisFailure>())
}

/// The exception for a failure that stands in a list of replies.
pub(super) fn of_failure(py: Python<'_>, failure: &RedisFailure) -> PyErr {
    raise(py, failure.kind().class_name(), failure.message())
}

/// A value that Redis has no form for.
pub(super) fn data_error(py: Python<'_>, message: &str) -> PyErr {
    raise(py, "DataError", message)
}

/// A class of `redis.exceptions`, or the stand-in of the same name.
pub(super) fn raise(py: Python<'_>, name: &str, message: &str) -> PyErr {
    let raised = py
        .import(intern!(py, "busbar.kvdb.exceptions"))
        .and_then(|module| module.getattr(name))
        .and_then(|class| class.call1((message,)));
    raised.map_or_else(|error| error, PyErr::from_value)
}
