//! The service API: what authors of services write, as their callers see it.

use busbar_testkit::{run, wait_until};
use serde_json::{Value, json};

use crate::server;

/// Starts a server with one file `api.py` and channels for JSON at `/<class>` for each of `services`.
fn start(source: &str, services: &[&str]) -> busbar_testkit::TestServer {
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
fn payloads_of_every_kind() {
    let server = start(
        "
import datetime, decimal, uuid

VALUES = {
    'str': 'texté', 'bytes': b'raw', 'dict': {'b': 1, 'a': ['é', None, True, 1.5, '/']}, 'list': [1, {'x': 2}], 'tuple': (1, 2),
    'int': 7, 'float': 1.5, 'true': True, 'none': None, 'empty': '', 'zero': 0, 'false': False, 'no_items': [], 'no_keys': {},
    'rich': {'d': datetime.date(2021, 2, 3), 'ts': datetime.datetime(2021, 2, 3, 4, 5, 6), 'dec': decimal.Decimal('1.10'),
             'u': uuid.UUID('d5f1c6c0-5c1f-4a3d-8f0e-0a5a2f0d9b11'), 's': {1}, 't': (1,)},
    'large': 12345678901234567890123,
    'keys': {1: 'a', None: 'b', True: 'c'},
}

class Give(Service):
    def handle(self):
        self.response.payload = VALUES[self.request.payload]

class Bad(Service):
    def handle(self):
        value = []
        value.append(value)
        self.response.payload = {'object': object(), 'nan': float('nan'), 'cycle': value}[self.request.payload]

class Unset(Service):
    def handle(self):
        pass
",
        &["give", "bad", "unset"],
    );
    let give = |name: &str| server.post("/give", format!("\"{name}\"")).expect(200);
    for (name, body) in [
        ("str", "texté"),
        ("bytes", "raw"),
        ("dict", r#"{"b":1,"a":["é",null,true,1.5,"/"]}"#),
        ("list", r#"[1,{"x":2}]"#),
        ("tuple", "[1,2]"),
        ("int", "7"),
        ("float", "1.5"),
        ("true", "true"),
        ("none", ""),
        ("empty", ""),
        ("zero", "0"),
        ("false", "false"),
        ("no_items", "[]"),
        ("no_keys", "{}"),
        ("large", "12345678901234567890123"),
    ] {
        let response = give(name);
        assert_eq!(response.text(), body, "{name}");
        assert_eq!(response.header("content-type"), Some("application/json"), "{name}");
    }
    let rich = give("rich").json();
    assert_eq!(rich["d"], "2021-02-03");
    assert_eq!(rich["ts"], "2021-02-03T04:05:06");
    assert_eq!(rich["dec"], "1.10");
    assert!(rich["u"].as_str().unwrap().starts_with("d5f1c6c0"));
    assert_eq!((&rich["s"], &rich["t"]), (&json!([1]), &json!([1])));
    give("keys");
    for name in ["object", "cycle"] {
        let response = server.post("/bad", format!("\"{name}\"")).expect(500);
        assert_eq!(response.json()["cid"], response.cid());
    }
    let status = server.post("/bad", "\"nan\"").status;
    assert!(matches!(status, 200 | 500), "{status}");
    assert_eq!(server.post("/unset", "").expect(200).text(), "");
}

#[test]
fn declared_input_and_output() {
    // the worked example of SimpleIO
    let server = start(
        "
class Pay(Service):
    class SimpleIO:
        input  = 'user_id', 'is_new', Float('amount'), '-note', List('-tags')
        output = 'user_id', 'is_new', Float('amount'), '-note'
    def handle(self):
        self.response.payload = dict(self.request.input)

class Flat(Service):
    input = 'name', '-size_count'
    output = 'name', '-size_count', '-unset'
    def handle(self):
        self.response.payload.name = self.request.input.name
        self.response.payload.size_count = self.request.input.size_count or '3'

class Users(Service):
    class SimpleIO:
        input_optional = 'count',
        output_required = 'user_id', 'name'
        output_repeated = True
        response_elem = 'users'
    def handle(self):
        for number in range(int(self.request.input.count or 0)):
            self.response.payload.append({'user_id': str(number), 'name': 'n%d' % number, 'dropped': 1})

class Slice(Service):
    class SimpleIO:
        output = 'a',
    def handle(self):
        self.response.payload[:] = ({'a': n} for n in range(2))

class Missing(Service):
    output = 'needed'
    def handle(self):
        pass
",
        &["pay", "flat", "users", "slice", "missing"],
    );
    let ok = server
        .post("/pay", r#"{"user_id":"7","is_new":"yes","amount":"2.5","tags":["a"]}"#)
        .expect(200);
    assert_eq!(
        ok.json(),
        json!({"response": {"amount": 2.5, "is_new": true, "user_id": 7, "note": ""}})
    );
    let query = server
        .post("/pay?user_id=99", r#"{"user_id":1,"is_new":true,"amount":1}"#)
        .expect(200);
    assert_eq!(query.json()["response"]["user_id"], 99);
    let get = server.get("/pay?user_id=5&is_new=0&amount=1.25").expect(200).json();
    assert_eq!(
        (&get["response"]["is_new"], &get["response"]["amount"]),
        (&json!(false), &json!(1.25))
    );
    for (body, details) in [
        (r#"{"user_id":1}"#, "Element missing: amount"),
        ("", "Element missing: amount"),
        ("[]", "Element missing: amount"),
    ] {
        let response = server.post("/pay", body).expect(400);
        assert_eq!(
            response.json(),
            json!({"result": "Error", "cid": response.cid(), "details": details})
        );
    }
    for body in [
        r#"{"user_id":"x","is_new":1,"amount":1}"#,
        r#"{"user_id":1,"is_new":"perhaps","amount":1}"#,
        r#"{"user_id":1,"is_new":1,"amount":"much"}"#,
        r#"{"user_id":[],"is_new":1,"amount":1}"#,
    ] {
        let response = server.post("/pay", body).expect(400);
        assert!(response.json()["details"].is_string(), "{}", response.text());
    }
    assert_eq!(
        server.post("/flat", r#"{"name":"x"}"#).expect(200).json(),
        json!({"name": "x", "size_count": 3})
    );
    assert_eq!(server.post("/users", "").expect(200).json(), json!({"users": []}));
    assert_eq!(
        server.post("/users", r#"{"count":2}"#).expect(200).json(),
        json!({"users": [{"user_id": 0, "name": "n0"}, {"user_id": 1, "name": "n1"}]})
    );
    assert_eq!(
        server.post("/slice", "").expect(200).json(),
        json!({"response": [{"a": "0"}, {"a": "1"}]})
    );
    server.post("/missing", "").expect(500);
}

#[test]
fn element_types() {
    let server = start(
        "
class All(Service):
    class SimpleIO:
        input = (Dict('addr','city','-zip'), DictList('items','sku',Int('qty')), Date('d'), DateTime('ts'), Decimal('dec'),
                 UUID('u'), CSV('c'), Opaque('o'), AsIs('customer_id'))
        output = input
    def handle(self):
        self.response.payload = dict(self.request.input)
",
        &["all"],
    );
    let sent = json!({"addr":{"city":"A","x":1},"items":[{"sku":"s","qty":"2","y":1}],"d":"2021-02-03","ts":"2021-02-03T04:05:06",
        "dec":"1.10","u":"d5f1c6c0-5c1f-4a3d-8f0e-0a5a2f0d9b11","c":"a,b","o":{"q":[1]},"customer_id":"007"});
    let got = server.post("/all", sent.to_string()).expect(200).json();
    assert_eq!(
        got,
        json!({"response": {"addr": {"city": "A", "zip": ""}, "c": "a,b", "customer_id": "007", "d": "2021-02-03", "dec": "1.10",
            "items": [{"sku": "s", "qty": 2}], "o": {"q": [1]}, "ts": "2021-02-03T04:05:06", "u": "d5f1c6c05c1f4a3d8f0e0a5a2f0d9b11"}})
    );
    for (key, value) in [
        ("addr", json!({"zip": "1"})),
        ("addr", json!("x")),
        ("items", json!([{"sku": "s"}])),
        ("d", json!("not a date")),
        ("dec", json!("1.1.1")),
        ("u", json!("zzz")),
    ] {
        let mut bad = sent.clone();
        bad[key] = value;
        server.post("/all", bad.to_string()).expect(400);
    }
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
fn exceptions_become_statuses() {
    const SOURCE: &str = "
from zato.common import exception
from zato.server.connection.http_soap import BadRequest, NotFound

class Raise(Service):
    def handle(self):
        name, args = self.request.payload
        self.response.headers['X-Before'] = '1'
        raise getattr(exception, name)(self.cid, *args)

class Generic(Service):
    def handle(self):
        raise Exception('something broke', 7)

class Nested(Service):
    def handle(self):
        self.invoke('api.raise', ['NotFound', ['no such thing']])
";
    let server = start(SOURCE, &["raise", "generic", "nested"]);
    for (name, arguments, status, details) in [
        ("BadRequest", json!(["wrong", true]), 400, "wrong"),
        ("Forbidden", json!(["not you"]), 403, "not you"),
        ("NotFound", json!(["gone"]), 404, "gone"),
        ("MethodNotAllowed", json!(["no"]), 405, "no"),
        ("Conflict", json!(["twice"]), 409, "twice"),
        ("TooManyRequests", json!(["slower"]), 429, "slower"),
        ("InternalServerError", json!(["oh"]), 500, "oh"),
        ("ServiceUnavailable", json!(["later"]), 503, "later"),
    ] {
        let response = server
            .post("/raise", json!([name, arguments]).to_string())
            .expect(status);
        assert_eq!(
            response.json(),
            json!({"result": "Error", "cid": response.cid(), "details": details}),
            "{name}"
        );
        assert_eq!(response.header("x-before"), Some("1"), "{name}");
    }
    let response = server
        .post("/raise", r#"["Unauthorized", ["who", "Basic realm=\"x\""]]"#)
        .expect(401);
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"x\""));
    assert_eq!(
        server.post("/nested", "").expect(404).json()["details"],
        "no such thing"
    );

    // what went wrong inside is not for callers, unless the config says so
    let response = server.post("/generic", "").expect(500);
    assert_eq!(
        response.json(),
        json!({"result": "Error", "cid": response.cid(), "details": "An error has occurred"})
    );
    let open = crate::server()
        .service("api.py", &format!("from zato.server.service import Service\n{SOURCE}"))
        .channel("/generic", "api.generic")
        .config("[calls]\nreturn_tracebacks = true")
        .start();
    assert_eq!(
        open.post("/generic", "").expect(500).json()["details"],
        json!(["something broke", 7])
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
fn errors_in_every_format_and_what_they_do_not_tell() {
    const SOURCE: &str = "
from zato.common import exception
from zato.common.marshal_.api import ElementMissing

CASES = {
    'bad': lambda cid: exception.BadRequest(cid, 'no such type'),
    'told': lambda cid: exception.BadRequest(cid, 'told', needs_msg=True),
    'schema': lambda cid: exception.JSONSchemaValidationException(cid, 'not so'),
    'address': lambda cid: exception.AddressNotAllowed(cid, 'not from there'),
    'rate': lambda cid: exception.RateLimitReached(cid, 'slower'),
    'exists': lambda cid: exception.PubSubSubscriptionExists(cid, 'twice'),
    'status': lambda cid: exception.HTTPException(cid, 'short and stout', 418),
    'reportable': lambda cid: exception.Reportable(cid, 'gone', 410),
    'parsing': lambda cid: exception.ParsingException(cid, 'unreadable'),
    'missing': lambda cid: ElementMissing('/a/b'),
    'inactive': lambda cid: exception.Inactive('my name'),
    'timeout': lambda cid: exception.TimeoutException(cid, 'late'),
    'zato': lambda cid: exception.ZatoException(cid, 'broken'),
    'other': lambda cid: OSError(2, 'secret'),
}

class Raise(Service):
    def handle(self):
        raise CASES[self.request.http.params.case](self.cid)
";
    let source = format!("from zato.server.service import Service\n{SOURCE}");
    let channel = |path: &str, format: &str| {
        format!("  - name: {path}\n    url_path: /{path}/{{case}}\n    service: api.raise\n    data_format: {format}\n")
    };
    let objects = format!(
        "channel_rest:\n{}{}{}",
        channel("json", "json"),
        channel("xml", "xml"),
        channel("plain", "''")
    );
    let server = server()
        .service("api.py", &source)
        .config("[calls]\nhide_messages = true\ndefault_error_message = \"Sorry\"")
        .enmasse(&objects)
        .start();
    for (case, status, details) in [
        ("bad", 400, "Bad request"),
        ("told", 400, "told"),
        ("schema", 400, "not so"),
        ("address", 403, "not from there"),
        ("rate", 429, "slower"),
        ("exists", 400, "Bad request"),
        ("status", 418, "short and stout"),
        ("reportable", 410, "gone"),
        ("parsing", 400, "unreadable"),
        ("missing", 400, "Element missing: /a/b"),
        ("inactive", 500, "Sorry"),
        ("timeout", 500, "Sorry"),
        ("zato", 500, "Sorry"),
        ("other", 500, "Sorry"),
    ] {
        let response = server.get(&format!("/json/{case}")).expect(status);
        assert_eq!(
            response.json(),
            json!({"result": "Error", "cid": response.cid(), "details": details}),
            "{case}"
        );
        assert_eq!(
            server.get(&format!("/plain/{case}")).expect(status).text(),
            details,
            "{case}"
        );
        assert!(
            server
                .get(&format!("/xml/{case}"))
                .expect(status)
                .text()
                .contains(details),
            "{case}"
        );
    }
}

#[test]
fn input_follows_the_json_schema_of_its_service() {
    let source = "
import json, pathlib
from zato.server.service import Service

pathlib.Path(__file__).with_name('order.json').write_text(
    json.dumps({'type': 'object', 'required': ['id'], 'properties': {'id': {'type': 'integer'}}}))

class Order(Service):
    schema = 'order.json'
    slow_threshold = 1
    def before_handle(self):
        self.seen = True
    def handle(self):
        self.sleep(0.005)
        self.response.payload = {'id': self.request.payload['id']}
";
    let server = server()
        .service("api.py", source)
        .channel("/order", "api.order")
        .start();
    assert_eq!(
        server.post("/order", r#"{"id": 7}"#).expect(200).json(),
        json!({"id": 7})
    );
    server.wait_log(&["slow call of service `api.order`"]);
    let slow = || {
        let mut command = server.command("service");
        command
            .arg("slow")
            .arg(server.directory())
            .args(["api.order", "--json"]);
        run(&mut command).expect_code(0).json()
    };
    let call = wait_until("the call is kept", || slow().get(0).cloned());
    assert!(call["duration_ms"].as_u64().unwrap() >= 5, "{call}");
    assert_eq!(
        (&call["threshold_ms"], &call["channel"]),
        (&json!(1), &json!("http-soap"))
    );
    let mut command = server.command("service");
    let text = run(command.arg("slow").arg(server.directory())).expect_code(0).stdout;
    assert!(text.contains("ms (slow from 1 ms) api.order cid="), "{text}");

    // what is set for the service wins, and stays when it is switched off and on
    server
        .import("service: [{name: api.order, slow_threshold: 100000}]")
        .expect_code(0);
    for switch in ["disable", "enable"] {
        run(server
            .command("service")
            .arg(switch)
            .arg(server.directory())
            .arg("api.order"))
        .expect_code(0);
    }
    server.post("/order", r#"{"id": 7}"#).expect(200);
    let exported = server.enmasse(&["--export"], "").expect_code(0).stdout;
    assert!(exported.contains("slow_threshold: 100000"), "{exported}");
    assert_eq!(slow().as_array().unwrap().len(), 1);
    for (body, details) in [
        (r#"{}"#, "'id' is a required property"),
        (r#"{"id": "x"}"#, "'x' is not of type 'integer'"),
        ("", "'' is not of type 'object'"),
    ] {
        let response = server.post("/order", body).expect(400);
        let told = response.json()["details"].as_str().unwrap().to_owned();
        assert!(told.contains(details), "{told}");
    }
}
