//! `self.outgoing`: what there is to call.

use std::sync::Arc;

use busbar_connectors::http::Transport;
use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::environment::Environment;
use crate::faces::http::PlainHttp;
use crate::faces::redis::RedisServers;
use crate::faces::zmq::Zmq;
use crate::service::invocation::Invocation;
use crate::service::slot::Made;

/// Outgoing connections, by type: `self.outgoing.plain_http['CRM']`.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Outgoing {
    invocation: Arc<Invocation>,
    sql: Made<PyAny>,
}

impl Outgoing {
    pub(super) fn new(invocation: Arc<Invocation>) -> Self {
        Self {
            invocation,
            sql: Made::default(),
        }
    }

    fn environment(&self) -> Arc<Environment> {
        self.invocation.environment.clone()
    }

    fn http(&self, transport: Transport) -> PlainHttp {
        PlainHttp::new(
            self.environment(),
            transport,
            self.invocation.given_cid().map(Arc::from),
        )
    }

    /// Closes what the call has left open. To be called when its answer has been written.
    pub(crate) fn finish(&self, py: Python<'_>) -> PyResult<()> {
        match self.sql.get(py) {
            Some(sql) => sql.call_method0(intern!(py, "finish")).map(drop),
            None => Ok(()),
        }
    }
}

#[pymethods]
impl Outgoing {
    /// Databases, through SQLAlchemy.
    #[getter]
    fn sql<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let sql = self.sql.get_or_try_init(py, || {
            let class = py.import("busbar.facilities.sql")?.getattr("SQLConnections")?;
            class
                .call1((self.invocation.class.info().name.as_str(),))
                .map(Bound::unbind)
        })?;
        Ok(sql.clone())
    }

    /// Connections over HTTP.
    #[getter]
    fn plain_http(&self) -> PlainHttp {
        self.http(Transport::PlainHttp)
    }

    /// Connections over HTTP; the same as `plain_http`.
    #[getter]
    fn rest(&self) -> PlainHttp {
        self.http(Transport::PlainHttp)
    }

    /// Connections over HTTP whose bodies go in SOAP envelopes.
    #[getter]
    fn soap(&self) -> PlainHttp {
        self.http(Transport::Soap)
    }

    /// Connections over ZeroMQ.
    #[getter]
    fn zmq(&self) -> Zmq {
        Zmq(self.environment())
    }

    /// Further Redis servers by name; everything else is that of `self.kvdb`.
    #[getter]
    fn redis(&self) -> RedisServers {
        RedisServers(self.environment())
    }

    fn __getattr__(&self, name: &str) -> PyResult<()> {
        Err(PyAttributeError::new_err(if LATER_OUTGOING.contains(&name) {
            format!("`self.outgoing.{name}` is not available yet in this version of busbar")
        } else {
            format!("there are no outgoing connections of type `{name}`")
        }))
    }
}

/// Types that later versions have.
pub(crate) const LATER_OUTGOING: &[&str] = &[
    "amqp",
    "ibm_mq",
    "wmq",
    "jms_wmq",
    "ftp",
    "sftp",
    "smb",
    "wsx",
    "odoo",
    "sap",
    "sms",
    "vault",
    "mongodb",
    "ldap",
    "hl7",
    "graphql",
    "kafka",
    "es",
    "cassandra",
];
