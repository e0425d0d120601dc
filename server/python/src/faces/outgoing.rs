//! `self.outgoing`: what there is to call.

use std::sync::Arc;

use busbar_connectors::http::Transport;
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

use crate::environment::Environment;
use crate::faces::http::PlainHttp;
use crate::faces::redis::RedisServers;
use crate::faces::zmq::Zmq;

/// Outgoing connections, by type: `self.outgoing.plain_http['CRM']`.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Outgoing(pub(crate) Arc<Environment>);

#[pymethods]
impl Outgoing {
    /// Connections over HTTP.
    #[getter]
    fn plain_http(&self) -> PlainHttp {
        PlainHttp(self.0.clone(), Transport::PlainHttp)
    }

    /// Connections over HTTP; the same as `plain_http`.
    #[getter]
    fn rest(&self) -> PlainHttp {
        PlainHttp(self.0.clone(), Transport::PlainHttp)
    }

    /// Connections over HTTP whose bodies go in SOAP envelopes.
    #[getter]
    fn soap(&self) -> PlainHttp {
        PlainHttp(self.0.clone(), Transport::Soap)
    }

    /// Connections over ZeroMQ.
    #[getter]
    fn zmq(&self) -> Zmq {
        Zmq(self.0.clone())
    }

    /// Further Redis servers by name; everything else is that of `self.kvdb`.
    #[getter]
    fn redis(&self) -> RedisServers {
        RedisServers(self.0.clone())
    }

    fn __getattr__(&self, name: &str) -> PyResult<()> {
        Err(PyAttributeError::new_err(if LATER.contains(&name) {
            format!("`self.outgoing.{name}` is not available yet in this version of busbar")
        } else {
            format!("there are no outgoing connections of type `{name}`")
        }))
    }
}

/// Types that later versions have.
const LATER: &[&str] = &[
    "sql",
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
