//! The native base class of all services (service-api.md 4 and 7).
//!
//! Attributes are made when they are first looked at. They are descriptors that an instance's own attributes win over, so services may
//! assign to any of them (`self.logger = ...`), and so may classes.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::{DataFormat, Error};
use pyo3::exceptions::{PyAttributeError, PyKeyError, PyNotImplementedError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDelta, PyDict, PyString, PyTuple, PyType, PyTzInfo};

use crate::service::channel::ChannelInfo;
use crate::service::class::known_name;
use crate::service::invocation::{Invocation, Local, Source};
use crate::service::request::{Request, transport};
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
    outgoing: Made<faces::Outgoing>,
    kvdb: Made<PyAny>,
    channel: Made<PyAny>,
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
        self.environ.get_or_try_init(py, || match &self.invocation()?.source {
            Source::Service(local) if local.environ.is_some() => Ok(local
                .environ
                .as_ref()
                .map_or_else(|| py.None().into_bound(py), |environ| environ.bind(py).clone())),
            _ => bunch(py)?.call0(),
        })
    }

    pub(crate) fn wsgi_environ<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.wsgi_environ.get_or_try_init(py, || {
            let invocation = self.invocation()?;
            match &invocation.source {
                Source::Service(local) if local.wsgi_environ.is_some() => Ok(local.wsgi_environ.as_ref().map_or_else(
                    || py.None().into_bound(py),
                    |environ| environ.bind(py).clone().into_any(),
                )),
                _ => wsgi::environ(py, invocation).map(Bound::into_any),
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

// === attributes ===

type Get = for<'a, 'py> fn(&'a Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>>;

// An attribute of services. Not a doc comment: Python would show it instead of what `__doc__` of the object says.
#[pyclass(frozen, module = "_busbar")]
pub(crate) struct Attribute {
    name: &'static str,
    doc: &'static str,
    origin: Origin,
}

/// Where an attribute's value comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// From this process.
    Native(Get),
    /// From a class in Python, called with the service the first time the attribute is asked for; what it makes is then the instance's
    /// own: module, class.
    Python(&'static str, &'static str),
    /// From a later version of busbar.
    Later,
}

#[pymethods]
impl Attribute {
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if instance.is_none() {
            return Ok(slf.clone().into_any());
        }
        let attribute = slf.get();
        match attribute.origin {
            Origin::Native(get) => get(instance.cast::<Service>()?),
            Origin::Python(module, class) => {
                let made = slf.py().import(module)?.getattr(class)?.call1((instance,))?;
                instance.setattr(attribute.name, &made)?;
                Ok(made)
            }
            Origin::Later => Err(PyAttributeError::new_err(format!(
                "`self.{}` is not available yet in this version of busbar",
                attribute.name
            ))),
        }
    }

    /// What the attribute is.
    #[getter(__doc__)]
    fn doc(&self) -> &'static str {
        self.doc
    }

    fn __repr__(&self) -> String {
        format!("<attribute `{}` of services>", self.name)
    }
}

/// Puts the attributes onto the class.
pub(crate) fn add_attributes(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<Service>();
    let put = |name: &'static str, doc: &'static str, origin: Origin| {
        class.setattr(name, Bound::new(py, Attribute { name, doc, origin })?)
    };
    for &(name, doc, get) in ATTRIBUTES {
        put(name, doc, Origin::Native(get))?;
    }
    for &(name, doc, module, class) in FACILITIES {
        put(name, doc, Origin::Python(module, class))?;
    }
    for &name in LATER {
        put(name, "Not available yet.", Origin::Later)?;
    }
    Ok(())
}

const ATTRIBUTES: &[(&str, &str, Get)] = &[
    ("request", "What the service was called with.", |service| {
        Ok(service.get().request(service.py())?.clone().into_any())
    }),
    ("response", "What the service answers.", |service| {
        Ok(service.get().response(service.py())?.clone().into_any())
    }),
    ("logger", "Logger of the service's name.", |service| {
        Ok(service.get().invocation()?.class.logger.bind(service.py()).clone())
    }),
    ("cid", "Correlation id of the request.", |service| {
        let invocation = service.get().invocation()?;
        Ok(PyString::new(service.py(), invocation.shown_cid()).into_any())
    }),
    ("name", "Name of the service.", |service| {
        Ok(service
            .get()
            .invocation()?
            .class
            .name
            .bind(service.py())
            .clone()
            .into_any())
    }),
    ("impl_name", "Module and class.", |service| {
        Ok(service
            .get()
            .invocation()?
            .class
            .impl_name
            .bind(service.py())
            .clone()
            .into_any())
    }),
    ("outgoing", "Outgoing connections.", outgoing),
    ("out", "Outgoing connections.", outgoing),
    ("kvdb", "The key/value database.", kvdb),
    ("channel", "The channel through which the service was called.", channel),
    ("chan", "The channel through which the service was called.", channel),
    ("environ", "What the caller gave as `environ=`.", |service| {
        service.get().environ(service.py())
    }),
    ("wsgi_environ", "The HTTP request as WSGI describes it.", |service| {
        service.get().wsgi_environ(service.py())
    }),
    ("data_format", "The channel's data format.", |service| {
        Ok(PyString::new(service.py(), service.get().invocation()?.shown_data_format()).into_any())
    }),
    ("transport", "`plain_http`, `soap` or an empty text.", |service| {
        Ok(PyString::new(service.py(), transport(service.get().invocation()?)).into_any())
    }),
    ("in_reply_to", "The cid that this call is a callback for.", |service| {
        Ok(match &service.get().invocation()?.source {
            Source::Service(local) => local.in_reply_to.as_ref().map(|cid| cid.bind(service.py()).clone()),
            Source::Channel(_) => None,
        }
        .unwrap_or_else(|| service.py().None().into_bound(service.py())))
    }),
    (
        "job_type",
        "Type of the scheduler's job; empty if none runs this service.",
        |service| {
            let job_type = service.get().invocation()?.job_type;
            Ok(PyString::new(service.py(), job_type.map_or("", |job_type| job_type.as_str())).into_any())
        },
    ),
    (
        "usage",
        "How many times the service was called in this process.",
        |service| {
            Ok(service
                .get()
                .invocation()?
                .class
                .usage()
                .into_pyobject(service.py())?
                .into_any())
        },
    ),
    ("invocation_time", "When the invocation began, UTC.", |service| {
        datetime(service.py(), service.get().invocation()?.started_at())
    }),
    (
        "handle_return_time",
        "When `handle()` returned, UTC; `None` before.",
        |service| {
            let py = service.py();
            match service.get().invocation()?.finished() {
                Some((at, _)) => datetime(py, at),
                None => Ok(py.None().into_bound(py)),
            }
        },
    ),
    (
        "processing_time_raw",
        "How long the invocation took until `handle()` returned; `None` before.",
        |service| {
            let py = service.py();
            match service.get().invocation()?.finished() {
                Some((_, took)) => {
                    let days = i32::try_from(took.as_secs() / 86_400).unwrap_or(i32::MAX);
                    let seconds = (took.as_secs() % 86_400) as i32;
                    Ok(PyDelta::new(py, days, seconds, took.subsec_micros() as i32, false)?.into_any())
                }
                None => Ok(py.None().into_bound(py)),
            }
        },
    ),
    ("processing_time", "The same in milliseconds.", |service| {
        let took = service
            .get()
            .invocation()?
            .finished()
            .map(|(_, took)| took.as_millis() as u64);
        Ok(took.into_pyobject(service.py())?.into_any())
    }),
    ("server", "The server.", faces::server),
    (
        "user_config",
        "What configuration files say: file, section, key.",
        faces::user_config,
    ),
    (
        "config",
        "What configuration files say: file, section, key.",
        faces::user_config,
    ),
    (
        "static_config",
        "Text of static files: directories, name.",
        faces::static_config,
    ),
    (
        "crypto",
        "Encrypts with the server's key, hashes, and makes secrets.",
        faces::crypto,
    ),
];

/// Attributes that are classes in Python, which take the service: name, documentation, module, class. What needs no speed and no
/// connection of ours is written there.
const FACILITIES: &[(&str, &str, &str, &str)] = &[
    ("time", "Dates and times as text.", "busbar.facilities.time", "TimeUtil"),
    (
        "cache",
        "Values that all services of the node share, in memory.",
        "busbar.facilities.cache",
        "CacheAPI",
    ),
    (
        "lock",
        "Locks that all workers of all servers share which use the same Redis.",
        "busbar.facilities.lock",
        "LockManager",
    ),
    (
        "patterns",
        "Many services at once, and services that are tried again.",
        "busbar.facilities.patterns",
        "Patterns",
    ),
    (
        "translate",
        "What one system calls something that another one calls otherwise.",
        "busbar.facilities.translate",
        "Translate",
    ),
    (
        "rest",
        "Outgoing REST connections.",
        "busbar.facilities.rest",
        "RESTFacade",
    ),
    (
        "security",
        "Bearer tokens of security definitions.",
        "busbar.facilities.security",
        "SecurityFacade",
    ),
    ("email", "Mail servers.", "busbar.facilities.email", "EmailFacade"),
    (
        "commands",
        "Commands of the operating system.",
        "busbar.facilities.commands",
        "CommandsFacade",
    ),
    (
        "broker_client",
        "Calls services asynchronously by messages.",
        "busbar.facilities.broker",
        "BrokerClient",
    ),
];

/// What services of later versions of busbar have. Asking for it says so, rather than that there is no such thing.
pub(crate) const LATER: &[&str] = &[
    "amqp",
    "wsx",
    "odb",
    "pubsub",
    "schedule",
    "search",
    "cassandra_conn",
    "cassandra_query",
    "cloud",
    "im",
    "definition",
    "sso",
    "keysight",
    "audit_pii",
    "msg",
    "worker_store",
    "publish",
];

fn channel<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    made_once(service, &service.get().channel, |service| {
        Ok(Bound::new(service.py(), ChannelInfo(service.get().invocation()?.clone()))?.into_any())
    })
}

fn outgoing<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    let py = service.py();
    let made = || Ok(faces::outgoing(service)?.unbind());
    Ok(service.get().outgoing.get_or_try_init(py, made)?.clone().into_any())
}

fn kvdb<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    made_once(service, &service.get().kvdb, faces::kvdb)
}

/// What is asked for again is the same object.
fn made_once<'py>(
    service: &Bound<'py, Service>,
    place: &Made<PyAny>,
    make: impl FnOnce(&Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = service.py();
    Ok(place.get_or_try_init(py, || make(service).map(Bound::unbind))?.clone())
}

/// A moment in UTC without a zone, as services of all versions know it.
fn datetime(py: Python<'_>, at: SystemTime) -> PyResult<Bound<'_, PyAny>> {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let aware = PyDateTime::from_timestamp(py, seconds, Some(&*PyTzInfo::utc(py)?))?;
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "tzinfo"), py.None())?;
    aware.call_method(intern!(py, "replace"), (), Some(&kwargs))
}
