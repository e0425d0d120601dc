//! Files for services to read: configuration (`*.ini`, `*.conf`) and whatever lies in a directory of static files. They are looked at
//! again whenever one of them changes; one that cannot be read stays what it was.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use busbar_model::{Error, Kind};
use busbar_runtime::handler::UserFiles;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::pickup::stamp::Stamp;
use crate::pickup::{MAX_BATCH, QUIET, SWEEP, ini, is_hidden};

/// Largest file that services can read as text: every worker holds them all.
const MAX_SIZE: u64 = 16 << 20;
/// Directories in one another that are looked through.
const MAX_DEPTH: usize = 32;

/// Where such files lie.
#[derive(Debug, Clone, Default)]
pub struct UserDirectories {
    /// Directories with configuration files, not looked through any deeper. Of files of one name the last one counts.
    pub config: Vec<PathBuf>,
    /// Directories with static files.
    pub statics: Vec<PathBuf>,
}

/// Watches them.
pub struct UserFilesWatcher {
    directories: UserDirectories,
    events: Receiver<notify::Result<Event>>,
    watch: RecommendedWatcher,
    watched: BTreeMap<PathBuf, Stamp>,
    seen: BTreeMap<PathBuf, Stamp>,
    current: UserFiles,
}

impl UserFilesWatcher {
    /// Starts to watch, and reads what is there. Directories that do not exist yet are looked for from time to time.
    ///
    /// # Errors
    /// When the kernel's watch cannot be had.
    pub fn new(directories: UserDirectories) -> Result<(Self, UserFiles), Error> {
        let (sender, events) = channel();
        let watch = notify::recommended_watcher(move |event| {
            // an error says that the watcher is being dropped
            drop(sender.send(event));
        })
        .map_err(|error| {
            Error::new(Kind::Config, "cannot watch the directories of configuration files").with_source(error)
        })?;
        let mut watcher = Self {
            directories,
            events,
            watch,
            watched: BTreeMap::new(),
            seen: BTreeMap::new(),
            current: UserFiles::default(),
        };
        watcher.watch();
        watcher.look();
        let files = watcher.current.clone();
        Ok((watcher, files))
    }

    /// Reports every new state until `sender`'s other end is closed, on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(mut self, sender: mpsc::Sender<UserFiles>) -> Result<(), Error> {
        let run = move || {
            while !sender.is_closed() {
                self.wait();
                self.watch();
                if self.look() && sender.blocking_send(self.current.clone()).is_err() {
                    return;
                }
            }
        };
        match std::thread::Builder::new().name("user-files".to_owned()).spawn(run) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new(
                Kind::Internal,
                "cannot start the thread that watches configuration files",
            )
            .with_source(error)),
        }
    }

    /// Waits for a file that is written and closed, at most until the next sweep.
    fn wait(&self) {
        let sweep = Instant::now() + SWEEP;
        loop {
            match self
                .events
                .recv_timeout(sweep.saturating_duration_since(Instant::now()))
            {
                Ok(event) if settles(&event) => break,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return,
                // the kernel's watch is a field of ours, so this does not happen; without it sweeps go on
                Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(SWEEP),
            }
        }
        let end = Instant::now() + MAX_BATCH;
        while Instant::now() < end && self.events.recv_timeout(QUIET).is_ok() {}
    }

    /// Asks the kernel to watch directories that it does not watch yet, or that were replaced by others of the same name.
    fn watch(&mut self) {
        let config = self
            .directories
            .config
            .iter()
            .map(|path| (path, RecursiveMode::NonRecursive));
        let statics = self
            .directories
            .statics
            .iter()
            .map(|path| (path, RecursiveMode::Recursive));
        for (path, mode) in config.chain(statics) {
            let now = Stamp::of_directory(path);
            if now.as_ref() == self.watched.get(path) {
                continue;
            }
            // an error says that it is not watched, because it was deleted
            drop(self.watch.unwatch(path));
            self.watched.remove(path);
            if let Some(stamp) = now {
                match self.watch.watch(path, mode) {
                    Ok(()) => drop(self.watched.insert(path.clone(), stamp)),
                    Err(error) => {
                        tracing::debug!(%error, "the kernel cannot watch `{}`; it is looked through instead", path.display())
                    }
                }
            }
        }
    }

    /// Reads everything again if anything differs; whether what services see has changed.
    fn look(&mut self) -> bool {
        let mut config = Vec::new();
        for directory in &self.directories.config {
            config.extend(files_in(directory).into_iter().filter(|(path, _)| is_config(path)));
        }
        let mut statics = Vec::new();
        for directory in &self.directories.statics {
            walk(directory, &mut Vec::new(), &mut statics);
        }
        let seen: BTreeMap<PathBuf, Stamp> = config
            .iter()
            .cloned()
            .chain(statics.iter().map(|(_, path, stamp)| (path.clone(), *stamp)))
            .collect();
        if seen == self.seen {
            return false;
        }
        let mut files = UserFiles::default();
        for (path, _) in &config {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(content) = self.config(path, &name) {
                files.config.insert(name, content);
            }
        }
        for (names, path, _) in &statics {
            if let Some(text) = self.text(path, names) {
                put(&mut files.statics, names, text);
            }
        }
        self.seen = seen;
        let changed = files != self.current;
        self.current = files;
        changed
    }

    /// A configuration file as it is, or as it was if it cannot be used.
    fn config(&self, path: &Path, name: &str) -> Option<Value> {
        let env = |variable: &str| {
            let value = std::env::var(variable).ok();
            if value.is_none() {
                tracing::warn!(
                    "`{}` names the environment variable `{variable}`, which is not set",
                    path.display()
                );
            }
            value
        };
        let read = read_text(path).and_then(|text| ini::parse(&text, &env).map_err(|error| error.to_string()));
        match read {
            Ok(content) => Some(Value::Object(content)),
            Err(error) => {
                if Stamp::of(path).as_ref() != self.seen.get(path) {
                    tracing::error!("cannot read `{}`, what it said before stays: {error}", path.display());
                }
                self.current.config.get(name).cloned()
            }
        }
    }

    fn text(&self, path: &Path, names: &[String]) -> Option<Value> {
        match read_text(path) {
            Ok(text) => Some(Value::String(text)),
            Err(error) => {
                // not again because of another file
                if Stamp::of(path).as_ref() != self.seen.get(path) {
                    tracing::error!("cannot read `{}`, what it said before stays: {error}", path.display());
                }
                let mut current = self.current.statics.get(names.first()?)?;
                for name in &names[1..] {
                    current = current.get(name)?;
                }
                current.is_string().then(|| current.clone())
            }
        }
    }
}

fn settles(event: &notify::Result<Event>) -> bool {
    event.as_ref().is_ok_and(|event| {
        matches!(
            event.kind,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Remove(_)
                | EventKind::Create(notify::event::CreateKind::Folder)
        )
    })
}

pub(super) fn is_config(path: &Path) -> bool {
    matches!(path.extension().and_then(OsStr::to_str), Some("ini" | "conf")) && !is_hidden(path)
}

fn files_in(directory: &Path) -> BTreeMap<PathBuf, Stamp> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let path = entry.path();
            Stamp::of(&path).map(|stamp| (path, stamp))
        })
        .collect()
}

/// Every file below a directory: the names that lead to it, its path, its stamp.
fn walk(directory: &Path, names: &mut Vec<String>, found: &mut Vec<(Vec<String>, PathBuf, Stamp)>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !is_hidden(path))
        .collect();
    entries.sort();
    for path in entries {
        names.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        if let Some(stamp) = Stamp::of(&path) {
            found.push((names.clone(), path, stamp));
        } else if names.len() < MAX_DEPTH {
            walk(&path, names, found);
        }
        names.pop();
    }
}

fn put(files: &mut Map<String, Value>, names: &[String], text: Value) {
    let Some((name, directories)) = names.split_last() else {
        return;
    };
    let mut current = files;
    for directory in directories {
        let entry = current
            .entry(directory.as_str())
            .or_insert_with(|| Value::Object(Map::new()));
        // of two directories one may have a file where the other has a directory
        let Some(inside) = entry.as_object_mut() else { return };
        current = inside;
    }
    current.insert(name.clone(), text);
}

fn read_text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_SIZE {
        return Err(format!(
            "it has {size} bytes, more than the {MAX_SIZE} that services can read as text"
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_broken_file_stays_what_it_was_and_one_that_is_gone_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let (config, statics) = (home.path().join("user-conf"), home.path().join("static"));
        std::fs::create_dir_all(statics.join("html/deep")).unwrap();
        std::fs::create_dir(&config).unwrap();
        let write = |path: &Path, text: &[u8]| std::fs::write(path, text).unwrap();
        write(&config.join("user.conf"), b"[a]\nb = 1\n");
        write(&config.join("other.ini"), b"b = 2\n");
        write(&config.join("notes.txt"), b"no");
        write(&statics.join("top.txt"), b"t");
        write(&statics.join("html/deep/index.html"), b"<p>");
        let directories = UserDirectories {
            config: vec![config.clone(), home.path().join("missing")],
            statics: vec![statics.clone()],
        };
        let (mut watcher, files) = UserFilesWatcher::new(directories).unwrap();
        assert_eq!(
            Value::Object(files.config),
            json!({"user": {"a": {"b": 1}}, "other": {"b": 2}})
        );
        let expected = json!({"top.txt": "t", "html": {"deep": {"index.html": "<p>"}}});
        assert_eq!(Value::Object(files.statics), expected);
        assert!(!watcher.look());

        write(&config.join("user.conf"), b"[a\nb = 10\n");
        std::fs::remove_file(config.join("other.ini")).unwrap();
        write(&statics.join("html/deep/index.html"), b"\xff\xff\xff\xff");
        assert!(watcher.look());
        assert_eq!(
            Value::Object(watcher.current.config.clone()),
            json!({"user": {"a": {"b": 1}}})
        );
        assert_eq!(Value::Object(watcher.current.statics.clone()), expected);
        write(&config.join("user.conf"), b"[a]\nb = 10\n");
        assert!(watcher.look());
        assert_eq!(watcher.current.config["user"]["a"]["b"], 10);
    }
}
