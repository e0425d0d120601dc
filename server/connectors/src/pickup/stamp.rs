//! What tells one state of a file from another without reading it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Identity, size and time of last change of a file; links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    /// The stamp of a regular file; `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        })
    }

    /// The stamp of a directory, by which it is told from another one of the same name; what happens in it does not count.
    pub fn of_directory(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: 0,
            seconds: 0,
            nanoseconds: 0,
        })
    }
}
