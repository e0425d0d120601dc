//! What services get back: the response, with the attributes that users of `requests` know, and `.data`.

use busbar_connectors::http::outgoing_config::OutgoingFormat;
use bytes::Bytes;
use pyo3::exceptions::{PyException, PyLookupError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDelta, PyDict, PyIterator, PyList, PyString, PyTuple};

use crate::faces::http::errors::class;
use crate::headers::Headers;
use crate::json;
use crate::service::Slot;

/// A response of another system.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct HttpResponse {
    response: busbar_connectors::http::outgoing::HttpResponse,
    format: OutgoingFormat,
    is_soap: bool,
    sent: Bytes,
    headers: PyOnceLock<Py<Headers>>,
    content: PyOnceLock<Py<PyBytes>>,
    text: Slot,
    data: Slot,
    encoding: Slot,
}

impl HttpResponse {
    pub(crate) fn new(
        response: busbar_connectors::http::outgoing::HttpResponse,
        format: OutgoingFormat,
        sent: Bytes,
    ) -> Self {
        Self {
            response,
            format,
            is_soap: false,
            sent,
            headers: PyOnceLock::new(),
            content: PyOnceLock::new(),
            text: Slot::default(),
            data: Slot::default(),
            encoding: Slot::default(),
        }
    }

    /// Whether `.data` is what the envelope's body holds.
    pub(crate) fn of_soap(self, is_soap: bool) -> Self {
        Self { is_soap, ..self }
    }

    fn content_type(&self) -> &str {
        self.response.header("content-type").unwrap_or_default()
    }

    /// What the content type says; `None` if it says nothing.
    fn charset(&self) -> Option<String> {
        let parameters = self.content_type().split(';').skip(1);
        let charset = parameters
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        charset
            .map(|(_, charset)| charset.trim().trim_matches(['"', '\'']).to_owned())
            .filter(|charset| !charset.is_empty())
    }

    /// Whether the status tells of no error.
    pub(crate) fn is_ok(&self) -> bool {
        self.response.status < 400
    }

    fn parse<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let content_type = this.content_type().to_ascii_lowercase();
        if this.format == OutgoingFormat::Json || content_type.contains("application/json") {
            if busbar_sio::is_blank(&this.response.body) {
                return Ok(intern!(py, "").clone().into_any());
            }
            return json::read_lenient(py, &this.response.body).map_err(|error| {
                PyException::new_err(format!(
                    "cannot parse the JSON response of `{}`: {error}",
                    this.response.url
                ))
            });
        }
        // text that is not XML after all stays text
        if content_type.contains("xml")
            && busbar_sio::check_xml(None, &this.response.body, &|_| true).is_ok()
            && !busbar_sio::is_blank(&this.response.body)
            && let Ok(objectify) = py.import(intern!(py, "lxml.objectify"))
        {
            let root = objectify.call_method1(intern!(py, "fromstring"), (PyBytes::new(py, &this.response.body),))?;
            if !this.is_soap {
                return Ok(root);
            }
            return py
                .import(intern!(py, "busbar.facilities.soap"))?
                .call_method1(intern!(py, "body_of"), (root,));
        }
        Self::text(slf)
    }
}

#[pymethods]
impl HttpResponse {
    /// The parsed body: JSON if connection or content type say so, objectified XML where `lxml` is installed, else the text.
    #[getter]
    fn data<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().data.get_or_try_init(slf.py(), || Self::parse(slf))
    }

    #[setter]
    fn set_data(&self, value: Bound<'_, PyAny>) {
        self.data.set(value);
    }

    /// The body as text.
    #[getter]
    fn text<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        this.text.get_or_try_init(py, || {
            let chosen = this.encoding.get(py).filter(|encoding| !encoding.is_none());
            let charset = match chosen {
                Some(encoding) => Some(encoding.extract::<String>()?),
                None => this.charset(),
            };
            let body = &this.response.body;
            if let Some(charset) = charset.filter(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
                let decoded = PyBytes::new(py, body).call_method1(intern!(py, "decode"), (charset, "replace"));
                match decoded {
                    // an encoding that nobody knows is as good as none
                    Err(error) if error.is_instance_of::<PyLookupError>(py) => {}
                    decoded => return decoded,
                }
            }
            Ok(match std::str::from_utf8(busbar_sio::without_bom(body)) {
                Ok(text) => PyString::new(py, text).into_any(),
                Err(_) => PyString::new(py, &body.iter().map(|byte| char::from(*byte)).collect::<String>()).into_any(),
            })
        })
    }

    /// The body as bytes.
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.content
            .get_or_init(py, || PyBytes::new(py, &self.response.body).unbind())
            .bind(py)
            .clone()
    }

    /// The body, parsed as JSON. `JSONDecodeError` if it is none. Keyword arguments are those of `json.loads`.
    #[pyo3(signature = (**kwargs))]
    fn json<'py>(&self, py: Python<'py>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        if kwargs.is_some_and(|kwargs| !kwargs.is_empty()) {
            let body = PyBytes::new(py, &self.response.body);
            return py
                .import(intern!(py, "json"))?
                .call_method(intern!(py, "loads"), (body,), kwargs);
        }
        json::read_lenient(py, &self.response.body).map_err(|message| {
            // the class of `requests` takes what `json.JSONDecodeError` does: message, document, position
            let raised = class(py, "JSONDecodeError").and_then(|class| {
                let text = String::from_utf8_lossy(&self.response.body).into_owned();
                class.call1((&message, text, 0)).or_else(|_| class.call1((&message,)))
            });
            raised.map_or_else(|error| error, PyErr::from_value)
        })
    }

    /// The HTTP status.
    #[getter]
    fn status_code(&self) -> u16 {
        self.response.status
    }

    /// Whether the status is below 400.
    #[getter]
    fn ok(&self) -> bool {
        self.is_ok()
    }

    /// The status in words.
    #[getter]
    fn reason(&self) -> &str {
        &self.response.reason
    }

    /// Headers; names are found in any case.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Headers>> {
        let headers = self.headers.get_or_try_init(py, || {
            Py::new(
                py,
                Headers::new(
                    self.response
                        .headers
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.as_bytes())),
                ),
            )
        })?;
        Ok(headers.bind(py).clone())
    }

    /// The address that answered.
    #[getter]
    fn url(&self) -> &str {
        &self.response.url
    }

    /// Cookies that the response set.
    #[getter]
    fn cookies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let cookies = PyDict::new(py);
        for (name, value) in &self.response.cookies {
            cookies.set_item(name, value)?;
        }
        Ok(cookies)
    }

    /// The encoding by which the body is read as text. May be assigned before `text` is read.
    #[getter]
    fn encoding<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.encoding.get_or_try_init(py, || {
            Ok(PyString::new(py, self.charset().as_deref().unwrap_or("utf-8")).into_any())
        })
    }

    #[setter]
    fn set_encoding(&self, value: Bound<'_, PyAny>) {
        self.encoding.set(value);
        self.text.clear();
    }

    /// The same as `encoding`.
    #[getter]
    fn apparent_encoding<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.encoding(py)
    }

    /// From sending the request to the end of the response's head.
    #[getter]
    fn elapsed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDelta>> {
        let elapsed = self.response.elapsed;
        let seconds = i32::try_from(elapsed.as_secs()).unwrap_or(i32::MAX);
        PyDelta::new(py, 0, seconds, elapsed.subsec_micros() as i32, true)
    }

    /// The redirects that led here.
    #[getter]
    fn history<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let history = self
            .response
            .history
            .iter()
            .map(|response| Bound::new(py, Self::new(response.clone(), self.format, Bytes::new())));
        PyList::new(py, history.collect::<PyResult<Vec<_>>>()?)
    }

    /// Whether it is a redirect.
    #[getter]
    fn is_redirect(&self) -> bool {
        matches!(self.response.status, 301 | 302 | 303 | 307 | 308) && self.response.header("location").is_some()
    }

    /// What was sent.
    #[getter]
    fn request(&self) -> SentRequest {
        SentRequest {
            method: self.response.method.clone(),
            url: self.response.url.clone(),
            headers: self.response.sent_headers(),
            body: self.sent.clone(),
        }
    }

    /// Raises `HTTPError` if the status is 400 or more.
    fn raise_for_status(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, response) = (slf.py(), &slf.get().response);
        if slf.get().is_ok() {
            return Ok(());
        }
        let side = if response.status < 500 { "Client" } else { "Server" };
        let message = format!(
            "{} {side} Error: {} for url: {}",
            response.status, response.reason, response.url
        );
        let kwargs = PyDict::new(py);
        kwargs.set_item(intern!(py, "response"), slf)?;
        let error = class(py, "HTTPError").and_then(|class| class.call((message,), Some(&kwargs)));
        Err(error.map_or_else(|error| error, PyErr::from_value))
    }

    /// The body in pieces of that many bytes.
    #[pyo3(signature = (chunk_size = 1, decode_unicode = false))]
    fn iter_content<'py>(
        slf: &Bound<'py, Self>,
        chunk_size: Option<usize>,
        decode_unicode: bool,
    ) -> PyResult<Bound<'py, PyIterator>> {
        let py = slf.py();
        let size = chunk_size.unwrap_or(usize::MAX).max(1);
        if decode_unicode {
            let text: String = Self::text(slf)?.extract()?;
            let characters: Vec<char> = text.chars().collect();
            let chunks = characters.chunks(size).map(|chunk| chunk.iter().collect::<String>());
            return PyList::new(py, chunks.collect::<Vec<_>>())?.try_iter();
        }
        let chunks = slf
            .get()
            .response
            .body
            .chunks(size)
            .map(|chunk| PyBytes::new(py, chunk));
        PyList::new(py, chunks.collect::<Vec<_>>())?.try_iter()
    }

    /// The lines of the body.
    #[pyo3(signature = (chunk_size = 512, decode_unicode = false))]
    fn iter_lines<'py>(
        slf: &Bound<'py, Self>,
        chunk_size: usize,
        decode_unicode: bool,
    ) -> PyResult<Bound<'py, PyIterator>> {
        let _ = chunk_size;
        let py = slf.py();
        let whole = if decode_unicode {
            Self::text(slf)?
        } else {
            slf.get().content(py).into_any()
        };
        whole.call_method0(intern!(py, "splitlines"))?.try_iter()
    }

    /// Nothing is held open: this does nothing.
    fn close(&self) {}

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<'_, PyTuple>) {}

    fn __bool__(&self) -> bool {
        self.is_ok()
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyIterator>> {
        Self::iter_content(slf, Some(128), false)
    }

    fn __repr__(&self) -> String {
        format!("<Response [{}]>", self.response.status)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.text.traverse(&visit)?;
        self.data.traverse(&visit)?;
        self.encoding.traverse(&visit)
    }

    fn __clear__(&self) {
        self.text.clear();
        self.data.clear();
        self.encoding.clear();
    }
}

/// The request that a response answers.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct SentRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

#[pymethods]
impl SentRequest {
    /// Its method.
    #[getter]
    fn method(&self) -> &str {
        &self.method
    }

    /// The address that it went to.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Its headers, credentials included.
    #[getter]
    fn headers(&self) -> Headers {
        Headers::new(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        )
    }

    /// Its body.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.body)
    }

    fn __repr__(&self) -> String {
        format!("<PreparedRequest [{}]>", self.method)
    }
}
