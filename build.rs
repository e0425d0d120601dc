//! Puts the Python package into the executable, and lets the executable find, at run time, the libpython that `busbar-python` was built
//! against.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=python");

    // pyo3 is a dependency of busbar-python alone: its build script hands the directory on
    if let Ok(directory) = env::var("DEP_BUSBAR_PYTHON_LIBDIR") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{directory}");
    }

    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("python");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut hasher = DefaultHasher::new();
    let mut list = String::new();
    for path in &files {
        let name = path
            .strip_prefix(&root)
            .expect("it was found below")
            .to_str()
            .expect("names are ASCII");
        (name, fs::read(path).expect("it was just listed")).hash(&mut hasher);
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),").expect("writing to a string");
    }
    let code = format!(
        "/// Changes with any of the files.\npub const VERSION: &str = \"{:016x}\";\n\
         /// Path below the package's directory, and content.\npub static FILES: &[(&str, &[u8])] = &[\n{list}];\n",
        hasher.finish()
    );
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("package.rs");
    fs::write(target, code).expect("the output directory can be written");
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != "__pycache__" {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|ending| ending == "py" || ending == "pyi")
            // how SQLAlchemy finds the dialects, and type checkers the types
            || ["METADATA", "entry_points.txt", "py.typed"].iter().any(|name| entry.file_name() == *name)
        {
            files.push(path);
        }
    }
}
