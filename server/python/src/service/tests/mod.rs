//! Services as their authors write them, called as channels call them.

mod api;
mod csv_and_form;
mod models;
mod properties;
mod simple_io;

use busbar_model::DataFormat;
use pyo3::prelude::*;
use serde_json::json;

use crate::testing::{Deployed, Request, attach, deploy};

fn with(code: &str, test: impl FnOnce(Python<'_>, Deployed)) {
    attach(|py| {
        let deployed = deploy(py, code);
        test(py, deployed);
    });
}

fn body(text: &str) -> Request<'_> {
    Request {
        body: text.as_bytes(),
        ..Request::default()
    }
}

#[test]
fn classes_of_the_module_are_deployed() {
    with(
        "
from zato.server.service import Service as Imported
class GetClientDetails(Service):
    '''Finds a client.

    And more.'''
    deadline_secs = 7
    def handle_GET(self): pass
    def handle_POST(self): pass
class Named(Service):
    name = 'crm.get'
class Child(Named): pass
class Skipped(Service):
    zato_dont_import = True
class Unwanted(Service):
    @staticmethod
    def before_add_to_store(logger): return False
class Broken(Service):
    @classmethod
    def before_add_to_store(cls, logger): raise ValueError()
class Own(Service):
    @classmethod
    def get_name(cls): return 'own.name'
class Mixin:
    def helper(self): return 1
class Mixed(Mixin, Service):
    def handle(self): self.response.payload = self.helper()
alias = GetClientDetails
",
        |py, deployed| {
            let services = deployed.environment.services.load();
            let mut names: Vec<_> = services.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                [
                    "crm.get",
                    "my-service.get-client-details",
                    "my-service.mixed",
                    "own.name"
                ]
            );
            let info = services["my-service.get-client-details"].info();
            assert_eq!(info.impl_name, "my_service.GetClientDetails");
            assert_eq!(
                (info.summary.as_str(), info.deadline_secs),
                ("Finds a client.", Some(7))
            );
            assert_eq!(info.http_methods, ["GET", "POST"]);
            assert_eq!(services["crm.get"].info().impl_name, "my_service.Named");
            assert_eq!(deployed.json(py, "mixed", ""), json!(1));
        },
    );
}

#[test]
fn what_a_service_sees_of_its_call() {
    with(
        "
class S(Service):
    def handle(self):
        assert self.name == 'my-service.s' and self.impl_name == 'my_service.S', self.name
        assert len(self.cid) == 24 and self.cid == self.request.cid
        assert self.logger.name == 'my-service.s'
        assert self.channel.type == 'http-soap' and self.channel == 'http-soap' and self.chan.name == 'tutorial'
        assert self.channel in ('amqp', 'http-soap') and 'http' in self.channel and str(self.channel) == 'http-soap'
        assert hash(self.channel) == hash('http-soap') and self.channel != 'amqp'
        assert self.channel.security.name == 'shop' and self.channel.sec.type == 'basic_auth'
        assert self.channel.security.to_dict()['username'] == 'ann'
        assert self.data_format == 'json' and self.transport == 'plain_http'
        assert self.environ == {} and self.in_reply_to is None
        assert self.out is self.outgoing and self.kvdb is self.kvdb and self.chan is self.channel
        assert self.usage == 1, self.usage
        assert self.invocation_time.year > 2000 and self.invocation_time.tzinfo is None
        assert self.handle_return_time is None and self.processing_time is None
        request = self.request
        assert request.payload == {'a': 1} and type(request.payload) is dict
        assert request.raw_request == b'{\"a\": 1}' == request.text == request.raw
        assert request.http.method == 'PUT' and request.http.path == '/x/7' and request.http.user_agent == 'curl'
        assert request.http.GET == {'q': ['1', '2'], 'r': 'z'} and request.http.params.id == '7'
        assert request.http.params.r == 'z' and request.http.POST == {}
        assert request.headers['User-Agent'] == 'curl' == request.http.headers.get('user-agent')
        assert request.channel_params == {'id': '7', 'q': ['1', '2'], 'r': 'z'}
        assert request.input == {'a': 1, 'id': '7', 'q': ['1', '2'], 'r': 'z'} and request.input.id == '7'
        assert request.bunchified().a == 1 and request.to_bunch().a == 1
        assert request.deepcopy().payload == {'a': 1}
        environ = self.wsgi_environ
        assert environ['REQUEST_METHOD'] == 'PUT' and environ['HTTP_USER_AGENT'] == 'curl'
        assert environ['REMOTE_ADDR'] == '127.0.0.1' and environ['wsgi.input'].read() == request.raw
        assert environ['zato.http.path_params'] == {'id': '7'}
        assert self.server.name
        for name, what in ('pubsub', ' yet'), ('odb', ': busbar keeps'), ('worker_store', ': there is none'):
            assert not hasattr(self, name)
            try: getattr(self, name)
            except AttributeError as e: assert f'`self.{name}` is not available{what}' in str(e), e
            else: assert False
        self.response.payload = 'ok'
    def finalize_handle(self):
        assert self.handle_return_time >= self.invocation_time and self.processing_time >= 0
        type(self).finalized = True
",
        |py, deployed| {
            let request = Request {
                method: "PUT",
                path: "/x/7",
                query: "q=1&q=2&r=z",
                params: &[("id", "7")],
                headers: &[("user-agent", b"curl")],
                body: b"{\"a\": 1}",
                ..Request::default()
            };
            assert_eq!(deployed.reply(py, "s", &request).body, "ok");
            assert!(
                deployed
                    .class("s")
                    .class(py)
                    .getattr("finalized")
                    .unwrap()
                    .is_truthy()
                    .unwrap()
            );
        },
    );
}

#[test]
fn services_may_assign_to_what_they_see() {
    with(
        "
class S(Service):
    def __init__(self, *args, **kwargs):
        self.mine = self.name
    def handle(self):
        self.logger = 'l'; self.environ = 'e'; self.kvdb = 'k'; self.time = 't'; self.request.payload = 'p'
        self.request.input = 'i'
        self.response.payload = [self.logger, self.environ, self.kvdb, self.time, self.request.payload, self.request.input, self.mine]
class Clean(Service):
    def handle(self):
        self.response.payload = self.logger.name
class Alone(Service):
    def handle(self):
        other = Clean()
        try: other.request
        except AttributeError as e: self.response.payload = str(e)
",
        |py, deployed| {
            assert_eq!(deployed.json(py, "s", "{}"), json!(["l", "e", "k", "t", "p", "i", "my-service.s"]));
            assert_eq!(deployed.text(py, "clean", "{}"), "my-service.clean");
            assert!(deployed.text(py, "alone", "{}").contains("was not invoked"));
        },
    );
}

#[test]
fn payloads_are_written_as_their_types_say() {
    with(
        "
import datetime, decimal, dataclasses, collections
class S(Service):
    def handle(self):
        value = eval(self.request.payload['code'])
        self.response.payload = value
        assert self.request.payload['code'].startswith('(x') or len(self.response) >= 0
class Nothing(Service):
    def handle(self):
        assert self.response.payload == ''
class NoHandle(Service): pass
",
        |py, deployed| {
            let cases = [
                ("'text \u{e9}'", "text \u{e9}"),
                ("b'\\x00bytes'", "\u{0}bytes"),
                ("bytearray(b'x')", "x"),
                ("{'a': [1, 2.5, None, '\u{e9}/']}", "{\"a\":[1,2.5,null,\"\u{e9}/\"]}"),
                ("{}", "{}"),
                ("[]", "[]"),
                ("[{'a': 1}]", "[{\"a\":1}]"),
                ("(1, 2)", "[1,2]"),
                ("5", "5"),
                ("0", "0"),
                ("True", "true"),
                ("False", "false"),
                ("1.5", "1.5"),
                ("None", ""),
                ("''", ""),
                (
                    "{'d': datetime.date(2021, 2, 3), 'x': decimal.Decimal('1.10')}",
                    "{\"d\":\"2021-02-03\",\"x\":\"1.10\"}",
                ),
                ("dataclasses.make_dataclass('D', ['a'])(1)", "{\"a\":1}"),
                ("type('T', (), {'to_json': lambda s: '{\"a\": 1}'})()", "{\"a\": 1}"),
                ("type('T', (), {'to_dict': lambda s: {'a': 1}})()", "{\"a\":1}"),
                ("type('T', (), {'getvalue': lambda s: 'v'})()", "v"),
            ];
            for (code, text) in cases {
                let body = json!({"code": code}).to_string();
                assert_eq!(deployed.text(py, "s", &body), text, "{code}");
            }
            assert_eq!(deployed.text(py, "nothing", ""), "");
            let fault = deployed.fault(py, "s", &body("{\"code\": \"object()\"}"));
            assert_eq!(fault.status, 500);
            assert!(
                fault
                    .details
                    .unwrap()
                    .to_string()
                    .contains("object is not a type that JSON knows")
            );
            assert!(
                deployed
                    .fault(py, "no-handle", &body(""))
                    .details
                    .unwrap()
                    .to_string()
                    .contains("NoHandle has no method handle")
            );
        },
    );
}

#[test]
fn responses_carry_status_headers_and_content_type() {
    with(
        "
class S(Service):
    def handle(self):
        assert self.response.status_code == 200 and self.response.content_type == 'text/plain' and self.response.headers == {}
        self.response.status_code = 201
        self.response.content_type = 'text/csv'
        self.response.headers['X-A'] = 5
        self.response.headers['Set-Cookie'] = ['a=1', 'b=2']
        self.response.payload = 'x'
class Bad(Service):
    def handle(self):
        self.response.headers['X-A'] = 'kept'
        self.response.headers['X-B'] = 'a' + self.request.payload
        raise NotFound(self.cid, 'no such customer')
class Status(Service):
    def handle(self):
        for status in (99, 600, 'x', None):
            try: self.response.status_code = status
            except ValueError: pass
            else: assert False
        self.response.status_code = 599
class Zip(Service):
    def handle(self):
        self.response.content_encoding = 'gzip'
        self.response.payload = 'x' * 1000
",
        |py, deployed| {
            let reply = deployed.reply(py, "s", &Request::default());
            let headers: Vec<_> = reply.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(headers, ["X-A: 5", "Set-Cookie: a=1", "Set-Cookie: b=2"]);
            assert_eq!((reply.status, reply.content_type.as_str()), (201, "text/csv"));
            let fault = deployed.fault(py, "bad", &body("\"ok\""));
            assert_eq!((fault.status, fault.details), (404, Some(json!("no such customer"))));
            assert_eq!(fault.headers.len(), 2);
            assert!(deployed.fault(py, "bad", &body("\"\\r\\nX-Evil: 1\"")).headers.is_empty());
            assert_eq!(deployed.reply(py, "status", &Request::default()).status, 599);
            let reply = deployed.reply(py, "zip", &Request::default());
            assert!(reply.body.starts_with(&[0x1f, 0x8b]) && reply.body.len() < 100);
            assert_eq!(reply.headers, [("Content-Encoding".to_owned(), "gzip".to_owned())]);
        },
    );
}

#[test]
fn hooks_run_in_order_and_some_may_fail() {
    with(
        "
class S(Service):
    def before_handle(self):
        self.seen = ['before']
        raise ValueError('ignored')
    def validate_input(self): self.seen.append('validate_input')
    def handle(self): self.seen.append('handle'); self.response.payload = self.seen
    def validate_output(self): self.seen.append('validate_output')
    def after_handle(self):
        self.seen.append('after')
        raise ValueError('ignored')
    def finalize_handle(self): self.seen.append('finalize')
class Quiet(S):
    call_hooks = False
    seen = []
class Refuses(Service):
    def accept(self): return False
    def handle(self): assert False
class Invalid(Service):
    def validate_input(self): raise BadRequest(self.cid, 'no')
    def handle(self): assert False
    def after_handle(self): assert False
class Exits(Service):
    def before_handle(self): raise SystemExit(1)
    def handle(self): assert False
",
        |py, deployed| {
            assert_eq!(
                deployed.json(py, "s", ""),
                json!([
                    "before",
                    "validate_input",
                    "handle",
                    "validate_output",
                    "after",
                    "finalize"
                ])
            );
            assert_eq!(
                deployed.json(py, "quiet", ""),
                json!(["validate_input", "handle", "validate_output", "finalize"])
            );
            let reply = deployed.reply(py, "refuses", &Request::default());
            assert_eq!(
                (reply.status, reply.content_type.as_str(), reply.body.len()),
                (400, "text/plain", 0)
            );
            let fault = deployed.fault(py, "invalid", &Request::default());
            assert_eq!((fault.status, fault.details), (400, Some(json!("no"))));
            assert_eq!(deployed.fault(py, "exits", &Request::default()).status, 500);
        },
    );
}

#[test]
fn attributes_say_what_they_are() {
    with(
        "
class S(Service):
    def handle(self): self.response.payload = [Service.request.__doc__, Service.kvdb.__doc__ != Service.request.__doc__]
",
        |py, deployed| {
            assert_eq!(
                deployed.json(py, "s", ""),
                json!(["What the service was called with.", true])
            );
        },
    );
}

#[test]
fn verbs_have_methods_of_their_own() {
    with(
        "
class S(Service):
    def handle(self): self.response.payload = 'handle'
    def handle_GET(self): self.response.payload = 'get'
    def handle_later(self): pass
class Caller(Service):
    def handle(self):
        self.response.payload = [self.invoke('my-service.s'), self.invoke('my-service.s', wsgi_environ={'REQUEST_METHOD': 'GET'})]
",
        |py, deployed| {
            let get = Request { method: "GET", ..Request::default() };
            assert_eq!(deployed.reply(py, "s", &get).body, "get");
            let reply = deployed.reply(py, "s", &Request::default());
            assert_eq!((reply.status, reply.body.len()), (405, 0));
            assert_eq!(reply.headers, [("Allow".to_owned(), "GET".to_owned())]);
            assert_eq!(deployed.reply(py, "s", &Request { method: "", ..Request::default() }).body, "handle");
            assert_eq!(deployed.reply(py, "caller", &get).body, "[\"get\",\"get\"]");
            assert_eq!(deployed.json(py, "caller", ""), json!(["", "get"]));
        },
    );
}

#[test]
fn services_invoke_each_other() {
    with(
        "
class Echo(Service):
    def handle(self):
        assert self.channel.type == 'invoke' and self.data_format in ('dict', 'json')
        self.response.payload = self.request.payload
class Cid(Service):
    def handle(self): self.response.payload = [self.cid, self.environ, self.in_reply_to]
class Sio(Service):
    class SimpleIO:
        input = 'user_id', '-note'
        output = 'user_id', '-note', '-d'
    def handle(self):
        self.response.payload = dict(self.request.input, d=5)
class Level(Service):
    input = 'a'
    output = 'a'
    def handle(self): self.response.payload.a = self.request.input.a
class Raises(Service):
    def handle(self): raise KeyError('mine')
class Nothing(Service):
    def handle(self): pass
class Missing(Service):
    def handle(self): self.invoke(Sio)
class Itself(Service):
    def handle(self): self.invoke('my-service.itself')
class Ping(Service):
    def handle(self): self.invoke('my-service.pong')
class Pong(Service):
    def handle(self): self.invoke('my-service.ping')
class Caller(Service):
    def handle(self):
        payload = {'a': object()}
        assert self.invoke('my-service.echo', payload) is payload
        assert self.invoke(Echo, payload=payload) is payload
        assert self.invoke('my-service.echo', id=5, name='A') == {'id': 5, 'name': 'A'}
        assert self.invoke(name='my-service.echo', id=5) == {'id': 5}
        assert self.invoke('my-service.echo', 'text', id=5) == 'text'
        assert self.invoke_by_impl_name('my_service.Echo', [1]) == [1]
        assert self.invoke('my-service.nothing') == ''
        assert self.invoke('my-service.cid', environ={'e': 1}, in_reply_to='r') == [self.cid, {'e': 1}, 'r']
        assert self.invoke('my-service.cid', cid='mine')[0] == 'mine'
        assert self.invoke('my-service.sio', user_id='7') == {'response': {'user_id': 7, 'note': '', 'd': '5'}}
        assert self.invoke('my-service.sio', user_id='7', skip_response_elem=True) == {'user_id': 7, 'note': '', 'd': '5'}
        assert self.invoke('my-service.sio', {'user_id': '7'}, as_bunch=True).response.user_id == 7
        text = self.invoke('my-service.sio', {'user_id': '7'}, data_format='json', serialize=True)
        assert __import__('json').loads(text) == {'response': {'user_id': 7, 'note': '', 'd': '5'}}
        assert self.invoke('my-service.sio', {'user_id': '7'}, data_format='json') == {'user_id': 7, 'note': '', 'd': 5}
        assert self.invoke('my-service.level', a='x') == {'a': 'x'}
        try: self.invoke('my-service.raises')
        except KeyError as e: assert e.args == ('mine',)
        else: assert False
        try: self.invoke('no.such')
        except KeyError as e: assert e.args == ('no.such',)
        else: assert False
        self.response.payload = 'ok'
",
        |py, deployed| {
            assert_eq!(deployed.text(py, "caller", ""), "ok");
            let fault = deployed.fault(py, "missing", &body(""));
            assert_eq!((fault.status, fault.details), (400, Some(json!("Element missing: user_id"))));
            let details = |name: &str| deployed.fault(py, name, &body("")).details.unwrap().to_string();
            assert!(details("itself").contains("cannot invoke itself"));
            assert!(details("ping").contains("64 services wait for one another"));
            assert!(details("raises").contains("mine"));
        },
    );
}

#[test]
fn bodies_are_what_the_channel_says() {
    with(
        "
class S(Service):
    def handle(self): self.response.payload = repr(self.request.payload)
class Input(Service):
    def handle(self): self.response.payload = repr(self.request.input)
",
        |py, deployed| {
            let seen = |name: &str, format: DataFormat, body: &[u8]| {
                let reply = deployed.reply(
                    py,
                    name,
                    &Request {
                        format,
                        body,
                        ..Request::default()
                    },
                );
                String::from_utf8(reply.body.to_vec()).unwrap()
            };
            assert_eq!(seen("s", DataFormat::Json, b" {\"a\": 1}"), "{'a': 1}");
            assert_eq!(seen("s", DataFormat::Json, b"[1]"), "[1]");
            assert_eq!(seen("s", DataFormat::Json, b"7"), "7");
            assert_eq!(seen("s", DataFormat::Json, b""), "''");
            assert_eq!(seen("s", DataFormat::Json, b"nope"), "b'nope'");
            assert_eq!(seen("s", DataFormat::None, b"{}"), "b'{}'");
            assert_eq!(seen("input", DataFormat::Json, b""), "ServiceInput({})");
            assert_eq!(seen("input", DataFormat::Json, b"{\"a\":1}"), "ServiceInput({'a': 1})");
            assert_eq!(seen("input", DataFormat::Json, b"[1]"), "[1]");
            assert_eq!(seen("input", DataFormat::None, b"text"), "b'text'");
        },
    );
}

#[test]
fn services_that_refer_to_themselves_are_collected() {
    with(
        "
import gc, weakref
alive = []
class S(Service):
    class SimpleIO:
        output = '-a'
    def handle(self):
        alive.append(weakref.ref(self))
        self.mine = [self]
        self.request.payload = self
        self.environ['self'] = self
        self.response.payload.a = self
        self.response.headers['x'] = self
        self.response.payload = ''
class Left(Service):
    def handle(self):
        gc.collect()
        self.response.payload = [ref() is None for ref in alive]
",
        |py, deployed| {
            for _ in 0..3 {
                let _ = deployed.call(py, "s", &Request::default());
            }
            assert_eq!(deployed.json(py, "left", ""), json!([true, true, true]));
        },
    );
}
