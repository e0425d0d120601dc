//! SOAP channels: which operation a request names, and what is made of answers and faults (http.md 2 and 7.3).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use busbar_model::{Cid, SoapVersion};
use busbar_runtime::{Fault, Head};
use busbar_sio::soap::{self, Addressing, FaultCode};

use crate::http::respond::Content;

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

/// A request's envelope with what came beside it in its place, and how the request is addressed.
pub(crate) fn opened(head: &[u8], mut body: Bytes) -> Result<(Bytes, Option<Addressing>), Fault> {
    let facts = Head::unpack(head);
    let mut headers = facts.iter().flat_map(Head::headers);
    if let Some((_, content_type)) = headers.find(|(name, _)| *name == CONTENT_TYPE.as_str())
        && soap::has_attachments(content_type)
    {
        body = soap::assembled(content_type, &body).map_err(|error| Fault::new(400, error.message))?;
    }
    let addressing = Addressing::of(&body);
    match addressing.as_ref().and_then(Addressing::refusal) {
        Some(why) => Err(Fault::new(400, why)),
        None => Ok((body, addressing)),
    }
}

/// An answer with the headers by which whoever asked finds the request to it.
pub(crate) fn answered(response: Response<Content>, addressing: &Addressing, cid: Cid) -> Response<Content> {
    let is_fault = response.status().is_client_error() || response.status().is_server_error();
    response.map(|content| match content {
        Content::Whole(body) => Content::Whole(
            addressing
                .answered(&body, is_fault, cid.as_str())
                .map_or(body, Bytes::from),
        ),
        stream @ Content::Stream(_) => stream,
    })
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
