//! One call of a service, and what comes of it.

use std::time::{Duration, Instant};

use busbar_model::{ChannelType, Cid, DataFormat, Error, JobType, SoapVersion};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::inbound::Identity;
use crate::stream::ReplyStream;

/// Number of one service of one generation. The hub hands them out when it commits a deployment and never reuses one, so a call
/// that carries it runs exactly the code that the hub's table showed when it was routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceHandle(pub u32);

/// One call of a service.
#[derive(Debug, Clone)]
pub struct Call {
    /// Correlation id.
    pub cid: Cid,
    /// What to run.
    pub service: ServiceHandle,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// What the channel knows about the request, packed once at the edge; see [`Head`].
    pub head: Bytes,
    /// The body as it was received.
    pub body: Bytes,
}

/// What came of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The service answered.
    Reply(Reply),
    /// It did not; the channel's edge writes this in the format that its caller speaks.
    Fault(Fault),
}

/// A service's answer, serialised.
#[derive(Debug, Default)]
pub struct Reply {
    /// HTTP status, 100-599.
    pub status: u16,
    /// Content type that the service chose; empty: the channel's own.
    pub content_type: String,
    /// Further headers that the service set, in order.
    pub headers: Vec<(String, String)>,
    /// The body, or nothing if it comes piece by piece.
    pub body: Bytes,
    /// The body, piece by piece.
    pub stream: Option<Box<ReplyStream>>,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// HTTP status, 400-599.
    pub status: u16,
    /// What callers are told: a text, a list (the arguments of a Python exception) or nothing.
    pub details: Option<Value>,
    /// Headers to send along, in order: those the service had set, `WWW-Authenticate`, `Allow`, `Retry-After`...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

impl Fault {
    /// A fault with a text for callers.
    pub fn new(status: u16, details: impl Into<String>) -> Self {
        Self {
            status,
            details: Some(Value::String(details.into())),
            headers: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Says how long to wait before trying again, in whole seconds.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with_header("Retry-After", seconds.to_string())
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        let fault = Self::new(error.kind().status(), error.message());
        match error.retry_after() {
            Some(wait) => fault.with_retry_after(wait),
            None => fault,
        }
    }
}

/// What a channel knows about a request, unpacked. Borrowed from the packed form: nothing is copied until somebody asks for it.
///
/// Packed layout: every text is a little-endian `u32` length and its bytes; lists are a `u32` count and their items.
/// `channel_type u8 (its highest bit: is_held_to_roles), data_format u8, flags u8, channel name, security (name, type, username, claims; empty texts: none),
/// method, path, query, remote address, path parameters (name, value)*, headers (name, value)*`, and last, if the caller chose one, the
/// transport.
#[derive(Debug, Clone, Default)]
pub struct Head<'a> {
    /// Where the call came from.
    pub channel_type: Option<ChannelType>,
    /// How the body is to be read and the payload written.
    pub data_format: DataFormat,
    /// Path and query parameters go into the input: `merge_url_params_req`.
    pub merge_params: bool,
    /// A path parameter wins over a query parameter of the same name: `url_params_pri = path-over-qs`.
    pub path_over_query: bool,
    /// A value in the body wins over a parameter of the same name: `params_pri = msg-over-channel-params`.
    pub body_over_params: bool,
    /// The body is a SOAP envelope of this version; `None`: there is no envelope.
    pub soap: Option<SoapVersion>,
    /// The scheduler's job that makes this call; `None`: something else does.
    pub job_type: Option<JobType>,
    /// Whoever calls may do what their roles allow, and nothing if they have none: they came through a door of the management API, or had
    /// limits when they left a message.
    pub is_held_to_roles: bool,
    /// The service is not called: it is asked what tells the request from others, and its answer is that text, or status 204.
    pub asks_hash: bool,
    /// Name of the channel; of the service when there is no channel.
    pub channel: &'a str,
    /// Name of the security definition that let the caller in; empty: the channel is open.
    pub security_name: &'a str,
    /// Its type: `basic_auth`, `apikey`.
    pub security_type: &'a str,
    /// User name of the definition, or whom the caller's token names.
    pub username: &'a str,
    /// What the caller's token says, a JSON object; empty: the caller has none that says anything.
    pub claims: &'a str,
    /// HTTP method; empty when the call did not come over HTTP.
    pub method: &'a str,
    /// Percent-decoded path.
    pub path: &'a str,
    /// Raw query string without its `?`.
    pub query: &'a str,
    /// `address:port` of the client.
    pub remote: &'a str,
    /// What the service is told that the request came by; empty: as it came.
    pub transport: &'a str,
    params: Pairs<'a>,
    headers: Pairs<'a>,
}

const MERGE_PARAMS: u8 = 1;
const PATH_OVER_QUERY: u8 = 2;
const BODY_OVER_PARAMS: u8 = 4;
const SOAP_11: u8 = 8;
const SOAP_12: u8 = 16;
/// Where the two bits of the job's type begin.
const JOB_TYPE: u8 = 5;
const ASKS_HASH: u8 = 128;
/// Beside the type of the channel.
const HELD_TO_ROLES: u8 = 128;

/// The head of a request, when it is not to be answered: its service is asked what tells it from others ([`Head::asks_hash`]).
pub fn asking_hash(head: &[u8]) -> Bytes {
    let mut asking = BytesMut::from(head);
    if let Some(flags) = asking.get_mut(2) {
        *flags |= ASKS_HASH;
    }
    asking.freeze()
}

/// The head of a request whose service is told that it came by this transport ([`Head::transport`]).
pub fn with_transport(head: &[u8], transport: &str) -> Bytes {
    let mut told = BytesMut::from(head);
    if !transport.is_empty() {
        put(&mut told, transport.as_bytes());
    }
    told.freeze()
}

impl<'a> Head<'a> {
    /// Unpacks a head. `None` if the bytes are not one: a defect of whoever packed it.
    pub fn unpack(packed: &'a [u8]) -> Option<Self> {
        let (&[channel_type, data_format, flags], mut rest) = packed.split_first_chunk::<3>()?;
        Some(Self {
            channel_type: Some(ChannelType::from_code(channel_type & !HELD_TO_ROLES)),
            is_held_to_roles: channel_type & HELD_TO_ROLES != 0,
            data_format: DataFormat::from_code(data_format),
            merge_params: flags & MERGE_PARAMS != 0,
            path_over_query: flags & PATH_OVER_QUERY != 0,
            body_over_params: flags & BODY_OVER_PARAMS != 0,
            soap: match flags & (SOAP_11 | SOAP_12) {
                0 => None,
                SOAP_11 => Some(SoapVersion::V11),
                _ => Some(SoapVersion::V12),
            },
            job_type: JobType::from_code(flags >> JOB_TYPE & 3),
            asks_hash: flags & ASKS_HASH != 0,
            channel: text(&mut rest)?,
            security_name: text(&mut rest)?,
            security_type: text(&mut rest)?,
            username: text(&mut rest)?,
            claims: text(&mut rest)?,
            method: text(&mut rest)?,
            path: text(&mut rest)?,
            query: text(&mut rest)?,
            remote: text(&mut rest)?,
            params: pairs(&mut rest)?,
            headers: pairs(&mut rest)?,
            // heads that were packed before there was one have none either
            transport: text(&mut rest).unwrap_or_default(),
        })
    }

    /// Path parameters: what stood in the place of `{name}` in the channel's path, percent-decoded.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.params
            .clone()
            .map(|(name, value)| (name, std::str::from_utf8(value).unwrap_or_default()))
    }

    /// Request headers in the order received, names in lower case, values as they are.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.clone()
    }
}

#[derive(Debug, Clone, Default)]
struct Pairs<'a> {
    left: u32,
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((text(&mut self.rest)?, bytes(&mut self.rest)?))
    }
}

fn pairs<'a>(rest: &mut &'a [u8]) -> Option<Pairs<'a>> {
    let (size, after) = rest.split_first_chunk::<4>()?;
    let (block, after) = after.split_at_checked(u32::from_le_bytes(*size) as usize)?;
    *rest = after;
    let (left, block) = block.split_first_chunk::<4>()?;
    Some(Pairs {
        left: u32::from_le_bytes(*left),
        rest: block,
    })
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(bytes)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(bytes(rest)?).ok()
}

/// Packs a [`Head`]. Its calls must come in the order of the fields.
///
/// What is the same for every request of a channel is packed once, with [`HeadBuilder::channel`]; a request goes on from there
/// with [`HeadBuilder::request`].
#[derive(Debug, Clone)]
pub struct HeadBuilder(BytesMut);

/// The part of a head that is the same for every request of a channel.
#[derive(Debug, Clone)]
pub struct ChannelHead(Bytes);

/// A channel's side of a head, see [`Head`] for what the fields mean.
#[derive(Debug, Clone, Default)]
pub struct ChannelFields<'a> {
    /// Where the call came from; `None` is an invocation.
    pub channel_type: Option<ChannelType>,
    /// See [`Head::data_format`].
    pub data_format: DataFormat,
    /// See [`Head::merge_params`].
    pub merge_params: bool,
    /// See [`Head::path_over_query`].
    pub path_over_query: bool,
    /// See [`Head::body_over_params`].
    pub body_over_params: bool,
    /// See [`Head::soap`].
    pub soap: Option<SoapVersion>,
    /// See [`Head::job_type`].
    pub job_type: Option<JobType>,
    /// See [`Head::is_held_to_roles`].
    pub is_held_to_roles: bool,
    /// See [`Head::channel`].
    pub channel: &'a str,
    /// See [`Head::security_name`].
    pub security_name: &'a str,
    /// See [`Head::security_type`].
    pub security_type: &'a str,
    /// See [`Head::username`].
    pub username: &'a str,
    /// See [`Head::claims`].
    pub claims: &'a str,
}

/// A request's side of a head, see [`Head`] for what the fields mean.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestFields<'a> {
    /// See [`Head::method`].
    pub method: &'a str,
    /// See [`Head::path`].
    pub path: &'a str,
    /// See [`Head::query`].
    pub query: &'a str,
    /// See [`Head::remote`].
    pub remote: &'a str,
}

impl ChannelHead {
    /// The same channel, but what let the caller in is only known with each request.
    #[must_use]
    pub fn with_identity(&self, identity: &Identity) -> Self {
        let mut rest = &self.0[3..];
        let channel = bytes(&mut rest).expect("a packed channel begins with its name");
        let mut packed = BytesMut::with_capacity(self.0.len() + 64 + identity.claims.len());
        packed.put_slice(&self.0[..3]);
        for value in [
            channel,
            identity.name.as_bytes(),
            identity.kind.as_bytes(),
            identity.username.as_bytes(),
            identity.claims.as_bytes(),
        ] {
            put(&mut packed, value);
        }
        Self(packed.freeze())
    }

    /// A head that was packed behind this one, behind another of the same channel.
    pub fn replace(&self, head: &[u8], other: &Self) -> Bytes {
        let rest = head.get(self.0.len()..).unwrap_or_default();
        let mut packed = BytesMut::with_capacity(other.0.len() + rest.len());
        packed.put_slice(&other.0);
        packed.put_slice(rest);
        packed.freeze()
    }
}

impl HeadBuilder {
    /// Packs what a channel knows before any request.
    pub fn channel(fields: &ChannelFields<'_>) -> ChannelHead {
        let mut packed = BytesMut::with_capacity(64);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let channel_type = fields.channel_type.unwrap_or(ChannelType::Invoke).code();
        packed.put_u8(channel_type | flag(fields.is_held_to_roles, HELD_TO_ROLES));
        packed.put_u8(fields.data_format.code());
        packed.put_u8(
            flag(fields.merge_params, MERGE_PARAMS)
                | flag(fields.path_over_query, PATH_OVER_QUERY)
                | flag(fields.body_over_params, BODY_OVER_PARAMS)
                | match fields.soap {
                    None => 0,
                    Some(SoapVersion::V11) => SOAP_11,
                    Some(SoapVersion::V12) => SOAP_12,
                }
                | fields.job_type.map_or(0, JobType::code) << JOB_TYPE,
        );
        for value in [
            fields.channel,
            fields.security_name,
            fields.security_type,
            fields.username,
            fields.claims,
        ] {
            put(&mut packed, value.as_bytes());
        }
        ChannelHead(packed.freeze())
    }

    /// Packs a request behind its channel's part.
    pub fn request(channel: &ChannelHead, fields: RequestFields<'_>) -> Self {
        let mut packed = BytesMut::with_capacity(channel.0.len() + 512);
        packed.put_slice(&channel.0);
        for value in [fields.method, fields.path, fields.query, fields.remote] {
            put(&mut packed, value.as_bytes());
        }
        Self(packed)
    }

    /// Adds the path parameters, then the headers (names in lower case), and finishes.
    pub fn finish<'a>(
        mut self,
        params: impl Iterator<Item = (&'a str, &'a str)>,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Bytes {
        put_pairs(&mut self.0, params.map(|(name, value)| (name, value.as_bytes())));
        put_pairs(&mut self.0, headers);
        self.0.freeze()
    }
}

fn put(packed: &mut BytesMut, value: &[u8]) {
    packed.put_u32_le(value.len() as u32);
    packed.put_slice(value);
}

fn put_pairs<'a>(packed: &mut BytesMut, pairs: impl Iterator<Item = (&'a str, &'a [u8])>) {
    let start = packed.len();
    packed.put_u64_le(0);
    let mut count = 0u32;
    for (name, value) in pairs {
        put(packed, name.as_bytes());
        put(packed, value);
        count += 1;
    }
    let size = (packed.len() - start - 4) as u32;
    packed[start..start + 4].copy_from_slice(&size.to_le_bytes());
    packed[start + 4..start + 8].copy_from_slice(&count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back() {
        let channel = HeadBuilder::channel(&ChannelFields {
            channel_type: Some(ChannelType::HttpSoap),
            data_format: DataFormat::Json,
            merge_params: true,
            soap: Some(SoapVersion::V12),
            job_type: Some(JobType::CronStyle),
            is_held_to_roles: true,
            channel: "tutorial",
            security_name: "shop",
            security_type: "basic_auth",
            username: "ann",
            ..ChannelFields::default()
        });
        let fields = RequestFields {
            method: "POST",
            path: "/a/7",
            query: "x=1",
            remote: "127.0.0.1:9",
        };
        let packed = HeadBuilder::request(&channel, fields).finish(
            [("id", "7")].into_iter(),
            [("accept", &b"*/*"[..]), ("x", &[0xff][..])].into_iter(),
        );
        let head = Head::unpack(&packed).unwrap();
        assert_eq!(head.channel_type, Some(ChannelType::HttpSoap));
        assert!(head.is_held_to_roles && !Head::unpack(&asking_hash(&[5; 100])).is_some_and(|it| it.is_held_to_roles));
        assert_eq!(head.data_format, DataFormat::Json);
        assert!(head.merge_params && !head.path_over_query && !head.body_over_params);
        assert_eq!(head.soap, Some(SoapVersion::V12));
        assert_eq!(head.job_type, Some(JobType::CronStyle));
        assert!(!head.asks_hash);
        assert_eq!(head.transport, "");
        let told = with_transport(&packed, "soap");
        let told = Head::unpack(&told).unwrap();
        assert_eq!((told.transport, told.remote), ("soap", head.remote));
        assert!(told.headers().eq(head.headers()));
        assert_eq!(with_transport(&packed, ""), packed);
        let asking = asking_hash(&packed);
        let asking = Head::unpack(&asking).unwrap();
        assert!(asking.asks_hash);
        assert_eq!((asking.job_type, asking.path), (head.job_type, head.path));
        assert_eq!(
            (head.channel, head.security_name, head.username),
            ("tutorial", "shop", "ann")
        );
        assert_eq!(
            (head.method, head.path, head.query, head.remote),
            ("POST", "/a/7", "x=1", "127.0.0.1:9")
        );
        assert_eq!(head.params().collect::<Vec<_>>(), [("id", "7")]);
        assert_eq!(
            head.headers().collect::<Vec<_>>(),
            [("accept", &b"*/*"[..]), ("x", &[0xff][..])]
        );
    }

    #[test]
    fn who_came_in_can_be_told_later() {
        let channel = HeadBuilder::channel(&ChannelFields {
            channel: "tutorial",
            security_name: "group",
            body_over_params: true,
            ..ChannelFields::default()
        });
        let fields = RequestFields {
            method: "PUT",
            ..RequestFields::default()
        };
        let packed = HeadBuilder::request(&channel, fields).finish([("id", "7")].into_iter(), [].into_iter());
        let identity = Identity {
            name: "shop".to_owned(),
            kind: "jwt".to_owned(),
            username: "ann".to_owned(),
            claims: r#"{"sub":"ann"}"#.to_owned(),
        };
        let packed = channel.replace(&packed, &channel.with_identity(&identity));
        let head = Head::unpack(&packed).unwrap();
        assert_eq!((head.channel, head.method), ("tutorial", "PUT"));
        assert_eq!(
            (head.security_name, head.security_type, head.username),
            ("shop", "jwt", "ann")
        );
        assert_eq!(head.claims, r#"{"sub":"ann"}"#);
        assert!(head.body_over_params && head.params().eq([("id", "7")]));
    }

    #[test]
    fn a_cut_head_is_refused() {
        let channel = HeadBuilder::channel(&ChannelFields::default());
        let packed = HeadBuilder::request(&channel, RequestFields::default()).finish([].into_iter(), [].into_iter());
        for length in 0..packed.len() {
            assert!(Head::unpack(&packed[..length]).is_none(), "{length}");
        }
    }
}
