//! Commands whose arguments need thought: options, mappings, other orders in Python than on the line.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyString, PyTuple};

use crate::faces::redis::Command;
use crate::faces::redis::call::{Call, Special, command, special, word};
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::{encode, encode_all, encode_mapping};

/// What the replies of these commands become, where they are written out by hand.
pub(super) static SHAPES: &[(&str, Shape)] = &[
    ("ACL SETUSER", Shape::Ok),
    ("BGSAVE", Shape::Done),
    ("CLIENT PAUSE", Shape::Ok),
    ("COPY", Shape::Bool),
    ("SET", Shape::Ok),
    ("SLAVEOF", Shape::Ok),
    ("MSET", Shape::Ok),
    ("HMSET", Shape::Ok),
    ("MSETNX", Shape::Bool),
    ("SCAN", Shape::Scan),
    ("SSCAN", Shape::Scan),
    ("HSCAN", Shape::ScanDict),
    ("ZSCAN", Shape::ScanScored),
    ("BLPOP", Shape::Tuple),
    ("BRPOP", Shape::Tuple),
    ("BZPOPMIN", Shape::PoppedScore),
    ("BZPOPMAX", Shape::PoppedScore),
    ("CLIENT LIST", Shape::Python("client_list")),
    ("CLUSTER ADDSLOTS", Shape::Ok),
    ("CLUSTER ADDSLOTSRANGE", Shape::Ok),
    ("CLUSTER DELSLOTS", Shape::Ok),
    ("CLUSTER DELSLOTSRANGE", Shape::Ok),
    ("CLUSTER FAILOVER", Shape::Ok),
    ("CLUSTER FORGET", Shape::Ok),
    ("CLUSTER GETKEYSINSLOT", Shape::Text),
    ("CLUSTER INFO", Shape::Python("cluster_info")),
    ("CLUSTER MEET", Shape::Ok),
    ("CLUSTER NODES", Shape::Python("cluster_nodes")),
    ("CLUSTER REPLICAS", Shape::Python("cluster_nodes")),
    ("CLUSTER REPLICATE", Shape::Ok),
    ("CLUSTER RESET", Shape::Ok),
    ("CLUSTER SAVECONFIG", Shape::Ok),
    ("CLUSTER SET-CONFIG-EPOCH", Shape::Ok),
    ("CLUSTER SETSLOT", Shape::Ok),
    ("CLUSTER SLAVES", Shape::Python("cluster_nodes")),
];

pub(super) static SPECIAL: &[Special] = &[
    special("copy", |args, kwargs| {
        let call = Call::bind(
            "copy",
            &["source", "destination", "destination_db", "replace"],
            args,
            kwargs,
        )?;
        let mut words = vec![
            word("COPY"),
            encode(call.required("source")?)?,
            encode(call.required("destination")?)?,
        ];
        call.push_option(&mut words, "destination_db", "DB")?;
        call.push_flag(&mut words, "replace", "REPLACE")?;
        command(words, Shape::Bool)
    }),
    special("hset", |args, kwargs| {
        let call = Call::bind("hset", &["name", "key", "value", "mapping", "items"], args, kwargs)?;
        let mut words = vec![word("HSET"), encode(call.required("name")?)?];
        if let Some(items) = call.optional("items") {
            encode_all(items, &mut words)?;
        }
        if let Some(key) = call.optional("key") {
            words.push(encode(key)?);
            // without a value the error is that `None` is none
            let none = call.py().None().into_bound(call.py());
            words.push(encode(call.optional("value").unwrap_or(&none))?);
        }
        if let Some(mapping) = call.optional("mapping") {
            encode_mapping(mapping, &mut words)?;
        }
        if words.len() == 2 {
            return Err(call.wrong("'hset' with no key value pairs"));
        }
        command(words, Shape::Plain)
    }),
    special("hmset", |args, kwargs| {
        let call = Call::bind("hmset", &["name", "mapping"], args, kwargs)?;
        let mut words = vec![word("HMSET"), encode(call.required("name")?)?];
        encode_mapping(call.required("mapping")?, &mut words)?;
        if words.len() == 2 {
            return Err(call.wrong("'hmset' with 'mapping' of length 0"));
        }
        command(words, Shape::Ok)
    }),
    special("blpop", |args, kwargs| {
        blocking_pop("BLPOP", Shape::Tuple, args, kwargs)
    }),
    special("brpop", |args, kwargs| {
        blocking_pop("BRPOP", Shape::Tuple, args, kwargs)
    }),
    special("bzpopmin", |args, kwargs| {
        blocking_pop("BZPOPMIN", Shape::PoppedScore, args, kwargs)
    }),
    special("bzpopmax", |args, kwargs| {
        blocking_pop("BZPOPMAX", Shape::PoppedScore, args, kwargs)
    }),
    special("blmove", |args, kwargs| {
        let call = Call::bind(
            "blmove",
            &["first_list", "second_list", "timeout", "src", "dest"],
            args,
            kwargs,
        )?;
        let side = |name, default| call.optional(name).map_or_else(|| Ok(word(default)), encode);
        let words = vec![
            word("BLMOVE"),
            encode(call.required("first_list")?)?,
            encode(call.required("second_list")?)?,
            side("src", "LEFT")?,
            side("dest", "RIGHT")?,
            encode(call.required("timeout")?)?,
        ];
        command(words, Shape::Plain)
    }),
    special("sort", |args, kwargs| {
        let names = ["name", "start", "num", "by", "get", "desc", "alpha", "store", "groups"];
        let call = Call::bind("sort", &names, args, kwargs)?;
        let mut words = vec![word("SORT"), encode(call.required("name")?)?];
        push_sorting(&call, &mut words)?;
        call.push_option(&mut words, "store", "STORE")?;
        let groups = if call.flag("groups")? { patterns_in(&call)? } else { 0 };
        command(words, Shape::Groups(groups))
    }),
    special("sort_ro", |args, kwargs| {
        let names = ["key", "start", "num", "by", "get", "desc", "alpha"];
        let call = Call::bind("sort_ro", &names, args, kwargs)?;
        let mut words = vec![word("SORT_RO"), encode(call.required("key")?)?];
        push_sorting(&call, &mut words)?;
        command(words, Shape::Plain)
    }),
    special("zadd", |args, kwargs| {
        let call = Call::bind(
            "zadd",
            &["name", "mapping", "nx", "xx", "ch", "incr", "gt", "lt"],
            args,
            kwargs,
        )?;
        let mut words = vec![word("ZADD"), encode(call.required("name")?)?];
        let mut pairs = Vec::new();
        encode_mapping(call.required("mapping")?, &mut pairs)?;
        let (is_new, is_greater, is_less) = (call.flag("nx")?, call.flag("gt")?, call.flag("lt")?);
        let wrong = if pairs.is_empty() {
            Some("ZADD requires at least one element/score pair")
        } else if is_new && call.flag("xx")? {
            Some("ZADD allows either 'nx' or 'xx', not both")
        } else if is_greater && is_less {
            Some("ZADD allows either 'gt' or 'lt', not both")
        } else if pairs.len() != 2 && call.flag("incr")? {
            Some("ZADD option 'incr' only works when passing a single element/score pair")
        } else if is_new && (is_greater || is_less) {
            Some("Only one of 'nx', 'lt', or 'gr' may be defined.")
        } else {
            None
        };
        if let Some(message) = wrong {
            return Err(call.wrong(message));
        }
        for (name, flag) in [
            ("nx", "NX"),
            ("xx", "XX"),
            ("gt", "GT"),
            ("lt", "LT"),
            ("ch", "CH"),
            ("incr", "INCR"),
        ] {
            call.push_flag(&mut words, name, flag)?;
        }
        for pair in pairs.chunks_exact(2) {
            // members come first in Python, scores on the line
            words.push(pair[1].clone());
            words.push(pair[0].clone());
        }
        command(words, if call.flag("incr")? { Shape::Float } else { Shape::Plain })
    }),
    special("zrange", |args, kwargs| {
        let names = [
            "name",
            "start",
            "end",
            "desc",
            "withscores",
            "score_cast_func",
            "byscore",
            "bylex",
            "offset",
            "num",
        ];
        let call = Call::bind("zrange", &names, args, kwargs)?;
        let mut words = vec![
            word("ZRANGE"),
            encode(call.required("name")?)?,
            encode(call.required("start")?)?,
            encode(call.required("end")?)?,
        ];
        push_range_options(&call, &mut words)?;
        with_scores(&call, words)
    }),
    special("zrevrange", |args, kwargs| {
        let call = Call::bind(
            "zrevrange",
            &["name", "start", "end", "withscores", "score_cast_func"],
            args,
            kwargs,
        )?;
        let words = vec![
            word("ZREVRANGE"),
            encode(call.required("name")?)?,
            encode(call.required("start")?)?,
            encode(call.required("end")?)?,
        ];
        with_scores(&call, words)
    }),
    special("zrangebyscore", |args, kwargs| {
        by_score("ZRANGEBYSCORE", ["min", "max"], args, kwargs)
    }),
    special("zrevrangebyscore", |args, kwargs| {
        by_score("ZREVRANGEBYSCORE", ["max", "min"], args, kwargs)
    }),
    special("zrangebylex", |args, kwargs| {
        by_lex("ZRANGEBYLEX", ["min", "max"], args, kwargs)
    }),
    special("zrevrangebylex", |args, kwargs| {
        by_lex("ZREVRANGEBYLEX", ["max", "min"], args, kwargs)
    }),
    special("zunion", |args, kwargs| combined("ZUNION", args, kwargs)),
    special("zinter", |args, kwargs| combined("ZINTER", args, kwargs)),
    special("zdiff", |args, kwargs| {
        let call = Call::bind("zdiff", &["keys", "withscores"], args, kwargs)?;
        let mut words = vec![word("ZDIFF")];
        push_counted(&call, "keys", &mut words)?;
        call.push_flag(&mut words, "withscores", "WITHSCORES")?;
        // redis-py makes no pairs of this one
        command(words, Shape::Plain)
    }),
    special("zintercard", |args, kwargs| intercard("ZINTERCARD", args, kwargs)),
    special("sintercard", |args, kwargs| intercard("SINTERCARD", args, kwargs)),
    special("zmpop", |args, kwargs| {
        let call = Call::bind("zmpop", &["num_keys", "keys", "min", "max", "count"], args, kwargs)?;
        multi_pop(&call, vec![word("ZMPOP")])
    }),
    special("bzmpop", |args, kwargs| {
        let names = ["timeout", "numkeys", "keys", "min", "max", "count"];
        let call = Call::bind("bzmpop", &names, args, kwargs)?;
        let words = vec![word("BZMPOP"), encode(call.required("timeout")?)?];
        multi_pop(&call, words)
    }),
    special("lmpop", |args, kwargs| list_pop("LMPOP", args, kwargs)),
    special("blmpop", |args, kwargs| list_pop("BLMPOP", args, kwargs)),
    special("lcs", |args, kwargs| {
        let names = ["key1", "key2", "len", "idx", "minmatchlen", "withmatchlen"];
        let call = Call::bind("lcs", &names, args, kwargs)?;
        let mut words = vec![
            word("LCS"),
            encode(call.required("key1")?)?,
            encode(call.required("key2")?)?,
        ];
        call.push_flag(&mut words, "len", "LEN")?;
        call.push_flag(&mut words, "idx", "IDX")?;
        if call.flag("minmatchlen")? {
            call.push_option(&mut words, "minmatchlen", "MINMATCHLEN")?;
        }
        call.push_flag(&mut words, "withmatchlen", "WITHMATCHLEN")?;
        command(words, Shape::Plain)
    }),
    special("zrangestore", |args, kwargs| {
        let names = [
            "dest", "name", "start", "end", "byscore", "bylex", "desc", "offset", "num",
        ];
        let call = Call::bind("zrangestore", &names, args, kwargs)?;
        let mut words = vec![word("ZRANGESTORE")];
        for name in ["dest", "name", "start", "end"] {
            words.push(encode(call.required(name)?)?);
        }
        push_range_options(&call, &mut words)?;
        command(words, Shape::Plain)
    }),
    special("zunionstore", |args, kwargs| store("ZUNIONSTORE", args, kwargs)),
    special("zinterstore", |args, kwargs| store("ZINTERSTORE", args, kwargs)),
    special("scan", |args, kwargs| {
        let call = Call::bind("scan", &["cursor", "match", "count", "_type"], args, kwargs)?;
        scan(&call, vec![word("SCAN")], Shape::Scan)
    }),
    special("sscan", |args, kwargs| scan_of("SSCAN", Shape::Scan, args, kwargs)),
    special("hscan", |args, kwargs| scan_of("HSCAN", Shape::ScanDict, args, kwargs)),
    special("zscan", |args, kwargs| {
        scan_of("ZSCAN", Shape::ScanScored, args, kwargs)
    }),
];

fn blocking_pop(
    name: &'static str,
    shape: Shape,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Command> {
    let call = Call::bind(name, &["keys", "timeout"], args, kwargs)?;
    let mut words = vec![word(name)];
    encode_all(call.required("keys")?, &mut words)?;
    words.push(call.optional("timeout").map_or_else(|| Ok(word("0")), encode)?);
    command(words, shape)
}

fn push_sorting(call: &Call<'_>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    call.push_option(words, "by", "BY")?;
    push_limit(call, words)?;
    if let Some(get) = call.optional("get") {
        let mut patterns = Vec::new();
        encode_all(get, &mut patterns)?;
        for pattern in patterns {
            words.push(word("GET"));
            words.push(pattern);
        }
    }
    call.push_flag(words, "desc", "DESC")?;
    call.push_flag(words, "alpha", "ALPHA")
}

/// How many patterns `groups` of a sort are made of.
fn patterns_in(call: &Call<'_>) -> PyResult<usize> {
    match call.optional("get") {
        Some(get) if !get.is_instance_of::<PyString>() && !get.is_instance_of::<PyBytes>() && get.len()? > 1 => {
            get.len()
        }
        _ => {
            Err(call
                .wrong("when using \"groups\" the \"get\" argument must be specified and contain at least two keys"))
        }
    }
}

fn push_limit(call: &Call<'_>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    match (call.optional("start"), call.optional("num")) {
        (Some(start), Some(num)) => words.extend([word("LIMIT"), encode(start)?, encode(num)?]),
        (None, None) => {}
        _ => return Err(call.wrong("``start`` and ``num`` must both be specified")),
    }
    Ok(())
}

fn with_scores(call: &Call<'_>, mut words: Vec<Vec<u8>>) -> PyResult<Command> {
    let is_scored = call.flag("withscores")?;
    if is_scored {
        words.push(word("WITHSCORES"));
    }
    let shape = if is_scored { Shape::Scored } else { Shape::Plain };
    Ok(Command {
        cast: score_cast(call),
        ..Command::new(words, shape)
    })
}

/// What makes a score, if it is not the usual `float`.
fn score_cast(call: &Call<'_>) -> Option<Py<PyAny>> {
    let cast = call.optional("score_cast_func")?;
    (!cast.is(call.py().get_type::<PyFloat>())).then(|| cast.clone().unbind())
}

fn by_score(
    name: &'static str,
    [first, second]: [&'static str; 2],
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Command> {
    let call = Call::bind(
        name,
        &["name", first, second, "start", "num", "withscores", "score_cast_func"],
        args,
        kwargs,
    )?;
    let mut words = vec![
        word(name),
        encode(call.required("name")?)?,
        encode(call.required(first)?)?,
        encode(call.required(second)?)?,
    ];
    push_limit(&call, &mut words)?;
    with_scores(&call, words)
}

fn by_lex(
    name: &'static str,
    [first, second]: [&'static str; 2],
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Command> {
    let call = Call::bind(name, &["name", first, second, "start", "num"], args, kwargs)?;
    let mut words = vec![
        word(name),
        encode(call.required("name")?)?,
        encode(call.required(first)?)?,
        encode(call.required(second)?)?,
    ];
    push_limit(&call, &mut words)?;
    command(words, Shape::Plain)
}

/// What selects and orders the members of a range.
fn push_range_options(call: &Call<'_>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    let (by_score, by_lex) = (call.flag("byscore")?, call.flag("bylex")?);
    if by_score && by_lex {
        return Err(call.wrong("``byscore`` and ``bylex`` can not be specified together."));
    }
    if call.optional("offset").is_some() != call.optional("num").is_some() {
        return Err(call.wrong("``offset`` and ``num`` must both be specified."));
    }
    if by_lex && call.flag("withscores")? {
        return Err(call.wrong("``withscores`` not supported in combination with ``bylex``."));
    }
    call.push_flag(words, "byscore", "BYSCORE")?;
    call.push_flag(words, "bylex", "BYLEX")?;
    call.push_flag(words, "desc", "REV")?;
    if let (Some(offset), Some(num)) = (call.optional("offset"), call.optional("num")) {
        words.extend([word("LIMIT"), encode(offset)?, encode(num)?]);
    }
    Ok(())
}

/// Keys, with how many they are in front.
fn push_counted(call: &Call<'_>, name: &str, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    let mut keys = Vec::new();
    encode_all(call.required(name)?, &mut keys)?;
    words.push(word(&keys.len().to_string()));
    words.append(&mut keys);
    Ok(())
}

fn combined(name: &'static str, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Command> {
    let call = Call::bind(
        name,
        &["keys", "aggregate", "withscores", "score_cast_func"],
        args,
        kwargs,
    )?;
    let mut words = vec![word(name)];
    push_weighted(&call, &mut words)?;
    call.push_option(&mut words, "aggregate", "AGGREGATE")?;
    with_scores(&call, words)
}

fn intercard(name: &'static str, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Command> {
    let call = Call::bind(name, &["numkeys", "keys", "limit"], args, kwargs)?;
    let mut words = vec![word(name), encode(call.required("numkeys")?)?];
    encode_all(call.required("keys")?, &mut words)?;
    call.push_option(&mut words, "limit", "LIMIT")?;
    command(words, Shape::Plain)
}

/// Pops from the first sorted set that has members.
fn multi_pop(call: &Call<'_>, mut words: Vec<Vec<u8>>) -> PyResult<Command> {
    push_counted(call, "keys", &mut words)?;
    words.push(match (call.flag("min")?, call.flag("max")?) {
        (true, false) => word("MIN"),
        (false, true) => word("MAX"),
        _ => return Err(call.wrong("Either min or max, but not both must be set")),
    });
    if let Some(count) = call.optional("count").filter(|count| !count.eq(1).unwrap_or(false)) {
        words.extend([word("COUNT"), encode(count)?]);
    }
    command(words, Shape::Plain)
}

/// Pops from the first list that has values: keys are positional arguments here.
fn list_pop(name: &'static str, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Command> {
    let mut words = vec![word(name)];
    for value in args {
        words.push(encode(&value)?);
    }
    let call = Call::bind(name, &["direction", "count"], &PyTuple::empty(args.py()), kwargs)?;
    words.push(encode(call.required("direction")?)?);
    if let Some(count) = call.optional("count").filter(|count| !count.eq(1).unwrap_or(false)) {
        words.extend([word("COUNT"), encode(count)?]);
    }
    command(words, Shape::Plain)
}

fn store(name: &'static str, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Command> {
    let call = Call::bind(name, &["dest", "keys", "aggregate"], args, kwargs)?;
    let mut words = vec![word(name), encode(call.required("dest")?)?];
    push_weighted(&call, &mut words)?;
    call.push_option(&mut words, "aggregate", "AGGREGATE")?;
    command(words, Shape::Plain)
}

/// Keys with how many they are in front, and their weights if it is a dictionary.
fn push_weighted(call: &Call<'_>, words: &mut Vec<Vec<u8>>) -> PyResult<()> {
    let keys = call.required("keys")?;
    if !keys.is_instance_of::<PyDict>() {
        return push_counted(call, "keys", words);
    }
    let mut pairs = Vec::new();
    encode_mapping(keys, &mut pairs)?;
    words.push(word(&(pairs.len() / 2).to_string()));
    words.extend(pairs.iter().step_by(2).cloned());
    words.push(word("WEIGHTS"));
    words.extend(pairs.into_iter().skip(1).step_by(2));
    Ok(())
}

fn scan_of(
    name: &'static str,
    shape: Shape,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<Command> {
    let call = Call::bind(
        name,
        &[
            "name",
            "cursor",
            "match",
            "count",
            if name == "HSCAN" {
                "no_values"
            } else {
                "score_cast_func"
            },
        ],
        args,
        kwargs,
    )?;
    let words = vec![word(name), encode(call.required("name")?)?];
    let is_bare = call.flag("no_values")?;
    let mut command = scan(&call, words, if is_bare { Shape::Scan } else { shape })?;
    if is_bare {
        command.words.push(word("NOVALUES"));
    }
    command.cast = score_cast(&call);
    Ok(command)
}

fn scan(call: &Call<'_>, mut words: Vec<Vec<u8>>, shape: Shape) -> PyResult<Command> {
    words.push(call.optional("cursor").map_or_else(|| Ok(word("0")), encode)?);
    call.push_option(&mut words, "match", "MATCH")?;
    call.push_option(&mut words, "count", "COUNT")?;
    call.push_option(&mut words, "_type", "TYPE")?;
    command(words, shape)
}

/// Name, in upper case, and words of a command that a service wrote out: `execute_command('CONFIG GET', 'maxmemory')`.
pub(super) fn by_hand(args: &Bound<'_, PyTuple>) -> PyResult<(String, Vec<Vec<u8>>)> {
    let mut all = args.iter();
    let name = all.next().map_or_else(|| Ok(Vec::new()), |name| encode(&name))?;
    let mut words: Vec<Vec<u8>> = name
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if words.is_empty() {
        return Err(PyTypeError::new_err("execute_command() needs the name of a command"));
    }
    for value in all {
        words.push(encode(&value)?);
    }
    Ok((String::from_utf8_lossy(&name).to_ascii_uppercase(), words))
}
