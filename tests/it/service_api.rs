//! The service API: what authors of services write, as their callers see it.

use serde_json::{Value, json};

use crate::server;

/// Starts a server with one file `api.py` and channels for JSON at `/<class>` for each of `services`.
pub fn start(source: &str, services: &[&str]) -> busbar_testkit::TestServer {
    let source = format!("from zato.server.service import *\nfrom zato.server.service import Service\n{source}");
    let server = server().service("api.py", &source);
    services
        .iter()
        .fold(server, |server, name| {
            server.channel(&format!("/{name}"), &format!("api.{name}"))
        })
        .start()
}

#[test]
fn names_of_services() {
    let classes = [
        ("GetClientDetails", "get-client-details"),
        ("HTTPGet", "http-get"),
        ("XMLParser", "xml-parser"),
        ("GetHTTPData", "get-http-data"),
        ("My_Service", "my_service"),
        ("Do_It", "do_it"),
        ("Get2Things", "get2-things"),
        ("GetUserV2", "get-user-v2"),
        ("JSONToXML", "json-to-xml"),
        ("SMSSender2FA", "sms-sender2fa"),
        ("ABC", "abc"),
    ];
    let source: String = classes
        .iter()
        .map(|(class, _)| {
            format!("class {class}(Service):\n    def handle(self):\n        self.response.payload = self.name\n")
        })
        .collect();
    let server = server()
        .service(
            "my_service.py",
            &format!("from zato.server.service import Service\n{source}"),
        )
        .service(
            "named.py",
            "
from zato.server.service import Service
class A(Service):
    name = 'my.own.Name'
    def handle(self):
        self.response.payload = self.name
class Skipped(Service):
    @staticmethod
    def before_add_to_store(logger):
        return False
    def handle(self):
        pass
class NotOne:
    pass
",
        )
        .start();
    for (_, name) in classes {
        let name = format!("my-service.{name}");
        assert_eq!(server.invoke(&name, "").expect(200).text(), name);
    }
    assert_eq!(server.invoke("my.own.Name", "").expect(200).text(), "my.own.Name");
    server.invoke("named.skipped", "").expect(400);
}

#[test]
fn services_invoke_each_other() {
    let server = start(
        "
class Callee(Service):
    def handle(self):
        self.response.payload = {'payload': self.request.payload, 'cid': self.cid, 'channel': self.channel.type, 'is': self.channel == 'invoke'}

class Declared(Service):
    class SimpleIO:
        input = 'a',
        output = 'a',
    def handle(self):
        self.response.payload.a = self.request.input.a

class Flat(Service):
    input = 'a'
    output = 'a'
    def handle(self):
        self.response.payload.a = self.request.input.a

class Raises(Service):
    def handle(self):
        raise KeyError('from below')

class Caller(Service):
    def handle(self):
        try:
            self.invoke('api.raises')
        except KeyError as error:
            caught = error.args[0]
        try:
            self.invoke('no.such')
            unknown = ''
        except KeyError:
            unknown = 'KeyError'
        try:
            self.invoke('api.declared', {})
            missing = ''
        except Exception as error:
            missing = type(error).__name__
        self.response.payload = {
            'callee': self.invoke('api.callee', {'x': [1]}), 'cid': self.cid,
            'kwargs': self.invoke('api.callee', x=2)['payload'],
            'by_class': self.invoke(Callee, 'text')['payload'],
            'declared': self.invoke('api.declared', {'a': 1}),
            'skipped': self.invoke('api.declared', {'a': 1}, skip_response_elem=True),
            'flat': self.invoke('api.flat', {'a': 1}),
            'bunch': self.invoke('api.flat', {'a': 1}, as_bunch=True).a,
            'caught': caught, 'unknown': unknown, 'missing': missing,
        }
",
        &["caller"],
    );
    let response = server.post("/caller", "").expect(200);
    let got = response.json();
    assert_eq!(
        got["callee"],
        json!({"payload": {"x": [1]}, "cid": response.cid(), "channel": "invoke", "is": true})
    );
    assert_eq!(got["cid"], response.cid());
    assert_eq!((&got["kwargs"], &got["by_class"]), (&json!({"x": 2}), &json!("text")));
    assert_eq!(
        (&got["declared"], &got["flat"]),
        (&json!({"response": {"a": "1"}}), &json!({"a": "1"}))
    );
    assert_eq!((&got["skipped"], &got["bunch"]), (&json!({"a": "1"}), &json!("1")));
    assert_eq!(
        (&got["caught"], &got["unknown"], &got["missing"]),
        (&json!("from below"), &json!("KeyError"), &json!("ElementMissing"))
    );
}

#[test]
fn what_a_service_sees_of_itself_and_its_request() {
    let server = start(
        "
class See(Service):
    def handle(self):
        request = self.request
        self.environ['x'] = 1
        self.response.payload = {
            'name': self.name, 'impl_name': self.impl_name, 'cid': self.cid, 'channel': self.channel.name,
            'type': self.channel.type, 'data_format': self.data_format, 'raw': request.raw_request.decode(),
            'method': request.http.method, 'agent': self.wsgi_environ['HTTP_USER_AGENT'], 'path': self.wsgi_environ['PATH_INFO'],
            'query': self.wsgi_environ['QUERY_STRING'], 'input': request.input.a, 'get': request.input.get('none', 'd'),
            'level': self.logger.isEnabledFor(10), 'same': type(self.out) is type(self.outgoing),
        }
",
        &["see"],
    );
    let request = busbar_testkit::Request::new("POST", "/see?q=1")
        .header("User-Agent", "test")
        .body(r#"{"a": 5}"#);
    let response = server.send(&request).expect(200);
    let expected = json!({
        "name": "api.see", "impl_name": "api.See", "cid": response.cid(), "channel": "/see", "type": "http-soap",
        "data_format": "json", "raw": r#"{"a": 5}"#, "method": "POST", "agent": "test", "path": "/see", "query": "q=1",
        "input": 5, "get": "d", "level": false, "same": true,
    });
    assert_eq!(response.json(), expected);
}

#[test]
fn the_order_of_hooks() {
    let server = start(
        "
class Hooks(Service):
    def accept(self):
        self.seen = ['accept']
        return self.request.payload != 'no'
    def before_handle(self):
        self.seen.append('before_handle')
        raise Exception('swallowed')
    def validate_input(self):
        self.seen.append('validate_input')
    def handle(self):
        self.seen.append('handle')
        self.response.payload = self.seen
    def validate_output(self):
        self.seen.append('validate_output')
    def after_handle(self):
        self.seen.append('after_handle')
    def finalize_handle(self):
        self.seen.append('finalize_handle')
",
        &["hooks"],
    );
    let seen: Value = server.post("/hooks", "1").expect(200).json();
    assert_eq!(
        seen,
        json!([
            "accept",
            "before_handle",
            "validate_input",
            "handle",
            "validate_output",
            "after_handle",
            "finalize_handle"
        ])
    );
    let refused = server.post("/hooks", "\"no\"").expect(400);
    assert_eq!(refused.text(), "");
}

#[test]
fn imports_that_service_files_have() {
    let server = start(
        "
from anyjson import dumps, loads
from bunch import Bunch, bunchify, unbunchify
from zato.common import DATA_FORMAT, ZATO_OK
from zato.common.api import CHANNEL
from zato.common.exception import BadRequest
from zato.common.json_ import dumps as dumps4
from zato.common.json_internal import dumps as compact
from zato.common.typing_ import any_, dict_, list_, strnone
from zato.common.util import new_cid
from zato.common.util.api import asbool
from zato.server.service import AsIs, Bool, CSV, Date, DateTime, Dict, Float, Int, List, Opaque, Text, UTC, UUID

class Imports(Service):
    def handle(self):
        assert BadRequest is __import__('zato.server.connection.http_soap', fromlist=['x']).BadRequest
        assert self.channel.type == CHANNEL.HTTP_SOAP
        self.response.payload = {'bunch': bunchify({'a': {'b': 1}}).a.b, 'ok': ZATO_OK, 'json': loads(dumps([1]))}
",
        &["imports"],
    );
    assert_eq!(
        server.post("/imports", "").expect(200).json(),
        json!({"bunch": 1, "ok": "ZATO_OK", "json": [1]})
    );
}

#[test]
fn many_calls_at_once_do_not_mix() {
    let server = start(
        "
import time

class Slow(Service):
    def handle(self):
        self.mine = self.request.payload['n']
        time.sleep(0.01)
        self.response.payload = {'n': self.mine, 'cid': self.cid}
",
        &["slow"],
    );
    let address = server.address();
    let threads: Vec<_> = (0..16)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut connection = busbar_testkit::Connection::open(address).unwrap();
                for round in 0..30 {
                    let n = thread * 1000 + round;
                    let request = busbar_testkit::Request::new("POST", "/slow").body(format!(r#"{{"n":{n}}}"#));
                    let response = connection.send(&request).unwrap().expect(200);
                    assert_eq!(response.json(), json!({"n": n, "cid": response.cid()}));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn times_as_text() {
    let server = start(
        "
class Times(Service):
    def handle(self):
        self.kvdb.conn.set('kvdb:date-format:short', 'DD.MM.YY')
        now = self.time.utcnow(needs_format=False)
        self.response.payload = {
            'same': self.time is self.time,
            'year': now.year == int(self.time.utcnow('YYYY')),
            'lengths': [len(self.time.now()), len(self.time.today()), len(self.time.yesterday())],
            'iso': self.time.isoutcnow().endswith('+00:00'),
            'day': self.time.one_day_from('2024-02-28'),
            'hour': self.time.one_hour_from('2024-02-28T23:30:00', 'YYYY-MM-DD HH:mm'),
            'minute': self.time.one_minute_from('2024-12-31T23:59:30', 'YYYY-MM-DD HH:mm:ss'),
            'reformat': self.time.reformat('2024-02-03 04:05:06', 'YYYY-MM-DD HH:mm:ss', 'HH/DD'),
            'named': self.time.reformat('2024-02-03', 'YYYY-MM-DD', 'kvdb:short'),
        }
class Unnamed(Service):
    def handle(self):
        self.time.now('kvdb:none')
",
        &["times", "unnamed"],
    );
    let answer: Value = server.get("/times").expect(200).json();
    assert_eq!(
        answer,
        json!({
            "same": true, "year": true, "lengths": [19, 10, 19], "iso": true, "day": "2024-02-29", "hour": "2024-02-29 00:30",
            "minute": "2025-01-01 00:00:30", "reformat": "04/03", "named": "03.02.24",
        })
    );
    server.get("/unnamed").expect(500);
}

#[test]
fn what_was_given_as_environ_is_read_by_attributes() {
    let server = start(
        "
class Callee(Service):
    def handle(self):
        self.environ.seen = True
        self.response.payload = {'a': self.environ.a, 'b': self.environ['b']}

class Caller(Service):
    def handle(self):
        given = {'a': 1, 'b': 2}
        self.response.payload = {'answer': self.invoke('api.callee', environ=given), 'given': given}
",
        &["caller"],
    );
    let answer = server.post("/caller", "").expect(200).json();
    assert_eq!(answer, json!({"answer": {"a": 1, "b": 2}, "given": {"a": 1, "b": 2}}));
}

#[test]
fn what_wsgi_says_of_a_request() {
    let server = start(
        "
class See(Service):
    def handle(self):
        environ = self.wsgi_environ
        environ['zato.http.response.headers']['X-Own'] = 'here'
        keys = 'RAW_URI', 'PATH_INFO', 'zato.http.response.status', 'zato.http.GET', 'zato.http.POST', 'zato.request.payload'
        self.response.payload = {key: environ[key] for key in keys}
",
        &["see"],
    );
    let response = server.post("/see?q=%C5%BC", r#"{"a": 5}"#).expect(200);
    assert_eq!(response.header("x-own"), Some("here"));
    let expected = json!({
        "RAW_URI": "/see?q=%C5%BC", "PATH_INFO": "/see", "zato.http.response.status": "200 OK", "zato.http.GET": {"q": "ż"},
        "zato.http.POST": {}, "zato.request.payload": {"a": 5},
    });
    assert_eq!(response.json(), expected);
}

#[test]
fn where_a_server_is_comes_as_text() {
    let server = start(
        "
class Where(Service):
    def handle(self):
        self.response.payload = {'base': self.server.base_dir + '/', 'repo': self.server.repo_location}
",
        &["where"],
    );
    let answer = server.post("/where", "").expect(200).json();
    let base = answer["base"].as_str().unwrap();
    assert_eq!(answer["repo"], format!("{base}config"));
    assert!(std::path::Path::new(base).is_dir());
}

#[test]
fn users_of_gevent_catch_its_timeout() {
    let server = start(
        "
from gevent import Timeout, sleep, spawn

class Slow(Service):
    def handle(self):
        sleep(2)

class Caller(Service):
    def handle(self):
        caught = []
        try:
            self.invoke('api.slow', timeout=0.1)
        except Timeout as error:
            caught.append(str(error))
        try:
            spawn(sleep, 2).get(timeout=0.1)
        except Timeout as error:
            caught.append(str(error))
        self.response.payload = caught
",
        &["caller"],
    );
    let answer = server.post("/caller", "").expect(200).json();
    assert_eq!(answer, json!(["0.1 seconds", "0.1 seconds"]));
}

#[test]
fn what_old_services_take_for_granted() {
    let server = start(
        "
class Caller(Service):
    def handle(self):
        told = []
        for use in (lambda: self.request.amqp, lambda: self.dictnav, lambda: setattr(self.response, 'status_code', 150)):
            try:
                use()
            except (AttributeError, ValueError) as e:
                told.append(str(e))
        self.response.headers['X-None'] = None
        self.response.headers['X-One'] = 1
        data = {'a': 1, 'b': 2}
        self.response.payload = {
            'told': told, 'connections': list(self.outgoing.plain_http),
            'keys': data.keys(), 'mapped': map(str, data.values()), 'range': range(2),
            'defaults': [self.call_hooks, self.schema, self.slow_threshold, self.component_enabled_email],
        }

class Declared(Service):
    output = List('a'), List('b'), List('c')
    def handle(self):
        self.response.payload = {'a': (x for x in 'xy'), 'b': range(2), 'c': {'k': 1}.keys()}
",
        &["caller", "declared"],
    );
    let response = server.post("/caller", "").expect(200);
    assert_eq!(response.header("x-none"), None);
    assert_eq!(response.header("x-one"), Some("1"));
    assert_eq!(
        response.json(),
        json!({
            "told": [
                "`self.request.amqp` is not available yet in this version of busbar",
                "`self.dictnav` is not available yet in this version of busbar",
                "status_code must be a number from 200 to 599, not 150",
            ],
            "connections": [],
            "keys": ["a", "b"], "mapped": ["1", "2"], "range": [0, 1],
            "defaults": [true, "", 0, true],
        })
    );
    let answer = server.post("/declared", "").expect(200).json();
    assert_eq!(answer, json!({"a": ["x", "y"], "b": [0, 1], "c": ["k"]}));
}

#[test]
fn the_channel_is_a_text_too() {
    let server = start(
        "
import json

class Caller(Service):
    def handle(self):
        channel = self.channel
        self.response.payload = {
            'channel': channel, 'in a list': [channel], 'dumped': json.loads(json.dumps(channel)),
            'methods': [channel.startswith('http'), channel.upper(), 'soap' in channel, channel + '!', f'{channel:>10}', '%s' % channel],
            'same': [channel == 'http-soap', {channel: 1}['http-soap'], str(channel), isinstance(channel, str)],
            'fields': [channel.name, channel.type, channel.data_format, channel.security.name, repr(channel)],
        }
",
        &["caller"],
    );
    let answer = server.post("/caller", "").expect(200).json();
    assert_eq!(
        answer,
        json!({
            "channel": "http-soap", "in a list": ["http-soap"], "dumped": "http-soap",
            "methods": [true, "HTTP-SOAP", true, "http-soap!", " http-soap", "http-soap"],
            "same": [true, 1, "http-soap", true],
            "fields": ["/caller", "http-soap", "json", null, "<ChannelInfo name:`/caller` type:`http-soap`>"],
        })
    );
}

#[test]
fn packages_that_need_not_be_installed_are_stood_in_for() {
    let server = start(
        "
from decimal import Decimal
import gevent.queue
import simplejson
from gevent import Greenlet, monkey, socket, subprocess
from gevent.event import AsyncResult
from gevent.lock import Semaphore
from gevent.pool import Pool
from gevent.subprocess import check_output
from jsonpointer import resolve_pointer
from retools.lock import LockTimeout
from suds.client import Client
from suds.sax.element import Element

monkey.patch_all()

class Doubling(Greenlet):
    def __init__(self, number):
        Greenlet.__init__(self)
        self.number = number
    def _run(self):
        return self.number * 2

class Endless(Greenlet):
    def _run(self):
        while True:
            gevent.sleep(0.01)

class Caller(Service):
    def handle(self):
        endless = Endless()
        endless.start()
        endless.kill(timeout=30)
        try:
            Client('http://localhost/?wsdl')
        except Exception as e:
            suds = str(e)
        self.response.payload = [
            Doubling.spawn(2).get(),
            endless.dead,
            list(gevent.queue.Queue(items=[1, StopIteration])),
            simplejson.dumps({'a': Decimal('1.10')}, use_decimal=True),
            resolve_pointer({'a': [1]}, '/a/0'),
            'self.outgoing.soap' in suds,
        ]
",
        &["caller"],
    );
    let answer = server.post("/caller", "").expect(200).json();
    assert_eq!(answer, json!([4, true, [1], "{\"a\": 1.10}", 1, true]));
}
