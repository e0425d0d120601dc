//! Forms as browsers send them.

use busbar_testkit::{Request, Response, TestServer};
use serde_json::json;

use crate::server;

const SERVICES: &str = "
from zato.server.service import Service

def shown(form):
    return {name: value if isinstance(value, str) else repr(value) for name, value in form.items()}

class Show(Service):
    def handle(self):
        http = self.request.http
        payload = self.request.payload
        self.response.payload = {
            'payload': shown(payload) if isinstance(payload, dict) else type(payload).__name__,
            'POST': shown(http.POST),
        }

class Declared(Service):
    input = 'name', '-note'
    output = 'name', '-note'
    def handle(self):
        self.response.payload = dict(self.request.input)
";

fn start() -> TestServer {
    server()
        .service("forms.py", SERVICES)
        .enmasse(
            "
channel_rest:
  - {name: form, url_path: /form, service: forms.show, data_format: form}
  - {name: raw, url_path: /raw, service: forms.show}
  - {name: json, url_path: /json, service: forms.show, data_format: json}
  - {name: declared, url_path: /declared, service: forms.declared, data_format: form}
",
        )
        .start()
}

const PARTS: &str = "--X\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nż\r\n--X\r\nContent-Disposition: form-data; name=\"file\"; \
    filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nin it\r\n--X\r\nContent-Disposition: form-data; name=\"tag\"\r\n\r\n1\r\n\
    --X\r\nContent-Disposition: form-data; name=\"tag\"\r\n\r\n2\r\n--X--\r\n";

fn post(server: &TestServer, path: &str, content_type: &str, body: &str) -> Response {
    server.send(
        &Request::new("POST", path)
            .header("Content-Type", content_type)
            .body(body),
    )
}

#[test]
fn forms_in_parts_are_read_with_their_files() {
    let server = start();
    let form = json!({"name": "ż", "file": "b'in it'", "tag": "['1', '2']"});
    let multipart = "multipart/form-data; boundary=X";
    let shown = |path: &str| post(&server, path, multipart, PARTS).expect(200).json();
    assert_eq!(shown("/form"), json!({"payload": form, "POST": form}));
    assert_eq!(shown("/raw"), json!({"payload": "bytes", "POST": form}));
    let declared = post(&server, "/declared", multipart, PARTS).expect(200);
    assert_eq!(declared.json(), json!({"name": "ż", "note": ""}));
    // what is no form, or lacks something, does not reach the service
    for (content_type, body, details) in [
        (
            multipart,
            "--X\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nx",
            "invalid form: ",
        ),
        ("multipart/form-data", PARTS, "invalid form: "),
        (multipart, "--X--\r\n", "Element missing: name"),
    ] {
        let text = post(&server, "/declared", content_type, body).expect(400).text();
        assert!(text.starts_with(details), "{text}");
    }
}

#[test]
fn encoded_forms_are_read_as_well() {
    let server = start();
    let form = json!({"a": "1 2", "b": "['', 'ż']"});
    let shown = |path: &str| {
        post(&server, path, "application/x-www-form-urlencoded", "a=1+2&b=&b=%C5%BC")
            .expect(200)
            .json()
    };
    assert_eq!(shown("/form"), json!({"payload": form, "POST": form}));
    assert_eq!(shown("/raw"), json!({"payload": "bytes", "POST": form}));
}

#[test]
fn forms_that_are_not_utf8_are_refused() {
    let server = start();
    let url_encoded = "application/x-www-form-urlencoded";
    let send = |path: &str, content_type: &str, body: &[u8]| {
        let request = Request::new("POST", path).header("Content-Type", content_type);
        server.send(&request.body(body)).expect(400).text()
    };
    for path in ["/declared", "/form", "/raw"] {
        let text = send(path, url_encoded, b"name=x&note=%ff");
        assert!(text.starts_with("invalid form: field `note` is not UTF-8"), "{text}");
    }
    let part = b"--X\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n\xff\r\n--X--\r\n";
    for path in ["/declared", "/form", "/raw"] {
        let text = send(path, "multipart/form-data; boundary=X", part);
        assert!(text.starts_with("invalid form: field `name` is not UTF-8"), "{text}");
    }
}
