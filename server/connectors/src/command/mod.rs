#![doc = include_str!("docs.md")]

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// What to run, and within which limits.
#[derive(Debug, Clone)]
pub struct CommandLine {
    /// The command, as a shell reads it.
    pub command: String,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// How long it may take; `None`: as long as whoever waits has time.
    pub timeout: Option<Duration>,
    /// Bytes of each of its outputs that are kept.
    pub max_output: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it wrote about errors.
    pub stderr: Vec<u8>,
    /// Its exit code; less than 0: the signal that ended it. `None`: it was killed when its time was over.
    pub exit_code: Option<i32>,
    /// Bytes of output that were dropped.
    pub dropped: u64,
}

/// Runs a command to its end. Dropping the future kills it.
///
/// # Errors
/// When no shell can be started.
pub async fn run(line: CommandLine) -> Result<Finished, Error> {
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(&line.command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| Error::new(Kind::Internal, "cannot start a shell for the command").with_source(error))?;
    let mut running = Running(Some(child));
    let (mut stdout, mut stderr) = (Output::new(line.max_output), Output::new(line.max_output));
    let ended = running.end(&line.stdin, &mut stdout, &mut stderr);
    let status = match line.timeout {
        Some(limit) => tokio::time::timeout(limit, ended).await.ok(),
        None => Some(ended.await),
    };
    let exit_code = status
        .transpose()
        .map_err(|error| Error::new(Kind::Internal, "cannot tell how the command ended").with_source(error))?
        .map(code);
    Ok(Finished {
        dropped: stdout.dropped + stderr.dropped,
        stdout: stdout.kept,
        stderr: stderr.kept,
        exit_code,
    })
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| -signal))
        .unwrap_or_default()
}

/// A command that has not ended. Dropped, it is killed with all of its processes, and collected.
struct Running(Option<Child>);

impl Running {
    /// Waits for its end.
    async fn end(&mut self, stdin: &[u8], stdout: &mut Output, stderr: &mut Output) -> io::Result<ExitStatus> {
        let Some(child) = &mut self.0 else {
            return Err(io::Error::other("the command has ended before"));
        };
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut pipe) = streams.0 {
                // an error says that the command does not want to read any more
                pipe.write_all(stdin).await.ok();
            }
        };
        tokio::join!(feed, stdout.read(streams.1), stderr.read(streams.2));
        let status = child.wait().await;
        // what it left running on purpose goes on
        self.0 = None;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        if let Some(group) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // SAFETY: takes no pointers; the group's leader has not been waited for, so that its number cannot be another's
            unsafe { libc::killpg(group, libc::SIGKILL) };
        }
        // so that it does not stay in the system's table; without a runtime the process is about to end
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let _runtime = runtime.enter();
            task::spawn("command-reap", TaskKind::Once, async move {
                // there is nobody to tell how it ended
                child.wait().await.ok();
            });
        }
    }
}

/// One output of a command.
struct Output {
    kept: Vec<u8>,
    limit: usize,
    dropped: u64,
}

impl Output {
    fn new(limit: usize) -> Self {
        Self {
            kept: Vec::new(),
            limit,
            dropped: 0,
        }
    }

    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 64 << 10];
        // an error is as good as the end
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let room = count.min(self.limit - self.kept.len());
            self.kept.extend_from_slice(&buffer[..room]);
            self.dropped += (count - room) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn line(command: &str) -> CommandLine {
        CommandLine {
            command: command.to_owned(),
            stdin: Vec::new(),
            timeout: None,
            max_output: 1 << 20,
        }
    }

    fn is_there(pid: i32) -> bool {
        // SAFETY: signal 0 only asks
        unsafe { libc::kill(pid, 0) == 0 }
    }

    #[tokio::test]
    async fn output_input_and_exit_codes() {
        let mut echo = line("cat; echo e >&2; exit 3");
        echo.stdin = vec![b'x'; 300_000];
        let finished = run(echo).await.unwrap();
        assert_eq!((finished.exit_code, &*finished.stderr), (Some(3), &b"e\n"[..]));
        assert_eq!(finished.stdout.len(), 300_000);
        assert_eq!(run(line("kill -15 $$")).await.unwrap().exit_code, Some(-15));
        assert_eq!(run(line("no-such-command-x")).await.unwrap().exit_code, Some(127));
        // who does not read gets no error
        let mut deaf = line("true");
        deaf.stdin = vec![b'x'; 300_000];
        assert_eq!(run(deaf).await.unwrap().exit_code, Some(0));
    }

    #[tokio::test]
    async fn output_is_kept_up_to_a_limit() {
        let mut much = line("head -c 100000 /dev/zero");
        much.max_output = 1000;
        let finished = run(much).await.unwrap();
        assert_eq!((finished.stdout.len(), finished.dropped), (1000, 99_000));
    }

    #[tokio::test]
    async fn when_time_is_over_all_its_processes_are_killed() {
        let home = tempfile::tempdir().unwrap();
        let pids = home.path().join("pids");
        let mut slow = line(&format!(
            "sleep 300 & echo $! > {0}; echo $$ >> {0}; echo out; wait",
            pids.display()
        ));
        slow.timeout = Some(Duration::from_millis(300));
        let finished = run(slow.clone()).await.unwrap();
        assert_eq!((finished.exit_code, &*finished.stdout), (None, &b"out\n"[..]));
        let gone = || async {
            let text = std::fs::read_to_string(&pids).unwrap();
            let pids: Vec<i32> = text.lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(pids.len(), 2);
            let end = Instant::now() + Duration::from_secs(10);
            // the one that the shell started is its parent's, and then init's, to collect
            while is_there(pids[1])
                || std::fs::read_to_string(format!("/proc/{}/stat", pids[0])).is_ok_and(|it| !it.contains(") Z"))
            {
                assert!(Instant::now() < end, "they still run");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        gone().await;

        // the same when nobody waits any more
        std::fs::remove_file(&pids).unwrap();
        slow.timeout = None;
        let waiting = tokio::spawn(run(slow));
        while !std::fs::read_to_string(&pids).is_ok_and(|text| text.lines().count() == 2) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        waiting.abort();
        gone().await;
    }
}
