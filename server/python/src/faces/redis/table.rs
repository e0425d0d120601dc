//! Commands whose arguments go out in the order in which they come in.

use std::collections::HashMap;
use std::sync::LazyLock;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::faces::redis::call::Special;
use crate::faces::redis::shape::Shape;
use crate::faces::redis::values::{encode, encode_all, encode_span, encode_time};
use crate::faces::redis::{Command, geo, server, special, streams, strings};

use self::Param::{All, Arg, Counted, Default, Fields, Flag, Maybe, Prefixed, Rest, Span, Time};

/// A method of the face.
pub(super) struct Spec {
    /// Its name in Python.
    pub(super) name: &'static str,
    /// The command's words.
    command: &'static str,
    params: &'static [Param],
    pub(super) shape: Shape,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Param {
    /// Must be given.
    Arg(&'static str),
    /// Has a default.
    Default(&'static str, &'static str),
    /// Is sent if it is given.
    Maybe(&'static str),
    /// Is sent behind a word if it is given.
    Prefixed(&'static str, &'static str),
    /// A word that is sent if it is true.
    Flag(&'static str, &'static str),
    /// A time span; in milliseconds or seconds.
    Span(&'static str, bool),
    /// A point in time; in milliseconds or seconds.
    Time(&'static str, bool),
    /// All further positional arguments, a value each.
    Rest,
    /// A list or a value, and all further positional arguments.
    All(&'static str),
    /// A list or a value, with how many there are in front.
    Counted(&'static str),
    /// All further positional arguments as `FIELDS`, with how many they are in front.
    Fields,
}

/// How a method makes its command.
#[derive(Clone, Copy)]
pub(super) enum Method {
    Simple(&'static Spec),
    Special(&'static Special),
}

impl Method {
    /// The method of that name.
    pub(super) fn find(name: &str) -> Option<Self> {
        static BY_NAME: LazyLock<HashMap<&str, Method>> = LazyLock::new(|| {
            let simple = TABLE.iter().map(|spec| (spec.name, Method::Simple(spec)));
            let special = specials().map(|special| (special.name, Method::Special(special)));
            simple.chain(special).collect()
        });
        BY_NAME.get(name).copied()
    }

    /// Names of all methods.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        TABLE
            .iter()
            .map(|spec| spec.name)
            .chain(specials().map(|special| special.name))
    }

    /// Makes the command.
    pub(super) fn build(self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Command> {
        match self {
            Self::Simple(spec) => spec.build(args, kwargs),
            Self::Special(special) => (special.build)(args, kwargs),
        }
    }
}

fn specials() -> impl Iterator<Item = &'static Special> {
    special::SPECIAL
        .iter()
        .chain(strings::METHODS)
        .chain(streams::METHODS)
        .chain(geo::METHODS)
        .chain(server::METHODS)
}

/// What the reply of a command becomes that was written out by hand. Like redis-py this goes by the first argument alone, `CONFIG GET`
/// for instance; what comes of `CONFIG` and `GET` stays as it is.
pub(super) fn shape_of(name: &str) -> Shape {
    // only the method of that name knows that there are scores
    if matches!(name, "ZPOPMAX" | "ZPOPMIN") {
        return Shape::Plain;
    }
    let simple = TABLE.iter().find(|spec| spec.command == name).map(|spec| spec.shape);
    simple
        .or_else(|| {
            special::SHAPES
                .iter()
                .chain(streams::SHAPES)
                .find(|(command, _)| *command == name)
                .map(|(_, shape)| *shape)
        })
        .unwrap_or(Shape::Plain)
}

impl Spec {
    fn build(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Command> {
        let mut words: Vec<Vec<u8>> = self.command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let mut positional = args.iter();
        let mut used = 0;
        let mut by_name = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            let value = kwargs.map(|kwargs| kwargs.get_item(name)).transpose()?.flatten();
            used += usize::from(value.is_some());
            Ok(value)
        };
        for param in self.params {
            match *param {
                Arg(name) | Span(name, _) | Time(name, _) => {
                    let value = match positional.next() {
                        Some(value) => value,
                        None => by_name(name)?.ok_or_else(|| self.missing(name))?,
                    };
                    words.push(match *param {
                        Span(_, is_millis) => encode_span(&value, is_millis)?,
                        Time(_, is_millis) => encode_time(&value, is_millis)?,
                        _ => encode(&value)?,
                    });
                }
                Default(name, default) => match positional
                    .next()
                    .map_or_else(|| by_name(name), |value| Ok(Some(value)))?
                {
                    Some(value) => words.push(encode(&value)?),
                    None => words.push(default.as_bytes().to_vec()),
                },
                Maybe(name) | Prefixed(name, _) => {
                    let value = positional
                        .next()
                        .map_or_else(|| by_name(name), |value| Ok(Some(value)))?;
                    if let Some(value) = value.filter(|value| !value.is_none()) {
                        if let Prefixed(_, prefix) = *param {
                            words.push(prefix.as_bytes().to_vec());
                        }
                        words.push(encode(&value)?);
                    }
                }
                Flag(name, word) => {
                    let value = positional
                        .next()
                        .map_or_else(|| by_name(name), |value| Ok(Some(value)))?;
                    if value.map_or(Ok(false), |value| value.is_truthy())? {
                        words.push(word.as_bytes().to_vec());
                    }
                }
                Rest => {
                    for value in positional.by_ref() {
                        words.push(encode(&value)?);
                    }
                }
                Fields => {
                    words.push(b"FIELDS".to_vec());
                    words.push(positional.len().to_string().into_bytes());
                    for value in positional.by_ref() {
                        words.push(encode(&value)?);
                    }
                }
                Counted(name) => {
                    let value = positional
                        .next()
                        .map_or_else(|| by_name(name), |value| Ok(Some(value)))?
                        .ok_or_else(|| self.missing(name))?;
                    let mut values = Vec::new();
                    encode_all(&value, &mut values)?;
                    words.push(values.len().to_string().into_bytes());
                    words.append(&mut values);
                }
                All(name) => {
                    let first = positional
                        .next()
                        .map_or_else(|| by_name(name), |value| Ok(Some(value)))?;
                    encode_all(&first.ok_or_else(|| self.missing(name))?, &mut words)?;
                    for value in positional.by_ref() {
                        words.push(encode(&value)?);
                    }
                }
            }
        }
        if positional.next().is_some() {
            return Err(PyTypeError::new_err(format!(
                "{}() was given too many arguments",
                self.name
            )));
        }
        if used < kwargs.map_or(0, |kwargs| kwargs.len()) {
            return Err(PyTypeError::new_err(format!(
                "{}() was given an unexpected or repeated keyword argument",
                self.name
            )));
        }
        Ok(Command::new(words, self.shape))
    }

    fn missing(&self, name: &str) -> PyErr {
        PyTypeError::new_err(format!("{}() needs the argument `{name}`", self.name))
    }
}

const fn spec(name: &'static str, command: &'static str, params: &'static [Param], shape: Shape) -> Spec {
    Spec {
        name,
        command,
        params,
        shape,
    }
}

const NAME: Param = Arg("name");
const VALUE: Param = Arg("value");
const NX: Param = Flag("nx", "NX");
const XX: Param = Flag("xx", "XX");
const GT: Param = Flag("gt", "GT");
const LT: Param = Flag("lt", "LT");

static TABLE: &[Spec] = &[
    // strings
    spec("append", "APPEND", &[Arg("key"), VALUE], Shape::Plain),
    spec("decr", "DECRBY", &[NAME, Default("amount", "1")], Shape::Plain),
    spec("decrby", "DECRBY", &[NAME, Default("amount", "1")], Shape::Plain),
    spec("get", "GET", &[NAME], Shape::Plain),
    spec("getbit", "GETBIT", &[NAME, Arg("offset")], Shape::Plain),
    spec("getdel", "GETDEL", &[NAME], Shape::Plain),
    spec(
        "getrange",
        "GETRANGE",
        &[Arg("key"), Arg("start"), Arg("end")],
        Shape::Plain,
    ),
    spec("getset", "GETSET", &[NAME, VALUE], Shape::Plain),
    spec("incr", "INCRBY", &[NAME, Default("amount", "1")], Shape::Plain),
    spec("incrby", "INCRBY", &[NAME, Default("amount", "1")], Shape::Plain),
    spec(
        "incrbyfloat",
        "INCRBYFLOAT",
        &[NAME, Default("amount", "1.0")],
        Shape::Float,
    ),
    spec("psetex", "PSETEX", &[NAME, Span("time_ms", true), VALUE], Shape::Ok),
    spec("setbit", "SETBIT", &[NAME, Arg("offset"), VALUE], Shape::Plain),
    spec("setex", "SETEX", &[NAME, Span("time", false), VALUE], Shape::Ok),
    spec("setnx", "SETNX", &[NAME, VALUE], Shape::Bool),
    spec("setrange", "SETRANGE", &[NAME, Arg("offset"), VALUE], Shape::Plain),
    spec("strlen", "STRLEN", &[NAME], Shape::Plain),
    spec(
        "substr",
        "SUBSTR",
        &[NAME, Arg("start"), Default("end", "-1")],
        Shape::Plain,
    ),
    spec("bitop", "BITOP", &[Arg("operation"), Arg("dest"), Rest], Shape::Plain),
    // keys
    spec("delete", "DEL", &[Rest], Shape::Plain),
    spec("exists", "EXISTS", &[Rest], Shape::Plain),
    spec(
        "expire",
        "EXPIRE",
        &[NAME, Span("time", false), NX, XX, GT, LT],
        Shape::Bool,
    ),
    spec(
        "expireat",
        "EXPIREAT",
        &[NAME, Time("when", false), NX, XX, GT, LT],
        Shape::Bool,
    ),
    spec("expiretime", "EXPIRETIME", &[Arg("key")], Shape::Plain),
    spec("keys", "KEYS", &[Default("pattern", "*")], Shape::Plain),
    spec("move", "MOVE", &[NAME, Arg("db")], Shape::Bool),
    spec("object", "OBJECT", &[Arg("infotype"), Arg("key")], Shape::Plain),
    spec("persist", "PERSIST", &[NAME], Shape::Bool),
    spec(
        "pexpire",
        "PEXPIRE",
        &[NAME, Span("time", true), NX, XX, GT, LT],
        Shape::Bool,
    ),
    spec(
        "pexpireat",
        "PEXPIREAT",
        &[NAME, Time("when", true), NX, XX, GT, LT],
        Shape::Bool,
    ),
    spec("pexpiretime", "PEXPIRETIME", &[Arg("key")], Shape::Plain),
    spec("pttl", "PTTL", &[NAME], Shape::Plain),
    spec("randomkey", "RANDOMKEY", &[], Shape::Plain),
    spec("rename", "RENAME", &[Arg("src"), Arg("dst")], Shape::Ok),
    spec("renamenx", "RENAMENX", &[Arg("src"), Arg("dst")], Shape::Bool),
    spec("touch", "TOUCH", &[Rest], Shape::Plain),
    spec("ttl", "TTL", &[NAME], Shape::Plain),
    spec("type", "TYPE", &[NAME], Shape::Plain),
    spec("unlink", "UNLINK", &[Rest], Shape::Plain),
    spec("dump", "DUMP", &[NAME], Shape::Bytes),
    spec(
        "memory_usage",
        "MEMORY USAGE",
        &[Arg("key"), Prefixed("samples", "SAMPLES")],
        Shape::Plain,
    ),
    spec(
        "restore",
        "RESTORE",
        &[
            NAME,
            Arg("ttl"),
            VALUE,
            Flag("replace", "REPLACE"),
            Flag("absttl", "ABSTTL"),
            Prefixed("idletime", "IDLETIME"),
            Prefixed("frequency", "FREQ"),
        ],
        Shape::Plain,
    ),
    // hashes
    spec("hdel", "HDEL", &[NAME, Rest], Shape::Plain),
    spec("hexists", "HEXISTS", &[NAME, Arg("key")], Shape::Bool),
    spec("hget", "HGET", &[NAME, Arg("key")], Shape::Plain),
    spec("hgetall", "HGETALL", &[NAME], Shape::Dict),
    spec(
        "hincrby",
        "HINCRBY",
        &[NAME, Arg("key"), Default("amount", "1")],
        Shape::Plain,
    ),
    spec(
        "hincrbyfloat",
        "HINCRBYFLOAT",
        &[NAME, Arg("key"), Default("amount", "1.0")],
        Shape::Float,
    ),
    spec("hkeys", "HKEYS", &[NAME], Shape::Plain),
    spec("hlen", "HLEN", &[NAME], Shape::Plain),
    spec("hmget", "HMGET", &[NAME, All("keys")], Shape::Plain),
    spec(
        "hrandfield",
        "HRANDFIELD",
        &[Arg("key"), Maybe("count"), Flag("withvalues", "WITHVALUES")],
        Shape::Plain,
    ),
    spec("hsetnx", "HSETNX", &[NAME, Arg("key"), VALUE], Shape::Plain),
    spec("hstrlen", "HSTRLEN", &[NAME, Arg("key")], Shape::Plain),
    spec("hvals", "HVALS", &[NAME], Shape::Plain),
    // lists
    spec(
        "brpoplpush",
        "BRPOPLPUSH",
        &[Arg("src"), Arg("dst"), Default("timeout", "0")],
        Shape::Plain,
    ),
    spec("lindex", "LINDEX", &[NAME, Arg("index")], Shape::Plain),
    spec(
        "linsert",
        "LINSERT",
        &[NAME, Arg("where"), Arg("refvalue"), VALUE],
        Shape::Plain,
    ),
    spec("llen", "LLEN", &[NAME], Shape::Plain),
    spec(
        "lmove",
        "LMOVE",
        &[
            Arg("first_list"),
            Arg("second_list"),
            Default("src", "LEFT"),
            Default("dest", "RIGHT"),
        ],
        Shape::Plain,
    ),
    spec("lpop", "LPOP", &[NAME, Maybe("count")], Shape::Plain),
    spec(
        "lpos",
        "LPOS",
        &[
            NAME,
            VALUE,
            Prefixed("rank", "RANK"),
            Prefixed("count", "COUNT"),
            Prefixed("maxlen", "MAXLEN"),
        ],
        Shape::Plain,
    ),
    spec("lpush", "LPUSH", &[NAME, Rest], Shape::Plain),
    spec("lpushx", "LPUSHX", &[NAME, Rest], Shape::Plain),
    spec("lrange", "LRANGE", &[NAME, Arg("start"), Arg("end")], Shape::Plain),
    spec("lrem", "LREM", &[NAME, Arg("count"), VALUE], Shape::Plain),
    spec("lset", "LSET", &[NAME, Arg("index"), VALUE], Shape::Ok),
    spec("ltrim", "LTRIM", &[NAME, Arg("start"), Arg("end")], Shape::Ok),
    spec("rpop", "RPOP", &[NAME, Maybe("count")], Shape::Plain),
    spec("rpoplpush", "RPOPLPUSH", &[Arg("src"), Arg("dst")], Shape::Plain),
    spec("rpush", "RPUSH", &[NAME, Rest], Shape::Plain),
    spec("rpushx", "RPUSHX", &[NAME, Rest], Shape::Plain),
    // sets
    spec("sadd", "SADD", &[NAME, Rest], Shape::Plain),
    spec("scard", "SCARD", &[NAME], Shape::Plain),
    spec("sdiff", "SDIFF", &[All("keys")], Shape::Set),
    spec("sdiffstore", "SDIFFSTORE", &[Arg("dest"), All("keys")], Shape::Plain),
    spec("sinter", "SINTER", &[All("keys")], Shape::Set),
    spec("sinterstore", "SINTERSTORE", &[Arg("dest"), All("keys")], Shape::Plain),
    spec("sismember", "SISMEMBER", &[NAME, VALUE], Shape::Plain),
    spec("smembers", "SMEMBERS", &[NAME], Shape::Set),
    spec("smismember", "SMISMEMBER", &[NAME, All("values")], Shape::Plain),
    spec("smove", "SMOVE", &[Arg("src"), Arg("dst"), VALUE], Shape::Bool),
    spec("spop", "SPOP", &[NAME, Maybe("count")], Shape::Plain),
    spec("srandmember", "SRANDMEMBER", &[NAME, Maybe("number")], Shape::Plain),
    spec("srem", "SREM", &[NAME, Rest], Shape::Plain),
    spec("sunion", "SUNION", &[All("keys")], Shape::Set),
    spec("sunionstore", "SUNIONSTORE", &[Arg("dest"), All("keys")], Shape::Plain),
    // sorted sets
    spec("zcard", "ZCARD", &[NAME], Shape::Plain),
    spec("zcount", "ZCOUNT", &[NAME, Arg("min"), Arg("max")], Shape::Plain),
    spec("zincrby", "ZINCRBY", &[NAME, Arg("amount"), VALUE], Shape::Float),
    spec("zlexcount", "ZLEXCOUNT", &[NAME, Arg("min"), Arg("max")], Shape::Plain),
    spec("zmscore", "ZMSCORE", &[Arg("key"), All("members")], Shape::Floats),
    spec("zpopmax", "ZPOPMAX", &[NAME, Maybe("count")], Shape::Scored),
    spec("zpopmin", "ZPOPMIN", &[NAME, Maybe("count")], Shape::Scored),
    spec(
        "zdiffstore",
        "ZDIFFSTORE",
        &[Arg("dest"), Counted("keys")],
        Shape::Plain,
    ),
    spec(
        "zrandmember",
        "ZRANDMEMBER",
        &[Arg("key"), Maybe("count"), Flag("withscores", "WITHSCORES")],
        Shape::Plain,
    ),
    spec(
        "zrank",
        "ZRANK",
        &[NAME, VALUE, Flag("withscore", "WITHSCORE")],
        Shape::Plain,
    ),
    spec("zrem", "ZREM", &[NAME, Rest], Shape::Plain),
    spec(
        "zremrangebylex",
        "ZREMRANGEBYLEX",
        &[NAME, Arg("min"), Arg("max")],
        Shape::Plain,
    ),
    spec(
        "zremrangebyrank",
        "ZREMRANGEBYRANK",
        &[NAME, Arg("min"), Arg("max")],
        Shape::Plain,
    ),
    spec(
        "zremrangebyscore",
        "ZREMRANGEBYSCORE",
        &[NAME, Arg("min"), Arg("max")],
        Shape::Plain,
    ),
    spec(
        "zrevrank",
        "ZREVRANK",
        &[NAME, VALUE, Flag("withscore", "WITHSCORE")],
        Shape::Plain,
    ),
    spec("zscore", "ZSCORE", &[NAME, VALUE], Shape::Float),
    // counting
    spec("pfadd", "PFADD", &[NAME, Rest], Shape::Plain),
    spec("pfcount", "PFCOUNT", &[Rest], Shape::Plain),
    spec("pfmerge", "PFMERGE", &[Arg("dest"), Rest], Shape::Ok),
    // streams
    spec("xack", "XACK", &[NAME, Arg("groupname"), Rest], Shape::Plain),
    spec("xdel", "XDEL", &[NAME, Rest], Shape::Plain),
    spec(
        "xgroup_create",
        "XGROUP CREATE",
        &[
            NAME,
            Arg("groupname"),
            Default("id", "$"),
            Flag("mkstream", "MKSTREAM"),
            Prefixed("entries_read", "ENTRIESREAD"),
        ],
        Shape::Ok,
    ),
    spec(
        "xgroup_createconsumer",
        "XGROUP CREATECONSUMER",
        &[NAME, Arg("groupname"), Arg("consumername")],
        Shape::Plain,
    ),
    spec(
        "xgroup_delconsumer",
        "XGROUP DELCONSUMER",
        &[NAME, Arg("groupname"), Arg("consumername")],
        Shape::Plain,
    ),
    spec(
        "xgroup_destroy",
        "XGROUP DESTROY",
        &[NAME, Arg("groupname")],
        Shape::Bool,
    ),
    spec(
        "xgroup_setid",
        "XGROUP SETID",
        &[
            NAME,
            Arg("groupname"),
            Arg("id"),
            Prefixed("entries_read", "ENTRIESREAD"),
        ],
        Shape::Ok,
    ),
    spec(
        "xinfo_consumers",
        "XINFO CONSUMERS",
        &[NAME, Arg("groupname")],
        Shape::Dicts,
    ),
    spec("xinfo_groups", "XINFO GROUPS", &[NAME], Shape::Dicts),
    spec(
        "xinfo_stream",
        "XINFO STREAM",
        &[NAME, Flag("full", "FULL")],
        Shape::StreamInfo,
    ),
    spec("xlen", "XLEN", &[NAME], Shape::Plain),
    spec("xpending", "XPENDING", &[NAME, Arg("groupname")], Shape::Pending),
    spec(
        "xrange",
        "XRANGE",
        &[
            NAME,
            Default("min", "-"),
            Default("max", "+"),
            Prefixed("count", "COUNT"),
        ],
        Shape::Entries,
    ),
    spec(
        "xrevrange",
        "XREVRANGE",
        &[
            NAME,
            Default("max", "+"),
            Default("min", "-"),
            Prefixed("count", "COUNT"),
        ],
        Shape::Entries,
    ),
    // places
    spec(
        "geodist",
        "GEODIST",
        &[NAME, Arg("place1"), Arg("place2"), Maybe("unit")],
        Shape::Float,
    ),
    spec("geohash", "GEOHASH", &[NAME, Rest], Shape::Text),
    spec("geopos", "GEOPOS", &[NAME, Rest], Shape::Points),
    // scripts, messages, the server
    spec("client_getname", "CLIENT GETNAME", &[], Shape::Text),
    spec("client_id", "CLIENT ID", &[], Shape::Plain),
    spec(
        "config_get",
        "CONFIG GET",
        &[Default("pattern", "*"), Rest],
        Shape::Python("config_get"),
    ),
    spec("config_set", "CONFIG SET", &[NAME, VALUE, Rest], Shape::Ok),
    spec("dbsize", "DBSIZE", &[], Shape::Plain),
    spec("echo", "ECHO", &[VALUE], Shape::Plain),
    spec("eval", "EVAL", &[Arg("script"), Arg("numkeys"), Rest], Shape::Plain),
    spec("evalsha", "EVALSHA", &[Arg("sha"), Arg("numkeys"), Rest], Shape::Plain),
    spec("flushall", "FLUSHALL", &[Flag("asynchronous", "ASYNC")], Shape::Ok),
    spec("flushdb", "FLUSHDB", &[Flag("asynchronous", "ASYNC")], Shape::Ok),
    spec("info", "INFO", &[Maybe("section"), Rest], Shape::Python("info")),
    spec("lastsave", "LASTSAVE", &[], Shape::Python("lastsave")),
    spec("ping", "PING", &[], Shape::Pong),
    spec("publish", "PUBLISH", &[Arg("channel"), Arg("message")], Shape::Plain),
    spec("script_exists", "SCRIPT EXISTS", &[Rest], Shape::Bools),
    spec("script_flush", "SCRIPT FLUSH", &[Maybe("sync_type")], Shape::Ok),
    spec("script_load", "SCRIPT LOAD", &[Arg("script")], Shape::Text),
    spec("time", "TIME", &[], Shape::Time),
    // more of the server: users, clients, functions, what is told of it
    spec("acl_cat", "ACL CAT", &[Maybe("category")], Shape::Text),
    spec("acl_deluser", "ACL DELUSER", &[Rest], Shape::Plain),
    spec("acl_dryrun", "ACL DRYRUN", &[Arg("username"), Rest], Shape::Plain),
    spec(
        "acl_getuser",
        "ACL GETUSER",
        &[Arg("username")],
        Shape::Python("acl_getuser"),
    ),
    spec("acl_help", "ACL HELP", &[], Shape::Text),
    spec("acl_list", "ACL LIST", &[], Shape::Text),
    spec("acl_load", "ACL LOAD", &[], Shape::Ok),
    spec("acl_log", "ACL LOG", &[Maybe("count")], Shape::Python("acl_log")),
    spec("acl_log_reset", "ACL LOG RESET", &[], Shape::Ok),
    spec("acl_save", "ACL SAVE", &[], Shape::Ok),
    spec("acl_users", "ACL USERS", &[], Shape::Text),
    spec("acl_whoami", "ACL WHOAMI", &[], Shape::Text),
    spec("bgrewriteaof", "BGREWRITEAOF", &[], Shape::Done),
    spec("client_getredir", "CLIENT GETREDIR", &[], Shape::Plain),
    spec("client_info", "CLIENT INFO", &[], Shape::Python("client_info")),
    spec("client_kill", "CLIENT KILL", &[Arg("address")], Shape::Ok),
    spec("client_trackinginfo", "CLIENT TRACKINGINFO", &[], Shape::Text),
    spec(
        "client_unblock",
        "CLIENT UNBLOCK",
        &[Arg("client_id"), Flag("error", "ERROR")],
        Shape::Bool,
    ),
    spec("client_unpause", "CLIENT UNPAUSE", &[], Shape::Plain),
    spec("command_count", "COMMAND COUNT", &[], Shape::Plain),
    spec("command_getkeys", "COMMAND GETKEYS", &[Rest], Shape::Text),
    spec(
        "command_getkeysandflags",
        "COMMAND GETKEYSANDFLAGS",
        &[Rest],
        Shape::Plain,
    ),
    spec("command", "COMMAND", &[], Shape::Python("command")),
    spec("config_resetstat", "CONFIG RESETSTAT", &[], Shape::Ok),
    spec("config_rewrite", "CONFIG REWRITE", &[], Shape::Plain),
    spec(
        "debug_object",
        "DEBUG OBJECT",
        &[Arg("key")],
        Shape::Python("debug_object"),
    ),
    spec(
        "eval_ro",
        "EVAL_RO",
        &[Arg("script"), Arg("numkeys"), Rest],
        Shape::Plain,
    ),
    spec(
        "evalsha_ro",
        "EVALSHA_RO",
        &[Arg("sha"), Arg("numkeys"), Rest],
        Shape::Plain,
    ),
    spec("fcall", "FCALL", &[Arg("function"), Arg("numkeys"), Rest], Shape::Plain),
    spec(
        "fcall_ro",
        "FCALL_RO",
        &[Arg("function"), Arg("numkeys"), Rest],
        Shape::Plain,
    ),
    spec("function_delete", "FUNCTION DELETE", &[Arg("library")], Shape::Ok),
    spec("function_dump", "FUNCTION DUMP", &[], Shape::Bytes),
    spec(
        "function_flush",
        "FUNCTION FLUSH",
        &[Default("mode", "SYNC")],
        Shape::Ok,
    ),
    spec("function_kill", "FUNCTION KILL", &[], Shape::Plain),
    spec(
        "function_restore",
        "FUNCTION RESTORE",
        &[Arg("payload"), Default("policy", "APPEND")],
        Shape::Ok,
    ),
    spec("function_stats", "FUNCTION STATS", &[], Shape::Plain),
    spec("hexpiretime", "HEXPIRETIME", &[Arg("key"), Fields], Shape::Plain),
    spec("hpersist", "HPERSIST", &[NAME, Fields], Shape::Plain),
    spec("hpexpiretime", "HPEXPIRETIME", &[Arg("key"), Fields], Shape::Plain),
    spec("hpttl", "HPTTL", &[Arg("key"), Fields], Shape::Plain),
    spec("httl", "HTTL", &[Arg("key"), Fields], Shape::Plain),
    spec("latency_history", "LATENCY HISTORY", &[Arg("event")], Shape::Plain),
    spec("latency_latest", "LATENCY LATEST", &[], Shape::Plain),
    spec("latency_reset", "LATENCY RESET", &[Rest], Shape::Plain),
    spec("memory_malloc_stats", "MEMORY MALLOC-STATS", &[], Shape::Plain),
    spec("memory_purge", "MEMORY PURGE", &[], Shape::Ok),
    spec("memory_stats", "MEMORY STATS", &[], Shape::Python("memory_stats")),
    spec("module_list", "MODULE LIST", &[], Shape::Python("module_list")),
    spec("module_load", "MODULE LOAD", &[Arg("path"), Rest], Shape::Done),
    spec("module_unload", "MODULE UNLOAD", &[NAME], Shape::Done),
    spec(
        "pubsub_channels",
        "PUBSUB CHANNELS",
        &[Default("pattern", "*")],
        Shape::Plain,
    ),
    spec("pubsub_numpat", "PUBSUB NUMPAT", &[], Shape::Plain),
    spec("pubsub_numsub", "PUBSUB NUMSUB", &[Rest], Shape::Pairs),
    spec(
        "pubsub_shardchannels",
        "PUBSUB SHARDCHANNELS",
        &[Default("pattern", "*")],
        Shape::Plain,
    ),
    spec("pubsub_shardnumsub", "PUBSUB SHARDNUMSUB", &[Rest], Shape::Pairs),
    spec("replicaof", "REPLICAOF", &[Rest], Shape::Plain),
    spec("role", "ROLE", &[], Shape::Plain),
    spec("save", "SAVE", &[], Shape::Ok),
    spec("script_kill", "SCRIPT KILL", &[], Shape::Ok),
    spec(
        "slowlog_get",
        "SLOWLOG GET",
        &[Maybe("num")],
        Shape::Python("slowlog_get"),
    ),
    spec("slowlog_len", "SLOWLOG LEN", &[], Shape::Plain),
    spec("slowlog_reset", "SLOWLOG RESET", &[], Shape::Ok),
    spec(
        "spublish",
        "SPUBLISH",
        &[Arg("shard_channel"), Arg("message")],
        Shape::Plain,
    ),
    spec("swapdb", "SWAPDB", &[Arg("first"), Arg("second")], Shape::Ok),
    spec("wait", "WAIT", &[Arg("num_replicas"), Arg("timeout")], Shape::Plain),
    spec(
        "waitaof",
        "WAITAOF",
        &[Arg("num_local"), Arg("num_replicas"), Arg("timeout")],
        Shape::Plain,
    ),
];
