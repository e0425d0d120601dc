//! Putting a header into an envelope that somebody else has written.

use std::ops::Range;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::soap::{FaultCode, SoapError};
use crate::without_bom;
use crate::xml::walk::refused;

/// Where the new header goes, and what must stand around it.
enum Place {
    /// Right here, at the end of a header that is there.
    End(usize),
    /// In place of an empty header, whose tag is this.
    Empty(Range<usize>, String),
    /// Right here, after the tag of an envelope without a header; its prefix with the colon.
    None(usize, String),
}

/// The envelope with `header`, a whole element, as its last header. `None` if it has an element `name` of `namespace` among its
/// headers already: whoever wrote that knows why.
///
/// # Errors
///
/// `envelope` is none.
pub fn add_header(
    envelope: &[u8],
    header: &str,
    (namespace, name): (&str, &str),
) -> Result<Option<Vec<u8>>, SoapError> {
    let wrong = |message: String| SoapError::new(FaultCode::Client, message);
    let text = std::str::from_utf8(without_bom(envelope)).map_err(|error| wrong(error.to_string()))?;
    let Some(place) = find(text, namespace, name)? else {
        return Ok(None);
    };
    let with = match place {
        Place::End(at) => format!("{}{header}{}", &text[..at], &text[at..]),
        Place::Empty(tag, name) => {
            let open = text[tag.clone()].trim_end_matches('>').trim_end_matches('/').trim_end();
            format!("{}{open}>{header}</{name}>{}", &text[..tag.start], &text[tag.end..])
        }
        Place::None(at, prefix) => format!(
            "{}<{prefix}Header>{header}</{prefix}Header>{}",
            &text[..at],
            &text[at..]
        ),
    };
    Ok(Some(with.into_bytes()))
}

fn find(text: &str, namespace: &str, name: &str) -> Result<Option<Place>, SoapError> {
    let wrong = |message: &str| SoapError::new(FaultCode::Client, message);
    let mut reader = NsReader::from_str(text);
    let mut depth = 0_usize;
    let mut in_header = false;
    let mut after_envelope = None;
    loop {
        let before = position(&reader);
        let event = reader
            .read_event()
            .map_err(|error| SoapError::new(FaultCode::Client, refused(error).message))?;
        let (start, is_empty) = match event {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if depth == 1 && in_header {
                    return Ok(Some(Place::End(before)));
                }
                continue;
            }
            Event::Eof => return Err(wrong("the SOAP envelope has no Body")),
            _ => continue,
        };
        match (depth, start.local_name().as_ref()) {
            (0, "Envelope") if !is_empty => after_envelope = Some((position(&reader), prefix(&start))),
            (0, _) => return Err(wrong("a SOAP envelope is expected")),
            (1, "Header") if is_empty => {
                let tag = before..position(&reader);
                return Ok(Some(Place::Empty(tag, start.name().as_ref().to_owned())));
            }
            (1, "Header") => in_header = true,
            (1, "Body") => return Ok(after_envelope.map(|(at, prefix)| Place::None(at, prefix))),
            (2, local) if in_header && local == name && is_bound(&reader, &start, namespace) => return Ok(None),
            _ => {}
        }
        depth += usize::from(!is_empty);
    }
}

/// How much of the text has been read.
pub(super) fn position(reader: &NsReader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).expect("a text that is in memory has a length of its size")
}

/// What stands before the local name, colon included.
fn prefix(start: &BytesStart<'_>) -> String {
    let name = start.name();
    let name = name.as_ref();
    name.rsplit_once(':')
        .map_or_else(String::new, |(prefix, _)| format!("{prefix}:"))
}

fn is_bound(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, namespace: &str) -> bool {
    let (resolved, _) = reader.resolver().resolve_element(start.name());
    matches!(resolved, ResolveResult::Bound(bound) if bound.as_ref() == namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: (&str, &str) = ("urn:x", "H");

    fn add(envelope: &str) -> Option<String> {
        add_header(envelope.as_bytes(), "<h:H xmlns:h='urn:x'/>", NS)
            .unwrap()
            .map(|with| String::from_utf8(with).unwrap())
    }

    #[test]
    fn a_header_goes_where_headers_are() {
        for (before, after) in [
            (
                "<?xml version='1.0'?><s:Envelope xmlns:s='e'><s:Body/></s:Envelope>",
                "<?xml version='1.0'?><s:Envelope xmlns:s='e'><s:Header><h:H xmlns:h='urn:x'/></s:Header><s:Body/></s:Envelope>",
            ),
            (
                "<Envelope xmlns='e'> <Body>ż</Body></Envelope>",
                "<Envelope xmlns='e'><Header><h:H xmlns:h='urn:x'/></Header> <Body>ż</Body></Envelope>",
            ),
            (
                "\u{feff}<s:Envelope xmlns:s='e'><s:Header a='1' /><s:Body/></s:Envelope>",
                "<s:Envelope xmlns:s='e'><s:Header a='1'><h:H xmlns:h='urn:x'/></s:Header><s:Body/></s:Envelope>",
            ),
            (
                "<s:Envelope xmlns:s='e'><s:Header><H/><!-- </s:Header> --></s:Header><s:Body/></s:Envelope>",
                "<s:Envelope xmlns:s='e'><s:Header><H/><!-- </s:Header> --><h:H xmlns:h='urn:x'/></s:Header><s:Body/></s:Envelope>",
            ),
        ] {
            assert_eq!(add(before).as_deref(), Some(after));
        }
    }

    #[test]
    fn one_that_is_there_stays_alone() {
        let there =
            "<s:Envelope xmlns:s='e'><s:Header><y:H xmlns:y='urn:x'>mine</y:H></s:Header><s:Body/></s:Envelope>";
        assert_eq!(add(there), None);
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for text in [
            "",
            "text",
            "<a/>",
            "<Envelope/>",
            "<Envelope><Header>",
            "<Envelope></Envelope>",
            "{\"a\": 1}",
            "\u{0}",
        ] {
            assert!(add_header(text.as_bytes(), "<h/>", NS).is_err(), "{text}");
        }
        assert!(add_header(b"\xff", "<h/>", NS).is_err());
    }
}
