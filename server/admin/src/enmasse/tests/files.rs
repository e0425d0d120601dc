//! Several files, and the environment.

use std::collections::BTreeMap;

use super::*;

#[test]
fn the_environment_is_filled_in() {
    let options = env(&[
        ("Shop_Password", "s3 {Zato_Enmasse_Env.Port}"),
        ("Port", "9000"),
        ("Size", "5"),
        ("Zato_Enmasse_Env_security_my_shop_username", "ann"),
        ("Zato_Enmasse_Env_security_my_realm", "for my"),
        ("Zato_Enmasse_Env_security_my_shop_password", "not taken, there is one"),
        ("Zato_Enmasse_Env_other_x_y", "z"),
    ]);
    let text = "
security:
  - name: my.shop
    username: null
    password: Zato_Enmasse_Env.Shop_Password
  - name: my
outgoing_rest:
  - name: CRM
    host: http://127.0.0.1:{Zato_Enmasse_Env.Port}/{id}/{Zato_Enmasse_Env.Port}
    list: [{deep: Zato_Enmasse_Env.Size}]
    other: '{Zato_Enmasse_Env.Port'
    more: Zato_Enmasse_Environment
";
    let document = Document::parse("a.yaml", text.as_bytes(), &options).unwrap();
    let fields: Vec<Value> = document
        .items
        .iter()
        .map(|it| Value::Object(it.fields.clone()))
        .collect();
    assert_eq!(
        fields,
        [
            json!({"name": "my.shop", "username": "ann", "password": "s3 {Zato_Enmasse_Env.Port}"}),
            json!({"name": "my", "realm": "for my"}),
            json!({"name": "CRM", "host": "http://127.0.0.1:9000/{id}/9000", "list": [{"deep": "5"}],
                   "other": "{Zato_Enmasse_Env.Port", "more": "Zato_Enmasse_Environment"}),
        ]
    );
    let problems = Document::parse("a.yaml", text.as_bytes(), &ReadOptions::default()).unwrap_err();
    assert_eq!(
        found(&problems),
        [
            (Code::E23, "security `my.shop`", "password"),
            (Code::E23, "outgoing_rest `CRM`", "host"),
            (Code::E23, "outgoing_rest `CRM`", "host"),
            (Code::E23, "outgoing_rest `CRM`", "list"),
        ]
    );
}

#[test]
fn environment_files_are_read() {
    let mut options = env(&[("A", "old")]);
    options
        .add_env_file("[env]\n# comment\n\nA = new\nexport B=\"b b\"\nC='='\nD=\n; other\n")
        .unwrap();
    let expected: BTreeMap<_, _> = [("A", "new"), ("B", "b b"), ("C", "="), ("D", "")]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .into();
    assert_eq!(options.env, expected);
    assert_eq!(options.add_env_file("A=1\nnonsense\n"), Err(2));
}

/// A directory with files in it.
fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn names(document: &Document) -> Vec<&str> {
    document
        .items
        .iter()
        .map(|it| it.fields["name"].as_str().unwrap())
        .collect()
}

#[test]
fn included_files_are_found_beside_the_file_that_names_them() {
    let dir = files(&[
        (
            "main.yaml",
            "include: [sub/more.yaml, other.json]\nsecurity:\n  - name: a\n  - file://./one.json\n",
        ),
        ("sub/more.yaml", "include:\n  - even-more.yaml\nsecurity: [{name: b}]\n"),
        ("sub/even-more.yaml", "security: [{name: c}]\n"),
        ("other.json", r#"{"security": [{"name": "d"}]}"#),
        ("one.json", r#"{"name": "e"}"#),
    ]);
    let document = Document::read(&dir.path().join("main.yaml"), &ReadOptions::default()).unwrap();
    assert_eq!(names(&document), ["c", "b", "d", "a", "e"]);
    assert!(document.items[0].file.ends_with("sub/even-more.yaml"));
    assert!(document.items[4].file.ends_with("one.json"));
}

#[test]
fn includes_that_go_wrong_are_named() {
    let dir = files(&[
        (
            "missing.yaml",
            "include: [nobody.yaml, twice.yaml]\nsecurity: [{name: a}, 'file://gone.json']\n",
        ),
        ("twice.yaml", "include: [once.yaml, ./once.yaml]\n"),
        ("once.yaml", "security: [{name: b}]\n"),
        ("circle.yaml", "include: [circle2.yaml]\nsecurity: [{name: a}]\n"),
        ("circle2.yaml", "include: [circle.yaml]\n"),
        (
            "odd.yaml",
            "include: [5]\nsecurity: ['file://list.json', 'file://broken.json']\n",
        ),
        ("list.json", "[]"),
        ("broken.json", "{"),
    ]);
    let read = |name: &str, options: &ReadOptions| Document::read(&dir.path().join(name), options);
    let codes = |problems: Problems| problems.0.iter().map(|it| it.code).collect::<Vec<_>>();
    assert_eq!(
        codes(read("missing.yaml", &ReadOptions::default()).unwrap_err()),
        [Code::E02, Code::E01, Code::E02]
    );
    let lenient = ReadOptions {
        ignore_missing_includes: true,
        ..ReadOptions::default()
    };
    assert_eq!(codes(read("missing.yaml", &lenient).unwrap_err()), [Code::E01]);
    assert_eq!(codes(read("circle.yaml", &lenient).unwrap_err()), [Code::E01]);
    assert_eq!(
        codes(read("odd.yaml", &lenient).unwrap_err()),
        [Code::E03, Code::E03, Code::E03]
    );
    assert_eq!(codes(read("gone.yaml", &lenient).unwrap_err()), [Code::E20]);
    assert_eq!(codes(Document::read(dir.path(), &lenient).unwrap_err()), [Code::E20]);
    let problem = unreadable("hub.yaml", b"include: [a.yaml]\n");
    assert_eq!(
        problem.code,
        Code::E02,
        "a text from elsewhere cannot name files of this machine"
    );
}

#[test]
fn a_document_crosses_the_socket_unchanged() {
    let document = read(FULL).unwrap();
    let line = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&line).unwrap(), document);
}
