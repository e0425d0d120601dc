//! From outcomes to responses: the one translation of the inbound side (http.md 4 and 7).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use busbar_model::{Cid, DataFormat, Error, Kind, SoapVersion};
use busbar_runtime::stream::ReplyStream;
use busbar_runtime::{Fault, Outcome, Reply};

use crate::http::settings::HttpConfig;
use crate::http::soap;

/// The header that carries the correlation id, on every response.
pub(crate) const X_ZATO_CID: HeaderName = HeaderName::from_static("x-zato-cid");

const CSV: HeaderValue = HeaderValue::from_static("text/csv");
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

/// How the callers of a channel are spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub(crate) format: DataFormat,
    /// Bodies are in envelopes of this version.
    pub(crate) soap: Option<SoapVersion>,
    /// What services answer is put into envelopes here.
    enveloped: bool,
    /// It is a door of the management API: faults are written as those of its services are (management.md 3).
    pub(crate) is_management: bool,
    /// Of answers whose service chose none.
    content_type: HeaderValue,
}

/// What the server's settings say of answers.
#[derive(Debug, Clone)]
pub(crate) struct Styles {
    json: HeaderValue,
    xml: HeaderValue,
    soap11: HeaderValue,
    soap12: HeaderValue,
    enveloped: bool,
}

impl Styles {
    pub(crate) fn build(config: &HttpConfig) -> Result<Self, Error> {
        let types = &config.content_types;
        let value = |name: &str, text: &str| {
            HeaderValue::from_str(text).map_err(|error| {
                Error::new(
                    Kind::Config,
                    format!("setting `{name}` of `[http.content_types]` cannot be sent in a header"),
                )
                .with_source(error)
            })
        };
        Ok(Self {
            json: value("json", &types.json)?,
            xml: value("plain_xml", &types.plain_xml)?,
            soap11: value("soap11", &types.soap11)?,
            soap12: value("soap12", &types.soap12)?,
            enveloped: config.use_soap_envelope,
        })
    }

    pub(crate) fn of(&self, format: DataFormat, soap: Option<SoapVersion>) -> Style {
        let content_type = match (soap, format) {
            (Some(SoapVersion::V11), _) => &self.soap11,
            (Some(SoapVersion::V12), _) => &self.soap12,
            (None, DataFormat::Json | DataFormat::Form | DataFormat::Post) => &self.json,
            (None, DataFormat::Xml) => &self.xml,
            (None, DataFormat::Csv) => &CSV,
            (None, DataFormat::None | DataFormat::Dict) => &TEXT,
        };
        Style {
            format,
            soap,
            enveloped: self.enveloped,
            is_management: false,
            content_type: content_type.clone(),
        }
    }

    /// How callers of the management API are spoken to.
    pub(crate) fn management(&self, format: DataFormat, soap: Option<SoapVersion>) -> Style {
        let content_type = match soap {
            None => self.json.clone(),
            Some(_) => self.of(format, soap).content_type,
        };
        Style {
            format,
            soap,
            // management services write whole envelopes
            enveloped: false,
            is_management: true,
            content_type,
        }
    }
}

impl Default for Styles {
    fn default() -> Self {
        Self::build(&HttpConfig::default()).expect("the defaults can be sent")
    }
}

impl Content {
    /// How much there is of it now.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Stream(_) => 0,
        }
    }
}

impl Style {
    /// What a fault is written in: bare text, where the format of responses has no shape for it.
    fn fault_type(&self) -> HeaderValue {
        match self.format {
            DataFormat::Csv | DataFormat::Form | DataFormat::Post if !self.is_management => TEXT,
            _ => self.content_type.clone(),
        }
    }

    /// How callers are spoken to that have reached no channel.
    pub(crate) fn json() -> Self {
        Style {
            format: DataFormat::Json,
            soap: None,
            enveloped: false,
            is_management: false,
            content_type: HeaderValue::from_static("application/json"),
        }
    }
}

/// Writes an outcome for the callers of a channel.
pub(crate) fn outcome(outcome: Outcome, style: &Style, cid: Cid) -> Response<Content> {
    match outcome {
        Outcome::Reply(reply) => self::reply(reply, style, cid),
        Outcome::Fault(fault) => self::fault(&fault, style, cid).map(Content::Whole),
    }
}

/// A response's body.
#[derive(Debug)]
pub(crate) enum Content {
    /// All of it.
    Whole(Bytes),
    /// What comes of it, piece by piece.
    Stream(Box<ReplyStream>),
}

fn reply(mut reply: Reply, style: &Style, cid: Cid) -> Response<Content> {
    // 1xx is no response, and beyond 999 is no status
    let Some(status) = StatusCode::from_u16(reply.status)
        .ok()
        .filter(|status| status.as_u16() >= 200)
    else {
        tracing::error!(%cid, status = reply.status, "a service set status {}, which cannot be sent", reply.status);
        return fault(&Fault::new(500, "Internal server error"), style, cid).map(Content::Whole);
    };
    let content_type = if reply.content_type.is_empty() {
        Ok(style.content_type.clone())
    } else {
        HeaderValue::from_str(&reply.content_type)
    };
    let Ok(content_type) = content_type else {
        tracing::error!(%cid, "a service set a content type that cannot be sent: {:?}", reply.content_type);
        return fault(&Fault::new(500, "Internal server error"), style, cid).map(Content::Whole);
    };
    let body = match (reply.stream.take(), style.soap) {
        (Some(stream), _) => Content::Stream(stream),
        (None, Some(version)) if style.enveloped => Content::Whole(soap::enveloped(version, reply.body)),
        (None, _) => Content::Whole(reply.body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    add_headers(headers, &reply.headers, cid);
    response
}

/// Writes a fault: JSON, XML and SOAP channels have shapes of their own, callers of others get the bare text.
pub(crate) fn fault(fault: &Fault, style: &Style, cid: Cid) -> Response<Bytes> {
    let details = fault.details.as_ref();
    if let Some(version) = style.soap {
        let message = String::from_utf8_lossy(&text(details)).into_owned();
        // errors of the management API are the caller's, whatever they are
        let status = if style.is_management { 400 } else { fault.status };
        let body = soap::fault_body(version, status, cid, &message);
        let mut response = soap_fault(version, soap::status(version, fault), body, style);
        add_headers(response.headers_mut(), &fault.headers, cid);
        return response;
    }
    let body = match style.format {
        _ if style.is_management => management_body(details, cid),
        DataFormat::Json => json_body(details, cid),
        DataFormat::Xml => xml_body(details, cid),
        _ => text(details),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, style.fault_type());
    add_headers(headers, &fault.headers, cid);
    response
}

/// A response that holds a SOAP fault.
pub(crate) fn soap_fault(version: SoapVersion, status: StatusCode, body: String, style: &Style) -> Response<Bytes> {
    let body = if style.is_management {
        // clients of the management API parse decoded text, which cannot declare an encoding (management.md 3.3)
        soap::without_declaration(body)
    } else {
        body
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let content_type = match version {
        SoapVersion::V11 => soap::FAULT_TYPE,
        SoapVersion::V12 => style.content_type.clone(),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Says that a request has been stored, and will be run.
pub(crate) fn accepted(style: &Style, cid: Cid) -> Response<Bytes> {
    let zato_env = || format!("<response><zato_env><cid>{cid}</cid><result>ZATO_OK</result></zato_env></response>");
    let body = match (style.soap, style.format) {
        (Some(version), _) => soap::enveloped(version, zato_env().into()),
        (None, DataFormat::Xml) => zato_env().into(),
        (None, DataFormat::None | DataFormat::Dict | DataFormat::Csv) => Bytes::copy_from_slice(cid.as_bytes()),
        (None, DataFormat::Json | DataFormat::Form | DataFormat::Post) => format!("{{\"cid\":\"{cid}\"}}").into(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, style.content_type.clone());
    response
}

/// A response outside of any channel: text without a content type, as clients know it.
pub(crate) fn bare(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response
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

/// As management services tell of errors, the details being a text always.
fn management_body(details: Option<&Value>, cid: Cid) -> Vec<u8> {
    let details = String::from_utf8_lossy(&text(details)).into_owned();
    let envelope = json!({"zato_env": {"result": "ZATO_ERROR", "cid": cid.to_string(), "details": details}});
    envelope.to_string().into_bytes()
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
    use super::*;

    fn cid() -> Cid {
        "0123456789abcdef01234567".parse().unwrap()
    }

    /// A response as text: status, headers as they will be sent, body.
    fn show(response: Response<Content>) -> String {
        let response = response.map(|content| match content {
            Content::Whole(body) => body,
            Content::Stream(_) => panic!("a whole body was expected"),
        });
        let mut text = format!("{}\n", response.status().as_u16());
        for (name, value) in response.headers() {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        format!("{text}\n{}", String::from_utf8_lossy(response.body()))
    }

    fn show_fault(fault: Fault, format: DataFormat) -> String {
        show(outcome(
            Outcome::Fault(fault),
            &Styles::default().of(format, None),
            cid(),
        ))
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
    fn faults_of_the_management_api() {
        let styles = Styles::default();
        let fault = || Outcome::Fault(Fault::new(401, "a \"b\" ]]> <c>"));
        let json = "401\ncontent-type: application/json\n\n\
             {\"zato_env\":{\"result\":\"ZATO_ERROR\",\"cid\":\"0123456789abcdef01234567\",\"details\":\"a \\\"b\\\" ]]> <c>\"}}";
        for format in [DataFormat::Json, DataFormat::None] {
            assert_eq!(show(outcome(fault(), &styles.management(format, None), cid())), json);
        }
        let soap = styles.management(DataFormat::Xml, Some(SoapVersion::V11));
        let text = show(outcome(fault(), &soap, cid()));
        assert!(text.contains("\n\n<SOAP-ENV:Envelope"), "no declaration: {text}");
        assert!(text.contains("<faultcode>SOAP-ENV:Client</faultcode>"), "{text}");
        assert!(
            text.contains("cid [0123456789abcdef01234567], faultstring [a \"b\" ]]"),
            "{text}"
        );
        let text = show(outcome(Outcome::Fault(Fault::new(503, "no")), &soap, cid()));
        assert!(text.starts_with("503") && text.contains("SOAP-ENV:Client"), "{text}");
    }

    #[test]
    fn statuses_of_soap_faults() {
        let status = |version, status: u16| {
            let style = Styles::default().of(DataFormat::Xml, Some(version));
            let response = fault(&Fault::new(status, "no"), &style, cid());
            let body = String::from_utf8_lossy(response.body()).into_owned();
            let code = ["Client", "Server", "Sender", "Receiver"]
                .into_iter()
                .find(|code| body.contains(&format!(":{code}<")));
            (response.status().as_u16(), code.unwrap_or_default())
        };
        for (given, expected) in [
            (400, (500, "Client")),
            (401, (401, "Client")),
            (404, (404, "Client")),
            (409, (500, "Client")),
            (429, (429, "Client")),
            (500, (500, "Server")),
            (503, (503, "Server")),
        ] {
            assert_eq!(status(SoapVersion::V11, given), expected);
        }
        assert_eq!(status(SoapVersion::V12, 400), (400, "Sender"));
        assert_eq!(status(SoapVersion::V12, 500), (500, "Receiver"));
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
            stream: None,
        };
        show(outcome(
            Outcome::Reply(reply),
            &Styles::default().of(format, None),
            cid(),
        ))
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
