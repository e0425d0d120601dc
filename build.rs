//! Lets the executable find, at run time, the libpython that `busbar-python` was built against.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // pyo3 is a dependency of busbar-python alone: its build script hands the directory on
    if let Ok(directory) = std::env::var("DEP_BUSBAR_PYTHON_LIBDIR") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{directory}");
    }
}
