//! Tests against the real executable, in modules named after what users do.
//!
//! Each test has a server of its own, on a port of its own, and leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "this is a test, helpers included")]

mod admin_canary;
mod admin_doors;
mod admin_invoke;
mod backup;
mod bad_input;
mod bearer_channels;
mod bearer_tokens;
mod builtin_services;
mod busbar_test;
mod channel_options;
mod command_line;
mod commands;
mod crypto;
mod deadlines;
mod doctor;
mod downcase;
mod enmasse;
mod enmasse_pickup;
mod enmasse_plans;
mod facilities;
mod folders;
mod forms;
mod hot_deploy;
mod http_channels;
mod http_protocol;
mod imap;
mod imports;
mod json_rpc;
mod kvdb;
mod kvdb_faults;
mod logs;
mod management_client;
mod management_everything;
mod management_kvdb;
mod management_objects;
mod management_openapi;
mod market_cap;
mod microsoft_mail;
mod odb;
mod openapi;
mod outgoing_arguments;
mod outgoing_http;
mod outgoing_security;
mod outgoing_soap;
mod patterns;
mod queue;
mod quickstart;
mod read_logs;
mod rest;
mod rollback;
mod run_and_check;
mod secrets;
mod security;
mod security_messages;
mod service_api;
mod service_cli;
mod service_errors;
mod service_files;
mod service_payloads;
mod services_doc;
mod services_kept;
mod simple_io;
mod smtp;
mod soap;
mod sql;
mod sql_faults;
mod sql_sessions;
mod start_stop;
mod statistics;
mod streaming;
mod tutorial;
mod user_files;
mod workers;
mod zmq;

use std::path::{Path, PathBuf};
use std::process::Command;

use busbar_testkit::TestServer;
use busbar_testkit::server::{Builder, command};

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_busbar");

/// A service that answers with what it was sent.
const ECHO: &str = "
from zato.server.service import Service

class Echo(Service):
    def handle(self):
        self.response.payload = self.request.payload
";

/// A service that answers `{\"ok\": true}`.
const OK: &str = "
from zato.server.service import Service

class Ok(Service):
    def handle(self):
        self.response.payload = {'ok': True}
";

/// A server of the test's own, with one worker unless it says otherwise.
fn server() -> Builder {
    TestServer::new(EXECUTABLE, venv().as_deref()).workers(1)
}

/// A command that is not about a server, run in `home`.
fn busbar(name: &str, home: &Path) -> Command {
    command(Path::new(EXECUTABLE), venv().as_deref(), &[], name, home)
}

/// The virtual environment with what the sample services import.
fn venv() -> Option<PathBuf> {
    let venv = std::env::var_os("BUSBAR_TEST_VENV").map_or_else(|| repository().join(".venv"), PathBuf::from);
    venv.is_dir().then_some(venv)
}

fn python() -> PathBuf {
    venv().map_or_else(|| "python3".into(), |venv| venv.join("bin/python"))
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sample(path: &str) -> PathBuf {
    repository().join("sample-services").join(path)
}

fn sample_text(path: &str) -> String {
    std::fs::read_to_string(sample(path)).unwrap()
}
