//! Streams: logs of entries that groups of consumers read and acknowledge.

use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::faces::redis::Command;
use crate::faces::redis::call::{Call, Special, command, special, word};
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::{encode, encode_all, encode_mapping};

/// What the replies of these commands become, where they are written out by hand.
pub(super) static SHAPES: &[(&str, Shape)] = &[
    ("XRANGE", Shape::Entries),
    ("XREVRANGE", Shape::Entries),
    ("XCLAIM", Shape::Entries),
    ("XREAD", Shape::Streams),
    ("XREADGROUP", Shape::Streams),
    ("XAUTOCLAIM", Shape::Claimed),
    ("XINFO STREAM", Shape::StreamInfo),
    ("XGROUP CREATE", Shape::Ok),
];

pub(super) static METHODS: &[Special] = &[
    special("xadd", |args, kwargs| {
        let names = [
            "name",
            "fields",
            "id",
            "maxlen",
            "approximate",
            "nomkstream",
            "minid",
            "limit",
        ];
        let call = Call::bind("xadd", &names, args, kwargs)?;
        let mut words = vec![word("XADD"), encode(call.required("name")?)?];
        call.push_flag(&mut words, "nomkstream", "NOMKSTREAM")?;
        push_trim(&call, &mut words)?;
        words.push(call.optional("id").map_or_else(|| Ok(word("*")), encode)?);
        let before = words.len();
        encode_mapping(call.required("fields")?, &mut words)?;
        if words.len() == before {
            return Err(call.wrong("XADD fields must be a non-empty dict"));
        }
        command(words, Shape::Plain)
    }),
    special("xtrim", |args, kwargs| {
        let call = Call::bind(
            "xtrim",
            &["name", "maxlen", "approximate", "minid", "limit"],
            args,
            kwargs,
        )?;
        let mut words = vec![word("XTRIM"), encode(call.required("name")?)?];
        push_trim(&call, &mut words)?;
        if words.len() == 2 {
            return Err(call.wrong("One of ``maxlen`` or ``minid`` must be specified"));
        }
        command(words, Shape::Plain)
    }),
    special("xread", |args, kwargs| {
        let call = Call::bind("xread", &["streams", "count", "block"], args, kwargs)?;
        read(&call, vec![word("XREAD")])
    }),
    special("xreadgroup", |args, kwargs| {
        let names = ["groupname", "consumername", "streams", "count", "block", "noack"];
        let call = Call::bind("xreadgroup", &names, args, kwargs)?;
        let words = vec![
            word("XREADGROUP"),
            word("GROUP"),
            encode(call.required("groupname")?)?,
            encode(call.required("consumername")?)?,
        ];
        read(&call, words)
    }),
    special("xpending_range", |args, kwargs| {
        let names = ["name", "groupname", "min", "max", "count", "consumername", "idle"];
        let call = Call::bind("xpending_range", &names, args, kwargs)?;
        let mut words = vec![
            word("XPENDING"),
            encode(call.required("name")?)?,
            encode(call.required("groupname")?)?,
        ];
        call.push_option(&mut words, "idle", "IDLE")?;
        for name in ["min", "max", "count"] {
            words.push(encode(call.required(name)?)?);
        }
        if let Some(consumer) = call.optional("consumername") {
            words.push(encode(consumer)?);
        }
        command(
            words,
            Shape::Records(&["message_id", "consumer", "time_since_delivered", "times_delivered"]),
        )
    }),
    special("xclaim", |args, kwargs| {
        let names = [
            "name",
            "groupname",
            "consumername",
            "min_idle_time",
            "message_ids",
            "idle",
            "time",
            "retrycount",
            "force",
            "justid",
        ];
        let call = Call::bind("xclaim", &names, args, kwargs)?;
        let mut words = vec![word("XCLAIM")];
        for name in ["name", "groupname", "consumername", "min_idle_time"] {
            words.push(encode(call.required(name)?)?);
        }
        let before = words.len();
        encode_all(call.required("message_ids")?, &mut words)?;
        if words.len() == before {
            return Err(call.wrong("XCLAIM message_ids must be a non empty list or tuple of message IDs to claim"));
        }
        call.push_option(&mut words, "idle", "IDLE")?;
        call.push_option(&mut words, "time", "TIME")?;
        call.push_option(&mut words, "retrycount", "RETRYCOUNT")?;
        call.push_flag(&mut words, "force", "FORCE")?;
        call.push_flag(&mut words, "justid", "JUSTID")?;
        let shape = if call.flag("justid")? {
            Shape::Plain
        } else {
            Shape::Entries
        };
        command(words, shape)
    }),
    special("xautoclaim", |args, kwargs| {
        let names = [
            "name",
            "groupname",
            "consumername",
            "min_idle_time",
            "start_id",
            "count",
            "justid",
        ];
        let call = Call::bind("xautoclaim", &names, args, kwargs)?;
        let mut words = vec![word("XAUTOCLAIM")];
        for name in ["name", "groupname", "consumername", "min_idle_time"] {
            words.push(encode(call.required(name)?)?);
        }
        words.push(call.optional("start_id").map_or_else(|| Ok(word("0-0")), encode)?);
        call.push_option(&mut words, "count", "COUNT")?;
        call.push_flag(&mut words, "justid", "JUSTID")?;
        let shape = if call.flag("justid")? {
            Shape::ClaimedIds
        } else {
            Shape::Claimed
        };
        command(words, shape)
    }),
];

/// `MAXLEN` or `MINID`, with what belongs to it.
fn push_trim(call: &Call<'_>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    let (threshold, name) = match (call.optional("maxlen"), call.optional("minid")) {
        (Some(_), Some(_)) => return Err(call.wrong("Only one of ``maxlen`` or ``minid`` may be specified")),
        (Some(maxlen), None) => (maxlen, "MAXLEN"),
        (None, Some(minid)) => (minid, "MINID"),
        (None, None) => return Ok(()),
    };
    words.push(word(name));
    // trimming about so much is what redis-py does unless told otherwise
    if call
        .optional("approximate")
        .map_or(Ok(true), |approximate| approximate.is_truthy())?
    {
        words.push(word("~"));
    }
    words.push(encode(threshold)?);
    call.push_option(words, "limit", "LIMIT")
}

/// The part that reading alone and in a group have in common.
fn read(call: &Call<'_>, mut words: Vec<Vec<u8>>) -> PyResult<Command> {
    let name = if words.len() == 1 { "XREAD" } else { "XREADGROUP" };
    let is_less = |option: &str, least: i64| {
        let value = call.optional(option);
        value.is_some_and(|value| !(value.is_instance_of::<PyInt>() && value.ge(least).unwrap_or(false)))
    };
    if is_less("block", 0) {
        return Err(call.wrong(&format!("{name} block must be a non-negative integer")));
    }
    if is_less("count", 1) {
        return Err(call.wrong(&format!("{name} count must be a positive integer")));
    }
    call.push_option(&mut words, "count", "COUNT")?;
    call.push_option(&mut words, "block", "BLOCK")?;
    call.push_flag(&mut words, "noack", "NOACK")?;
    words.push(word("STREAMS"));
    let mut pairs = Vec::new();
    encode_mapping(call.required("streams")?, &mut pairs)?;
    if pairs.is_empty() {
        return Err(call.wrong(&format!("{name} streams must be a non empty dict")));
    }
    words.extend(pairs.iter().step_by(2).cloned());
    words.extend(pairs.into_iter().skip(1).step_by(2));
    command(words, Shape::Streams)
}
