//! `config/server.toml`: the settings of one server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use busbar_connectors::http::HttpConfig;
use busbar_dispatch::cache::CacheConfig;
use busbar_dispatch::minutes::StatisticsConfig;
use busbar_python::{NamingRules, UntypedOutput};
use busbar_runtime::queue::QueueConfig;
use serde::{Deserialize, Serialize};

use crate::cli::Exit;

/// The whole file. Every setting has a default; an unknown one is an error that names it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[http]`
    pub http: HttpConfig,
    /// `[admin]`
    pub admin: Admin,
    /// `[workers]`
    pub workers: Workers,
    /// `[calls]`
    pub calls: Calls,
    /// `[hot_deploy]`
    pub hot_deploy: HotDeploy,
    /// `[odb]`
    pub odb: Odb,
    /// `[redis]`
    pub redis: Redis,
    /// `[queue]`
    pub queue: QueueConfig,
    /// `[cache]`
    pub cache: CacheConfig,
    /// `[statistics]`
    pub statistics: StatisticsConfig,
    /// `[python]`
    pub python: Python,
    /// `[simple_io]`
    pub simple_io: SimpleIo,
    /// `[log]`
    pub log: Log,
}

/// Where administrators call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// `host:port` of the management API; port 0 takes a free one, `off`: there is none. Empty: on the loopback interface, 3040 below the
    /// port of `[http]`.
    pub address: String,
    /// Whoever calls services finds the management API too.
    pub on_main_listener: bool,
}

/// What stands in the place of an address that is not to be listened on.
pub const OFF: &str = "off";

/// How far below the port of clients that of administrators is.
const ADMIN_BELOW: u16 = 3040;

impl Admin {
    /// Where administrators call, next to the address of clients; `None`: nowhere.
    pub fn address(&self, main: &str) -> Option<String> {
        match self.address.as_str() {
            OFF => None,
            "" => Some(Self::beside(main)),
            address => Some(address.to_owned()),
        }
    }

    /// Where administrators call unless somebody says otherwise: on this machine alone.
    pub fn beside(main: &str) -> String {
        let port = main.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let port = match port.unwrap_or_default() {
            0 => 0,
            // ports below are the system's
            port if port >= ADMIN_BELOW + 1024 => port - ADMIN_BELOW,
            port => port + 1,
        };
        format!("127.0.0.1:{port}")
    }
}

/// Worker processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workers {
    /// How many; 0 runs services in the hub's own process. Not set: one for each core.
    pub count: Option<usize>,
    /// Handler threads that one worker has at most.
    pub max_threads: usize,
    /// Megabytes of resident memory beyond which a worker is killed and replaced; 0: no limit.
    pub memory_limit_mb: u64,
    /// Seconds that a worker may be deaf before it is killed and replaced.
    pub deaf_after_secs: u64,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            count: None,
            max_threads: 512,
            memory_limit_mb: 0,
            deaf_after_secs: 5,
        }
    }
}

impl Workers {
    /// How many worker processes there are.
    pub fn count(&self) -> usize {
        self.count
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from))
    }
}

/// Calls of services.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// Seconds that a call may take, unless its service or channel says otherwise. Then its caller gets 504.
    pub deadline_secs: u64,
    /// Calls that wait for a worker at most; beyond, callers get 503.
    pub max_queue: usize,
    /// Seconds that calls in flight may take to finish when the server stops.
    pub drain_secs: u64,
    /// Show callers the arguments of exceptions that services did not handle. For development.
    pub return_tracebacks: bool,
    /// What callers are told of exceptions that services did not handle, otherwise.
    pub default_error_message: String,
    /// Tell callers only `Bad request` of a `BadRequest`, whatever its message, unless it was raised with `needs_msg=True`.
    pub hide_messages: bool,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            deadline_secs: 60,
            max_queue: 10_000,
            drain_secs: 30,
            return_tracebacks: false,
            default_error_message: "An error has occurred".to_owned(),
            hide_messages: false,
        }
    }
}

impl Calls {
    /// See [`Calls::deadline_secs`].
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_secs)
    }
}

/// Hot deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HotDeploy {
    /// Seconds that importing the files of one deployment may take.
    pub import_secs: u64,
    /// Services of a file that is removed from the pickup directory are served no longer.
    pub remove_with_file: bool,
    /// Patterns of the names of services that are served, with `*` and `?`; empty: all are.
    pub allow: Vec<String>,
    /// Patterns of those that are not.
    pub deny: Vec<String>,
}

impl Default for HotDeploy {
    fn default() -> Self {
        Self {
            import_secs: 30,
            remove_with_file: false,
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }
}

/// The server's own database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Odb {
    /// `postgresql://user:password@host:port/database`, `mysql://` likewise, or `sqlite:path`. `${NAME}` stands for an environment variable.
    /// Empty: `work/odb.sqlite`.
    pub url: String,
}

/// Redis, for the key-value database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// Your own: `redis://host:6379/0`. Empty: the server starts a private one, in its own directory.
    pub url: String,
    /// Redis of `self.kvdb`, where it is another one: here Sentinels and clusters will do too. Empty: the same.
    pub kvdb_url: String,
    /// Executable of the private one. Empty: `redis-server` from `PATH`.
    pub executable: String,
}

/// The interpreter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Python {
    /// Virtual environment whose packages services can import. Empty: the interpreter's own packages.
    pub venv: String,
}

/// Declared input and output.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleIo {
    /// Beginnings of names that are truth values.
    pub bool_prefixes: Vec<String>,
    /// Names that are integers.
    pub int_names: Vec<String>,
    /// Endings of names that are integers.
    pub int_suffixes: Vec<String>,
    /// Names whose values are secret.
    pub secret_names: Vec<String>,
    /// How values of names that imply no type are written.
    pub untyped_output: UntypedOutput,
    /// Secrets reach services encrypted with the server's key, for `self.crypto.decrypt` to read.
    pub encrypt_secrets: bool,
}

impl Default for SimpleIo {
    fn default() -> Self {
        let NamingRules {
            bool_prefixes,
            int_names,
            int_suffixes,
            secret_names,
            untyped_output,
        } = NamingRules::default();
        Self {
            bool_prefixes,
            int_names,
            int_suffixes,
            secret_names,
            untyped_output,
            encrypt_secrets: true,
        }
    }
}

impl SimpleIo {
    /// Which types names imply.
    pub fn naming(&self) -> NamingRules {
        NamingRules {
            bool_prefixes: self.bool_prefixes.clone(),
            int_names: self.int_names.clone(),
            int_suffixes: self.int_suffixes.clone(),
            secret_names: self.secret_names.clone(),
            untyped_output: self.untyped_output,
        }
    }
}

/// The log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a list of filters: `info,busbar_connectors=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
        }
    }
}

impl Log {
    /// The level as Python's logging names it. Of a list of filters the one that has no target counts.
    pub fn python_level(&self) -> String {
        let general = self
            .level
            .split(',')
            .map(str::trim)
            .find(|filter| !filter.contains('='))
            .unwrap_or("info");
        match general.to_ascii_uppercase().as_str() {
            "WARN" => "WARNING".to_owned(),
            "TRACE" => "TRACE1".to_owned(),
            level => level.to_owned(),
        }
    }
}

impl Config {
    /// Reads the file; one that is not there says nothing, so that everything has its default.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Exit::new(2, format!("cannot read `{}`: {error}", path.display())).into()),
        };
        toml::from_str(&text)
            .map_err(|error| Exit::new(15, format!("cannot read `{}`:\n{error}", path.display())).into())
    }

    /// The text of a new server's file.
    pub fn initial(address: &str, workers: Option<usize>, venv: &str, odb: &str) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let admin = quoted(&Admin::beside(address));
        let (address, venv) = (quoted(address), quoted(venv));
        let odb = if odb.is_empty() {
            r#"# url = "postgresql://user:${ODB_PASSWORD}@localhost/busbar"   # default: a file in this directory"#
                .to_owned()
        } else {
            format!("url = {}", quoted(odb))
        };
        let workers = match workers {
            Some(count) => format!("count = {count}"),
            None => "# count = 2           # default: one for each core; 0 runs services in the hub's own process"
                .to_owned(),
        };
        format!(
            r#"# Settings of one busbar server. What is not set has its default: docs/configuration.md lists them all.

[http]
address = {address}
# max_body = 8388608    # bytes; larger bodies get 413
# tls = {{ certificate = "server.pem", key = "server.key" }}

[admin]
address = {admin}     # the management API: docs/management.md
# on_main_listener = true

[workers]
{workers}
# memory_limit_mb = 2048

[calls]
# deadline_secs = 60
# return_tracebacks = true

[hot_deploy]
# remove_with_file = true

[odb]
{odb}

[redis]
# url = "redis://localhost:6379/0"   # default: a private one in this directory

[python]
venv = {venv}

[log]
level = "info"
"#
        )
    }

    /// The virtual environment to use: the one that is set, else `.venv` in the server's directory, if any.
    pub fn venv(&self, server: &Path) -> Option<PathBuf> {
        if self.python.venv.is_empty() {
            Some(server.join(".venv")).filter(|venv| venv.is_dir())
        } else {
            Some(server.join(&self.python.venv))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_file_reads_back() {
        let config: Config = toml::from_str(&Config::initial("127.0.0.1:9", Some(0), "/x \"y\"", "")).unwrap();
        assert_eq!(config.http.address, "127.0.0.1:9");
        assert_eq!(config.admin.address, "127.0.0.1:10");
        assert_eq!(config.workers.count(), 0);
        assert_eq!(config.python.venv, "/x \"y\"");
        assert_eq!(config.calls.deadline(), Duration::from_secs(60));
        assert_eq!(config.odb.url, "");
        let config: Config = toml::from_str(&Config::initial("127.0.0.1:9", None, "", "${ODB_URL}")).unwrap();
        assert_eq!(config.odb.url, "${ODB_URL}");
    }

    #[test]
    fn administrators_call_beside_clients() {
        for (main, expected) in [
            ("127.0.0.1:11223", "127.0.0.1:8183"),
            ("0.0.0.0:17010", "127.0.0.1:13970"),
            ("[::1]:65535", "127.0.0.1:62495"),
            ("127.0.0.1:4064", "127.0.0.1:1024"),
            ("127.0.0.1:4063", "127.0.0.1:4064"),
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert_eq!(Admin::default().address(main).as_deref(), Some(expected), "{main}");
        }
        let set = |address: &str| Admin {
            address: address.to_owned(),
            ..Admin::default()
        };
        assert_eq!(set("10.0.0.1:9").address("127.0.0.1:1").as_deref(), Some("10.0.0.1:9"));
        assert_eq!(set(OFF).address("127.0.0.1:1"), None);
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("server.toml");
        std::fs::write(&path, "[workers]\nthreads = 3\n").unwrap();
        assert!(format!("{:?}", Config::read(&path).unwrap_err()).contains("threads"));
    }

    #[test]
    fn every_setting_is_documented() {
        let page = include_str!("../../docs/configuration.md");
        let config = serde_json::to_value(Config::default()).unwrap();
        for (section, settings) in config.as_object().unwrap() {
            let start = page
                .find(&format!("## `[{section}]`"))
                .unwrap_or_else(|| panic!("docs/configuration.md lacks [{section}]"));
            let part = &page[start + 3..];
            let part = &part[..part.find("\n## ").unwrap_or(part.len())];
            for name in settings.as_object().unwrap().keys() {
                assert!(
                    part.contains(&format!("| `{name}` |")),
                    "docs/configuration.md lacks [{section}] {name}"
                );
            }
        }
    }
}
