//! Envelopes whose binary data comes beside them: messages in several parts (`multipart/related`) in which the first one includes the others
//! by their ids (MTOM and XOP).

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::ready;
use futures_util::stream::once;
use mime::Mime;
use multer::Multipart;
use percent_encoding::percent_decode_str;
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};

use crate::soap::header::position;
use crate::soap::read::bound;
use crate::soap::{FaultCode, SoapError};
use crate::without_bom;

const NAMESPACE: &str = "http://www.w3.org/2004/08/xop/include";
/// More parts than any message has.
const MAX_PARTS: usize = 1000;

/// Parts by their ids.
type Parts = HashMap<String, Bytes>;

/// Whether a content type is that of a message in several parts.
pub fn has_attachments(content_type: &[u8]) -> bool {
    const RELATED: &[u8] = b"multipart/related";
    let begin = content_type.trim_ascii_start().get(..RELATED.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(RELATED))
}

/// The envelope of a message in several parts, with what it includes in its place, in Base64: what the sender would have written had it
/// attached nothing.
///
/// # Errors
/// The content type names no boundary; the body is not made of whole parts; there is no envelope among them; it includes a part that is
/// not there, or one twice; nothing includes a part.
pub fn assembled(content_type: &[u8], body: &Bytes) -> Result<Bytes, SoapError> {
    let content_type: Mime = std::str::from_utf8(content_type)
        .map_err(refused)?
        .parse()
        .map_err(refused)?;
    let parameter = |name: &str| content_type.get_param(name).map(|value| value.as_str().to_owned());
    let boundary = parameter("boundary").ok_or_else(|| refused("its content type names no boundary"))?;
    // all of it is there, so nothing is ever waited for
    let (root, parts) = split(body.clone(), boundary, parameter("start"))
        .now_or_never()
        .unwrap_or_else(|| Err(refused("it ends within a part")))?;
    include(&root, parts)
}

/// The part with the envelope, and the others. The first part is it, unless `start` names another one.
async fn split(body: Bytes, boundary: String, start: Option<String>) -> Result<(Bytes, Parts), SoapError> {
    let mut message = Multipart::new(once(ready(Ok::<_, Infallible>(body))), boundary);
    let (mut root, mut parts) = (None, Parts::new());
    while let Some(part) = message.next_field().await.map_err(refused)? {
        if parts.len() == MAX_PARTS {
            return Err(refused(format_args!("it has more than {MAX_PARTS} parts")));
        }
        let header = part.headers().get("content-id").and_then(|id| id.to_str().ok());
        let id = header.map(|id| bare(id).to_owned());
        let data = part.bytes().await.map_err(refused)?;
        let is_root = root.is_none() && start.as_deref().is_none_or(|start| id.as_deref() == Some(bare(start)));
        match id {
            _ if is_root => root = Some(data),
            Some(id) => {
                if parts.insert(id, data).is_some() {
                    return Err(refused("two parts have one `Content-ID`"));
                }
            }
            None => return Err(refused("a part has no `Content-ID`, so nothing can include it")),
        }
    }
    root.map(|root| (root, parts))
        .ok_or_else(|| refused("it has no part with the envelope"))
}

/// An id without the angle brackets that stand around it in headers.
fn bare(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

fn include(root: &Bytes, mut parts: Parts) -> Result<Bytes, SoapError> {
    let text = std::str::from_utf8(without_bom(root)).map_err(refused)?;
    let mut whole = String::with_capacity(text.len() + parts.values().map(Bytes::len).sum::<usize>() / 3 * 4);
    let mut at = 0;
    for (place, id) in places(text)? {
        // each one once: else few bytes could stand for any number
        let data = parts.remove(&id).ok_or_else(|| {
            refused(format_args!(
                "it includes the part `{id}`, which is not there or included already"
            ))
        })?;
        whole.push_str(&text[at..place.start]);
        STANDARD.encode_string(&data, &mut whole);
        at = place.end;
    }
    if let Some(id) = parts.keys().next() {
        return Err(refused(format_args!(
            "nothing in its envelope includes the part `{id}`; only `Include` of XOP is understood"
        )));
    }
    whole.push_str(&text[at..]);
    Ok(whole.into())
}

/// Where `Include` elements stand, from the first byte of their tags to the last, and the ids of the parts that they name.
fn places(text: &str) -> Result<Vec<(Range<usize>, String)>, SoapError> {
    let mut reader = NsReader::from_str(text);
    let mut places = Vec::new();
    loop {
        let before = position(&reader);
        let (start, is_empty) = match reader.read_event().map_err(refused)? {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::Eof => return Ok(places),
            _ => continue,
        };
        if start.local_name().as_ref() != "Include" || bound(&reader, &start) != Some(NAMESPACE) {
            continue;
        }
        let id = reference(&start)?;
        if !is_empty {
            let name = start.name().as_ref().to_owned();
            loop {
                match reader.read_event().map_err(refused)? {
                    Event::Text(_) | Event::Comment(_) => {}
                    Event::End(end) if end.name().as_ref() == name => break,
                    _ => return Err(refused("`Include` has no content")),
                }
            }
        }
        places.push((before..position(&reader), id));
    }
}

/// The id of the part that an `Include` names.
fn reference(start: &BytesStart<'_>) -> Result<String, SoapError> {
    let href = start
        .attributes()
        .flatten()
        .find(|attribute| attribute.key.as_ref() == "href")
        .ok_or_else(|| refused("`Include` has no `href`"))?;
    let href = quick_xml::escape::unescape(&href.value).map_err(refused)?;
    let id = href
        .trim()
        .strip_prefix("cid:")
        .ok_or_else(|| refused("the `href` of `Include` does not begin with `cid:`"))?;
    Ok(percent_decode_str(id).decode_utf8().map_err(refused)?.into_owned())
}

fn refused(what: impl std::fmt::Display) -> SoapError {
    SoapError::new(
        FaultCode::Client,
        format!("The message in several parts cannot be read: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &[u8] =
        b"Multipart/Related; boundary=\"XX\"; type=\"application/xop+xml\"; start=\"<root@b>\"; start-info=\"text/xml\"";

    fn message(parts: &[(&str, &str)]) -> Bytes {
        let mut message = String::new();
        for (headers, data) in parts {
            message.push_str(&format!("--XX\r\n{headers}\r\n\r\n{data}\r\n"));
        }
        message.push_str("--XX--\r\n");
        message.into()
    }

    fn envelope(content: &str) -> String {
        format!("<e xmlns:x='{NAMESPACE}'><photo>{content}</photo></e>")
    }

    #[test]
    fn parts_go_where_they_are_included() {
        assert!(has_attachments(TYPE));
        assert!(!has_attachments(b"multipart/form-data; boundary=XX"));
        let root = "Content-ID: <root@b>\r\nContent-Type: application/xop+xml; charset=UTF-8";
        for include in [
            "<x:Include href='cid:p%40b'/>",
            "<x:Include href=\"cid:p@b\" ></x:Include>",
            "<Include xmlns='http://www.w3.org/2004/08/xop/include' href='cid:p@b'> </Include>",
        ] {
            let body = message(&[
                (root, &envelope(include)),
                (
                    "Content-ID: <p@b>\r\nContent-Transfer-Encoding: binary",
                    "\u{0}\r\n\r\nx",
                ),
            ]);
            let whole = assembled(TYPE, &body).unwrap();
            assert_eq!(whole, envelope("AA0KDQp4"), "{include}");
        }
        let alone = message(&[("Content-Type: text/xml", "<e/>")]);
        assert_eq!(assembled(b"multipart/related; boundary=XX", &alone).unwrap(), "<e/>");
    }

    #[test]
    fn what_cannot_be_assembled_is_refused() {
        let root = "Content-ID: <root@b>";
        let one = envelope("<x:Include href='cid:p'/>");
        let twice = envelope("<x:Include href='cid:p'/><x:Include href='cid:p'/>");
        for (parts, what) in [
            (vec![], "no part with the envelope"),
            (vec![("Content-ID: <other>", "<e/>")], "no part with the envelope"),
            (vec![(root, one.as_str())], "`p`, which is not there"),
            (vec![(root, &twice), ("Content-ID: <p>", "x")], "included already"),
            (
                vec![(root, "<e/>"), ("Content-ID: <p>", "x")],
                "nothing in its envelope",
            ),
            (vec![(root, "<e/>"), ("A: b", "x")], "no `Content-ID`"),
            (
                vec![(root, &one), ("Content-ID: <p>", "x"), ("Content-ID: <p>", "x")],
                "one `Content-ID`",
            ),
            (vec![(root, &envelope("<x:Include/>"))], "no `href`"),
            (vec![(root, &envelope("<x:Include href='http://b/'/>"))], "`cid:`"),
            (
                vec![(root, &envelope("<x:Include href='cid:p'><b/></x:Include>"))],
                "no content",
            ),
            (vec![(root, "<e")], "cannot be read"),
        ] {
            let error = assembled(TYPE, &message(&parts)).unwrap_err();
            assert!(error.message.contains(what), "{what}: {error}");
            assert_eq!(error.code, FaultCode::Client);
        }
        for (content_type, body) in [
            (&b"multipart/related"[..], message(&[(root, "<e/>")])),
            (b"\xff", message(&[])),
            (TYPE, Bytes::from_static(b"--XX\r\nContent-ID: <root@b>\r\n\r\n<e/>")),
            (TYPE, Bytes::new()),
        ] {
            assert!(assembled(content_type, &body).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_message_is_too_strange(pieces in prop::collection::vec(prop::sample::select(vec![
            "--XX", "--XX--", "\r\n", "\r\n\r\n", "Content-ID: <root@b>", "Content-ID: <p>", "<e xmlns:x='http://www.w3.org/2004/08/xop/include'>",
            "<x:Include href='cid:p'/>", "<x:Include", "</e>", "x", "\u{ff}", "--",
        ]), 0..24)) {
            let body = Bytes::from(pieces.concat());
            if let Err(error) = assembled(TYPE, &body) {
                prop_assert_eq!(error.code, FaultCode::Client);
            }
        }
    }
}
