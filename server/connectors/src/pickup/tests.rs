use super::*;

const LIMIT: Duration = Duration::from_secs(20);

struct Watched {
    home: tempfile::TempDir,
    batches: mpsc::Receiver<PickupBatch>,
}

impl Watched {
    fn new(files: &[&str]) -> (Self, Vec<PathBuf>) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("pickup");
        for file in files {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(file), "a = 1").unwrap();
        }
        let (watcher, files) = Watcher::new(&directory).unwrap();
        let (sender, batches) = mpsc::channel(16);
        watcher.spawn(sender).unwrap();
        (Self { home, batches }, files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("pickup").join(name)
    }

    async fn next(&mut self) -> PickupBatch {
        tokio::time::timeout(LIMIT, self.batches.recv()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn files_copied_together_are_one_batch() {
    let (mut watched, before) = Watched::new(&["old.py", "notes.txt", ".hidden.py", "backup.py~"]);
    assert_eq!(before, [watched.path("old.py")]);
    for name in ["b.py", "a.py", "ignored.txt", ".a.py.swp"] {
        std::fs::write(watched.path(name), "a = 2").unwrap();
    }
    let batch = watched.next().await;
    assert_eq!(batch.changed, [watched.path("a.py"), watched.path("b.py")]);
    assert!(batch.removed.is_empty());
}

#[tokio::test]
async fn a_file_counts_when_it_is_closed() {
    use std::io::Write;

    let (mut watched, _) = Watched::new(&[]);
    let mut file = std::fs::File::create(watched.path("half.py")).unwrap();
    file.write_all(b"class A").unwrap();
    file.flush().unwrap();
    std::fs::write(watched.path("whole.py"), "a = 1").unwrap();
    assert_eq!(watched.next().await.changed, [watched.path("whole.py")]);
    file.write_all(b": pass").unwrap();
    drop(file);
    assert_eq!(watched.next().await.changed, [watched.path("half.py")]);
}

#[tokio::test]
async fn moves_and_removals_are_seen() {
    let (mut watched, _) = Watched::new(&["a.py"]);
    let outside = watched.home.path().join("outside.py");
    std::fs::write(&outside, "a = 3").unwrap();
    std::fs::rename(&outside, watched.path("b.py")).unwrap();
    assert_eq!(watched.next().await.changed, [watched.path("b.py")]);
    std::fs::remove_file(watched.path("a.py")).unwrap();
    assert_eq!(
        watched.next().await,
        PickupBatch {
            changed: vec![],
            removed: vec![watched.path("a.py")]
        }
    );
}

#[tokio::test]
async fn a_directory_that_comes_back_is_watched_again() {
    let (mut watched, _) = Watched::new(&["a.py"]);
    std::fs::remove_dir_all(watched.path("")).unwrap();
    assert_eq!(watched.next().await.removed, [watched.path("a.py")]);
    // created again by a sweep, by then at the latest
    let deadline = Instant::now() + LIMIT;
    while !watched.path("").is_dir() {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    std::fs::write(watched.path("b.py"), "a = 1").unwrap();
    assert_eq!(watched.next().await.changed, [watched.path("b.py")]);
}

#[tokio::test]
async fn what_the_kernel_does_not_report_is_found() {
    let (mut watched, _) = Watched::new(&[]);
    let target = watched.home.path().join("target.py");
    std::fs::write(&target, "a = 1").unwrap();
    std::os::unix::fs::symlink(&target, watched.path("link.py")).unwrap();
    assert_eq!(watched.next().await.changed, [watched.path("link.py")]);
    // written elsewhere: the directory itself does not change
    std::fs::write(&target, "a = 22").unwrap();
    assert_eq!(watched.next().await.changed, [watched.path("link.py")]);
}

#[tokio::test]
async fn files_in_folders_of_sources_count() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("pickup");
    let write = |name: &str| {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "a = 1").unwrap();
        path
    };
    let there = [write("a.py"), write("lib/src/crm/b.py"), write("services/c.py")];
    write("other/d.py");
    write("src/.git/e.py");
    write("src/__pycache__/f.py");
    let (watcher, files) = Watcher::with_folders(&directory).unwrap();
    assert_eq!(files, there);
    let (flat, files) = Watcher::new(&directory).unwrap();
    assert_eq!(files, there[..1]);
    drop(flat);

    let (sender, mut batches) = mpsc::channel(16);
    watcher.spawn(sender).unwrap();
    let mut wanted = BTreeSet::from([write("src/new/deep/g.py"), write("services/h.py")]);
    write("other/i.py");
    while !wanted.is_empty() {
        let batch = tokio::time::timeout(LIMIT, batches.recv()).await.unwrap().unwrap();
        for path in batch.changed {
            assert!(wanted.remove(&path), "{}", path.display());
        }
    }
    std::fs::remove_dir_all(directory.join("services")).unwrap();
    let mut removed = Vec::new();
    while removed.len() < 2 {
        let batch = tokio::time::timeout(LIMIT, batches.recv()).await.unwrap().unwrap();
        removed.extend(batch.removed);
    }
    removed.sort();
    assert_eq!(
        removed,
        [directory.join("services/c.py"), directory.join("services/h.py")]
    );
}
