//! The key-value database: `self.kvdb.conn`, over the private Redis of the server or over one's own.

use std::process::{Command, Stdio};
use std::time::Duration;

use busbar_testkit::process::kill;
use busbar_testkit::{Load, Request, TestServer, wait_until};
use serde_json::{Value, json};

use crate::server;

/// Runs one command and shows its result as Python sees it.
const COMMAND: &str = "
from zato.server.service import Service

class Command(Service):
    def handle(self):
        name, args, kwargs = (self.request.payload + [{}])[:3]
        result = getattr(self.kvdb.conn, name)(*args, **kwargs)
        self.response.payload = {'repr': repr(result)}
";

#[track_caller]
fn command(server: &TestServer, wanted: &Value) -> String {
    server.invoke("command.command", &wanted.to_string()).expect(200).json()["repr"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn commands_answer_as_redis_py_does() {
    let server = server().service("command.py", COMMAND).start();
    for (wanted, expected) in [
        // strings
        (json!(["set", ["s", "é"]]), "True"),
        (json!(["get", ["s"]]), "'é'"),
        (json!(["get", ["none"]]), "None"),
        (json!(["set", ["s", "x"], {"nx": true}]), "None"),
        (json!(["set", ["n", 41]]), "True"),
        (json!(["incr", ["n"]]), "42"),
        (json!(["incrby", ["n", 8]]), "50"),
        (json!(["decr", ["n"]]), "49"),
        (json!(["append", ["s", "!"]]), "3"),
        (json!(["strlen", ["s"]]), "3"),
        (json!(["mset", [{"m1": 1, "m2": "b"}]]), "True"),
        (json!(["mget", [["m1", "m2", "m3"]]]), "['1', 'b', None]"),
        (json!(["setnx", ["s", "x"]]), "False"),
        (json!(["getset", ["s", "y"]]), "'é!'"),
        // keys and expiry
        (json!(["exists", ["s", "m1", "none"]]), "2"),
        (json!(["setex", ["e", 100, "v"]]), "True"),
        (json!(["ttl", ["e"]]), "100"),
        (json!(["expire", ["s", 50]]), "True"),
        (json!(["persist", ["s"]]), "True"),
        (json!(["ttl", ["s"]]), "-1"),
        (json!(["ttl", ["none"]]), "-2"),
        (json!(["type", ["s"]]), "'string'"),
        (json!(["delete", ["m1", "m2", "none"]]), "2"),
        (json!(["rename", ["s", "s2"]]), "True"),
        // hashes
        (json!(["hset", ["h", "a", 1]]), "1"),
        (json!(["hset", ["h"], {"mapping": {"b": 2, "c": "x"}}]), "2"),
        (json!(["hget", ["h", "a"]]), "'1'"),
        (json!(["hgetall", ["h"]]), "{'a': '1', 'b': '2', 'c': 'x'}"),
        (json!(["hmget", ["h", ["a", "z"]]]), "['1', None]"),
        (json!(["hincrby", ["h", "a", 5]]), "6"),
        (json!(["hexists", ["h", "z"]]), "False"),
        (json!(["hdel", ["h", "b", "c"]]), "2"),
        (json!(["hkeys", ["h"]]), "['a']"),
        (json!(["hlen", ["h"]]), "1"),
        (json!(["hgetall", ["none"]]), "{}"),
        // lists
        (json!(["rpush", ["l", "a", "b", "c"]]), "3"),
        (json!(["lpush", ["l", "z"]]), "4"),
        (json!(["lrange", ["l", 0, -1]]), "['z', 'a', 'b', 'c']"),
        (json!(["lindex", ["l", 1]]), "'a'"),
        (json!(["llen", ["l"]]), "4"),
        (json!(["lpop", ["l"]]), "'z'"),
        (json!(["rpop", ["l"]]), "'c'"),
        (json!(["lset", ["l", 0, "A"]]), "True"),
        (json!(["ltrim", ["l", 0, 0]]), "True"),
        (json!(["lrem", ["l", 0, "A"]]), "1"),
        // sets
        (json!(["sadd", ["set", "a", "b"]]), "2"),
        (json!(["sismember", ["set", "a"]]), "1"),
        (json!(["srem", ["set", "a"]]), "1"),
        (json!(["smembers", ["set"]]), "{'b'}"),
        (json!(["scard", ["set"]]), "1"),
        // sorted sets
        (json!(["zadd", ["z", {"a": 1, "b": 2.5}]]), "2"),
        (json!(["zrange", ["z", 0, -1]]), "['a', 'b']"),
        (
            json!(["zrange", ["z", 0, -1], {"withscores": true}]),
            "[('a', 1.0), ('b', 2.5)]",
        ),
        (json!(["zscore", ["z", "b"]]), "2.5"),
        (json!(["zincrby", ["z", 2, "a"]]), "3.0"),
        (json!(["zrank", ["z", "a"]]), "1"),
        (json!(["zrevrange", ["z", 0, 0]]), "['a']"),
        (json!(["zrangebyscore", ["z", "-inf", "+inf"]]), "['b', 'a']"),
        (json!(["zrem", ["z", "a"]]), "1"),
        (json!(["zcard", ["z"]]), "1"),
        // others
        (
            json!(["eval", ["return {KEYS[1], ARGV[1], 7}", 1, "k", "v"]]),
            "['k', 'v', 7]",
        ),
        (json!(["publish", ["channel", "x"]]), "0"),
        (json!(["execute_command", ["SETRANGE", "r", 0, "abc"]]), "3"),
        (json!(["execute_command", ["GETRANGE", "r", 1, 2]]), "'bc'"),
        (json!(["ping", []]), "True"),
    ] {
        assert_eq!(command(&server, &wanted), expected, "{wanted}");
    }
}

#[test]
fn pipelines_iterators_and_errors() {
    let server = server()
        .service(
            "more.py",
            "
from zato.server.service import Service

class More(Service):
    def handle(self):
        conn = self.kvdb.conn
        conn.delete('p', 'q')
        with conn.pipeline() as pipe:
            results = pipe.set('p', 1).incr('p').rpush('q', 'a').execute()
        pipe = conn.pipeline()
        pipe.get('p')
        pipe.lrange('q', 0, -1)
        results += pipe.execute()
        for number in range(300):
            conn.set('scan:%d' % number, number)
        found = sorted(conn.scan_iter('scan:*'), key=lambda key: int(key.split(':')[1]))
        assert found == ['scan:%d' % number for number in range(300)], found[:5]
        # what is no command comes from the client, also while something is kept
        pipe.set('scan:last', 1)
        assert sorted(pipe.scan_iter('scan:*')) == sorted(found)
        assert list(pipe.sscan_iter('none')) == list(pipe.hscan_iter('none')) == list(pipe.zscan_iter('none')) == []
        with pipe.pubsub() as pubsub:
            pubsub.subscribe('news')
            assert pubsub.get_message(timeout=5)['type'] == 'subscribe'
        assert pipe.pipeline().get('p').execute() == ['2']
        assert pipe.execute() == [True]
        try:
            conn.incr('q')
            error = ''
        except Exception as exception:
            error = [cls.__name__ for cls in type(exception).__mro__]
        big = 'x' * 1000000
        conn.set('big', big)
        assert conn.get('big') == big
        assert self.kvdb.get('p') == self.out.redis.conn.get('p') == '2'
        self.response.payload = {'results': results, 'error': error}
",
        )
        .start();
    let got = server.invoke("more.more", "").expect(200).json();
    assert_eq!(got["results"], json!([true, 2, 1, "2", ["a"]]));
    assert_eq!(got["error"][0], "ResponseError");
    assert!(got["error"].as_array().unwrap().contains(&json!("RedisError")));
}

#[test]
fn data_outlives_the_server() {
    let mut server = server().service("command.py", COMMAND).start();
    command(&server, &json!(["set", ["kept", "yes"]]));
    assert_eq!(server.stop().code(), Some(0));
    server.start();
    assert_eq!(command(&server, &json!(["get", ["kept"]])), "'yes'");
}

#[test]
fn a_redis_that_is_killed_under_load_comes_back_with_its_data() {
    let server = server()
        .service("command.py", COMMAND)
        .service("ok.py", crate::OK)
        .channel("/command", "command.command")
        .channel("/ok", "ok.ok")
        .start();
    command(&server, &json!(["set", ["kept", "yes"]]));
    // written to disk every second
    std::thread::sleep(Duration::from_millis(1500));
    let pause = Duration::from_millis(5);
    let uses = Load::start(
        server.address(),
        4,
        pause,
        Request::new("POST", "/command").body(r#"["incr",["n"]]"#),
    );
    let others = Load::start(server.address(), 2, pause, Request::new("GET", "/ok"));
    uses.wait_for(50);
    for _ in 0..2 {
        let pid = server.redis_pid();
        kill(pid);
        wait_until("another Redis", || (server.redis_pid() != pid).then_some(()));
        wait_until("the key-value database to answer", || {
            let response = server.post("/command", r#"["get",["kept"]]"#);
            (response.status == 200 && response.json()["repr"] == "'yes'").then_some(())
        });
    }
    uses.wait_for(50);
    let tally = uses.stop();
    assert!(tally.errors.is_empty(), "every call was answered: {:?}", tally.errors);
    assert!(
        tally.statuses.keys().all(|status| matches!(status, 200 | 500 | 503)),
        "{:?}",
        tally.statuses
    );
    assert!(tally.slowest < Duration::from_secs(20), "{:?}", tally.slowest);
    // who does not use it does not notice
    others.stop().expect_all_well();
    assert_eq!(server.status()["workers"][0]["restarts"], 0);
}

#[test]
fn ones_own_redis_by_its_address() {
    let redis = Stock::start();
    let port = redis.port;
    let url = format!("redis://:s3cret@127.0.0.1:{port}/3");
    let server = server()
        .service("command.py", COMMAND)
        .config(&format!("[redis]\nurl = \"{url}\""))
        .start();
    command(&server, &json!(["set", ["mine", "1"]]));
    let output = busbar_testkit::run(Command::new("redis-cli").args([
        "-p",
        &port.to_string(),
        "-a",
        "s3cret",
        "--no-auth-warning",
        "-n",
        "3",
        "get",
        "mine",
    ]));
    assert_eq!(output.stdout.trim(), "1");
    let status = server.status();
    assert_eq!(status["redis"]["is_private"], false);
    assert!(
        !status.to_string().contains("s3cret") && !server.log().contains("s3cret"),
        "{status}"
    );

    // away: an error that services can catch, and the server runs on
    drop(redis);
    let response = server.invoke("command.command", r#"["get",["mine"]]"#);
    assert_eq!(response.status, 500, "{}", response.text());
    server.get("/zato/ping").expect(200);
}

#[test]
fn many_calls_at_once_count_right() {
    let server = server()
        .service("command.py", COMMAND)
        .channel("/command", "command.command")
        .start();
    let address = server.address();
    let threads: Vec<_> = (0..16)
        .map(|_| {
            std::thread::spawn(move || {
                let mut connection = busbar_testkit::Connection::open(address).unwrap();
                for _ in 0..50 {
                    connection
                        .send(&Request::new("POST", "/command").body(r#"["incr",["n"]]"#))
                        .unwrap()
                        .expect(200);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(command(&server, &json!(["get", ["n"]])), "'800'");
}

/// Runs the same commands with redis-py on the same database, and tells what came out differently.
const BESIDE_REDIS_PY: &str = "
import redis
from zato.server.service import Service

ENTRY = {'a': 1, 'b': 'x'}
PLACES = [13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania']

def commands():
    yield from (
        # streams
        ('xadd', ('s', ENTRY), {'id': '1-1'}), ('xadd', ('s', ENTRY, '2-1'), {'maxlen': 100}), ('xlen', ('s',), {}),
        ('xadd', ('t', {'c': 2}), {'id': '5-0'}), ('xadd', ('no', ENTRY), {'nomkstream': True}), ('xrange', ('s',), {}),
        ('xrange', ('s', '-', '+', 1), {}), ('xrevrange', ('s',), {'count': 1}), ('xrange', ('no',), {}),
        ('xread', ({'s': 0, 't': 0},), {}), ('xread', ({'s': '9-9'},), {}), ('xread', ({'s': '9-9'},), {'block': 5}),
        ('xgroup_create', ('s', 'g', '0'), {}), ('xgroup_create', ('new', 'g'), {'mkstream': True}),
        ('xgroup_createconsumer', ('s', 'g', 'idle'), {}), ('xreadgroup', ('g', 'me', {'s': '>'}), {'count': 1}),
        ('xreadgroup', ('g', 'you', {'s': '>'}), {'noack': False}), ('xreadgroup', ('g', 'me', {'s': '>'}), {}),
        ('xpending', ('s', 'g'), {}), ('xpending', ('new', 'g'), {}),
        ('xclaim', ('s', 'g', 'you', 0, ['1-1']), {}), ('xclaim', ('s', 'g', 'me', 0, ('1-1',)), {'justid': True}),
        ('xautoclaim', ('s', 'g', 'you', 0), {}), ('xautoclaim', ('s', 'g', 'me', 0), {'justid': True, 'count': 1}),
        ('xinfo_groups', ('s',), {}), ('xinfo_stream', ('s',), {}),
        ('xack', ('s', 'g', '1-1', '7-7'), {}), ('xgroup_setid', ('s', 'g', '0'), {}), ('xgroup_delconsumer', ('s', 'g', 'me'), {}),
        ('xdel', ('s', '1-1'), {}), ('xtrim', ('s',), {'maxlen': 0, 'approximate': False}), ('xgroup_destroy', ('s', 'g'), {}),
        ('xadd', ('s', {}), {}), ('xtrim', ('s',), {'maxlen': 1, 'minid': 2}),
        # places
        ('geoadd', ('geo', PLACES), {}), ('geoadd', ('geo', [1, 2]), {}), ('geodist', ('geo', 'Palermo', 'Catania'), {}),
        ('geodist', ('geo', 'Palermo', 'Catania', 'km'), {}), ('geodist', ('geo', 'Palermo', 'x'), {}),
        ('geohash', ('geo', 'Palermo', 'x'), {}), ('geopos', ('geo', 'Palermo', 'x'), {}),
        ('geosearch', ('geo',), {'longitude': 15, 'latitude': 37, 'radius': 200, 'unit': 'km', 'sort': 'ASC'}),
        ('geosearch', ('geo',), {'member': 'Palermo', 'width': 400, 'height': 400, 'unit': 'km', 'withdist': True, 'sort': 'DESC'}),
        ('geosearch', ('geo',), {'member': 'Palermo', 'radius': 1, 'withdist': True, 'withcoord': True, 'withhash': True}),
        ('geosearch', ('geo',), {'radius': 1}), ('georadius', ('geo', 15, 37, 200, 'km'), {'sort': 'ASC', 'count': 1}),
        ('georadiusbymember', ('geo', 'Palermo', 1), {'withdist': True}),
        ('geosearchstore', ('near', 'geo'), {'member': 'Palermo', 'radius': 1}),
        # sets and sorted sets
        ('zadd', ('z1', {'a': 1, 'b': 2}), {}), ('zadd', ('z2', {'b': 3, 'c': 4}), {}), ('zunion', (['z1', 'z2'],), {}),
        ('zunion', ({'z1': 2, 'z2': 1},), {'withscores': True}), ('zinter', (['z1', 'z2'],), {'withscores': True, 'aggregate': 'MAX'}),
        ('zdiff', (['z1', 'z2'],), {}), ('zdiff', (['z1', 'z2'],), {'withscores': True}), ('zdiffstore', ('z3', ['z1', 'z2']), {}),
        ('zintercard', (2, ['z1', 'z2']), {}), ('zrangestore', ('z4', 'z1', 0, -1), {}), ('zrandmember', ('none',), {}),
        ('zmpop', (2, ['none', 'z1']), {'min': True}), ('zmpop', (1, ['none']), {'max': True}), ('zmpop', (1, ['z1']), {}),
        ('bzmpop', (1, 1, ['z2']), {'max': True, 'count': 2}), ('zunionstore', ('z5', {'z1': 2, 'z2': 3}), {'aggregate': 'MIN'}),
        ('sadd', ('s1', 'a', 'b'), {}), ('sadd', ('s2', 'b'), {}), ('sintercard', (2, ['s1', 's2']), {}),
        # lists and strings
        ('rpush', ('l', 'a', 'b', 'c'), {}), ('lmpop', (2, 'none', 'l'), {'direction': 'LEFT'}),
        ('blmpop', (1, 1, 'l'), {'direction': 'RIGHT', 'count': 2}), ('lmpop', (1, 'l'), {'direction': 'LEFT'}),
        ('set', ('k1', 'ohmytext'), {}), ('set', ('k2', 'mynewtext'), {}), ('lcs', ('k1', 'k2'), {}), ('lcs', ('k1', 'k2'), {'len': True}),
        ('set', ('text', 'x'), {}), ('bitop', ('AND', 'k3', 'k1', 'k2'), {}), ('bitfield_ro', ('k1', 'u8', 0), {}),
        ('pfadd', ('hll', 'a', 'b'), {}), ('pfcount', ('hll',), {}), ('pfmerge', ('hll2', 'hll'), {}), ('setbit', ('bits', 7, 1), {}),
        ('bitcount', ('bits',), {}), ('bitpos', ('bits', 1), {}), ('sort', ('l',), {'alpha': True, 'get': ['#', '#'], 'groups': True}),
        ('sort_ro', ('l',), {'alpha': True}), ('xinfo_stream', ('s', True), {}), ('hset', ('h', 'a', 1), {}), ('hscan', ('h',), {}),
        ('zrange', ('z2', 0, -1), {'withscores': True, 'score_cast_func': int}), ('zscan', ('z2',), {}), ('zadd', ('z2', {'big': 1e18}), {}),
        ('zrange', ('z2', 0, -1), {'withscores': True, 'score_cast_func': int}), ('zrange', ('z2', 0, -1), {'withscores': True}),
        # scripts and functions
        ('function_flush', (), {}), ('function_load', ('#!lua name=lib\\nredis.register_function([[f]], function(k, a) return a end)',), {}),
        ('fcall', ('f', 0, 'x', 1), {}), ('function_list', (), {}), ('function_list', ('none',), {'withcode': True}),
        ('function_load', ('#!lua name=lib\\nredis.register_function([[f]], function(k, a) return a end)', True), {}),
        ('function_delete', ('lib',), {}), ('eval_ro', ('return {1, KEYS[1]}', 1, 'k'), {}), ('script_load', ('return 1',), {}),
        ('evalsha_ro', ('e0e1f9fabfc9d4800c877a703b823ac0578ff8db', 0), {}), ('evalsha', ('0' * 40, 0), {}), ('script_kill', (), {}),
        # the server, its users and clients
        ('acl_cat', ('scripting',), {}), ('acl_help', (), {}), ('acl_list', (), {}), ('acl_whoami', (), {}), ('acl_users', (), {}),
        ('acl_setuser', ('u',), {'enabled': True, 'passwords': ['+p'], 'categories': ['+@read'], 'keys': ['a*'],
                                 'commands': ['+set'], 'channels': ['c'], 'selectors': [('+get', '%R~b*')], 'reset': True}),
        ('acl_getuser', ('u',), {}), ('acl_getuser', ('none',), {}), ('acl_getuser', ('default',), {}), ('acl_dryrun', ('u', 'get', 'x'), {}),
        ('acl_deluser', ('u', 'none'), {}), ('acl_log', (), {}), ('acl_log_reset', (), {}), ('acl_genpass', (9000,), {}), ('acl_save', (), {}),
        ('client_getredir', (), {}), ('client_trackinginfo', (), {}), ('client_pause', (1,), {'all': False}), ('client_unpause', (), {}),
        ('client_unblock', (99999999,), {}), ('client_kill', ('1.1.1.1:1',), {}), ('client_kill_filter', (), {'_id': '99999999'}),
        ('client_list', (), {'_type': 'replica'}), ('client_list', (), {'_type': 'x'}), ('command_count', (), {}),
        ('command_getkeys', ('MSET', 'a', 1, 'b', 2), {}), ('command_list', (), {'category': 'scripting'}),
        ('command_getkeysandflags', ('SET', 'a', 1), {}), ('config_get', ('maxmemory*',), {}), ('config_get', ('maxmemory', 'save'), {}),
        ('config_set', ('maxmemory-samples', 5), {}), ('config_resetstat', (), {}), ('debug_object', ('none',), {}),
        ('latency_latest', (), {}), ('latency_history', ('command',), {}), ('latency_reset', (), {}), ('memory_purge', (), {}),
        ('module_list', (), {}), ('object', ('encoding', 'k1'), {}), ('role', (), {}), ('slowlog_reset', (), {}), ('slowlog_len', (), {}),
        ('swapdb', (3, 4), {}), ('wait', (0, 10), {}), ('lastsave', (), {}), ('pubsub_channels', (), {}), ('pubsub_numsub', ('a', 'b'), {}),
        ('pubsub_numpat', (), {}), ('pubsub_shardchannels', (), {}), ('pubsub_shardnumsub', ('a',), {}), ('spublish', ('a', 'x'), {}),
        ('cluster', ('info',), {}), ('replicaof', ('no', 'one'), {}), ('migrate', ('127.0.0.1', 1, [], 0, 1), {}),
        ('migrate', ('127.0.0.1', 1, 'none', 0, 1), {'copy': True}), ('hexpire', ('h', 10, 'a'), {'nx': True, 'xx': True}),
        ('lolwut', (), {}), ('dump', ('k1',), {}), ('memory_usage', ('none',), {}), ('client_getname', (), {}),
    )

def run(conn):
    conn.flushdb()
    for name, args, kwargs in commands():
        try:
            result = getattr(conn, name)(*args, **kwargs)
        except (redis.RedisError, ValueError) as error:
            result = type(error).__name__
        # Redis has no order for these
        if name in ('acl_cat', 'command_list') and isinstance(result, list):
            result = sorted(result)
        yield name, args, kwargs, repr(result)
    conn.xadd('r', ENTRY, id='1-1')
    conn.xgroup_create('r', 'g', 0)
    conn.xreadgroup('g', 'me', {'r': '>'})
    # how long ago is different every time
    pending = [record for record in conn.xpending_range('r', 'g', '-', '+', 10, 'me') if record.pop('time_since_delivered') >= 0]
    yield 'xpending_range', (), {}, repr(pending)

class Beside(Service):
    def handle(self):
        ours = self.kvdb.conn
        path = ours.config_get('unixsocket')['unixsocket']
        theirs = redis.Redis(unix_socket_path=path, decode_responses=True, protocol=2)
        both = list(zip(list(run(ours)), list(run(theirs))))
        self.response.payload = {
            'count': len(both), 'different': [[repr(our[:3]), our[3], their[3]] for our, their in both if our[3] != their[3]],
        }
";

#[test]
fn streams_places_and_sets_are_what_redis_py_makes_of_them() {
    let server = server().service("beside.py", BESIDE_REDIS_PY).start();
    let got = server.invoke("beside.beside", "").expect(200).json();
    assert!(got["count"].as_u64().unwrap() > 70, "{got}");
    assert_eq!(got["different"], json!([]));
}

/// Every public name of redis-py's client: it is there, or its absence has a reason.
const NAMES: &str = "
import inspect
import redis
from zato.server.service import Service

class Names(Service):
    def handle(self):
        conn, missing, differs = self.kvdb.conn, [], []
        for name in dir(redis.Redis):
            if name.startswith('_'):
                continue
            try:
                getattr(conn, name)
            except AttributeError as error:
                if 'is not offered: ' not in str(error):
                    missing.append(name)
        self.response.payload = {'missing': missing, 'count': len(dir(conn))}

class Threads(Service):
    def handle(self):
        # redis-py itself, beside
        path = self.kvdb.conn.config_get('unixsocket')['unixsocket']
        theirs = redis.Redis(unix_socket_path=path, decode_responses=True)
        theirs.set('theirs', 1)
        lock = theirs.lock('shared-lock', timeout=5)
        with lock:
            ours = self.kvdb.conn.lock('shared-lock', blocking=False).acquire()
        try:
            self.kvdb.conn.lock('never-taken').release()
        except redis.exceptions.LockError as error:
            caught = error.lock_name
        self.response.payload = {'read': self.kvdb.conn.get('theirs'), 'ours': ours, 'caught': caught}
";

#[test]
fn every_method_of_redis_py_is_there_or_has_a_reason() {
    let server = server().service("names.py", NAMES).start();
    let got = server.invoke("names.names", "").expect(200).json();
    assert_eq!(got["missing"], json!([]));
    assert!(got["count"].as_u64().unwrap() > 250, "{got}");
    let got = server.invoke("names.threads", "").expect(200).json();
    assert_eq!(got, json!({"read": "1", "ours": false, "caught": "never-taken"}));
}

/// What libraries do with a client that they are given.
const LIBRARY: &str = "
import copy
import sys
from zato.server.service import Service

class Library(Service):
    def handle(self):
        ours = self.kvdb.conn
        assert 'redis' not in sys.modules and type(ours) is ours.__class__
        import redis
        import redis.lock
        from redis.commands.core import Script
        path = ours.config_get('unixsocket')['unixsocket']
        theirs = redis.Redis(unix_socket_path=path, decode_responses=True)
        for client in (ours, self.kvdb.conn_bytes, self.kvdb):
            assert isinstance(client, redis.Redis) and not isinstance(client, redis.client.Pipeline)
            assert copy.copy(client) is client and copy.deepcopy([client])[0] is client
            script = Script(client, 'return redis.call(\"INCRBY\", KEYS[1], ARGV[1])')
            ours.script_flush()
            ours.delete('n')
            assert script(keys=['n'], args=[2]) == 2 == int(client.get('n'))
            lock = redis.lock.Lock(client, 'lock', timeout=5)
            assert lock.acquire(token='mine') and lock.owned() and lock.extend(1) and lock.reacquire() and lock.release() is None
            with client.lock('lock', timeout=5, lock_class=redis.lock.Lock) as lock:
                assert lock.owned()
        # the class keeps the scripts of the first client; with another one they have to go there
        elsewhere = redis.Redis(unix_socket_path=path, db=5)
        with redis.lock.Lock(elsewhere, 'lock', timeout=5) as lock:
            assert lock.owned() and not ours.exists('lock')
        pipe = ours.pipeline()
        assert isinstance(pipe, redis.client.Pipeline) and isinstance(pipe, redis.Redis)
        script = Script(ours, 'return ARGV[1]')
        ours.script_flush()
        script(args=['x'], client=pipe)
        assert pipe.scripts == {script} and pipe.execute() == ['x'] and pipe.scripts == set()
        assert Script(pipe, 'return 1')() is pipe and pipe.execute() == [1]
        script = ours.register_script('return ARGV[1]')
        assert script(args=['x'], client=theirs) == 'x' == script(args=['x'], client=self.kvdb) and script.registered_client is ours
        assert ours.get_encoder().encode(1.5) == b'1.5' and ours.get_encoder().decode(b'x') == 'x'
        assert self.kvdb.conn_bytes.get_encoder().decode(b'x') == b'x'
        try:
            ours.get_encoder().encode(True)
        except redis.DataError as error:
            assert 'bool' in str(error)
        settings = ours.connection_pool.connection_kwargs
        assert settings == ours.get_connection_kwargs() and settings['decode_responses'] is True
        assert ours.connection_pool.disconnect() is None
        self.response.payload = 'well'
";

#[test]
fn libraries_take_the_client_for_one_of_redis_py() {
    let server = server()
        .service("library.py", LIBRARY)
        .config("[calls]\nreturn_tracebacks = true\n")
        .start();
    assert_eq!(server.invoke("library.library", "").expect(200).text(), "well");
}

#[test]
fn a_refused_password_is_told_with_the_redis_that_refused_it() {
    let redis = Stock::start();
    let address = format!("127.0.0.1:{}", redis.port);
    let server = server()
        .service("command.py", COMMAND)
        .config(&format!("[redis]\nurl = \"redis://:wr0ng@{address}\""))
        .start();
    wait_until("the hub to say so", || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("cannot read the queue"))?;
        assert!(line.contains("does not accept the user name or the password"), "{line}");
        assert!(line.contains(&address), "{line}");
        Some(())
    });
    let answer = server.invoke("command.command", r#"["get",["mine"]]"#);
    assert_eq!(answer.status, 500, "{}", answer.text());
    let log = server.log();
    assert!(log.contains(&format!("cannot log in to Redis at `{address}`")), "{log}");
    assert!(!log.contains("wr0ng"), "{log}");
}

const WAITING: &str = "
from zato.server.service import Service

class Wait(Service):
    def handle(self):
        sub = self.kvdb.conn.pubsub(ignore_subscribe_messages=True)
        sub.subscribe('news')
        for message in sub.listen():
            self.response.payload = {'got': message['data']}
            break

class Pop(Service):
    def handle(self):
        self.response.payload = {'got': self.kvdb.conn.blpop('queue', timeout=20)}

class Send(Service):
    def handle(self):
        conn = self.kvdb.conn
        self.response.payload = {'waiting': conn.pubsub_numsub('news')[0][1]}
        if self.request.raw_request:
            conn.publish('news', 'here')
            conn.rpush('queue', *range(4))
";

#[test]
fn those_who_wait_for_messages_hold_nobody_up_and_end_with_their_call() {
    let server = server()
        .config("[workers]\ncount = 1\nmax_threads = 16")
        .service("waiting.py", WAITING)
        .start();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8)
            .map(|number| {
                let server = &server;
                let service = if number % 2 == 0 { "waiting.wait" } else { "waiting.pop" };
                scope.spawn(move || server.invoke(service, "").expect(200).json())
            })
            .collect();
        wait_until("everybody to wait", || {
            let answer = server.invoke("waiting.send", "").expect(200).json();
            (answer["waiting"] == 4).then_some(())
        });
        server.invoke("waiting.send", "true").expect(200);
        let got: Vec<_> = waiting.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        assert_eq!(
            got.iter().filter(|answer| answer["got"] == "here").count(),
            4,
            "{got:?}"
        );
    });
}

const FURTHER: &str = "
from zato.server.service import Service

class Further(Service):
    def handle(self):
        stock = self.outgoing.redis['Stock']
        assert 'Stock' in self.out.redis and 'Other' not in self.out.redis
        stock.conn.incr('n')
        self.kvdb.conn.set('own', 1)
        self.response.payload = {
            'port': stock.conn.config_get('port')['port'], 'own': stock.conn.get('own'), 'same': self.out.redis.conn.get('own'),
            # nothing is there yet in the call during which the server is changed
            'bytes': repr((self.out.redis.get('Stock').conn_bytes.get('n') or b'')[:0]),
        }

class Ping(Service):
    def handle(self):
        try:
            self.response.payload = {'ping': self.out.redis.get('Stock').ping()}
        except Exception as error:
            self.response.payload = {'error': f'{type(error).__name__}: {error}'}
";

/// A server on a free port, with a password.
pub struct Stock {
    port: u16,
    child: std::process::Child,
    _home: tempfile::TempDir,
}

impl Stock {
    pub fn start() -> Self {
        let port = busbar_testkit::free_port();
        let home = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--requirepass",
                "s3cret",
                "--dir",
            ])
            .arg(home.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("Redis to listen", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            port,
            child,
            _home: home,
        }
    }

    /// The object of this server, in an enmasse file.
    pub fn item(&self) -> Value {
        json!({"name": "Stock", "host": "127.0.0.1", "port": self.port, "password": "s3cret", "timeout": 3})
    }

    fn object(&self) -> String {
        json!({"outconn_redis": [self.item()]}).to_string()
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn further_servers_are_objects_that_change_without_failing_a_call() {
    let (first, second) = (Stock::start(), Stock::start());
    let server = server()
        .service("further.py", FURTHER)
        .channel("/further", "further.further")
        .start();
    server.import(&first.object()).expect_code(0);
    let got = server.invoke("further.further", "").expect(200).json();
    let expected = json!({"port": first.port.to_string(), "own": null, "same": "1", "bytes": "b''"});
    assert_eq!(got, expected);
    assert_eq!(
        server.invoke("further.ping", "").expect(200).json(),
        json!({"ping": true})
    );
    let load = Load::start(
        server.address(),
        4,
        Duration::from_millis(1),
        Request::new("POST", "/further").body("1"),
    );
    load.wait_for(50);
    let mut import = server.command("enmasse");
    std::fs::write(server.directory().join("second.json"), second.object()).unwrap();
    import
        .arg(server.directory())
        .args(["--import", "--replace", "--input"])
        .arg(server.directory().join("second.json"));
    busbar_testkit::run(&mut import).expect_code(0);
    wait_until("the other server to be used", || {
        let got = server.invoke("further.further", "").expect(200).json();
        (got["port"].as_str() == Some(second.port.to_string().as_str())).then_some(())
    });
    load.wait_for(50);
    load.stop().expect_all_well();
    drop(second);
    let error = server.invoke("further.ping", "").expect(200).json()["error"].to_string();
    assert!(
        error.contains("ConnectionError") && error.contains("127.0.0.1"),
        "{error}"
    );
    assert!(!server.log().contains("s3cret"));
}
