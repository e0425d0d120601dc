//! Services that call services in other ways: limits, locks, many at once, tries, the cache, translations.

use busbar_testkit::{Request, TestServer, wait_until};
use serde_json::{Value, json};

use crate::server;

const CALLS: &str = "
import threading, time
from decimal import Decimal
from busbar.errors import Timeout
from zato.common.exception import ZatoException
from zato.distlock import LockTimeout
from zato.server.pattern.invoke_retry import InvokeRetry, NeedsRetry, RetryFailed
from zato.server.service import Service

class Slow(Service):
    def handle(self):
        time.sleep(30)

class Limits(Service):
    def handle(self):
        seen = [self.invoke('calls.slow', timeout=0.05, raise_timeout=False)]
        try:
            self.invoke('calls.slow', timeout=0.05)
        except Timeout as error:
            seen.append(str(error))
        seen.append(self.invoke('calls.double', 4, timeout=20))
        seen.append(self.invoke_by_id('calls.double', 5))
        seen.append(self.invoke('calls.double@here', 6))
        try:
            self.invoke('calls.fail', timeout=20)
        except ValueError as error:
            seen.append(repr(error))
        self.response.payload = seen

class Double(Service):
    def handle(self):
        self.response.payload = 2 * self.request.payload

class Fail(Service):
    def handle(self):
        raise ValueError('no')

class Note(Service):
    def handle(self):
        payload = self.request.payload
        payload['channel'] = self.channel.type
        payload['my_cid'] = self.cid
        self.kvdb.conn.rpush('notes', __import__('json').dumps(payload))

class FanOut(Service):
    def handle(self):
        targets = {'calls.double': 2, 'calls.fail': 'x'}
        call = {'fanout': self.patterns.fanout, 'parallel': self.patterns.parallel}[self.request.payload]
        args = ('calls.note', 'calls.note') if self.request.payload == 'fanout' else ('calls.note',)
        cid = call.invoke(targets, *args, cid='c' * 24)
        call.invoke({}, *args)
        self.response.payload = {'cid': cid}

class Flaky(Service):
    def handle(self):
        if self.kvdb.conn.incr('tries') < 3:
            raise ValueError('not yet')
        self.response.payload = 'at last'

class Retry(Service):
    def handle(self):
        retry, kind = self.patterns.invoke_retry, self.request.payload
        self.kvdb.conn.delete('tries')
        if kind == 'blocking':
            self.response.payload = retry.invoke('calls.flaky', repeats=5, seconds=0.01)
        elif kind == 'exhausted':
            try:
                retry.invoke('calls.flaky', repeats=1, seconds=0.01)
            except ZatoException as error:
                self.response.payload = str(error)
        elif kind == 'background':
            self.response.payload = retry.invoke(
                'calls.flaky', repeats=5, seconds=0.01, async_fallback=True, callback='calls.note', context={'a': 1})
        else:
            seen = []
            for options in ({}, {'repeats': 1}, {'repeats': 1, 'seconds': 1, 'minutes': 1},
                    {'repeats': 1, 'seconds': 1, 'async_fallback': True},
                    {'repeats': 1, 'seconds': 1, 'async_fallback': True, 'callback': 'no.such'}):
                try:
                    retry.invoke('calls.flaky', **options)
                except ValueError:
                    seen.append('ValueError')
            self.response.payload = seen

class Locks(Service):
    def handle(self):
        seen = []
        with self.lock() as first:
            try:
                with self.lock(self.name, 5, 0.05):
                    seen.append('got it')
            except LockTimeout as error:
                seen.append(str(error))
        with self.lock(self.name, expires=0.05, timeout=1) as second:
            # freed by itself
            with self.lock(self.name, 20, 5) as third:
                seen.append(first.fence < second.fence < third.fence)
                seen.append(second.release())
            lock = self.lock(self.name).acquire()
            seen.append([lock.release(), lock.release()])
        self.response.payload = seen

class Translations(Service):
    def handle(self):
        self.kvdb.conn.hset('zato:kvdb:data-dict:translation:::crm:::gender:::1:::erp:::sex', 'value2', 'F')
        self.response.payload = [
            self.translate('crm', 'gender', 1, 'erp', 'sex'),
            self.kvdb.translate('crm', 'gender', '2', 'erp', 'sex'),
            self.translate('crm', 'gender', '2', 'erp', 'sex', 'none')]

class Point:
    def __init__(self, x):
        self.x = x

class Caches(Service):
    def handle(self):
        cache = self.cache.default
        cache.clear()
        seen = [cache.get('no'), cache['no'], cache.get('no', 5), 'no' in cache, len(cache)]
        cache['a1'] = {'n': 1}
        cache.set('a2', (1, Decimal('2.5')))
        cache.set('b1', Point(7), expiry=60)
        cache[5] = 'five'
        seen += [cache['a1'], repr(cache['a2']), cache['b1'].x, cache[5], cache.keys()]
        entry = cache.get('b1', details=True)
        seen += [entry.key, entry.hits, entry.expiry, entry.position, entry.expires_at > time.time(), entry.prev_write]
        seen += [cache.get_by_prefix('a', limit=1), sorted(cache.get_by_regex('^[ab]1$')), cache.get_not_contains('1').keys() == {'a2'}]
        cache.set_by_suffix('1', 'new')
        seen += [cache['b1'], cache.delete('a1'), cache.delete_contains_any(['a', 'b'], return_found=True).keys() == {'a2', 'b1'}]
        for wrong in (lambda: cache.delete('a1'), lambda: self.cache.get_memcached_cache('x'),
                lambda: self.cache.get_cache('builtin', 'x'), lambda: cache.set('x', threading.Lock())):
            try:
                wrong()
            except (KeyError, TypeError) as error:
                seen.append(type(error).__name__)
        cache.expire(5, 0.001)
        time.sleep(0.01)
        seen.append(cache.has_key(5))
        self.cache.set('shared', [1])
        self.response.payload = seen
";

fn answer(server: &TestServer, service: &str, payload: &Value) -> Value {
    let answer = server
        .invoke(&format!("calls.{service}"), &payload.to_string())
        .expect(200);
    serde_json::from_str(&answer.text()).unwrap_or_else(|_| json!(answer.text()))
}

fn notes(server: &TestServer, count: usize) -> Vec<Value> {
    let conn = "
from zato.server.service import Service

class All(Service):
    def handle(self):
        self.response.payload = self.kvdb.conn.lrange('notes', 0, -1)
";
    if !server.pickup().join("notes.py").exists() {
        server.deploy("notes.py", conn);
    }
    let texts = wait_until("the notes", || {
        let answer = server.invoke("notes.all", "");
        let notes: Vec<String> = (answer.status == 200)
            .then(|| serde_json::from_str(&answer.text()).ok())
            .flatten()?;
        (notes.len() >= count).then_some(notes)
    });
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[test]
fn services_wait_for_others_in_many_ways() {
    let mut server = server().workers(2).service("calls.py", CALLS).start();
    assert_eq!(
        answer(&server, "limits", &json!("")),
        json!([null, "0.05 seconds", 8, 10, 12, "ValueError('no')"])
    );
    assert_eq!(
        answer(&server, "locks", &json!("")),
        json!([
            "lock `calls.locks` was not to be had within 0.05 s",
            true,
            false,
            [true, false]
        ])
    );
    assert_eq!(answer(&server, "translations", &json!("")), json!(["F", "", "none"]));

    assert_eq!(answer(&server, "retry", &json!("blocking")), json!("at last"));
    let exhausted = answer(&server, "retry", &json!("exhausted")).to_string();
    assert!(
        exhausted.contains("service `calls.flaky` failed 2 times"),
        "{exhausted}"
    );
    assert_eq!(answer(&server, "retry", &json!("wrong")), json!(vec!["ValueError"; 5]));
    let cid = answer(&server, "retry", &json!("background"));
    let told = notes(&server, 1).remove(0);
    assert_eq!(
        (&told["ok"], &told["call_cid"], &told["response"]),
        (&json!(true), &cid, &json!("at last"))
    );
    assert_eq!(
        (&told["context"], &told["target"]),
        (&json!({"a": 1}), &json!("calls.flaky"))
    );
    assert!(server.stop().success());
}

#[test]
fn many_services_run_at_once_and_their_results_are_told() {
    let server = server().workers(2).service("calls.py", CALLS).start();
    assert_eq!(
        answer(&server, "fan-out", &json!("fanout")),
        json!({"cid": "c".repeat(24)})
    );
    let told = notes(&server, 3);
    let of = |phase: &str| -> Vec<&Value> { told.iter().filter(|note| note["phase"] == phase).collect() };
    assert_eq!((of("on-target").len(), of("on-final").len()), (2, 1));
    for note in of("on-target") {
        let is_double = note["target"] == "calls.double";
        assert_eq!(
            (&note["ok"], &note["channel"]),
            (&json!(is_double), &json!("fanout-on-target"))
        );
        assert_eq!(note["response"], if is_double { json!(4) } else { json!(null) });
        assert_eq!(
            note["exception"]
                .as_str()
                .is_some_and(|text| text.contains("ValueError: no")),
            !is_double
        );
        assert_eq!(
            (&note["source"], &note["my_cid"]),
            (&json!("calls.fan-out"), &json!("c".repeat(24)))
        );
    }
    let last = of("on-final")[0];
    assert_eq!(
        (&last["channel"], last["data"].as_array().unwrap().len()),
        (&json!("fanout-on-final"), 2)
    );

    answer(&server, "fan-out", &json!("parallel"));
    let told = notes(&server, 5);
    assert!(
        told[3..]
            .iter()
            .all(|note| note["channel"] == "parallel-exec-on-target")
    );
}

#[test]
fn the_cache_is_one_for_all_workers_and_for_callers_from_outside() {
    let server = server().workers(2).service("calls.py", CALLS).start();
    assert_eq!(
        answer(&server, "caches", &json!("")),
        json!([
            null, null, 5, false, 0,
            {"n": 1}, "(1, Decimal('2.5'))", 7, "five", ["a1", "a2", "b1", 5],
            "b1", 2, 60.0, 2, true, null,
            {"a1": {"n": 1}}, ["a1", "b1"], true,
            "new", "new", true,
            "KeyError", "KeyError", "KeyError", "TypeError", false
        ])
    );
    let call = |method: &str, path: &str, body: &str| {
        let request = Request::new(method, path).basic("pubapi", server.password()).body(body);
        server.send(&request)
    };
    assert_eq!(
        call("GET", "/zato/cache/shared", "").expect(200).json(),
        json!({"value": [1]})
    );
    call("GET", "/zato/cache/none", "").expect(404);
    call("GET", "/zato/cache/shared?cache=none", "").expect(404);
    call("POST", "/zato/cache/k1", "{}").expect(400);
    call("POST", "/zato/cache/k1", r#"{"value": "v", "expiry": 60}"#).expect(200);
    let told = call("GET", "/zato/cache/k1?details=1", "").expect(200).json();
    assert_eq!(
        (&told["value"], &told["expiry"], &told["key"]),
        (&json!("v"), &json!(60.0), &json!("k1"))
    );
    let set = call(
        "POST",
        "/zato/cache/set/by-prefix/k",
        r#"{"value": "w", "return_prev": true}"#,
    )
    .expect(200);
    assert_eq!(set.json(), json!([{"key": "k1", "prev_value": "v"}]));
    let got = call("GET", "/zato/cache/get/contains-any", r#"{"key": ["k", "zz"]}"#).expect(200);
    assert_eq!(got.json(), json!([{"key": "k1", "value": "w"}]));
    let gone = call("DELETE", "/zato/cache/k1?return_prev=true", "").expect(200);
    assert_eq!(gone.json(), json!({"prev_value": "w"}));
    call("DELETE", "/zato/cache/k1", "").expect(404);
    assert_eq!(server.get("/zato/cache/shared").status, 401);
}
