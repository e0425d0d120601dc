//! Commands about Redis itself, its clients, users, functions and fields that expire.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::call::{Call, Special, command, special, word};
use crate::faces::redis::shape::Shape;
use crate::faces::redis::table::shape_of;
use crate::faces::redis::values::{encode, encode_span, encode_time};

pub(super) static METHODS: &[Special] = &[
    special("acl_genpass", |args, kwargs| {
        let call = Call::bind("acl_genpass", &["bits"], args, kwargs)?;
        let mut words = vec![word("ACL"), word("GENPASS")];
        if let Some(bits) = call.optional("bits") {
            let is_right = bits.extract::<u32>().is_ok_and(|bits| bits <= 4096);
            if !is_right {
                return Err(call.wrong("genpass optionally accepts a bits argument, between 0 and 4096."));
            }
            words.push(encode(bits)?);
        }
        command(words, Shape::Text)
    }),
    special("acl_setuser", acl_setuser),
    special("bgsave", |args, kwargs| {
        let call = Call::bind("bgsave", &["schedule"], args, kwargs)?;
        let mut words = vec![word("BGSAVE")];
        if is_on(&call, "schedule")? {
            words.push(word("SCHEDULE"));
        }
        command(words, Shape::Done)
    }),
    special("bitfield_ro", |args, kwargs| {
        let call = Call::bind("bitfield_ro", &["key", "encoding", "offset", "items"], args, kwargs)?;
        let mut words = vec![word("BITFIELD_RO")];
        words.push(encode(call.required("key")?)?);
        words.push(word("GET"));
        words.push(encode(call.required("encoding")?)?);
        words.push(encode(call.required("offset")?)?);
        if let Some(items) = call.optional("items") {
            for pair in items.try_iter()? {
                let (encoding, offset): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
                words.extend([word("GET"), encode(&encoding)?, encode(&offset)?]);
            }
        }
        command(words, Shape::Plain)
    }),
    special("client_kill_filter", |args, kwargs| {
        let names = ["_id", "_type", "addr", "skipme", "laddr", "user", "maxage"];
        let call = Call::bind("client_kill_filter", &names, args, kwargs)?;
        let mut words = vec![word("CLIENT"), word("KILL")];
        push_type(
            &call,
            &mut words,
            "CLIENT KILL type",
            &["normal", "master", "slave", "pubsub"],
        )?;
        if let Some(skip) = call.optional("skipme") {
            if !skip.is_instance_of::<PyBool>() {
                return Err(call.wrong("CLIENT KILL skipme must be a bool"));
            }
            words.extend([word("SKIPME"), word(if skip.is_truthy()? { "YES" } else { "NO" })]);
        }
        for (name, option) in [
            ("_id", "ID"),
            ("addr", "ADDR"),
            ("laddr", "LADDR"),
            ("user", "USER"),
            ("maxage", "MAXAGE"),
        ] {
            call.push_option(&mut words, name, option)?;
        }
        if words.len() == 2 {
            let message = "CLIENT KILL <filter> <value> ... ... <filter> <value> must specify at least one filter";
            return Err(call.wrong(message));
        }
        command(words, Shape::Plain)
    }),
    special("client_list", |args, kwargs| {
        let call = Call::bind("client_list", &["_type", "client_id"], args, kwargs)?;
        let mut words = vec![word("CLIENT"), word("LIST")];
        push_type(
            &call,
            &mut words,
            "CLIENT LIST _type",
            &["normal", "master", "replica", "pubsub"],
        )?;
        let ids = call.listed("client_id")?;
        if !ids.is_empty() {
            words.push(word("ID"));
            words.extend(ids);
        }
        command(words, Shape::Python("client_list"))
    }),
    special("client_pause", |args, kwargs| {
        let call = Call::bind("client_pause", &["timeout", "all"], args, kwargs)?;
        let timeout = call.required("timeout")?;
        if timeout.extract::<u64>().is_err() {
            return Err(call.wrong("CLIENT PAUSE timeout must be an integer"));
        }
        let mut words = vec![word("CLIENT"), word("PAUSE"), encode(timeout)?];
        if !is_on(&call, "all")? {
            words.push(word("WRITE"));
        }
        command(words, Shape::Ok)
    }),
    special("cluster", |args, _kwargs| {
        let mut words = vec![word("CLUSTER")];
        for value in args {
            words.push(encode(&value)?);
        }
        let Some(name) = words.get_mut(1) else {
            return Err(PyTypeError::new_err("cluster() needs the argument `cluster_arg`"));
        };
        name.make_ascii_uppercase();
        let shape = shape_of(&format!("CLUSTER {}", String::from_utf8_lossy(name)));
        command(words, shape)
    }),
    special("command_list", |args, kwargs| {
        let call = Call::bind("command_list", &["module", "category", "pattern"], args, kwargs)?;
        let mut words = vec![word("COMMAND"), word("LIST")];
        for (name, option) in [("module", "MODULE"), ("category", "ACLCAT"), ("pattern", "PATTERN")] {
            if call.optional(name).is_some() && words.len() == 2 {
                words.push(word("FILTERBY"));
            }
            call.push_option(&mut words, name, option)?;
        }
        command(words, Shape::Plain)
    }),
    special("function_list", |args, kwargs| {
        let call = Call::bind("function_list", &["library", "withcode"], args, kwargs)?;
        let mut words = vec![word("FUNCTION"), word("LIST"), word("LIBRARYNAME")];
        words.push(call.optional("library").map_or_else(|| Ok(word("*")), encode)?);
        call.push_flag(&mut words, "withcode", "WITHCODE")?;
        command(words, Shape::Plain)
    }),
    special("function_load", |args, kwargs| {
        let call = Call::bind("function_load", &["code", "replace"], args, kwargs)?;
        let mut words = vec![word("FUNCTION"), word("LOAD")];
        call.push_flag(&mut words, "replace", "REPLACE")?;
        words.push(encode(call.required("code")?)?);
        command(words, Shape::Plain)
    }),
    special("hexpire", |args, kwargs| {
        field_expiry("HEXPIRE", "seconds", args, kwargs)
    }),
    special("hpexpire", |args, kwargs| {
        field_expiry("HPEXPIRE", "milliseconds", args, kwargs)
    }),
    special("hexpireat", |args, kwargs| {
        field_expiry("HEXPIREAT", "unix_time_seconds", args, kwargs)
    }),
    special("hpexpireat", |args, kwargs| {
        field_expiry("HPEXPIREAT", "unix_time_milliseconds", args, kwargs)
    }),
    special("lolwut", |args, _kwargs| {
        let mut words = vec![word("LOLWUT")];
        if !args.is_empty() {
            words.push(word("VERSION"));
        }
        for value in args {
            words.push(encode(&value)?);
        }
        command(words, Shape::Plain)
    }),
    special("migrate", |args, kwargs| {
        let names = [
            "host",
            "port",
            "keys",
            "destination_db",
            "timeout",
            "copy",
            "replace",
            "auth",
        ];
        let call = Call::bind("migrate", &names, args, kwargs)?;
        let keys = call.listed("keys")?;
        if keys.is_empty() {
            return Err(call.wrong("MIGRATE requires at least one key"));
        }
        let mut words = vec![word("MIGRATE")];
        words.push(encode(call.required("host")?)?);
        words.push(encode(call.required("port")?)?);
        words.push(Vec::new());
        words.push(encode(call.required("destination_db")?)?);
        words.push(encode(call.required("timeout")?)?);
        call.push_flag(&mut words, "copy", "COPY")?;
        call.push_flag(&mut words, "replace", "REPLACE")?;
        call.push_option(&mut words, "auth", "AUTH")?;
        words.push(word("KEYS"));
        words.extend(keys);
        command(words, Shape::Plain)
    }),
    special("module_loadex", |args, kwargs| {
        let call = Call::bind("module_loadex", &["path", "options", "args"], args, kwargs)?;
        let mut words = vec![word("MODULE"), word("LOADEX"), encode(call.required("path")?)?];
        for (name, option) in [("options", "CONFIG"), ("args", "ARGS")] {
            if call.optional(name).is_some() {
                words.push(word(option));
                words.extend(call.listed(name)?);
            }
        }
        command(words, Shape::Plain)
    }),
    special("slaveof", |args, kwargs| {
        let call = Call::bind("slaveof", &["host", "port"], args, kwargs)?;
        let mut words = vec![word("SLAVEOF")];
        match (call.optional("host"), call.optional("port")) {
            (Some(host), Some(port)) => words.extend([encode(host)?, encode(port)?]),
            _ => words.extend([word("NO"), word("ONE")]),
        }
        command(words, Shape::Ok)
    }),
];

/// A flag that is on unless it is said to be off.
fn is_on(call: &Call<'_>, name: &str) -> PyResult<bool> {
    call.optional(name).map_or(Ok(true), |value| value.is_truthy())
}

fn push_type(call: &Call<'_>, words: &mut Vec<Vec<u8>>, what: &str, known: &[&str]) -> PyResult<()> {
    let Some(kind) = call.optional("_type") else {
        return Ok(());
    };
    let kind = encode(kind)?;
    if !known.iter().any(|name| kind.eq_ignore_ascii_case(name.as_bytes())) {
        return Err(call.wrong(&format!("{what} must be one of {}", known.join(", "))));
    }
    words.extend([word("TYPE"), kind]);
    Ok(())
}

/// Fields of a hash that expire: they are the further positional arguments.
fn field_expiry(
    name: &'static str,
    time: &'static str,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Command> {
    let first = args.get_slice(0, 2);
    let call = Call::bind(name, &["name", time, "nx", "xx", "gt", "lt"], &first, kwargs)?;
    let (is_millis, is_point) = (name.starts_with("HP"), name.ends_with("AT"));
    let mut words = vec![word(name), encode(call.required("name")?)?];
    let time = call.required(time)?;
    words.push(if is_point {
        encode_time(time, is_millis)?
    } else {
        encode_span(time, is_millis)?
    });
    let before = words.len();
    for (flag, option) in [("nx", "NX"), ("xx", "XX"), ("gt", "GT"), ("lt", "LT")] {
        call.push_flag(&mut words, flag, option)?;
    }
    if words.len() > before + 1 {
        return Err(PyValueError::new_err(
            "Only one of 'nx', 'xx', 'gt', 'lt' can be specified.",
        ));
    }
    let fields = args.get_slice(2, args.len());
    words.extend([word("FIELDS"), word(&fields.len().to_string())]);
    for field in fields {
        words.push(encode(&field)?);
    }
    command(words, Shape::Plain)
}

fn acl_setuser(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Command> {
    let names = [
        "username",
        "enabled",
        "nopass",
        "passwords",
        "hashed_passwords",
        "categories",
        "commands",
        "keys",
        "channels",
        "selectors",
        "reset",
        "reset_keys",
        "reset_channels",
        "reset_passwords",
    ];
    let call = Call::bind("acl_setuser", &names, args, kwargs)?;
    let mut words = vec![word("ACL"), word("SETUSER"), encode(call.required("username")?)?];
    for (name, rule) in [
        ("reset", "reset"),
        ("reset_keys", "resetkeys"),
        ("reset_channels", "resetchannels"),
        ("reset_passwords", "resetpass"),
    ] {
        call.push_flag(&mut words, name, rule)?;
    }
    words.push(word(if call.flag("enabled")? { "on" } else { "off" }));
    let (passwords, hashed) = (call.listed("passwords")?, call.listed("hashed_passwords")?);
    let has_none = call.flag("nopass")?;
    if has_none && !(passwords.is_empty() && hashed.is_empty()) {
        return Err(call.wrong("Cannot set 'nopass' and supply 'passwords' or 'hashed_passwords'"));
    }
    for (given, [add, remove], what) in [
        (passwords, [b'>', b'<'], "Password"),
        (hashed, [b'#', b'!'], "Hashed password"),
    ] {
        for (index, mut password) in given.into_iter().enumerate() {
            match password.first_mut() {
                Some(first @ b'+') => *first = add,
                Some(first @ b'-') => *first = remove,
                _ => {
                    let message = format!("{what} {index} must be prefixed with a \"+\" to add or a \"-\" to remove");
                    return Err(call.wrong(&message));
                }
            }
            words.push(password);
        }
    }
    if has_none {
        words.push(word("nopass"));
    }
    for mut category in call.listed("categories")? {
        check_sign(&call, "Category", &category)?;
        if category.get(1) != Some(&b'@') {
            category.insert(1, b'@');
        }
        words.push(category);
    }
    for name in call.listed("commands")? {
        check_sign(&call, "Command", &name)?;
        words.push(name);
    }
    words.extend(call.listed("keys")?.into_iter().map(key_pattern));
    for mut channel in call.listed("channels")? {
        channel.insert(0, b'&');
        words.push(channel);
    }
    if let Some(selectors) = call.optional("selectors") {
        for pair in selectors.try_iter()? {
            let (name, key): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair?.extract()?;
            let name = encode(&name)?;
            check_sign(&call, "Command", &name)?;
            words.push([b"(", &name[..], b" ", &key_pattern(encode(&key)?), b")"].concat());
        }
    }
    command(words, Shape::Ok)
}

fn check_sign(call: &Call<'_>, what: &str, rule: &[u8]) -> PyResult<()> {
    if matches!(rule.first(), Some(b'+' | b'-')) {
        return Ok(());
    }
    let rule = String::from_utf8_lossy(rule);
    Err(call.wrong(&format!("{what} \"{rule}\" must be prefixed with \"+\" or \"-\"")))
}

fn key_pattern(mut pattern: Vec<u8>) -> Vec<u8> {
    if !matches!(pattern.first(), Some(b'%' | b'~')) {
        pattern.insert(0, b'~');
    }
    pattern
}
