//! `self.request` (service-api.md 5).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::exceptions::{PyAttributeError, PyImportError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString};

use busbar_model::DataFormat;
use busbar_runtime::Head;
use busbar_sio::{form, is_blank};

use crate::errors::{VALIDATION, ZATO_EXCEPTION};
use crate::headers::Headers;
use crate::json;
use crate::service::instance::Service;
use crate::service::invocation::{Invocation, Source};
use crate::service::params::{channel_params, parse_form, parse_multipart, parse_query, path_params};
use crate::service::slot::Slot;
use crate::service::wsgi;
use crate::sio::convert::bunchify;
use crate::sio::csv;
use crate::sio::input::{Sources, declared, give_nodes, undeclared};
use crate::sio::model::{Reading, as_dict};
use crate::sio::{CsvFormat, xml};

/// What a service was called with. Everything is made when it is first looked at.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Request {
    invocation: Arc<Invocation>,
    payload: Slot,
    raw: Slot,
    input: Slot,
    params: Slot,
    headers: Slot,
    http: Slot,
}

impl Request {
    pub(crate) fn new(invocation: Arc<Invocation>) -> Self {
        Self {
            invocation,
            payload: Slot::default(),
            raw: Slot::default(),
            input: Slot::default(),
            params: Slot::default(),
            headers: Slot::default(),
            http: Slot::default(),
        }
    }

    /// Reads declared input, so that what is wrong with it is known before any code of the service runs.
    pub(crate) fn read_declared_input(&self, service: &Bound<'_, Service>) -> PyResult<()> {
        let py = service.py();
        let Some(sio) = self.invocation.class.sio.as_ref().filter(|sio| sio.has_input()) else {
            return Ok(());
        };
        // an instance of the very model is passed on as it is
        if let (Source::Service(local), Some(plan)) = (&self.invocation.source, &sio.input_model)
            && local.payload.bind(py).is_instance(plan.get().class(py))?
        {
            self.input.set(local.payload.bind(py).clone());
            return Ok(());
        }
        let key = self.invocation.environment.secrets_key();
        if let Some(body) = self.csv_body(py)? {
            let rows = csv::rows(py, &sio.csv, &body)?;
            self.payload.set(rows.clone().into_any());
            let read = csv::read_input(sio, service.as_any(), &rows, key)?;
            self.input.set(read.into_any());
            return Ok(());
        }
        let params = self.merged_params(py)?;
        let body = if sio.declaration.use_channel_params_only {
            None
        } else {
            self.declared_body(py, params.as_ref())?
        };
        let sources = Sources {
            body: body.as_ref(),
            params: params.as_ref(),
            body_first: self.invocation.body_over_params,
        };
        if let Some(plan) = &sio.input_model {
            let reading = Reading {
                service: Some(service.as_any()),
            };
            self.input.set(reading.instance(plan.bind(py), &sources)?);
        } else if let Some(fields) = &sio.input {
            let input = declared(py, fields, &sources, key)?.into_any();
            if let Some(body) = body.as_ref().filter(|_| sio.gives_nodes && self.is_xml()) {
                give_nodes(fields, body, &self.payload(py)?, &input)?;
            }
            self.input.set(input);
        }
        Ok(())
    }

    fn is_xml(&self) -> bool {
        self.invocation.data_format == DataFormat::Xml && self.invocation.is_from_channel()
    }

    /// The body, if it is CSV.
    fn csv_body<'py>(&self, py: Python<'py>) -> PyResult<Option<Cow<'_, [u8]>>> {
        if self.invocation.data_format != DataFormat::Csv {
            return Ok(None);
        }
        match &self.invocation.source {
            Source::Channel(body) => Ok(Some(Cow::Borrowed(body))),
            Source::Service(local) => match local.payload.bind(py).cast::<PyString>() {
                Ok(text) => Ok(Some(Cow::Owned(text.to_str()?.as_bytes().to_vec()))),
                Err(_) => Ok(None),
            },
        }
    }

    /// The form in the body; `None` if it is none.
    fn form<'py>(&self, py: Python<'py>, body: &Bytes) -> PyResult<Option<Bound<'py, PyDict>>> {
        let head = self.invocation.head();
        let content_type = content_type(&head);
        if let Some(multipart) = content_type.filter(|_| form::is_multipart(content_type)) {
            return parse_multipart(py, multipart, body).map(Some);
        }
        let is_form = form::is_url_encoded(content_type) || self.invocation.data_format == DataFormat::Post;
        is_form.then(|| parse_form(py, body)).transpose()
    }

    /// The body as a dictionary of declared input, `None` if there is none to take elements from.
    fn declared_body<'py>(
        &self,
        py: Python<'py>,
        params: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let body = match &self.invocation.source {
            Source::Channel(body) if is_blank(body) => return Ok(None),
            Source::Channel(body) if self.invocation.data_format == DataFormat::Xml => {
                let sio = self.invocation.class.sio.as_ref();
                let is_soap = self.invocation.head().soap.is_some();
                let has_param = |name: &str| params.is_some_and(|params| params.contains(name).unwrap_or(false));
                return xml::read(py, sio, body, is_soap).map_err(|error| {
                    // what is missing is told before what does not fit, whoever looks
                    let declaration = sio.filter(|_| !is_soap).map(|sio| &sio.declaration);
                    match busbar_sio::check_xml(declaration, body, &has_param) {
                        Err(missing) => VALIDATION.error(py, (self.cid(), missing.message)),
                        Ok(()) => error,
                    }
                });
            }
            Source::Channel(body) if matches!(self.invocation.data_format, DataFormat::Form | DataFormat::Post) => {
                let form = self.form(py, body)?;
                if let Some(form) = &form {
                    self.payload.set(form.clone().into_any());
                }
                return Ok(form);
            }
            Source::Channel(body) => json::read(py, body)
                .map_err(|error| VALIDATION.error(py, (self.cid(), format!("invalid JSON: {error}"))))?,
            Source::Service(local) => {
                let payload = local.payload.bind(py).clone();
                match payload.cast::<PyString>() {
                    Ok(text)
                        if local.data_format.as_deref() == Some("json") && !is_blank(text.to_str()?.as_bytes()) =>
                    {
                        json::read(py, text.to_str()?.as_bytes())
                            .map_err(|error| VALIDATION.error(py, (self.cid(), format!("invalid JSON: {error}"))))?
                    }
                    _ => return as_dict(&payload),
                }
            }
        };
        self.payload.set(body.clone());
        // elements are not taken from lists; the payload still has them
        if body.is_instance_of::<PyList>() {
            return Ok(None);
        }
        match body.cast_into::<PyDict>() {
            Ok(body) => Ok(Some(body)),
            Err(_) => Err(VALIDATION.error(py, (self.cid(), "invalid JSON input: an object is expected"))),
        }
    }

    /// Parameters that go into the input.
    fn merged_params<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        if !self.invocation.merge_params || !self.invocation.is_from_channel() {
            return Ok(None);
        }
        let params = channel_params(py, &self.invocation.head())?;
        if let Some(params) = &params {
            self.params.set(params.clone().into_any());
        }
        Ok(params)
    }

    fn parse<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let body = match &self.invocation.source {
            Source::Service(local) => return Ok(local.payload.bind(py).clone()),
            Source::Channel(body) => body,
        };
        match self.invocation.data_format {
            DataFormat::Json | DataFormat::Xml if is_blank(body) => Ok(intern!(py, "").clone().into_any()),
            DataFormat::Json => match json::read(py, body) {
                Ok(value) => Ok(value),
                // a service that declares nothing may make something of it
                Err(_) if self.invocation.class.sio.is_none() => self.raw_request(py),
                Err(error) => Err(VALIDATION.error(py, (self.cid(), format!("invalid JSON: {error}")))),
            },
            DataFormat::Xml => self.parse_xml(py, body),
            DataFormat::Csv => {
                let default = CsvFormat::default();
                let format = self.invocation.class.sio.as_ref().map_or(&default, |sio| &sio.csv);
                Ok(csv::rows(py, format, body)?.into_any())
            }
            DataFormat::Form | DataFormat::Post => match self.form(py, body)? {
                Some(form) => Ok(form.into_any()),
                None => self.raw_request(py),
            },
            DataFormat::None | DataFormat::Dict => self.raw_request(py),
        }
    }

    /// The root as an object whose children are attributes. Entities are not resolved, DOCTYPEs were refused at the door.
    fn parse_xml<'py>(&self, py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let objectify = py.import(intern!(py, "lxml.objectify")).map_err(|_| {
            PyImportError::new_err(
                "cannot read an XML request as an object: install the package `lxml`, or use self.request.raw_request",
            )
        })?;
        busbar_sio::check_xml(None, body, &|_| true)
            .map_err(|error| VALIDATION.error(py, (self.cid(), error.message)))?;
        let is_soap = self.invocation.head().soap.is_some();
        let options = PyDict::new(py);
        options.set_item(intern!(py, "resolve_entities"), false)?;
        options.set_item(intern!(py, "no_network"), true)?;
        let parser = objectify.call_method(intern!(py, "makeparser"), (), Some(&options))?;
        let root = objectify.call_method1(intern!(py, "fromstring"), (PyBytes::new(py, body), parser))?;
        if is_soap { soap_payload(&root) } else { Ok(root) }
    }
}

#[pymethods]
impl Request {
    /// The parsed body: what JSON holds, the root of XML as an object, rows of CSV, names and values of a form, else the bytes. Called by another service: what it gave.
    #[getter]
    pub(crate) fn payload<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.payload.get_or_try_init(py, || self.parse(py))
    }

    #[setter]
    fn set_payload(&self, value: Bound<'_, PyAny>) {
        self.payload.set(value);
    }

    /// The body before parsing: bytes. Called by another service: what it gave.
    #[getter]
    fn raw_request<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.raw.get_or_try_init(py, || {
            Ok(match &self.invocation.source {
                Source::Channel(body) => PyBytes::new(py, body).into_any(),
                Source::Service(local) => local.payload.bind(py).clone(),
            })
        })
    }

    #[setter]
    fn set_raw_request(&self, value: Bound<'_, PyAny>) {
        self.raw.set(value);
    }

    /// The same as `raw_request`.
    #[getter]
    fn text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.raw_request(py)
    }

    /// The same as `raw_request`.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.raw_request(py)
    }

    /// Declared input; without a declaration the keys of the payload and the parameters, or a payload that is no dictionary.
    #[getter]
    fn input<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.input.get_or_try_init(py, || {
            let payload = self.payload(py)?;
            let params = self.merged_params(py)?;
            let is_message = payload.is_instance_of::<PyList>()
                || payload.is_instance_of::<PyBytes>()
                || payload.is_instance_of::<PyByteArray>()
                || payload.is_instance_of::<PyString>();
            if params.is_none() && is_message && payload.len()? > 0 {
                return Ok(payload);
            }
            let body = payload.cast_into::<PyDict>().ok();
            let sources = Sources {
                body: body.as_ref(),
                params: params.as_ref(),
                body_first: self.invocation.body_over_params,
            };
            undeclared(py, &sources).map(Bound::into_any)
        })
    }

    #[setter]
    fn set_input(&self, value: Bound<'_, PyAny>) {
        self.input.set(value);
    }

    /// Correlation id.
    #[getter]
    fn cid(&self) -> &str {
        self.invocation.shown_cid()
    }

    /// `json`, `xml`, `csv`, `form`, `post`, `dict` or an empty text.
    #[getter]
    fn data_format(&self) -> &str {
        self.invocation.shown_data_format()
    }

    /// `plain_http` or `soap` if the request came over HTTP, or its caller says so, else an empty text.
    #[getter]
    fn transport(&self) -> &str {
        transport(&self.invocation)
    }

    /// Path and query parameters.
    #[getter]
    fn channel_params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.params.get_or_try_init(py, || {
            let params = if self.invocation.is_from_channel() {
                channel_params(py, &self.invocation.head())?
            } else {
                None
            };
            Ok(params.unwrap_or_else(|| PyDict::new(py)).into_any())
        })
    }

    /// Whether parameters go into the input.
    #[getter]
    fn merge_channel_params(&self) -> bool {
        self.invocation.merge_params
    }

    /// Which wins where body and parameters have the same name.
    #[getter]
    fn params_priority(&self) -> &'static str {
        if self.invocation.body_over_params {
            "msg-over-channel-params"
        } else {
            "channel-params-over-msg"
        }
    }

    /// Headers of the HTTP request; names are found in any case.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.headers.get_or_try_init(py, || {
            Ok(Bound::new(py, Headers::new(self.invocation.head().headers()))?.into_any())
        })
    }

    /// What is about HTTP.
    #[getter]
    fn http<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.http.get_or_try_init(py, || {
            let http = HttpRequest {
                invocation: self.invocation.clone(),
                get: Slot::default(),
                post: Slot::default(),
                params: Slot::default(),
                headers: Slot::default(),
            };
            Ok(Bound::new(py, http)?.into_any())
        })
    }

    /// The payload with dictionaries whose keys are attributes.
    fn bunchified<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        bunchify(&self.payload(py)?)
    }

    /// The same as `bunchified()`.
    fn to_bunch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.bunchified(py)
    }

    /// The input as a plain dictionary.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let input = self.input(py)?;
        match input.cast::<PyDict>() {
            Ok(dict) => dict.copy(),
            Err(_) => Err(ZATO_EXCEPTION.error(py, (self.cid(), "the request is not a dictionary"))),
        }
    }

    /// A copy that can be used after the request is over.
    fn deepcopy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Self>> {
        let copied = Self::new(self.invocation.clone());
        let deepcopy = py.import(intern!(py, "copy"))?.getattr(intern!(py, "deepcopy"))?;
        copied.payload.set(deepcopy.call1((self.payload(py)?,))?);
        copied.input.set(deepcopy.call1((self.input(py)?,))?);
        copied.raw.set(self.raw_request(py)?);
        Bound::new(py, copied)
    }

    fn __getattr__(&self, name: &str) -> PyResult<()> {
        Err(PyAttributeError::new_err(if LATER.contains(&name) {
            format!("`self.request.{name}` is not available yet in this version of busbar")
        } else {
            format!("a request has no attribute `{name}`")
        }))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for slot in [
            &self.payload,
            &self.raw,
            &self.input,
            &self.params,
            &self.headers,
            &self.http,
        ] {
            slot.traverse(&visit)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        for slot in [
            &self.payload,
            &self.raw,
            &self.input,
            &self.params,
            &self.headers,
            &self.http,
        ] {
            slot.clear();
        }
    }
}

/// `self.request.http`
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct HttpRequest {
    invocation: Arc<Invocation>,
    get: Slot,
    post: Slot,
    params: Slot,
    headers: Slot,
}

#[pymethods]
impl HttpRequest {
    /// The HTTP method, in capitals.
    #[getter]
    fn method(&self) -> String {
        self.invocation.head().method.to_owned()
    }

    /// The path, percent-decoded.
    #[getter]
    fn path(&self) -> String {
        self.invocation.head().path.to_owned()
    }

    /// The client's `User-Agent`, or an empty text.
    #[getter]
    fn user_agent(&self) -> String {
        Headers::new(self.invocation.head().headers())
            .value("user-agent")
            .unwrap_or_default()
            .to_owned()
    }

    /// Headers; names are found in any case.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.headers.get_or_try_init(py, || {
            Ok(Bound::new(py, Headers::new(self.invocation.head().headers()))?.into_any())
        })
    }

    /// The query string as a dictionary; a repeated key is a list.
    #[getter(GET)]
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.get.get_or_try_init(py, || {
            parse_query(py, self.invocation.head().query.as_bytes()).map(Bound::into_any)
        })
    }

    /// The form in the body as a dictionary, on channels for forms and those without a data format; else empty.
    #[getter(POST)]
    fn post<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.post.get_or_try_init(py, || {
            let head = self.invocation.head();
            let content_type = content_type(&head);
            let is_form = content_type.is_some() && form::is_url_encoded(content_type)
                || self.invocation.data_format == DataFormat::Post;
            match &self.invocation.source {
                Source::Channel(body)
                    if form::is_multipart(content_type)
                        && matches!(
                            self.invocation.data_format,
                            DataFormat::None | DataFormat::Form | DataFormat::Post
                        ) =>
                {
                    parse_multipart(py, content_type.unwrap_or_default(), body).map(Bound::into_any)
                }
                Source::Channel(body)
                    if is_form
                        && matches!(
                            self.invocation.data_format,
                            DataFormat::None | DataFormat::Form | DataFormat::Post
                        ) =>
                {
                    parse_form(py, body).map(Bound::into_any)
                }
                _ => Ok(PyDict::new(py).into_any()),
            }
        })
    }

    /// The form in the body, `multipart/form-data` included: fields as text, files as bytes. Empty if the body is no form.
    fn get_form_data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let environ = wsgi::environ(py, &self.invocation)?;
        py.import(intern!(py, "zato.common.util.http_"))?
            .call_method1(intern!(py, "get_form_data"), (environ,))
            .map_err(|error| {
                if error.is_instance_of::<PyValueError>(py) {
                    VALIDATION.error(py, (self.invocation.shown_cid(), error.value(py).to_string()))
                } else {
                    error
                }
            })
    }

    /// Path parameters; query parameters too where the channel lets those win.
    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.params.get_or_try_init(py, || {
            let head = self.invocation.head();
            let params = if head.path_over_query {
                path_params(py, &head)?
            } else {
                channel_params(py, &head)?.unwrap_or_else(|| PyDict::new(py))
            };
            bunchify(params.as_any())
        })
    }
}

/// What requests of channels have that come in later versions.
pub(crate) const LATER: &[&str] = &["amqp", "wmq", "ibm_mq", "jms_wmq", "hl7"];

/// What a request says that its body is.
fn content_type<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    head.headers()
        .find(|(name, _)| *name == "content-type")
        .map(|(_, value)| value)
}

/// The first element in the body of a SOAP envelope; an empty text if there is none.
fn soap_payload<'py>(envelope: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = envelope.py();
    // comments are no elements
    let only_elements = PyDict::new(py);
    only_elements.set_item(intern!(py, "tag"), intern!(py, "{*}*"))?;
    let children = |element: &Bound<'py, PyAny>| {
        element
            .call_method(intern!(py, "iterchildren"), (), Some(&only_elements))?
            .try_iter()
    };
    for part in children(envelope)? {
        let part = part?;
        let name: String = part.getattr(intern!(py, "tag"))?.extract()?;
        if name.ends_with("}Body") {
            return match children(&part)?.next() {
                Some(payload) => payload,
                None => break,
            };
        }
    }
    Ok(intern!(py, "").clone().into_any())
}

/// `plain_http` or `soap` if the request came over HTTP, or its caller says so, else an empty text.
pub(crate) fn transport(invocation: &Invocation) -> &str {
    let head = invocation.head();
    if !invocation.is_from_channel() {
        ""
    } else if !head.transport.is_empty() || head.method.is_empty() {
        head.transport
    } else if head.soap.is_some() {
        "soap"
    } else {
        "plain_http"
    }
}
