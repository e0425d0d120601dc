//! `self.server`

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

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

    /// Name of the cluster. A server that stands alone is a cluster of its own name.
    #[getter]
    fn cluster_name(&self) -> &str {
        &self.0.server_name
    }

    /// The server's directory; `None` if it runs without one.
    #[getter]
    fn base_dir(&self) -> Option<&OsStr> {
        // text, as services join it with `+`, too
        Some(self.0.directory.as_os_str()).filter(|directory| !directory.is_empty())
    }

    /// Where the configuration is; `None` if the server runs without a directory.
    #[getter]
    fn repo_location(&self) -> Option<OsString> {
        self.base_dir()
            .map(|directory| Path::new(directory).join("config").into_os_string())
    }

    /// What `server.toml` says, with dots: `fs_server_config.http.address`.
    #[getter]
    fn fs_server_config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "busbar.facilities.server"))?
            .call_method1(intern!(py, "settings"), (self.repo_location(),))
    }

    /// The services that are deployed.
    #[getter]
    fn service_store<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let names = PyDict::new(py);
        for (name, class) in self.0.services.load().iter() {
            names.set_item(name, &class.info().impl_name)?;
        }
        py.import(intern!(py, "busbar.facilities.server"))?
            .call_method1(intern!(py, "ServiceStore"), (names,))
    }

    fn __repr__(&self) -> String {
        format!("<Server `{}`>", self.0.server_name)
    }
}

/// Adds the class to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Server>()
}
