//! Which interpreter this process has, and which packages services can import from it.

use std::path::PathBuf;

use busbar_model::{Error, Kind};
use pyo3::prelude::*;
use serde::Serialize;

use crate::interpreter::{self, Setup};

/// The interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interpreter {
    /// Its version: `3.11.7`.
    pub version: String,
    /// The program that services start when they start "Python".
    pub executable: String,
    /// The packages that are installed for it, by name.
    pub packages: Vec<Package>,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Its name: `requests`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Starts the interpreter, unless this process has one, and asks it.
///
/// # Errors
/// [`Kind::Config`]: the virtual environment is none, or does not fit.
pub fn describe(venv: Option<PathBuf>, package_dir: PathBuf) -> Result<Interpreter, Error> {
    interpreter::start(&Setup { venv, package_dir })?;
    let asked = Python::attach(|py| -> PyResult<Interpreter> {
        let mut packages = Vec::new();
        for distribution in py
            .import("importlib.metadata")?
            .call_method0("distributions")?
            .try_iter()?
        {
            let distribution = distribution?;
            // one that was half removed has no name
            let name = distribution.getattr("metadata")?.call_method1("get", ("Name",))?;
            if let (Ok(name), Ok(version)) = (name.extract(), distribution.getattr("version")?.extract()) {
                packages.push(Package { name, version });
            }
        }
        packages.sort();
        // the one that is found first is the one that is imported, but which that is the list does not tell: the same one, nearly always
        packages.dedup_by(|one, other| one.name == other.name);
        Ok(Interpreter {
            version: interpreter::version(),
            executable: py.import("sys")?.getattr("executable")?.extract()?,
            packages,
        })
    });
    asked.map_err(|error| {
        Error::new(Kind::Internal, "cannot list the Python packages")
            .with_source(std::io::Error::other(error.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_its_version_and_its_packages_once_each() {
        let about = describe(None, PathBuf::new()).unwrap();
        assert!(about.version.starts_with("3."), "{about:?}");
        assert!(!about.executable.is_empty());
        let names: std::collections::BTreeSet<_> = about.packages.iter().map(|it| &it.name).collect();
        assert_eq!(names.len(), about.packages.len());
    }
}
