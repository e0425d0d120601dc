//! The Python package that services import: it is part of the executable, and is unpacked where the interpreter can read it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::Context;

mod files {
    include!(concat!(env!("OUT_DIR"), "/package.rs"));
}

/// Unpacks the package below `parent`, unless this very version lies there already, and removes other versions of it. Gives back the
/// directory to put on `sys.path`. Compiled modules are kept beside the sources, so that the next start is quick.
pub fn unpack(parent: &Path) -> anyhow::Result<PathBuf> {
    let target = parent.join(format!("python-{}", files::VERSION));
    if !target.is_dir() {
        let staging = parent.join(format!("python-{}.{}", files::VERSION, std::process::id()));
        for (name, bytes) in files::FILES {
            let path = staging.join(name);
            let directory = path.parent().expect("a file of the package lies in a directory");
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .and_then(|()| fs::write(&path, bytes))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        // whoever was quicker has written the same
        if fs::rename(&staging, &target).is_err() {
            fs::remove_dir_all(&staging).ok();
        }
    }
    let stale = |name: &str| name.starts_with("python-") && !name.starts_with(&format!("python-{}", files::VERSION));
    for entry in fs::read_dir(parent)
        .with_context(|| format!("cannot read `{}`", parent.display()))?
        .flatten()
    {
        if entry.file_name().to_str().is_some_and(stale) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    name_it(&target, parent);
    Ok(target)
}

/// A name of the package that stays when its version changes, for editors and type checkers: `pyrightconfig.json` of an environment
/// names it. Nothing else needs it, so a disk that has no links costs nothing more.
fn name_it(target: &Path, parent: &Path) {
    let name = parent.join("python");
    let is_there = fs::read_link(&name).is_ok_and(|it| target.ends_with(it));
    if !is_there && let Some(version) = target.file_name() {
        let staging = parent.join(format!("python.{}", std::process::id()));
        // a rename takes the place of the earlier link at once
        if symlink(version, &staging)
            .and_then(|()| fs::rename(&staging, &name))
            .is_err()
        {
            fs::remove_file(&staging).ok();
        }
    }
}

/// Where the package is unpacked when there is no server directory: the user's cache.
pub fn cache() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    let directory = home.join("busbar");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("cannot create `{}`", directory.display()))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_unpacked_once() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("python-old")).unwrap();
        let first = super::unpack(home.path()).unwrap();
        assert!(first.join("zato/server/service/__init__.py").is_file());
        assert!(!home.path().join("python-old").exists());
        assert_eq!(super::unpack(home.path()).unwrap(), first);
        assert_eq!(
            home.path().join("python").canonicalize().unwrap(),
            first.canonicalize().unwrap()
        );
    }
}
