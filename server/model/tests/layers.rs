//! Who may import whom: DESIGN's layers, and the libraries that have one home. `deny.toml` says the same of libraries to cargo-deny; this
//! test needs no tool but Cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crates by layer, the lowest first. A crate may import only crates of lower layers.
const LAYERS: &[&[&str]] = &[
    &["busbar-model"],
    &["busbar-sio", "busbar-runtime", "busbar-store"],
    &["busbar-dispatch", "busbar-connectors", "busbar-broker"],
    &["busbar-admin", "busbar-python"],
    &["busbar"],
];

/// Imports within one layer or upwards that are agreed, each with its reason.
const AGREED: &[(&str, &str, &str)] = &[];

/// Crates beside the layers: they may import any, and only tests and tools may import them.
const BESIDE: &[&str] = &["busbar-testkit", "xtask", "busbar-xtask", "busbar-bench", "bench"];

/// Libraries that only some crates may import.
const HOMES: &[(&str, &[&str])] = &[
    ("pyo3", &["busbar-python"]),
    ("pyo3-ffi", &["busbar-python"]),
    ("sqlx", &["busbar-connectors", "busbar-store"]),
    ("redis", &["busbar-broker", "busbar-connectors"]),
    ("zmq", &["busbar-connectors"]),
    // errors of libraries have types; only the executable and tools may do without
    ("anyhow", &["busbar"]),
    // a second SQLite would be linked beside sqlx's
    ("rusqlite", &[]),
    // rustls is built with ring alone
    ("aws-lc-rs", &[]),
    ("openssl", &[]),
];

/// One import as a manifest has it.
struct Import {
    from: String,
    to: String,
    is_dev: bool,
}

fn imports() -> Vec<Import> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let mut imports = Vec::new();
    for package in metadata["packages"].as_array().expect("a list") {
        for dependency in package["dependencies"].as_array().expect("a list") {
            imports.push(Import {
                from: package["name"].as_str().expect("a name").to_owned(),
                to: dependency["name"].as_str().expect("a name").to_owned(),
                is_dev: dependency["kind"] == "dev",
            });
        }
    }
    assert!(!imports.is_empty());
    imports
}

fn layers() -> BTreeMap<&'static str, usize> {
    LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, crates)| crates.iter().map(move |name| (*name, layer)))
        .collect()
}

#[test]
fn imports_go_down() {
    let layers = layers();
    let mut wrong = Vec::new();
    for Import { from, to, is_dev } in imports() {
        let (Some(above), Some(below)) = (layers.get(from.as_str()), layers.get(to.as_str())) else {
            continue;
        };
        let is_agreed = AGREED.iter().any(|(a, b, _)| (*a, *b) == (from.as_str(), to.as_str()));
        // tests may look sideways, as long as Cargo sees no circle
        if below >= above && !is_agreed && !is_dev {
            wrong.push(format!("{from} (layer {above}) imports {to} (layer {below})"));
        }
    }
    assert!(
        wrong.is_empty(),
        "an import goes down, never up or sideways:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_crate_has_a_layer() {
    let layers = layers();
    let known = |name: &str| layers.contains_key(name) || BESIDE.contains(&name);
    let crates: BTreeSet<String> = imports().into_iter().map(|it| it.from).collect();
    let unknown: Vec<_> = crates.iter().filter(|it| !known(it)).collect();
    assert!(unknown.is_empty(), "put these into a layer: {unknown:?}");
}

#[test]
fn what_is_for_tests_is_imported_by_tests() {
    for Import { from, to, is_dev } in imports() {
        let is_beside = BESIDE.contains(&to.as_str());
        assert!(
            !is_beside || is_dev || BESIDE.contains(&from.as_str()),
            "{from} imports {to} outside of tests"
        );
    }
}

#[test]
fn libraries_stay_at_home() {
    let mut wrong = Vec::new();
    for Import { from, to, is_dev } in imports() {
        let home = HOMES.iter().find(|(library, _)| *library == to);
        // tests and tools talk to real peers as anybody would
        if let Some((library, homes)) = home
            && !homes.contains(&from.as_str())
            && !is_dev
            && !BESIDE.contains(&from.as_str())
        {
            wrong.push(format!("{from} imports {library}, which only {homes:?} may"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
