//! A Redis server of the hub's own: started on a Unix socket in the server's directory, restarted when it dies, stopped last.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Longest path that the address of a Unix socket has room for, its final zero included.
const MAX_SOCKET_PATH: usize = 108;
/// How long a server may take until it answers: it may have a large file to load.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to save and exit.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long one that a crash left behind may take to do the same.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(5);
const PID_FILE: &str = "redis.pid";
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(2);

/// Settings of a private server.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// The executable; empty: `redis-server` from `PATH`.
    pub executable: String,
    /// Where its data, its socket and its configuration go. Created if need be.
    pub directory: PathBuf,
    /// Its log file.
    pub log: PathBuf,
}

/// A private server that was checked and not started.
#[derive(Debug)]
pub struct PrivateRedis {
    executable: PathBuf,
    directory: PathBuf,
    socket: PathBuf,
    configuration: PathBuf,
}

/// A private server that is kept running.
#[derive(Debug)]
pub struct RedisProcess {
    socket: PathBuf,
    state: watch::Receiver<RedisState>,
    stop: watch::Sender<bool>,
}

/// How a private server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisState {
    /// It has not answered yet.
    Starting,
    /// It answers.
    Ready,
    /// It was told to stop, and has.
    Stopped,
}

impl PrivateRedis {
    /// Finds the executable, and writes the configuration and everything that it needs.
    ///
    /// # Errors
    /// [`Kind::Config`] when there is no such executable, [`Kind::Internal`] when the directory cannot be written.
    pub fn build(config: &RedisConfig) -> Result<Self, Error> {
        let executable = find(&config.executable)?;
        make_directory(&config.directory)?;
        let directory =
            &std::fs::canonicalize(&config.directory).map_err(|error| cannot_write(&config.directory, error))?;
        let socket = socket_path(directory)?;
        let configuration = directory.join("redis.conf");
        let text = format!(
            "# written by busbar at every start\n\
             port 0\nunixsocket {}\nunixsocketperm 600\ndir {}\nlogfile {}\n\
             appendonly yes\nappendfsync everysec\nsave \"\"\ndaemonize no\nsupervised no\npidfile {}\n",
            quoted(&socket)?,
            quoted(directory)?,
            quoted(&config.log)?,
            quoted(&directory.join(PID_FILE))?,
        );
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&configuration)
            .map_err(|error| cannot_write(&configuration, error))?;
        file.write_all(text.as_bytes())
            .map_err(|error| cannot_write(&configuration, error))?;
        Ok(Self {
            executable,
            directory: directory.clone(),
            socket,
            configuration,
        })
    }

    /// Starts the server and keeps it running until [`RedisProcess::stop`].
    pub fn spawn(self) -> Arc<RedisProcess> {
        let (state_sender, state) = watch::channel(RedisState::Starting);
        let stop = watch::Sender::new(false);
        let process = Arc::new(RedisProcess {
            socket: self.socket.clone(),
            state,
            stop: stop.clone(),
        });
        task::spawn("private-redis", TaskKind::Once, async move {
            self.keep_running(&state_sender, stop.subscribe()).await
        });
        process
    }

    async fn keep_running(&self, state: &watch::Sender<RedisState>, mut stop: watch::Receiver<bool>) {
        let mut backoff = FIRST_BACKOFF;
        while !*stop.borrow() {
            state.send_replace(RedisState::Starting);
            match self.start().await {
                Ok(mut child) => {
                    backoff = FIRST_BACKOFF;
                    state.send_replace(RedisState::Ready);
                    tracing::info!(pid = child.id(), "the private redis-server is ready");
                    tokio::select! {
                        status = child.wait() => {
                            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                            tracing::error!("the private redis-server ended ({status}); it is started again");
                        }
                        () = told(&mut stop) => shut_down(&mut child).await,
                    }
                }
                Err(error) => {
                    tracing::error!(
                        error = error.chain(),
                        hint = error.hint(),
                        "the private redis-server did not start"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(backoff) => {}
                        () = told(&mut stop) => {}
                    }
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
            }
        }
        state.send_replace(RedisState::Stopped);
    }

    /// Ends a server that a crashed hub left behind: it still writes to the same files, and as it exits it removes the socket, be it its
    /// successor's by then.
    async fn end_predecessor(&self) {
        let pid_file = std::fs::read_to_string(self.directory.join(PID_FILE)).unwrap_or_default();
        let Some(pid) = pid_file.trim().parse::<i32>().ok().filter(|pid| *pid > 1) else {
            return;
        };
        // a number may have been given to somebody else since: it is the server if it works in our directory
        let runs = || std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.directory);
        if !runs() {
            return;
        }
        tracing::warn!(
            pid,
            "ending the private redis-server that a crash left behind (pid {pid})"
        );
        for (signals, limit) in [
            (&[libc::SIGTERM, libc::SIGCONT][..], PREDECESSOR_LIMIT),
            (&[libc::SIGKILL], STOP_LIMIT),
        ] {
            for signal in signals {
                // SAFETY: kill takes no pointers, and the process was found to be the server just now
                unsafe { libc::kill(pid, *signal) };
            }
            let deadline = Instant::now() + limit;
            while Instant::now() < deadline {
                if !runs() {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Starts the server and waits until it answers.
    async fn start(&self) -> Result<Child, Error> {
        let failed = |message: String| {
            Error::new(Kind::Internal, message)
                .with_hint(format!("see its log; its directory is {}", self.directory.display()))
        };
        self.end_predecessor().await;
        std::fs::remove_file(&self.socket).ok();
        let mut command = Command::new(&self.executable);
        command
            .arg(&self.configuration)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal is for the hub, which stops this server last
            .process_group(0)
            .kill_on_drop(true);
        // SAFETY: prctl is async-signal-safe and is all that runs between fork and exec. A hub that is killed takes its server along: SIGTERM
        // lets it save what it has. The signal follows the thread that forks, a worker thread of the runtime, which lives as long as it.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let mut child = command
            .spawn()
            .map_err(|error| failed(format!("cannot run `{}`", self.executable.display())).with_source(error))?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if answers(&self.socket) {
                return Ok(child);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(failed(format!("redis-server ended while it was starting ({status})")));
            }
            if Instant::now() > deadline {
                return Err(failed(format!(
                    "redis-server did not answer within {} s",
                    START_LIMIT.as_secs()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl RedisProcess {
    /// Where clients reach it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// How it is.
    pub fn state(&self) -> RedisState {
        *self.state.borrow()
    }

    /// Waits until it answers, at most `limit`.
    ///
    /// # Errors
    /// [`Kind::Timeout`].
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), Error> {
        let mut state = self.state.clone();
        match tokio::time::timeout(limit, state.wait_for(|state| *state == RedisState::Ready)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::new(
                Kind::Timeout,
                format!("the private redis-server was not ready within {} s", limit.as_secs()),
            )
            .with_hint("see logs/redis.log in the server's directory")),
        }
    }

    /// Lets it write what it has to disk, and waits until it is gone.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut state = self.state.clone();
        // an error says that the task which kept it running is gone, and the server with it
        drop(state.wait_for(|state| *state == RedisState::Stopped).await);
    }
}

/// Waits until the server shall stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    // an error says that nobody is left who could tell
    drop(stop.wait_for(|stop| *stop).await);
}

/// SIGTERM makes Redis flush its append-only file and exit.
async fn shut_down(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // SAFETY: kill takes no pointers; the child has not been waited for, so the pid is its
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
    if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
        tracing::error!(
            "the private redis-server did not stop within {} s; it is killed",
            STOP_LIMIT.as_secs()
        );
        child.kill().await.ok();
    }
}

/// Whether a server answers on the socket, and is done loading.
fn answers(socket: &Path) -> bool {
    use std::io::Read;

    let attempt = || -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG")
    };
    attempt().unwrap_or(false)
}

fn find(executable: &str) -> Result<PathBuf, Error> {
    let missing = |what: &str| {
        Error::new(Kind::Config, format!("there is no `{what}`"))
            .with_hint("install it (Debian: apt-get install redis-server), or name your own Redis with [redis] url in config/server.toml")
    };
    if executable.contains('/') {
        let path = PathBuf::from(executable);
        return if is_executable(&path) {
            Ok(path)
        } else {
            Err(missing(executable))
        };
    }
    let name = if executable.is_empty() {
        "redis-server"
    } else {
        executable
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| is_executable(path))
        .ok_or_else(|| missing(name))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn make_directory(directory: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| cannot_write(directory, error))
}

/// The socket lies beside the data if its path is short enough for one, else in a directory of the user's own with a name that follows
/// from the server's directory.
fn socket_path(directory: &Path) -> Result<PathBuf, Error> {
    let beside = directory.join("redis.sock");
    if beside.as_os_str().len() < MAX_SOCKET_PATH {
        return Ok(beside);
    }
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in directory.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // SAFETY: geteuid cannot fail
    let user = unsafe { libc::geteuid() };
    let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/tmp/busbar-{user}")),
        |base| Path::new(&base).join("busbar"),
    );
    make_directory(&base)?;
    let metadata = std::fs::symlink_metadata(&base).map_err(|error| cannot_write(&base, error))?;
    if !metadata.is_dir()
        || std::os::unix::fs::MetadataExt::uid(&metadata) != user
        || metadata.permissions().mode() & 0o077 != 0
    {
        return Err(Error::new(
            Kind::Config,
            format!("`{}` is not a directory that only you can open", base.display()),
        ));
    }
    Ok(base.join(format!("{hash:016x}.sock")))
}

/// A path as Redis's configuration file takes it.
fn quoted(path: &Path) -> Result<String, Error> {
    let text = path
        .to_str()
        .filter(|text| !text.contains(['\n', '\r']))
        .ok_or_else(|| {
            Error::new(
                Kind::Config,
                format!("Redis cannot be told the path `{}`", path.display()),
            )
        })?;
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn cannot_write(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Internal, format!("cannot write `{}`", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path) -> RedisConfig {
        RedisConfig {
            executable: String::new(),
            directory: directory.join("redis"),
            log: directory.join("redis.log"),
        }
    }

    fn command(socket: &Path, command: &str) -> String {
        use std::io::BufRead;

        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut reader = std::io::BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.starts_with('$') {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        line.trim_end().to_owned()
    }

    fn pid(socket: &Path) -> i32 {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(b"INFO server\r\n").unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(stream)).map_while(Result::ok);
        lines
            .filter_map(|line| line.strip_prefix("process_id:")?.parse().ok())
            .next()
            .unwrap()
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test(flavor = "multi_thread")]
    async fn it_is_restarted_when_killed_and_keeps_what_it_had() {
        let home = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::build(&config(home.path())).unwrap();
        let socket = redis.socket.clone();
        let process = redis.spawn();
        process.wait_ready(LIMIT).await.unwrap();
        assert_eq!(command(&socket, "SET a 1"), "+OK");
        assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let first = pid(&socket);
        // SAFETY: the process is the child that was just asked for its pid
        unsafe { libc::kill(first, libc::SIGKILL) };
        let deadline = Instant::now() + LIMIT;
        while !answers(&socket) || pid(&socket) == first {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(POLL).await;
        }
        assert_eq!(command(&socket, "GET a"), "1");
        process.stop().await;
        assert!(!answers(&socket));
        assert_eq!(process.state(), RedisState::Stopped);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_that_a_crash_left_behind_is_ended_first() {
        let home = tempfile::tempdir().unwrap();
        let crashed = PrivateRedis::build(&config(home.path())).unwrap();
        let mut left_behind = crashed.start().await.unwrap();
        let pid = i32::try_from(left_behind.id().unwrap()).unwrap();
        assert_eq!(command(&crashed.socket, "SET a 1"), "+OK");
        // SAFETY: the process is a child that has not been waited for
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        // as init does for orphans
        let reaper = tokio::spawn(async move { left_behind.wait().await });

        let process = PrivateRedis::build(&config(home.path())).unwrap().spawn();
        process.wait_ready(LIMIT).await.unwrap();
        reaper.await.unwrap().unwrap();
        assert_eq!(command(&crashed.socket, "GET a"), "1");
        process.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn deep_directories_get_a_socket_elsewhere() {
        let home = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::build(&config(&home.path().join("d".repeat(120)))).unwrap();
        assert!(redis.socket.as_os_str().len() < MAX_SOCKET_PATH);
        let process = redis.spawn();
        process.wait_ready(LIMIT).await.unwrap();
        process.stop().await;
    }

    #[test]
    fn a_missing_executable_is_named_with_the_way_out() {
        let home = tempfile::tempdir().unwrap();
        let config = RedisConfig {
            executable: "/no/such/redis".into(),
            ..config(home.path())
        };
        let error = PrivateRedis::build(&config).unwrap_err();
        assert!(error.message().contains("/no/such/redis") && error.hint().unwrap().contains("apt-get"));
    }
}
