//! Settings of a host.

use std::path::PathBuf;

use busbar_sio::names::NamingRules;
use serde::{Deserialize, Serialize};

use crate::errors::DEFAULT_MESSAGE;

/// Settings of a host. The hub hands them to its workers as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// Name of the server: `self.server.name`.
    pub server_name: String,
    /// The server's directory: `self.server.base_dir`. Empty: it has none.
    pub directory: PathBuf,
    /// Directory that holds the `zato` and `busbar` packages.
    pub package_dir: PathBuf,
    /// File that holds the server's key. `None`: a key that lasts as long as the process.
    pub secret_key_file: Option<PathBuf>,
    /// Virtual environment whose packages services can import.
    pub venv: Option<PathBuf>,
    /// Handler threads at most.
    pub max_threads: usize,
    /// Calls that wait for a thread at most; beyond, they are answered 503.
    pub max_queue: usize,
    /// Stack of a handler thread, in bytes. Only what is used takes memory, so it is what Python's own threads have: with 2 MiB a
    /// comparison that sorts, nested as deeply as Python allows, overflowed it.
    pub stack_size: usize,
    /// Seconds that a thread stays without work.
    pub idle_secs: u64,
    /// Seconds that importing a deployment may take.
    pub import_secs: u64,
    /// Whether callers see the arguments of exceptions that services did not handle.
    pub return_tracebacks: bool,
    /// What callers are told of such exceptions otherwise.
    pub default_error_message: String,
    /// Whether callers are not told messages of `BadRequest`, unless it was raised with `needs_msg`.
    pub hide_messages: bool,
    /// Redis for the key-value database: `redis://...` or `redis+unix://...`. `None`: there is none.
    pub redis_url: Option<String>,
    /// Threads that do the I/O of connectors.
    pub io_threads: usize,
    /// Lowest level of Python's logging that reaches the log: `INFO`, `DEBUG`, `TRACE1`.
    pub log_level: String,
    /// Which types the names of declared input and output imply.
    pub naming: NamingRules,
    /// Secrets in declared input reach services encrypted with the server's key.
    pub encrypt_secrets: bool,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            server_name: "server1".to_owned(),
            directory: PathBuf::new(),
            package_dir: PathBuf::new(),
            secret_key_file: None,
            venv: None,
            max_threads: 512,
            max_queue: 10_000,
            stack_size: 8 << 20,
            idle_secs: 30,
            import_secs: 30,
            return_tracebacks: false,
            default_error_message: DEFAULT_MESSAGE.to_owned(),
            hide_messages: false,
            redis_url: None,
            io_threads: 1,
            log_level: "INFO".to_owned(),
            naming: NamingRules::default(),
            encrypt_secrets: true,
        }
    }
}
