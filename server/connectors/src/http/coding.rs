//! Compressed bodies, both ways.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderValue};

use busbar_runtime::Fault;

/// Smaller bodies are handled where they are; larger ones on a thread that may take its time.
const AT_ONCE: usize = 64 * 1024;

/// How a request's body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// What a request says; `None`: it is not compressed. A coding that nobody here undoes is refused.
    pub(crate) fn of(value: &HeaderValue) -> Result<Option<Self>, Fault> {
        let name = value.as_bytes().trim_ascii();
        for (known, coding) in [
            (&b"gzip"[..], Some(Self::Gzip)),
            (b"x-gzip", Some(Self::Gzip)),
            (b"deflate", Some(Self::Deflate)),
            (b"identity", None),
            (b"", None),
        ] {
            if name.eq_ignore_ascii_case(known) {
                return Ok(coding);
            }
        }
        Err(Fault::new(415, "Unsupported content coding").with_header("Accept-Encoding", "gzip, deflate, identity"))
    }

    /// Undoes it. What it becomes may have `max` bytes.
    pub(crate) async fn inflate(self, body: Bytes, max: usize) -> Result<Bytes, Fault> {
        if body.len() < AT_ONCE / 16 {
            return self.inflate_now(&body, max);
        }
        tokio::task::spawn_blocking(move || self.inflate_now(&body, max))
            .await
            .unwrap_or_else(|_| Err(Fault::new(500, "Internal server error")))
    }

    fn inflate_now(self, body: &[u8], max: usize) -> Result<Bytes, Fault> {
        let mut whole = Vec::new();
        // a byte more than may be, to know that there are more
        let limit = max as u64 + 1;
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(body).take(limit).read_to_end(&mut whole),
            Self::Deflate => ZlibDecoder::new(body).take(limit).read_to_end(&mut whole),
        };
        if read.is_err() {
            return Err(Fault::new(
                400,
                "The request's body is not compressed as its Content-Encoding says",
            ));
        }
        if whole.len() > max {
            return Err(Fault::new(
                413,
                format!("The request's body is larger than {max} bytes"),
            ));
        }
        Ok(whole.into())
    }
}

/// Whether a client takes gzip.
pub(crate) fn accepts_gzip(accept_encoding: &[u8]) -> bool {
    let mut wildcard = false;
    for item in accept_encoding.split(|byte| *byte == b',') {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| {
            let value = part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q="));
            value.is_some_and(|value| value.iter().all(|byte| matches!(byte, b'0' | b'.')))
        });
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            return !is_refused;
        }
        wildcard |= name == b"*" && !is_refused;
    }
    wildcard
}

/// Compresses a response's body, and says so. One that its service has compressed is left alone.
pub(crate) async fn gzipped(body: Bytes, headers: &mut HeaderMap) -> Bytes {
    if body.is_empty() || headers.contains_key(header::CONTENT_ENCODING) {
        return body;
    }
    let compressed = if body.len() < AT_ONCE {
        gzip(&body)
    } else {
        let whole = body.clone();
        tokio::task::spawn_blocking(move || gzip(&whole)).await.ok().flatten()
    };
    let Some(compressed) = compressed else { return body };
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    compressed
}

fn gzip(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 32), Compression::default());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_say_what_they_take() {
        for (text, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("", false),
            ("br", false),
            ("gzipped", false),
        ] {
            assert_eq!(accepts_gzip(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn bodies_are_inflated_within_their_limit() {
        let packed = gzip(&[b'a'; 1000]).unwrap();
        assert_eq!(Coding::Gzip.inflate_now(&packed, 1000).unwrap(), vec![b'a'; 1000]);
        assert_eq!(Coding::Gzip.inflate_now(&packed, 999).unwrap_err().status, 413);
        for broken in [&b"no gzip"[..], &packed[..packed.len() - 9], b"", b"\x1f\x8b"] {
            assert_eq!(
                Coding::Gzip.inflate_now(broken, 1000).unwrap_err().status,
                400,
                "{broken:?}"
            );
        }
        assert_eq!(Coding::Deflate.inflate_now(&packed, 1000).unwrap_err().status, 400);
    }
}
