//! `self.server`

use std::sync::Arc;

use pyo3::prelude::*;

use crate::environment::Environment;

/// The server that runs the service.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Server(pub(crate) Arc<Environment>);

#[pymethods]
impl Server {
    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.0.server_name
    }

    /// Gives text back unchanged. Secrets reach services as plain text here; services that were written for servers which encrypt them
    /// decrypt all the same.
    fn decrypt<'py>(&self, data: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        data
    }

    fn __repr__(&self) -> String {
        format!("<Server `{}`>", self.0.server_name)
    }
}

/// Adds the class to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Server>()
}
