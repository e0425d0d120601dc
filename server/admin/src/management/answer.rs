//! Answers of management services, in the shape that each door's clients expect (management.md 3).

use busbar_model::{Cid, SoapVersion};
use busbar_runtime::Reply;
use busbar_runtime::native::Door;
use busbar_sio::soap;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::management::body::Format;
use crate::management::catalogue::Declared;
use crate::management::element::Element;

/// What a service gives.
#[derive(Debug)]
pub enum Answer {
    /// Nothing but that it worked.
    Done,
    /// One object.
    One(Map<String, Value>),
    /// Objects, a page of them if pages were asked for.
    Many(Vec<Map<String, Value>>, Option<Page>),
    /// Whatever it is, as it is.
    Raw(Box<Reply>),
}

/// Which part of a list it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many objects a page holds.
    pub size: usize,
    /// Its number, from 1.
    pub number: usize,
    /// How many objects there are.
    pub total: usize,
}

impl Page {
    /// What of all objects is on it.
    pub fn of<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let start = (self.number - 1).saturating_mul(self.size).min(all.len());
        &all[start..all.len().min(start.saturating_add(self.size))]
    }

    fn pages(&self) -> usize {
        self.total.div_ceil(self.size).max(1)
    }

    /// As lists of 3.2 say it.
    fn meta(&self) -> Value {
        let pages = self.pages();
        let (previous, next) = (self.number.saturating_sub(1), self.number + 1);
        let (has_previous, has_next) = (previous >= 1, next <= pages);
        json!({
            "page_size": self.size,
            "num_pages": pages,
            "cur_page": self.number,
            "prev_page": if has_previous { previous.into() } else { Value::Null },
            "next_page": if has_next { next.into() } else { Value::Null },
            "has_prev_page": has_previous,
            "has_next_page": has_next,
            "total": self.total,
        })
    }
}

/// Keeps of `values` what is declared, in that order, with an empty text for what has no value, and what else there is behind it.
pub fn fit(declared: &[Element], mut values: Map<String, Value>) -> Map<String, Value> {
    let mut fitted = Map::with_capacity(values.len().max(declared.len()));
    for element in declared {
        let value = values.shift_remove(&element.name).filter(|value| !value.is_null());
        fitted.insert(element.name.clone(), value.unwrap_or_else(|| "".into()));
    }
    fitted.extend(values);
    fitted
}

/// Writes the answer to a request, whose body tells what XML elements belong to.
pub fn write(answer: Answer, service: &Declared, door: Door, format: Format, cid: Cid, request: &[u8]) -> Reply {
    let (body, content_type) = match answer {
        Answer::Raw(reply) => return *reply,
        answer if format != Format::Json && door == Door::Channel => {
            let namespace = soap::management_namespace(request, format == Format::Soap);
            let document = document(service, &answer, cid, namespace);
            let body = if format == Format::Soap {
                soap::undeclared_envelope(SoapVersion::V11, namespace, &document)
            } else {
                document
            };
            (Bytes::from(body), "")
        }
        answer => {
            let body = Value::Object(object(service, answer, door, cid));
            (Bytes::from(body.to_string()), "application/json")
        }
    };
    Reply {
        status: 200,
        content_type: content_type.to_owned(),
        body,
        ..Reply::default()
    }
}

/// How the answer says that it worked.
pub fn environment(cid: Cid) -> Value {
    json!({"result": "ZATO_OK", "cid": cid.to_string(), "details": ""})
}

/// The answer as a JSON object.
pub fn object(service: &Declared, answer: Answer, door: Door, cid: Cid) -> Map<String, Value> {
    let mut object = Map::new();
    match answer {
        Answer::Done | Answer::Raw(_) => {}
        Answer::One(values) if door != Door::Api => {
            object.insert(service.response_element.clone(), Value::Object(values));
        }
        Answer::One(values) => object = values,
        Answer::Many(items, page) => {
            object.insert(
                service.response_element.clone(),
                items.into_iter().map(Value::Object).collect(),
            );
            if let Some(page) = page {
                object.insert("_meta".to_owned(), page.meta());
            }
        }
    }
    if door != Door::Internal {
        object.insert("zato_env".to_owned(), environment(cid));
    }
    object
}

/// The answer as an XML element.
fn document(service: &Declared, answer: &Answer, cid: Cid, namespace: &str) -> String {
    let root = &service.response_element;
    let mut text =
        format!("<{root} xmlns=\"{namespace}\"><zato_env><cid>{cid}</cid><result>ZATO_OK</result></zato_env>");
    match answer {
        Answer::Done | Answer::Raw(_) => {}
        Answer::One(values) => push_item(&mut text, values),
        Answer::Many(items, _) => {
            text.push_str("<item_list>");
            for item in items {
                push_item(&mut text, item);
            }
            text.push_str("</item_list>");
        }
    }
    text.push_str("</");
    text.push_str(root);
    text.push('>');
    text
}

fn push_item(text: &mut String, values: &Map<String, Value>) {
    text.push_str("<item>");
    for (name, value) in values {
        push_element(text, name, value);
    }
    text.push_str("</item>");
}

fn push_element(text: &mut String, name: &str, value: &Value) {
    if !xml_name(name) {
        // a key that users chose cannot be a tag
        text.push_str("<entry><key>");
        push_text(text, name);
        text.push_str("</key>");
        push_element(text, "value", value);
        text.push_str("</entry>");
        return;
    }
    text.push('<');
    text.push_str(name);
    text.push('>');
    match value {
        Value::Null => {}
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(value) => push_text(text, value),
        Value::Array(items) => {
            for item in items {
                push_element(text, "item", item);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                push_element(text, name, value);
            }
        }
    }
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

fn xml_name(name: &str) -> bool {
    busbar_sio::xml::is_name(name) && !name.contains(':')
}

/// Text between tags. Characters that XML cannot carry are replaced.
fn push_text(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => text.push(character),
            _ => text.push('\u{fffd}'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::catalogue::CATALOGUE;

    fn values(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn written(service: &str, answer: Answer, door: Door, format: Format, cid: Cid) -> String {
        let reply = write(answer, &CATALOGUE[service], door, format, cid, b"");
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn each_door_has_its_shape() {
        let cid = Cid::new();
        let pong = || Answer::One(values(json!({"pong": "zato"})));
        let environment = format!(r#""zato_env":{{"result":"ZATO_OK","cid":"{cid}","details":""}}"#);
        for (door, expected) in [
            (
                Door::Channel,
                format!(r#"{{"zato_ping_response":{{"pong":"zato"}},{environment}}}"#),
            ),
            (Door::Api, format!(r#"{{"pong":"zato",{environment}}}"#)),
            (Door::Internal, r#"{"zato_ping_response":{"pong":"zato"}}"#.to_owned()),
        ] {
            assert_eq!(written("zato.ping", pong(), door, Format::Json, cid), expected);
        }
        assert_eq!(
            written("zato.service.delete", Answer::Done, Door::Channel, Format::Json, cid),
            format!("{{{environment}}}")
        );
        assert_eq!(
            written("zato.ping", pong(), Door::Channel, Format::Soap, cid),
            format!(
                "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"https://zato.io/ns/20130518\">\
                 <soap:Body><zato_ping_response xmlns=\"https://zato.io/ns/20130518\"><zato_env><cid>{cid}</cid>\
                 <result>ZATO_OK</result></zato_env><item><pong>zato</pong></item></zato_ping_response></soap:Body></soap:Envelope>"
            )
        );
    }

    #[test]
    fn lists_are_lists_and_pages_say_which() {
        let cid = Cid::new();
        let items = vec![
            values(json!({"id": 1, "name": "a<b", "x y": true})),
            values(json!({"id": 2})),
        ];
        let page = Page {
            size: 2,
            number: 2,
            total: 5,
        };
        let service = &CATALOGUE["zato.service.get-list"];
        let object = object(service, Answer::Many(items.clone(), Some(page)), Door::Api, cid);
        assert_eq!(object["zato_service_get_list_response"][1]["id"], 2);
        assert_eq!(
            object["_meta"],
            json!({"page_size": 2, "num_pages": 3, "cur_page": 2, "prev_page": 1, "next_page": 3, "has_prev_page": true,
                   "has_next_page": true, "total": 5})
        );
        let text = document(service, &Answer::Many(items, None), cid, "urn:x");
        let expected = "<item_list><item><id>1</id><name>a&lt;b</name><entry><key>x y</key><value>true</value></entry></item>\
                        <item><id>2</id></item></item_list></zato_service_get_list_response>";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn what_has_no_value_is_an_empty_text() {
        let declared = Element::parse_all("id name extra?").unwrap();
        let fitted = fit(&declared, values(json!({"more": 1, "name": "a", "extra": null})));
        assert_eq!(
            Value::Object(fitted),
            json!({"id": "", "name": "a", "extra": "", "more": 1})
        );
    }
}
