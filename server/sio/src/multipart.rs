//! Forms in several parts (`multipart/form-data`), with files.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::ready;
use futures_util::stream::once;
use multer::Multipart;

use crate::SioError;

/// More parts than any form has.
const MAX_PARTS: usize = 1000;

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of the field.
    pub name: String,
    /// The file's name, if it is one.
    pub file_name: Option<String>,
    /// What it says that it is, if it does.
    pub content_type: Option<String>,
    /// What is in it.
    pub data: Bytes,
}

impl Part {
    /// Whether it is a field of text: no file, and nothing that calls itself something else.
    pub fn is_text(&self) -> bool {
        let is_text = |kind: &String| kind.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("text/"));
        self.file_name.is_none() && self.content_type.as_ref().is_none_or(is_text)
    }
}

/// The parts of a form, in order.
///
/// # Errors
/// If the content type names no boundary, the body is not made of whole parts, a part has no name, or there are too many.
pub fn parse(content_type: &[u8], body: &Bytes) -> Result<Vec<Part>, SioError> {
    let content_type = std::str::from_utf8(content_type).map_err(refused)?;
    let boundary = multer::parse_boundary(content_type).map_err(refused)?;
    // all of it is there, so nothing is ever waited for
    read(body.clone(), boundary)
        .now_or_never()
        .unwrap_or_else(|| Err(refused("it ends within a part")))
}

async fn read(body: Bytes, boundary: String) -> Result<Vec<Part>, SioError> {
    let mut form = Multipart::new(once(ready(Ok::<_, Infallible>(body))), boundary);
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await.map_err(refused)? {
        if parts.len() == MAX_PARTS {
            return Err(refused(format_args!("more than {MAX_PARTS} parts")));
        }
        let name = field.name().ok_or_else(|| refused("a part without a name"))?.to_owned();
        let file_name = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let data = field.bytes().await.map_err(refused)?;
        parts.push(Part {
            name,
            file_name,
            content_type,
            data,
        });
    }
    Ok(parts)
}

fn refused(what: impl std::fmt::Display) -> SioError {
    SioError::new(format!("invalid form: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &[u8] = b"multipart/form-data; boundary=\"XX\"";

    fn form(parts: &str) -> Bytes {
        Bytes::from(parts.replace('\n', "\r\n"))
    }

    fn shown(body: &Bytes) -> Vec<(String, Option<String>, Vec<u8>)> {
        let parts = parse(TYPE, body).unwrap();
        parts
            .into_iter()
            .map(|part| (part.name, part.file_name, part.data.to_vec()))
            .collect()
    }

    #[test]
    fn parts_are_read() {
        let body = form(
            "--XX\nContent-Disposition: form-data; name=\"a\"\n\n1\n--XX\nContent-Disposition: form-data; name=\"f\"; \
             filename=\"x.bin\"\nContent-Type: application/octet-stream\n\n\u{0}\n\nx\n--XX--\n",
        );
        assert_eq!(
            shown(&body),
            [
                ("a".to_owned(), None, b"1".to_vec()),
                ("f".to_owned(), Some("x.bin".to_owned()), b"\0\r\n\r\nx".to_vec())
            ]
        );
        assert_eq!(shown(&form("--XX--\n")), []);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let good = "--XX\nContent-Disposition: form-data; name=\"a\"\n\n1\n--XX--\n";
        for (content_type, body) in [
            (&b"multipart/form-data"[..], form(good)),
            (b"text/plain", form(good)),
            (b"\xff", form(good)),
            (TYPE, form("")),
            (TYPE, form("x")),
            (TYPE, form("--XX\nContent-Disposition: form-data; name=\"a\"\n\n1")),
            (TYPE, form("--XX\nContent-Disposition: form-data\n\n1\n--XX--\n")),
            (TYPE, form("--XX\n\n1\n--XX--\n")),
            (
                TYPE,
                form(&good.replace(
                    "--XX--\n",
                    &"--XX\nContent-Disposition: form-data; name=\"a\"\n\n1\n".repeat(1001),
                )),
            ),
        ] {
            let error = parse(content_type, &body).unwrap_err();
            assert!(error.message.starts_with("invalid form: "), "{error}");
        }
    }

    const PIECES: [&[u8]; 10] = [
        b"--XX",
        b"--XX--",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"a\"",
        b"; filename=\"",
        b"x",
        b"\xff",
        b"--",
        b"Content-Disposition:",
    ];

    proptest! {
        /// Whatever comes, nothing panics or waits.
        #[test]
        fn nothing_panics(parts in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..12)) {
            let _ = parse(TYPE, &Bytes::from(parts.concat()));
        }
    }
}
