//! Directories, keys, room on the disk, and what a crash left behind.

use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::cli::doctor::Check;
use crate::directory::Directory;

/// Room below which a server is in danger: a log entry, a deployment and a change of the database need some.
const LITTLE: u64 = 1 << 30;
/// Room below which it will not work for long.
const TOO_LITTLE: u64 = 64 << 20;
const MB: u64 = 1 << 20;

/// Looks at the files of a server.
pub fn check(directory: &Directory) -> Vec<Check> {
    let mut checks = directories(directory);
    checks.extend(keys(directory));
    checks.push(disk(directory.path()));
    checks.push(left_behind(directory));
    checks
}

fn directories(directory: &Directory) -> Vec<Check> {
    const NAME: &str = "directories";
    let mut wrong = Vec::new();
    // SAFETY: geteuid cannot fail
    let user = unsafe { libc::geteuid() };
    for path in [
        directory.pickup(),
        directory.work(),
        directory.logs(),
        directory.path().join("config"),
    ] {
        let shown = path.display();
        match path.metadata() {
            Err(error) => wrong.push(Check::problem(
                NAME,
                format!("`{shown}` cannot be used: {error}"),
                format!("make it: mkdir -m 700 {shown}"),
            )),
            Ok(metadata) if !metadata.is_dir() => wrong.push(Check::problem(
                NAME,
                format!("`{shown}` is not a directory"),
                "move the file away and make a directory of this name",
            )),
            Ok(_) if !may_write(&path) => wrong.push(Check::problem(
                NAME,
                format!("`{shown}` cannot be written by the user that runs this command"),
                format!("run busbar as its owner, or give it to this user: chown {user} {shown}"),
            )),
            Ok(metadata) if path == directory.work() && others_may(&metadata) => wrong.push(Check::warning(
                NAME,
                format!("other users can open `{shown}`, where the server keeps what is its own"),
                format!("chmod 700 {shown}"),
            )),
            Ok(metadata) if metadata.mode() & 0o002 != 0 => wrong.push(Check::problem(
                NAME,
                format!("every user can write to `{shown}`, and what lies there runs as services"),
                format!("chmod o-w {shown}"),
            )),
            Ok(_) => {}
        }
    }
    if wrong.is_empty() {
        wrong.push(Check::ok(NAME, "they are there and can be written"));
    }
    wrong
}

/// Files that hold keys or passwords.
fn keys(directory: &Directory) -> Vec<Check> {
    const NAME: &str = "keys";
    let mut wrong = Vec::new();
    for path in [
        directory.odb_key(),
        directory.path().join("config/secret.key"),
        directory.config(),
    ] {
        let Ok(metadata) = path.metadata() else {
            // the first start makes keys; settings are optional
            continue;
        };
        let shown = path.display();
        if others_may(&metadata) {
            let hint = format!("chmod 600 {shown}");
            wrong.push(if path == directory.config() {
                Check::warning(
                    NAME,
                    format!("other users can open `{shown}`, which may hold passwords"),
                    hint,
                )
            } else {
                Check::problem(NAME, format!("other users can open `{shown}`, which holds keys"), hint)
            });
        } else if let Err(error) = std::fs::File::open(&path) {
            let hint = "run busbar as the user that owns the server's directory";
            wrong.push(Check::problem(NAME, format!("cannot read `{shown}`: {error}"), hint));
        }
    }
    if wrong.is_empty() {
        wrong.push(Check::ok(NAME, "only their owner can read them"));
    }
    wrong
}

fn others_may(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o077 != 0
}

fn may_write(path: &Path) -> bool {
    CString::new(path.as_os_str().as_bytes()).is_ok_and(|path| {
        // SAFETY: the text ends in NUL and lives through the call
        unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
    })
}

fn disk(path: &Path) -> Check {
    let Ok(text) = CString::new(path.as_os_str().as_bytes()) else {
        return Check::ok("disk", "its path has no name that the system can be asked about");
    };
    // SAFETY: a structure of numbers, for which zero is a value
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the text ends in NUL, and the pointer is to a live value
    if unsafe { libc::statvfs(text.as_ptr(), &raw mut found) } != 0 {
        let error = std::io::Error::last_os_error();
        return Check::problem(
            "disk",
            format!("cannot tell how much room there is: {error}"),
            "look at the disk",
        );
    }
    // file systems without a fixed number of files say that they have none
    let files = (found.f_files > 0).then_some(found.f_favail);
    judge_room(found.f_bavail.saturating_mul(found.f_frsize), files)
}

fn judge_room(bytes: u64, files: Option<u64>) -> Check {
    let hint = "make room, or move logs and the server's directory to a larger disk";
    if files.is_some_and(|files| files < 1_000) {
        return Check::problem("disk", "there is hardly room for further files", hint);
    }
    let message = format!("{} MB are free", bytes / MB);
    match bytes {
        ..TOO_LITTLE => Check::problem("disk", message, hint),
        TOO_LITTLE..LITTLE => Check::warning("disk", message, hint),
        _ => Check::ok("disk", message),
    }
}

/// A crash leaves a pid file and a socket; the lock on the file says whether a server runs.
fn left_behind(directory: &Directory) -> Check {
    const NAME: &str = "crash";
    if directory.running().is_some() {
        return Check::ok(NAME, "the server runs");
    }
    let left: Vec<_> = [directory.work().join("pid"), directory.control_socket()]
        .into_iter()
        .filter(|path| path.exists())
        .map(|path| format!("`{}`", path.display()))
        .collect();
    if left.is_empty() {
        Check::ok(NAME, "nothing was left behind")
    } else {
        Check::warning(
            NAME,
            format!(
                "{} are there and the server does not run: it crashed or was killed",
                left.join(" and ")
            ),
            format!(
                "see the end of {} for why; the next start clears them away",
                directory.log().display()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn little_room_is_noticed_in_time() {
        for (bytes, files, expected) in [
            (100 << 30, Some(1_000_000), State::Ok),
            (100 << 30, None, State::Ok),
            (500 << 20, Some(1_000_000), State::Warning),
            (1 << 20, Some(1_000_000), State::Problem),
            (100 << 30, Some(3), State::Problem),
        ] {
            assert_eq!(judge_room(bytes, files).state, expected, "{bytes} {files:?}");
        }
    }
}
