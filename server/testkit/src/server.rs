//! A server of the test's own, in an environment that `busbar quickstart` made.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::client::{Connection, Request, Response};
use crate::process::{self, Output};
use crate::wait::{LIMIT, wait_until};

/// What a server is to be like; it reads as a sentence and ends with [`Builder::start`].
#[derive(Debug)]
pub struct Builder {
    executable: PathBuf,
    venv: Option<PathBuf>,
    config: Vec<toml::Table>,
    services: Vec<(String, String)>,
    objects: Vec<String>,
    variables: Vec<(String, String)>,
    channels: Vec<Value>,
    outgoing: Vec<Value>,
    odb: Option<String>,
}

impl Builder {
    /// So many worker processes; 0 runs services in the hub.
    #[must_use]
    pub fn workers(self, count: usize) -> Self {
        self.config(&format!("[workers]\ncount = {count}"))
    }

    /// A file in the pickup directory.
    #[must_use]
    pub fn service(mut self, file: &str, source: &str) -> Self {
        self.services.push((file.to_owned(), source.to_owned()));
        self
    }

    /// A channel for JSON of the path's name.
    #[must_use]
    pub fn channel(mut self, path: &str, service: &str) -> Self {
        self.channels
            .push(json!({"name": path, "url_path": path, "service": service, "data_format": "json"}));
        self
    }

    /// An outgoing HTTP connection for JSON.
    #[must_use]
    pub fn outgoing(mut self, name: &str, host: &str, path: &str) -> Self {
        self.outgoing
            .push(json!({"name": name, "host": host, "url_path": path, "data_format": "json"}));
        self
    }

    /// Objects to import once the server runs, as `busbar enmasse` reads them.
    #[must_use]
    pub fn enmasse(mut self, yaml: &str) -> Self {
        self.objects.push(yaml.to_owned());
        self
    }

    /// Settings, laid over those that `busbar quickstart` writes.
    ///
    /// # Panics
    ///
    /// If it is not TOML.
    #[must_use]
    #[track_caller]
    pub fn config(mut self, text: &str) -> Self {
        self.config
            .push(text.parse().unwrap_or_else(|error| panic!("{error} in {text}")));
        self
    }

    /// An environment variable of the server.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its objects in this database instead of a file.
    #[must_use]
    pub fn odb(mut self, url: &str) -> Self {
        self.odb = Some(url.to_owned());
        self
    }

    /// Makes the environment, without starting anything.
    ///
    /// # Panics
    ///
    /// If `busbar quickstart` does not succeed.
    #[track_caller]
    pub fn prepare(self) -> TestServer {
        let home = tempfile::Builder::new()
            .prefix("busbar-it-")
            .tempdir()
            .expect("the system has a temporary directory");
        let environment = home.path().join("env");
        let mut server = TestServer {
            directory: environment.join("server1"),
            executable: self.executable,
            venv: self.venv,
            variables: self.variables,
            home,
            password: String::new(),
            admin_password: String::new(),
            address: None,
            admin_address: None,
            child: None,
            deployed: AtomicUsize::new(0),
        };
        let mut quickstart = server.command("quickstart");
        quickstart.arg(&environment).args(["--address", "127.0.0.1:0"]);
        if let Some(url) = &self.odb {
            quickstart.args(["--odb", url]);
        }
        let output = process::run(&mut quickstart).expect_code(0);
        let password = |user| {
            let found = password(&output.stdout, user);
            found.unwrap_or_else(|| panic!("no password of {user} in:\n{}", output.stdout))
        };
        server.password = password("pubapi");
        server.admin_password = password("admin.invoke");

        let path = server.directory.join("config/server.toml");
        let mut config: toml::Table = fs::read_to_string(&path)
            .expect("quickstart writes it")
            .parse()
            .expect("it is TOML");
        for table in self.config {
            merge(&mut config, table);
        }
        fs::write(&path, config.to_string()).expect("the file can be written");
        for (file, source) in &self.services {
            server.deploy(file, source);
        }
        server
    }

    /// Makes the environment, starts the server, waits until it is ready, and imports the objects.
    ///
    /// # Panics
    ///
    /// If any of it fails; the message has the server's log.
    #[track_caller]
    pub fn start(mut self) -> TestServer {
        let mut objects = std::mem::take(&mut self.objects);
        let mut own = serde_json::Map::new();
        for (key, list) in [
            ("channel_rest", &mut self.channels),
            ("outgoing_rest", &mut self.outgoing),
        ] {
            if !list.is_empty() {
                own.insert(key.to_owned(), Value::Array(std::mem::take(list)));
            }
        }
        if !own.is_empty() {
            // JSON is YAML
            objects.push(Value::Object(own).to_string());
        }
        let mut server = self.prepare();
        server.start();
        for text in objects {
            server.import(&text).expect_code(0);
        }
        server
    }
}

/// The address of a status, with or without its scheme.
fn parse_address(status: &Value, name: &str) -> Option<SocketAddr> {
    let text = status[name].as_str()?;
    text.rsplit_once("//").map_or(text, |(_, address)| address).parse().ok()
}

/// The password of a user as `busbar quickstart` prints it.
fn password(text: &str, user: &str) -> Option<String> {
    let behind = text.split(&format!("User `{user}`, password `")).nth(1)?;
    Some(behind.split('`').next()?.to_owned())
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(into)), toml::Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// A running server. When it is dropped, its processes are killed and everything it made is removed; a test that fails shows the end of
/// its log.
#[derive(Debug)]
pub struct TestServer {
    home: tempfile::TempDir,
    directory: PathBuf,
    executable: PathBuf,
    venv: Option<PathBuf>,
    variables: Vec<(String, String)>,
    password: String,
    admin_password: String,
    address: Option<SocketAddr>,
    admin_address: Option<SocketAddr>,
    child: Option<Child>,
    deployed: AtomicUsize,
}

impl TestServer {
    /// A server of this executable whose services can import the packages of a virtual environment.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a sentence begins with the thing that it is about"
    )]
    pub fn new(executable: &str, venv: Option<&Path>) -> Builder {
        Builder {
            executable: executable.into(),
            venv: venv.map(Path::to_owned),
            config: Vec::new(),
            services: Vec::new(),
            objects: Vec::new(),
            variables: Vec::new(),
            channels: Vec::new(),
            outgoing: Vec::new(),
            odb: None,
        }
    }

    // --- its life ---

    /// Starts it again after [`TestServer::stop`], on another port.
    ///
    /// # Panics
    ///
    /// If it is not ready in time; the message has its log.
    #[track_caller]
    pub fn start(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("logs/ is there");
        // in the foreground, so that it ends with the test even if the test is killed: they share a process group
        let child = self
            .command("start")
            .arg("--fg")
            .arg(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log)
            .spawn()
            .expect("the executable can be started");
        self.child = Some(child);
        let socket = self.directory.join("work/control.sock");
        let status = wait_until("the server to be ready", || {
            let child = self.child.as_mut().expect("it was just started");
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the server has ended ({status}):\n{}", self.log());
            }
            // it is there when the server answers requests, not before
            if !socket.exists() {
                return None;
            }
            let output = process::run(self.command("status").arg(&self.directory).arg("--json"));
            (output.code == 0).then(|| output.json())
        });
        self.address = Some(parse_address(&status, "address").expect("the status names the address"));
        self.admin_address = parse_address(&status, "admin_address");
    }

    /// Asks it to stop, and waits for its end.
    ///
    /// # Panics
    ///
    /// If it does not run, or has not ended in time.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it does not run, or has not ended in time, or one of its threads panicked.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let status = process::wait(&mut child, LIMIT).unwrap_or_else(|| {
            self.child = Some(child);
            panic!("the server has not stopped")
        });
        let log = self.log();
        let panicked = log.lines().find(|line| line.contains("panicked at"));
        assert_eq!(panicked, None, "nothing panics, whatever happens to a server");
        status
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: i32) {
        process::signal(self.pid(), signal);
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Process id of the hub.
    ///
    /// # Panics
    ///
    /// If the server does not run.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.child
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
            .expect("the server runs")
    }

    /// Process id of the hub if it was started in the background, with `busbar start`.
    pub fn background_pid(&self) -> Option<i32> {
        let pid: i32 = fs::read_to_string(self.directory.join("work/pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        // a stale file may name a process that is another one by now
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let directory = self.directory.as_os_str().as_encoded_bytes();
        (pid > 1 && command.windows(directory.len()).any(|part| part == directory)).then_some(pid)
    }

    /// Takes over the address of a server that was started in the background.
    ///
    /// # Panics
    ///
    /// If it does not run.
    #[track_caller]
    pub fn read_address(&mut self) {
        let status = self.status();
        self.address = parse_address(&status, "address");
        self.admin_address = parse_address(&status, "admin_address");
        assert!(self.address.is_some(), "the status names the address");
    }

    /// Process ids of the workers that are up.
    #[track_caller]
    pub fn worker_pids(&self) -> Vec<i32> {
        let status = self.status();
        let workers = status["workers"].as_array().expect("the status has workers");
        workers
            .iter()
            .filter_map(|worker| i32::try_from(worker["pid"].as_i64()?).ok())
            .collect()
    }

    /// Process id of the private Redis.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn redis_pid(&self) -> i32 {
        let is_redis = |pid: &i32| process::name(*pid).is_some_and(|name| name.starts_with("redis-server"));
        wait_until("the private Redis to run", || {
            process::descendants(self.pid()).into_iter().find(is_redis)
        })
    }

    /// What `busbar status --json` says.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.run("status", &["--json"]).expect_code(0).json()
    }

    // --- its directory ---

    /// Its directory, `env/server1`.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A directory of the test's own, removed with the server.
    pub fn scratch(&self) -> &Path {
        self.home.path()
    }

    /// Where service files go.
    pub fn pickup(&self) -> PathBuf {
        self.directory.join("pickup-dir")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("logs/server.log")
    }

    /// The whole log.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log has a line with all of these texts, and gives the line back.
    ///
    /// # Panics
    ///
    /// If it does not come in time.
    #[track_caller]
    pub fn wait_log(&self, texts: &[&str]) -> String {
        wait_until(&format!("a line in the log with {texts:?}"), || {
            self.log()
                .lines()
                .find(|line| texts.iter().all(|text| line.contains(text)))
                .map(str::to_owned)
        })
    }

    /// Puts a file into the pickup directory as a whole: written elsewhere, then renamed.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    #[track_caller]
    pub fn deploy(&self, file: &str, source: &str) {
        let number = self.deployed.fetch_add(1, Ordering::Relaxed);
        let temporary = self.home.path().join(format!("deploy-{number}.tmp"));
        fs::write(&temporary, source).expect("the file can be written");
        fs::rename(&temporary, self.pickup().join(file)).expect("the file can be moved to the pickup directory");
    }

    /// Copies a file into the pickup directory the way `cp` does: truncated, then written.
    ///
    /// # Panics
    ///
    /// If it cannot be copied.
    #[track_caller]
    pub fn copy(&self, file: &Path) {
        let target = self.pickup().join(file.file_name().expect("a file has a name"));
        fs::copy(file, &target).unwrap_or_else(|error| panic!("cannot copy {}: {error}", file.display()));
    }

    // --- its commands ---

    /// A command of the executable with the environment that the tests need.
    pub fn command(&self, name: &str) -> Command {
        command(
            &self.executable,
            self.venv.as_deref(),
            &self.variables,
            name,
            self.home.path(),
        )
    }

    /// Runs a command on this server's directory.
    #[track_caller]
    pub fn run(&self, name: &str, arguments: &[&str]) -> Output {
        process::run(self.command(name).arg(&self.directory).args(arguments))
    }

    /// Writes objects to a file and imports it.
    #[track_caller]
    pub fn import(&self, yaml: &str) -> Output {
        self.enmasse(&["--import"], yaml)
    }

    /// Runs `busbar enmasse` with a file of objects as its input.
    ///
    /// # Panics
    ///
    /// If the file cannot be written.
    #[track_caller]
    pub fn enmasse(&self, arguments: &[&str], yaml: &str) -> Output {
        if yaml.is_empty() {
            return self.run("enmasse", arguments);
        }
        let number = self.deployed.fetch_add(1, Ordering::Relaxed);
        let file = self.home.path().join(format!("objects-{number}.yaml"));
        fs::write(&file, yaml).expect("the file can be written");
        let file = file.to_str().expect("the temporary directory has a name in UTF-8");
        self.run("enmasse", &[arguments, &["--input", file]].concat())
    }

    // --- HTTP ---

    /// Where it listens.
    ///
    /// # Panics
    ///
    /// If it was never started.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the server was started")
    }

    /// Password of the user `pubapi`.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Where it listens for administrators.
    ///
    /// # Panics
    ///
    /// If it was never started, or does not.
    #[track_caller]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
            .expect("the server was started, and listens for administrators")
    }

    /// Password of the user `admin.invoke`.
    pub fn admin_password(&self) -> &str {
        &self.admin_password
    }

    /// Sends a request to where administrators call.
    ///
    /// # Panics
    ///
    /// If there is no response.
    #[track_caller]
    pub fn send_admin(&self, request: &Request) -> Response {
        let connection = Connection::open(self.admin_address());
        let sent = connection.and_then(|mut connection| connection.send(request));
        sent.unwrap_or_else(|error| panic!("no response to {request:?}: {error}"))
    }

    /// A connection to it.
    ///
    /// # Panics
    ///
    /// If it cannot be reached.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address()).unwrap_or_else(|error| panic!("cannot connect: {error}"))
    }

    /// Sends a request over a connection of its own.
    ///
    /// # Panics
    ///
    /// If there is no response.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.connect()
            .send(request)
            .unwrap_or_else(|error| panic!("no response to {request:?}: {error}"))
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.send(&Request::new("GET", target))
    }

    /// `POST`.
    #[track_caller]
    pub fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Response {
        self.send(&Request::new("POST", target).body(body))
    }

    /// Invokes a service through `/zato/api/invoke`.
    #[track_caller]
    pub fn invoke(&self, service: &str, body: &str) -> Response {
        self.send(
            &Request::new("POST", &format!("/zato/api/invoke/{service}"))
                .basic("pubapi", &self.password)
                .body(body),
        )
    }

    /// Calls until the response is 200 with this body: what a user sees of a deployment.
    #[track_caller]
    pub fn wait_answer(&self, target: &str, body: &str) {
        wait_until(&format!("{target} to answer {body}"), || {
            let response = self.post(target, "{}");
            (response.status == 200 && response.text() == body).then_some(())
        });
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!(
                "--- end of the server's log ---\n{}\n---",
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
        let pid = match &self.child {
            Some(child) => i32::try_from(child.id()).ok(),
            None => self.background_pid(),
        };
        let Some(pid) = pid else { return };
        // what it had started must end with it; if it does not, it ends here
        let mut all = process::descendants(pid);
        all.insert(0, pid);
        process::signal(pid, libc::SIGKILL);
        if let Some(mut child) = self.child.take() {
            child.wait().ok();
        }
        all.retain(|pid| process::is_alive(*pid));
        for pid in all {
            process::signal(pid, libc::SIGKILL);
        }
    }
}

/// A command of the executable, run in some directory, with a home of its own so that it meets nothing of the user's.
pub fn command(
    executable: &Path,
    venv: Option<&Path>,
    variables: &[(String, String)],
    name: &str,
    home: &Path,
) -> Command {
    let mut command = Command::new(executable);
    command
        .arg(name)
        .current_dir(home)
        .env("HOME", home)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("PYTHONPATH");
    match venv {
        Some(venv) => command.env("VIRTUAL_ENV", venv),
        None => command.env_remove("VIRTUAL_ENV"),
    };
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}
