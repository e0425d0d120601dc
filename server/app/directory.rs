//! A server's directory: what lies where.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use busbar_connectors::pickup::UserDirectories;
use busbar_runtime::crypto::ServerKey;

use crate::cli::Exit;

/// The directory of one server. All paths are absolute, so that the server runs from any working directory.
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// Creates the directory and everything in it, readable by its owner alone.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for part in ["pickup-dir", "user-conf", "static", "config", "logs", "work"] {
            let directory = path.join(part);
            builder
                .create(&directory)
                .with_context(|| format!("cannot create `{}`", directory.display()))?;
        }
        Self::open(path)
    }

    /// Opens the directory of a server that `busbar quickstart` made.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let path = fs::canonicalize(path).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => {
                Exit::new(16, format!("this user may not look into `{}`: {error}", path.display()))
                    .with_hint("run the command as the user that the server runs as")
            }
            _ => Exit::new(2, format!("there is no directory `{}`: {error}", path.display())),
        })?;
        let directory = Self(path);
        if directory.config().is_file() || directory.pickup().is_dir() {
            return Ok(directory);
        }
        let path = directory.0.display();
        // a directory that cannot be looked into looks empty
        if let Err(error) = fs::metadata(directory.config())
            && error.kind() == ErrorKind::PermissionDenied
        {
            return Err(Exit::new(16, format!("this user may not look into `{path}`: {error}"))
                .with_hint("run the command as the user that the server runs as")
                .into());
        }
        // the usual slip: the environment was named instead of the server in it
        let hint = if directory.0.join("server1").is_dir() {
            format!("did you mean `{path}/server1`?")
        } else {
            "make one with `busbar quickstart DIR`".to_owned()
        };
        Err(Exit::new(3, format!("`{path}` is not the directory of a server"))
            .with_hint(hint)
            .into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Name of the server: the last part of its path.
    pub fn name(&self) -> String {
        self.0
            .file_name()
            .map_or_else(|| "server".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// `config/server.toml`.
    pub fn config(&self) -> PathBuf {
        self.0.join("config/server.toml")
    }

    /// `config/secret.key`, which only its owner may read: what `self.crypto` encrypts with. Made if it is not there.
    pub fn secret_key(&self) -> anyhow::Result<PathBuf> {
        let path = self.0.join("config/secret.key");
        let opened = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
        let written = match opened {
            Ok(mut file) => file.write_all(ServerKey::generate().to_text().as_bytes()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        };
        written.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    /// `config/odb.key`, which only its owner may read: the keys of the secrets in the database. The database makes it.
    pub fn odb_key(&self) -> PathBuf {
        self.0.join("config/odb.key")
    }

    /// Where service files are dropped: `pickup-dir`, or `pickup/incoming/services` if that is there and the first is not.
    pub fn pickup(&self) -> PathBuf {
        let (ours, theirs) = (self.0.join("pickup-dir"), self.0.join("pickup/incoming/services"));
        if !ours.exists() && theirs.is_dir() {
            theirs
        } else {
            ours
        }
    }

    /// Where files of objects are dropped.
    pub fn objects(&self) -> PathBuf {
        self.pickup().join("enmasse")
    }

    /// Where files for services are dropped: configuration beside the service files or among them, and static files.
    pub fn user_directories(&self) -> UserDirectories {
        let pickup = self.pickup();
        let beside = |name: &str| pickup.parent().unwrap_or(&self.0).join(name);
        UserDirectories {
            config: vec![beside("user-conf"), pickup.clone()],
            statics: vec![beside("static")],
        }
    }

    /// The server's own database, unless its settings name another.
    pub fn odb(&self) -> PathBuf {
        self.0.join("work/odb.sqlite")
    }

    /// What the server keeps for itself.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// `logs/`.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// `logs/server.log`.
    pub fn log(&self) -> PathBuf {
        self.0.join("logs/server.log")
    }

    /// Opens the log for appending: hub and workers write whole lines to it, and it may be truncated while they run.
    pub fn open_log(&self) -> anyhow::Result<File> {
        let path = self.log();
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        opened.with_context(|| format!("cannot open `{}`", path.display()))
    }

    /// Where the command line reaches the running server.
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("work/control.sock")
    }

    /// Takes the pid file for this process, and keeps it locked until the returned value is dropped.
    pub fn lock_pid_file(&self) -> anyhow::Result<PidFile> {
        let path = self.pid_file();
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open `{}`", path.display()))?;
        let mut lock = whole_file_lock();
        // SAFETY: the descriptor is open and the pointer is to a live value
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) } != 0 {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            return Err(
                Exit::new(9, format!("server `{}` runs already (pid {})", self.name(), pid.trim()))
                    .with_hint(format!("stop it with `busbar stop {}`", self.0.display()))
                    .into(),
            );
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(PidFile { path, _file: file })
    }

    /// Process id of the running server; `None` if it does not run.
    pub fn running(&self) -> Option<i32> {
        let path = self.pid_file();
        let file = File::open(&path).ok()?;
        // asks without taking: a server that starts at this moment must not find its file locked
        let mut lock = whole_file_lock();
        // SAFETY: as above
        let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
        if asked != 0 || i32::from(lock.l_type) == libc::F_UNLCK {
            return None;
        }
        fs::read_to_string(&path).ok()?.trim().parse().ok()
    }

    fn pid_file(&self) -> PathBuf {
        self.0.join("work/pid")
    }
}

/// The pid file of a running server. The lock says that the server runs, not the file: a crash leaves no stale state.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _file: File,
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // nothing to be done about a file that is gone already
        drop(fs::remove_file(&self.path));
    }
}

/// A lock of all of a file. It belongs to the open file, not to the process, and is gone when that is closed.
fn whole_file_lock() -> libc::flock {
    // SAFETY: a structure of numbers, for which zero is a value
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

/// A path through which a socket in `directory` can be bound and connected however long the directory's name is: the address of a Unix
/// socket has room for 108 bytes only. Valid as long as the returned file is open.
pub fn short_socket_path(path: &Path) -> std::io::Result<(File, PathBuf)> {
    let directory = File::open(path.parent().unwrap_or(Path::new(".")))?;
    let name = path.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    Ok((directory, short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_the_pid_file() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::create(&home.path().join("server1")).unwrap();
        assert_eq!(directory.running(), None);
        let held = directory.lock_pid_file().unwrap();
        assert_eq!(directory.running(), Some(std::process::id() as i32));
        assert!(
            directory
                .lock_pid_file()
                .unwrap_err()
                .to_string()
                .contains("runs already")
        );
        drop(held);
        assert_eq!(directory.running(), None);
    }

    #[test]
    fn sockets_may_lie_deep() {
        let home = tempfile::tempdir().unwrap();
        let deep = home.path().join("a".repeat(150));
        fs::create_dir(&deep).unwrap();
        let (_open, short) = short_socket_path(&deep.join("control.sock")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&short).unwrap();
        std::os::unix::net::UnixStream::connect(&short).unwrap();
    }

    #[test]
    fn the_environment_is_not_a_server() {
        let home = tempfile::tempdir().unwrap();
        Directory::create(&home.path().join("server1")).unwrap();
        let error = Directory::open(home.path()).unwrap_err();
        let hint = error.downcast_ref::<Exit>().and_then(Exit::hint).unwrap_or_default();
        assert!(hint.contains("did you mean"), "{error:?}");
    }

    #[test]
    fn asking_whether_a_server_runs_does_not_keep_it_from_starting() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::create(home.path()).unwrap();
        assert_eq!(directory.running(), None);
        let held = directory.lock_pid_file().unwrap();
        assert_eq!(directory.running(), Some(std::process::id().cast_signed()));
        assert!(directory.lock_pid_file().is_err());
        drop(held);
        assert_eq!(directory.running(), None);

        // as `busbar start` does, many times while its server starts
        let asking = std::thread::spawn({
            let directory = directory.clone();
            move || (0..20_000).filter(|_| directory.running().is_some()).count()
        });
        while !asking.is_finished() {
            drop(directory.lock_pid_file().unwrap());
        }
        asking.join().unwrap();
    }
}
