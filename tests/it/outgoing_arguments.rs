//! Outgoing HTTP: what the arguments of a call mean.

use busbar_testkit::{Backend, TestServer};
use serde_json::{Value, json};

use crate::outgoing_http::mirror;
use crate::server;

/// A server with a file of services that call the back-end as `B`.
fn start_with(backend: &Backend, file: &str, source: &str) -> TestServer {
    server()
        .service(file, source)
        .enmasse(&format!(
            "outgoing_rest: [{{name: B, host: '{}', url_path: /, data_format: json}}]",
            backend.url()
        ))
        .start()
}

#[test]
fn a_cid_of_any_form_is_no_argument() {
    const SERVICES: &str = "
from zato.server.service import Service

class Own(Service):
    def handle(self):
        self.response.payload = self.outgoing.plain_http['B'].conn.post(self.cid, 'the body').data

class Nested(Service):
    def handle(self):
        self.response.payload = self.invoke('own.own')

class Caller(Service):
    def handle(self):
        self.response.payload = self.invoke(self.request.payload, cid='my-custom-cid')
";
    let backend = mirror();
    let server = start_with(&backend, "own.py", SERVICES);
    for name in ["own.own", "own.nested"] {
        let sent = server.invoke("own.caller", &format!("\"{name}\"")).expect(200).json();
        assert_eq!((&sent["target"], &sent["body"]), (&json!("/"), &json!("the body")));
        assert_eq!(sent["headers"]["x-zato-cid"], "my-custom-cid");
    }
}

#[test]
fn files_go_as_forms_do() {
    const SERVICES: &str = "
import io
from zato.server.service import Service

class Send(Service):
    def handle(self):
        conn = self.outgoing.plain_http['B'].conn
        files = {
            'one': ('a \x22b\x22.txt', 'text ż', 'text/plain'),
            'two': io.BytesIO(b'bytes'),
            'three': (None, 'a field'),
        }
        self.response.payload = [
            conn.post(self.cid, {'n': 1, 'm': ['x', 'y']}, files=files).data,
            conn.post(self.cid, files=[('f', b'1'), ('f', b'2')]).data,
        ]

class Wrong(Service):
    def handle(self):
        try:
            self.outgoing.plain_http['B'].conn.post(self.cid, **self.request.payload)
        except TypeError as error:
            self.response.payload = str(error)
";
    let backend = mirror();
    let server = start_with(&backend, "send.py", SERVICES);
    let sent = server.invoke("send.send", "").expect(200).json();
    let parts = |sent: &Value| -> Vec<String> {
        let content_type = sent["headers"]["content-type"].as_str().unwrap();
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let body = sent["body"].as_str().unwrap();
        let body = body.strip_suffix(&format!("--{boundary}--\r\n")).unwrap();
        body.split(&format!("--{boundary}\r\n"))
            .skip(1)
            .map(str::to_owned)
            .collect()
    };
    let form = "Content-Disposition: form-data; name=";
    assert_eq!(
        parts(&sent[0]),
        [
            format!("{form}\"n\"\r\n\r\n1\r\n"),
            format!("{form}\"m\"\r\n\r\nx\r\n"),
            format!("{form}\"m\"\r\n\r\ny\r\n"),
            format!("{form}\"one\"; filename=\"a %22b%22.txt\"\r\nContent-Type: text/plain\r\n\r\ntext ż\r\n"),
            format!("{form}\"two\"; filename=\"two\"\r\n\r\nbytes\r\n"),
            format!("{form}\"three\"\r\n\r\na field\r\n"),
        ]
    );
    assert_eq!(
        parts(&sent[1]),
        ["1", "2"].map(|text| format!("{form}\"f\"; filename=\"f\"\r\n\r\n{text}\r\n"))
    );
    for (given, says) in [
        (json!({"files": 1}), "files"),
        (json!({"files": {"a": 1}}), "`a`"),
        (json!({"data": "text", "files": {"a": "b"}}), "dict"),
        (json!({"json": {}, "files": {"a": "b"}}), "json"),
    ] {
        let error = server.invoke("send.wrong", &given.to_string()).expect(200).text();
        assert!(error.contains(says), "{given}: {error}");
    }
}
