//! Who users of this machine are, for the history of objects.

use std::ffi::CStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The name of the pickup directory among the doors.
const PICKUP: &str = "pickup";

/// Most bytes that a user's entry may take.
const ENTRY_MAX: usize = 1 << 20;

/// A change through a door of this machine: `cli:ann`; of a user who has no name here, `cli:uid=1234`.
pub fn by(door: &str, uid: u32) -> String {
    match name(uid) {
        Some(name) => format!("{door}:{name}"),
        None => format!("{door}:uid={uid}"),
    }
}

/// A change through a file that was dropped: `pickup:ann`, the file's owner; of a link, who made that.
pub fn of_file(path: &Path) -> String {
    match std::fs::symlink_metadata(path) {
        Ok(file) => by(PICKUP, file.uid()),
        // it is gone again
        Err(_) => PICKUP.to_owned(),
    }
}

/// The user whom this process runs as.
pub fn current() -> u32 {
    // SAFETY: takes no pointers and cannot fail
    unsafe { libc::geteuid() }
}

/// The name of a user.
fn name(uid: u32) -> Option<String> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        // SAFETY: a structure of numbers and pointers, for which zero is a value
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: the pointers are to live values, and the length is the buffer's
        let code = unsafe { libc::getpwuid_r(uid, &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found) };
        if code == libc::ERANGE && buffer.len() < ENTRY_MAX {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        if code != 0 || found.is_null() {
            return None;
        }
        // SAFETY: the entry was filled in, and its name is a text that ends within the buffer
        let name = unsafe { CStr::from_ptr(entry.pw_name) };
        return name.to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_called_by_their_names_if_they_have_one() {
        assert_eq!(by("cli", 0), "cli:root");
        assert_eq!(by("pickup", 4_000_000_001), "pickup:uid=4000000001");
    }
}
