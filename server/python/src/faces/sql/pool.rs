//! Pools of connections, by the names of their objects.

use std::sync::Arc;

use busbar_connectors::sql::{SqlFailureClass, SqlOutgoing};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

use super::connection::{SqlConnection, environment};
use super::errors::{raise, to_exception};
use crate::environment::Environment;
use crate::errors::to_python;
use crate::service::instance::Service;
use crate::turn;

/// A database and the connections to it that a worker keeps.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct SqlPool {
    environment: Arc<Environment>,
    name: String,
}

/// A connection out of the pool of that name.
pub(super) fn lease(py: Python<'_>, environment: &Arc<Environment>, name: &str) -> PyResult<SqlConnection> {
    let outgoing = find(py, environment, name)?;
    let Some(pool) = outgoing.pool().cloned() else {
        let message = format!(
            "outgoing.sql `{name}` is of the engine `{}`, whose connections are made by SQLAlchemy",
            outgoing.config().engine
        );
        return Err(raise(py, SqlFailureClass::NotSupported, message));
    };
    let session = turn::block_on(py, environment, async move { pool.session().await });
    let session = session.map_err(|failure| to_exception(py, &failure))?;
    Ok(SqlConnection::new(py, session, environment.clone()))
}

fn find(py: Python<'_>, environment: &Environment, name: &str) -> PyResult<Arc<SqlOutgoing>> {
    environment.sql.get(name).map_err(|error| to_python(py, &error, name))
}

impl SqlPool {
    fn outgoing(&self, py: Python<'_>) -> PyResult<Arc<SqlOutgoing>> {
        find(py, &self.environment, &self.name)
    }
}

#[pymethods]
impl SqlPool {
    /// The database of that name. KeyError if there is none, `Inactive` if it is switched off.
    #[new]
    #[pyo3(signature = (name, service = None))]
    fn new(py: Python<'_>, name: String, service: Option<&Bound<'_, Service>>) -> PyResult<Self> {
        let environment = environment(py, service)?;
        find(py, &environment, &name)?;
        Ok(Self { environment, name })
    }

    /// Names of all databases, in order.
    #[staticmethod]
    #[pyo3(signature = (service = None))]
    fn names(py: Python<'_>, service: Option<&Bound<'_, Service>>) -> PyResult<Vec<String>> {
        let mut names = environment(py, service)?.sql.names();
        names.sort();
        Ok(names)
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Whether its connections live in busbar; SQLAlchemy's own driver makes any others.
    #[getter]
    fn is_native(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.outgoing(py)?.pool().is_some())
    }

    /// Kind of database, as it was configured.
    #[getter]
    fn engine(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.outgoing(py)?.config().engine.clone())
    }

    /// `postgresql`, `mysql` or `sqlite`; of any other engine its name as it was configured.
    #[getter]
    fn dialect(&self, py: Python<'_>) -> PyResult<String> {
        let outgoing = self.outgoing(py)?;
        let config = outgoing.config();
        Ok(config
            .native()
            .map_or_else(|| config.engine.clone(), |engine| engine.name().to_owned()))
    }

    /// Its configuration without the password.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let outgoing = self.outgoing(py)?;
        let config = PyDict::new(py);
        config.set_item("name", &self.name)?;
        let fields = serde_json::to_value(outgoing.config()).unwrap_or(Value::Null);
        for (field, value) in fields.as_object().into_iter().flatten() {
            if field == "password" {
                continue;
            }
            match value {
                Value::String(text) => config.set_item(field, text)?,
                Value::Bool(flag) => config.set_item(field, flag)?,
                Value::Number(number) => match number.as_i64() {
                    Some(number) => config.set_item(field, number)?,
                    None => config.set_item(field, number.as_f64())?,
                },
                _ => {}
            }
        }
        Ok(config)
    }

    /// What SQLAlchemy needs to reach a database whose connections busbar does not make: a URL with the password in it.
    #[getter]
    fn url(&self, py: Python<'_>) -> PyResult<String> {
        let outgoing = self.outgoing(py)?;
        let config = outgoing.config();
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let mut url = format!("{}://", config.engine);
        if !config.username.is_empty() {
            url.push_str(&encode(&config.username));
            if !config.password.is_empty() {
                url.push(':');
                url.push_str(&encode(&config.password));
            }
            url.push('@');
        }
        url.push_str(&config.host);
        if config.port != 0 {
            url.push_str(&format!(":{}", config.port));
        }
        url.push('/');
        url.push_str(&config.db_name);
        Ok(url)
    }

    /// A connection. Waits for one to become free, as long as the object says.
    fn connect(&self, py: Python<'_>) -> PyResult<SqlConnection> {
        lease(py, &self.environment, &self.name)
    }

    /// Seconds that the database takes to answer. `OperationalError` if it does not.
    fn ping(&self, py: Python<'_>) -> PyResult<f64> {
        let outgoing = self.outgoing(py)?;
        let Some(pool) = outgoing.pool().cloned() else {
            let message = format!(
                "outgoing.sql `{}` is pinged by SQLAlchemy, its connections are not busbar's",
                self.name
            );
            return Err(raise(py, SqlFailureClass::NotSupported, message));
        };
        let took = turn::block_on(py, &self.environment, async move { pool.ping().await });
        took.map(|took| took.as_secs_f64())
            .map_err(|failure| to_exception(py, &failure))
    }

    /// Numbers of its connections in this worker.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let outgoing = self.outgoing(py)?;
        let stats = PyDict::new(py);
        if let Some(pool) = outgoing.pool() {
            let numbers = pool.stats();
            for (name, number) in [
                ("in_use", numbers.in_use),
                ("idle", numbers.idle),
                ("size", pool.limits().size as u64),
                ("overflow", pool.limits().overflow as u64),
                ("waiting", numbers.waiting),
                ("waited", numbers.waited),
                ("timed_out", numbers.timed_out),
                ("opened", numbers.opened),
                ("closed", numbers.closed),
            ] {
                stats.set_item(name, number)?;
            }
        }
        Ok(stats)
    }

    fn __repr__(&self) -> String {
        format!("<SQL pool `{}`>", self.name)
    }
}
