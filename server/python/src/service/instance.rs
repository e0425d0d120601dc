//! The native base class of all services (service-api.md 7): what an instance holds, and its methods.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use busbar_model::{DataFormat, Error};
use pyo3::exceptions::{PyAttributeError, PyKeyError, PyNotImplementedError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::service::class::known_name;
use crate::service::invocation::{Invocation, Local, Source};
use crate::service::request::Request;
use crate::service::response::Response;
use crate::service::slot::{Made, Slot};
use crate::service::{invoke, queued, wsgi};
use crate::sio::convert::bunch;
use crate::{errors, faces, turn};

thread_local! {
    /// The invocation that the next instance is made for.
    static NEXT: RefCell<Option<Arc<Invocation>>> = const { RefCell::new(None) };
}

/// Makes the instance that an invocation runs on. Its class's own `__init__` already sees what the invocation is about.
pub(crate) fn create<'py>(py: Python<'py>, invocation: &Arc<Invocation>) -> PyResult<Bound<'py, Service>> {
    NEXT.set(Some(invocation.clone()));
    let instance = invocation.class.class(py).call0();
    // whatever made no use of it must not leave it to somebody else
    NEXT.set(None);
    Ok(instance?.cast_into::<Service>()?)
}

/// One thing that other systems can ask for: the native side of `zato.server.service.Service`.
#[pyclass(frozen, subclass, module = "_busbar")]
pub(crate) struct Service {
    /// `None`: made by somebody else than the server.
    invocation: Option<Arc<Invocation>>,
    request: Made<Request>,
    response: Made<Response>,
    pub(super) outgoing: Made<faces::Outgoing>,
    pub(super) kvdb: Made<PyAny>,
    pub(super) channel: Made<PyAny>,
    environ: Slot,
    wsgi_environ: Slot,
}

impl Service {
    /// The invocation that this instance is for. Without one, an error that says so.
    pub(crate) fn invocation(&self) -> PyResult<&Arc<Invocation>> {
        self.invocation.as_ref().ok_or_else(|| {
            PyAttributeError::new_err(
                "this service was not invoked: objects made in code have no request, response or connections",
            )
        })
    }

    pub(crate) fn request<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, Request>> {
        let request = self
            .request
            .get_or_try_init(py, || Py::new(py, Request::new(self.invocation()?.clone())))?;
        Ok(request)
    }

    pub(crate) fn response<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, Response>> {
        let response = self
            .response
            .get_or_try_init(py, || Py::new(py, Response::new(self.invocation()?.clone())))?;
        Ok(response)
    }

    /// The response, if anybody has looked at it.
    pub(crate) fn response_if_any<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, Response>> {
        self.response.get(py)
    }

    /// `self.outgoing`, if anybody has looked at it.
    pub(crate) fn outgoing_if_any<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, faces::Outgoing>> {
        self.outgoing.get(py)
    }

    /// What the caller gave as `environ=`, or a new dictionary.
    pub(crate) fn environ<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.environ.get_or_try_init(py, || {
            let given = match &self.invocation()?.source {
                Source::Service(local) => local.environ.as_ref().map(|environ| environ.bind(py)),
                Source::Channel(_) => None,
            };
            match given {
                None => bunch(py)?.call0(),
                // its keys are attributes, too
                Some(given) if given.is_exact_instance_of::<PyDict>() => bunch(py)?.call1((given,)),
                Some(given) => Ok(given.clone()),
            }
        })
    }

    /// Adds what is known of the request by its service: what was sent, and what is to be answered.
    fn add_own(&self, environ: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = environ.py();
        let (request, response) = (self.request(py)?, self.response(py)?);
        environ.set_item("zato.http.response.headers", response.getattr(intern!(py, "headers"))?)?;
        environ.set_item("zato.http.response.status", "200 OK")?;
        let http = request.getattr(intern!(py, "http"))?;
        // what cannot be read is an error where it is asked for
        if let Ok(form) = http.getattr(intern!(py, "POST")) {
            environ.set_item("zato.http.POST", form)?;
        }
        if let Ok(payload) = request.getattr(intern!(py, "payload")) {
            environ.set_item("zato.request.payload", payload)?;
        }
        Ok(())
    }

    pub(crate) fn wsgi_environ<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.wsgi_environ.get_or_try_init(py, || {
            let invocation = self.invocation()?;
            match &invocation.source {
                Source::Service(local) if local.wsgi_environ.is_some() => Ok(local.wsgi_environ.as_ref().map_or_else(
                    || py.None().into_bound(py),
                    |environ| environ.bind(py).clone().into_any(),
                )),
                Source::Channel(_) => {
                    let environ = wsgi::environ(py, invocation)?;
                    if !environ.is_empty() {
                        self.add_own(&environ)?;
                    }
                    Ok(environ.into_any())
                }
                Source::Service(_) => wsgi::environ(py, invocation).map(Bound::into_any),
            }
        })
    }
}

#[pymethods]
impl Service {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            invocation: NEXT.take(),
            request: Made::default(),
            response: Made::default(),
            outgoing: Made::default(),
            kvdb: Made::default(),
            channel: Made::default(),
            environ: Slot::default(),
            wsgi_environ: Slot::default(),
        }
    }

    /// What the service does. The one method that must be written, unless there are `handle_GET` and the like.
    fn handle(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(PyNotImplementedError::new_err(format!(
            "{} has no method handle()",
            slf.get_type().name()?
        )))
    }

    /// Return something false to turn the request away before anything else runs.
    fn accept(&self) -> bool {
        true
    }

    /// Runs before `handle()`. What it raises is logged and ignored.
    fn before_handle(&self) {}

    /// Runs after `handle()` has returned. What it raises is logged and ignored.
    fn after_handle(&self) {}

    /// Runs last, with the times filled in. What it raises is logged and ignored.
    fn finalize_handle(&self) {}

    /// Runs before `handle()`; raise something to keep that from being called.
    fn validate_input(&self) {}

    /// Runs after `handle()`; raise something to keep the response from being sent.
    fn validate_output(&self) {}

    /// Asked when the class is deployed: return something false to leave it out.
    #[staticmethod]
    #[pyo3(signature = (_logger = None))]
    fn before_add_to_store(_logger: Option<&Bound<'_, PyAny>>) -> bool {
        true
    }

    /// Called after the class has been deployed.
    #[staticmethod]
    #[pyo3(signature = (_logger = None))]
    fn after_add_to_store(_logger: Option<&Bound<'_, PyAny>>) {}

    /// The name by which the service is called.
    #[classmethod]
    fn get_name(cls: &Bound<'_, PyType>) -> PyResult<String> {
        known_name(cls)
    }

    /// Module and class.
    #[classmethod]
    fn get_impl_name(cls: &Bound<'_, PyType>) -> PyResult<String> {
        let module: String = cls.getattr(intern!(cls.py(), "__module__"))?.extract()?;
        Ok(format!("{module}.{}", cls.name()?))
    }

    /// Calls another service, by name or class, and gives back what it answers.
    ///
    /// `invoke(name, payload='', channel='invoke', data_format='dict', transport='', serialize=False, as_bunch=False, timeout=0,
    /// raise_timeout=True, **kwargs)`. Keyword arguments that are none of these, nor `cid`, `environ`, `wsgi_environ`,
    /// `skip_response_elem`, `channel_info` or `in_reply_to`, are the payload if there is no other. What the other service raises comes
    /// out as it is. With `timeout` nobody waits longer than so many seconds: `Timeout` is raised then, or, with `raise_timeout=False`,
    /// `None` given back; the other service goes on.
    #[pyo3(signature = (*args, **kwargs))]
    fn invoke<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        invoke::by_name(slf, args, kwargs)
    }

    /// Like `invoke`, with the name of module and class: `my_service.GetClientDetails`.
    #[pyo3(signature = (*args, **kwargs))]
    fn invoke_by_impl_name<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        invoke::by_impl_name(slf, args, kwargs)
    }

    /// Like `invoke`. Services have no numbers here: their id is their name, or the name of module and class.
    #[pyo3(signature = (*args, **kwargs))]
    fn invoke_by_id<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        invoke::by_id(slf, args, kwargs)
    }

    /// Whether there is a service of that name.
    fn knows_service(&self, name: &str) -> PyResult<bool> {
        Ok(self.invocation()?.environment.services.load().contains_key(name))
    }

    /// Leaves a message for another service, and gives back the correlation id of the call that it will be as soon as it is stored.
    ///
    /// Any worker runs it, again if that fails, until the service has returned or the message is given up: see `busbar queue`. `callback`
    /// is the name of a service that is called with the answer, a list of them, or `self`. A message expires after `expiration` seconds.
    #[pyo3(signature = (name, payload = None, channel = None, data_format = None, transport = None, expiration = None,
        to_json_string = false, cid = None, callback = None, zato_ctx = None, environ = None, **kwargs))]
    #[expect(clippy::too_many_arguments, reason = "these are the arguments that services give")]
    fn invoke_async<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        payload: Option<Bound<'py, PyAny>>,
        channel: Option<String>,
        data_format: Option<String>,
        transport: Option<&Bound<'py, PyAny>>,
        expiration: Option<f64>,
        to_json_string: bool,
        cid: Option<String>,
        callback: Option<Bound<'py, PyAny>>,
        zato_ctx: Option<&Bound<'py, PyAny>>,
        environ: Option<Bound<'py, PyAny>>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<String> {
        // nothing that services see depends on these
        let _ = (transport, zato_ctx);
        let arguments = queued::Arguments {
            payload,
            channel,
            data_format,
            expiration,
            to_json_string,
            cid,
            callback,
            environ,
            in_reply_to: None,
            rest: kwargs,
        };
        queued::put(slf, name, arguments)
    }

    /// Waits for so many seconds. Other calls run meanwhile; the call's own deadline ends the wait.
    #[pyo3(signature = (timeout = 1.0))]
    fn sleep(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let duration = Duration::try_from_secs_f64(timeout)
            .map_err(|_| PyValueError::new_err(format!("cannot sleep for {timeout} seconds")))?;
        let wait = async move {
            tokio::time::sleep(duration).await;
            Ok::<(), Error>(())
        };
        turn::block_on(py, &self.invocation()?.environment, wait)
            .map_err(|error| errors::to_python(py, &error, "sleep"))
    }

    /// A new object of another service, which is not invoked: its attributes work, nothing runs.
    fn new_instance<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, Self>> {
        let outer = slf.get().invocation()?;
        let services = outer.environment.services.load();
        let class = services.get(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
        let local = Local {
            payload: intern!(slf.py(), "").clone().into_any().unbind(),
            environ: None,
            wsgi_environ: None,
            in_reply_to: None,
            channel_type: Some("new-instance".to_owned()),
            given_cid: None,
            data_format: None,
        };
        create(
            slf.py(),
            &Arc::new(outer.nested(class, outer.cid, DataFormat::Dict, local)),
        )
    }

    /// Runs first when a job of the scheduler calls the service. What it raises is logged and ignored.
    fn before_job(&self) {}

    /// The same, for jobs that run once.
    fn before_one_time_job(&self) {}

    /// The same, for jobs that run every so often.
    fn before_interval_based_job(&self) {}

    /// The same, for jobs that run by a calendar.
    fn before_cron_style_job(&self) {}

    /// Runs after `handle()` has returned when a job of the scheduler calls the service. What it raises is logged and ignored.
    fn after_job(&self) {}

    /// The same, for jobs that run once.
    fn after_one_time_job(&self) {}

    /// The same, for jobs that run every so often.
    fn after_interval_based_job(&self) {}

    /// The same, for jobs that run by a calendar.
    fn after_cron_style_job(&self) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.request.traverse(&visit)?;
        self.response.traverse(&visit)?;
        self.environ.traverse(&visit)?;
        self.wsgi_environ.traverse(&visit)
    }

    fn __clear__(&self) {
        self.environ.clear();
        self.wsgi_environ.clear();
    }
}
