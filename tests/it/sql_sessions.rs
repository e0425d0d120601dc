//! `self.outgoing.sql` with SQLAlchemy: sessions in the styles of its versions, what is left open, engines of other drivers.

use std::fs;
use std::path::{Path, PathBuf};

use busbar_testkit::{Output, run};

use crate::busbar_test::write_examples;
use crate::{busbar, repository};

fn pytest(home: &Path) -> Output {
    run(busbar("test", home).current_dir(home).arg("-q"))
}

/// The same with an older SQLAlchemy, `1.4` or `2.0`, in the virtual environment that `scripts/setup test` makes.
fn pytest_with(version: &str, home: &Path) -> Output {
    let usual = || repository().join(format!(".venv-sqlalchemy-{version}"));
    let variable = format!("BUSBAR_TEST_VENV_SQLALCHEMY_{}", version.replace('.', "_"));
    let venv = std::env::var_os(variable).map_or_else(usual, PathBuf::from);
    assert!(venv.is_dir(), "{} is missing: run `scripts/setup test`", venv.display());
    let mut command = busbar("test", home);
    run(command.current_dir(home).arg("-q").env("VIRTUAL_ENV", venv))
}

/// What holds for all versions.
fn write_tests_of_all_versions(home: &Path) {
    for (name, text) in [
        ("test_styles.py", include_str!("sql_sessions/test_styles.py")),
        ("test_left_open.py", include_str!("sql_sessions/test_left_open.py")),
        ("test_postgresql.py", include_str!("sql_sessions/test_postgresql.py")),
    ] {
        fs::write(home.join(name), text).unwrap();
    }
}

#[test]
fn the_examples_of_the_page_pass() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(write_examples(include_str!("../../docs/sql.md"), home.path()), 2);
    let output = pytest(home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("1 passed"), "{output:?}");
}

#[test]
fn sessions_take_the_styles_of_all_versions() {
    let home = tempfile::tempdir().unwrap();
    write_tests_of_all_versions(home.path());
    let output = pytest(home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("56 passed"), "{output:?}");
}

#[test]
fn sessions_are_those_of_sqlalchemy_2_0_as_well() {
    let home = tempfile::tempdir().unwrap();
    write_tests_of_all_versions(home.path());
    fs::write(
        home.path().join("test_direct.py"),
        include_str!("sql_sessions/test_direct.py"),
    )
    .unwrap();
    let output = pytest_with("2.0", home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("65 passed"), "{output:?}");
}

#[test]
fn sessions_are_those_of_sqlalchemy_1_4_as_well() {
    let home = tempfile::tempdir().unwrap();
    write_tests_of_all_versions(home.path());
    let output = pytest_with("1.4", home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("56 passed"), "{output:?}");
}

#[test]
fn queries_as_text_go_straight_to_the_driver() {
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join("test_direct.py"),
        include_str!("sql_sessions/test_direct.py"),
    )
    .unwrap();
    let output = pytest(home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("9 passed"), "{output:?}");
}

#[test]
fn where_sqlalchemy_is_missing_it_is_said_what_to_install() {
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join("test_missing.py"),
        include_str!("sql_sessions/test_missing.py"),
    )
    .unwrap();
    let output = pytest(home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("1 passed"), "{output:?}");
}
