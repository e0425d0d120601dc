//! CSV and HTML forms in and out.

use busbar_model::DataFormat;
use pyo3::Python;
use serde_json::json;

use super::with;
use crate::testing::{Deployed, Request};

fn csv<'a>(body: &'a [u8]) -> Request<'a> {
    Request {
        format: DataFormat::Csv,
        body,
        ..Request::default()
    }
}

fn text(py: Python<'_>, deployed: &Deployed, name: &str, request: &Request<'_>) -> String {
    String::from_utf8(deployed.reply(py, name, request).body.to_vec()).unwrap()
}

#[test]
fn csv_is_read_and_written() {
    with(
        "
from zato.server.service import Model, dataclass
class In(Service):
    class SimpleIO:
        input = 'user_id', 'name', '-note'
        output = 'user_id', 'name'
    def handle(self):
        assert self.request.payload[0][0] == self.request.input[0].name
        self.response.payload[:] = self.request.input
class Out(Service):
    class SimpleIO:
        output = 'user_id', 'name'
    def handle(self):
        kind = self.request.payload[0][0]
        if kind == 'two':
            self.response.payload.append({'user_id': '7', 'name': 'A', 'x': 1})
            self.response.payload.append({'user_id': 8, 'name': 'B, \"c\"'})
        elif kind == 'list': self.response.payload = [{'user_id': 1, 'name': 'n'}]
        else: self.response.payload = {'user_id': 7, 'name': None}
class Semicolons(Service):
    class SimpleIO:
        input = 'a', 'b'
        output = 'a', 'b'
        class CSV:
            delimiter = ';'
            lineterminator = '\\n'
            should_write_header = False
            encoding = 'latin-1'
    def handle(self): self.response.payload[:] = self.request.input
class Attributes(Service):
    class SimpleIO:
        output = 'a', 'b'
        csv_delimiter = '|'
    def handle(self): self.response.payload = {'a': 1, 'b': 2}
class Free(Service):
    def handle(self):
        self.response.payload = [{'b': 1, 'a': row[0]} for row in self.request.input] + [('x', 2)]
@dataclass(init=False)
class Row(Model):
    b: int
    a: str
class Models(Service):
    input = Row
    def handle(self): self.response.payload = self.request.input
",
        |py, deployed| {
            let text = |name: &str, body: &str| text(py, &deployed, name, &csv(body.as_bytes()));
            assert_eq!(
                text("in", "A,7,\r\n\r\n\"B, \"\"c\"\"\",8,x,more\r\n"),
                "name,user_id\r\nA,7\r\n\"B, \"\"c\"\"\",8\r\n"
            );
            assert_eq!(text("out", "two"), "name,user_id\r\nA,7\r\n\"B, \"\"c\"\"\",8\r\n");
            assert_eq!(text("out", "one"), "name,user_id\r\n,7\r\n");
            assert_eq!(text("out", "list"), "name,user_id\r\nn,1\r\n");
            assert_eq!(text("attributes", "x"), "a|b\r\n1|2\r\n");
            assert_eq!(text("free", "x\ny\n"), "b,a\r\n1,x\r\n1,y\r\nx,2\r\n");
            assert_eq!(text("models", "x,5"), "b,a\r\n5,x\r\n");
            let reply = deployed.reply(py, "semicolons", &csv(b"\xe9;1\n"));
            assert_eq!(&reply.body[..], b"\xe9;1\n");

            let refused = |name: &str, body: &[u8]| {
                let fault = deployed.fault(py, name, &csv(body));
                assert_eq!(fault.status, 400);
                fault.details.unwrap().as_str().unwrap().to_owned()
            };
            assert_eq!(refused("in", b"A,7,\nB,8\n"), "row 2: 2 of 3 columns are there");
            assert_eq!(
                refused("in", b"A,x,\n"),
                "row 1: element `user_id`: 'x' is not an integer"
            );
            assert_eq!(
                refused("in", b""),
                "invalid CSV: there are no rows in the body, and `name` is required"
            );
            assert_eq!(refused("models", b"x,y"), "row 1: element `/b`: 'y' is not an integer");
            assert!(refused("in", b"\xff,1,\n").starts_with("invalid CSV: "));
        },
    );
}

#[test]
fn forms_are_input() {
    with(
        "
class S(Service):
    class SimpleIO:
        input = 'user_id', List('-tags'), '-note'
    def handle(self): self.response.payload = self.request.input
class Free(Service):
    def handle(self): self.response.payload = [self.request.payload, self.request.http.POST]
",
        |py, deployed| {
            let form = Request {
                format: DataFormat::Form,
                headers: &[("content-type", b"application/x-www-form-urlencoded")],
                body: b"user_id=5&tags=a&tags=b&x=1",
                query: "note=n%20o&q=1",
                ..Request::default()
            };
            let read = |name: &str, request: &Request<'_>| -> serde_json::Value {
                serde_json::from_str(&text(py, &deployed, name, request)).unwrap()
            };
            assert_eq!(
                read("s", &form),
                json!({"user_id": 5, "tags": ["a", "b"], "note": "n o", "q": "1"})
            );
            let values = json!({"user_id": "5", "tags": ["a", "b"], "x": "1"});
            assert_eq!(read("free", &form), json!([values, values]));
            let other = Request {
                headers: &[("content-type", b"text/plain")],
                ..form.clone()
            };
            assert_eq!(
                deployed.fault(py, "s", &other).details,
                Some(json!("Element missing: user_id"))
            );
            let post = Request {
                format: DataFormat::Post,
                ..other.clone()
            };
            assert_eq!(read("s", &post)["user_id"], 5);
            assert_eq!(read("free", &other)[0], "user_id=5&tags=a&tags=b&x=1");
        },
    );
}
