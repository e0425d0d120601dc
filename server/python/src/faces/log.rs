//! Python's log records, in the log of the server.

use pyo3::prelude::*;

/// Takes one record of Python's `logging`: its level as a number, the logger's name, the formatted message with its traceback.
#[pyfunction]
fn log(py: Python<'_>, level: u32, logger: &str, message: &str) {
    let current = crate::turn::current();
    let cid = current.as_ref().map(|current| tracing::field::display(current.cid));
    // detached: a slow disk behind the log must not keep other threads from running Python
    py.detach(|| match level {
        40.. => tracing::error!(target: "service", logger, cid, "{message}"),
        30..40 => tracing::warn!(target: "service", logger, cid, "{message}"),
        20..30 => tracing::info!(target: "service", logger, cid, "{message}"),
        10..20 => tracing::debug!(target: "service", logger, cid, "{message}"),
        _ => tracing::trace!(target: "service", logger, cid, "{message}"),
    });
}

/// Adds the function to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(log, module)?)
}
