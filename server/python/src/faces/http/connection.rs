//! Connections over HTTP, as services look them up and call them.

use std::sync::Arc;

use busbar_connectors::http::Transport;
use busbar_connectors::http::outgoing::{HttpConnection, HttpRequest};
use busbar_model::Kind;
use pyo3::exceptions::{PyAttributeError, PyKeyError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::environment::Environment;
use crate::errors::to_python;
use crate::faces::http::arguments::{self, Form};
use crate::faces::http::errors::to_exception;
use crate::faces::http::response::HttpResponse;
use crate::faces::http::upload;
use crate::sio::convert::bunch;
use crate::turn;

/// Connections over HTTP, by name.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct PlainHttp {
    environment: Arc<Environment>,
    transport: Transport,
    given_cid: Option<Arc<str>>,
}

impl PlainHttp {
    /// The connections of a transport. `given_cid`: see [`HttpConn::given_cid`].
    pub(crate) fn new(environment: Arc<Environment>, transport: Transport, given_cid: Option<Arc<str>>) -> Self {
        Self {
            environment,
            transport,
            given_cid,
        }
    }

    fn find(&self, py: Python<'_>, name: &str) -> PyResult<Option<HttpItem>> {
        match self.environment.outgoing_http.get(name) {
            Ok(connection) if connection.config().transport != self.transport => Ok(None),
            Ok(connection) => Ok(Some(HttpItem {
                environment: self.environment.clone(),
                name: connection.name().to_owned(),
                given_cid: self.given_cid.clone(),
            })),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(to_python(py, &error, name.trim())),
        }
    }
}

#[pymethods]
impl PlainHttp {
    /// The connection of that name, or the default. `Inactive` if it is switched off.
    #[pyo3(signature = (name, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.find(py, name)? {
            Some(item) => Ok(Some(Bound::new(py, item)?.into_any())),
            None => Ok(default),
        }
    }

    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<HttpItem> {
        self.find(py, name)?.ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &str) -> bool {
        self.environment.outgoing_http.get(name).map_or_else(
            |error| error.kind() != Kind::NotFound,
            |connection| connection.config().transport == self.transport,
        )
    }

    /// Names of all connections.
    fn keys(&self) -> Vec<String> {
        self.environment.outgoing_http.names(self.transport)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.keys())?.try_iter()?.into_any())
    }

    fn __len__(&self) -> usize {
        self.keys().len()
    }

    fn __bool__(&self) -> bool {
        true
    }
}

/// A connection over HTTP: `.conn` calls it, and so does the item itself.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct HttpItem {
    environment: Arc<Environment>,
    name: String,
    given_cid: Option<Arc<str>>,
}

#[pymethods]
impl HttpItem {
    /// What calls the other side.
    #[getter]
    fn conn(&self) -> HttpConn {
        HttpConn {
            environment: self.environment.clone(),
            name: self.name.clone(),
            given_cid: self.given_cid.clone(),
        }
    }

    /// Name of the connection.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Its configuration.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.conn().config(py)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        match name {
            "conn" => Ok(Bound::new(py, self.conn())?.into_any()),
            "config" => self.config(py),
            "name" => Ok(PyString::new(py, &self.name).into_any()),
            _ => Err(PyKeyError::new_err(name.to_owned())),
        }
    }

    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, self.conn())?.getattr(name)
    }

    fn __repr__(&self) -> String {
        format!("<outgoing.http `{}`>", self.name)
    }
}

/// Calls the other side of a connection. A correlation id may come first; the current one is sent if none does.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct HttpConn {
    pub(super) environment: Arc<Environment>,
    name: String,
    /// The cid of the service that looked the connection up, if whoever invoked it gave one, of any form.
    given_cid: Option<Arc<str>>,
}

impl HttpConn {
    /// The connection as it is configured now: services may keep this object for long.
    fn connection(&self, py: Python<'_>) -> PyResult<Arc<HttpConnection>> {
        self.environment
            .outgoing_http
            .get(&self.name)
            .map_err(|error| to_python(py, &error, &self.name))
    }

    fn call<'py>(
        &self,
        method: &str,
        form: Form,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        let py = args.py();
        let connection = self.connection(py)?;
        let (mapping, kwargs) = Mapping::take(py, kwargs)?;
        let request = arguments::read(
            connection.config(),
            self.given_cid.as_deref(),
            method,
            form,
            args,
            kwargs.as_ref(),
        )?;
        let cid = request.cid.clone();
        let response = self.exchange(py, connection, request)?;
        mapping.apply(&response, &cid)?;
        Ok(response)
    }

    fn exchange<'py>(
        &self,
        py: Python<'py>,
        connection: Arc<HttpConnection>,
        request: HttpRequest,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        let format = connection.config().data_format;
        let is_soap = connection.config().transport == Transport::Soap;
        let body = request.body.clone();
        let response = turn::block_on(py, &self.environment, async move { connection.send(request).await })
            .map_err(|error| to_exception(py, &error, &self.name))?;
        Bound::new(py, HttpResponse::new(response, format, body).of_soap(is_soap))
    }
}

/// What a call says of its response: a model to read it as, a function to pass it through.
#[derive(Default)]
struct Mapping<'py> {
    model: Option<Bound<'py, PyAny>>,
    callback: Option<Bound<'py, PyAny>>,
}

impl<'py> Mapping<'py> {
    /// Takes it out of the keyword arguments.
    fn take(py: Python<'py>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<(Self, Option<Bound<'py, PyDict>>)> {
        let (model, callback) = (intern!(py, "model"), intern!(py, "callback"));
        let Some(kwargs) = kwargs else {
            return Ok((Self::default(), None));
        };
        if !kwargs.contains(model)? && !kwargs.contains(callback)? {
            return Ok((Self::default(), Some(kwargs.clone())));
        }
        let rest = kwargs.copy()?;
        let take = |name: &Bound<'py, PyString>| -> PyResult<Option<Bound<'py, PyAny>>> {
            let value = rest.call_method1(intern!(py, "pop"), (name, py.None()))?;
            Ok((!value.is_none()).then_some(value))
        };
        let mapping = Self {
            model: take(model)?,
            callback: take(callback)?,
        };
        Ok((mapping, Some(rest)))
    }

    /// Makes the response's data what the model and the function make of it. Responses that tell of an error stay as they are.
    fn apply(self, response: &Bound<'py, HttpResponse>, cid: &str) -> PyResult<()> {
        let py = response.py();
        if self.model.is_none() && self.callback.is_none() || !response.get().is_ok() {
            return Ok(());
        }
        py.import(intern!(py, "busbar.facilities.rest"))?
            .call_method1(intern!(py, "map_response"), (response, self.model, self.callback, cid))
            .map(drop)
    }
}

#[pymethods]
impl HttpConn {
    /// `get([cid], params=None, headers=None, timeout=None, ...)`
    #[pyo3(signature = (*args, **kwargs))]
    fn get<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        self.call("GET", Form::Params, args, kwargs)
    }

    /// `head([cid], params=None, headers=None, timeout=None, ...)`
    #[pyo3(signature = (*args, **kwargs))]
    fn head<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        self.call("HEAD", Form::Params, args, kwargs)
    }

    /// `post([cid], data='', params=None, headers=None, json=None, timeout=None, ...)`
    #[pyo3(signature = (*args, **kwargs))]
    fn post<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        self.call("POST", Form::Data, args, kwargs)
    }

    /// The same as `post()`; over SOAP `send([cid], data, headers=None, ...)`.
    #[pyo3(signature = (*args, **kwargs))]
    fn send<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        let form = match self.connection(args.py())?.config().transport {
            Transport::Soap => Form::Envelope,
            Transport::PlainHttp => Form::Data,
        };
        self.call("POST", form, args, kwargs)
    }

    /// `put([cid], data='', params=None, headers=None, json=None, timeout=None, ...)`
    #[pyo3(signature = (*args, **kwargs))]
    fn put<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        self.call("PUT", Form::Data, args, kwargs)
    }

    /// `patch([cid], data='', params=None, headers=None, json=None, timeout=None, ...)`
    #[pyo3(signature = (*args, **kwargs))]
    fn patch<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        self.call("PATCH", Form::Data, args, kwargs)
    }

    /// `delete([cid], data='', params=None, headers=None, ...)`; a dictionary in the first place is `params`.
    #[pyo3(signature = (*args, **kwargs))]
    fn delete<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        self.call("DELETE", Form::DataOrParams, args, kwargs)
    }

    /// `options([cid], data='', params=None, headers=None, ...)`; a dictionary in the first place is `params`.
    #[pyo3(signature = (*args, **kwargs))]
    fn options<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        self.call("OPTIONS", Form::DataOrParams, args, kwargs)
    }

    /// Sends a file as a form does: `upload([cid], path, field_name='data', mime_type='text/plain')`.
    #[pyo3(signature = (*args, **kwargs))]
    fn upload<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, HttpResponse>> {
        let py = args.py();
        let connection = self.connection(py)?;
        let request = upload::read(py, self.given_cid.as_deref(), args, kwargs)?;
        self.exchange(py, connection, request)
    }

    /// `rest_call(*, cid, data, model, callback, params, headers, method, sec_def_name, auth_scopes, log_response)`: the response's data,
    /// as `model` and `callback` make it; `None` if the other side cannot be reached. A status of 400 or more raises.
    #[pyo3(signature = (**kwargs))]
    fn rest_call<'py>(slf: &Bound<'py, Self>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import(intern!(py, "busbar.facilities.rest"))?
            .call_method(intern!(py, "rest_call"), (slf,), kwargs)
    }

    /// A client made from the WSDL at the address of a SOAP connection: `with conn.client() as client: client.service.Op(...)`.
    fn client<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let connection = this.connection(py)?;
        if connection.config().transport != Transport::Soap {
            return Err(PyAttributeError::new_err(format!(
                "outgoing.http `{}` is no SOAP connection: it has no client",
                this.name
            )));
        }
        py.import(intern!(py, "busbar.facilities.soap"))?.call_method1(
            intern!(py, "client_of"),
            (
                slf,
                &this.name,
                connection.basic_auth(),
                connection.wss_auth(),
                connection.ntlm_auth(),
                connection.config().wsdl_revision,
            ),
        )
    }

    /// A `requests.Session` with the connection's credentials, certificates and time-out, for what `requests` alone can do. It has a pool of
    /// its own, and follows redirects as `requests` does.
    #[getter]
    fn session<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let connection = this.connection(py)?;
        let (basic, key, bearer) = (connection.basic_auth(), connection.key_auth(), connection.bearer_auth());
        let ntlm = connection.ntlm_auth();
        let certificate = connection.certificate().and_then(|certificate| certificate.path());
        py.import(intern!(py, "busbar.facilities.session"))?.call_method1(
            intern!(py, "session_of"),
            (slf, &this.name, basic, key, bearer, ntlm, certificate),
        )
    }

    /// The same as `session`.
    #[getter]
    fn r#impl<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::session(slf)
    }

    /// Asks whether the other side is there, with the method that is configured for it. A text report, or the response.
    #[pyo3(signature = (cid = None, return_response = false, log_verbose = false, *, ping_path = "/"))]
    fn ping<'py>(
        &self,
        py: Python<'py>,
        cid: Option<String>,
        return_response: bool,
        log_verbose: bool,
        ping_path: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection(py)?;
        let config = connection.config();
        let (format, method) = (config.data_format, config.ping_method.clone());
        let cid = cid.unwrap_or_else(|| arguments::own_cid(self.given_cid.as_deref()));
        let path = ping_path.to_owned();
        let pinged = connection.clone();
        let response = turn::block_on(py, &self.environment, async move { pinged.ping(&path, cid).await })
            .map_err(|error| to_exception(py, &error, &self.name))?;
        if log_verbose {
            tracing::info!(conn.kind = "outgoing.http", conn.name = %self.name, status = response.status, "pinged `{}`", self.name);
        }
        if return_response {
            return Ok(Bound::new(py, HttpResponse::new(response, format, bytes::Bytes::new()))?.into_any());
        }
        let report = format!(
            "{method} {} -> {} {} in {} ms",
            response.url,
            response.status,
            response.reason,
            response.elapsed.as_millis()
        );
        Ok(PyString::new(py, &report).into_any())
    }

    /// Its configuration, less what is secret.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self.connection(py)?;
        let config = connection.config();
        let text = serde_json::to_vec(config).map_err(|error| PyAttributeError::new_err(error.to_string()))?;
        let values = crate::json::read(py, &text).map_err(PyAttributeError::new_err)?;
        values.set_item(intern!(py, "name"), &self.name)?;
        values.set_item(intern!(py, "is_active"), true)?;
        values.set_item(intern!(py, "address_host"), &config.host)?;
        values.set_item(intern!(py, "address_url_path"), &config.url_path)?;
        bunch(py)?.call1((values,))
    }

    /// Where it leads, names in braces as they are.
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.connection(py)?.address().to_owned())
    }

    /// The names in braces of its address.
    #[getter]
    fn path_params(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.connection(py)?.path_params())
    }

    fn __repr__(&self) -> String {
        format!("<connection of outgoing.http `{}`>", self.name)
    }
}
