//! From outcomes to responses: the one translation of the inbound side (http.md 4 and 7).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

use busbar_model::{Cid, DataFormat};
use busbar_runtime::{Fault, Outcome, Reply};

/// The header that carries the correlation id, on every response.
pub(crate) const X_ZATO_CID: HeaderName = HeaderName::from_static("x-zato-cid");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const XML: HeaderValue = HeaderValue::from_static("application/xml");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

/// Headers that say how a response is framed. That is the server's to decide: a service that echoes a request's headers must not tear its
/// own response apart.
const FRAMING: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
];

/// Writes an outcome for the callers of a channel.
pub(crate) fn outcome(outcome: Outcome, format: DataFormat, cid: Cid) -> Response<Bytes> {
    match outcome {
        Outcome::Reply(reply) => self::reply(reply, format, cid),
        Outcome::Fault(fault) => self::fault(&fault, format, cid),
    }
}

fn reply(reply: Reply, format: DataFormat, cid: Cid) -> Response<Bytes> {
    // 1xx is no response, and beyond 999 is no status
    let Some(status) = StatusCode::from_u16(reply.status)
        .ok()
        .filter(|status| status.as_u16() >= 200)
    else {
        tracing::error!(%cid, status = reply.status, "a service set status {}, which cannot be sent", reply.status);
        return fault(&Fault::new(500, "Internal server error"), format, cid);
    };
    let content_type = if reply.content_type.is_empty() {
        Ok(content_type(format))
    } else {
        HeaderValue::from_str(&reply.content_type)
    };
    let Ok(content_type) = content_type else {
        tracing::error!(%cid, "a service set a content type that cannot be sent: {:?}", reply.content_type);
        return fault(&Fault::new(500, "Internal server error"), format, cid);
    };
    let mut response = Response::new(reply.body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    add_headers(headers, &reply.headers, cid);
    response
}

/// Writes a fault: JSON and XML channels have shapes of their own, callers of others get the bare text.
pub(crate) fn fault(fault: &Fault, format: DataFormat, cid: Cid) -> Response<Bytes> {
    let body = match format {
        DataFormat::Json => json_body(fault.details.as_ref(), cid),
        DataFormat::Xml => xml_body(fault.details.as_ref(), cid),
        DataFormat::None | DataFormat::Dict => text(fault.details.as_ref()),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type(format));
    add_headers(headers, &fault.headers, cid);
    response
}

/// A response outside of any channel: text without a content type, as clients know it.
pub(crate) fn bare(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response
}

fn content_type(format: DataFormat) -> HeaderValue {
    match format {
        DataFormat::Json => JSON,
        DataFormat::Xml => XML,
        DataFormat::None | DataFormat::Dict => TEXT,
    }
}

/// Adds headers that a service or the dispatcher set. They win over ours; a name that is repeated is sent repeatedly.
fn add_headers(headers: &mut HeaderMap, added: &[(String, String)], cid: Cid) {
    for (index, (name, value)) in added.iter().enumerate() {
        let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) else {
            tracing::warn!(%cid, "a service set a header that cannot be sent, it is left out: {name:?}");
            continue;
        };
        if FRAMING.contains(&name) {
            continue;
        }
        let is_repeated = added[..index]
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name.as_str()));
        if is_repeated {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
}

fn json_body(details: Option<&Value>, cid: Cid) -> Vec<u8> {
    let mut body = Vec::with_capacity(128);
    body.extend_from_slice(br#"{"result":"Error","cid":""#);
    body.extend_from_slice(cid.as_bytes());
    body.push(b'"');
    if let Some(details) = details {
        body.extend_from_slice(br#","details":"#);
        serde_json::to_writer(&mut body, details).expect("a JSON value is written to memory");
    }
    body.push(b'}');
    body
}

fn xml_body(details: Option<&Value>, cid: Cid) -> Vec<u8> {
    let details = escape_xml(&String::from_utf8_lossy(&text(details)));
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<response><zato_env><cid>{cid}</cid><result>ZATO_ERROR</result>\
         <details>{details}</details></zato_env></response>"
    )
    .into_bytes()
}

/// The bare text of details; several are joined.
fn text(details: Option<&Value>) -> Vec<u8> {
    fn item(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
    match details {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().map(item).collect::<Vec<_>>().join(", ").into_bytes(),
        Some(other) => item(other).into_bytes(),
    }
}

fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // these cannot stand in XML at all, not even escaped
            '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cid() -> Cid {
        "0123456789abcdef01234567".parse().unwrap()
    }

    /// A response as text: status, headers as they will be sent, body.
    fn show(response: Response<Bytes>) -> String {
        let mut text = format!("{}\n", response.status().as_u16());
        for (name, value) in response.headers() {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        format!("{text}\n{}", String::from_utf8_lossy(response.body()))
    }

    fn show_fault(fault: Fault, format: DataFormat) -> String {
        show(outcome(Outcome::Fault(fault), format, cid()))
    }

    #[test]
    fn faults_of_json_channels() {
        assert_eq!(
            show_fault(Fault::new(400, "Element missing: \"a/b\""), DataFormat::Json),
            "400\ncontent-type: application/json\n\n\
             {\"result\":\"Error\",\"cid\":\"0123456789abcdef01234567\",\"details\":\"Element missing: \\\"a/b\\\"\"}"
        );
        let fault = Fault {
            status: 500,
            details: Some(json!(["no", 7])),
            headers: Vec::new(),
        };
        assert_eq!(
            show_fault(fault, DataFormat::Json),
            "500\ncontent-type: application/json\n\n\
             {\"result\":\"Error\",\"cid\":\"0123456789abcdef01234567\",\"details\":[\"no\",7]}"
        );
        let fault = Fault {
            status: 599,
            details: None,
            headers: vec![("Retry-After".to_owned(), "1".to_owned())],
        };
        assert_eq!(
            show_fault(fault, DataFormat::Json),
            "599\ncontent-type: application/json\nretry-after: 1\n\n{\"result\":\"Error\",\"cid\":\"0123456789abcdef01234567\"}"
        );
    }

    #[test]
    fn faults_of_xml_channels() {
        assert_eq!(
            show_fault(Fault::new(401, "a < b & \u{1}"), DataFormat::Xml),
            "401\ncontent-type: application/xml\n\n<?xml version='1.0' encoding='UTF-8'?>\n\
             <response><zato_env><cid>0123456789abcdef01234567</cid><result>ZATO_ERROR</result>\
             <details>a &lt; b &amp; \u{fffd}</details></zato_env></response>"
        );
    }

    #[test]
    fn faults_of_other_channels() {
        assert_eq!(
            show_fault(Fault::new(404, "gone"), DataFormat::None),
            "404\ncontent-type: text/plain\n\ngone"
        );
        let fault = Fault {
            status: 500,
            details: Some(json!(["no", {"a": 1}])),
            headers: Vec::new(),
        };
        assert_eq!(
            show_fault(fault, DataFormat::None),
            "500\ncontent-type: text/plain\n\nno, {\"a\":1}"
        );
        let fault = Fault {
            status: 500,
            details: None,
            headers: Vec::new(),
        };
        assert_eq!(show_fault(fault, DataFormat::None), "500\ncontent-type: text/plain\n\n");
    }

    fn show_reply(status: u16, content_type: &str, headers: &[(&str, &str)], format: DataFormat) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let reply = Reply {
            status,
            content_type: content_type.to_owned(),
            headers,
            body: Bytes::from_static(b"x"),
        };
        show(outcome(Outcome::Reply(reply), format, cid()))
    }

    #[test]
    fn replies_have_their_channels_content_type_unless_they_chose_one() {
        assert_eq!(
            show_reply(200, "", &[], DataFormat::Json),
            "200\ncontent-type: application/json\n\nx"
        );
        assert_eq!(
            show_reply(200, "", &[], DataFormat::Xml),
            "200\ncontent-type: application/xml\n\nx"
        );
        assert_eq!(
            show_reply(201, "", &[], DataFormat::None),
            "201\ncontent-type: text/plain\n\nx"
        );
        assert_eq!(
            show_reply(200, "text/csv; a=b", &[], DataFormat::Json),
            "200\ncontent-type: text/csv; a=b\n\nx"
        );
        let headers = [("Content-Type", "a/b"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")];
        assert_eq!(
            show_reply(200, "", &headers, DataFormat::Json),
            "200\ncontent-type: a/b\nset-cookie: a=1\nset-cookie: b=2\n\nx"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_not() {
        let headers = [
            ("Content-Length", "7"),
            ("Transfer-Encoding", "chunked"),
            ("bad name", "x"),
            ("x-a", "b\r\nx-c: d"),
        ];
        assert_eq!(
            show_reply(200, "", &headers, DataFormat::None),
            "200\ncontent-type: text/plain\n\nx"
        );
        for status in [0, 101, 1000] {
            assert!(
                show_reply(status, "", &[], DataFormat::Json).starts_with("500\n"),
                "{status}"
            );
        }
        assert!(show_reply(200, "a\nb", &[], DataFormat::Json).starts_with("500\n"));
    }
}
