//! Values of text, and bits of them.

use pyo3::prelude::*;
use pyo3::types::{PyDelta, PyDict, PyInt, PyString, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::call::{Call, Special, command, special, word};
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::{encode, encode_all, encode_mapping};

pub(super) static METHODS: &[Special] = &[
    special("set", |args, kwargs| {
        let names = [
            "name", "value", "ex", "px", "nx", "xx", "keepttl", "get", "exat", "pxat",
        ];
        let call = Call::bind("set", &names, args, kwargs)?;
        for name in ["ex", "px"] {
            if call.optional(name).is_some_and(|span| !is_span(span)) {
                return Err(call.wrong(&format!("{name} must be datetime.timedelta or int")));
            }
        }
        let mut words = vec![
            word("SET"),
            encode(call.required("name")?)?,
            encode(call.required("value")?)?,
        ];
        call.push_expiry(&mut words)?;
        call.push_flag(&mut words, "keepttl", "KEEPTTL")?;
        call.push_flag(&mut words, "nx", "NX")?;
        call.push_flag(&mut words, "xx", "XX")?;
        let is_get = call.flag("get")?;
        if is_get {
            words.push(word("GET"));
        }
        command(words, if is_get { Shape::Plain } else { Shape::Ok })
    }),
    special("getex", |args, kwargs| {
        let call = Call::bind("getex", &["name", "ex", "px", "exat", "pxat", "persist"], args, kwargs)?;
        let expiries = ["ex", "px", "exat", "pxat"];
        let given = expiries.iter().filter(|name| call.optional(name).is_some()).count();
        if given + usize::from(call.flag("persist")?) > 1 {
            let message = "``ex``, ``px``, ``exat``, ``pxat``, and ``persist`` are mutually exclusive.";
            return Err(call.wrong(message));
        }
        let mut words = vec![word("GETEX"), encode(call.required("name")?)?];
        call.push_expiry(&mut words)?;
        call.push_flag(&mut words, "persist", "PERSIST")?;
        command(words, Shape::Plain)
    }),
    special("mget", |args, kwargs| {
        let call = Call::bind("mget", &["keys"], &args.get_slice(0, 1), kwargs)?;
        let mut words = vec![word("MGET")];
        encode_all(call.required("keys")?, &mut words)?;
        for key in args.iter().skip(1) {
            words.push(encode(&key)?);
        }
        // Redis says no to an `MGET` of nothing; whoever collects keys need not look first whether there are any
        let shape = if words.len() == 1 { Shape::Nothing } else { Shape::Plain };
        command(words, shape)
    }),
    special("mset", |args, kwargs| mset("MSET", Shape::Ok, args, kwargs)),
    special("msetnx", |args, kwargs| mset("MSETNX", Shape::Bool, args, kwargs)),
    special("bitcount", |args, kwargs| {
        let call = Call::bind("bitcount", &["key", "start", "end", "mode"], args, kwargs)?;
        let mut words = vec![word("BITCOUNT"), encode(call.required("key")?)?];
        match (call.optional("start"), call.optional("end")) {
            (Some(start), Some(end)) => words.extend([encode(start)?, encode(end)?]),
            (None, None) => {}
            _ => return Err(call.wrong("Both start and end must be specified")),
        }
        if let Some(mode) = call.optional("mode") {
            words.push(encode(mode)?);
        }
        command(words, Shape::Plain)
    }),
    special("bitpos", |args, kwargs| {
        let call = Call::bind("bitpos", &["key", "bit", "start", "end", "mode"], args, kwargs)?;
        let bit = call.required("bit")?;
        if !(bit.eq(0)? || bit.eq(1)?) {
            return Err(call.wrong("bit must be 0 or 1"));
        }
        let mut words = vec![word("BITPOS"), encode(call.required("key")?)?, encode(bit)?];
        if let Some(start) = call.optional("start") {
            words.push(encode(start)?);
        }
        if let Some(end) = call.optional("end") {
            if words.len() == 3 {
                return Err(call.wrong("start argument is not set, when end is specified"));
            }
            words.push(encode(end)?);
        }
        if let Some(mode) = call.optional("mode") {
            words.push(encode(mode)?);
        }
        command(words, Shape::Plain)
    }),
];

/// Whether it is a time span as `set` takes it: `timedelta`, a whole number or the digits of one.
fn is_span(value: &Bound<'_, PyAny>) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    value.is_instance_of::<PyDelta>()
        || value.is_instance_of::<PyInt>()
        || value
            .cast::<PyString>()
            .is_ok_and(|text| text.to_str().is_ok_and(is_digits))
}

fn mset(
    name: &'static str,
    shape: Shape,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Command> {
    // older services give the pairs as keyword arguments
    let mut words = vec![word(name)];
    for mapping in args {
        encode_mapping(&mapping, &mut words)?;
    }
    if let Some(kwargs) = kwargs {
        match kwargs.get_item("mapping")? {
            Some(mapping) if kwargs.len() == 1 && mapping.is_instance_of::<PyDict>() => {
                encode_mapping(&mapping, &mut words)?
            }
            _ => encode_mapping(kwargs.as_any(), &mut words)?,
        }
    }
    command(words, shape)
}
