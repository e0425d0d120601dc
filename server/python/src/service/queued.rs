//! `self.invoke_async` (service-api.md 8.2): messages for services, on their way into the durable queue and out of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use busbar_model::{ChannelType, Cid};
use busbar_runtime::Call;
use busbar_runtime::queue::{Envelope, Message};

use crate::environment::Environment;
use crate::errors::to_python;
use crate::service::class::{ServiceClass, known_name};
use crate::service::instance::Service;
use crate::service::invocation::{Invocation, Local};
use crate::service::invoke::native;
use crate::{json, kept, turn};

/// What `invoke_async()` was called with.
#[derive(Default)]
pub(crate) struct Arguments<'py> {
    pub(crate) payload: Option<Bound<'py, PyAny>>,
    pub(crate) channel: Option<String>,
    pub(crate) data_format: Option<String>,
    /// Seconds; `None`: never.
    pub(crate) expiration: Option<f64>,
    pub(crate) to_json_string: bool,
    pub(crate) cid: Option<String>,
    pub(crate) callback: Option<Bound<'py, PyAny>>,
    pub(crate) environ: Option<Bound<'py, PyAny>>,
    pub(crate) in_reply_to: Option<String>,
    /// Keyword arguments that are none of these: the payload if there is no other.
    pub(crate) rest: Option<Bound<'py, PyDict>>,
}

/// Stores a message for a service, and gives back the correlation id of the call that it will be.
pub(crate) fn put<'py>(
    caller: &Bound<'py, Service>,
    target: &Bound<'py, PyAny>,
    arguments: Arguments<'py>,
) -> PyResult<String> {
    let py = caller.py();
    let invocation = caller.get().invocation()?;
    let name = name_of(target)?;
    check_known(py, invocation, &name)?;
    let payload = arguments.payload.unwrap_or_else(|| intern!(py, "").clone().into_any());
    let payload = match arguments.rest {
        Some(rest) if !payload.is_truthy()? => rest.into_any(),
        _ => payload,
    };
    let payload = if arguments.to_json_string && !payload.is_instance_of::<PyString>() {
        PyString::from_bytes(py, &json::write(&payload)?)?.into_any()
    } else {
        payload
    };
    let callbacks = callbacks(py, invocation, arguments.callback)?;
    let expires = arguments
        .expiration
        .map(|seconds| {
            let left = Duration::try_from_secs_f64(seconds).ok();
            left.and_then(|left| SystemTime::now().checked_add(left))
                .ok_or_else(|| PyValueError::new_err(format!("a message cannot expire in {seconds} seconds")))
        })
        .transpose()?;
    let envelope = PyDict::new(py);
    set_payload(&envelope, invocation, &name, payload)?;
    if let Some(channel) = arguments.channel.filter(|channel| !channel.is_empty()) {
        envelope.set_item(intern!(py, "channel"), channel)?;
    }
    if let Some(format) = arguments.data_format.filter(|format| !format.is_empty()) {
        envelope.set_item(intern!(py, "data_format"), format)?;
    }
    if let Some(environ) = arguments.environ {
        envelope.set_item(intern!(py, "environ"), environ)?;
    }
    if let Some(cid) = arguments.in_reply_to {
        envelope.set_item(intern!(py, "in_reply_to"), cid)?;
    }
    if !callbacks.is_empty() {
        envelope.set_item(intern!(py, "callback"), callbacks)?;
    }
    // its own: a message is told from others by it, and a given one may be that of several calls
    let own = Cid::new();
    let given = arguments.cid.filter(|cid| !cid.is_empty());
    if let Some(cid) = &given {
        envelope.set_item(intern!(py, "cid"), cid)?;
    }
    let message = Message::of_service(own, name, kept::pack(&envelope)?.into(), expires);
    store(py, &invocation.environment, message)?;
    Ok(given.unwrap_or_else(|| own.to_string()))
}

fn store(py: Python<'_>, environment: &Environment, message: Message) -> PyResult<()> {
    let name = message.service.clone();
    let stored = environment.hub.request(message.into_request());
    turn::block_on(py, environment, stored).map_err(|error| to_python(py, &error, &name))?;
    Ok(())
}

/// Puts into an envelope what a service is called with. One of the hub gets a text, and is told who calls.
fn set_payload(
    envelope: &Bound<'_, PyDict>,
    invocation: &Invocation,
    name: &str,
    payload: Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = envelope.py();
    // a callback may have been taken out meanwhile; it is one of ours all the same
    if !native::may_have(name) || invocation.environment.services.load().contains_key(name) {
        return envelope.set_item(intern!(py, "payload"), payload);
    }
    let request = PyString::from_bytes(py, &native::body(&payload)?)?;
    envelope.set_item(intern!(py, "payload"), request)?;
    envelope.set_item(intern!(py, "caller"), &invocation.class.info().name)
}

/// A service's name: the text itself, or what a class or an object of one is deployed as.
fn name_of(target: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(class) = target.cast::<PyType>() {
        return known_name(class);
    }
    if let Ok(service) = target.cast::<Service>() {
        return Ok(service.get().invocation()?.class.info().name.clone());
    }
    target
        .extract()
        .map_err(|_| PyTypeError::new_err("the name or class of a service is needed here"))
}

fn check_known(py: Python<'_>, invocation: &Invocation, name: &str) -> PyResult<()> {
    let environment = &invocation.environment;
    if environment.services.load().contains_key(name) {
        Ok(())
    } else {
        native::check(py, environment, name)
    }
}

/// The services to call with what a service answers: those that are named, else the one whose name says that it is for the caller's.
fn callbacks(py: Python<'_>, invocation: &Invocation, given: Option<Bound<'_, PyAny>>) -> PyResult<Vec<String>> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        let own = format!("{}-async-callback", invocation.class.info().name);
        let exists = invocation.environment.services.load().contains_key(&own);
        return Ok(if exists { vec![own] } else { Vec::new() });
    };
    let names = if given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>() {
        let names = given.try_iter()?.map(|name| name_of(&name?));
        names.collect::<PyResult<Vec<_>>>()?
    } else {
        vec![name_of(&given)?]
    };
    for name in &names {
        check_known(py, invocation, name)?;
    }
    Ok(names)
}

/// Whether a call came out of the queue, as a message that a service of this server stored, [`put`] or [`call_back`]. Only then is the body
/// an envelope.
pub(crate) fn is_message(call: &Call) -> bool {
    call.head.first() == Some(&ChannelType::InvokeAsync.code())
}

/// An invocation by a message, and the services to call with its answer.
pub(crate) fn read(
    py: Python<'_>,
    environment: &Arc<Environment>,
    class: &Arc<ServiceClass>,
    call: &Call,
) -> PyResult<(Invocation, Vec<String>)> {
    let envelope = kept::unpack(py, &call.body)?.cast_into::<PyDict>()?;
    let object =
        |name: &Bound<'_, PyString>| -> PyResult<Option<Py<PyAny>>> { Ok(envelope.get_item(name)?.map(Bound::unbind)) };
    let text = |name: &Bound<'_, PyString>| -> PyResult<Option<String>> {
        envelope.get_item(name)?.map(|value| value.extract()).transpose()
    };
    let given_cid = text(intern!(py, "cid"))?;
    let data_format = text(intern!(py, "data_format"))?;
    let callbacks = envelope.get_item(intern!(py, "callback"))?;
    let local = Local {
        payload: object(intern!(py, "payload"))?.unwrap_or_else(|| py.None()),
        environ: object(intern!(py, "environ"))?,
        wsgi_environ: None,
        in_reply_to: object(intern!(py, "in_reply_to"))?,
        channel_type: text(intern!(py, "channel"))?,
        given_cid,
        data_format,
    };
    let callbacks = callbacks.map(|names| names.extract()).transpose()?.unwrap_or_default();
    Ok((Invocation::of_message(environment, class, call, local), callbacks))
}

/// Leaves messages for the services that wait for the answer of a message.
pub(crate) fn call_back(
    py: Python<'_>,
    invocation: &Invocation,
    service: &Bound<'_, Service>,
    callbacks: Vec<String>,
    answer: Bound<'_, PyAny>,
) -> PyResult<()> {
    let environ = service.get().environ(py)?;
    for name in callbacks {
        let envelope = PyDict::new(py);
        set_payload(&envelope, invocation, &name, answer.clone())?;
        envelope.set_item(intern!(py, "channel"), Envelope::CALLBACK_CHANNEL)?;
        envelope.set_item(intern!(py, "in_reply_to"), invocation.shown_cid())?;
        envelope.set_item(intern!(py, "environ"), &environ)?;
        let message = Message::of_service(Cid::new(), name, kept::pack(&envelope)?.into(), None);
        store(py, &invocation.environment, message)?;
    }
    Ok(())
}
