//! SimpleIO, with the worked examples of its specification.

use busbar_model::DataFormat;
use pyo3::prelude::*;
use serde_json::{Value, json};

use super::{body, with};
use crate::testing::Request;

const PAY: &str = "
class Pay(Service):
    class SimpleIO:
        input  = 'user_id', 'is_new', Float('amount'), '-note', List('-tags')
        output = 'user_id', 'is_new', Float('amount'), '-note'
    def handle(self):
        type(self).seen = self.request.input
        self.response.payload = dict(self.request.input)
";

#[test]
fn worked_example_one() {
    with(PAY, |py, deployed| {
        let seen = || {
            deployed
                .class("pay")
                .class(py)
                .getattr("seen")
                .unwrap()
                .repr()
                .unwrap()
                .to_string()
        };
        let text = deployed.text(
            py,
            "pay",
            r#"{"user_id":"7","is_new":"yes","amount":"2.5","tags":["a"]}"#,
        );
        assert_eq!(
            text,
            r#"{"response":{"amount":2.5,"is_new":true,"user_id":7,"note":""}}"#
        );
        assert_eq!(
            seen(),
            "ServiceInput({'amount': 2.5, 'is_new': True, 'user_id': 7, 'note': '', 'tags': ['a']})"
        );

        let request = Request {
            query: "user_id=99",
            ..body(r#"{"user_id":1,"is_new":true,"amount":1}"#)
        };
        let value: Value = serde_json::from_slice(&deployed.reply(py, "pay", &request).body).unwrap();
        assert_eq!(value["response"]["user_id"], 99);
        let request = Request {
            body_over_params: true,
            ..request
        };
        let value: Value = serde_json::from_slice(&deployed.reply(py, "pay", &request).body).unwrap();
        assert_eq!(value["response"]["user_id"], 1);

        let request = Request {
            method: "GET",
            query: "user_id=5&is_new=0&amount=1.25",
            ..Request::default()
        };
        let value: Value = serde_json::from_slice(&deployed.reply(py, "pay", &request).body).unwrap();
        assert_eq!(
            value,
            json!({"response": {"amount": 1.25, "is_new": false, "user_id": 5, "note": ""}})
        );

        let fault = deployed.fault(py, "pay", &body(r#"{"user_id":1}"#));
        assert_eq!(
            (fault.status, fault.details),
            (400, Some(json!("Element missing: amount")))
        );
        let fault = deployed.fault(py, "pay", &body(r#"{"user_id":"x","is_new":1,"amount":1}"#));
        assert_eq!(
            (fault.status, fault.details),
            (400, Some(json!("element `user_id`: 'x' is not an integer")))
        );
        let fault = deployed.fault(py, "pay", &body(r#"{"user_id":"x"}"#));
        assert_eq!(fault.details, Some(json!("Element missing: amount")));

        deployed.text(py, "pay", r#"{"user_id":"","is_new":"","amount":""}"#);
        assert_eq!(
            seen(),
            "ServiceInput({'amount': '', 'is_new': False, 'user_id': '', 'note': '', 'tags': ''})"
        );
        deployed.text(
            py,
            "pay",
            r#"{"user_id":null,"is_new":null,"amount":null,"tags":"x","note":5}"#,
        );
        assert_eq!(
            seen(),
            "ServiceInput({'amount': 0.0, 'is_new': False, 'user_id': None, 'note': '5', 'tags': ['x']})"
        );

        for bad in ["[1]", ""] {
            assert_eq!(
                deployed.fault(py, "pay", &body(bad)).details,
                Some(json!("Element missing: amount")),
                "{bad}"
            );
        }
        for bad in ["nope", "7", "\"x\"", "{"] {
            let fault = deployed.fault(py, "pay", &body(bad));
            assert!(
                fault.status == 400 && fault.details.unwrap().as_str().unwrap().contains("JSON"),
                "{bad}"
            );
        }
    });
}

#[test]
fn worked_example_two() {
    with(
        "
class S(Service):
    class SimpleIO:
        output_required = 'user_id', 'name'
        output_repeated = True
        response_elem = 'users'
    def handle(self):
        for i in range(self.request.payload):
            self.response.payload.append({'user_id': str(i), 'name': 'n%d' % i, 'x': 1})
",
        |py, deployed| {
            assert_eq!(
                deployed.text(py, "s", "2"),
                r#"{"users":[{"name":"n0","user_id":0},{"name":"n1","user_id":1}]}"#
            );
            assert_eq!(deployed.text(py, "s", "0"), r#"{"users":[]}"#);
        },
    );
}

#[test]
fn worked_example_three() {
    with(
        "
ELEMS = (Dict('addr', 'city', '-zip'), DictList('items', 'sku', Int('qty')), Date('d'), DateTime('ts'), Decimal('dec'), UUID('u'),
    CSV('c'), Opaque('o'), AsIs('customer_id'))
class S(Service):
    class SimpleIO:
        input = ELEMS
        output = ELEMS
    def handle(self):
        input = self.request.input
        assert input.addr.city == 'A' and input['items'][0].qty == 2 and input.d.isoformat() == '2021-02-03T00:00:00'
        assert input.c == ['a', 'b'] and input.o.q == [1] and str(input.dec) == '1.10' and input.u.version == 4
        self.response.payload = input
",
        |py, deployed| {
            let input = json!({"addr": {"city": "A", "x": 1}, "items": [{"sku": "s", "qty": "2", "y": 1}], "d": "2021-02-03",
                "ts": "2021-02-03T04:05:06", "dec": "1.10", "u": "d5f1c6c0-5c1f-4a3d-8f0e-0a5a2f0d9b11", "c": "a,b", "o": {"q": [1]},
                "customer_id": "007"});
            assert_eq!(
                deployed.json(py, "s", &input.to_string()),
                json!({"response": {"addr": {"city": "A", "zip": ""}, "c": "a,b", "customer_id": "007", "d": "2021-02-03", "dec": "1.10",
                    "items": [{"sku": "s", "qty": 2}], "o": {"q": [1]}, "ts": "2021-02-03T04:05:06",
                    "u": "d5f1c6c05c1f4a3d8f0e0a5a2f0d9b11"}})
            );
            let refused = |name: &str, value: Value| {
                let mut input = input.clone();
                input[name] = value;
                let text = input.to_string();
                let fault = deployed.fault(py, "s", &body(&text));
                assert_eq!(fault.status, 400, "{name}");
                fault.details.unwrap().as_str().unwrap().to_owned()
            };
            assert_eq!(refused("addr", json!({})), "key `city` was not found in element `addr`");
            assert_eq!(refused("addr", json!("x")), "element `addr`: 'x' is not an object");
            assert_eq!(refused("items", json!({"sku": 1})), "element `items`: {'sku': 1} is not a list of objects");
            assert_eq!(refused("items", json!([{"sku": "s", "qty": "z"}])), "element `qty`: 'z' is not an integer");
            assert_eq!(refused("dec", json!("1,1")), "element `dec`: '1,1' is not a decimal number");
            assert_eq!(refused("u", json!("nope")), "element `u`: 'nope' is not a UUID");
            assert_eq!(refused("c", json!(5)), "element `c`: 5 is not comma-separated text");
            assert!(refused("d", json!("2021-02-30")).starts_with("element `d`: '2021-02-30' is not a date: "));
        },
    );
}

#[test]
fn output_is_filled_in_many_ways() {
    with(
        "
from collections import namedtuple
class Base(Service):
    class SimpleIO:
        output = 'a', '-b'
        response_elem = None
class Set(Base):
    def handle(self):
        self.response.payload.a = 1
        self.response.payload.undeclared = 2
        assert self.response.payload.a == 1
        try: self.response.payload.b
        except KeyError: pass
        else: assert False
class Obj(Base):
    def handle(self):
        class O: a = 1; b = {'x': 1}; c = 3
        self.response.payload = O()
class Tuple(Base):
    def handle(self): self.response.payload = namedtuple('N', 'a b')(1, None)
class Append(Base):
    def handle(self):
        self.response.payload.append({'a': 1, 'z': 2})
        self.response.payload.append(namedtuple('N', 'a')(2))
        assert len(self.response.payload) == 2 and self.response.payload[0]['a'] == 1 and list(self.response.payload)
class Slice(Base):
    def handle(self):
        self.response.payload[:] = ({'a': i} for i in range(2))
        assert self.response.payload[0:1] == [{'a': 0}]
class Bypass(Base):
    def handle(self): self.response.payload = [{'zzz': 1}]
class Text(Base):
    def handle(self): self.response.payload = 'text'
class Missing(Base):
    def handle(self): self.response.payload.b = 1
class Then(Base):
    def handle(self):
        self.response.payload = {'a': 1}
        self.response.payload.b = [2.5]
class Internal(Base):
    def handle(self): self.response.payload = {'zato_x_response': {'a': 1}}
class Optional(Service):
    class SimpleIO:
        output = '-b'
    def handle(self): pass
class Types(Service):
    output = 'count_id', 'is_a', 'n', Float('f'), Int('i'), List('l'), Bool('yes')
    def handle(self):
        import datetime
        self.response.payload = {'count_id': '7', 'is_a': 'true', 'n': datetime.datetime(2021, 2, 3), 'f': '2.5', 'i': '7', 'l': 'x', 'yes': 'on'}
class Wrong(Service):
    output = Int('i')
    def handle(self): self.response.payload.i = 'x'
",
        |py, deployed| {
            for (name, text) in [
                ("set", r#"{"a":"1"}"#),
                ("obj", r#"{"a":"1","b":{"x":1}}"#),
                ("tuple", r#"{"a":"1","b":null}"#),
                ("append", r#"[{"a":"1"},{"a":"2"}]"#),
                ("slice", r#"[{"a":"0"},{"a":"1"}]"#),
                ("bypass", r#"[{"zzz":1}]"#),
                ("text", "text"),
                ("then", r#"{"a":"1","b":[2.5]}"#),
                ("internal", r#"{"a":"1"}"#),
                ("optional", r#"{"response":{}}"#),
                ("types", r#"{"count_id":7,"f":2.5,"i":7,"is_a":true,"l":["x"],"n":"2021-02-03T00:00:00","yes":true}"#),
            ] {
                assert_eq!(deployed.text(py, name, ""), text, "{name}");
            }
            let fault = deployed.fault(py, "missing", &body(""));
            assert!(fault.status == 500 && fault.details.unwrap().to_string().contains("`a` is missing in the payload"));
            let fault = deployed.fault(py, "wrong", &body(""));
            assert!(fault.status == 500 && fault.details.unwrap().to_string().contains("output element `i`"));
        },
    );
}

#[test]
fn elements_of_the_users_own_convert() {
    with(
        "
from zato.common.exception import Forbidden
class Upper(SIOElem):
    def from_json(self, value):
        if value == 'bad': raise ValueError('no such thing')
        if value == 'secret': raise Forbidden('c', 'not this one')
        return value.upper()
    def to_json(self, value): return value + '!'
class S(Service):
    input = Upper('x')
    output = Upper('x')
    def handle(self): self.response.payload = self.request.input
",
        |py, deployed| {
            assert_eq!(deployed.text(py, "s", r#"{"x":"a"}"#), r#"{"x":"A!"}"#);
            let fault = deployed.fault(py, "s", &body(r#"{"x":"bad"}"#));
            assert_eq!(fault.status, 400);
            assert!(fault.details.unwrap().to_string().contains("no such thing"));
            // a value of another type is the caller's doing, whatever is raised for it; an answer of its own stands
            let fault = deployed.fault(py, "s", &body(r#"{"x":5}"#));
            assert_eq!(fault.status, 400);
            assert_eq!(fault.details.unwrap(), "element `x`: 5 is not what its element reads");
            assert_eq!(deployed.fault(py, "s", &body(r#"{"x":"secret"}"#)).status, 403);
        },
    );
}

#[test]
fn xml_goes_in_and_out_of_the_same_class() {
    with(
        "
class GetMarketCap(Service):
    class SimpleIO:
        response_elem = 'market_cap'
        input_required = ('symbol',)
        output_required = ('provider', 'value')
    def handle(self):
        for provider in ('A', 'B & C'):
            self.response.payload.append({'provider': provider, 'value': self.request.input.symbol})
class One(Service):
    input = 'user_id', List('tags')
    output = 'user_id', 'tags', 'is_x'
    def handle(self):
        assert self.request.input.user_id == 5 and self.request.input.tags == ['a', 'b'], self.request.input
        self.response.payload = dict(self.request.input, is_x=None)
class Free(Service):
    def handle(self): self.response.payload = {'a': 1}
",
        |py, deployed| {
            let xml = |name: &str, body: &str| {
                let request = Request {
                    format: DataFormat::Xml,
                    body: body.as_bytes(),
                    ..Request::default()
                };
                let reply = deployed.reply(py, name, &request);
                String::from_utf8(reply.body.to_vec()).unwrap()
            };
            let text = xml("get-market-cap", "<request><symbol>GOOG</symbol></request>");
            assert!(text.starts_with("<market_cap><zato_env><cid>"), "{text}");
            assert!(text.ends_with(
                "<result>ZATO_OK</result></zato_env><item_list><item><provider>A</provider><value>GOOG</value></item>\
                <item><provider>B &amp; C</provider><value>GOOG</value></item></item_list></market_cap>"
            ), "{text}");
            let json = deployed.json(py, "get-market-cap", r#"{"symbol":"GOOG"}"#);
            assert_eq!(json["market_cap"][1], json!({"provider": "B & C", "value": "GOOG"}));
            let text = xml(
                "one",
                "<x><user_id>5</user_id><tags><item>a</item><item>b</item></tags></x>",
            );
            assert!(
                text.contains(
                    "<item><is_x xsi:nil=\"true\"></is_x><tags>a</tags><tags>b</tags><user_id>5</user_id></item>"
                ),
                "{text}"
            );
            assert_eq!(xml("free", ""), "<response><a>1</a></response>");
            let request = Request {
                format: DataFormat::Xml,
                body: b"<request><a/></request>",
                ..Request::default()
            };
            assert_eq!(
                deployed.fault(py, "get-market-cap", &request).details,
                Some(json!("Element missing: symbol"))
            );
            let request = Request {
                format: DataFormat::Xml,
                body: b"<request>",
                ..Request::default()
            };
            assert_eq!(deployed.fault(py, "get-market-cap", &request).status, 400);
        },
    );
}

#[test]
fn input_behaves_as_a_dictionary_with_dots() {
    with(
        "
class S(Service):
    input = 'a', '-items', '-none'
    def handle(self):
        i = self.request.input
        assert i.a == 'x' and i['a'] == 'x' and i.get('zz', 5) == 5 and 'a' in i and dict(i) == i == {'a': 'x', 'items': '1', 'none': ''}
        assert callable(i.items) and i['items'] == '1'
        try: i.zz
        except AttributeError as e: assert '`zz`' in str(e) and '`a`' in str(e), e
        else: assert False
        try: i['zz']
        except KeyError: pass
        else: assert False
        i.new = [1]
        copy = i.deepcopy()
        i.new.append(2)
        assert copy.new == [1] and type(copy) is type(i) and i.copy().new == [1, 2] and type(i.copy()) is type(i)
        i.require_any('none', 'a')
        try: i.require_any('none', 'zz')
        except ValueError as e: assert '`none`, `zz`' in str(e)
        else: assert False
        del i.new
        assert not hasattr(i, 'new') and hasattr(i, 'a')
        import copy as c, pickle
        assert c.deepcopy(i) == i and isinstance(i, dict)
        self.response.payload = 'ok'
",
        |py, deployed| assert_eq!(deployed.text(py, "s", r#"{"a":"x","items":1}"#), "ok"),
    );
}

#[test]
fn empty_keys_can_be_skipped() {
    with(
        "
class S(Service):
    class SimpleIO:
        input = 'a', '-b', '-c'
        output = 'a', '-b', '-c'
        response_elem = None
        class SkipEmpty:
            input = 'b'
            output_def = 'c'
    def handle(self):
        self.response.payload = {'a': sorted(self.request.input), 'b': '', 'c': ''}
class Defaults(Service):
    class SimpleIO:
        input = '-a', Int('-b', default=7), '-is_c'
        output = 'a', 'b', '-d'
        default_value = 'x'
        default_output_value = 'y'
        response_elem = None
    def handle(self):
        assert self.request.input.is_c == 'x'
        self.response.payload = self.request.input
",
        |py, deployed| {
            assert_eq!(
                deployed.json(py, "s", r#"{"a":"","b":"","c":""}"#),
                json!({"a": ["a", "c"], "b": ""})
            );
            assert_eq!(
                deployed.json(py, "defaults", "{}"),
                json!({"a": "x", "b": "7", "d": "y"})
            );
        },
    );
}
