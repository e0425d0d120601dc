//! `self.wsgi_environ`: the request as WSGI describes it, with the keys that services of older versions read.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::headers::Headers;
use crate::service::invocation::{Invocation, Source};
use crate::service::params::{parse_query, path_params};

/// What a path does not have unless it is percent-encoded.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Builds it; empty if the request did not come over HTTP.
pub(crate) fn environ<'py>(py: Python<'py>, invocation: &Invocation) -> PyResult<Bound<'py, PyDict>> {
    let environ = PyDict::new(py);
    let head = invocation.head();
    if head.method.is_empty() {
        return Ok(environ);
    }
    let headers = Headers::new(head.headers());
    let (address, port) = head.remote.rsplit_once(':').unwrap_or((head.remote, ""));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let host = headers.value("host").unwrap_or_default();
    let (server_name, server_port) = host.rsplit_once(':').unwrap_or((host, "80"));
    let mut uri = utf8_percent_encode(head.path, RESERVED).to_string();
    if !head.query.is_empty() {
        uri.push('?');
        uri.push_str(head.query);
    }
    for (name, value) in [
        ("REQUEST_METHOD", head.method),
        ("PATH_INFO", head.path),
        ("QUERY_STRING", head.query),
        ("RAW_URI", uri.as_str()),
        ("SCRIPT_NAME", ""),
        ("SERVER_NAME", server_name),
        ("SERVER_PORT", server_port),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REMOTE_ADDR", address),
        ("REMOTE_PORT", port),
        ("wsgi.url_scheme", "http"),
    ] {
        environ.set_item(name, value)?;
    }
    for (name, value) in headers.pairs() {
        let name = name.to_ascii_uppercase().replace('-', "_");
        match name.as_str() {
            "CONTENT_TYPE" | "CONTENT_LENGTH" => environ.set_item(name, value)?,
            _ => environ.set_item(format!("HTTP_{name}"), value)?,
        }
    }
    // the channel has asked the proxies that are trusted already
    environ.set_item("zato.http.remote_addr", address)?;
    environ.set_item("zato.http.GET", parse_query(py, head.query.as_bytes())?)?;
    environ.set_item("zato.http.path_params", path_params(py, &head)?)?;
    let channel = PyDict::new(py);
    channel.set_item("name", head.channel)?;
    channel.set_item("data_format", invocation.data_format.as_str())?;
    environ.set_item("zato.channel_item", channel)?;
    if let Source::Channel(body) = &invocation.source {
        let bytes = PyBytes::new(py, body);
        environ.set_item(
            "wsgi.input",
            py.import(intern!(py, "io"))?
                .call_method1(intern!(py, "BytesIO"), (bytes,))?,
        )?;
    }
    Ok(environ)
}
