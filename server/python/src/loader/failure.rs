//! What is said about a deployment that failed.

use std::path::Path;

use busbar_runtime::handler::DeployError;
use pyo3::exceptions::{PyModuleNotFoundError, PySyntaxError};
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
    let hint = folder_beside(py, error).unwrap_or_default();
    match text.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{kind}: {}{hint}", line.trim()),
        None => kind,
    }
}

/// What is to be said of an import that has not found a folder beside the file: only those below `src` are packages.
fn folder_beside(py: Python<'_>, error: &PyErr) -> Option<String> {
    if !error.is_instance_of::<PyModuleNotFoundError>(py) {
        return None;
    }
    let name: String = error.value(py).getattr("name").ok()?.extract().ok()?;
    let package = name.split('.').next().filter(|package| !package.is_empty())?;
    let mut frame = error.traceback(py).map(Bound::into_any);
    while let Some(here) = frame {
        let file = here
            .getattr("tb_frame")
            .and_then(|frame| frame.getattr("f_code")?.getattr("co_filename"));
        let folder = Path::new(&file.ok()?.extract::<String>().ok()?).with_file_name(package);
        if folder.is_dir() {
            let shown = folder.display();
            return Some(format!(
                " (folders are packages below `src` of the pickup directory only: move `{shown}` there)"
            ));
        }
        frame = here.getattr("tb_next").ok().filter(|next| !next.is_none());
    }
    None
}
