//! Models as input and output.

use busbar_model::DataFormat;
use serde_json::{Value, json};

use super::{body, with};
use crate::testing::{Deployed, Request};
use pyo3::Python;

const SHOP: &str = "
from dataclasses import dataclass as std_dataclass, field
from datetime import date, datetime
from typing import List, Optional
from zato.common.marshal_.api import MarshalAPI, ModelCtx as Ctx
from zato.common.typing_ import any_, anydict, anylist, boolnone, datetimez, dict_field, isotimestamp, list_, list_field, optional, strnone
from zato.server.service import Model, ModelCtx, dataclass

@std_dataclass(init=False)
class Addr(Model):
    city: str
    zip: strnone = None

@dataclass(init=False)
class Req(Model):
    user_id: 'int'
    addr: 'Addr'
    tags: list_[str] = list_field()

@dataclass(init=False)
class Resp(Model):
    user_id: int
    when: datetime
    addrs: List[Addr] = list_field()
    note: strnone = None

@dataclass(init=False)
class Everything(Model):
    b: bool
    d: date
    f: float
    i: int
    m: Optional[Addr]
    ms: list_[Addr]
    n: str
    p: str | None
    stamp: isotimestamp
    t: datetime
    z: datetimez
    di: anydict = dict_field()
    o: optional[int]
    oi: optional['int'] = 7
    ol: 'optional[list_[Addr]]'
    os: optional[str]
    od: optional[dict]
    of: optional[float]
    li: anylist = list_field()
    x: any_ = None

@dataclass(init=False)
class Tree(Model):
    name: str
    children: list_['Tree'] = list_field()

@dataclass
class Point:
    x: int
    y: int = 5
    z: int
    def __post_init__(self): self.sum = self.x + self.y

@dataclass(init=False)
class Checked(Model):
    a: int
    def after_created(self, ctx):
        assert isinstance(ctx, ModelCtx) and Ctx is ModelCtx and ctx.DataClass is Checked
        if ctx.data.get('a') == '13': raise ValueError('unlucky')
        self.seen = ctx.service.name

class Save(Service):
    input = Req
    output = Resp
    def handle(self):
        i = self.request.input
        assert isinstance(i, Req) and isinstance(i.addr, Addr) and i['user_id'] == i.user_id and 'addr' in i and 'x' not in i
        assert i.get('x') is None and i.get('tags') == i.tags and 'extra' not in i.to_dict() and i.clone() == i
        resp = Resp()
        resp.user_id = i.user_id
        resp.when = datetime(2021, 2, 3, 4, 5, 6)
        resp.addrs = [i.addr]
        self.response.payload = resp

class Echo(Service):
    class SimpleIO:
        input = Everything
    def handle(self):
        i = self.request.input
        self.response.payload = {name: repr(i[name]) for name in i.zato_get_fields()}

class Walk(Service):
    input = Tree
    def handle(self): self.response.payload = self.request.input

class PointIn(Service):
    input = Point
    def handle(self): self.response.payload = [self.request.input, self.request.input.sum]

class Check(Service):
    input = Checked
    def handle(self): self.response.payload = self.request.input.seen

class Mixed(Service):
    class SimpleIO:
        input = Addr
        output = 'user_id', '-is_new', '-note'
    def handle(self):
        self.response.payload.user_id = 5
        self.response.payload.is_new = True

class Reverse(Service):
    class SimpleIO:
        input = 'user_id'
        output = Addr
    def handle(self):
        assert self.request.input == {'user_id': 1}
        self.response.payload.city = 'A'

class Lists(Service):
    output = list_[Addr]
    def handle(self):
        a = Addr()
        a.city = 'A'
        self.response.payload = [a]

class Raw(Service):
    output = Addr
    def handle(self): self.response.payload = {'nothing': 'declared'}

class Unset(Service):
    output = Resp
    def handle(self):
        r = Resp()
        r.user_id = 1
        self.response.payload = r

class Nothing(Service):
    output = Addr
    def handle(self): assert self.response.payload is not None

class Caller(Service):
    def handle(self):
        given = Addr.from_dict({'city': 'B'})
        back = self.invoke('my-service.pass-on', given)
        assert back is given
        assert self.invoke('my-service.pass-on', {'city': 'C', 'x': 1}).city == 'C'
        assert self.invoke('my-service.pass-on', city='D').zip is None
        api = MarshalAPI().from_dict(self, {'user_id': '1', 'addr': {}}, Req, extra={'addr': given})
        assert api.addr is given and api.tags == []
        assert api.to_json() == '{\"user_id\":1,\"addr\":{\"city\":\"B\",\"zip\":null},\"tags\":[]}'
        assert Point(1, z=2) == Point(1, 5, 2)
        self.response.payload = 'ok'

class PassOn(Service):
    input = Addr
    output = Addr
    def handle(self): self.response.payload = self.request.input
";

fn refused(py: Python<'_>, deployed: &Deployed, name: &str, input: &str) -> Value {
    let fault = deployed.fault(py, name, &body(input));
    assert_eq!(fault.status, 400, "{name} {input}");
    fault.details.unwrap()
}

#[test]
fn models_are_read_and_written() {
    with(SHOP, |py, deployed| {
        assert_eq!(
            deployed.text(
                py,
                "save",
                r#"{"user_id":"5","addr":{"city":"A","x":1},"tags":["a"],"extra":1}"#
            ),
            r#"{"user_id":5,"when":"2021-02-03T04:05:06","addrs":[{"city":"A","zip":null}],"note":null}"#
        );
        let request = Request {
            query: "user_id=9&other=1",
            ..body(r#"{"user_id":1,"addr":{"city":"A"}}"#)
        };
        let reply = deployed.reply(py, "save", &request);
        assert!(reply.body.starts_with(br#"{"user_id":9,"#));
        assert_eq!(
            deployed.text(py, "walk", r#"{"name":"a","children":[{"name":"b"}]}"#),
            r#"{"name":"a","children":[{"name":"b","children":[]}]}"#
        );
        assert_eq!(
            deployed.json(py, "point-in", r#"{"x":"1","z":2}"#),
            json!([{"x": 1, "y": 5, "z": 2}, 6])
        );
        assert_eq!(deployed.text(py, "check", r#"{"a":1}"#), "my-service.check");
        assert_eq!(deployed.fault(py, "check", &body(r#"{"a":"13"}"#)).status, 500);
        assert_eq!(
            deployed.json(py, "mixed", r#"{"city":"A"}"#),
            json!({"user_id": 5, "is_new": true, "note": ""})
        );
        assert_eq!(
            deployed.json(py, "reverse", r#"{"user_id":1}"#),
            json!({"city": "A", "zip": null})
        );
        assert_eq!(deployed.json(py, "lists", ""), json!([{"city": "A", "zip": null}]));
        assert_eq!(deployed.json(py, "raw", ""), json!({"nothing": "declared"}));
        assert_eq!(deployed.text(py, "nothing", ""), "");
        let fault = deployed.fault(py, "unset", &body(""));
        assert!(fault.status == 500 && fault.details.unwrap().to_string().contains("`when` of model `Resp`"));
        assert_eq!(deployed.text(py, "caller", ""), "ok");
        let xml = Request {
            format: DataFormat::Xml,
            ..body("<r><user_id>5</user_id><addr><city>A</city></addr><tags><item>a</item></tags></r>")
        };
        let reply = deployed.reply(py, "save", &xml);
        let text = String::from_utf8_lossy(&reply.body);
        assert!(
            text.contains("<user_id>5</user_id>") && text.contains("<city>A</city>"),
            "{text}"
        );
    });
}

#[test]
fn what_is_wrong_with_a_model_is_told_by_its_path() {
    with(SHOP, |py, deployed| {
        for (input, details) in [
            ("{}", "Element missing: /addr"),
            ("[]", "Element missing: /addr"),
            ("", "Element missing: /addr"),
            (r#"{"user_id":1}"#, "Element missing: /addr"),
            (r#"{"user_id":1,"addr":null}"#, "Element missing: /addr"),
            (r#"{"user_id":1,"addr":"x"}"#, "Element missing: /addr"),
            (r#"{"user_id":1,"addr":{}}"#, "Element missing: /addr/city"),
            (r#"{"addr":{"city":"A"}}"#, "Element missing: /user_id"),
            (
                r#"{"user_id":1,"addr":{"city":"A"},"tags":"x"}"#,
                "Element is not a list: /tags",
            ),
            (
                r#"{"user_id":"x","addr":{"city":"A"}}"#,
                "element `/user_id`: 'x' is not an integer",
            ),
        ] {
            assert_eq!(refused(py, &deployed, "save", input), json!(details), "{input}");
        }
        let details = refused(
            py,
            &deployed,
            "walk",
            r#"{"name":"a","children":[{"name":"b"},{"x":1}]}"#,
        );
        assert_eq!(details, json!("Element missing: /children[1]/name"));
        let details = refused(py, &deployed, "walk", r#"{"name":"a","children":[1]}"#);
        assert_eq!(details, json!("Element missing: /children[0]"));
        assert!(refused(py, &deployed, "save", "nope").to_string().contains("JSON"));
    });
}

#[test]
fn every_type_of_field() {
    with(SHOP, |py, deployed| {
        let minimal = json!({"b": "yes", "d": "2021-02-03", "f": "1.5", "i": "5", "ms": [{"city": "A"}], "n": 7,
            "stamp": "2021-02-03 04:05", "t": "2021-02-03T04:05:06", "z": "2021-02-03T04:05:06", "unknown": 1});
        assert_eq!(
            deployed.json(py, "echo", &minimal.to_string()),
            json!({"b": "'yes'", "d": "datetime.date(2021, 2, 3)", "di": "{}", "f": "'1.5'", "i": "5", "li": "[]", "m": "None",
                "ms": "[Addr(city='A', zip=None)]", "n": "7", "o": "0", "od": "{}", "of": "0.0", "oi": "7", "ol": "[]", "os": "''",
                "p": "''", "stamp": "'2021-02-03T04:05:00'", "t": "datetime.datetime(2021, 2, 3, 4, 5, 6)", "x": "None",
                "z": "datetime.datetime(2021, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)"})
        );
        let mut full = minimal.clone();
        for (name, value) in [
            ("m", json!({"city": "M"})),
            ("ol", json!([{"city": "O", "zip": "1"}])),
            ("o", Value::Null),
            ("n", Value::Null),
            ("i", Value::Null),
            ("x", json!([1])),
        ] {
            full[name] = value;
        }
        let seen = deployed.json(py, "echo", &full.to_string());
        assert_eq!(seen["m"], "Addr(city='M', zip=None)");
        assert_eq!(seen["ol"], "[Addr(city='O', zip='1')]");
        assert_eq!(
            [&seen["o"], &seen["n"], &seen["i"], &seen["x"]],
            ["None", "None", "None", "[1]"]
        );
        for (name, value, part) in [
            ("m", json!({}), "Element missing: /m/city"),
            ("ol", json!([{}]), "Element missing: /ol[0]/city"),
            ("ms", json!(null), "Element is not a list: /ms"),
            ("t", json!("soon"), "element `/t`: 'soon' is not a date and time"),
            ("i", json!([]), "element `/i`: [] is not an integer"),
        ] {
            let mut input = minimal.clone();
            input[name] = value;
            assert_eq!(
                refused(py, &deployed, "echo", &input.to_string()),
                json!(part),
                "{name}"
            );
        }
        let declaration = deployed.class("echo").info().sio.clone().unwrap();
        let input = declaration.input.unwrap();
        assert!(declaration.input_is_model && declaration.response_elem.is_none());
        assert_eq!(input.iter().filter(|element| element.required).count(), 9);
    });
}
