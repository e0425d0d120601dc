//! The face against a real Redis. Keys begin with a prefix of their own and are removed.

use crate::testing::{attach, deploy};

fn passes(code: &str) {
    let indented: String = code.lines().map(|line| format!("            {line}\n")).collect();
    let code = format!(
        "
import uuid, time, datetime
class S(Service):
    def handle(self):
        r = self.kvdb.conn
        p = 'busbar-test:' + uuid.uuid4().hex + ':'
        def fails(name, call, *args, **kwargs):
            from busbar.kvdb import exceptions
            try: call(*args, **kwargs)
            except getattr(exceptions, name) as e: return str(e)
            else: assert False, name
        try:
{indented}
        finally:
            for key in list(r.scan_iter(p + '*', count=1000)): r.delete(key)
        self.response.payload = 'ok'
"
    );
    attach(|py| {
        let deployed = deploy(py, &code);
        assert_eq!(deployed.text(py, "s", ""), "ok");
    });
}

#[test]
fn strings_and_keys() {
    passes(
        "
assert r.set(p + 'a', 'é') is True and r.get(p + 'a') == 'é' and r.get(p + 'b') is None
assert r.set(p + 'a', 1, nx=True) is None and r.set(p + 'a', 1.5, ex=100, xx=True) is True and r.ttl(p + 'a') > 90
assert r.set(p + 'a', b'x', px=datetime.timedelta(seconds=50), get=True) == '1.5' and 0 < r.pttl(p + 'a') <= 50000
assert r.incr(p + 'n') == 1 and r.incr(p + 'n', 5) == 6 and r.decr(p + 'n', amount=2) == 4 and r.incrbyfloat(p + 'n', 0.5) == 4.5
assert r.mset({p + 'x': 1, p + 'y': 2}) is True and r.mget(p + 'x', p + 'y', p + 'z') == ['1', '2', None] == r.mget([p + 'x', p + 'y', p + 'z'])
assert r.mget([]) == [] == r.mget(()) and r.mget({p + 'x': 0}.keys()) == ['1'] == r.mget(map(str, [p + 'x']))
assert r.pipeline().get(p + 'x').mget([]).get(p + 'y').execute() == ['1', [], '2'] and r.pipeline(False).mget([]).execute() == [[]]
assert r.msetnx({p + 'x': 1}) is False and r.setnx(p + 'w', 1) is True and r.append(p + 'w', 23) == 3 and r.strlen(p + 'w') == 3
assert r.getrange(p + 'w', 0, 1) == '12' and r.getset(p + 'w', 'v') == '123' and r.getdel(p + 'w') == 'v'
assert r.setex(p + 'e', 100, 'v') is True and r.psetex(p + 'e', 100000, 'v') is True
assert r.exists(p + 'e', p + 'x', p + 'none') == 2 and r.type(p + 'x') == 'string' and r.persist(p + 'e') is True
assert r.expire(p + 'x', 100) is True and r.expire(p + 'none', 1) is False and r.expireat(p + 'x', int(time.time()) + 50) is True
assert r.expire(p + 'x', datetime.timedelta(seconds=60)) and 50 < r.ttl(p + 'x') <= 60 and r.ttl(p + 'none') == -2
assert r.rename(p + 'x', p + 'r') is True and r.renamenx(p + 'r', p + 'y') is False and sorted(r.keys(p + '[ry]')) == [p + 'r', p + 'y']
assert r.delete(p + 'r', p + 'y') == 2 and r.unlink(p + 'none') == 0 and r.copy(p + 'n', p + 'm') is True
assert r[p + 'n'] == '4.5' and p + 'n' in r and p + 'none' not in r
r[p + 'i'] = 'item'
del r[p + 'i']
try: r[p + 'i']
except KeyError: pass
else: assert False
assert r.ping() is True and r.echo('x') == 'x' and len(r.time()) == 2 and r.dbsize() > 0 and r.info('server')['redis_version']
assert self.kvdb.get(p + 'n') == '4.5' and self.out.redis.conn.get(p + 'n') == '4.5'
",
    );
}

#[test]
fn hashes_lists_and_sets() {
    passes(
        "
h = p + 'h'
assert r.hset(h, 'a', 1) == 1 and r.hset(h, mapping={'b': 2, 'c': 'x'}) == 2 and r.hset(h, items=['d', 4]) == 1
assert r.hgetall(h) == {'a': '1', 'b': '2', 'c': 'x', 'd': '4'} and r.hgetall(p + 'none') == {}
assert r.hget(h, 'a') == '1' and r.hget(h, 'z') is None and r.hmget(h, 'a', 'z') == ['1', None] == r.hmget(h, ['a', 'z'])
assert r.hmset(h, {'a': 5}) is True and r.hincrby(h, 'a') == 6 and r.hincrbyfloat(h, 'a', 0.5) == 6.5
assert r.hexists(h, 'a') is True and r.hlen(h) == 4 and sorted(r.hkeys(h)) == ['a', 'b', 'c', 'd'] and len(r.hvals(h)) == 4
assert repr(r.hsetnx(h, 'a', 1)) == '0' and r.hdel(h, 'a', 'b', 'z') == 2 and dict(r.hscan_iter(h)) == {'c': 'x', 'd': '4'}
assert r.hscan(h) == (0, {'c': 'x', 'd': '4'}) and r.hstrlen(h, 'c') == 1
l = p + 'l'
assert r.rpush(l, 'a', 'b') == 2 and r.lpush(l, 'z') == 3 and r.lrange(l, 0, -1) == ['z', 'a', 'b'] and 'a' in r.lrange(l, 0, -1)
assert r.llen(l) == 3 and r.lindex(l, 0) == 'z' and r.lset(l, 0, 'y') is True and r.linsert(l, 'BEFORE', 'a', 'x') == 4
assert r.lpop(l) == 'y' and r.rpop(l) == 'b' and r.lpop(p + 'none') is None and r.rpush(l, 1, 2, 3) == 5 and r.lpop(l, 2) == ['x', 'a']
assert r.lrem(l, 0, 1) == 1 and r.ltrim(l, 0, 0) is True and r.rpoplpush(l, p + 'l2') == '2' and r.lmove(p + 'l2', l) == '2'
assert r.blpop(l, timeout=1) == (l, '2') and r.blpop([l, p + 'l3'], timeout=0.05) is None and r.lpos(l, 'x') is None
r.rpush(l, 3, 1, 2)
assert r.sort(l) == ['1', '2', '3'] and r.sort(l, desc=True, start=0, num=1) == ['3']
s = p + 's'
assert r.sadd(s, 'a', 'b') == 2 and r.smembers(s) == {'a', 'b'} and repr([r.sismember(s, 'a'), r.sismember(s, 'z'), *r.smismember(s, 'ab')]) == '[1, 0, 0]'
assert r.scard(s) == 2 and r.sadd(p + 's2', 'b', 'c') == 2 and r.sinter(s, p + 's2') == {'b'} and r.sunion([s, p + 's2']) == {'a', 'b', 'c'}
assert r.sdiff(s, p + 's2') == {'a'} and r.sunionstore(p + 's3', s, p + 's2') == 3 and repr(r.smismember(s, ['a', 'z'])) == '[1, 0]'
assert r.srem(s, 'a', 'z') == 1 and r.smove(s, p + 's2', 'b') is True and r.spop(s) is None and set(r.sscan_iter(p + 's3')) == {'a', 'b', 'c'}
assert r.srandmember(p + 's3') in 'abc' and len(r.srandmember(p + 's3', 2)) == 2 and r.sscan(p + 's2')[0] == 0
",
    );
}

#[test]
fn sorted_sets_scans_and_scripts() {
    passes(
        "
z = p + 'z'
assert r.zadd(z, {'a': 1, 'b': 2.5}) == 2 and r.zadd(z, {'a': 3}, nx=True) == 0 and r.zadd(z, {'a': 1}, incr=True) == 2.0
assert r.zrange(z, 0, -1) == ['a', 'b'] and r.zrange(z, 0, -1, withscores=True) == [('a', 2.0), ('b', 2.5)]
assert r.zrevrange(z, 0, 0, withscores=True) == [('b', 2.5)] and r.zrange(z, 0, 0, desc=True) == ['b']
assert r.zrangebyscore(z, '-inf', '+inf', start=0, num=1) == ['a'] and r.zrevrangebyscore(z, 3, 2.1) == ['b']
assert r.zscore(z, 'a') == 2.0 and r.zscore(z, 'x') is None and r.zmscore(z, ['a', 'x']) == [2.0, None]
assert r.zincrby(z, 1.5, 'a') == 3.5 and r.zrank(z, 'a') == 1 and r.zrevrank(z, 'a') == 0 and r.zrank(z, 'x') is None
assert r.zcard(z) == 2 and r.zcount(z, 0, 10) == 2 and r.zunionstore(p + 'z2', {z: 2}) == 2 and r.zscore(p + 'z2', 'a') == 7.0
assert r.zpopmin(z) == [('b', 2.5)] and r.zrem(z, 'a', 'x') == 1 and r.zremrangebyscore(p + 'z2', 0, 6) == 1
assert list(r.zscan_iter(p + 'z2')) == [('a', 7.0)] and r.bzpopmax(p + 'z2', timeout=1) == (p + 'z2', 'a', 7.0) and r.bzpopmin(p + 'z2', 0.05) is None
for i in range(250): r.set(p + 'k%d' % i, i)
assert len(set(r.scan_iter(match=p + 'k*', count=50))) == 250 and len(list(r.scan_iter(p + 'k1?'))) == 10
cursor, keys = r.scan(0, match=p + 'k*')
assert isinstance(cursor, int) and isinstance(keys, list)
assert r.eval('return {KEYS[1], ARGV[1], 3}', 1, 'k', 'v') == ['k', 'v', 3]
script = r.register_script('return redis.call(\"INCRBY\", KEYS[1], ARGV[1]) + %d' % int(time.time()))
assert script(keys=[p + 'c'], args=[5]) == script([p + 'c'], [0]) and len(script.sha) == 40
assert r.script_exists(script.sha, '0' * 40) == [True, False] and r.evalsha(script.sha, 1, p + 'c', 0)
fails('NoScriptError', r.evalsha, '0' * 40, 0)
assert r.publish(p + 'channel', 'x') == 0
assert r.execute_command('SET', p + 'm', 1) is True and r.execute_command('HGETALL', p + 'none') == {}
assert r.execute_command('ZADD', p + 'q', 1, 'a') == 1 and r.execute_command('ZRANGE', p + 'q', 0, -1, 'WITHSCORES') == ['a', '1']
assert r.execute_command('zrange', p + 'q', 0, -1, 'WITHSCORES', withscores=True, score_cast_func=int) == [('a', 1)]
assert r.execute_command('CONFIG', 'GET', 'maxmemory')[0] == 'maxmemory' and 'maxmemory' in r.execute_command('config get', 'maxmemory')
assert r.execute_command('SET ' + p + 'm 1') == 'OK' and r.execute_command('ZPOPMIN', p + 'q') == ['a', '1']
assert 'Invalid input of type' in fails('DataError', r.execute_command, 'MGET', [p + 'm'])
assert r.execute_command('OBJECT ENCODING', p + 'm') == 'int' and r.execute_command('CONFIG GET', 'appendonly')
",
    );
}

#[test]
fn pipelines() {
    passes(
        "
with r.pipeline() as pipe:
    assert pipe.set(p + 'a', 1).incr(p + 'a') is pipe and len(pipe) == 2
    pipe.hgetall(p + 'h').zadd(p + 'z', {'m': 1}).zrange(p + 'z', 0, -1, withscores=True)
    assert pipe.execute() == [True, 2, {}, 1, [('m', 1.0)]] and len(pipe) == 0 and pipe.execute() == []
pipe = r.pipeline(transaction=False)
pipe.set(p + 'a', 'x'); pipe.incr(p + 'a'); pipe.get(p + 'a')
message = fails('ResponseError', pipe.execute)
assert 'Command # 2 (INCRBY' in message and 'of pipeline caused error' in message, message
pipe.incr(p + 'a'); pipe.get(p + 'a')
results = pipe.execute(raise_on_error=False)
assert isinstance(results[0], Exception) and results[1] == 'x' and 'pipeline' not in str(results[0])
pipe = r.pipeline()
pipe.watch(p + 'a')
assert pipe.get(p + 'a') == 'x'
r.set(p + 'a', 'changed')
pipe.multi()
pipe.set(p + 'a', 'mine')
fails('WatchError', pipe.execute)
assert r.get(p + 'a') == 'changed'
# also with nothing to do
for is_multi in (True, False):
    pipe.watch(p + 'a')
    if is_multi: pipe.multi()
    r.append(p + 'a', 'd')
    assert 'Watched variable changed' in fails('WatchError', pipe.execute) and not pipe.watching
    pipe.watch(p + 'a')
    assert pipe.watching and pipe.execute() == [] and not pipe.watching
pipe.execute_command('WATCH', p + 'a')
assert pipe.watching and pipe.mget([]) == [] and pipe.execute_command('UNWATCH') and not pipe.watching and pipe.get(p + 'a') is pipe
pipe.reset()
pipe.watch(p + 'a'); pipe.multi(); pipe.set(p + 'a', 'mine')
assert pipe.execute() == [True] and r.get(p + 'a') == 'mine'
tries = []
def change(pipe):
    value = pipe.get(p + 'a')
    if not tries: r.set(p + 'a', 'meanwhile')
    tries.append(value)
    pipe.multi()
    pipe.set(p + 'a', value + '!')
assert r.transaction(change, p + 'a') == [True] and r.get(p + 'a') == 'meanwhile!' and len(tries) == 2
pipe.execute_command('SET', p + 'a', 1)
script = r.register_script('return 1')
script(client=pipe)
assert pipe.execute() == [True, 1]
for is_raised in (True, False):
    # none of them is run, so there is nothing to give either
    queued = r.pipeline().set(p + 'b', 1).mget([]).execute_command('NO.SUCH', 1)
    message = fails('ResponseError', queued.execute, is_raised)
    assert message.startswith(\"Command # 3 (NO.SUCH 1) of pipeline caused error: unknown command\"), message
    assert not r.exists(p + 'b')
mine = r.pipeline()
mine.register_script('return ARGV[1]')(args=['x'])
mine.get(p + 'a')
assert mine.command_stack == [(('EVAL', 'return ARGV[1]', '0', 'x'), {}), (('GET', p + 'a'), {})] and len(mine) == 2
assert mine.execute() == ['x', '1'] and mine.command_stack == [] and mine.scripts == set()
assert (mine.watching, mine.explicit_transaction, mine.transaction) == (False, False, True)
with mine.lock(p + 'lock', timeout=5): assert r.exists(p + 'lock')
try: mine.register
except AttributeError as e: assert 'a pipeline has no attribute' in str(e) and 'REGISTER' not in str(e), e
",
    );
}

#[test]
fn failures_are_what_users_of_redis_py_catch() {
    passes(
        "
r.set(p + 'a', 'x')
assert 'WRONGTYPE' in fails('ResponseError', r.lpush, p + 'a', 1)
for bad in (None, True, object(), {}, [1]):
    assert 'Invalid input of type' in fails('DataError', r.set, p + 'a', bad)
fails('DataError', r.hset, p + 'h')
fails('DataError', r.hset, p + 'h', 'key', None)
fails('DataError', r.zadd, p + 'z', {})
fails('ResponseError', r.execute_command, 'NO.SUCH')
for call in (lambda: r.get(), lambda: r.get(1, 2), lambda: r.get(nonsense=1), lambda: r.set(p), lambda: r.set(p, 1, nonsense=1)):
    try: call()
    except TypeError: pass
    else: assert False
for name in ('nonsense', 'monitor', 'json', 'select'):
    assert not hasattr(r, name)
try: r.monitor
except AttributeError as e: assert 'redis-cli' in str(e), e
assert hasattr(r, 'lrange') and 'lrange' in dir(r)
",
    );
}

#[test]
fn wrong_arguments_are_told_in_the_words_of_redis_py() {
    passes(
        "
z = p + 'z'
for words, call in [
    ('ex must be datetime.timedelta or int', lambda: r.set(z, 1, ex=1.5)),
    ('px must be datetime.timedelta or int', lambda: r.set(z, 1, px='soon')),
    ('``ex``, ``px``, ``exat``, ``pxat``, and ``persist`` are mutually exclusive.', lambda: r.getex(z, ex=1, persist=True)),
    ('``offset`` and ``num`` must both be specified.', lambda: r.zrange(z, 0, -1, offset=1)),
    ('``byscore`` and ``bylex`` can not be specified together.', lambda: r.zrange(z, 0, -1, byscore=True, bylex=True)),
    ('``withscores`` not supported in combination with ``bylex``.', lambda: r.zrange(z, '-', '+', bylex=True, withscores=True)),
    ('ZADD requires at least one element/score pair', lambda: r.zadd(z, {})),
    (\"ZADD allows either 'nx' or 'xx', not both\", lambda: r.zadd(z, {'a': 1}, nx=True, xx=True)),
    (\"ZADD allows either 'gt' or 'lt', not both\", lambda: r.zadd(z, {'a': 1}, gt=True, lt=True)),
    (\"ZADD option 'incr' only works when passing a single element/score pair\", lambda: r.zadd(z, {'a': 1, 'b': 2}, incr=True)),
    (\"'hset' with no key value pairs\", lambda: r.hset(z, mapping={})),
    (\"Invalid input of type: 'NoneType'. Convert to a bytes, string, int or float first.\", lambda: r.hset(z, 'a')),
    ('``start`` and ``num`` must both be specified', lambda: r.sort(z, start=1)),
    ('XREAD streams must be a non empty dict', lambda: r.xread({})),
    ('XREADGROUP streams must be a non empty dict', lambda: r.xreadgroup('g', 'c', {})),
    ('XREAD count must be a positive integer', lambda: r.xread({z: 0}, count=0)),
    ('XREADGROUP block must be a non-negative integer', lambda: r.xreadgroup('g', 'c', {z: 0}, block=-1)),
    ('Both start and end must be specified', lambda: r.bitcount(z, 1)),
    ('bit must be 0 or 1', lambda: r.bitpos(z, 2)),
    ('start argument is not set, when end is specified', lambda: r.bitpos(z, 1, end=5)),
    ('GEOSEARCH member and longitude or latitude cant be set together', lambda: r.geosearch(z, member='a', longitude=1, radius=1)),
    ('GEOSEARCH radius and width or height cant be set together', lambda: r.geosearch(z, member='a', radius=1, width=1, height=1)),
]:
    said = fails('DataError', call)
    assert said == words, said
assert r.set(z, 1, ex='10') is True and r.ttl(z) == 10
for name, said in [('nonsense', 'has no attribute `nonsense`'), ('json', 'is not offered'), ('register', 'NAME OF THE COMMAND')]:
    try: getattr(r, name)
    except AttributeError as e: assert said in str(e) and 'NONSENSE' not in str(e), e
    else: assert False
",
    );
}

#[test]
fn an_entry_that_was_deleted_has_no_fields() {
    passes(
        "
s = p + 's'
r.xadd(s, {'a': 1}, id='1-1'); r.xgroup_create(s, 'g', 0); r.xreadgroup('g', 'c', {s: '>'}); r.xdel(s, '1-1')
assert r.xreadgroup('g', 'c', {s: '0'}) == [[s, [('1-1', {})]]]
",
    );
}

#[test]
fn the_database_is_a_dictionary_and_subscribes() {
    passes(
        "
assert repr(self.redis) == '<kvdb>' and self.redis.conn.get(p + 'none') is None
self.kvdb[p + 'a'] = 1
assert self.kvdb[p + 'a'] == '1' and p + 'a' in self.redis
del self.redis[p + 'a']
assert p + 'a' not in self.kvdb
got = []
with self.kvdb.subscribe(p + 'c', **{p + 'd': got.append}) as sub:
    assert set(sub.channels) == {p + 'c', p + 'd'}
    assert [sub.get_message(timeout=5)['type'] for _ in range(2)] == ['subscribe'] * 2
    assert self.kvdb.publish(p + 'c', 'x') == 1 and sub.get_message(timeout=5)['data'] == 'x'
    sub.ping('hey')
    assert sub.get_message(timeout=5) == {'type': 'pong', 'pattern': None, 'channel': None, 'data': 'hey'}
",
    );
}

#[test]
fn a_redis_that_is_away_is_a_connection_error() {
    attach(|py| {
        let mut deployed = deploy(
            py,
            "
class S(Service):
    def handle(self):
        from busbar.kvdb.exceptions import ConnectionError
        try: self.kvdb.conn.get('x')
        except ConnectionError as e: self.response.payload = 'ok'
class None_(Service):
    def handle(self):
        self.kvdb.conn.get('x')
",
        );
        let client = |url: &str| {
            let config = busbar_connectors::redis::RedisConfig {
                patience: std::time::Duration::ZERO,
                ..busbar_connectors::redis::RedisConfig::new(url)
            };
            busbar_connectors::redis::RedisClient::new(config).unwrap()
        };
        std::sync::Arc::get_mut(&mut deployed.environment).unwrap().redis = Some(client("redis://127.0.0.1:9"));
        assert_eq!(deployed.text(py, "s", ""), "ok");
        std::sync::Arc::get_mut(&mut deployed.environment).unwrap().redis = None;
        let fault = deployed.fault(py, "none_", &crate::testing::Request::default());
        assert!(fault.details.unwrap().to_string().contains("no key/value database"));
    });
}

#[test]
fn messages_of_others() {
    passes(
        "
import threading
sub = r.pubsub(ignore_subscribe_messages=True)
assert not sub.subscribed and sub.get_message() is None
sub.subscribe(p + 'a', p + 'b')
sub.psubscribe(**{p + 'x*': lambda message: got.append(message)})
got = []
assert sub.subscribed and set(sub.channels) == {p + 'a', p + 'b'}
def take():
    until = time.monotonic() + 5
    while time.monotonic() < until:
        message = sub.get_message(timeout=0.05)
        if message: return message
while r.pubsub_numsub(p + 'b') != [(p + 'b', 1)] or not r.pubsub_numpat(): pass
assert r.publish(p + 'a', 'é') == 1 and r.publish(p + 'x1', 'handled') == 1 and r.publish(p + 'b', 2) == 1
assert take() == {'type': 'message', 'pattern': None, 'channel': p + 'a', 'data': 'é'}
assert take() == {'type': 'message', 'pattern': None, 'channel': p + 'b', 'data': '2'}
assert got == [{'type': 'pmessage', 'pattern': p + 'x*', 'channel': p + 'x1', 'data': 'handled'}]
assert sub.get_message() is None and sub.get_message(timeout=0.01) is None
fails('PubSubError', sub.run_in_thread)
# the connection goes: one error, then everything is subscribed to anew
id = [c['id'] for c in r.client_list(_type='pubsub') if c['psub'] == '1' and c['sub'] == '2'][0]
assert r.client_kill_filter(_id=id) == 1
fails('ConnectionError', lambda: [sub.get_message(timeout=5) for _ in range(2)])
assert sub.get_message(timeout=0.5) is None
while r.publish(p + 'a', 'again') == 0: pass
assert take()['data'] == 'again'
sub.unsubscribe(p + 'a'); sub.punsubscribe(); sub.unsubscribe()
while sub.get_message(timeout=0.2): pass
while sub.subscribed: sub.get_message(timeout=0.2)
assert sub.channels == {} == sub.patterns
sub.close()
with r.pubsub() as sub:
    sub.subscribe(p + 'c')
    assert sub.get_message(timeout=5) == {'type': 'subscribe', 'pattern': None, 'channel': p + 'c', 'data': 1}
    r.publish(p + 'c', 1); r.publish(p + 'c', 'end')
    seen = []
    for message in sub.listen():
        seen.append(message['data'])
        if message['data'] == 'end': sub.unsubscribe()
    assert seen == ['1', 'end', 0], seen
sub = r.pubsub()
arrived = threading.Event()
sub.subscribe(**{p + 'd': lambda message: arrived.set()})
thread = sub.run_in_thread(sleep_time=0.05, daemon=True)
while not arrived.is_set(): r.publish(p + 'd', 1)
# another thread may subscribe while that one waits
sub.subscribe(**{p + 'e': lambda message: None})
thread.stop(); thread.join(10)
assert not thread.is_alive() and not sub.subscribed
# what is published right after subscribing arrives
for number in range(300):
    with r.pubsub() as sub:
        sub.subscribe(p + 'at once')
        assert r.publish(p + 'at once', number) == 1, number
raw = self.kvdb.conn_bytes.pubsub()
raw.subscribe(p + 'f')
assert raw.get_message(timeout=5)['channel'] == (p + 'f').encode()
r.publish(p + 'f', bytes([255]))
assert raw.get_message(timeout=5)['data'] == bytes([255])
raw.reset()
",
    );
}

#[test]
fn locks_of_redis_py() {
    passes(
        "
lock = r.lock(p + 'lock', timeout=10, blocking_timeout=0.05, sleep=0.01)
with lock as held:
    assert held is lock and lock.owned() and lock.locked()
    other = r.lock(p + 'lock', timeout=10, blocking=False)
    assert other.acquire() is False and not other.owned() and lock.acquire() is False
    assert 'Unable to acquire' in fails('LockError', other.__enter__)
    assert lock.extend(10) is True and 15000 < r.pttl(p + 'lock') <= 20000
    assert lock.extend(5, replace_ttl=True) and r.pttl(p + 'lock') <= 5000 and lock.reacquire() and r.pttl(p + 'lock') > 5000
assert not lock.locked() and fails('LockError', lock.release) and fails('LockError', lock.extend, 1)
forever = r.lock(p + 'forever')
assert forever.acquire(token='mine') and r.get(p + 'forever') == 'mine' and r.ttl(p + 'forever') == -1
assert 'no timeout' in fails('LockError', forever.extend, 1)
r.set(p + 'forever', 'theirs')
assert 'no longer owned' in fails('LockNotOwnedError', forever.release)
assert lock.acquire()
r.delete(p + 'lock')
fails('LockNotOwnedError', lock.reacquire)
with r.lock(p + 'quiet', timeout=5, raise_on_release_error=False): r.delete(p + 'quiet')
token = r.lock(p + 'token', timeout=5)
assert token.do_acquire('mine') and not token.do_acquire('other') and token.do_release('mine') is None
assert 'Cannot release an unlocked lock' in fails('LockError', token.release)
class Mine:
    def __init__(self, client, name, **options): self.all = (name, options)
assert r.lock('n', 3, lock_class=Mine).all == ('n', {'timeout': 3})
try: r.lock('n', 3, timeout=4)
except TypeError: pass
else: assert False
",
    );
}

#[test]
fn bytes_fields_and_expiry_of_the_server() {
    passes(
        "
raw = self.kvdb.conn_bytes
r.set(p + 'a', bytes([255, 254])); r.hset(p + 'h', 'n', 'v')
assert raw.get(p + 'a') == bytes([255, 254]) and raw.hgetall(p + 'h') == {b'n': b'v'} and raw.type(p + 'a') == b'string'
assert raw.set(p + 'b', 'x') is True and raw.info('server')['redis_version'] and raw.config_get('maxmemory') == r.config_get('maxmemory')
try: r.get(p + 'a')
except UnicodeDecodeError: pass
else: assert False
assert r.execute_command('GET', p + 'a', NEVER_DECODE=True) == bytes([255, 254])
assert raw.pipeline().get(p + 'b').lrange(p + 'none', 0, 1).execute() == [b'x', []]
assert set(raw.scan_iter(p + '*')) == {k.encode() for k in (p + 'a', p + 'b', p + 'h')}
field = r.bitfield(p + 'f', default_overflow='SAT')
assert field.set('u8', 0, 200).incrby('u8', 0, 100).get('u8', '#1').execute() == [0, 255, 0] and field.get('u8', 0).execute() == [255]
assert field.incrby('u8', 0, 1, 'FAIL').execute() == [None] and r.bitfield_ro(p + 'f', 'u8', 0, [('i8', 0)]) == [255, -1]
pipe = r.pipeline()
pipe.bitfield(p + 'f').get('u4', 0).execute()
assert pipe.execute() == [[15]]
z = p + 'z'
r.zadd(z, {'a': 1, 'b': 2})
assert r.zrange(z, 0, -1, withscores=True, score_cast_func=int) == [('a', 1), ('b', 2)]
assert r.zscan(z, score_cast_func=str) == (0, [('a', '1'), ('b', '2')]) and list(r.zscan_iter(z, score_cast_func=int)) == [('a', 1), ('b', 2)]
assert r.pipeline().zrange(z, 0, 0, withscores=True, score_cast_func=int).execute() == [[('a', 1)]]
r.rpush(p + 'l', 2, 1); r.mset({p + 'w1': 'x', p + 'w2': 'y'})
assert r.sort(p + 'l', get=['#', p + 'w*'], groups=True) == [('1', 'x'), ('2', 'y')] and r.sort_ro(p + 'l', desc=True) == ['2', '1']
fails('DataError', r.sort, p + 'l', groups=True)
assert r.lastsave().year > 2000 and isinstance(r.client_list(), list) and r.client_info()['db'] == 0
assert r.wait(0, 10) >= 0 and r.command_count() > 100 and r.command()['get']['arity'] == 2 and 'get' in r.command_list()
assert r.slowlog_len() >= 0 and isinstance(r.slowlog_get(1), list) and r.memory_stats()['peak.allocated'] > 0
assert 'default' in r.acl_users() and r.acl_whoami() == 'default' and r.acl_getuser('default')['enabled'] is True
assert r.role()[0] in ('master', 'slave') and r.module_list() is not None and len(r.acl_genpass(32)) == 8
fails('DataError', r.acl_genpass, 5000)
fails('DataError', r.client_kill_filter)
fails('DataError', r.acl_setuser, 'x', commands=['get'])
assert list(r.hscan_iter(p + 'h')) == [('n', 'v')]
",
    );
}
