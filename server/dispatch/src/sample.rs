//! Every so many calls of a service one is kept, its request and its answer, for people who want to see what they look like
//! (management.md 6.3). In memory, secrets masked.

use std::time::{SystemTime, UNIX_EPOCH};

use busbar_model::Cid;
use busbar_runtime::{Head, Outcome};
use busbar_sio::mask::Mask;
use bytes::Bytes;
use serde_json::Value;

/// Most bytes that are kept of a body.
const KEPT: usize = 64 << 10;

/// A request and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Correlation id of the call.
    pub cid: String,
    /// When it began: milliseconds since 1970.
    pub request_at_ms: u64,
    /// When it ended.
    pub response_at_ms: u64,
    /// The request's body.
    pub request: String,
    /// The answer's body, or what callers were told went wrong.
    pub response: String,
}

/// A call that may become a sample when it has ended.
pub(crate) struct Sampling {
    every: u32,
    cid: Cid,
    at_ms: u64,
    head: Bytes,
    body: Bytes,
}

impl Sampling {
    /// A call that begins now, of a service of which one call in `every` is kept.
    pub(crate) fn new(every: u32, cid: Cid, head: &Bytes, body: &Bytes) -> Self {
        Self {
            every,
            cid,
            at_ms: now_ms(),
            head: head.clone(),
            body: body.clone(),
        }
    }

    /// What is to be kept of it, if it is this one's turn: it was the service's call number `count`.
    pub(crate) fn ended(self, count: u64, outcome: &Outcome) -> Option<Sample> {
        if !count.is_multiple_of(u64::from(self.every)) {
            return None;
        }
        let mask = Mask::new(&[]);
        let head = Head::unpack(&self.head)?;
        let content_type = head.headers().find(|(name, _)| *name == "content-type");
        let content_type = content_type.map(|(_, value)| value).unwrap_or_default();
        let response = match outcome {
            Outcome::Reply(reply) if reply.stream.is_some() => "(sent piece by piece)".to_owned(),
            Outcome::Reply(reply) => mask.kept(reply.content_type.as_bytes(), &reply.body, KEPT),
            Outcome::Fault(fault) => match &fault.details {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            },
        };
        Some(Sample {
            cid: self.cid.to_string(),
            request_at_ms: self.at_ms,
            response_at_ms: now_ms(),
            request: mask.kept(content_type, &self.body, KEPT),
            response,
        })
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use busbar_runtime::call::{ChannelFields, RequestFields};
    use busbar_runtime::{Fault, HeadBuilder, Reply};

    use super::*;

    #[test]
    fn one_call_in_so_many_is_kept_without_its_secrets() {
        let channel = HeadBuilder::channel(&ChannelFields::default());
        let head = HeadBuilder::request(&channel, RequestFields::default()).finish([].into_iter(), [].into_iter());
        let body = Bytes::from_static(br#"{"name":"ann","password":"s3cret"}"#);
        let reply = Outcome::Reply(Reply {
            body: br#"{"token":"t0ken"}"#.as_slice().into(),
            ..Reply::default()
        });
        let sampling = || Sampling::new(3, Cid::new(), &head, &body);
        assert_eq!(
            [1, 2, 4].map(|count| sampling().ended(count, &reply)),
            [None, None, None]
        );
        let sample = sampling().ended(6, &reply).unwrap();
        assert_eq!(sample.request, r#"{"name":"ann","password":"******"}"#);
        assert_eq!(sample.response, r#"{"token":"******"}"#);
        let failed = sampling().ended(3, &Outcome::Fault(Fault::new(500, "no"))).unwrap();
        assert_eq!(failed.response, "no");
    }
}
