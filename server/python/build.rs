//! Tells this crate's tests, and the executable's build script, where the libpython is that pyo3 found.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    if let Some(directory) = python.lib_dir() {
        println!("cargo::metadata=LIBDIR={directory}");
    }
    // where to look when the library does not tell, because it is linked statically
    if let Some(executable) = python.executable() {
        println!("cargo::rustc-env=BUSBAR_PYTHON={executable}");
    }
}
