#![doc = include_str!("docs.md")]

mod ini;
mod stamp;
mod user_files;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use busbar_model::service::SOURCE_FOLDERS;
use busbar_model::{Error, Kind};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::pickup::stamp::Stamp;

pub use user_files::{UserDirectories, UserFilesWatcher};

/// How long a directory must be quiet before a batch is closed: `cp a.py b.py` is one batch.
const QUIET: Duration = Duration::from_millis(15);
/// How long a batch stays open at most.
const MAX_BATCH: Duration = Duration::from_millis(250);
/// Events that wait while a batch does; sweeps see what became of those beyond.
const MAX_EVENTS: usize = 10_000;
/// How often the directory is looked through for what the kernel did not report.
const SWEEP: Duration = Duration::from_secs(2);

/// Files that changed at about the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PickupBatch {
    /// Files that were written or moved in, sorted.
    pub changed: Vec<PathBuf>,
    /// Files that are gone, sorted.
    pub removed: Vec<PathBuf>,
}

/// How deep folders are looked through.
const MAX_DEPTH: usize = 32;

/// What a directory is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    /// Services.
    Services,
    /// Objects, as enmasse reads them.
    Objects,
}

impl Files {
    fn has(self, path: &Path) -> bool {
        match self {
            Self::Services => is_service_file(path),
            Self::Objects => is_object_file(path),
        }
    }

    /// What those that do not count are told.
    fn hint(self) -> &'static str {
        match self {
            Self::Services => "only .py files are deployed",
            Self::Objects => "only .yaml, .yml and .json files are imported",
        }
    }
}

/// Watches one directory.
pub struct Watcher {
    directory: PathBuf,
    /// Which files count.
    files: Files,
    /// Whether files in folders count.
    with_folders: bool,
    events: Receiver<notify::Result<Event>>,
    /// Keeps the kernel's watch; dropped, it ends.
    watch: RecommendedWatcher,
    /// The directory that is watched, in case it is replaced by another of the same name.
    watched: Option<Stamp>,
    known: BTreeMap<PathBuf, Stamp>,
    /// What the last sweep saw of files that differ from what is known.
    unsettled: BTreeMap<PathBuf, Option<Stamp>>,
    /// Other files that lie there, so that each is mentioned once.
    ignored: HashSet<PathBuf>,
    mentions_others: bool,
    next_sweep: Instant,
}

impl Watcher {
    /// Starts to watch `directory`, which is created if need be, and says which service files lie there now. What happens from here on is
    /// reported by [`Watcher::spawn`].
    ///
    /// # Errors
    /// When the directory can neither be created nor read. A kernel that cannot watch it is no error: it is looked through instead.
    pub fn new(directory: &Path) -> Result<(Self, Vec<PathBuf>), Error> {
        Self::build(directory, Files::Services, false, true)
    }

    /// The same, of a directory that is not there for services alone: files that are ignored are not mentioned.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn quiet(directory: &Path) -> Result<(Self, Vec<PathBuf>), Error> {
        Self::build(directory, Files::Services, false, false)
    }

    /// The same, of a directory in which files in folders `src`, `source` and `services`, and in the folders of these, count as well.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn with_folders(directory: &Path) -> Result<(Self, Vec<PathBuf>), Error> {
        Self::build(directory, Files::Services, true, true)
    }

    /// The same, of a directory with files of objects, `*.yaml`, `*.yml` and `*.json`. Folders in it are left alone.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn of_objects(directory: &Path) -> Result<(Self, Vec<PathBuf>), Error> {
        Self::build(directory, Files::Objects, false, true)
    }

    fn build(
        directory: &Path,
        files: Files,
        with_folders: bool,
        mentions_others: bool,
    ) -> Result<(Self, Vec<PathBuf>), Error> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(
                Kind::Config,
                format!("cannot watch the pickup directory `{}`", directory.display()),
            )
            .with_source(error)
        };
        std::fs::create_dir_all(directory).map_err(|error| failed(error.into()))?;
        let (sender, events) = sync_channel(MAX_EVENTS);
        let watch = notify::recommended_watcher(move |event| {
            // an error says that the watcher is being dropped, or that much has happened while a batch waits: a sweep will see it
            drop(sender.try_send(event));
        })
        .map_err(|error| failed(error.into()))?;
        let mut watcher = Self {
            directory: directory.to_owned(),
            files,
            with_folders,
            events,
            watch,
            watched: None,
            known: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            ignored: HashSet::new(),
            mentions_others,
            next_sweep: Instant::now() + SWEEP,
        };
        watcher.watch();
        watcher.known = watcher.scan().map_err(|error| failed(error.into()))?;
        let files = watcher.known.keys().cloned().collect();
        Ok((watcher, files))
    }

    /// Reports batches until `sender`'s other end is closed, on a thread of its own. Waits while the other end is full: nothing is lost.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn(mut self, sender: mpsc::Sender<PickupBatch>) -> Result<(), Error> {
        let run = move || {
            while !sender.is_closed() {
                let batch = self.next_batch();
                if batch != PickupBatch::default() && sender.blocking_send(batch).is_err() {
                    return;
                }
            }
        };
        match std::thread::Builder::new().name("pickup".to_owned()).spawn(run) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new(
                Kind::Internal,
                "cannot start the thread that watches the pickup directory",
            )
            .with_source(error)),
        }
    }

    /// Waits for something to happen, at most until the next sweep.
    fn next_batch(&mut self) -> PickupBatch {
        let mut touched = BTreeSet::new();
        // whoever reads the directory makes events of it: they must not put the sweep off
        let now = Instant::now();
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP;
            return self.sweep();
        }
        match self.events.recv_timeout(self.next_sweep - now) {
            Ok(event) => self.note(event, &mut touched),
            Err(RecvTimeoutError::Timeout) => return PickupBatch::default(),
            // the kernel's watch is a field of ours, so this does not happen; without it sweeps go on
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(SWEEP);
                return self.sweep();
            }
        }
        let end = Instant::now() + MAX_BATCH;
        while Instant::now() < end {
            match self.events.recv_timeout(QUIET) {
                Ok(event) => self.note(event, &mut touched),
                Err(_) => break,
            }
        }
        let mut batch = PickupBatch::default();
        for path in touched {
            let now = Stamp::of(&path);
            self.take(path, now, &mut batch);
        }
        batch
    }

    /// Notes which files an event settles. Events about files that are still being written settle none.
    fn note(&mut self, event: notify::Result<Event>, touched: &mut BTreeSet<PathBuf>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "the kernel reports changes of the pickup directory no longer; it is looked through instead");
                return;
            }
        };
        let settles = matches!(
            event.kind,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Remove(_)
        );
        if settles {
            for path in event.paths {
                if self.files.has(&path) && self.covers(&path) {
                    touched.insert(path);
                }
            }
        }
    }

    /// Looks through the directory. A file that differs from what is known counts once it has looked the same in two sweeps: before, it may
    /// be half-written.
    fn sweep(&mut self) -> PickupBatch {
        self.watch();
        let mut batch = PickupBatch::default();
        let Ok(found) = self.scan() else { return batch };
        let before = std::mem::take(&mut self.unsettled);
        let paths: BTreeSet<PathBuf> = found.keys().chain(self.known.keys()).cloned().collect();
        for path in paths {
            let now = found.get(&path).copied();
            if self.known.get(&path).copied() == now {
                continue;
            }
            if before.get(&path) == Some(&now) {
                self.take(path, now, &mut batch);
            } else {
                self.unsettled.insert(path, now);
            }
        }
        batch
    }

    /// Puts a file into a batch if it is not as it was.
    fn take(&mut self, path: PathBuf, now: Option<Stamp>, batch: &mut PickupBatch) {
        self.unsettled.remove(&path);
        match now {
            // a file that was written again with the same stamp is compared by content where it is deployed
            Some(stamp) => {
                self.known.insert(path.clone(), stamp);
                batch.changed.push(path);
            }
            None => {
                if self.known.remove(&path).is_some() {
                    batch.removed.push(path);
                }
            }
        }
    }

    /// Asks the kernel to watch the directory, again if it is not the one that was watched.
    fn watch(&mut self) {
        let now = Stamp::of_directory(&self.directory);
        if now.is_some() && now == self.watched {
            return;
        }
        if now.is_none()
            && let Err(error) = std::fs::create_dir_all(&self.directory)
        {
            tracing::warn!(%error, "the pickup directory `{}` is gone and cannot be created", self.directory.display());
            return;
        }
        // an error says that it is not watched, because it was deleted
        drop(self.watch.unwatch(&self.directory));
        let mode = if self.with_folders {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        match self.watch.watch(&self.directory, mode) {
            Ok(()) => self.watched = Stamp::of_directory(&self.directory),
            Err(error) => {
                tracing::warn!(%error, "the kernel cannot watch `{}`; it is looked through instead", self.directory.display())
            }
        }
    }

    /// The service files in the directory, with their stamps.
    fn scan(&mut self) -> std::io::Result<BTreeMap<PathBuf, Stamp>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![(self.directory.clone(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => return Err(error),
                // it was removed meanwhile, or is nobody's to read
                Err(_) => continue,
            };
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                // links to folders are not followed: they may lead back
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if self.with_folders && depth < MAX_DEPTH && is_folder(&path) {
                        folders.push((path, depth + 1));
                    }
                } else if !self.files.has(&path) {
                    if depth == 0 {
                        self.mention(path);
                    }
                } else if let Some(stamp) = Stamp::of(&path).filter(|_| self.covers(&path)) {
                    found.insert(path, stamp);
                }
            }
        }
        Ok(found)
    }

    /// Whether files count that lie where this one does.
    fn covers(&self, path: &Path) -> bool {
        let Some(Ok(folders)) = path.parent().map(|parent| parent.strip_prefix(&self.directory)) else {
            return false;
        };
        let mut folders = folders.iter().peekable();
        if folders.peek().is_none() {
            return true;
        }
        let mut is_below = false;
        for folder in folders {
            if !is_folder(Path::new(folder)) {
                return false;
            }
            is_below |= SOURCE_FOLDERS.iter().any(|name| folder == *name);
        }
        self.with_folders && is_below
    }

    /// Says once that a file is ignored, in case somebody waits for it to do something. Called by sweeps only: what lies there for a
    /// moment, because a program writes and renames, is nobody's business.
    fn mention(&mut self, path: PathBuf) {
        let quiet = ["swp", "swx", "tmp", "bak", "pyc", "part"];
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        if self.mentions_others
            && !is_hidden(&path)
            && !user_files::is_config(&path)
            && !quiet.contains(&ending)
            && path.is_file()
            && self.ignored.insert(path.clone())
        {
            tracing::warn!("ignored `{}`: {}", path.display(), self.files.hint());
        }
    }
}

/// Whether a folder may hold source files of somebody's own.
fn is_folder(path: &Path) -> bool {
    !is_hidden(path) && path.file_name() != Some(OsStr::new("__pycache__"))
}

fn is_service_file(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("py")) && !is_hidden(path)
}

fn is_object_file(path: &Path) -> bool {
    matches!(path.extension().and_then(OsStr::to_str), Some("yaml" | "yml" | "json")) && !is_hidden(path)
}

/// What editors leave beside the file that they edit, and hidden files.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with(['.', '#']) || name.ends_with(['~', '#'])
}

#[cfg(test)]
mod tests;
