//! Services that call a small back-end over sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use busbar_model::object::{Record, Snapshot};
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use crate::testing::{Deployed, attach, deploy};

/// Answers every request with what came, as JSON; some paths answer otherwise. Serves until the process ends.
fn back_end() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || while answer(&stream).is_some() {});
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Map::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), json!(value));
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.as_str()?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if path.starts_with("/slow") {
        std::thread::sleep(std::time::Duration::from_secs(3));
        return None;
    }
    if path.starts_with("/reset") {
        return None;
    }
    let echo = json!({"method": method, "path": path, "headers": headers, "body": String::from_utf8_lossy(&body)});
    let (status, kind, text) = match path.split('?').next()? {
        "/crm" => (
            "200 OK",
            "application/json",
            json!({"firstName": "Sean", "lastName": "O'Brien"}).to_string(),
        ),
        "/text" => ("200 OK", "text/plain; charset=iso-8859-1", "caf\u{e9}".to_owned()),
        "/xml" => ("200 OK", "text/xml", "<a><b>1</b></a>".to_owned()),
        "/broken" => ("200 OK", "application/json", "{nope".to_owned()),
        "/empty" => ("200 OK", "application/json", String::new()),
        "/missing" => ("404 Not Found", "text/plain", "no".to_owned()),
        _ => ("200 OK", "application/json", echo.to_string()),
    };
    let body: Vec<u8> = if kind.contains("8859") {
        text.chars().map(|c| c as u8).collect()
    } else {
        text.into_bytes()
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: {length}\r\n\r\n"
    );
    let body = if method == "HEAD" { &[][..] } else { &body };
    stream.write_all(&[head.as_bytes(), body].concat()).ok()
}

fn configure(deployed: &Deployed, connections: &[(&str, bool, Value)]) {
    let record = |(name, is_active, body): &(&str, bool, Value)| Record {
        kind: "outgoing.http".to_owned(),
        name: (*name).to_owned(),
        is_active: *is_active,
        body: body.as_object().unwrap().clone().into(),
        version: 1,
        id: 0,
    };
    let snapshot = Snapshot::new(1, connections.iter().map(record).collect());
    deployed.environment.configure(Arc::new(snapshot)).unwrap();
}

fn with(code: &str, test: impl FnOnce(Python<'_>, Deployed)) {
    attach(|py| {
        let deployed = deploy(py, code);
        let host = back_end();
        let at =
            |path: &str, format: &str| json!({"host": host, "url_path": path, "data_format": format, "timeout": 5.0});
        configure(
            &deployed,
            &[
                ("CRM", true, at("/crm", "json")),
                ("Echo", true, at("/echo/{id}", "json")),
                ("Plain", true, at("/plain", "")),
                ("Text", true, at("/text", "")),
                ("XML", true, at("/xml", "")),
                ("Broken", true, at("/broken", "json")),
                ("Empty", true, at("/empty", "json")),
                ("Missing", true, at("/missing", "")),
                ("Slow", true, json!({"host": host, "url_path": "/slow", "timeout": 0.2})),
                ("Reset", true, at("/reset", "")),
                ("Nobody", true, json!({"host": "http://127.0.0.1:9", "timeout": 2.0})),
                ("Off", false, at("/", "")),
            ],
        );
        test(py, deployed);
    });
}

fn passes(code: &str) {
    let indented: String = code.lines().map(|line| format!("        {line}\n")).collect();
    let code = format!("class S(Service):\n    def handle(self):\n{indented}        self.response.payload = 'ok'\n");
    with(&code, |py, deployed| {
        assert_eq!(deployed.text(py, "s", r#"{"cust_id":123,"cust_type":"A"}"#), "ok")
    });
}

#[test]
fn the_tutorial_calls_its_back_end() {
    passes(
        "
crm = self.outgoing.plain_http.get('CRM')
cust = crm.conn.send(self.cid, self.request.payload).data
assert cust == {'firstName': 'Sean', 'lastName': \"O'Brien\"}, cust
from json import dumps, loads
assert loads(crm.conn.send(dumps(self.request.payload)).text)['firstName'] == 'Sean'
assert self.out.rest['CRM'].get(self.cid).data == self.out.rest[' CRM '].conn.get().data
",
    );
}

#[test]
fn requests_are_as_they_were_asked_for() {
    passes(
        "
import json
conn = self.out.rest['Echo'].conn
cid = '0123456789abcdef01234567'
r = conn.post(cid, {'a': 'é'}, {'id': 7, 'q': ['x', 'y z']}, {'X-Mine': 'm'})
echo = r.json()
assert echo['method'] == 'POST' and echo['path'] == '/echo/7?q=x&q=y+z' or echo['path'] == '/echo/7?q=x&q=y%20z', echo
assert json.loads(echo['body']) == {'a': 'é'} and echo['headers']['content-type'] == 'application/json', echo
assert echo['headers']['x-zato-cid'] == cid and echo['headers']['x-mine'] == 'm'
assert conn.get(params={'id': 1}).data['method'] == 'GET'
assert conn.put('body', {'id': 1}).data['body'] == 'body'
assert conn.patch(data=[1], params={'id': 1}).data['body'] == '[1]'
assert conn.delete({'id': 1}).data['path'] == '/echo/1'
assert conn.options('x', {'id': 1}).data['body'] == 'x'
assert self.out.rest['Plain'].post({'a': 'x y'}).data['body'] == 'a=x+y'
assert self.out.rest['Plain'].post(json={'a': 1}).json()['headers']['content-type'] == 'application/json'
assert self.out.rest['Plain'].get(auth=('u', 'p')).data['headers']['authorization'].startswith('Basic ')
for bad, text in ((dict(), 'no parameters'), (dict(params={'x': 1}), '`id` is missing')):
    try: conn.get(**bad)
    except ValueError as e: assert text in str(e), e
    else: assert False
assert conn.path_params == ['id'] and conn.address.endswith('/echo/{id}') and conn.config.data_format == 'json'
",
    );
}

#[test]
fn responses_are_as_users_of_requests_know_them() {
    passes(
        "
r = self.out.rest['CRM'].get()
assert r.status_code == 200 and r.ok and r and r.reason == 'OK' and repr(r) == '<Response [200]>'
assert r.headers['content-TYPE'] == 'application/json' and 'x' not in r.headers and r.headers.get('x', 1) == 1
assert r.content == r.text.encode() and r.url.endswith('/crm') and r.cookies == {'a': '1'}
assert r.elapsed.total_seconds() > 0 and r.history == [] and not r.is_redirect
assert r.request.method == 'GET' and r.request.headers['x-zato-component'] and r.encoding == 'utf-8'
assert b''.join(r.iter_content(7)) == r.content and list(r.iter_lines()) == [r.content] and r.raise_for_status() is None
assert r.data is r.data and r.json(object_hook=list) == ['firstName', 'lastName']
text = self.out.rest['Text'].get()
assert text.text == 'café' == text.data and text.encoding == 'iso-8859-1'
text.encoding = 'cp1252'
assert text.text == 'café'
assert self.out.rest['Empty'].get().data == ''
xml = self.out.rest['XML'].get()
try: import lxml
except ImportError: assert xml.data == '<a><b>1</b></a>'
else: assert xml.data.b == 1
broken = self.out.rest['Broken'].get()
try: broken.data
except Exception as e: assert 'cannot parse the JSON response' in str(e), e
else: assert False
try: broken.json()
except ValueError: pass
else: assert False
missing = self.out.rest['Missing'].get()
assert missing.status_code == 404 and not missing.ok and not missing and missing.data == 'no'
from busbar.http.exceptions import HTTPError
try: missing.raise_for_status()
except HTTPError as e: assert e.response is missing and '404 Client Error' in str(e)
else: assert False
assert '200' in self.out.rest['CRM'].ping(self.cid) and self.out.rest['CRM'].conn.ping(self.cid, True).status_code == 200
",
    );
}

#[test]
fn failures_are_what_users_of_requests_catch() {
    passes(
        "
from busbar.http import exceptions as known
from zato.common.exception import Inactive, TimeoutException
def raised(name, expected, call='get'):
    try: getattr(self.out.rest[name].conn, call)()
    except expected as e: return e
    else: assert False, name
try:
    import requests
except ImportError:
    requests = None
else:
    assert issubclass(requests.exceptions.ReadTimeout, known.ReadTimeout)
raised('Nobody', known.ConnectionError)
raised('Reset', known.ConnectionError, 'post')
e = raised('Slow', known.ReadTimeout)
assert isinstance(e, known.Timeout) and isinstance(e, TimeoutException) and isinstance(e, known.RequestException), e
assert '`Slow`' in str(e) and e.cid is not None
assert self.out.rest.get('Nothing') is None and 'Nothing' not in self.out.rest and 'CRM' in self.out.rest
for ask in (lambda: self.out.rest['Nothing'], lambda: self.out.rest['CRM'].nonsense, lambda: self.out.rest['Off'], lambda: self.out.ftp):
    try: ask()
    except (KeyError, AttributeError, Inactive): pass
    else: assert False
assert 'CRM' in self.out.rest.keys()
",
    );
}
