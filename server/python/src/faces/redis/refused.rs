//! Methods of redis-py that this face does not have, each with the reason and the way out.

const SHARED: &str = "it changes its connection, which all calls share here";
const OWN: &str =
    "it is about redis-py's own connections; those of busbar are objects, made with enmasse or in [redis]";
const WHOLE_SERVER: &str = "it stops or stalls the server for everybody; use redis-cli";
const MODULE: &str = "commands of Redis modules go through execute_command('JSON.GET', ...)";
const NOT_BY_REDIS_PY: &str = "redis-py refuses it too; use execute_command";
const SENTINEL: &str = "it asks a Sentinel, and this connection leads to a database; use redis-cli";
const GONE: &str = "Redis has no such command any more";
const NEWER: &str = "it came after redis-py 5; use execute_command";

/// Names, and why there is none of that name.
pub(super) static REFUSED: &[(&str, &[&str])] = &[
    (
        SHARED,
        &[
            "auth",
            "client",
            "client_no_evict",
            "client_no_touch",
            "client_reply",
            "client_setinfo",
            "client_setname",
            "client_tracking",
            "client_tracking_off",
            "client_tracking_on",
            "hello",
            "psync",
            "quit",
            "readonly",
            "readwrite",
            "reset",
            "select",
            "sync",
        ],
    ),
    ("watching is for one user: use pipeline()", &["unwatch", "watch"]),
    (
        OWN,
        &[
            "from_pool",
            "from_url",
            "get_cache",
            "get_retry",
            "load_external_module",
            "parse_response",
            "response_callbacks",
            "set_response_callback",
            "set_retry",
        ],
    ),
    (
        "it shows the commands of everybody and slows Redis down; use redis-cli monitor",
        &["monitor"],
    ),
    (WHOLE_SERVER, &["debug_segfault", "shutdown"]),
    (
        MODULE,
        &[
            "bf", "cf", "cms", "ft", "graph", "json", "tdigest", "topk", "ts", "vset",
        ],
    ),
    (
        NOT_BY_REDIS_PY,
        &[
            "command_docs",
            "command_info",
            "failover",
            "latency_doctor",
            "latency_graph",
            "latency_histogram",
            "memory_doctor",
            "memory_help",
            "script_debug",
        ],
    ),
    (
        SENTINEL,
        &[
            "sentinel",
            "sentinel_ckquorum",
            "sentinel_failover",
            "sentinel_flushconfig",
            "sentinel_get_master_addr_by_name",
            "sentinel_master",
            "sentinel_masters",
            "sentinel_monitor",
            "sentinel_remove",
            "sentinel_reset",
            "sentinel_sentinels",
            "sentinel_set",
            "sentinel_slaves",
        ],
    ),
    (
        GONE,
        &[
            "stralgo",
            "tfcall",
            "tfcall_async",
            "tfunction_delete",
            "tfunction_list",
            "tfunction_load",
        ],
    ),
    (
        NEWER,
        &[
            "arcount",
            "ardel",
            "ardelrange",
            "arget",
            "argetrange",
            "argrep",
            "arinfo",
            "arinsert",
            "arlastitems",
            "arlen",
            "armget",
            "armset",
            "arnext",
            "arop",
            "arring",
            "arscan",
            "arseek",
            "arset",
            "blmovem",
            "delex",
            "digest",
            "digest_local",
            "hgetdel",
            "hgetex",
            "himport_discard",
            "himport_discard_all",
            "himport_discard_all_internal",
            "himport_discard_internal",
            "himport_prepare",
            "himport_prepare_internal",
            "himport_registry",
            "himport_set",
            "hotkeys_get",
            "hotkeys_reset",
            "hotkeys_start",
            "hotkeys_stop",
            "hsetex",
            "increx",
            "keyspace_notifications",
            "lmovem",
            "msetex",
            "sdiffcard",
            "sunioncard",
            "xackdel",
            "xcfgset",
            "xdelex",
            "xnack",
        ],
    ),
];

/// Why there is no method of this name, if it is known.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map(|(reason, _)| *reason)
}
