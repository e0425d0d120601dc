//! What is on `self` besides methods: made when it is first looked at (service-api.md 4).
//!
//! Attributes are descriptors that an instance's own attributes win over, so services may assign to any of them (`self.logger = ...`), and so
//! may classes.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDelta, PyDict, PyString, PyType, PyTzInfo};

use crate::faces;
use crate::service::channel::ChannelDetails;
use crate::service::instance::Service;
use crate::service::invocation::Source;
use crate::service::request::{LATER as LATER_REQUEST, transport};
use crate::service::slot::Made;

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
    /// From nowhere: what to do instead.
    Never(&'static str),
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
            Origin::Never(instead) => Err(PyAttributeError::new_err(format!(
                "`self.{}` is not available: {instead}",
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
    for &(name, instead) in NEVER {
        put(name, "Not available.", Origin::Never(instead))?;
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
    ("redis", "The key/value database.", kvdb),
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
    "dictnav",
    "listnav",
    "publish",
];

/// All that says that it is not there: its path from `self`, and what is to be said of it.
pub(crate) fn missing() -> impl Iterator<Item = (String, String)> {
    let later = |path: String| {
        let text = format!("self.{path} is not supported yet");
        (path, text)
    };
    let on_self = LATER.iter().map(|name| (*name).to_owned());
    let outgoing = ["outgoing", "out"].into_iter();
    let outgoing = outgoing.flat_map(|face| faces::LATER_OUTGOING.iter().map(move |name| format!("{face}.{name}")));
    let request = LATER_REQUEST.iter().map(|name| format!("request.{name}"));
    let never = NEVER
        .iter()
        .map(|(name, instead)| ((*name).to_owned(), format!("self.{name} is not in busbar: {instead}")));
    on_self.chain(outgoing).chain(request).map(later).chain(never)
}

/// What services had once and will not have here, and what to do instead.
pub(crate) const NEVER: &[(&str, &str)] = &[
    (
        "odb",
        "busbar keeps its objects in tables of another shape, with secrets encrypted, and caches what is in them. Read and change objects with \
         enmasse or the command line; for tables of your own use `self.outgoing.sql`",
    ),
    (
        "worker_store",
        "there is none in busbar. Connections are in `self.outgoing`, services are called with `self.invoke`",
    ),
];

fn channel<'py>(service: &Bound<'py, Service>) -> PyResult<Bound<'py, PyAny>> {
    made_once(service, &service.get().channel, |service| {
        static CHANNEL_INFO: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let py = service.py();
        let details = Bound::new(py, ChannelDetails(service.get().invocation()?.clone()))?;
        CHANNEL_INFO
            .import(py, "busbar.channel", "ChannelInfo")?
            .call1((details,))
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
