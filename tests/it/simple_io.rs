//! Declared input and output: the worked examples, as callers see them.

use busbar_testkit::client::Request;
use serde_json::{Value, json};

use crate::{repository, server};

const SHOP: &str = r#"
from dataclasses import dataclass
from zato.common.typing_ import list_, list_field, strnone
from zato.server.service import AsIs, CSV, Date, DateTime, Decimal, Dict, DictList, Float, Int, List, Model, Opaque, Service, UUID

class Pay(Service):
    class SimpleIO:
        input  = 'user_id', 'is_new', Float('amount'), '-note', List('-tags')
        output = 'user_id', 'is_new', Float('amount'), '-note'
    def handle(self):
        self.response.payload = dict(self.request.input)

class Nodes(Service):
    class SimpleIO:
        input = 'note', Int('amount'), '-missing', '-where'
        use_text = False
    def handle(self):
        input = self.request.input
        note = input.note
        self.response.payload = '%s %s %s %r %r %r' % (note.tag, note.get('lang'), note.text, input.amount, input.missing, input['where'])

class Shapes(Service):
    class SimpleIO:
        input = 'user_id', '-note', Dict('-d'), DictList('-rows'), List('-tags')
    def handle(self):
        self.response.payload = repr(dict(self.request.input))

class Users(Service):
    class SimpleIO:
        input = Int('count')
        output_required = 'user_id', 'name'
        output_repeated = True
        response_elem = 'users'
    def handle(self):
        for i in range(self.request.input['count']):
            self.response.payload.append({'user_id': str(i), 'name': 'n%d' % i})

ELEMENTS = (Dict('addr', 'city', '-zip'), DictList('items', 'sku', Int('qty')), Date('d'), DateTime('ts'), Decimal('dec'), UUID('u'),
    CSV('c'), Opaque('o'), AsIs('customer_id'))

class Elements(Service):
    class SimpleIO:
        input = ELEMENTS
        output = ELEMENTS
    def handle(self):
        self.response.payload = self.request.input

@dataclass(init=False)
class Addr(Model):
    city: str
    zip: strnone = None

@dataclass(init=False)
class Order(Model):
    user_id: int
    addr: 'Addr'
    tags: list_[str] = list_field()

@dataclass(init=False)
class Accepted(Model):
    user_id: int
    city: str

class Accept(Service):
    input = Order
    output = Accepted
    def handle(self):
        self.response.payload.city = self.request.input.addr.city
        self.response.payload.user_id = self.request.input.user_id

class Rows(Service):
    class SimpleIO:
        input = 'user_id', 'name'
        output = 'user_id', 'name'
    def handle(self):
        self.response.payload[:] = self.request.input

class Names(Service):
    input = 'order_no', 'user_id', 'can_wait'
    def handle(self):
        self.response.payload = {name: type(value).__name__ for name, value in self.request.input.items()}
"#;

const CHANNELS: &str = "
channel_rest:
  - {name: rows, url_path: /rows, service: shop.rows, data_format: csv}
  - {name: form, url_path: /form, service: shop.pay, data_format: form}
  - {name: xml, url_path: /xml, service: shop.pay, data_format: xml}
  - {name: nodes, url_path: /nodes, service: shop.nodes, data_format: xml}
  - {name: shapes, url_path: /shapes, service: shop.shapes, data_format: xml}
  - {name: message, url_path: /message, service: shop.pay, data_format: json, params_pri: msg-over-channel-params}
";

#[test]
fn nodes_of_xml_are_given_where_they_are_asked_for() {
    let server = server().service("shop.py", SHOP).enmasse(CHANNELS).start();
    let body = "<request><note lang='pl'>ż</note><amount>3</amount></request>";
    let answer = server.post("/nodes?where=here", body).expect(200);
    assert_eq!(answer.text(), "note pl ż 3 '' 'here'");
    server.post("/nodes", "<request><note/></request>").expect(400);
}

#[test]
fn xml_that_does_not_fit_is_refused() {
    let server = server().service("shop.py", SHOP).enmasse(CHANNELS).start();
    for (body, details) in [
        (
            "<user_id><x>1</x></user_id>",
            "element `user_id`: {'x': '1'} is not an integer",
        ),
        ("<user_id>1</user_id><d>x</d>", "element `d`: 'x' is not an object"),
        (
            "<user_id>1</user_id><rows>x</rows>",
            "element `rows`: 'x' is not a list of objects",
        ),
        (
            "<user_id>1</user_id><rows><sku>1</sku></rows>",
            "element `rows`: `sku` is not a row",
        ),
        (
            "<user_id>1</user_id><tags>x<item/></tags>",
            "element `tags`: there is text beside",
        ),
    ] {
        let text = server.post("/shapes", format!("<r>{body}</r>")).expect(400).text();
        assert!(text.contains(details), "{text}");
    }
    let body = "<r><user_id>1</user_id><note><a>x</a></note><d/><rows/><tags/></r>";
    let text = server.post("/shapes", body).expect(200).text();
    let expected = r#"{'user_id': 1, 'd': {}, 'note': "{'a': 'x'}", 'rows': [], 'tags': []}"#;
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_worked_examples() {
    let server = ["pay", "users", "elements", "accept"]
        .iter()
        .fold(server().service("shop.py", SHOP), |server, name| {
            server.channel(&format!("/{name}"), &format!("shop.{name}"))
        })
        .enmasse(CHANNELS)
        .start();
    let refused = |target: &str, body: &str, details: &str| {
        let response = server.post(target, body).expect(400);
        assert_eq!(
            response.json(),
            json!({"result": "Error", "cid": response.cid(), "details": details}),
            "{target} {body}"
        );
    };

    // the first
    let pay = |target: &str, body: &str| server.post(target, body).expect(200).json();
    assert_eq!(
        pay("/pay", r#"{"user_id":"7","is_new":"yes","amount":"2.5","tags":["a"]}"#),
        json!({"response": {"amount": 2.5, "is_new": true, "user_id": 7, "note": ""}})
    );
    let body = r#"{"user_id":1,"is_new":true,"amount":1}"#;
    assert_eq!(pay("/pay?user_id=99", body)["response"]["user_id"], 99);
    assert_eq!(pay("/message?user_id=99", body)["response"]["user_id"], 1);
    assert_eq!(
        server.get("/pay?user_id=5&is_new=0&amount=1.25").expect(200).json(),
        json!({"response": {"amount": 1.25, "is_new": false, "user_id": 5, "note": ""}})
    );
    refused("/pay", r#"{"user_id":1}"#, "Element missing: amount");
    refused(
        "/pay",
        r#"{"user_id":"x","is_new":1,"amount":1}"#,
        "element `user_id`: 'x' is not an integer",
    );
    assert_eq!(
        pay("/pay", r#"{"user_id":"","is_new":"","amount":""}"#),
        json!({"response": {"amount": "", "is_new": false, "user_id": "", "note": ""}})
    );
    assert_eq!(
        pay("/pay?note=a&note=b", body)["response"]["note"],
        "['a', 'b']",
        "a repeated key is a list"
    );

    // the second
    assert_eq!(
        pay("/users", r#"{"count":2}"#),
        json!({"users": [{"name": "n0", "user_id": 0}, {"name": "n1", "user_id": 1}]})
    );
    assert_eq!(pay("/users", r#"{"count":0}"#), json!({"users": []}));

    // the third
    let input = json!({"addr": {"city": "A", "x": 1}, "items": [{"sku": "s", "qty": "2", "y": 1}], "d": "2021-02-03",
        "ts": "2021-02-03T04:05:06", "dec": "1.10", "u": "d5f1c6c0-5c1f-4a3d-8f0e-0a5a2f0d9b11", "c": "a,b", "o": {"q": [1]},
        "customer_id": "007"});
    assert_eq!(
        pay("/elements", &input.to_string()),
        json!({"response": {"addr": {"city": "A", "zip": ""}, "c": "a,b", "customer_id": "007", "d": "2021-02-03", "dec": "1.10",
            "items": [{"sku": "s", "qty": 2}], "o": {"q": [1]}, "ts": "2021-02-03T04:05:06",
            "u": "d5f1c6c05c1f4a3d8f0e0a5a2f0d9b11"}})
    );
    for (name, value, details) in [
        ("addr", json!({}), "key `city` was not found in element `addr`"),
        ("addr", json!("x"), "element `addr`: 'x' is not an object"),
        ("dec", json!("1,1"), "element `dec`: '1,1' is not a decimal number"),
        ("u", json!("nope"), "element `u`: 'nope' is not a UUID"),
        (
            "items",
            json!([{"sku": "s", "qty": "z"}]),
            "element `qty`: 'z' is not an integer",
        ),
    ] {
        let mut input = input.clone();
        input[name] = value;
        refused("/elements", &input.to_string(), details);
    }

    // a model
    let accepted = server
        .post("/accept", r#"{"user_id":"5","addr":{"city":"A"},"x":1}"#)
        .expect(200);
    assert_eq!(accepted.text(), r#"{"user_id":5,"city":"A"}"#);
    for (body, details) in [
        ("{}", "Element missing: /addr"),
        ("", "Element missing: /addr"),
        (r#"{"addr":{"city":"A"}}"#, "Element missing: /user_id"),
        (r#"{"addr":{},"user_id":1}"#, "Element missing: /addr/city"),
        (
            r#"{"addr":{"city":"A"},"user_id":1,"tags":5}"#,
            "Element is not a list: /tags",
        ),
        (
            r#"{"addr":{"city":"A"},"user_id":"x"}"#,
            "element `/user_id`: 'x' is not an integer",
        ),
    ] {
        refused("/accept", body, details);
    }

    // other formats
    let rows = server.post("/rows", "A,7\r\n\"B, \"\"c\"\"\",8\r\n").expect(200);
    assert_eq!(rows.header("content-type"), Some("text/csv"));
    assert_eq!(rows.text(), "name,user_id\r\nA,7\r\n\"B, \"\"c\"\"\",8\r\n");
    let short = server.post("/rows", "A").expect(400);
    assert_eq!(
        (short.text().as_str(), short.header("content-type")),
        ("row 1: 1 of 2 columns are there", Some("text/plain"))
    );
    server.post("/rows", "").expect(400);
    let form = |body: &str| {
        server.send(
            &Request::new("POST", "/form")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(body),
        )
    };
    assert_eq!(
        form("user_id=5&is_new=on&amount=1e1&note=%C3%A9").expect(200).json(),
        json!({"response": {"amount": 10.0, "is_new": true, "user_id": 5, "note": "é"}})
    );
    assert_eq!(
        form("user_id=5&is_new=on").expect(400).text(),
        "Element missing: amount"
    );
    let xml = server
        .post(
            "/xml",
            "<request><user_id>5</user_id><is_new>no</is_new><amount>1</amount></request>",
        )
        .expect(200);
    let item = "<item><amount>1.0</amount><is_new>false</is_new><user_id>5</user_id><note></note></item></response>";
    assert!(xml.text().ends_with(item), "{}", xml.text());
}

#[test]
fn secrets_are_encrypted_on_the_way_in() {
    let service = "
from zato.server.service import Dict, Service
from zato.simpleio import Secret
class Inner(Service):
    input = 'token'
    def handle(self):
        self.response.payload = self.server.decrypt(self.request.input.token)
class Outer(Service):
    input = 'token', '-password', Dict('login', Secret('pin'))
    def handle(self):
        i = self.request.input
        assert i.password == ''
        self.response.payload = {'seen': [i.token, i.login.pin], 'read': [self.crypto.decrypt(i.token), self.crypto.decrypt(i.login.pin)],
            'passed_on': self.invoke('vault.inner', {'token': i.token}), 'given': self.invoke('vault.inner', {'token': 'plain'})}
";
    let input = r#"{"token":"s3cret","password":"","login":{"pin":1234}}"#;
    for (config, is_encrypted) in [("", true), ("[simple_io]\nencrypt_secrets = false\n", false)] {
        let server = server().config(config).service("vault.py", service).start();
        let answer = server.invoke("vault.outer", input).expect(200).json();
        assert_eq!(answer["read"], json!(["s3cret", "1234"]));
        assert_eq!(
            (&answer["passed_on"], &answer["given"]),
            (&json!("s3cret"), &json!("plain"))
        );
        assert_eq!(answer["seen"] == json!(["s3cret", "1234"]), !is_encrypted);
    }
}

#[test]
fn names_imply_what_the_settings_say() {
    let server = server()
        .config("[simple_io]\nint_suffixes = ['_no']\nbool_prefixes = ['can_']\n")
        .service("shop.py", SHOP)
        .start();
    let kinds: Value = server
        .invoke("shop.names", r#"{"order_no":"7","user_id":"A-1","can_wait":"yes"}"#)
        .expect(200)
        .json();
    assert_eq!(kinds, json!({"order_no": "int", "user_id": "str", "can_wait": "bool"}));
}

#[test]
fn rows_of_a_database_are_output() {
    let service = "
from sqlalchemy import Column, Integer, String, create_engine, select, text
from sqlalchemy.orm import Session, declarative_base
from sqlalchemy.pool import StaticPool
from zato.server.service import Service

Base = declarative_base()

class User(Base):
    __tablename__ = 'users'
    user_id = Column(Integer, primary_key=True)
    name = Column(String)
    secret = Column(String)

engine = create_engine('sqlite://', poolclass=StaticPool, connect_args={'check_same_thread': False})
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all([User(user_id=1, name='A', secret='x'), User(user_id=2, name='B', secret='y')])
    session.commit()

class Users(Service):
    class SimpleIO:
        input = 'kind'
        output = 'user_id', 'name', '-note'
    def handle(self):
        kind = self.request.input.kind
        with Session(engine) as session:
            if kind == 'objects': self.response.payload[:] = session.query(User).order_by(User.user_id)
            elif kind == 'rows': self.response.payload[:] = session.execute(select(User.user_id, User.name))
            elif kind == 'mappings': self.response.payload[:] = session.execute(text('select * from users')).mappings()
            elif kind == 'object': self.response.payload = session.get(User, 1)
            elif kind == 'row': self.response.payload = session.execute(text('select * from users')).first()
            elif kind == 'append': self.response.payload.append(session.get(User, 2))
";
    let server = server().service("rows.py", service).start();
    let ask = |kind: &str| {
        let body = json!({"kind": kind}).to_string();
        server.invoke("rows.users", &body).expect(200).json()["response"].clone()
    };
    let (one, two) = (json!({"user_id": 1, "name": "A"}), json!({"user_id": 2, "name": "B"}));
    for kind in ["objects", "rows", "mappings"] {
        assert_eq!(ask(kind), json!([one, two]), "{kind}");
    }
    assert_eq!(
        (ask("object"), ask("row"), ask("append")),
        (one.clone(), one, json!([two]))
    );
}

#[test]
fn the_examples_of_the_documentation() {
    let page = std::fs::read_to_string(repository().join("docs/simple-io.md")).unwrap();
    let examples: Vec<&str> = page
        .split("```python\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(examples.len(), 2);
    let server = server()
        .service("book.py", examples[0])
        .service("accept.py", examples[1])
        .start();
    let stay = r#"{"hotel":"Sea","arrival":"2026-07-01","nights":"2"}"#;
    assert_eq!(
        server.invoke("book.book", stay).expect(200).json(),
        json!({"response": {"booking_id": 7, "price": 160.0}})
    );
    let missing = server
        .invoke("book.book", r#"{"hotel":"Sea","arrival":"2026-07-01"}"#)
        .expect(400);
    assert_eq!(missing.json()["details"], "Element missing: nights");
    let accept = |body: &str| server.invoke("accept.accept", body);
    assert_eq!(
        accept(r#"{"order_id":1,"address":{"city":"A"}}"#).expect(200).json(),
        json!({"accepted": 1, "to": "A"})
    );
    assert_eq!(
        accept(r#"{"order_id":1,"address":{}}"#).expect(400).json()["details"],
        "Element missing: /address/city"
    );
}

#[test]
fn output_without_a_type_stays_what_it_is_where_the_settings_say_so() {
    let service = "
from datetime import datetime
from zato.server.service import Service, Text
class Show(Service):
    class SimpleIO:
        output = 'number', 'flag', 'when', 'rows', 'user_id', Text('text')
    def handle(self):
        self.response.payload = {'number': 2.5, 'flag': True, 'when': datetime(2021, 2, 3, 4, 5, 6), 'rows': [{'a': 1}], 'user_id': '7', 'text': 1}
";
    let server = server()
        .config("[simple_io]\nuntyped_output = 'as-is'\n")
        .service("shop.py", service)
        .channel("/show", "shop.show")
        .start();
    assert_eq!(
        server.post("/show", "").expect(200).json(),
        json!({"response": {
            "number": 2.5, "flag": true, "when": "2021-02-03T04:05:06", "rows": [{"a": 1}], "user_id": 7, "text": "1",
        }})
    );
}
