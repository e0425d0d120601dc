//! A file, sent as a form sends one.

use busbar_connectors::http::outgoing::HttpRequest;
use busbar_model::Cid;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::faces::http::arguments::{current_cid, is_cid};
use crate::turn;

/// Reads a call, and the file that it names.
pub(super) fn read(
    py: Python<'_>,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<HttpRequest> {
    let mut positional: Vec<Bound<'_, PyAny>> = args.iter().collect();
    let mut cid = None;
    if positional.len() > 1 && is_cid(&positional[0]) || positional.first().is_some_and(Bound::is_none) {
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
    let cid = text("cid", &current_cid())?;
    if let Some(name) = given.keys().iter().find(|name| !name.is_none()) {
        return Err(PyTypeError::new_err(format!("unexpected argument `{name}`")));
    }
    if path.is_empty() {
        return Err(PyTypeError::new_err("the file's `path` is missing"));
    }
    // what Python would raise: FileNotFoundError, PermissionError...
    let content = turn::wait(py, || std::fs::read(&path)).map_err(PyErr::from)?;

    let file = std::path::Path::new(&path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let boundary = format!("busbar-{}", Cid::new());
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n",
        quoted(&field),
        quoted(&file),
        mime.replace(['\r', '\n'], " "),
    )
    .into_bytes();
    body.extend_from_slice(&content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Ok(HttpRequest {
        cid,
        body: body.into(),
        content_type: Some(format!("multipart/form-data; boundary={boundary}")),
        ..HttpRequest::new("POST")
    })
}

/// As browsers write names in forms.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
