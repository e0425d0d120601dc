//! What is said about a deployment that failed.

use busbar_runtime::handler::DeployError;
use pyo3::exceptions::PySyntaxError;
use pyo3::prelude::*;

use crate::errors;

/// An exception that came out of a module's code, or out of reading its services.
pub(super) fn describe(py: Python<'_>, module: &str, error: &PyErr) -> DeployError {
    DeployError {
        module: module.to_owned(),
        message: message(py, error),
        traceback: errors::traceback(py, error),
        worker_lost: false,
    }
}

/// The exception in one line; for a syntax error with the line that is wrong.
fn message(py: Python<'_>, error: &PyErr) -> String {
    let value = error.value(py);
    let kind = error
        .get_type(py)
        .name()
        .map_or_else(|_| "exception".to_owned(), |name| name.to_string());
    if value.is_instance_of::<PySyntaxError>() {
        let field = |name| {
            value
                .getattr(name)
                .ok()
                .filter(|field| !field.is_none())
                .map(|field| field.to_string())
        };
        let message = field("msg").unwrap_or_default();
        let line = field("lineno")
            .map(|line| format!(" in line {line}"))
            .unwrap_or_default();
        let text = field("text")
            .map(|text| format!(": `{}`", text.trim()))
            .unwrap_or_default();
        return format!("{kind}: {message}{line}{text}");
    }
    let text = value
        .str()
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default();
    match text.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{kind}: {}", line.trim()),
        None => kind,
    }
}
