//! `busbar.client`, from a program of its own, against a server.

use std::process::Command;

use busbar_testkit::{TestServer, run};

use crate::facilities::blocks;
use crate::{python, repository, server};

const CUSTOMERS: &str = "
from zato.common.exception import BadRequest
from zato.server.service import Service

class Get(Service):
    name = 'customers.get'

    class SimpleIO:
        input_required = ('id',)
        output_required = ('id', 'name')
        response_elem = None

    def handle(self):
        if self.request.input.id < 0:
            raise BadRequest(self.cid, 'no such customer', needs_msg=True)
        self.response.payload.id = self.request.input.id
        self.response.payload.name = 'Ann'

class Text(Service):
    name = 'customers.text'

    def handle(self):
        self.response.payload = 'héllo'
        self.response.content_type = 'text/plain; charset=utf-8'
";

const CHANNELS: &str = "
channel_rest:
  - {name: customers, service: customers.get, url_path: /customers, data_format: json}
  - {name: xml, service: customers.get, url_path: /xml, data_format: xml}
  - {name: text, service: customers.text, url_path: /text}
channel_soap:
  - {name: soap, service: customers.get, url_path: /soap, soap_action: customers, data_format: xml}
";

fn start() -> TestServer {
    server().service("customers.py", CUSTOMERS).enmasse(CHANNELS).start()
}

fn admin(server: &TestServer) -> String {
    format!("http://{}", server.admin_address())
}

/// A program that finds the client where a program of its own would have it installed.
fn program() -> Command {
    let mut command = Command::new(python());
    command.env("PYTHONPATH", repository().join("python"));
    command
}

#[test]
fn every_class_reads_good_and_bad_answers() {
    let server = start();
    let test = server.scratch().join("test_client.py");
    std::fs::write(&test, include_str!("management_client/test_client.py")).unwrap();
    let output = run(program()
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(&test)
        .current_dir(server.scratch())
        .env("BUSBAR_TEST_MAIN", format!("http://{}", server.address()))
        .env("BUSBAR_TEST_ADMIN", admin(&server))
        .env("BUSBAR_TEST_PASSWORD", server.password())
        .env("BUSBAR_TEST_ADMIN_PASSWORD", server.admin_password())
        .env("BUSBAR_TEST_DIRECTORY", server.directory()));
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn the_examples_of_the_page_run() {
    let server = start();
    let text = std::fs::read_to_string(repository().join("docs/client.md")).unwrap();
    let here = |example: &str| {
        example
            .replace("http://127.0.0.1:8183", &admin(&server))
            .replace("http://127.0.0.1:11223", &format!("http://{}", server.address()))
            .replace(
                "'admin.invoke', 'PASSWORD'",
                &format!("'admin.invoke', '{}'", server.admin_password()),
            )
            .replace("PASSWORD", server.password())
            .replace("SERVER_DIRECTORY", server.directory().to_str().unwrap())
    };
    let printed: Vec<String> = blocks(&text, "python")
        .into_iter()
        .map(|example| run(program().arg("-c").arg(here(example))).expect_code(0).stdout)
        .collect();
    assert_eq!(
        printed,
        [
            "Ann\n",
            "customers.get\ncustomers.text\n2 of 2\n",
            "True {'id': 7, 'name': 'Ann'}\nNo such service `nobody.knows-me`\n",
            "{'id': 7, 'name': 'Ann'}\n{'pong': 'zato'}\nzato\n",
            "Ann\n",
        ]
    );
}
