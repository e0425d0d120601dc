//! What can be called, described for callers and for the page on which they try it.

use std::process::Command;

use busbar_testkit::client::Request;
use busbar_testkit::{Response, TestServer, wait_until};
use serde_json::{Value, json};

use crate::{OK, python, server};

const SHOP: &str = "
from dataclasses import dataclass
from zato.common.typing_ import list_
from zato.server.service import Dict, Int, Model, Service

class Pay(Service):
    '''Pays an invoice.'''
    class SimpleIO:
        input = 'user_id', Dict('addr', 'city', '-zip'), '-note'
        output = Int('paid')
        response_elem = 'answer'
    def handle(self):
        self.response.payload.paid = self.request.input.user_id

@dataclass(init=False)
class Order(Model):
    name: str
    tags: list_[str]

class Accept(Service):
    input = Order
    output = Order
    def handle(self):
        self.response.payload = self.request.input

class Find(Service):
    class SimpleIO:
        input = 'q', '-limit_count'
    def handle_GET(self):
        self.response.payload = self.request.input.q
    def handle_DELETE(self):
        pass
";

const CHANNELS: &str = "
security:
  - {name: crm basic, type: basic_auth, username: crm, password: secret}
  - {name: crm key, type: apikey, header: X-Crm, password: secret}
channel_rest:
  - {name: pay, url_path: '/users/{user_id}/pay', service: shop.pay, data_format: json, method: POST, security: crm basic}
  - {name: accept, url_path: /accept, service: shop.accept, data_format: json, security: crm key}
  - {name: find, url_path: /find, service: shop.find, data_format: json}
  - {name: xml, url_path: /xml, service: shop.pay, data_format: xml}
  - {name: raw, url_path: '/raw/{what}', service: shop.find}
  - {name: form, url_path: /form, service: shop.pay, data_format: form}
  - {name: away, url_path: /off, service: shop.find, data_format: json, is_active: false}
  - {name: later, url_path: /later, service: later.ok, data_format: json}
channel_json_rpc:
  - {name: rpc, url_path: /rpc, service_whitelist: [shop.pay, shop.accept]}
channel_soap:
  - {name: soap, url_path: /soap, service: shop.pay, data_format: xml, soap_action: 'urn:pay'}
";

fn start() -> TestServer {
    server().service("shop.py", SHOP).enmasse(CHANNELS).start()
}

fn get(server: &TestServer, path: &str) -> Response {
    server.send(&Request::new("GET", path).basic("pubapi", server.password()))
}

fn document(server: &TestServer) -> Value {
    get(server, "/openapi.json").expect(200).json()
}

#[track_caller]
fn assert_valid(server: &TestServer) {
    let file = server.scratch().join("openapi.json");
    std::fs::write(&file, get(server, "/openapi.json").expect(200).text()).unwrap();
    let output = Command::new(python())
        .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_document_is_valid_and_follows_deployments() {
    let server = start();
    assert_valid(&server);
    let before = document(&server);
    assert_eq!(before["openapi"], "3.1.0");
    let paths: Vec<_> = before["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/accept",
            "/find",
            "/form",
            "/users/{user_id}/pay",
            "/raw/{what}",
            "/rpc",
            "/soap",
            "/xml"
        ]
    );
    let pay = &before["paths"]["/users/{user_id}/pay"]["post"];
    assert_eq!(pay["summary"], "Pays an invoice.");
    assert_eq!(pay["security"], json!([{"basic": []}]));
    let schema_of = |body: &Value| body["content"]["application/json"]["schema"].clone();
    let schemas = &before["components"]["schemas"];
    assert_eq!(
        schema_of(&pay["requestBody"]),
        json!({"$ref": "#/components/schemas/shop.pay.pay.input"})
    );
    assert_eq!(
        schemas["shop.pay.pay.input"]["properties"]["addr"]["required"],
        json!(["city"])
    );
    assert_eq!(
        schema_of(&pay["responses"]["200"])["properties"]["answer"],
        json!({"$ref": "#/components/schemas/shop.pay.output"})
    );
    assert_eq!(
        schemas["shop.pay.output"]["properties"],
        json!({"paid": {"type": "integer"}})
    );
    let accept = &before["paths"]["/accept"]["post"];
    let order = json!({"$ref": "#/components/schemas/Order"});
    assert_eq!(schema_of(&accept["requestBody"]), order);
    assert_eq!(schema_of(&accept["responses"]["200"]), order);
    assert_eq!(schemas["Order"]["required"], json!(["name", "tags"]));
    let calls = schema_of(&before["paths"]["/rpc"]["post"]["requestBody"]);
    assert_eq!(calls["oneOf"][1]["properties"]["params"], order);
    let find = before["paths"]["/find"].as_object().unwrap();
    assert_eq!(find.keys().collect::<Vec<_>>(), ["delete", "get"]);
    assert_eq!(find["get"]["parameters"][1]["schema"], json!({"type": "integer"}));

    server.deploy("later.py", OK);
    wait_until("the new service to be described", || {
        document(&server)["paths"].get("/later").map(|_| ())
    });
    server
        .import("channel_rest:\n  - {name: more, url_path: /more, service: later.ok, data_format: json}\n")
        .expect_code(0);
    assert!(document(&server)["paths"].get("/more").is_some());
    assert_valid(&server);
}

#[test]
fn the_page_runs_its_own_script_only() {
    let server = start();
    let page = get(&server, "/openapi").expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    // the hash is that of what stands in the page
    let check = "import sys, base64, hashlib as h; page = sys.argv[1]; policy = sys.argv[2]\n\
        for name in 'script', 'style':\n\
        \x20   text = page.split(f'<{name}>')[1].split(f'</{name}>')[0]\n\
        \x20   assert base64.b64encode(h.sha256(text.encode()).digest()).decode() in policy, name\n";
    let output = Command::new(python())
        .args(["-c", check, &page.text(), policy])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!page.text().contains("innerHTML") && !page.text().contains("//cdn"));
}

/// What a person does: looks for an operation, opens it, fills it in, sends it, reads the answer; then a call of JSON-RPC.
const VISIT: &str = "
    const until = async (found) => {
      for (let count = 0; count < 400; count++) {
        const value = found();
        if (value) return value;
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      throw new Error('waited in vain for ' + found);
    };
    const search = await until(() => document.querySelector('input[type=search]'));
    const all = [...document.querySelectorAll('details')];
    const type = (input, value) => {
      input.value = value;
      input.dispatchEvent(new Event('input'));
    };
    type(search, 'post /accept');
    const [accept, ...others] = all.filter((it) => !it.hidden);
    accept.open = true;
    const body = accept.querySelector('textarea');
    const proposed = JSON.parse(body.value);
    body.value = JSON.stringify({ name: 'a', tags: ['b'] });
    const send = async (details) => {
      details.querySelector('output').textContent = '';
      details.querySelector('button').click();
      return until(() => details.querySelector('output pre + pre'));
    };
    const status = (details) => details.querySelector('output strong').textContent;
    await send(accept);
    const refused = status(accept);
    accept.querySelector('input[type=password]').value = 'secret';
    const answer = JSON.parse((await send(accept)).textContent);
    const answered = status(accept);
    const parts = [...accept.querySelectorAll('td')].map((cell) => cell.textContent);
    type(search, '');
    const rpc = all.find((it) => it.querySelector('select'));
    rpc.open = true;
    const select = rpc.querySelector('select');
    select.selectedIndex = 1;
    select.dispatchEvent(new Event('change'));
    const called = JSON.parse((await send(rpc)).textContent);
    return { title: document.title, others: others.length, proposed, refused, answered, answer, parts, called };
";

#[test]
fn a_person_tries_a_call_in_a_browser() {
    let server = server()
        .service("shop.py", SHOP)
        .config("[http]\nopenapi = \"open\"\n")
        .enmasse(CHANNELS)
        .start();
    let program = ["chromium-headless-shell", "chromium"]
        .into_iter()
        .map(|name| std::path::Path::new("/usr/bin").join(name))
        .find(|path| path.exists())
        .expect("chromium-headless-shell is installed: scripts/setup does it");
    let picture = server.scratch().join("page.png");
    let output = Command::new(python())
        .arg(crate::repository().join("tests/it/browser.py"))
        .arg(program)
        .arg(format!("http://{}/openapi", server.address()))
        .arg(VISIT)
        .arg(&picture)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {complaints}"));
    assert_eq!(
        seen,
        json!({
            "title": "server1", "others": 0, "proposed": {"name": "", "tags": []}, "refused": "401 Unauthorized", "answered": "200 OK",
            "answer": {"name": "a", "tags": ["b"]}, "parts": ["name", "string", "required", "tags", "array", "required"],
            "called": {"jsonrpc": "2.0", "id": 1, "result": {"name": "", "tags": []}},
        })
    );
    // the refusal is all that the browser has to complain of: no script of the page failed, and nothing broke its policy
    let complaints: Vec<&str> = complaints.lines().collect();
    assert!(
        matches!(complaints[..], [only] if only.contains("401 (Unauthorized)")),
        "{complaints:?}"
    );
    assert!(std::fs::metadata(picture).unwrap().len() > 10_000);
}

#[test]
fn who_may_read_it_is_set() {
    let server = start();
    for path in ["/openapi", "/openapi.json"] {
        let refused = server.get(path).expect(401);
        assert!(refused.header("www-authenticate").unwrap().starts_with("Basic"));
    }
    let server = self::server().config("[http]\nopenapi = \"open\"\n").start();
    assert_eq!(server.get("/openapi.json").expect(200).json()["paths"], json!({}));
    let server = self::server().config("[http]\nopenapi = \"off\"\n").start();
    server.get("/openapi.json").expect(404);
    server.get("/openapi").expect(404);
}
