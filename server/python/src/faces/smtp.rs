//! What `self.email.smtp` sends its messages with (service-api.md 11.8).

use std::sync::Arc;

use pyo3::prelude::*;

use crate::environment::Environment;
use crate::errors::to_python;
use crate::service::instance::Service;
use crate::turn;

/// A connection to a mail server.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct SmtpLine {
    environment: Arc<Environment>,
    name: String,
}

#[pymethods]
impl SmtpLine {
    /// The connection of that name. KeyError if there is none, `Inactive` if it is switched off.
    #[new]
    fn new(service: &Bound<'_, Service>, name: String) -> PyResult<Self> {
        let environment = service.get().invocation()?.environment.clone();
        environment
            .smtp
            .get(&name)
            .map_err(|error| to_python(service.py(), &error, &name))?;
        Ok(Self { environment, name })
    }

    /// User name that it logs in with; empty if it does not.
    #[getter]
    fn username(&self, py: Python<'_>) -> PyResult<String> {
        let connection = self.environment.smtp.get(&self.name);
        connection
            .map(|connection| connection.config().username.clone())
            .map_err(|error| to_python(py, &error, &self.name))
    }

    /// Sends a message that is written out, from an address to others.
    fn send(&self, py: Python<'_>, from_: String, to: Vec<String>, message: Vec<u8>) -> PyResult<()> {
        let connection = self.environment.smtp.get(&self.name);
        let result = connection.and_then(|connection| {
            turn::block_on(py, &self.environment, async move {
                connection.send(&from_, &to, &message).await
            })
        });
        result.map_err(|error| to_python(py, &error, &self.name))
    }

    /// Whether the server answers.
    fn ping(&self, py: Python<'_>) -> PyResult<bool> {
        let connection = self.environment.smtp.get(&self.name);
        let result = connection
            .and_then(|connection| turn::block_on(py, &self.environment, async move { connection.ping().await }));
        result.map_err(|error| to_python(py, &error, &self.name))
    }
}

/// Adds the class to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SmtpLine>()
}
