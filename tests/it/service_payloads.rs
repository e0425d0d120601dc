//! What goes into services and comes out of them: payloads of every kind, declared input and output.

use serde_json::json;

use crate::service_api::start;

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
fn a_service_that_declares_nothing_gets_what_is_no_json() {
    let server = start(
        "
class Any(Service):
    def handle(self):
        self.response.payload = repr(self.request.payload)

class Declared(Service):
    input = '-a', Float('-f')
    def handle(self):
        self.response.payload = {'f': self.request.input.get('f')}
",
        &["any", "declared"],
    );
    for (body, seen) in [
        ("a;b\n1;2", r"b'a;b\n1;2'"),
        ("{", "b'{'"),
        ("{\"a\": 1}", "{'a': 1}"),
        ("", "''"),
    ] {
        assert_eq!(server.post("/any", body).expect(200).text(), seen, "{body}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(server.post("/any", &deep).expect(200).body.len(), deep.len() + 3);
    server.post("/declared", "{").expect(400);
    server.post("/declared", r#"{"f": "1.5"}"#).expect(200);
    // what could not be answered with
    for text in ["NaN", "inf", "-Infinity", "1e999"] {
        let body = format!(r#"{{"f": "{text}"}}"#);
        server.post("/declared", body).expect(400);
    }
}
