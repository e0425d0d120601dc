//! Files of objects that are dropped into the pickup directory's folder `enmasse` (operations.md 4.2): each is imported, with replacing,
//! whole or not at all, as soon as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use busbar_admin::enmasse::{self, Document, ImportOptions, ReadOptions};
use busbar_admin::{Applied, ChangeError, Changes, Problems};
use busbar_connectors::pickup::{PickupBatch, Watcher};
use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use tokio::sync::mpsc;

use crate::cli::Exit;
use crate::user;

/// Batches of files that wait while one is being imported. More wait in the directory itself.
const QUEUE: usize = 16;

/// Imports what is dropped.
pub struct ObjectFiles {
    changes: Arc<Changes>,
    /// Where it is written down which files were imported, and as they were when: a restart must not take back what was changed since.
    memory: PathBuf,
    imported: BTreeMap<PathBuf, String>,
    /// Files that could not be imported, and have not been since.
    failed: BTreeSet<PathBuf>,
}

impl ObjectFiles {
    /// Imports what was dropped while no server ran, and from here on whatever is dropped.
    pub async fn watch(directory: &Path, work: &Path, changes: Arc<Changes>) -> anyhow::Result<()> {
        let (watcher, files) = match Watcher::of_objects(directory) {
            Ok(watcher) => watcher,
            // a pickup directory that nobody may write to: then nobody drops anything either
            Err(error) => {
                tracing::warn!(error = error.chain(), "files of objects are not looked for");
                return Ok(());
            }
        };
        let memory = work.join("enmasse.json");
        let mut this = Self {
            changes,
            imported: read_memory(&memory),
            memory,
            failed: BTreeSet::new(),
        };
        this.imported.retain(|path, _| files.contains(path));
        let news = |path: &PathBuf| this.imported.get(path) != stamp(path).as_ref();
        let news: Vec<_> = files.into_iter().filter(news).collect();
        this.import(news).await;
        let (sender, mut batches) = mpsc::channel(QUEUE);
        watcher.spawn(sender).map_err(Exit::from)?;
        task::spawn("enmasse-files", TaskKind::Once, async move {
            while let Some(PickupBatch { changed, removed }) = batches.recv().await {
                this.imported.retain(|path, _| !removed.contains(path));
                this.failed.retain(|path| !removed.contains(path));
                this.import(changed).await;
            }
        });
        Ok(())
    }

    /// Imports files that came at about the same time. One may need what is in another, or what comes later, so those that failed are
    /// tried again as long as others succeed. What is wrong with a file is told once.
    async fn import(&mut self, files: Vec<PathBuf>) {
        let mut errors = BTreeMap::new();
        let mut left = files.clone();
        loop {
            let mut succeeded = false;
            for path in std::mem::take(&mut left) {
                // what is written while it is read is reported again
                let stamp = stamp(&path);
                match self.import_one(&path).await {
                    Ok(applied) => {
                        report(&path, &applied);
                        succeeded = true;
                        errors.remove(&path);
                        self.failed.remove(&path);
                        self.imported.extend(stamp.map(|stamp| (path, stamp)));
                    }
                    Err(error) => {
                        self.failed.insert(path.clone());
                        errors.insert(path, error);
                    }
                }
            }
            if !succeeded || self.failed.is_empty() {
                break;
            }
            left.extend(self.failed.iter().cloned());
        }
        for (path, error) in errors {
            if files.contains(&path) {
                report_failure(&path, &error);
            }
        }
        if let Err(error) = self.remember() {
            tracing::error!(
                error = format!("{error:#}"),
                "files of objects that were imported will be again when the server is started"
            );
        }
    }

    async fn import_one(&self, path: &Path) -> Result<Applied, ChangeError> {
        let owned = path.to_owned();
        let read = move || {
            let who = user::of_file(&owned);
            let document = Document::read(&owned, &ReadOptions::from_env())?;
            Ok::<_, Problems>((document, who))
        };
        let (document, who) = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Error::new(Kind::Internal, "reading broke off").with_source(error))??;
        enmasse::import(&self.changes, document, ImportOptions::replacing(), &who).await
    }

    fn remember(&self) -> anyhow::Result<()> {
        let part = self.memory.with_extension("part");
        let text = serde_json::to_vec_pretty(&self.imported)?;
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, &self.memory))
            .with_context(|| format!("cannot write `{}`", self.memory.display()))
    }
}

/// What is written down; nothing if there is none, or if it is damaged: then files are imported again.
fn read_memory(path: &Path) -> BTreeMap<PathBuf, String> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            tracing::warn!(%error, "cannot read `{}`", path.display());
            return BTreeMap::new();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read `{}`", path.display());
        BTreeMap::new()
    })
}

/// What tells one state of a file from another.
fn stamp(path: &Path) -> Option<String> {
    let it = std::fs::metadata(path).ok()?;
    Some(format!("{}-{}.{:09}", it.size(), it.mtime(), it.mtime_nsec()))
}

fn report(path: &Path, applied: &Applied) {
    let lists = [
        ("created", &applied.created),
        ("changed", &applied.changed),
        ("left unchanged", &applied.unchanged),
    ];
    for (what, objects) in lists {
        for object in objects {
            tracing::info!(
                conn.kind = object.kind,
                conn.name = object.name,
                "{what} {object}, as `{}` says",
                path.display()
            );
        }
    }
    for warning in &applied.warnings {
        tracing::warn!("`{}`: {warning}", path.display());
    }
}

fn report_failure(path: &Path, error: &ChangeError) {
    let (shown, hint) = (path.display(), "nothing of it was imported; mend it and copy it again");
    match error {
        ChangeError::Refused(problems) => {
            for problem in &problems.0 {
                let mut problem = problem.clone();
                // the line begins with it
                if path == Path::new(&problem.file) {
                    problem.file.clear();
                }
                tracing::error!("cannot import `{shown}`: {problem}; {hint}");
            }
        }
        ChangeError::Failed(error) => tracing::error!(error = error.chain(), "cannot import `{shown}`; {hint}"),
    }
}
