//! WS-Addressing 1.0: what a request says of itself, and what its answer says in turn (http.md 14).

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::soap::header::add_header;
use crate::soap::read::bound;
use crate::soap::write::push_escaped;
use crate::without_bom;

pub(super) const NAMESPACE: &str = "http://www.w3.org/2005/08/addressing";
/// Whoever asks is answered on the same connection.
const ANONYMOUS: &str = "http://www.w3.org/2005/08/addressing/anonymous";
/// Whoever asks does not look at the answer.
const NONE: &str = "http://www.w3.org/2005/08/addressing/none";
const FAULT: &str = "http://www.w3.org/2005/08/addressing/soap/fault";

/// How a request is addressed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addressing {
    message_id: String,
    action: String,
    /// Where the answer is to go; empty: back.
    reply_to: String,
}

impl Addressing {
    /// What the headers of an envelope say; `None`: it has no `MessageID`, or is no envelope.
    pub fn of(envelope: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(without_bom(envelope)).ok()?;
        if !text.contains(NAMESPACE) {
            return None;
        }
        let found = Self::find(text)?;
        (!found.message_id.is_empty()).then_some(found)
    }

    fn find(text: &str) -> Option<Self> {
        let mut reader = NsReader::from_str(text);
        let mut found = Self::default();
        let (mut depth, mut in_header, mut in_reply_to) = (0_usize, false, false);
        loop {
            let start = match reader.read_event().ok()? {
                Event::Start(start) => start,
                Event::End(_) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 1 && in_header {
                        return Some(found);
                    }
                    continue;
                }
                Event::Eof => return Some(found),
                _ => continue,
            };
            let is_ours = |start: &BytesStart<'_>| bound(&reader, start) == Some(NAMESPACE);
            let field = match (depth, start.local_name().as_ref()) {
                (1, "Body") => return Some(found),
                (1, name) => {
                    in_header = name == "Header";
                    None
                }
                (2, name) if in_header => {
                    let is_ours = is_ours(&start);
                    in_reply_to = is_ours && name == "ReplyTo";
                    match name {
                        "MessageID" if is_ours => Some(&mut found.message_id),
                        "Action" if is_ours => Some(&mut found.action),
                        _ => None,
                    }
                }
                (3, "Address") if in_reply_to && is_ours(&start) => Some(&mut found.reply_to),
                _ => None,
            };
            match field {
                // takes the end of the element with it
                Some(field) => *field = content(&mut reader)?,
                None => depth += 1,
            }
        }
    }

    /// Why it cannot be answered as it asks to be.
    pub fn refusal(&self) -> Option<String> {
        let is_known = ["", ANONYMOUS, NONE].contains(&self.reply_to.as_str());
        (!is_known).then(|| {
            format!(
                "Answers go back on the connection of their request only: leave `ReplyTo` out, or make it {ANONYMOUS}"
            )
        })
    }

    /// An answer with the headers that belong to it; `id` is its own. `None`: it is no envelope, or its service has written such headers
    /// itself.
    pub fn answered(&self, envelope: &[u8], is_fault: bool, id: &str) -> Option<Vec<u8>> {
        let mut headers = String::new();
        let mut push = |name: &str, parts: &[&str]| {
            headers.push_str(&format!("<wsa:{name} xmlns:wsa=\"{NAMESPACE}\">"));
            for part in parts {
                push_escaped(&mut headers, part);
            }
            headers.push_str(&format!("</wsa:{name}>"));
        };
        match (is_fault, self.action.as_str()) {
            (true, _) => push("Action", &[FAULT]),
            (false, "") => {}
            (false, action) => push("Action", &[action, "Response"]),
        }
        push("MessageID", &["urn:cid:", id]);
        push("RelatesTo", &[&self.message_id]);
        add_header(envelope, &headers, (NAMESPACE, "RelatesTo")).ok().flatten()
    }
}

/// The text of the element that has begun, up to its end. `None`: there is more than text in it.
fn content(reader: &mut NsReader<&[u8]>) -> Option<String> {
    let mut content = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::CData(text) => content.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => content.push(character),
                None => content.push_str(resolve_predefined_entity(&reference)?),
            },
            Event::Comment(_) | Event::PI(_) => {}
            Event::End(_) => return Some(content.trim().to_owned()),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &str) -> String {
        format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:a='{NAMESPACE}'><s:Header>{headers}</s:Header>\
             <s:Body><a:MessageID>no</a:MessageID></s:Body></s:Envelope>"
        )
    }

    #[test]
    fn headers_are_read() {
        let text = request(
            "<x><a:MessageID>no</a:MessageID></x><MessageID>no</MessageID><a:To>here</a:To><a:MessageID> urn:1&amp;2 </a:MessageID>\
             <a:Action>urn:get</a:Action><a:From><a:Address>no</a:Address></a:From><a:ReplyTo><a:Address>http://b</a:Address></a:ReplyTo>",
        );
        let expected = Addressing {
            message_id: "urn:1&2".to_owned(),
            action: "urn:get".to_owned(),
            reply_to: "http://b".to_owned(),
        };
        assert_eq!(Addressing::of(text.as_bytes()), Some(expected));
    }

    #[test]
    fn what_has_no_id_is_not_addressed() {
        for headers in [
            "",
            "<a:Action>urn:get</a:Action>",
            "<a:MessageID/>",
            "<a:MessageID><b/></a:MessageID>",
            "<a:MessageID>",
        ] {
            assert_eq!(Addressing::of(request(headers).as_bytes()), None, "{headers}");
        }
        for text in ["", "text", "<a/>", "\u{0}"] {
            assert_eq!(Addressing::of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Addressing::of(b"\xff"), None);
    }

    #[test]
    fn answers_go_back_only() {
        let to = |address: &str| {
            let reply_to =
                format!("<a:MessageID>1</a:MessageID><a:ReplyTo><a:Address>{address}</a:Address></a:ReplyTo>");
            Addressing::of(request(&reply_to).as_bytes()).unwrap().refusal()
        };
        assert_eq!(to(ANONYMOUS), None);
        assert_eq!(to(NONE), None);
        assert!(to("http://elsewhere").unwrap().contains("ReplyTo"));
    }

    #[test]
    fn answers_relate_to_their_request() {
        let text = request("<a:MessageID>urn:1&lt;</a:MessageID><a:Action>urn:get</a:Action>");
        let addressing = Addressing::of(text.as_bytes()).unwrap();
        let answered = |envelope: &str, is_fault| {
            let answer = addressing.answered(envelope.as_bytes(), is_fault, "7");
            answer.map(|text| String::from_utf8(text).unwrap())
        };
        let envelope = "<s:Envelope xmlns:s='e'><s:Body/></s:Envelope>";
        let header = |name: &str, value: &str| format!("<wsa:{name} xmlns:wsa=\"{NAMESPACE}\">{value}</wsa:{name}>");
        for (is_fault, action) in [(false, "urn:getResponse"), (true, FAULT)] {
            let headers = format!(
                "{}{}{}",
                header("Action", action),
                header("MessageID", "urn:cid:7"),
                header("RelatesTo", "urn:1&lt;")
            );
            let expected = format!("<s:Envelope xmlns:s='e'><s:Header>{headers}</s:Header><s:Body/></s:Envelope>");
            assert_eq!(answered(envelope, is_fault), Some(expected));
        }
        let own = request("<a:RelatesTo>mine</a:RelatesTo>");
        assert_eq!(answered(&own, false), None);
        assert_eq!(answered("{}", false), None);
    }
}
