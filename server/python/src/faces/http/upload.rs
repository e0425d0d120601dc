//! A file, sent as a form sends one.

use busbar_connectors::http::outgoing::HttpRequest;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::faces::http::arguments::{is_cid, own_cid};
use crate::faces::http::multipart::{Multipart, Part};
use crate::turn;

/// Reads a call, and the file that it names. `given_cid`: the cid of the service that calls, if it was given one.
pub(super) fn read(
    py: Python<'_>,
    given_cid: Option<&str>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<HttpRequest> {
    let mut positional: Vec<Bound<'_, PyAny>> = args.iter().collect();
    let mut cid = None;
    if positional.len() > 1 && is_cid(&positional[0], given_cid) || positional.first().is_some_and(Bound::is_none) {
        cid = Some(positional.remove(0));
    }
    let names = ["path", "field_name", "mime_type"];
    if positional.len() > names.len() {
        return Err(PyTypeError::new_err(
            "too many arguments: a cid, then path, field_name, mime_type",
        ));
    }
    let given = PyDict::new(py);
    for (name, value) in names.into_iter().zip(positional) {
        given.set_item(name, value)?;
    }
    if let Some(cid) = cid {
        given.set_item("cid", cid)?;
    }
    for (name, value) in kwargs.into_iter().flatten() {
        if given.contains(&name)? {
            return Err(PyTypeError::new_err(format!("`{name}` is given twice")));
        }
        given.set_item(name, value)?;
    }
    let text = |name: &str, default: &str| -> PyResult<String> {
        let value = given.get_item(name)?.filter(|value| !value.is_none());
        if value.is_some() {
            given.del_item(name)?;
        }
        value.map_or_else(|| Ok(default.to_owned()), |value| Ok(value.str()?.to_str()?.to_owned()))
    };
    let (path, field, mime) = (
        text("path", "")?,
        text("field_name", "data")?,
        text("mime_type", "text/plain")?,
    );
    let cid = text("cid", &own_cid(given_cid))?;
    if let Some(name) = given.keys().iter().find(|name| !name.is_none()) {
        return Err(PyTypeError::new_err(format!("unexpected argument `{name}`")));
    }
    if path.is_empty() {
        return Err(PyTypeError::new_err("the file's `path` is missing"));
    }
    // what Python would raise: FileNotFoundError, PermissionError...
    let content = turn::wait(py, || std::fs::read(&path)).map_err(|error| {
        let message = format!("cannot upload `{path}`: {error}");
        PyErr::from(std::io::Error::new(error.kind(), message))
    })?;

    let file = std::path::Path::new(&path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let mut form = Multipart::new();
    let part = Part {
        name: &field,
        file: Some(&file),
        content_type: Some(&mime),
        headers: &[],
    };
    form.add(&part, &content);
    let (body, content_type) = form.finish();
    Ok(HttpRequest {
        cid,
        body,
        content_type: Some(content_type),
        ..HttpRequest::new("POST")
    })
}
