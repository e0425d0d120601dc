//! `self.invoke('zato...')`: services that the hub runs itself.

use bytes::Bytes;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use busbar_runtime::HubRequest;
use busbar_runtime::native::NativeReply;

use crate::environment::Environment;
use crate::errors::{HTTP_EXCEPTION, to_python};
use crate::json;
use crate::service::instance::Service;
use crate::service::invoke::{Arguments, without_response_elem};
use crate::sio::convert::bunchify;
use crate::turn;

/// What the names of services begin with that the hub may run. Others are not asked about.
const PREFIXES: [&str; 3] = ["zato.", "pub.zato.", "busbar."];

/// Whether a service of this name may be one of the hub's, if no worker has it.
pub(crate) fn may_have(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Makes sure that the hub has a service of this name.
///
/// # Errors
///
/// A `KeyError` if there is none.
pub(crate) fn check(py: Python<'_>, environment: &Environment, name: &str) -> PyResult<()> {
    if !may_have(name) {
        return Err(PyKeyError::new_err(name.to_owned()));
    }
    let found = environment.hub.request(HubRequest {
        kind: NativeReply::KIND.to_owned(),
        name: name.to_owned(),
        operation: NativeReply::FIND.to_owned(),
        parts: Vec::new(),
    });
    turn::block_on(py, environment, found).map_err(|error| to_python(py, &error, name))?;
    Ok(())
}

/// What a service gives to one of the hub, as its request: text as it is, anything else as JSON.
pub(crate) fn body(payload: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match payload.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.as_bytes().to_vec()),
        Err(_) => json::write(payload),
    }
}

/// Runs a service of the hub.
pub(super) fn call<'py>(
    caller: &Bound<'py, Service>,
    name: &str,
    arguments: &Arguments<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = caller.py();
    if !may_have(name) {
        return Err(PyKeyError::new_err(name.to_owned()));
    }
    let invocation = caller.get().invocation()?;
    let environment = &invocation.environment;
    let body = body(&arguments.payload)?;
    let request = HubRequest {
        kind: NativeReply::KIND.to_owned(),
        name: name.to_owned(),
        operation: "call".to_owned(),
        parts: vec![
            Bytes::copy_from_slice(invocation.cid.as_bytes()),
            Bytes::from(body),
            Bytes::copy_from_slice(invocation.class.info().name.as_bytes()),
        ],
    };
    let answer = environment.hub.request(request);
    let answer = turn::block_on(py, environment, answer).map_err(|error| to_python(py, &error, name))?;
    let NativeReply { status, body } = NativeReply::unpack(&answer);
    if status >= 400 {
        let details = String::from_utf8_lossy(&body).into_owned();
        return Err(HTTP_EXCEPTION.error(py, (invocation.cid.as_str(), details, status)));
    }
    let is_text = arguments.flag("serialize")? && arguments.text("data_format")?.as_deref() == Some("json");
    if is_text {
        return PyString::from_bytes(py, &body).map(Bound::into_any);
    }
    let answer = json::read_lenient(py, &body).map_err(PyValueError::new_err)?;
    let answer = if arguments.flag("skip_response_elem")? {
        without_response_elem(answer)?
    } else {
        answer
    };
    if arguments.flag("as_bunch")? {
        bunchify(&answer)
    } else {
        Ok(answer)
    }
}
