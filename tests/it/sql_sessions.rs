//! `self.outgoing.sql` with SQLAlchemy: sessions in the styles of its versions, what is left open, engines of other drivers.

use std::fs;
use std::path::Path;

use busbar_testkit::run;

use crate::busbar;
use crate::busbar_test::write_examples;

fn pytest(home: &Path) -> busbar_testkit::Output {
    run(busbar("test", home).current_dir(home).arg("-q"))
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
    fs::write(
        home.path().join("test_styles.py"),
        include_str!("sql_sessions/test_styles.py"),
    )
    .unwrap();
    let output = pytest(home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("9 passed"), "{output:?}");
}

#[test]
fn what_is_left_open_is_rolled_back_with_a_warning() {
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join("test_left_open.py"),
        include_str!("sql_sessions/test_left_open.py"),
    )
    .unwrap();
    let output = pytest(home.path());
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("6 passed"), "{output:?}");
}
