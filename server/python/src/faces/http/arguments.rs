//! The forms in which services call: with a correlation id in front or without, data and params by place or by name.

use std::time::Duration;

use busbar_connectors::http::Transport;
use busbar_connectors::http::outgoing::HttpRequest;
use busbar_connectors::http::outgoing_config::{OutgoingFormat, OutgoingHttp};
use busbar_model::SoapVersion;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::faces::http::multipart;
use crate::{json, turn};

/// What positional arguments mean, behind the correlation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `params`
    Params,
    /// `data, params, headers`
    Data,
    /// `data, headers, params`: `send` over SOAP
    Envelope,
    /// `data, params`, or `params` alone if the first one is a dictionary.
    DataOrParams,
}

const FORM_TYPE: &str = "application/x-www-form-urlencoded";
const JSON_TYPE: &str = "application/json";

/// The cid of the call that this thread runs; empty if it runs none.
pub(crate) fn current_cid() -> String {
    turn::current()
        .map(|current| current.cid.to_string())
        .unwrap_or_default()
}

/// The cid that is sent if the call names none: that which the service was given, or that of the call that this thread runs.
pub(super) fn own_cid(given: Option<&str>) -> String {
    given.map_or_else(current_cid, str::to_owned)
}

/// Reads a call. `given_cid`: the cid of the service that calls, if it was given one.
pub(crate) fn read(
    config: &OutgoingHttp,
    given_cid: Option<&str>,
    method: &str,
    form: Form,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<HttpRequest> {
    let mut request = HttpRequest::new(method);
    let mut positional: Vec<Bound<'_, PyAny>> = args.iter().collect();
    let mut cid = None;
    if let Some(first) = positional.first() {
        let stands_for_none = first.is_none()
            || first
                .cast::<PyString>()
                .is_ok_and(|text| text.len().is_ok_and(|length| length == 0));
        if is_cid(first, given_cid) || stands_for_none && positional.len() > 1 {
            cid = Some(positional.remove(0));
        }
    }
    let names: &[&str] = match (form, positional.first()) {
        (Form::Params, _) => &["params", "headers"],
        (Form::DataOrParams, Some(first)) if positional.len() == 1 && first.is_instance_of::<PyDict>() => &["params"],
        (Form::Envelope, _) => &["data", "headers", "params"],
        (Form::Data | Form::DataOrParams, _) => &["data", "params", "headers"],
    };
    if positional.len() > names.len() {
        return Err(PyTypeError::new_err(format!(
            "too many arguments: a cid, then {}",
            names.join(", ")
        )));
    }
    let mut given: Vec<(&str, Bound<'_, PyAny>)> = names.iter().copied().zip(positional).collect();
    if let Some(cid) = cid {
        given.push(("cid", cid));
    }
    let mut data = None;
    let mut json = None;
    let mut files = None;
    let keywords = kwargs
        .into_iter()
        .flatten()
        .map(|(name, value)| Ok((name.extract::<String>()?, value)));
    let keywords = keywords.collect::<PyResult<Vec<_>>>()?;
    if let Some((name, _)) = keywords
        .iter()
        .find(|(name, value)| !value.is_none() && given.iter().any(|(other, first)| other == name && !first.is_none()))
    {
        return Err(PyTypeError::new_err(format!("`{name}` is given twice")));
    }
    for (name, value) in given
        .iter()
        .map(|(name, value)| (*name, value))
        .chain(keywords.iter().map(|(name, value)| (name.as_str(), value)))
    {
        if value.is_none() {
            continue;
        }
        match name {
            "cid" => request.cid = value.str()?.to_str()?.to_owned(),
            "data" => data = Some(value.clone()),
            "json" => json = Some(value.clone()),
            "files" => files = Some(value.clone()),
            "params" => request.params = params(value)?,
            "headers" => request.headers = headers(value)?,
            "timeout" => request.timeout = timeout(value)?,
            "allow_redirects" => request.allow_redirects = Some(value.is_truthy()?),
            "auth" => {
                let pair: (String, String) = value
                    .extract()
                    .map_err(|_| PyTypeError::new_err("auth must be a user name and a password"))?;
                request.basic_auth = Some(pair);
            }
            "cookies" => {
                let pairs = pairs(value)?;
                let cookies: Vec<String> = pairs
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                request.headers.push(("Cookie".to_owned(), cookies.join("; ")));
            }
            // the response is read whole in any case
            "stream" => {}
            "verify" | "cert" | "proxies" => {
                return Err(PyTypeError::new_err(format!(
                    "`{name}` is a setting of the connection, not of a call"
                )));
            }
            _ => return Err(PyTypeError::new_err(format!("unexpected keyword argument `{name}`"))),
        }
    }
    if request.cid.is_empty() {
        request.cid = own_cid(given_cid);
    }
    if let Some(files) = files.filter(|files| files.is_truthy().unwrap_or(true)) {
        if json.is_some() {
            return Err(PyTypeError::new_err(
                "`json` and `files` are two bodies: give one of them",
            ));
        }
        let (bytes, content_type) = multipart::of_files(data.as_ref(), &files)?;
        request.body = bytes;
        request.content_type = Some(content_type);
        return Ok(request);
    }
    let written = match json {
        Some(json) => Some((json::write(&json)?.into(), Some(JSON_TYPE))),
        None if config.transport == Transport::Soap => data.map(|data| soap_body(config, &data)).transpose()?,
        None => data.map(|data| body(config.data_format, &data)).transpose()?,
    };
    if let Some((bytes, content_type)) = written {
        request.body = bytes;
        request.content_type = content_type.map(str::to_owned);
    }
    let names_action = |(name, _): &(String, String)| name.eq_ignore_ascii_case("soapaction");
    if config.transport == Transport::Soap
        && !config.soap_action.is_empty()
        && !request.headers.iter().any(names_action)
    {
        let action = config.soap_action.trim_matches('"');
        request.headers.push(("SOAPAction".to_owned(), format!("\"{action}\"")));
    }
    Ok(request)
}

/// What is sent for `data` over a SOAP connection: its envelope, or one around it.
fn soap_body(config: &OutgoingHttp, data: &Bound<'_, PyAny>) -> PyResult<(Bytes, Option<&'static str>)> {
    let py = data.py();
    let (version, content_type) = match config.soap_version {
        SoapVersion::V11 => ("1.1", "text/xml; charset=utf-8"),
        SoapVersion::V12 => ("1.2", "application/soap+xml; charset=utf-8"),
    };
    let written = py
        .import(intern!(py, "busbar.facilities.soap"))?
        .call_method1(intern!(py, "envelope"), (data, version))?;
    let (bytes, _) = body(OutgoingFormat::None, &written)?;
    Ok((bytes, config.content_type.is_empty().then_some(content_type)))
}

/// Whether an argument is a correlation id: the service's own, or text of its shape in any version.
pub(crate) fn is_cid(value: &Bound<'_, PyAny>, own: Option<&str>) -> bool {
    let Some(text) = value.cast::<PyString>().ok().and_then(|text| text.to_str().ok()) else {
        return false;
    };
    if own == Some(text) {
        return true;
    }
    let is_hex = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = text.strip_prefix('K').map(str::as_bytes);
    let is_older = rest.is_some_and(|rest| {
        rest.len() == 27 && rest.iter().all(u8::is_ascii_alphanumeric)
            || rest.len() == 39 && rest.iter().all(u8::is_ascii_digit)
    });
    is_hex || is_older
}

/// What is sent for `data`, and its content type where that is not the connection's own.
fn body(format: OutgoingFormat, data: &Bound<'_, PyAny>) -> PyResult<(Bytes, Option<&'static str>)> {
    let py = data.py();
    if let Ok(text) = data.cast::<PyString>() {
        return Ok((Bytes::copy_from_slice(text.to_str()?.as_bytes()), None));
    }
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok((Bytes::copy_from_slice(bytes.as_bytes()), None));
    }
    if let Ok(bytes) = data.cast::<PyByteArray>() {
        return Ok((bytes.to_vec().into(), None));
    }
    if let Some(read) = data.getattr_opt(intern!(py, "read"))? {
        return body(format, &read.call0()?);
    }
    let module = data.get_type().module()?;
    if module.to_str()?.starts_with("lxml.") {
        let text = py
            .import(intern!(py, "lxml.etree"))?
            .call_method1(intern!(py, "tostring"), (data,))?;
        return body(format, &text);
    }
    let is_form = match format {
        OutgoingFormat::Form => true,
        OutgoingFormat::None => data.is_instance_of::<PyDict>() || is_pairs(data),
        OutgoingFormat::Json | OutgoingFormat::Xml => false,
    };
    if is_form {
        return Ok((form(&pairs(data)?).into(), Some(FORM_TYPE)));
    }
    if format == OutgoingFormat::Xml {
        return Err(PyTypeError::new_err(format!(
            "cannot send {} as XML: text, bytes or an lxml element is expected",
            data.get_type().name()?
        )));
    }
    Ok((json::write(data)?.into(), Some(JSON_TYPE)))
}

fn is_pairs(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyList>().is_ok_and(|list| {
        !list.is_empty()
            && list
                .iter()
                .all(|item| item.cast::<PyTuple>().is_ok_and(|pair| pair.len() == 2))
    })
}

fn params(value: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let Ok(text) = value.cast::<PyString>() else {
        return pairs(value);
    };
    let text = text.to_str()?;
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let parts = text.trim_start_matches('?').split('&').filter(|part| !part.is_empty());
    Ok(parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect())
}

/// Names and values of a dictionary or of a list of pairs. A value that is a list repeats its name, `None` is left out.
pub(super) fn pairs(value: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    let py = value.py();
    let items = match value.getattr_opt(intern!(py, "items"))? {
        Some(items) => items.call0()?,
        None => value.clone(),
    };
    let mut pairs = Vec::new();
    for item in items.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?
            .extract()
            .map_err(|_| PyTypeError::new_err("a dictionary or a list of names and values is expected"))?;
        let name = text_of(&name)?;
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            for value in value.try_iter()? {
                pairs.push((name.clone(), text_of(&value?)?));
            }
        } else if !value.is_none() {
            pairs.push((name, text_of(&value)?));
        }
    }
    Ok(pairs)
}

fn headers(value: &Bound<'_, PyAny>) -> PyResult<Vec<(String, String)>> {
    pairs(value)
}

fn text_of(value: &Bound<'_, PyAny>) -> PyResult<String> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(String::from_utf8_lossy(bytes.as_bytes()).into_owned()),
        Err(_) => Ok(value.str()?.to_str()?.to_owned()),
    }
}

/// Seconds, or a pair of those for connecting and reading, which are one limit here: their sum.
fn timeout(value: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    let seconds = match value.extract::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let (connect, read): (Option<f64>, Option<f64>) = value
                .extract()
                .map_err(|_| PyTypeError::new_err("timeout must be a number of seconds, or a pair of them"))?;
            match (connect, read) {
                (None, None) => return Ok(None),
                (connect, read) => connect.unwrap_or_default() + read.unwrap_or_default(),
            }
        }
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() => Ok(Some(timeout)),
        _ => Err(PyValueError::new_err(format!(
            "timeout must be more than 0 seconds, not {seconds}"
        ))),
    }
}

/// A form, URL-encoded.
fn form(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| {
        let mut encoded = String::new();
        for (index, part) in text.split(' ').enumerate() {
            if index > 0 {
                encoded.push('+');
            }
            for chunk in utf8_percent_encode(part, NON_ALPHANUMERIC) {
                encoded.push_str(match chunk {
                    "%2E" => ".",
                    "%2D" => "-",
                    "%5F" => "_",
                    "%7E" => "~",
                    chunk => chunk,
                });
            }
        }
        encoded
    };
    pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use crate::testing::attach;

    const CID: &str = "0123456789abcdef01234567";

    fn parsed(py: Python<'_>, format: OutgoingFormat, form: Form, call: &str) -> PyResult<HttpRequest> {
        let config: OutgoingHttp =
            serde_json::from_value(serde_json::json!({"host": "http://x", "data_format": format})).unwrap();
        let code = format!("(lambda *a, **k: (a, k))({call})");
        let pair = py.eval(&CString::new(code).unwrap(), None, None).unwrap();
        let (args, kwargs): (Bound<'_, PyTuple>, Bound<'_, PyDict>) = pair.extract().unwrap();
        read(&config, None, "POST", form, &args, Some(&kwargs))
    }

    #[test]
    fn a_cid_in_front_is_told_by_its_shape() {
        attach(|py| {
            for (call, cid, body) in [
                (format!("'{CID}', {{'a': 1}}"), CID, "{\"a\":1}"),
                ("{'a': 1}".to_owned(), "", "{\"a\":1}"),
                ("'{\"a\": 1}'".to_owned(), "", "{\"a\": 1}"),
                (format!("'{CID}'"), CID, ""),
                (format!("data='x', cid='{CID}'"), CID, "x"),
                (
                    format!("'K{}', 'x'", "0".repeat(39)),
                    &format!("K{}", "0".repeat(39)),
                    "x",
                ),
                ("None, 'x'".to_owned(), "", "x"),
                ("'', 'x'".to_owned(), "", "x"),
                (String::new(), "", ""),
                ("json=[1]".to_owned(), "", "[1]"),
            ] {
                let request = parsed(py, OutgoingFormat::Json, Form::Data, &call).unwrap();
                assert_eq!(
                    (request.cid.as_str(), &request.body[..]),
                    (cid, body.as_bytes()),
                    "{call}"
                );
            }
        });
    }

    #[test]
    fn places_and_names_mean_the_same() {
        attach(|py| {
            let request = parsed(
                py,
                OutgoingFormat::Json,
                Form::Data,
                "'x', {'q': [1, 2], 'n': None}, {'X-A': b'1'}",
            )
            .unwrap();
            assert_eq!(
                request.params,
                [("q".to_owned(), "1".to_owned()), ("q".to_owned(), "2".to_owned())]
            );
            assert_eq!(request.headers, [("X-A".to_owned(), "1".to_owned())]);
            let request = parsed(py, OutgoingFormat::Json, Form::Params, "'a=1&b=x%20y+z'").unwrap();
            assert_eq!(request.params[1], ("b".to_owned(), "x y z".to_owned()));
            let request = parsed(py, OutgoingFormat::Json, Form::DataOrParams, "{'id': 1}").unwrap();
            assert_eq!((request.params.len(), request.body.len()), (1, 0));
            let request = parsed(
                py,
                OutgoingFormat::Json,
                Form::DataOrParams,
                "'body', {'id': 1}, timeout=2.5, auth=('u', 'p')",
            )
            .unwrap();
            assert_eq!((request.params.len(), &request.body[..]), (1, &b"body"[..]));
            assert_eq!(request.timeout, Some(Duration::from_millis(2500)));
            assert_eq!(request.basic_auth, Some(("u".to_owned(), "p".to_owned())));
        });
    }

    #[test]
    fn bodies_are_written_as_the_connection_says() {
        attach(|py| {
            for (format, data, body, content_type) in [
                (OutgoingFormat::Json, "{'a': 'é'}", "{\"a\":\"é\"}", Some(JSON_TYPE)),
                (OutgoingFormat::Json, "b'x'", "x", None),
                (
                    OutgoingFormat::None,
                    "{'a': 'x y', 'b': [1, 'é&']}",
                    "a=x+y&b=1&b=%C3%A9%26",
                    Some(FORM_TYPE),
                ),
                (OutgoingFormat::None, "[('a', 1)]", "a=1", Some(FORM_TYPE)),
                (OutgoingFormat::None, "[{'a': 1}]", "[{\"a\":1}]", Some(JSON_TYPE)),
                (OutgoingFormat::Form, "{'a': '1.5-_~'}", "a=1.5-_~", Some(FORM_TYPE)),
                (OutgoingFormat::Xml, "'<a/>'", "<a/>", None),
                (OutgoingFormat::None, "__import__('io').BytesIO(b'file')", "file", None),
            ] {
                let request = parsed(py, format, Form::Data, data).unwrap();
                assert_eq!(
                    (&request.body[..], request.content_type.as_deref()),
                    (body.as_bytes(), content_type),
                    "{data}"
                );
            }
            assert!(parsed(py, OutgoingFormat::Xml, Form::Data, "{'a': 1}").is_err());
        });
    }

    #[test]
    fn what_a_call_cannot_say_is_refused() {
        attach(|py| {
            for (call, part) in [
                ("'x', verify=False", "setting of the connection"),
                ("'x', nonsense=1", "nonsense"),
                ("'x', timeout=-1", "more than 0"),
                ("'x', timeout='soon'", "number of seconds"),
                ("1, 2, 3, 4", "too many"),
                ("'x', params=5", ""),
            ] {
                let message = parsed(py, OutgoingFormat::Json, Form::Data, call)
                    .unwrap_err()
                    .to_string();
                assert!(message.contains(part), "{call}: {message}");
            }
        });
    }
}
