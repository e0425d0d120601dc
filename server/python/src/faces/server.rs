//! `self.server`

use std::sync::Arc;

use pyo3::prelude::*;

use crate::environment::Environment;
use crate::faces::crypto;

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

    /// The same as `self.crypto.encrypt`.
    fn encrypt(&self, data: &Bound<'_, PyAny>) -> PyResult<String> {
        crypto::encrypt(&self.0.key, data)
    }

    /// The same as `self.crypto.decrypt`: text that is not encrypted comes back as it is.
    fn decrypt<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        crypto::decrypt(&self.0.key, data)
    }

    fn __repr__(&self) -> String {
        format!("<Server `{}`>", self.0.server_name)
    }
}

/// Adds the class to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Server>()
}
