//! SOAP channels: which operation a request names, and what is made of answers and faults (http.md 2 and 7.3).

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use busbar_model::{Cid, SoapVersion};
use busbar_runtime::Fault;
use busbar_sio::soap::{self, FaultCode};

const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// The action that a request names: in a header of its own, or in the content type as 1.2 has it. Quotes around it do not count.
pub(crate) fn action(headers: &HeaderMap) -> Option<&[u8]> {
    let action = match headers.get(SOAP_ACTION) {
        Some(action) => action.as_bytes(),
        None => {
            let content_type = headers.get(CONTENT_TYPE)?.as_bytes();
            content_type.split(|byte| *byte == b';').skip(1).find_map(|parameter| {
                let parameter = parameter.trim_ascii();
                let (name, value) = parameter.split_at_checked(b"action=".len())?;
                name.eq_ignore_ascii_case(b"action=").then_some(value)
            })?
        }
    };
    Some(unquoted(action.trim_ascii()))
}

fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner,
        other => other,
    }
}

/// Puts what a service answered into an envelope. What is not text is left as it is.
pub(crate) fn enveloped(version: SoapVersion, body: Bytes) -> Bytes {
    match std::str::from_utf8(&body) {
        Ok(text) => soap::envelope(version, text).into(),
        Err(_) => body,
    }
}

/// A fault whose code follows from its status.
pub(crate) fn fault_body(version: SoapVersion, status: u16, cid: Cid, message: &str) -> String {
    let code = if (400..500).contains(&status) {
        FaultCode::Client
    } else {
        FaultCode::Server
    };
    soap::fault(version, code, cid.as_str(), message)
}

/// A document without its XML declaration.
pub(crate) fn without_declaration(text: String) -> String {
    match text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
        Some((_, document)) => document.trim_start().to_owned(),
        None => text,
    }
}

/// The HTTP status of a fault. SOAP 1.1 knows 500 only, apart from what is said before anybody has looked into the envelope.
pub(crate) fn status(version: SoapVersion, fault: &Fault) -> StatusCode {
    let status = match (version, fault.status) {
        (SoapVersion::V11, 401 | 403 | 404 | 405 | 408 | 413 | 415 | 429 | 501..) | (SoapVersion::V12, _) => {
            fault.status
        }
        (SoapVersion::V11, _) => 500,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Checks a request's envelope. What is wrong with it is a fault with a code of its own: its status and its body.
pub(crate) fn check(version: SoapVersion, body: &[u8], cid: Cid) -> Result<(), (StatusCode, String)> {
    soap::check_envelope(body, version).map_err(|error| {
        let status = match (version, error.code) {
            (SoapVersion::V12, FaultCode::Client) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, soap::fault(version, error.code, cid.as_str(), &error.message))
    })
}

/// A header value that is known when the program is written.
pub(crate) const FAULT_TYPE: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");
