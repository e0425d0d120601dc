//! Bodies of requests: JSON, XML and SOAP envelopes to one map of values.

use busbar_model::{DataFormat, Error, Kind};
use busbar_runtime::Head;
use busbar_sio::xml::{self, Node};
use busbar_sio::{is_blank, soap, without_bom};
use serde_json::{Map, Value};

/// What a channel's bodies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON; also where the channel says nothing.
    Json,
    /// XML.
    Xml,
    /// SOAP envelopes.
    Soap,
}

impl Format {
    /// What the channel of a request says.
    pub fn of(head: &Head<'_>) -> Self {
        if head.soap.is_some() {
            Self::Soap
        } else if head.data_format == DataFormat::Xml {
            Self::Xml
        } else {
            Self::Json
        }
    }
}

/// The values that a request holds, by name. A request without a body has none.
///
/// # Errors
///
/// [`Kind::BadRequest`]: the body is not what its channel's format says, or not an object.
pub fn read(format: Format, body: &[u8]) -> Result<Map<String, Value>, Error> {
    if is_blank(body) {
        return Ok(Map::new());
    }
    match format {
        Format::Json => read_json(body),
        Format::Xml => Ok(members(&xml::parse(body)?)),
        Format::Soap => {
            let payload = soap::payload(xml::parse(body)?);
            Ok(payload.map(|payload| members(&payload)).unwrap_or_default())
        }
    }
}

fn read_json(body: &[u8]) -> Result<Map<String, Value>, Error> {
    match serde_json::from_slice(without_bom(body)) {
        Ok(Value::Object(values)) => Ok(values),
        // what old clients send when there is nothing to say
        Ok(Value::Null) => Ok(Map::new()),
        Ok(Value::String(text)) if text.is_empty() => Ok(Map::new()),
        Ok(_) => Err(Error::new(Kind::BadRequest, "the request must be a JSON object")),
        Err(error) => Err(Error::new(
            Kind::BadRequest,
            format!("the request is not JSON: {error}"),
        )),
    }
}

fn members(node: &Node<'_>) -> Map<String, Value> {
    let member = |child: &Node<'_>| (child.name.clone().into_owned(), value(child));
    node.children.iter().map(member).collect()
}

/// Text, or a list of `<item>`s, or an object.
fn value(node: &Node<'_>) -> Value {
    if node.is_nil {
        Value::Null
    } else if node.children.is_empty() {
        node.text.trim().into()
    } else if node.children.iter().all(|child| child.name == "item") {
        node.children.iter().map(value).collect()
    } else {
        Value::Object(members(node))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_request_reads_alike_in_every_format() {
        let expected = json!({"name": "a", "members": ["x", "y"], "more": {"b": "1"}});
        let inner = "<name>a</name><members><item>x</item><item>y</item></members><more><b>1</b></more>";
        let plain = format!("<zato_x_request>{inner}</zato_x_request>");
        let enveloped = format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>\
             <z:zato_x_request xmlns:z='https://zato.io/ns/20130518'>{inner}</z:zato_x_request></s:Body></s:Envelope>"
        );
        let json = expected.to_string();
        for (format, body) in [(Format::Json, &json), (Format::Xml, &plain), (Format::Soap, &enveloped)] {
            assert_eq!(Value::Object(read(format, body.as_bytes()).unwrap()), expected);
        }
    }

    #[test]
    fn nothing_is_an_empty_request_and_garbage_none() {
        for body in ["", " ", "\"\"", "null", "{}", "\u{feff}{}"] {
            assert!(read(Format::Json, body.as_bytes()).unwrap().is_empty());
        }
        for body in ["[1]", "7", "{", "\"x\"", "{\"a\": }"] {
            let error = read(Format::Json, body.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), Kind::BadRequest);
        }
        read(Format::Xml, b"<a>").unwrap_err();
    }
}
