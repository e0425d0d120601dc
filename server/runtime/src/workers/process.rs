//! One worker process.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;

use busbar_model::{Error, Kind};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// How worker processes are started.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments. The link is handed over as standard input; the worker's index follows as the last argument.
    pub arguments: Vec<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
    /// Environment variables of the hub that are not for workers.
    pub hidden: Vec<String>,
}

impl WorkerCommand {
    /// Starts worker number `index` and gives back the hub's end of its link.
    ///
    /// The child is in a process group of its own, so that Ctrl-C in a terminal reaches the hub alone, which then stops its workers in
    /// order. It is killed when the returned value is dropped; a hub that dies without dropping anything takes it along because the
    /// worker asks the kernel for that (`PR_SET_PDEATHSIG`) as its first act.
    pub fn start(&self, index: usize) -> Result<(Child, UnixStream), Error> {
        let failed = |error: std::io::Error| {
            Error::new(
                Kind::Internal,
                format!("cannot start worker {index} (`{}`)", self.program.display()),
            )
            .with_source(error)
        };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let ours = UnixStream::from_std(ours).map_err(failed)?;
        let mut command = Command::new(&self.program);
        for name in &self.hidden {
            command.env_remove(name);
        }
        let child = command
            .args(&self.arguments)
            .arg(index.to_string())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok((child, ours))
    }
}

/// Resident memory of a process, in bytes; `None` if it is gone.
pub fn resident_memory(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: sysconf takes no pointers
    let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page_size).unwrap_or(4096))
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_memory() {
        assert!(super::resident_memory(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(super::resident_memory(u32::MAX), None);
    }
}
