//! What is assigned to `self.response.payload`, as bytes (service-api.md 6).

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString, PyTuple};

use busbar_model::DataFormat;
use busbar_sio::xml::{write_output, write_plain};

use crate::json;
use crate::service::invocation::Invocation;
use crate::service::payload::{Converted, SimpleIOPayload};
use crate::service::response::{Answer, cannot_write};
use crate::sio::csv;
use crate::sio::model::written_by_fields;
use crate::sio::xml::PyTree;

/// The body of a response in the channel's format.
pub(crate) fn body(py: Python<'_>, invocation: &Invocation, answer: Answer<'_>) -> PyResult<Bytes> {
    match answer {
        Answer::Nothing => Ok(Bytes::new()),
        Answer::Free(value) => free(py, invocation, &value),
        Answer::Declared(payload) => declared(py, invocation, payload.get()),
    }
}

fn declared(py: Python<'_>, invocation: &Invocation, payload: &SimpleIOPayload) -> PyResult<Bytes> {
    let declaration = invocation.class.sio.as_ref().map(|sio| &sio.declaration);
    if invocation.data_format == DataFormat::Xml
        && let Some(sio) = &invocation.class.sio
    {
        let output = payload.convert_for_xml(py, sio)?;
        let text =
            write_output(&sio.declaration, invocation.cid.as_str(), &output).map_err(|error| error.into_python(py))?;
        return Ok(text.into());
    }
    let converted = payload.convert(py)?;
    if invocation.data_format == DataFormat::Csv
        && let Some(sio) = &invocation.class.sio
    {
        let items = match &converted {
            Converted::One(item) => vec![item.clone().into_any()],
            Converted::Many(items) => items.iter().collect(),
        };
        return csv::write_declared(py, sio, sio.output.as_deref().unwrap_or_default(), items.into_iter());
    }
    let mut text = Vec::with_capacity(256);
    match declaration.and_then(|declaration| declaration.response_elem.as_deref()) {
        Some(element) => {
            text.push(b'{');
            json::append_text(element, &mut text);
            text.push(b':');
            json::append(converted.as_any(), &mut text)?;
            text.push(b'}');
        }
        None => json::append(converted.as_any(), &mut text)?,
    }
    Ok(text.into())
}

/// A payload of no declared shape: texts and bytes as they are, nothing for `None`, what says itself how it is written, JSON for the
/// rest, XML on XML channels.
fn free(py: Python<'_>, invocation: &Invocation, value: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    // the common case first
    if value.is_exact_instance_of::<PyDict>() && !matches!(invocation.data_format, DataFormat::Xml | DataFormat::Csv) {
        return json::write(value).map(Bytes::from);
    }
    if value.is_none() {
        return Ok(Bytes::new());
    }
    if let Some(body) = bytes_of(value)? {
        return Ok(body);
    }
    if invocation.data_format == DataFormat::Csv {
        return csv::write_free(py, invocation.class.sio.as_ref(), value);
    }
    let class = value.get_type();
    if class
        .module()
        .is_ok_and(|module| module.to_str().is_ok_and(|module| module.starts_with("lxml.")))
    {
        let text = py
            .import(intern!(py, "lxml.etree"))?
            .call_method1(intern!(py, "tostring"), (value,))?;
        return bytes_of(&text)?.ok_or_else(|| cannot_write(value));
    }
    let is_json =
        value.is_instance_of::<PyDict>() || value.is_instance_of::<PyTuple>() || written_by_fields(value)?.is_some();
    if !is_json {
        for name in [intern!(py, "to_json"), intern!(py, "to_dict"), intern!(py, "getvalue")] {
            if class.getattr_opt(name)?.is_some() {
                let own = value.call_method0(name)?;
                return match bytes_of(&own)? {
                    Some(body) => Ok(body),
                    None => json::write(&own).map(Bytes::from),
                };
            }
        }
    }
    if invocation.data_format == DataFormat::Xml {
        let text = write_plain("response", &PyTree::new(value.clone())).map_err(|error| error.into_python(py))?;
        return Ok(text.into());
    }
    json::write(value).map(Bytes::from)
}

pub(crate) fn bytes_of(value: &Bound<'_, PyAny>) -> PyResult<Option<Bytes>> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Some(Bytes::copy_from_slice(text.to_str()?.as_bytes())));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Bytes::copy_from_slice(bytes.as_bytes())));
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Some(bytes.to_vec().into()));
    }
    Ok(None)
}

/// Compresses a body as `Content-Encoding: gzip` wants it.
pub(crate) fn gzip(py: Python<'_>, body: &[u8]) -> PyResult<Bytes> {
    let compressed = py
        .import(intern!(py, "gzip"))?
        .call_method1(intern!(py, "compress"), (PyBytes::new(py, body), 6))?
        .cast_into::<PyBytes>()?;
    Ok(Bytes::copy_from_slice(compressed.as_bytes()))
}
