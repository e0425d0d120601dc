//! Undoes the content encoding of a body, within a limit: a small body can unpack into a very large one.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::HttpFailure;

/// Undoes the encodings that `Content-Encoding` lists, last one first. One that is not known ends the work: the body stays as it is
/// then.
pub(super) fn decode(content_encoding: &str, body: Bytes, limit: u64) -> Result<Bytes, HttpFailure> {
    let mut body = body;
    for encoding in content_encoding.rsplit(',') {
        if body.is_empty() {
            break;
        }
        body = match encoding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => read("gzip", MultiGzDecoder::new(&body[..]), limit)?,
            "deflate" => deflate(&body, limit)?,
            "identity" | "" => body,
            _ => break,
        };
    }
    Ok(body)
}

/// The standard says zlib, many servers send bare deflate.
fn deflate(body: &[u8], limit: u64) -> Result<Bytes, HttpFailure> {
    match read("deflate", ZlibDecoder::new(body), limit) {
        Err(HttpFailure::ContentDecoding { .. }) => read("deflate", DeflateDecoder::new(body), limit),
        other => other,
    }
}

fn read(encoding: &'static str, decoder: impl Read, limit: u64) -> Result<Bytes, HttpFailure> {
    let mut out = Vec::new();
    let read: io::Result<usize> = decoder.take(limit.saturating_add(1)).read_to_end(&mut out);
    read.map_err(|source| HttpFailure::ContentDecoding { encoding, source })?;
    if out.len() as u64 > limit {
        Err(HttpFailure::TooLarge(limit))
    } else {
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn every_spelling_of_deflate_and_gzip_is_undone() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(b"hello").unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(b"hello").unwrap();
        for (encoding, body) in [
            ("gzip", gzip(b"hello")),
            ("X-GZIP", gzip(b"hello")),
            ("gzip, gzip", gzip(&gzip(b"hello"))),
            ("deflate", zlib.finish().unwrap().into()),
            ("deflate", bare.finish().unwrap().into()),
            ("identity", "hello".into()),
            ("br", "hello".into()),
        ] {
            assert_eq!(decode(encoding, body, 100).unwrap(), "hello", "{encoding}");
        }
        assert_eq!(decode("gzip", Bytes::new(), 100).unwrap(), "");
    }

    #[test]
    fn a_bomb_and_garbage_are_refused() {
        assert!(matches!(
            decode("gzip", gzip(&[0; 100_000]), 99_999),
            Err(HttpFailure::TooLarge(99_999))
        ));
        assert!(matches!(
            decode("gzip", "hello".into(), 100),
            Err(HttpFailure::ContentDecoding { .. })
        ));
        assert!(matches!(
            decode("deflate", "hello".into(), 100),
            Err(HttpFailure::ContentDecoding { .. })
        ));
    }
}
