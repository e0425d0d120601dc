//! Errors across the border: Python exceptions become [`Fault`]s, errors of busbar become Python exceptions.

use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyException, PyKeyError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyTuple, PyType};
use serde_json::Value;

use busbar_model::{Cid, Error, Kind};
use busbar_runtime::Fault;

use crate::json;

/// What callers are told about exceptions that are nobody's business.
pub(crate) const DEFAULT_MESSAGE: &str = "An error has occurred";

// === Python exception -> Fault ===

/// How an exception that came out of a service is answered.
///
/// Exceptions that carry a status of their own (`NotFound` and its kin, `ElementMissing`) say what callers are told. Of any other one
/// callers see its arguments if `show_details` is on, which is how developers run it, else a general message. Tracebacks only ever
/// go to the log.
pub(crate) fn fault(py: Python<'_>, error: &PyErr, show_details: bool) -> Fault {
    let value = error.value(py);
    if let Some(status) = mapped_status(value) {
        let message = value.getattr_opt(intern!(py, "msg")).ok().flatten();
        let details = message
            .filter(|message| !message.is_none())
            .map(|message| to_value(&message));
        let mut fault = Fault {
            status,
            details,
            headers: Vec::new(),
        };
        let challenge = value.getattr_opt(intern!(py, "challenge")).ok().flatten();
        if let Some(challenge) = challenge.and_then(|challenge| challenge.extract::<String>().ok())
            && !challenge.contains(['\r', '\n'])
        {
            fault = fault.with_header("WWW-Authenticate", challenge);
        }
        return fault;
    }
    if is_deadline(value) {
        return Fault::new(504, "The service did not answer in time");
    }
    let details = if show_details {
        let arguments = value
            .getattr(intern!(py, "args"))
            .ok()
            .and_then(|args| args.cast_into::<PyTuple>().ok());
        match arguments {
            Some(arguments) if !arguments.is_empty() => Some(Value::Array(
                arguments.iter().map(|argument| to_value(&argument)).collect(),
            )),
            _ => None,
        }
    } else {
        Some(Value::String(DEFAULT_MESSAGE.to_owned()))
    };
    Fault {
        status: 500,
        details,
        headers: Vec::new(),
    }
}

/// Whether a fault tells callers nothing but that something went wrong.
pub(crate) fn is_general(fault: &Fault) -> bool {
    fault.details.as_ref().is_some_and(|details| details == DEFAULT_MESSAGE)
}

/// Whether the exception is a `BadRequest` whose message was not said to be for callers.
pub(crate) fn is_reticent(py: Python<'_>, error: &PyErr) -> bool {
    let value = error.value(py);
    BAD_REQUEST
        .get(py)
        .is_ok_and(|class| value.is_instance(class).unwrap_or(false))
        && !value
            .getattr(intern!(py, "needs_msg"))
            .and_then(|needs| needs.is_truthy())
            .unwrap_or(true)
}

/// Logs what came out of a service, once: what callers did wrong in a line, anything else with its traceback.
pub(crate) fn log(py: Python<'_>, error: &PyErr, cid: &Cid, service: &str, status: u16) {
    if status < 500 {
        tracing::info!(%cid, service, status, "service `{service}` answered {status}: {error}");
    } else {
        let traceback = traceback(py, error);
        tracing::error!(%cid, service, status, "exception in service `{service}`\n{traceback}");
    }
}

/// Logs an exception that a hook may raise without consequences.
pub(crate) fn log_swallowed(py: Python<'_>, error: &PyErr, cid: &Cid, service: &str, hook: &str) {
    let traceback = traceback(py, error);
    tracing::warn!(%cid, service, "exception in {hook}() of service `{service}`, ignored\n{traceback}");
}

/// Whether an exception says itself what callers are told.
pub(crate) fn is_for_callers(py: Python<'_>, error: &PyErr) -> bool {
    mapped_status(error.value(py)).is_some()
}

/// Whether an exception may be swallowed: those that end threads and processes, and deadlines, may not.
pub(crate) fn is_ordinary(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py)
}

/// The traceback as Python prints it; the message alone if there is none.
pub(crate) fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let formatted = || -> PyResult<String> {
        let lines = py.import(intern!(py, "traceback"))?.call_method1(
            intern!(py, "format_exception"),
            (error.get_type(py), error.value(py), error.traceback(py)),
        )?;
        PyString::new(py, "")
            .call_method1(intern!(py, "join"), (lines,))?
            .extract()
    };
    formatted().map_or_else(|_| error.to_string(), |text| text.trim_end().to_owned())
}

/// The status of an exception that is meant for callers. Told by attributes, so that the classes can live in Python: `status`, `msg`,
/// and `cid` or `elem_path`, which exceptions of other libraries that happen to have a status do not have.
fn mapped_status<'py>(value: &Bound<'py, PyAny>) -> Option<u16> {
    let py = value.py();
    let attribute = |name: &Bound<'py, PyString>| value.getattr_opt(name).ok().flatten();
    let status = attribute(intern!(py, "status"))?;
    let status = status.cast::<PyInt>().ok()?.extract::<u16>().ok()?;
    attribute(intern!(py, "msg"))?;
    if attribute(intern!(py, "cid")).is_none() && attribute(intern!(py, "elem_path")).is_none() {
        return None;
    }
    // 500 is also what all the others of the family carry; only those that are about HTTP speak to callers
    let is_mapped = if status == 500 {
        attribute(intern!(py, "needs_msg")).is_some()
    } else {
        (400..=599).contains(&status)
    };
    is_mapped.then_some(status)
}

fn is_deadline(value: &Bound<'_, PyAny>) -> bool {
    static DEADLINE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DEADLINE
        .import(value.py(), "busbar.errors", "DeadlineExceeded")
        .is_ok_and(|class| value.is_instance(class).unwrap_or(false))
}

/// A value as it may be told: JSON if it can be written as such, else its text.
fn to_value(value: &Bound<'_, PyAny>) -> Value {
    if let Some(text) = value.cast::<PyString>().ok().and_then(|text| text.to_str().ok()) {
        return Value::String(text.to_owned());
    }
    json::write(value)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_else(|| {
            Value::String(
                value
                    .str()
                    .map(|text| text.to_string_lossy().into_owned())
                    .unwrap_or_default(),
            )
        })
}

// === errors of busbar -> Python exceptions ===

/// An exception class that is defined in Python, looked up once.
pub(crate) struct PythonClass {
    module: &'static str,
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

impl PythonClass {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Self {
            module,
            name,
            class: PyOnceLock::new(),
        }
    }

    /// The class.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyType>> {
        self.class.import(py, self.module, self.name)
    }

    /// An exception of it; if the class cannot be found, the error that says so.
    pub(crate) fn error<'py>(&self, py: Python<'py>, arguments: impl PyCallArgs<'py>) -> PyErr {
        match self.get(py).and_then(|class| class.call1(arguments)) {
            Ok(value) => PyErr::from_value(value),
            Err(error) => error,
        }
    }
}

/// `zato.common.marshal_.api.ElementMissing(name)`
pub(crate) static ELEMENT_MISSING: PythonClass = PythonClass::new("zato.common.marshal_.api", "ElementMissing");
/// `zato.common.marshal_.api.ElementIsNotAList(path)`
pub(crate) static ELEMENT_IS_NOT_A_LIST: PythonClass =
    PythonClass::new("zato.common.marshal_.api", "ElementIsNotAList");
/// `zato.common.exception.ValidationException(cid, msg)`, status 400
pub(crate) static VALIDATION: PythonClass = PythonClass::new("zato.common.exception", "ValidationException");
/// `zato.common.exception.ZatoException(cid, msg)`
pub(crate) static ZATO_EXCEPTION: PythonClass = PythonClass::new("zato.common.exception", "ZatoException");
/// `zato.common.exception.Inactive(name)`
pub(crate) static INACTIVE: PythonClass = PythonClass::new("zato.common.exception", "Inactive");
/// `zato.common.exception.HTTPException(cid, msg, status)`
pub(crate) static HTTP_EXCEPTION: PythonClass = PythonClass::new("zato.common.exception", "HTTPException");
static BAD_REQUEST: PythonClass = PythonClass::new("zato.common.exception", "BadRequest");
static CONNECTION: PythonClass = PythonClass::new("zato.common.exception", "ConnectionException");
static TIMEOUT: PythonClass = PythonClass::new("zato.common.exception", "TimeoutException");
static UNAVAILABLE: PythonClass = PythonClass::new("zato.common.exception", "ServiceUnavailable");
static TOO_MANY: PythonClass = PythonClass::new("zato.common.exception", "TooManyRequests");
static DEADLINE_EXCEEDED: PythonClass = PythonClass::new("busbar.errors", "DeadlineExceeded");

/// The exception that a service sees for an error of busbar, where its face has no classes of its own for it.
///
/// `name` is the object that the service asked for, for the exceptions that are about names.
pub(crate) fn to_python(py: Python<'_>, error: &Error, name: &str) -> PyErr {
    let mut message = error.chain();
    if let Some(hint) = error.hint() {
        message.push_str("; ");
        message.push_str(hint);
    }
    let cid = crate::turn::current().map(|current| current.cid.to_string());
    match error.kind() {
        Kind::NotFound => PyKeyError::new_err(name.to_owned()),
        Kind::Inactive => INACTIVE.error(py, (name.to_owned(),)),
        Kind::BadRequest => BAD_REQUEST.error(py, (cid, message)),
        Kind::Timeout => TIMEOUT.error(py, (cid, message)),
        Kind::Connection | Kind::Tls => CONNECTION.error(py, (cid, message)),
        Kind::Unavailable => UNAVAILABLE.error(py, (cid, message)),
        Kind::TooManyRequests => TOO_MANY.error(py, (cid, message)),
        Kind::Cancelled => DEADLINE_EXCEEDED.error(py, (message,)),
        _ => ZATO_EXCEPTION.error(py, (cid, message)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use pyo3::types::PyDict;
    use serde_json::json;

    use super::*;
    use crate::testing::attach;

    fn raised(py: Python<'_>, code: &CStr) -> PyErr {
        let scope = PyDict::new(py);
        let imports =
            c"from zato.common.exception import *\nfrom zato.common.marshal_.api import *\nimport urllib.error\n";
        py.run(imports, Some(&scope), None).unwrap();
        py.run(code, Some(&scope), None).unwrap_err()
    }

    #[test]
    fn exceptions_have_their_statuses_and_details() {
        attach(|py| {
            for (code, status, details) in [
                (
                    c"raise BadRequest('c', 'no such type')",
                    400,
                    Some(json!("no such type")),
                ),
                (
                    c"raise NotFound('c', 'no such customer')",
                    404,
                    Some(json!("no such customer")),
                ),
                (c"raise NotFound('c')", 404, None),
                (c"raise Conflict('c', 'twice')", 409, Some(json!("twice"))),
                (c"raise ServiceUnavailable('c', 'later')", 503, Some(json!("later"))),
                (
                    c"raise InternalServerError('c')",
                    500,
                    Some(json!("Internal server error")),
                ),
                (c"raise HTTPException('c', {'a': 1}, 418)", 418, Some(json!({"a": 1}))),
                (
                    c"raise ElementMissing('cust_id')",
                    400,
                    Some(json!("Element missing: cust_id")),
                ),
                (c"raise ParsingException('c', 'bad')", 400, Some(json!("bad"))),
                (c"raise ZatoException('c', 'broken')", 500, Some(json!(["broken"]))),
                (
                    c"raise Exception('something broke')",
                    500,
                    Some(json!(["something broke"])),
                ),
                (
                    c"raise Exception('a', 1, object)",
                    500,
                    Some(json!(["a", 1, "<class 'object'>"])),
                ),
                (c"raise Exception()", 500, None),
                (c"raise SystemExit(3)", 500, Some(json!([3]))),
                (
                    c"raise urllib.error.HTTPError('http://x', 404, 'Not Found', {}, None)",
                    500,
                    None,
                ),
                (
                    c"from busbar.errors import DeadlineExceeded\nraise DeadlineExceeded('x')",
                    504,
                    Some(json!("The service did not answer in time")),
                ),
            ] {
                let fault = fault(py, &raised(py, code), true);
                assert_eq!(fault.status, status, "{code:?}");
                if !code.to_bytes().starts_with(b"raise urllib") {
                    assert_eq!(fault.details, details, "{code:?}");
                }
            }
        });
    }

    #[test]
    fn details_stay_inside_unless_they_are_asked_for() {
        attach(|py| {
            let error = raised(py, c"raise Exception('the password is secret')");
            assert_eq!(fault(py, &error, false).details, Some(json!(DEFAULT_MESSAGE)));
            let error = raised(py, c"raise NotFound('c', 'no such customer')");
            assert_eq!(fault(py, &error, false).details, Some(json!("no such customer")));
        });
    }

    #[test]
    fn a_challenge_becomes_a_header() {
        attach(|py| {
            let error = raised(py, c"raise Unauthorized('c', 'who are you', 'Basic realm=\"Shop\"')");
            let fault = fault(py, &error, false);
            assert_eq!((fault.status, fault.details), (401, Some(json!("who are you"))));
            assert_eq!(
                fault.headers,
                [("WWW-Authenticate".to_owned(), "Basic realm=\"Shop\"".to_owned())]
            );
        });
    }

    #[test]
    fn tracebacks_are_whole() {
        attach(|py| {
            let text = traceback(py, &raised(py, c"def f():\n    raise ValueError('x')\nf()"));
            assert!(
                text.starts_with("Traceback (most recent call last)") && text.ends_with("ValueError: x"),
                "{text}"
            );
        });
    }
}
