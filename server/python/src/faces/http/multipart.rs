//! Forms with files: what `files=` takes, and `upload`.

use std::path::Path;

use busbar_model::Cid;
use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::faces::http::arguments::pairs;

/// A form that is being written.
pub(super) struct Multipart {
    boundary: String,
    body: Vec<u8>,
}

/// A field or a file of a form.
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    /// `None`: it is a field.
    pub(super) file: Option<&'a str>,
    pub(super) content_type: Option<&'a str>,
    /// Further headers.
    pub(super) headers: &'a [(String, String)],
}

impl Multipart {
    pub(super) fn new() -> Self {
        Self {
            boundary: format!("busbar-{}", Cid::new()),
            body: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, part: &Part<'_>, content: &[u8]) {
        let mut head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{}\"",
            self.boundary,
            quoted(part.name)
        );
        if let Some(file) = part.file {
            head.push_str("; filename=\"");
            head.push_str(&quoted(file));
            head.push('"');
        }
        let content_type = part.content_type.map(|value| ("Content-Type", value));
        let headers = part.headers.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in content_type.into_iter().chain(headers) {
            head.push_str("\r\n");
            head.push_str(&one_line(name));
            head.push_str(": ");
            head.push_str(&one_line(value));
        }
        head.push_str("\r\n\r\n");
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
    }

    /// The body, and its content type.
    pub(super) fn finish(mut self) -> (Bytes, String) {
        self.body
            .extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        (
            self.body.into(),
            format!("multipart/form-data; boundary={}", self.boundary),
        )
    }
}

/// What is sent for `data` and `files`, in the forms that users of requests know: by name, or in pairs, a text, bytes, or an open file;
/// or a tuple of a file name, such a content, a content type and headers. Without a file name it is a field.
pub(super) fn of_files(data: Option<&Bound<'_, PyAny>>, files: &Bound<'_, PyAny>) -> PyResult<(Bytes, String)> {
    let mut form = Multipart::new();
    if let Some(data) = data {
        if !data.is_instance_of::<PyDict>() && !data.is_instance_of::<PyList>() {
            return Err(PyTypeError::new_err(
                "beside `files`, `data` must be a dict or a list of pairs: the fields of the form",
            ));
        }
        for (name, value) in pairs(data)? {
            let field = Part {
                name: &name,
                file: None,
                content_type: None,
                headers: &[],
            };
            form.add(&field, value.as_bytes());
        }
    }
    let items = match files.cast::<PyDict>() {
        Ok(files) => files.items().into_any(),
        Err(_) => files.clone(),
    };
    let items = items
        .try_iter()
        .map_err(|_| PyTypeError::new_err("`files` must be a dict, or a list of pairs of name and file"))?;
    for item in items {
        let (name, file): (String, Bound<'_, PyAny>) = item?
            .extract()
            .map_err(|_| PyTypeError::new_err("`files` must be a dict, or a list of pairs of name and file"))?;
        add_file(&mut form, &name, &file)?;
    }
    Ok(form.finish())
}

fn add_file(form: &mut Multipart, name: &str, file: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = file.py();
    let wrong = || {
        let message = format!(
            "the file `{name}` must be text, bytes, an open file, or a tuple of (file name, one of these, content type, headers)"
        );
        PyTypeError::new_err(message)
    };
    let part = |index: usize| -> PyResult<Option<Bound<'_, PyAny>>> {
        let tuple = file.cast::<PyTuple>().map_err(|_| wrong())?;
        Ok(tuple.get_item(index).ok().filter(|value| !value.is_none()))
    };
    let is_tuple = file.is_instance_of::<PyTuple>();
    let (file_name, content, content_type, headers) = if is_tuple {
        let text = |value: Option<Bound<'_, PyAny>>| value.map(|value| value.extract::<String>()).transpose();
        let headers = part(3)?.map(|headers| pairs(&headers)).transpose()?;
        (
            text(part(0)?)?,
            part(1)?.ok_or_else(wrong)?,
            text(part(2)?)?,
            headers.unwrap_or_default(),
        )
    } else {
        // that of an open file, if it is none of the system's own
        let path = file.getattr_opt(intern!(py, "name"))?;
        let path = path.and_then(|path| path.extract::<String>().ok());
        let path = path.filter(|path| !path.starts_with('<'));
        let own = path
            .as_deref()
            .and_then(|path| Path::new(path).file_name()?.to_str().map(str::to_owned));
        (
            Some(own.unwrap_or_else(|| name.to_owned())),
            file.clone(),
            None,
            Vec::new(),
        )
    };
    let part = Part {
        name,
        file: file_name.as_deref(),
        content_type: content_type.as_deref(),
        headers: &headers,
    };
    let content = match content.getattr_opt(intern!(py, "read"))? {
        Some(read) => read.call0()?,
        None => content,
    };
    if let Ok(text) = content.cast::<PyString>() {
        form.add(&part, text.to_str()?.as_bytes());
    } else if let Ok(bytes) = content.cast::<PyBytes>() {
        form.add(&part, bytes.as_bytes());
    } else if let Ok(bytes) = content.cast::<PyByteArray>() {
        form.add(&part, &bytes.to_vec());
    } else {
        return Err(wrong());
    }
    Ok(())
}

/// As browsers write names in forms.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}
