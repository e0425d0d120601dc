//! Source files: which modules they are, and what is in them.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use busbar_model::{Error, Kind};
use busbar_runtime::handler::Source;
use busbar_store::StoredSource;
use sha2::{Digest, Sha256};

/// Largest source file, in bytes.
pub const SOURCE_MAX: usize = 5 << 20;

/// The module that a file of a pickup directory is (service-api.md 1.2): its name without the ending or, below a folder `src` or `source`, the
/// names of the folders from there on as well, with dots. `None` if it has no name that a module can have.
pub fn module_of(path: &Path, pickup: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let folders = path.parent()?.strip_prefix(pickup).unwrap_or(Path::new(""));
    let folders: Vec<&str> = folders.iter().map(OsStr::to_str).collect::<Option<_>>()?;
    let root = match folders.last() {
        Some(&"services") => None,
        _ => folders.iter().rposition(|folder| matches!(*folder, "src" | "source")),
    };
    let Some(root) = root else {
        return Some(stem.to_owned());
    };
    let mut parts = folders[root + 1..].to_vec();
    if stem != "__init__" {
        parts.push(stem);
    }
    (!parts.is_empty()).then(|| parts.join("."))
}

/// Reads a service file. Its module is that of [`module_of`]; without a pickup directory, its name without the ending.
///
/// # Errors
/// When it cannot be read, or has no name that a module can have.
pub fn read_source(path: &Path, pickup: Option<&Path>) -> Result<Source, Error> {
    let shown = path.display();
    let module = module_of(path, pickup.unwrap_or(path)).ok_or_else(|| {
        Error::new(
            Kind::BadRequest,
            format!("`{shown}` has no name that a module can have"),
        )
    })?;
    let read = || {
        let mut text = Vec::new();
        // one byte more tells a file that is too large from one that just fits
        let file = std::fs::File::open(path)?;
        file.take(SOURCE_MAX as u64 + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: std::io::Error| {
        Error::new(Kind::NotFound, format!("cannot read `{shown}`")).with_source(error)
    })?;
    if text.len() > SOURCE_MAX {
        let message = format!("cannot deploy `{shown}`: it is larger than {} MB", SOURCE_MAX >> 20);
        return Err(Error::new(Kind::TooLarge, message).with_hint("data belongs into files that the service reads"));
    }
    Ok(Source {
        module,
        path: path.to_string_lossy().into_owned(),
        text,
        deployed_by: None,
    })
}

/// A file as it was stored.
pub(super) fn as_source(stored: &StoredSource) -> Source {
    Source {
        module: stored.module.clone(),
        path: stored.path.clone(),
        text: stored.text.clone(),
        deployed_by: stored.deployed_by.clone(),
    }
}

/// What tells the contents of files apart.
pub(super) fn hash(text: &[u8]) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_called_by_their_folders_below_src() {
        for (path, module) in [
            ("my_service.py", Some("my_service")),
            ("src/crm/api/customer_v2.py", Some("crm.api.customer_v2")),
            ("impl/source/crm/a.py", Some("crm.a")),
            ("src/crm/__init__.py", Some("crm")),
            ("src/a.py", Some("a")),
            ("src/old/src/a.py", Some("a")),
            ("src/crm/services/a.py", Some("a")),
            ("services/a.py", Some("a")),
            ("lib/a.py", Some("a")),
            ("src/__init__.py", None),
        ] {
            // that the server itself lies below a folder of that name says nothing
            let pickup = Path::new("/home/me/src/env/pickup-dir");
            assert_eq!(module_of(&pickup.join(path), pickup).as_deref(), module, "{path}");
        }
        assert_eq!(
            module_of(Path::new("src/crm/a.py"), Path::new("src/crm/a.py")).as_deref(),
            Some("a")
        );
    }
}
