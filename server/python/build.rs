//! Tells this crate's tests, and the executable's build script, where the libpython is that pyo3 found.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    pyo3_build_config::add_libpython_rpath_link_args();
    if let Some(directory) = pyo3_build_config::get().lib_dir() {
        println!("cargo::metadata=LIBDIR={directory}");
    }
}
