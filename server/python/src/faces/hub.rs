//! What classes in Python need of the native side: the hub, waiting, and values as bytes.

use bytes::Bytes;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};

use busbar_model::Error;
use busbar_runtime::HubRequest;

use crate::errors::to_python;
use crate::service::instance::Service;
use crate::{kept, turn};

/// Asks something of the hub, where things live that all workers share.
#[pyfunction]
fn ask_hub<'py>(
    py: Python<'py>,
    service: &Bound<'py, Service>,
    kind: String,
    name: String,
    operation: String,
    parts: Vec<Vec<u8>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let environment = &service.get().invocation()?.environment;
    let answer = environment.hub.request(HubRequest {
        kind,
        name: name.clone(),
        operation,
        parts: parts.into_iter().map(Bytes::from).collect(),
    });
    let answer = turn::block_on(py, environment, answer).map_err(|error| to_python(py, &error, &name))?;
    Ok(PyBytes::new(py, &answer))
}

/// Waits for so many seconds. Other calls run meanwhile; the call's own deadline ends the wait.
#[pyfunction]
fn pause(py: Python<'_>, service: &Bound<'_, Service>, seconds: f64) -> PyResult<()> {
    let duration = std::time::Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("cannot wait for {seconds} seconds")))?;
    let wait = async move {
        tokio::time::sleep(duration).await;
        Ok::<(), Error>(())
    };
    turn::block_on(py, &service.get().invocation()?.environment, wait).map_err(|error| to_python(py, &error, "pause"))
}

/// Plain data as bytes that outlive the process: what JSON can carry, dates, `Decimal`, bytes and the like.
#[pyfunction]
fn pack<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &kept::pack(value)?))
}

/// The same, but `None` for anything that JSON cannot carry just as it is.
#[pyfunction]
fn pack_exactly<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    if kept::is_plain(value) {
        return Ok(Some(PyBytes::new(py, &kept::pack(value)?)));
    }
    Ok(None)
}

/// What `pack` was given.
#[pyfunction]
fn unpack<'py>(py: Python<'py>, packed: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    kept::unpack(py, packed)
}

/// Adds the functions to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(ask_hub, module)?)?;
    module.add_function(wrap_pyfunction!(pause, module)?)?;
    module.add_function(wrap_pyfunction!(pack, module)?)?;
    module.add_function(wrap_pyfunction!(pack_exactly, module)?)?;
    module.add_function(wrap_pyfunction!(unpack, module)?)
}
