//! `self.outgoing.zmq` (service-api.md 11.5).

use std::sync::Arc;

use busbar_runtime::HubRequest;
use bytes::Bytes;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyMemoryView, PyString, PyTuple};

use crate::environment::Environment;
use crate::errors::{INACTIVE, to_python};
use crate::turn;

/// Kind of the objects.
const KIND: &str = "outgoing.zmq";

/// Connections over ZeroMQ, by name. Their sockets live in the hub, once for all workers.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Zmq(pub(crate) Arc<Environment>);

impl Zmq {
    /// Whether there is such a connection; `Inactive` if it is switched off.
    fn check(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        let snapshot = self.0.snapshot.load();
        match snapshot.get(KIND, name) {
            Some(record) if record.is_active => Ok(true),
            Some(_) => Err(INACTIVE.error(py, (name,))),
            None => Ok(false),
        }
    }

    fn item(&self, name: &str) -> ZmqItem {
        ZmqItem {
            environment: self.0.clone(),
            name: name.to_owned(),
        }
    }
}

#[pymethods]
impl Zmq {
    /// Sends a message over the connection of that name, and returns as soon as it is queued. Text is sent as UTF-8; a list, a tuple or the
    /// values of a dictionary are the parts of one message.
    #[pyo3(signature = (msg, name, *_args, **_kwargs))]
    fn send(
        &self,
        msg: &Bound<'_, PyAny>,
        name: &str,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        send(msg, &self.0, name)
    }

    /// This very object, for services that call it as a method.
    fn conn(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The connection of that name, or the default. `Inactive` if it is switched off.
    #[pyo3(signature = (name, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.check(py, name)? {
            Ok(Some(Bound::new(py, self.item(name))?.into_any()))
        } else {
            Ok(default)
        }
    }

    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<ZmqItem> {
        if self.check(py, name)? {
            Ok(self.item(name))
        } else {
            Err(PyKeyError::new_err(name.to_owned()))
        }
    }

    fn __contains__(&self, name: &str) -> bool {
        self.0.snapshot.load().get(KIND, name).is_some()
    }
}

/// One connection over ZeroMQ.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct ZmqItem {
    environment: Arc<Environment>,
    name: String,
}

#[pymethods]
impl ZmqItem {
    /// Sends a message, and returns as soon as it is queued.
    #[pyo3(signature = (msg, *_args, **_kwargs))]
    fn send(
        &self,
        msg: &Bound<'_, PyAny>,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        send(msg, &self.environment, &self.name)
    }

    /// This very object.
    #[getter]
    fn conn(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Name of the connection.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    fn __repr__(&self) -> String {
        format!("<outgoing.zmq `{}`>", self.name)
    }
}

fn send(msg: &Bound<'_, PyAny>, environment: &Environment, name: &str) -> PyResult<()> {
    let py = msg.py();
    let request = HubRequest {
        kind: KIND.to_owned(),
        name: name.to_owned(),
        operation: "send".to_owned(),
        parts: parts(msg)?,
    };
    let answer = environment.hub.request(request);
    turn::block_on(py, environment, answer).map_err(|error| to_python(py, &error, name))?;
    Ok(())
}

/// The parts of a message.
fn parts(msg: &Bound<'_, PyAny>) -> PyResult<Vec<Bytes>> {
    if msg.is_instance_of::<PyDict>() {
        return msg
            .call_method0(intern!(msg.py(), "values"))?
            .try_iter()?
            .map(|part| part_of(&part?))
            .collect();
    }
    if msg.is_instance_of::<PyList>() || msg.is_instance_of::<PyTuple>() {
        let parts = msg
            .try_iter()?
            .map(|part| part_of(&part?))
            .collect::<PyResult<Vec<_>>>()?;
        if parts.is_empty() {
            return Err(PyTypeError::new_err("cannot send a ZeroMQ message without parts"));
        }
        return Ok(parts);
    }
    Ok(vec![part_of(msg)?])
}

fn part_of(part: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(text) = part.cast::<PyString>() {
        return Ok(Bytes::copy_from_slice(text.to_str()?.as_bytes()));
    }
    if let Ok(bytes) = part.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    if part.is_instance_of::<PyByteArray>() || part.is_instance_of::<PyMemoryView>() {
        let bytes = part.py().get_type::<PyBytes>().call1((part,))?.cast_into::<PyBytes>()?;
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    if part.is_none() {
        return Err(PyTypeError::new_err("cannot send None as a ZeroMQ message"));
    }
    Ok(part.str()?.to_str()?.as_bytes().to_vec().into())
}

/// Adds the classes to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Zmq>()?;
    module.add_class::<ZmqItem>()
}

#[cfg(test)]
mod tests {
    use busbar_model::{Error, Kind};

    use super::*;
    use crate::testing::{attach, deploy};

    #[test]
    fn messages_go_to_the_hub() {
        attach(|py| {
            let deployed = deploy(
                py,
                "
class S(Service):
    def handle(self):
        self.outgoing.zmq.send('é', 'Fraud detection')
        self.out.zmq.conn().send(b'x', 'Fraud detection')
        self.out.zmq.send(['a', 1, bytearray(b'b')], 'Fraud detection')
        self.out.zmq.send({'k': 'v'}, 'Fraud detection')
        assert self.out.zmq.get('Fraud detection') is None and 'Fraud detection' not in self.out.zmq
        try: self.out.zmq['Fraud detection']
        except KeyError: pass
        else: assert False
        for bad in (None, []):
            try: self.out.zmq.send(bad, 'x')
            except TypeError: pass
            else: assert False
        self.response.payload = 'ok'
",
            );
            assert_eq!(deployed.text(py, "s", ""), "ok");
            let requests = deployed.hub.0.lock().unwrap();
            let sent: Vec<Vec<&[u8]>> = requests
                .iter()
                .map(|request| request.parts.iter().map(|part| &part[..]).collect())
                .collect();
            assert_eq!(
                sent,
                [vec!["é".as_bytes()], vec![b"x"], vec![b"a", b"1", b"b"], vec![b"v"]]
            );
            assert!(requests.iter().all(|request| request.kind == KIND
                && request.name == "Fraud detection"
                && request.operation == "send"));
        });
    }

    #[test]
    fn unknown_names_are_key_errors() {
        attach(|py| {
            let error = to_python(py, &Error::new(Kind::NotFound, "x"), "Fraud detection");
            assert!(error.is_instance_of::<PyKeyError>(py));
        });
    }
}
