//! A message as a stream holds it: fields and values.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use busbar_model::Cid;
use busbar_runtime::queue::Message;
use bytes::Bytes;
use redis::{Cmd, Value};

/// What a message cannot do without, and what each field is called.
const CID: &str = "cid";
const SERVICE: &str = "service";
const HEAD: &str = "head";
const BODY: &str = "body";
const EXPIRES: &str = "expires";

/// Fields and values of one entry.
pub(super) struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(field, _)| field == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    pub(super) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.get(name).unwrap_or_default()).into_owned()
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// The message. `None`: something else wrote this.
    pub(super) fn message(&self) -> Option<Message> {
        let expires = self.number(EXPIRES);
        Some(Message {
            cid: Cid::from_bytes(self.get(CID)?)?,
            service: std::str::from_utf8(self.get(SERVICE)?).ok()?.to_owned(),
            head: Bytes::copy_from_slice(self.get(HEAD)?),
            body: Bytes::copy_from_slice(self.get(BODY)?),
            expires: (expires > 0).then(|| UNIX_EPOCH + Duration::from_millis(expires)),
        })
    }

    /// Appends all of them to a command, as they are.
    pub(super) fn append(&self, command: &mut Cmd, but: &[&str]) {
        for (field, value) in &self.0 {
            if !but.iter().any(|name| name.as_bytes() == field) {
                command.arg(field).arg(value);
            }
        }
    }
}

/// Appends the fields of a message to a command.
pub(super) fn arguments(message: &Message, command: &mut Cmd) {
    command.arg(CID).arg(&message.cid.as_bytes()[..]);
    command.arg(SERVICE).arg(&message.service);
    command.arg(HEAD).arg(&message.head[..]);
    command.arg(BODY).arg(&message.body[..]);
    if let Some(expires) = message.expires {
        command.arg(EXPIRES).arg(milliseconds(expires));
    }
}

/// Since 1970.
pub(super) fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The entries that `XRANGE`, `XCLAIM` and parts of other answers hold: ids, and fields unless the entry is gone.
pub(super) fn entries(value: Value) -> Vec<(String, Option<Fields>)> {
    let Value::Array(entries) = value else {
        return Vec::new();
    };
    let entry = |value| {
        let Value::Array(parts) = value else { return None };
        let mut parts = parts.into_iter();
        let id = String::from_utf8(bytes(parts.next()?)?).ok()?;
        let fields = match parts.next() {
            Some(Value::Array(values)) => {
                let mut values = values.into_iter();
                let mut fields = Vec::new();
                while let (Some(field), Some(value)) = (values.next(), values.next()) {
                    fields.push((bytes(field)?, bytes(value)?));
                }
                Some(Fields(fields))
            }
            _ => None,
        };
        Some((id, fields))
    };
    entries.into_iter().filter_map(entry).collect()
}

/// The entries that `XREADGROUP` of one stream holds.
pub(super) fn of_one_stream(value: Value) -> Vec<(String, Option<Fields>)> {
    let mut streams = match value {
        Value::Array(streams) => streams,
        _ => return Vec::new(),
    };
    match streams.pop() {
        Some(Value::Array(mut parts)) => parts.pop().map(entries).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}
