//! What the machine gives a server: open files and a clock.

use std::time::{Duration, SystemTime};

use crate::cli::doctor::Check;
use crate::directory::Directory;

/// Open files below which a server with a few hundred clients is in trouble: each connection is one, in the hub and in the workers.
const FEW: u64 = 4_096;
/// Open files below which hardly anything works.
const TOO_FEW: u64 = 512;
/// How far in the future a file may have been written, by the clocks of network disks.
const SLACK: Duration = Duration::from_secs(60);
/// When this was written: a machine whose clock is before that has none.
const THEN: u64 = 1_735_689_600;

/// Looks at the machine.
pub fn check(directory: &Directory) -> Vec<Check> {
    vec![open_files(), clock(directory)]
}

/// The server raises its own limit as far as it may, so the hard one counts.
fn open_files() -> Check {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        let error = std::io::Error::last_os_error();
        return Check::warning(
            "files",
            format!("the limit of open files is unknown: {error}"),
            "see `ulimit -Hn`",
        );
    }
    let hint = "raise it: `ulimit -Hn 65536` as root, LimitNOFILE= of systemd, or /etc/security/limits.conf";
    let message = match limit.rlim_max {
        libc::RLIM_INFINITY => "any number of files can be open".to_owned(),
        limit => format!("{limit} files can be open at a time"),
    };
    match limit.rlim_max {
        ..TOO_FEW => Check::problem("files", message, hint),
        TOO_FEW..FEW => Check::warning("files", message, hint),
        _ => Check::ok("files", message),
    }
}

/// Tokens, signatures and rate limits go by the clock.
fn clock(directory: &Directory) -> Check {
    const NAME: &str = "clock";
    let hint = "set it, and keep it right with chrony or systemd-timesyncd";
    let now = SystemTime::now();
    let is_unset = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
        < THEN;
    if is_unset {
        return Check::problem(NAME, "the clock of this machine was never set", hint);
    }
    for path in [directory.log(), directory.odb(), directory.config()] {
        let Ok(written) = path.metadata().and_then(|metadata| metadata.modified()) else {
            continue;
        };
        if written.duration_since(now).is_ok_and(|ahead| ahead > SLACK) {
            let message = format!("`{}` was written in the future: the clock went back", path.display());
            return Check::warning(NAME, message, hint);
        }
    }
    Check::ok(NAME, "it is later than everything that was written")
}
