//! Reads replies in version 2 of Redis's protocol, piece by piece as they come in.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

use super::{RedisFailure, Reply};

/// Longest line (number, status or error) and largest bulk that is accepted; the latter is Redis's own limit.
const MAX_LINE: usize = 64 * 1024;
const MAX_BULK: usize = 512 * 1024 * 1024;
/// Redis nests replies a few levels deep.
const MAX_DEPTH: usize = 64;

/// Reads replies. Keeps its place in arrays that are not whole yet.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    open: Vec<OpenArray>,
}

#[derive(Debug)]
struct OpenArray {
    items: Vec<Reply>,
    left: usize,
}

impl Decoder {
    /// Takes the next reply out of `input`; `None` if it is not whole yet.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Reply>> {
        loop {
            let Some(token) = token(input)? else { return Ok(None) };
            let mut reply = match token {
                Token::Reply(reply) => reply,
                Token::Array(0) => Reply::Array(Vec::new()),
                Token::Array(size) => {
                    if self.open.len() == MAX_DEPTH {
                        return Err(invalid("arrays are nested too deep"));
                    }
                    // what it says of its size is not believed before it is there
                    self.open.push(OpenArray {
                        items: Vec::with_capacity(size.min(1024)),
                        left: size,
                    });
                    continue;
                }
            };
            loop {
                let Some(array) = self.open.last_mut() else {
                    return Ok(Some(reply));
                };
                array.items.push(reply);
                array.left -= 1;
                if array.left > 0 {
                    break;
                }
                reply = Reply::Array(std::mem::take(&mut array.items));
                self.open.pop();
            }
        }
    }
}

enum Token {
    Reply(Reply),
    Array(usize),
}

fn token(input: &mut BytesMut) -> io::Result<Option<Token>> {
    let Some(end) = input.iter().take(MAX_LINE).position(|&byte| byte == b'\n') else {
        return if input.len() >= MAX_LINE {
            Err(invalid("a line is too long"))
        } else {
            Ok(None)
        };
    };
    let line = input[..end]
        .strip_suffix(b"\r")
        .ok_or_else(|| invalid("a line does not end in CR LF"))?;
    let (&kind, rest) = line.split_first().ok_or_else(|| invalid("an empty line"))?;
    let number = || std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok());
    let size = |limit: usize| match number() {
        Some(-1) => Ok(None),
        Some(size) => match usize::try_from(size) {
            Ok(size) if size <= limit => Ok(Some(size)),
            _ => Err(invalid("a size is out of bounds")),
        },
        None => Err(invalid("a size is not a number")),
    };
    let token = match kind {
        b'+' => Token::Reply(Reply::Status(String::from_utf8_lossy(rest).into_owned())),
        b'-' => {
            let text = String::from_utf8_lossy(rest);
            let (code, text) = text.split_once(' ').unwrap_or((&text, ""));
            Token::Reply(Reply::Error(RedisFailure::reported(code, text)))
        }
        b':' => Token::Reply(Reply::Int(
            number().ok_or_else(|| invalid("an integer is not a number"))?,
        )),
        b'*' => match size(usize::MAX >> 1)? {
            Some(size) => Token::Array(size),
            None => Token::Reply(Reply::Nil),
        },
        b'$' => match size(MAX_BULK)? {
            None => Token::Reply(Reply::Nil),
            Some(size) => {
                let whole = end + 1 + size + 2;
                if input.len() < whole {
                    input.reserve(whole - input.len());
                    return Ok(None);
                }
                input.advance(end + 1);
                let bytes: Bytes = input.split_to(size).freeze();
                if !input.starts_with(b"\r\n") {
                    return Err(invalid("a bulk does not end in CR LF"));
                }
                input.advance(2);
                return Ok(Some(Token::Reply(Reply::Bulk(bytes))));
            }
        },
        _ => return Err(invalid("an unknown kind of reply")),
    };
    input.advance(end + 1);
    Ok(Some(token))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a reply of Redis: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::RedisFailureKind;

    fn bulk(text: &'static str) -> Reply {
        Reply::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_kind_reads_also_one_byte_at_a_time() {
        let wire =
            b"+OK\r\n:-7\r\n$3\r\na\nb\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n*1\r\n$0\r\n\r\n-WRONGTYPE no\r\n-ERR x y\r\n";
        let expected = vec![
            Reply::Status("OK".into()),
            Reply::Int(-7),
            bulk("a\nb"),
            Reply::Nil,
            Reply::Nil,
            Reply::Array(vec![]),
            Reply::Array(vec![
                Reply::Array(vec![bulk("")]),
                Reply::Error(RedisFailure::new(RedisFailureKind::Response, "WRONGTYPE no")),
            ]),
            Reply::Error(RedisFailure::new(RedisFailureKind::Response, "x y")),
        ];
        for step in [1, 2, 7, wire.len()] {
            let (mut decoder, mut input, mut replies) = (Decoder::default(), BytesMut::new(), Vec::new());
            for piece in wire.chunks(step) {
                input.extend_from_slice(piece);
                while let Some(reply) = decoder.decode(&mut input).unwrap() {
                    replies.push(reply);
                }
            }
            assert_eq!(replies, expected, "in steps of {step}");
        }
    }

    #[test]
    fn garbage_is_an_error_and_not_a_panic() {
        for wire in [
            "HTTP/1.1 400\r\n",
            "\r\n",
            ":x\r\n",
            "$-2\r\n",
            "$9999999999999\r\n",
            "$1\r\nab\r\n",
            "+OK\n",
            "*x\r\n",
        ] {
            assert!(
                Decoder::default().decode(&mut BytesMut::from(wire)).is_err(),
                "{wire:?}"
            );
        }
        let deep = "*1\r\n".repeat(MAX_DEPTH + 1);
        assert!(Decoder::default().decode(&mut BytesMut::from(deep.as_str())).is_err());
        let long = vec![b'+'; MAX_LINE];
        assert!(Decoder::default().decode(&mut BytesMut::from(&long[..])).is_err());
    }
}
