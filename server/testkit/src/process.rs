//! Commands with a time limit, signals, and what the kernel tells of processes.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::{LIMIT, wait_until};

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Checks the exit code.
    ///
    /// # Panics
    ///
    /// If it is another one; the message has everything that was printed.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    ///
    /// If it is not JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in:\n{}\n{}", self.stdout, self.stderr))
    }
}

/// Runs a command to its end.
///
/// # Panics
///
/// If it cannot be started, or has not ended after twice [`LIMIT`]; it is killed then.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_with(command, b"")
}

/// Runs a command to its end, with this on its standard input.
///
/// # Panics
///
/// As [`run`].
#[track_caller]
pub fn run_with(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // a command that does not want it may have ended
        stdin.write_all(input).ok();
    }
    // read beside the wait: a full pipe would hold the command up
    let stdout = collect(child.stdout.take().expect("stdout is piped"));
    let stderr = collect(child.stderr.take().expect("stderr is piped"));
    let status = wait(&mut child, LIMIT * 2);
    if status.is_none() {
        child.kill().ok();
        child.wait().ok();
    }
    let (stdout, stderr) = (text(stdout.join()), text(stderr.join()));
    let Some(status) = status else {
        panic!("{command:?} has not ended; it printed:\n{stdout}\n{stderr}")
    };
    Output {
        code: status.code().unwrap_or(-1),
        stdout,
        stderr,
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // what was read until an error is what there is to show
        pipe.read_to_end(&mut bytes).ok();
        bytes
    })
}

fn text(bytes: thread::Result<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// Waits for the end of a process; `None` if it takes longer than `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Sends a signal. A process that is gone already is fine.
pub fn signal(pid: i32, signal: i32) {
    assert!(pid > 1, "{pid} is no process of a test");
    // SAFETY: kill takes no pointers
    unsafe { libc::kill(pid, signal) };
}

/// Kills a process the hard way and waits until it is gone.
pub fn kill(pid: i32) {
    signal(pid, libc::SIGKILL);
    wait_until(&format!("process {pid} to be gone"), || (!is_alive(pid)).then_some(()));
}

/// Whether a process runs; one that has ended and that nobody has waited for does not.
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Name of a process as the kernel knows it, at most 15 characters.
pub fn name(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .ok()
        .map(|name| name.trim().to_owned())
}

/// Number of threads of a process.
pub fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Children of a process and their children, the nearest first.
pub fn descendants(pid: i32) -> Vec<i32> {
    let all: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    found
}

/// Connections of this machine to a port of 127.0.0.1 that are up, or whose other side has left without our noticing.
pub fn connections_to(port: u16) -> usize {
    let remote = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let is_up = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // established, close-wait
        fields.get(2) == Some(&&*remote) && matches!(fields.get(3), Some(&"01" | &"08"))
    };
    table.lines().filter(is_up).count()
}

struct Stat {
    state: char,
    parent: i32,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name before it may hold blanks and brackets
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
    })
}

/// Raises the number of files that this process may open, as far as it may without more rights, and gives the new limit back.
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls get a pointer to a struct that lives through them
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
    limit.rlim_cur
}
