//! `self.invoke` (service-api.md 8.1).

pub(crate) mod native;
mod timed;

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyRecursionError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

use busbar_model::{Cid, DataFormat};

use crate::environment::ServiceNames;
use crate::errors::{INACTIVE, ZATO_EXCEPTION};
use crate::json;
use crate::service::class::{ServiceClass, known_name};
use crate::service::instance::{self, Service};
use crate::service::invocation::{Invocation, Local};
use crate::service::life::{self, Ending};
use crate::service::payload::wrapped;
use crate::service::response::{Answer, Response};
use crate::sio::convert::bunchify;

/// How many services may wait for one another. Each level takes stack of its thread, which no exception could give back.
const MAX_DEPTH: usize = 64;

/// Positional arguments after the service.
const POSITIONAL: [&str; 8] = [
    "payload",
    "channel",
    "data_format",
    "transport",
    "serialize",
    "as_bunch",
    "timeout",
    "raise_timeout",
];

/// Keyword arguments that never become part of the payload.
const RESERVED: [&str; 10] = [
    "target",
    "set_response_func",
    "cid",
    "skip_response_elem",
    "wsgi_environ",
    "zato_response_headers_container",
    "environ",
    "channel_info",
    "in_reply_to",
    "zato_ctx",
];

/// `self.invoke(name_or_class, ...)`
pub(crate) fn by_name<'py>(
    caller: &Bound<'py, Service>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = Arguments::read(caller.py(), args, kwargs)?;
    let target = &arguments.target;
    let services = caller.get().invocation()?.environment.services.load();
    let class = match target.cast::<PyString>() {
        // nothing is copied for the name
        Ok(name) => match find(&services, name.to_str()?) {
            Ok(class) => class,
            Err(_) => {
                drop(services);
                return native::call(caller, name.to_str()?, &arguments);
            }
        },
        Err(_) => match target.cast::<PyType>() {
            Ok(class) => find(&services, &known_name(class)?)?,
            Err(_) => {
                return Err(PyTypeError::new_err(
                    "invoke() needs the name or class of a service as its first argument",
                ));
            }
        },
    };
    drop(services);
    call(caller, &class, arguments)
}

/// The service of a name. What follows an `@` chooses among servers, of which this is the one.
fn find(services: &ServiceNames, name: &str) -> PyResult<Arc<ServiceClass>> {
    let found = services
        .get(name)
        .or_else(|| services.get(name.split_once('@').map_or("", |(service, _)| service)));
    found.cloned().ok_or_else(|| PyKeyError::new_err(name.to_owned()))
}

/// `self.invoke_by_id('my-service.get-client-details', ...)`
pub(crate) fn by_id<'py>(
    caller: &Bound<'py, Service>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = Arguments::read(caller.py(), args, kwargs)?;
    let id = arguments.target.str()?;
    let id = id.to_str()?;
    let services = caller.get().invocation()?.environment.services.load();
    let class = services
        .get(id)
        .or_else(|| services.values().find(|class| class.info().impl_name == id))
        .cloned();
    drop(services);
    let unknown = || PyKeyError::new_err(format!("there is no service with the id `{id}`: ids are names here"));
    call(caller, &class.ok_or_else(unknown)?, arguments)
}

/// `self.invoke_by_impl_name('module.Class', ...)`
pub(crate) fn by_impl_name<'py>(
    caller: &Bound<'py, Service>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let arguments = Arguments::read(caller.py(), args, kwargs)?;
    let name: String = arguments.target.extract()?;
    let services = caller.get().invocation()?.environment.services.load();
    let class = services.values().find(|class| class.info().impl_name == name).cloned();
    drop(services);
    call(caller, &class.ok_or_else(|| PyKeyError::new_err(name))?, arguments)
}

/// What `invoke()` was called with.
struct Arguments<'py> {
    target: Bound<'py, PyAny>,
    payload: Bound<'py, PyAny>,
    /// The other named ones that were given.
    options: Vec<(&'static str, Bound<'py, PyAny>)>,
}

impl<'py> Arguments<'py> {
    fn read(py: Python<'py>, args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        if args.len() > POSITIONAL.len() + 1 {
            return Err(PyTypeError::new_err("invoke() was given too many arguments"));
        }
        let mut options: Vec<_> = POSITIONAL.iter().copied().zip(args.iter().skip(1)).collect();
        let mut target = args.get_item(0).ok();
        // what is left over is the payload
        let mut rest: Option<Bound<'py, PyDict>> = None;
        for (name, value) in kwargs.into_iter().flatten() {
            let text = name.extract::<&str>()?;
            if target.is_none() && matches!(text, "name" | "zato_name") {
                target = Some(value);
            } else if let Some(known) = POSITIONAL.iter().chain(&RESERVED).find(|known| **known == text) {
                options.push((known, value));
            } else {
                rest.get_or_insert_with(|| PyDict::new(py)).set_item(name, value)?;
            }
        }
        let target = target.ok_or_else(|| PyTypeError::new_err("invoke() needs the name or class of a service"))?;
        let given = options
            .iter()
            .rev()
            .find(|(name, _)| *name == "payload")
            .map(|(_, payload)| payload.clone());
        let payload = match (given, rest) {
            (Some(payload), None) => payload,
            (Some(payload), Some(rest)) => {
                if payload.is_truthy()? {
                    payload
                } else {
                    rest.into_any()
                }
            }
            (None, Some(rest)) => rest.into_any(),
            (None, None) => intern!(py, "").clone().into_any(),
        };
        Ok(Self {
            target,
            payload,
            options,
        })
    }

    /// An option that was given and is not `None`.
    fn option(&self, name: &str) -> Option<&Bound<'py, PyAny>> {
        let mut given = self.options.iter().rev();
        given
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
            .filter(|value| !value.is_none())
    }

    fn text(&self, name: &str) -> PyResult<Option<String>> {
        let text = self.option(name).map(|value| value.extract::<String>()).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn flag(&self, name: &str) -> PyResult<bool> {
        self.option(name).map_or(Ok(false), |value| value.is_truthy())
    }

    /// How long to wait at most.
    fn timeout(&self) -> PyResult<Option<Duration>> {
        let Some(given) = self.option("timeout") else {
            return Ok(None);
        };
        let seconds: f64 = given.extract()?;
        if seconds <= 0.0 {
            return Ok(None);
        }
        let limit = Duration::try_from_secs_f64(seconds);
        limit
            .map(Some)
            .map_err(|_| PyValueError::new_err(format!("cannot wait for {seconds} seconds")))
    }

    fn object(&self, name: &str) -> Option<Py<PyAny>> {
        self.option(name).map(|value| value.clone().unbind())
    }
}

fn call<'py>(
    caller: &Bound<'py, Service>,
    class: &Arc<ServiceClass>,
    arguments: Arguments<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = caller.py();
    let outer = caller.get().invocation()?;
    let name = &class.info().name;
    if outer.environment.inactive.load().contains(name) {
        return Err(INACTIVE.error(py, (name.clone(),)));
    }
    if *name == outer.class.info().name {
        let message = format!("service `{name}` cannot invoke itself");
        return Err(ZATO_EXCEPTION.error(py, (outer.cid.as_str(), message)));
    }
    if outer.depth + 1 > MAX_DEPTH {
        return Err(PyRecursionError::new_err(format!(
            "cannot invoke service `{name}`: {MAX_DEPTH} services wait for one another already"
        )));
    }
    if let Some(limit) = arguments.timeout()? {
        return timed::call(caller, class, arguments, limit);
    }
    run(caller, class, &arguments)
}

/// Runs the other service, on this thread.
fn run<'py>(
    caller: &Bound<'py, Service>,
    class: &Arc<ServiceClass>,
    arguments: &Arguments<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = caller.py();
    let outer = caller.get().invocation()?;
    let data_format = arguments.text("data_format")?;
    let given_cid = arguments.text("cid")?.or_else(|| outer.given_cid().map(str::to_owned));
    let cid = given_cid
        .as_deref()
        .and_then(|cid| cid.parse::<Cid>().ok())
        .unwrap_or(outer.cid);
    let local = Local {
        payload: arguments.payload.clone().unbind(),
        environ: arguments.object("environ"),
        wsgi_environ: arguments
            .option("wsgi_environ")
            .and_then(|environ| environ.cast::<PyDict>().ok())
            .map(|environ| environ.clone().unbind()),
        in_reply_to: arguments.object("in_reply_to"),
        channel_type: arguments.text("channel")?,
        given_cid,
        data_format: data_format.clone(),
    };
    let format = match data_format.as_deref() {
        Some("json") => DataFormat::Json,
        Some("xml") => DataFormat::Xml,
        Some("csv") => DataFormat::Csv,
        _ => DataFormat::Dict,
    };
    let invocation = Arc::new(outer.nested(class, cid, format, local));
    let service = instance::create(py, &invocation)?;
    let answer = run_instance(&invocation, &service, arguments);
    life::finish(py, &invocation, &service);
    answer
}

fn run_instance<'py>(
    invocation: &Arc<Invocation>,
    service: &Bound<'py, Service>,
    arguments: &Arguments<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = service.py();
    let ending = life::execute(py, invocation, service)?;
    let response = service.get().response(py)?.get();
    if ending != Ending::Handled {
        response.choose_status(if ending == Ending::NoMethod { 405 } else { 400 });
        return Ok(intern!(py, "").clone().into_any());
    }
    let mut answer = answer(py, invocation, response, arguments.flag("serialize")?)?;
    if arguments.flag("skip_response_elem")? {
        answer = without_response_elem(answer)?;
    }
    if arguments.flag("as_bunch")? {
        bunchify(&answer)
    } else {
        Ok(answer)
    }
}

/// What the caller gets: objects, or JSON text if it asked for that.
pub(crate) fn answer<'py>(
    py: Python<'py>,
    invocation: &Invocation,
    response: &Response,
    serialize: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let is_json = invocation.data_format == DataFormat::Json;
    let value = match response.answer(py)? {
        Answer::Nothing => return Ok(intern!(py, "").clone().into_any()),
        Answer::Free(value) => value,
        // odd, but gateways rely on it: without the wrapper, and not converted
        Answer::Declared(payload) if is_json && !serialize => return payload.get().unconverted(py),
        Answer::Declared(payload) => wrapped(
            py,
            invocation.class.sio.as_ref(),
            payload.get().convert(py)?.as_any().clone(),
        )?,
    };
    if is_json && serialize && !value.is_instance_of::<PyString>() {
        return PyString::from_bytes(py, &json::write(&value)?).map(Bound::into_any);
    }
    Ok(value)
}

/// Strips a single top key that is called `response`, that begins with `zato`, or that is the response element of one of busbar's own
/// services.
pub(crate) fn without_response_elem(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if let Ok(dict) = value.cast::<PyDict>()
        && dict.len() == 1
        && let Some((key, inner)) = dict.iter().next()
        && let Ok(key) = key.extract::<&str>()
        && (key == "response" || key.starts_with("zato") || key.starts_with("busbar_") && key.ends_with("_response"))
    {
        return Ok(inner);
    }
    Ok(value)
}
