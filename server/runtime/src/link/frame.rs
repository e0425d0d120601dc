//! The frames on a link.
//!
//! A frame is `length u32, kind u8, payload`; the length counts the kind and the payload, numbers are little-endian. What travels with every
//! call is packed by hand and its body is copied untouched; what is rare is JSON.

use std::time::{Duration, Instant};

use busbar_model::difference::Difference;
use busbar_model::object::Snapshot;
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error, Kind, error::WireError};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::call::{Call, Fault, Outcome, Reply, ServiceHandle};
use crate::handler::{Commit, DeployError, Deployment, PoolNumbers, UserFiles};
use crate::hub_port::HubRequest;

/// Largest frame that is accepted, in bytes. Bodies are limited far below by the channels; a deployment holds all sources.
pub const MAX_FRAME: usize = 1 << 30;

/// What a worker says of itself with every heartbeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Milliseconds since a thread of the worker last got hold of the interpreter.
    pub interpreter_age_ms: u64,
    /// Calls that run.
    pub running: u32,
    /// Calls that wait for a thread.
    pub queued: u32,
    /// Handler threads.
    pub threads: u32,
    /// Calls that go on long after they were cancelled.
    pub stuck: u32,
}

/// A frame that the hub sends.
#[derive(Debug)]
pub enum ToWorker {
    /// Run this.
    Call {
        /// Number of the call on this link.
        id: u64,
        /// The call.
        call: Call,
    },
    /// Stop that call.
    Cancel(Cid),
    /// Do something rare, and answer with [`ToHub::Controlled`].
    Control {
        /// Number of the request on this link.
        id: u64,
        /// What to do.
        control: Control,
    },
    /// Heartbeat.
    Ping(u64),
    /// Answer to [`ToHub::Request`].
    Answer {
        /// Its number.
        id: u64,
        /// What came of it.
        result: Result<Bytes, WireError>,
    },
    /// So many pieces of a stream have been taken: there is room for as many.
    Credit {
        /// Number of the call.
        id: u64,
        /// How many.
        pieces: u32,
    },
}

/// A frame that a worker sends.
#[derive(Debug)]
pub enum ToHub {
    /// The interpreter runs; control frames are welcome.
    Hello(Hello),
    /// Answer to [`ToWorker::Call`].
    Outcome {
        /// Its number.
        id: u64,
        /// What came of it.
        outcome: Outcome,
    },
    /// Answer to [`ToWorker::Call`] whose body comes piece by piece.
    Stream {
        /// Its number.
        id: u64,
        /// All but the body.
        reply: Reply,
    },
    /// A piece of such a body.
    Piece {
        /// Number of the call.
        id: u64,
        /// The piece.
        data: Bytes,
    },
    /// Such a body is at its end.
    End {
        /// Number of the call.
        id: u64,
        /// There was nothing to come after the last piece; otherwise it broke off.
        is_whole: bool,
    },
    /// Answer to [`ToWorker::Control`].
    Controlled {
        /// Its number.
        id: u64,
        /// What came of it.
        result: Controlled,
    },
    /// Answer to [`ToWorker::Ping`].
    Pong(u64, Health),
    /// Ask a connector that lives in the hub.
    Request {
        /// Number of the request on this link.
        id: u64,
        /// The operation.
        request: HubRequest,
    },
}

/// A worker's first words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// Its process id.
    pub pid: u32,
    /// Version of its interpreter.
    pub python: String,
}

/// What the hub may ask of a worker, apart from calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", content = "with", rename_all = "snake_case")]
pub enum Control {
    /// [`crate::Handler::prepare`].
    Prepare(Deployment),
    /// [`crate::Handler::commit`].
    Commit(Commit),
    /// [`crate::Handler::abort`].
    Abort {
        /// The generation to forget.
        generation: u64,
    },
    /// [`crate::Handler::configure`].
    Configure(Snapshot),
    /// The same with what these objects become of those that it has; a worker that has others answers [`Controlled::Behind`].
    Change(Difference),
    /// [`crate::Handler::files`].
    Files(UserFiles),
    /// [`crate::Handler::pools`].
    Pools,
    /// [`crate::Handler::drain`].
    Drain,
}

/// What came of a [`Control`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "did", content = "with", rename_all = "snake_case")]
pub enum Controlled {
    /// Done, nothing to report.
    Done,
    /// The services of a prepared deployment.
    Prepared(Vec<ServiceInfo>),
    /// Numbers of pools of connections.
    Pools(Vec<PoolNumbers>),
    /// It does not have the objects that a difference starts from.
    Behind,
    /// The deployment was refused.
    Refused(DeployError),
    /// It failed otherwise.
    Failed(WireError),
}

mod kind {
    pub const CALL: u8 = 1;
    pub const CANCEL: u8 = 2;
    pub const CONTROL: u8 = 3;
    pub const PING: u8 = 4;
    pub const ANSWER: u8 = 5;
    pub const ANSWER_ERROR: u8 = 6;
    pub const CREDIT: u8 = 7;
    pub const HELLO: u8 = 33;
    pub const REPLY: u8 = 34;
    pub const FAULT: u8 = 35;
    pub const CONTROLLED: u8 = 36;
    pub const PONG: u8 = 37;
    pub const REQUEST: u8 = 38;
    pub const STREAM: u8 = 39;
    pub const PIECE: u8 = 40;
    pub const END: u8 = 41;
}

/// Writes one frame: reserves its length, lets `payload` write, fills the length in.
fn frame(buffer: &mut BytesMut, kind: u8, payload: impl FnOnce(&mut BytesMut)) {
    let start = buffer.len();
    buffer.put_u32_le(0);
    buffer.put_u8(kind);
    payload(buffer);
    let length = (buffer.len() - start - 4) as u32;
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn put_json(buffer: &mut BytesMut, value: &impl Serialize) {
    serde_json::to_writer(buffer.writer(), value).expect("plain data serialises to memory");
}

fn put_text(buffer: &mut BytesMut, text: &str) {
    buffer.put_u32_le(text.len() as u32);
    buffer.put_slice(text.as_bytes());
}

/// Packs a call. Apart from [`ToWorker::pack`] because it is the hot path and needs the call only by reference.
pub fn pack_call(buffer: &mut BytesMut, id: u64, call: &Call) {
    buffer.reserve(64 + call.head.len() + call.body.len());
    frame(buffer, kind::CALL, |buffer| {
        buffer.put_u64_le(id);
        buffer.put_slice(call.cid.as_bytes());
        buffer.put_u32_le(call.service.0);
        let left = call.deadline.saturating_duration_since(Instant::now()).as_millis();
        buffer.put_u32_le(u32::try_from(left).unwrap_or(u32::MAX));
        buffer.put_u32_le(call.head.len() as u32);
        buffer.put_slice(&call.head);
        buffer.put_slice(&call.body);
    });
}

/// Packs the outcome of a call. Of a body that comes piece by piece the pieces are left to the caller.
pub fn pack_outcome(buffer: &mut BytesMut, id: u64, outcome: &Outcome) {
    match outcome {
        Outcome::Reply(reply) => {
            let kind = if reply.stream.is_some() {
                kind::STREAM
            } else {
                kind::REPLY
            };
            frame(buffer, kind, |buffer| put_reply(buffer, id, reply));
        }
        Outcome::Fault(fault) => frame(buffer, kind::FAULT, |buffer| {
            buffer.put_u64_le(id);
            put_json(buffer, fault);
        }),
    }
}

fn put_reply(buffer: &mut BytesMut, id: u64, reply: &Reply) {
    buffer.put_u64_le(id);
    buffer.put_u16_le(reply.status);
    put_text(buffer, &reply.content_type);
    buffer.put_u32_le(reply.headers.len() as u32);
    for (name, value) in &reply.headers {
        put_text(buffer, name);
        put_text(buffer, value);
    }
    buffer.put_slice(&reply.body);
}

fn take_reply(mut payload: Bytes) -> Result<(u64, Reply), Error> {
    let id = take_u64(&mut payload)?;
    let status = take_u16(&mut payload)?;
    let content_type = take_text(&mut payload)?;
    let count = take_u32(&mut payload)?;
    let mut headers = Vec::with_capacity(count.min(64) as usize);
    for _ in 0..count {
        headers.push((take_text(&mut payload)?, take_text(&mut payload)?));
    }
    let reply = Reply {
        status,
        content_type,
        headers,
        body: payload,
        stream: None,
    };
    Ok((id, reply))
}

impl ToWorker {
    /// Appends the frame to `buffer`.
    pub fn pack(&self, buffer: &mut BytesMut) {
        match self {
            Self::Call { id, call } => pack_call(buffer, *id, call),
            Self::Cancel(cid) => frame(buffer, kind::CANCEL, |buffer| buffer.put_slice(cid.as_bytes())),
            Self::Control { id, control } => frame(buffer, kind::CONTROL, |buffer| {
                buffer.put_u64_le(*id);
                put_json(buffer, control);
            }),
            Self::Ping(number) => frame(buffer, kind::PING, |buffer| buffer.put_u64_le(*number)),
            Self::Answer { id, result: Ok(bytes) } => frame(buffer, kind::ANSWER, |buffer| {
                buffer.put_u64_le(*id);
                buffer.put_slice(bytes);
            }),
            Self::Answer { id, result: Err(error) } => frame(buffer, kind::ANSWER_ERROR, |buffer| {
                buffer.put_u64_le(*id);
                put_json(buffer, error);
            }),
            Self::Credit { id, pieces } => frame(buffer, kind::CREDIT, |buffer| {
                buffer.put_u64_le(*id);
                buffer.put_u32_le(*pieces);
            }),
        }
    }

    /// Reads the payload of a frame.
    fn unpack(kind: u8, mut payload: Bytes) -> Result<Self, Error> {
        Ok(match kind {
            kind::CALL => {
                let id = take_u64(&mut payload)?;
                let cid = Cid::from_bytes(&take(&mut payload, Cid::LEN)?).ok_or_else(|| cut("cid"))?;
                let service = ServiceHandle(take_u32(&mut payload)?);
                let deadline = Instant::now() + Duration::from_millis(take_u32(&mut payload)?.into());
                let length = take_u32(&mut payload)? as usize;
                let head = take(&mut payload, length)?;
                Self::Call {
                    id,
                    call: Call {
                        cid,
                        service,
                        deadline,
                        head,
                        body: payload,
                    },
                }
            }
            kind::CANCEL => Self::Cancel(Cid::from_bytes(&payload).ok_or_else(|| cut("cid"))?),
            kind::CONTROL => Self::Control {
                id: take_u64(&mut payload)?,
                control: json(&payload)?,
            },
            kind::PING => Self::Ping(take_u64(&mut payload)?),
            kind::ANSWER => Self::Answer {
                id: take_u64(&mut payload)?,
                result: Ok(payload),
            },
            kind::ANSWER_ERROR => Self::Answer {
                id: take_u64(&mut payload)?,
                result: Err(json(&payload)?),
            },
            kind::CREDIT => Self::Credit {
                id: take_u64(&mut payload)?,
                pieces: take_u32(&mut payload)?,
            },
            other => return Err(unknown(other)),
        })
    }
}

impl ToHub {
    /// Appends the frame to `buffer`.
    pub fn pack(&self, buffer: &mut BytesMut) {
        match self {
            Self::Hello(hello) => frame(buffer, kind::HELLO, |buffer| put_json(buffer, hello)),
            Self::Outcome { id, outcome } => pack_outcome(buffer, *id, outcome),
            Self::Stream { id, reply } => frame(buffer, kind::STREAM, |buffer| put_reply(buffer, *id, reply)),
            Self::Piece { id, data } => frame(buffer, kind::PIECE, |buffer| {
                buffer.put_u64_le(*id);
                buffer.put_slice(data);
            }),
            Self::End { id, is_whole } => frame(buffer, kind::END, |buffer| {
                buffer.put_u64_le(*id);
                buffer.put_u8(u8::from(*is_whole));
            }),
            Self::Controlled { id, result } => frame(buffer, kind::CONTROLLED, |buffer| {
                buffer.put_u64_le(*id);
                put_json(buffer, result);
            }),
            Self::Pong(number, health) => frame(buffer, kind::PONG, |buffer| {
                buffer.put_u64_le(*number);
                put_json(buffer, health);
            }),
            Self::Request { id, request } => frame(buffer, kind::REQUEST, |buffer| {
                buffer.put_u64_le(*id);
                put_text(buffer, &request.kind);
                put_text(buffer, &request.name);
                put_text(buffer, &request.operation);
                buffer.put_u32_le(request.parts.len() as u32);
                for part in &request.parts {
                    buffer.put_u32_le(part.len() as u32);
                    buffer.put_slice(part);
                }
            }),
        }
    }

    /// Reads the payload of a frame.
    fn unpack(kind: u8, mut payload: Bytes) -> Result<Self, Error> {
        Ok(match kind {
            kind::HELLO => Self::Hello(json(&payload)?),
            kind::REPLY => {
                let (id, reply) = take_reply(payload)?;
                Self::Outcome {
                    id,
                    outcome: Outcome::Reply(reply),
                }
            }
            kind::STREAM => {
                let (id, reply) = take_reply(payload)?;
                Self::Stream { id, reply }
            }
            kind::PIECE => Self::Piece {
                id: take_u64(&mut payload)?,
                data: payload,
            },
            kind::END => Self::End {
                id: take_u64(&mut payload)?,
                is_whole: payload.first() == Some(&1),
            },
            kind::FAULT => {
                let id = take_u64(&mut payload)?;
                Self::Outcome {
                    id,
                    outcome: Outcome::Fault(json::<Fault>(&payload)?),
                }
            }
            kind::CONTROLLED => Self::Controlled {
                id: take_u64(&mut payload)?,
                result: json(&payload)?,
            },
            kind::PONG => Self::Pong(take_u64(&mut payload)?, json(&payload)?),
            kind::REQUEST => {
                let id = take_u64(&mut payload)?;
                let (kind, name, operation) = (
                    take_text(&mut payload)?,
                    take_text(&mut payload)?,
                    take_text(&mut payload)?,
                );
                let count = take_u32(&mut payload)?;
                let mut parts = Vec::with_capacity(count.min(64) as usize);
                for _ in 0..count {
                    let length = take_u32(&mut payload)? as usize;
                    parts.push(take(&mut payload, length)?);
                }
                Self::Request {
                    id,
                    request: HubRequest {
                        kind,
                        name,
                        operation,
                        parts,
                    },
                }
            }
            other => return Err(unknown(other)),
        })
    }
}

/// Takes the next whole frame for a worker off the front of `buffer`, if there is one.
pub fn next_for_worker(buffer: &mut BytesMut) -> Result<Option<ToWorker>, Error> {
    next(buffer)?
        .map(|(kind, payload)| ToWorker::unpack(kind, payload))
        .transpose()
}

/// Takes the next whole frame for the hub off the front of `buffer`, if there is one.
pub fn next_for_hub(buffer: &mut BytesMut) -> Result<Option<ToHub>, Error> {
    next(buffer)?
        .map(|(kind, payload)| ToHub::unpack(kind, payload))
        .transpose()
}

fn next(buffer: &mut BytesMut) -> Result<Option<(u8, Bytes)>, Error> {
    let Some(length) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > MAX_FRAME {
        return Err(Error::new(
            Kind::Protocol,
            format!("a frame of {length} bytes came over the link"),
        ));
    }
    if buffer.len() < 4 + length {
        buffer.reserve(4 + length - buffer.len());
        return Ok(None);
    }
    let mut whole = buffer.split_to(4 + length).freeze();
    whole.advance(4);
    let kind = whole.get_u8();
    Ok(Some((kind, whole)))
}

fn take(payload: &mut Bytes, length: usize) -> Result<Bytes, Error> {
    if payload.len() < length {
        Err(cut("field"))
    } else {
        Ok(payload.split_to(length))
    }
}

fn take_u16(payload: &mut Bytes) -> Result<u16, Error> {
    payload.try_get_u16_le().map_err(|_| cut("number"))
}

fn take_u32(payload: &mut Bytes) -> Result<u32, Error> {
    payload.try_get_u32_le().map_err(|_| cut("number"))
}

fn take_u64(payload: &mut Bytes) -> Result<u64, Error> {
    payload.try_get_u64_le().map_err(|_| cut("number"))
}

fn take_text(payload: &mut Bytes) -> Result<String, Error> {
    let length = take_u32(payload)? as usize;
    let bytes = take(payload, length)?;
    std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| cut("text"))
}

fn json<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(payload).map_err(|error| {
        Error::new(Kind::Protocol, "a frame on the link does not hold what it should").with_source(error)
    })
}

fn cut(what: &str) -> Error {
    Error::new(Kind::Protocol, format!("a frame on the link ends within a {what}"))
}

fn unknown(kind: u8) -> Error {
    Error::new(
        Kind::Protocol,
        format!("a frame of unknown kind {kind} came over the link"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::ReplyStream;

    #[test]
    fn calls_and_outcomes_read_back() {
        let mut buffer = BytesMut::new();
        let call = Call {
            cid: Cid::new(),
            service: ServiceHandle(7),
            deadline: Instant::now() + Duration::from_secs(60),
            head: Bytes::from_static(b"head"),
            body: Bytes::from_static(b"body"),
        };
        pack_call(&mut buffer, 42, &call);
        let whole = buffer.clone();
        for length in 0..whole.len() {
            let mut cut = BytesMut::from(&whole[..length]);
            assert!(next_for_worker(&mut cut).unwrap().is_none());
        }
        let Some(ToWorker::Call { id: 42, call: read }) = next_for_worker(&mut buffer).unwrap() else {
            panic!()
        };
        assert_eq!(
            (read.cid, read.service, read.head, read.body),
            (call.cid, call.service, call.head, call.body)
        );
        assert!(read.deadline <= call.deadline && read.deadline > Instant::now() + Duration::from_secs(59));

        let reply = Reply {
            status: 201,
            content_type: "text/css".into(),
            headers: vec![("A".into(), "b".into())],
            body: Bytes::from_static(b"x"),
            stream: None,
        };
        let mut outcome = Outcome::Reply(reply);
        pack_outcome(&mut buffer, 1, &outcome);
        pack_outcome(
            &mut buffer,
            2,
            &Outcome::Fault(Fault::new(400, "no").with_header("B", "c")),
        );
        let Some(ToHub::Outcome {
            id: 1,
            outcome: Outcome::Reply(read),
        }) = next_for_hub(&mut buffer).unwrap()
        else {
            panic!()
        };
        assert_eq!(
            (read.status, read.content_type, read.headers, read.body),
            (
                201,
                "text/css".to_owned(),
                vec![("A".to_owned(), "b".to_owned())],
                Bytes::from_static(b"x")
            )
        );
        let Some(ToHub::Outcome {
            id: 2,
            outcome: Outcome::Fault(fault),
        }) = next_for_hub(&mut buffer).unwrap()
        else {
            panic!()
        };
        assert_eq!(fault, Fault::new(400, "no").with_header("B", "c"));
        if let Outcome::Reply(reply) = &mut outcome {
            reply.stream = Some(Box::new(ReplyStream::new().1));
        }
        pack_outcome(&mut buffer, 3, &outcome);
        for frame in [
            ToHub::Piece {
                id: 3,
                data: Bytes::from_static(b"p"),
            },
            ToHub::End { id: 3, is_whole: true },
        ] {
            frame.pack(&mut buffer);
        }
        let read = [(); 3].map(|()| next_for_hub(&mut buffer).unwrap().unwrap());
        assert!(matches!(
            read,
            [
                ToHub::Stream { id: 3, .. },
                ToHub::Piece { id: 3, .. },
                ToHub::End { id: 3, is_whole: true }
            ]
        ));
        assert!(buffer.is_empty());
        ToWorker::Credit { id: 3, pieces: 4 }.pack(&mut buffer);
        let read = next_for_worker(&mut buffer).unwrap();
        assert!(matches!(read, Some(ToWorker::Credit { id: 3, pieces: 4 })));
    }

    #[test]
    fn requests_of_the_hub_read_back() {
        let mut buffer = BytesMut::new();
        let request = HubRequest {
            kind: "outgoing.zmq".into(),
            name: "Fraud detection".into(),
            operation: "send".into(),
            parts: vec![Bytes::from_static(b"a"), Bytes::new()],
        };
        ToHub::Request {
            id: 9,
            request: request.clone(),
        }
        .pack(&mut buffer);
        let Some(ToHub::Request { id: 9, request: read }) = next_for_hub(&mut buffer).unwrap() else {
            panic!()
        };
        assert_eq!(read, request);
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            &[0, 0, 0, 0][..],
            &[0xff; 8],
            &[1, 0, 0, 0, 99],
            &[3, 0, 0, 0, kind::CALL, 1, 2],
        ] {
            assert!(next_for_worker(&mut BytesMut::from(bytes)).is_err(), "{bytes:?}");
        }
    }
}
