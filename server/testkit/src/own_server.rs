//! Servers of databases that are the test's own: it may kill them, and say how they are set up.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::database::{self, Kind};
use crate::process;
use crate::wait::wait_until;

/// Databases refuse to run as root: where root runs the tests, `nobody` runs them.
const NOBODY: u32 = 65534;

/// A server with a directory and a port of its own. It ends with this value.
#[derive(Debug)]
pub struct OwnServer {
    kind: Kind,
    home: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl OwnServer {
    /// PostgreSQL, which lets the user `postgres` in without a password. `files` are put into its directory first; `options` are settings:
    /// `ssl=on`. A path among them is relative to the directory.
    ///
    /// # Panics
    ///
    /// If it is not installed or does not start.
    #[track_caller]
    pub fn postgresql(files: &[(&str, &str)], options: &[&str]) -> Self {
        let server = Self::new(Kind::Postgresql, files, options);
        let mut command = Command::new(postgresql("initdb"));
        command
            .args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
                "-D",
            ])
            .arg(server.path("data"));
        server.run_as_other(&mut command);
        process::run(&mut command).expect_code(0);
        // the first line that fits counts
        let own = server.path("pg_hba.conf");
        if own.exists() {
            fs::copy(own, server.path("data/pg_hba.conf")).expect("the directory is ours");
        }
        server.started()
    }

    /// MariaDB, which lets `root` in without a password. `files` and `options` are as with PostgreSQL: `ssl-cert=server.pem`.
    ///
    /// # Panics
    ///
    /// If it is not installed or does not start.
    #[track_caller]
    pub fn mariadb(files: &[(&str, &str)], options: &[&str]) -> Self {
        let server = Self::new(Kind::Mysql, files, options);
        let mut command = Command::new("mariadb-install-db");
        command
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ])
            .arg(format!("--datadir={}", server.path("data").display()));
        server.run_as_other(&mut command);
        process::run(&mut command).expect_code(0);
        server.started()
    }

    #[track_caller]
    fn new(kind: Kind, files: &[(&str, &str)], options: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("the system has a temporary directory");
        let port = crate::free_port();
        for (name, text) in files {
            let path = home.path().join(name);
            fs::write(&path, text).expect("the directory is ours");
            // databases refuse keys that others may read
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        }
        Self {
            kind,
            home,
            port,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            child: None,
        }
    }

    #[track_caller]
    fn started(mut self) -> Self {
        self.start();
        self
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        match self.kind {
            // what it has started would outlive it, and its successor would not start beside them
            Kind::Postgresql => {
                process::signal(i32::try_from(child.id()).expect("process ids are small"), libc::SIGQUIT)
            }
            Kind::Mysql => child.kill().expect("it runs"),
        }
        child.wait().expect("it is ours");
    }

    /// Starts it again, and waits until it lets clients in.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn start(&mut self) {
        let data = self.path("data");
        let mut command = match self.kind {
            Kind::Postgresql => {
                let mut command = Command::new(postgresql("postgres"));
                command
                    .arg("-D")
                    .arg(&data)
                    .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"]);
                command.arg(self.home.path()).args(["-c", "fsync=off"]);
                for option in &self.options {
                    command.args(["-c", &self.with_path(option)]);
                }
                command
            }
            Kind::Mysql => {
                let mut command = Command::new("mariadbd");
                command.args([
                    "--no-defaults",
                    "--bind-address=127.0.0.1",
                    "--innodb-flush-log-at-trx-commit=0",
                ]);
                command.arg(format!("--datadir={}", data.display()));
                command.arg(format!("--socket={}", self.path("socket").display()));
                command.arg(format!("--port={}", self.port));
                for option in &self.options {
                    command.arg(format!("--{}", self.with_path(option)));
                }
                // it is not where users look for commands
                let path = std::env::var("PATH").unwrap_or_default();
                command.env("PATH", format!("{path}:/usr/sbin"));
                command
            }
        };
        self.run_as_other(&mut command);
        let log = fs::File::create(self.path("log")).expect("the directory is ours");
        command.stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        self.child = Some(child);
        wait_until("the server of the test to let clients in", || {
            let exited = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if exited.is_some() {
                let log = fs::read_to_string(self.path("log")).unwrap_or_default();
                panic!("the server of the test has ended:\n{log}");
            }
            self.attempt("SELECT 1").ok()
        });
    }

    /// Runs a statement as its administrator.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.attempt(sql)
            .unwrap_or_else(|error| panic!("the server of the test: {error}"));
    }

    /// The one text that a statement gives.
    #[track_caller]
    pub fn text(&self, sql: &str) -> String {
        let text = database::text(self.kind, &self.url(), sql);
        text.unwrap_or_else(|error| panic!("the server of the test: {error}"))
    }

    fn attempt(&self, sql: &str) -> Result<(), sqlx::Error> {
        database::attempt(self.kind, &self.url(), sql)
    }

    /// For its administrator.
    fn url(&self) -> String {
        match self.kind {
            Kind::Postgresql => format!("postgresql://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port),
            Kind::Mysql => format!("mysql://root@127.0.0.1:{}/mysql?ssl-mode=disabled", self.port),
        }
    }

    /// An option with the path of a file of its own, if it names one.
    fn with_path(&self, option: &str) -> String {
        match option.split_once('=') {
            Some((name, file)) if self.path(file).is_file() => format!("{name}={}", self.path(file).display()),
            _ => option.to_owned(),
        }
    }

    fn run_as_other(&self, command: &mut Command) {
        run_as_other(self.home.path(), command);
    }
}

/// Has a program run in a directory, and not as root.
pub(crate) fn run_as_other(home: &Path, command: &mut Command) {
    give_away(home);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(home);
}

/// Lets whoever runs in it have a directory, and the files in it.
fn give_away(home: &Path) {
    if !is_root() {
        return;
    }
    let entries = fs::read_dir(home).expect("the directory is ours").flatten();
    for path in entries.map(|entry| entry.path()).chain([home.to_owned()]) {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may do that");
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|of_this| of_this.uid() == 0)
}

/// A program of PostgreSQL: of the newest version that is installed, or wherever commands are found.
fn postgresql(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .max();
    newest.unwrap_or_else(|| Path::new(name).to_owned())
}
