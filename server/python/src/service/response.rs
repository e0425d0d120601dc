//! `self.response` (service-api.md 6).

use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use crate::service::invocation::Invocation;
use crate::service::payload::SimpleIOPayload;
use crate::service::slot::{Made, Slot};
use crate::service::stream::is_stream;
use crate::service::write;
use crate::sio::model::new_instance;
use crate::sync::lock;

/// What a service answers.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Response {
    invocation: Arc<Invocation>,
    /// What was assigned, other than values of declared output.
    payload: Slot,
    /// Without declared output: what was set on the payload rather than assigned to it.
    free: Slot,
    /// Declared output.
    declared: Made<SimpleIOPayload>,
    headers: Made<PyDict>,
    plain: Mutex<Plain>,
}

/// What needs no interpreter.
#[derive(Debug, Clone, Default)]
struct Plain {
    /// `None`: the channel's own.
    content_type: Option<String>,
    status: Option<u16>,
    status_message: Option<String>,
    content_encoding: String,
    data_format: Option<String>,
    result: Option<String>,
    result_details: String,
    /// The payload is an instance of the declared model that nobody assigned: reading `self.response.payload` made it.
    payload_is_made: bool,
}

/// What a service has answered, before it is written.
pub(crate) enum Answer<'py> {
    /// Nothing.
    Nothing,
    /// A value as it was assigned, for which nothing is declared.
    Free(Bound<'py, PyAny>),
    /// Values of declared output, not converted yet.
    Declared(Bound<'py, SimpleIOPayload>),
}

impl Response {
    pub(crate) fn new(invocation: Arc<Invocation>) -> Self {
        Self {
            invocation,
            payload: Slot::default(),
            free: Slot::default(),
            declared: Made::default(),
            headers: Made::default(),
            plain: Mutex::default(),
        }
    }

    /// What has been answered.
    pub(crate) fn answer<'py>(&self, py: Python<'py>) -> PyResult<Answer<'py>> {
        if let Some(value) = self.payload.get(py) {
            if lock(&self.plain).payload_is_made && is_untouched(&value)? {
                return Ok(Answer::Nothing);
            }
            return Ok(Answer::Free(value));
        }
        if let Some(payload) = self.declared(py)? {
            return Ok(Answer::Declared(payload.clone()));
        }
        match self.free.get(py) {
            Some(value) if value.is_truthy()? => Ok(Answer::Free(value)),
            _ => Ok(Answer::Nothing),
        }
    }

    /// Status, content type and encoding. An empty content type: the service left it to the channel.
    pub(crate) fn chosen(&self) -> (u16, String, String) {
        let plain = lock(&self.plain);
        (
            plain.status.unwrap_or(200),
            plain.content_type.clone().unwrap_or_default(),
            plain.content_encoding.clone(),
        )
    }

    /// Sets the status on the service's behalf.
    pub(crate) fn choose_status(&self, status: u16) {
        lock(&self.plain).status = Some(status);
    }

    /// The headers that the service set, as they are sent; those that are `None` are not. Fails on names and values that would break the response.
    pub(crate) fn header_pairs(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let Some(headers) = self.headers.get(py) else {
            return Ok(Vec::new());
        };
        let mut pairs = Vec::new();
        // over a copy: turning a value into text may run code that changes the headers
        for (name, value) in headers.copy()? {
            let name = name.str()?.to_str()?.to_owned();
            let values = if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
                value.try_iter()?.collect::<PyResult<Vec<_>>>()?
            } else {
                vec![value]
            };
            // `None` is no value: the header is left out
            for value in values.iter().filter(|value| !value.is_none()) {
                let value = match value.cast::<PyBytes>() {
                    Ok(bytes) => String::from_utf8_lossy(bytes.as_bytes()).into_owned(),
                    Err(_) => value.str()?.to_str()?.to_owned(),
                };
                if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n', '\0']) {
                    return Err(PyValueError::new_err(format!("cannot send response header `{name}`")));
                }
                pairs.push((name.clone(), value));
            }
        }
        Ok(pairs)
    }

    /// Declared output; `None` if none is declared.
    fn declared<'py>(&self, py: Python<'py>) -> PyResult<Option<&Bound<'py, SimpleIOPayload>>> {
        if self
            .invocation
            .class
            .sio
            .as_ref()
            .is_none_or(|sio| sio.output.is_none())
        {
            return Ok(None);
        }
        let payload = self.declared.get_or_try_init(py, || {
            Py::new(py, SimpleIOPayload::new(py, self.invocation.class.clone()))
        })?;
        Ok(Some(payload))
    }
}

#[pymethods]
impl Response {
    /// What is answered. With declared output an object whose attributes are the declared names, with a model an instance of it; without
    /// either one that takes any name, with levels as deep as they are written: `self.response.payload.user.name = 'Ann'`.
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = self.payload.get(py) {
            return Ok(value);
        }
        if let Some(payload) = self.declared(py)? {
            return Ok(payload.clone().into_any());
        }
        let model = self
            .invocation
            .class
            .sio
            .as_ref()
            .and_then(|sio| sio.output_model.as_ref());
        if let Some(plan) = model {
            let instance = new_instance(plan.get().class(py))?;
            self.payload.set(instance.clone());
            lock(&self.plain).payload_is_made = true;
            return Ok(instance);
        }
        self.free.get_or_try_init(py, || {
            static FREE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            FREE.import(py, "busbar.free", "FreePayload")?.call0()
        })
    }

    #[setter]
    fn set_payload(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let Some(declared) = self.declared(py)? else {
            if !self.payload.get(py).is_some_and(|payload| payload.is(&value)) {
                lock(&self.plain).payload_is_made = false;
            }
            self.payload.set(value);
            return Ok(());
        };
        if value.is(declared) {
            self.payload.clear();
            return Ok(());
        }
        if bypasses_declaration(&value)? {
            self.payload.set(value);
        } else {
            declared.get().assign(&value)?;
            self.payload.clear();
        }
        Ok(())
    }

    /// The content type; assigning it keeps the channel's own from being used.
    #[getter]
    fn content_type(&self) -> String {
        lock(&self.plain)
            .content_type
            .clone()
            .unwrap_or_else(|| "text/plain".to_owned())
    }

    #[setter]
    fn set_content_type(&self, value: String) -> PyResult<()> {
        if value.contains(['\r', '\n', '\0']) {
            return Err(PyValueError::new_err("the content type must be one line"));
        }
        lock(&self.plain).content_type = Some(value);
        Ok(())
    }

    /// Headers to send along, a dictionary. A value that is a list sends its header several times.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = self.headers.get_or_try_init(py, || Ok(PyDict::new(py).unbind()))?;
        Ok(headers.clone())
    }

    #[setter]
    fn set_headers(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let copy = PyDict::new(py);
        copy.as_any().call_method1(intern!(py, "update"), (value,))?;
        let headers = self.headers(py)?;
        headers.clear();
        headers.update(copy.as_mapping())
    }

    /// The HTTP status, 200 to 599.
    #[getter]
    fn status_code(&self) -> u16 {
        lock(&self.plain).status.unwrap_or(200)
    }

    #[setter]
    fn set_status_code(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let status = match value.cast::<PyString>() {
            Ok(text) => text.to_str()?.trim().parse().ok(),
            Err(_) => value.extract::<u16>().ok(),
        };
        match status {
            Some(status @ 200..=599) => {
                lock(&self.plain).status = Some(status);
                Ok(())
            }
            _ => Err(PyValueError::new_err(format!(
                "status_code must be a number from 200 to 599, not {}",
                value.repr()?
            ))),
        }
    }

    /// The status in words.
    #[getter]
    fn status_message(&self) -> String {
        lock(&self.plain)
            .status_message
            .clone()
            .unwrap_or_else(|| "OK".to_owned())
    }

    #[setter]
    fn set_status_message(&self, value: String) {
        lock(&self.plain).status_message = Some(value);
    }

    /// `gzip` compresses the body.
    #[getter]
    fn content_encoding(&self) -> String {
        lock(&self.plain).content_encoding.clone()
    }

    #[setter]
    fn set_content_encoding(&self, value: Option<String>) -> PyResult<()> {
        let value = value.unwrap_or_default();
        if !matches!(value.as_str(), "" | "gzip" | "identity") {
            return Err(PyValueError::new_err(format!(
                "cannot encode responses with `{value}`: only `gzip` is supported"
            )));
        }
        lock(&self.plain).content_encoding = value;
        Ok(())
    }

    /// The channel's data format.
    #[getter]
    fn data_format(&self) -> String {
        lock(&self.plain)
            .data_format
            .clone()
            .unwrap_or_else(|| self.invocation.data_format.as_str().to_owned())
    }

    #[setter]
    fn set_data_format(&self, value: Option<String>) {
        lock(&self.plain).data_format = value;
    }

    /// `ZATO_OK`
    #[getter]
    fn result(&self) -> String {
        lock(&self.plain).result.clone().unwrap_or_else(|| "ZATO_OK".to_owned())
    }

    #[setter]
    fn set_result(&self, value: String) {
        lock(&self.plain).result = Some(value);
    }

    /// Details of the result.
    #[getter]
    fn result_details(&self) -> String {
        lock(&self.plain).result_details.clone()
    }

    #[setter]
    fn set_result_details(&self, value: String) {
        lock(&self.plain).result_details = value;
    }

    /// Length of the payload as it would be written now.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(write::body(py, &self.invocation, self.answer(py)?)?.len())
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.declared.traverse(&visit)?;
        self.headers.traverse(&visit)?;
        self.free.traverse(&visit)?;
        self.payload.traverse(&visit)
    }

    fn __clear__(&self) {
        self.free.clear();
        self.payload.clear();
    }
}

/// Whether no field of an instance has been set.
fn is_untouched(instance: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(match instance.getattr_opt(intern!(instance.py(), "__dict__"))? {
        Some(attributes) => attributes.len()? == 0,
        None => false,
    })
}

/// Whether a value is sent as it is although output is declared: texts, bytes, numbers, lists, nothing.
fn bypasses_declaration(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    if value.is_none()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
        || is_stream(value)?
    {
        return Ok(true);
    }
    // a named tuple is an item, any other one a list
    Ok(value.is_instance_of::<PyTuple>()
        && !value.hasattr(intern!(py, "_fields"))?
        && !value.hasattr(intern!(py, "_mapping"))?)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// An error about a payload that cannot be written.
pub(crate) fn cannot_write(value: &Bound<'_, PyAny>) -> PyErr {
    let name = value
        .get_type()
        .name()
        .map_or_else(|_| "an object".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("cannot send a payload of type {name}"))
}
