//! A worker process: the Python host at the other end of a link.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::Context;
use busbar_model::Error;
use busbar_python::{Host, HostConfig};
use busbar_runtime::link::frame::Hello;
use busbar_runtime::link::worker::HubLink;
use serde::{Deserialize, Serialize};

use crate::logging;

/// Environment variable in which the hub hands a worker its settings.
pub const SETTINGS: &str = "BUSBAR_WORKER";

/// How much sooner than the hub and than other processes the kernel's out-of-memory killer takes a worker.
const OOM_SCORE: &str = "500";

/// What the hub tells a worker when it starts it.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// Settings of the Python host.
    pub host: HostConfig,
    /// Log level or filters.
    pub log_level: String,
    /// Directory to work in: the server's.
    pub directory: PathBuf,
    /// Process id of the hub.
    pub hub_pid: u32,
}

/// Runs worker number `index` until the hub closes its link.
pub fn run(index: usize) -> anyhow::Result<u8> {
    let settings = std::env::var(SETTINGS).context("`busbar worker` is started by the hub, not by hand")?;
    let settings: WorkerSettings =
        serde_json::from_str(&settings).context("the hub's settings for this worker cannot be read")?;
    // SAFETY: no other thread runs yet. Services must not see the settings.
    unsafe { std::env::remove_var(SETTINGS) };
    die_with_the_hub(settings.hub_pid);
    logging::start(&format!("worker-{index}"), &settings.log_level)?;
    // best effort: it needs no more than what every process may do to itself, but a container may forbid even that
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE).ok();
    let link = HubLink::new(take_link()?);

    std::env::set_current_dir(&settings.directory)
        .with_context(|| format!("cannot work in `{}`", settings.directory.display()))?;
    let host = Host::start(settings.host, link.clone()).map_err(from_model)?;
    let hello = Hello {
        pid: std::process::id(),
        python: host.python_version(),
    };
    let runtime = host.runtime();
    let health = {
        let host = host.clone();
        move || host.health()
    };
    link.serve(hello, host, &runtime, health).map_err(from_model)?;
    // the interpreter is not finalised: threads of services may still run, and there is nothing left to save
    std::process::exit(0);
}

/// Asks the kernel to kill this process when its parent ends.
fn die_with_the_hub(hub_pid: u32) {
    // SAFETY: prctl with these arguments takes no pointers
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if std::os::unix::process::parent_id() != hub_pid {
        // the hub ended before the request took effect
        std::process::exit(0);
    }
}

/// Takes the link off standard input, and leaves `/dev/null` there: nothing that a service reads or a child inherits may be the link.
fn take_link() -> anyhow::Result<UnixStream> {
    let stdin = std::io::stdin();
    let link = stdin
        .as_fd()
        .try_clone_to_owned()
        .context("standard input is not a link to a hub")?;
    let null = std::fs::File::open("/dev/null").context("cannot open `/dev/null`")?;
    // SAFETY: both descriptors are open
    if unsafe { libc::dup2(null.as_raw_fd(), stdin.as_raw_fd()) } < 0 {
        return Err(std::io::Error::last_os_error()).context("cannot replace standard input");
    }
    Ok(UnixStream::from(link))
}

fn from_model(error: Error) -> anyhow::Error {
    anyhow::anyhow!(error.chain())
}
