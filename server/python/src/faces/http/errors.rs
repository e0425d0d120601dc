//! What services catch: the classes of `requests.exceptions`.

use busbar_connectors::http::outgoing::HttpFailure;
use busbar_model::Error;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};

use crate::errors::to_python;
use crate::faces::http::arguments::current_cid;

/// The exception for an error of an outgoing connection.
pub(crate) fn to_exception(py: Python<'_>, error: &Error, name: &str) -> PyErr {
    let Some(failure) = HttpFailure::of(error) else {
        return to_python(py, error, name);
    };
    let message = error.chain();
    match failure {
        HttpFailure::NoPathParams | HttpFailure::MissingPathParam(_) => PyValueError::new_err(failure.to_string()),
        HttpFailure::InvalidUrl { .. } => raise(py, "InvalidURL", message),
        HttpFailure::InvalidRequest(_) => raise(py, "InvalidHeader", message),
        HttpFailure::ConnectTimeout(_) => timeout(py, "ConnectTimeout", message),
        HttpFailure::ReadTimeout(_) => timeout(py, "ReadTimeout", message),
        HttpFailure::Tls { .. } => raise(py, "SSLError", message),
        HttpFailure::TooManyRedirects(_) => raise(py, "TooManyRedirects", message),
        HttpFailure::ContentDecoding { .. } => raise(py, "ContentDecodingError", message),
        HttpFailure::Truncated(_) => raise(py, "ChunkedEncodingError", message),
        HttpFailure::PoolTimeout(_)
        | HttpFailure::Resolve { .. }
        | HttpFailure::Connect { .. }
        | HttpFailure::Lost(_)
        | HttpFailure::Protocol(_) => raise(py, "ConnectionError", message),
        HttpFailure::TooLarge(_) => raise(py, "RequestException", message),
    }
}

/// A class of `requests.exceptions`, or the stand-in of the same name.
pub(crate) fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    Ok(py
        .import(intern!(py, "busbar.http.exceptions"))?
        .getattr(name)?
        .cast_into()?)
}

fn raise(py: Python<'_>, name: &str, message: String) -> PyErr {
    match class(py, name).and_then(|class| class.call1((message,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Time-outs can be caught both as what `requests` raises and as `TimeoutException`, which services of older versions expect.
fn timeout(py: Python<'_>, name: &'static str, message: String) -> PyErr {
    let raised = || -> PyResult<Bound<'_, PyAny>> {
        let error = both(py, name)?.call1((&message,))?;
        error.setattr(intern!(py, "msg"), &message)?;
        error.setattr(intern!(py, "cid"), current_cid())?;
        Ok(error)
    };
    raised().map_or_else(|error| error, PyErr::from_value)
}

fn both<'py>(py: Python<'py>, name: &'static str) -> PyResult<&'py Bound<'py, PyType>> {
    static CONNECT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static READ: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let made = if name == "ConnectTimeout" { &CONNECT } else { &READ };
    let class = made.get_or_try_init(py, || {
        let older = py.import("zato.common.exception")?.getattr("TimeoutException")?;
        let namespace = PyDict::new(py);
        namespace.set_item("__module__", "busbar.http.exceptions")?;
        namespace.set_item("__doc__", "It took longer than allowed.")?;
        let class = py
            .get_type::<PyType>()
            .call1((PyString::new(py, name), (class(py, name)?, older), namespace))?;
        Ok::<_, PyErr>(class.cast_into::<PyType>()?.unbind())
    })?;
    Ok(class.bind(py))
}
