//! What is written to a log from now on. The file may be emptied, or moved away and made anew, while it is read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::logs::Printer;

/// How often it is seen whether there is more.
const POLL: Duration = Duration::from_millis(100);
/// Longest line that is waited for to its end.
const LONGEST_LINE: usize = 4 << 20;

/// Reads a log as it grows.
pub struct Follower {
    path: PathBuf,
    file: File,
    inode: u64,
    position: u64,
    /// A line that has no end yet.
    partial: Vec<u8>,
}

impl Follower {
    /// Of an open file, from a position on.
    pub fn new(path: PathBuf, file: File, position: u64) -> io::Result<Self> {
        Ok(Self {
            path,
            inode: file.metadata()?.ino(),
            file,
            position,
            partial: Vec::new(),
        })
    }

    /// Prints what comes until the process is ended, or nobody reads what it prints.
    pub fn run(&mut self, printer: &mut Printer) -> io::Result<u8> {
        loop {
            let got_more = self.read(printer)?;
            if got_more {
                continue;
            }
            // an entry is written at once: nothing more will come of it
            printer.flush()?;
            if self.was_replaced()? {
                // what was written to the old one after it was read to its end
                while self.read(printer)? {}
                self.reopen(printer)?;
            } else if self.file.metadata()?.len() < self.position {
                self.position = self.file.seek(SeekFrom::Start(0))?;
                self.partial.clear();
            } else {
                std::thread::sleep(POLL);
            }
        }
    }

    /// Whether there is another file of this name now. While there is none, the old one may still be written to.
    fn was_replaced(&self) -> io::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(metadata.ino() != self.inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn reopen(&mut self, printer: &mut Printer) -> io::Result<()> {
        if !self.partial.is_empty() {
            printer.take(&std::mem::take(&mut self.partial))?;
        }
        printer.flush()?;
        self.file = File::open(&self.path)?;
        self.inode = self.file.metadata()?.ino();
        self.position = 0;
        Ok(())
    }

    /// Reads what there is, at most a block. False: nothing.
    fn read(&mut self, printer: &mut Printer) -> io::Result<bool> {
        let mut block = vec![0; 64 * 1024];
        let count = self.file.read(&mut block)?;
        self.position += count as u64;
        for piece in block[..count].split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() > LONGEST_LINE {
                printer.take(&self.partial)?;
                self.partial.clear();
            }
        }
        Ok(count > 0)
    }
}
