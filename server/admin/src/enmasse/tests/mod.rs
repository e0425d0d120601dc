//! Import and export, all the way. Odd texts are in `text`, files and the environment in `files`.

mod files;
mod prune;
mod text;

use busbar_model::object::{ChangeSet, ObjectType, Record};
use busbar_store::diff;
use serde_json::{Value, json};

use super::*;
use crate::changes::{Applied, ChangeError};
use crate::problem::{Code, Problem, Problems};
use crate::registry::MASK;
use crate::samples::{Bench, REGISTRY, TYPES};

const FULL: &str = "
security:
  - name: shop
    type: basic_auth
    username: shop
    password: s3
  - name: partner
    type: apikey
    api_key: k3y
channel_rest:
  - name: orders.in
    service: known.receive
    url_path: /orders
    security_name: shop
outgoing_rest:
  - name: CRM
    host: http://127.0.0.1:9000
    url_path: /customer/{id}
outconn_zmq:
  - name: Fraud detection
    address: tcp://127.0.0.1:35101
    socket_type: PUB
";

fn env(pairs: &[(&str, &str)]) -> ReadOptions {
    let env = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ReadOptions {
        env,
        ..ReadOptions::default()
    }
}

fn read(text: &str) -> Result<Document, Problems> {
    let name = if text.starts_with('{') {
        "objects.json"
    } else {
        "objects.yaml"
    };
    Document::parse(name, text.as_bytes(), &ReadOptions::default())
}

async fn import_text(bench: &Bench, text: &str, replace: bool) -> Result<Applied, ChangeError> {
    let options = ImportOptions {
        replace,
        ..ImportOptions::default()
    };
    import(&bench.changes, read(text)?, options, "test").await
}

async fn plan_text(bench: &Bench, text: &str) -> Result<Plan, ChangeError> {
    plan(&bench.changes, &read(text)?, &ImportOptions::default()).await
}

fn found(problems: &Problems) -> Vec<(Code, &str, &str)> {
    problems
        .0
        .iter()
        .map(|it| (it.code, it.object.as_str(), it.field.as_str()))
        .collect()
}

fn refused(result: Result<Applied, ChangeError>) -> Problems {
    match result {
        Err(ChangeError::Refused(problems)) => problems,
        other => panic!("{other:?}"),
    }
}

/// The only problem of a file that cannot even be read.
fn unreadable(name: &str, bytes: &[u8]) -> Problem {
    let mut problems = Document::parse(name, bytes, &ReadOptions::default()).unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    problems.0.remove(0)
}

#[tokio::test]
async fn an_import_makes_everything_and_a_second_one_nothing() {
    let bench = Bench::new().await;
    let applied = import_text(&bench, FULL, false).await.unwrap();
    assert_eq!((applied.created.len(), applied.revision), (5, 1));
    let applied = import_text(&bench, FULL, false).await.unwrap();
    assert_eq!(
        (applied.created.len(), applied.unchanged.len(), applied.revision),
        (0, 5, 1)
    );
    assert_eq!(
        bench.store.history("channel.http", "orders.in", 9).await.unwrap()[0].changed_by,
        "test"
    );
}

#[tokio::test]
async fn what_is_there_and_different_stops_the_import_unless_it_is_to_be_replaced() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let before = bench.changes.snapshot();
    let text = FULL
        .replace("/orders", "/orders/v2")
        .replace("username: shop", "username: ann")
        + "  - name: new\n    address: tcp://a\n";
    let problems = refused(import_text(&bench, &text, false).await);
    assert_eq!(
        found(&problems),
        [
            (Code::W01, "security.basic_auth `shop`", ""),
            (Code::W01, "channel.http `orders.in`", "")
        ]
    );
    let error = busbar_model::Error::from(&problems);
    assert!(error.hint().unwrap().contains("--replace"));
    assert_eq!(bench.changes.snapshot(), before);
    let applied = import_text(&bench, &text, true).await.unwrap();
    assert_eq!(
        (applied.created.len(), applied.changed.len(), applied.unchanged.len()),
        (1, 2, 3)
    );
}

#[tokio::test]
async fn secrets_that_a_file_leaves_out_are_kept() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let secret = |name: &str, field: &str| {
        bench.changes.snapshot().iter().find(|it| it.name == name).unwrap().body[field].clone()
    };
    for password in ["password: null", "", "password: ~"] {
        let text = FULL
            .replace("password: s3", password)
            .replace("api_key: k3y", "api_key: null");
        assert_eq!(
            import_text(&bench, &text, false).await.unwrap().unchanged.len(),
            5,
            "{password}"
        );
        assert_eq!(
            (secret("shop", "password"), secret("partner", "api_key")),
            (json!("s3"), json!("k3y"))
        );
    }
    import_text(&bench, &FULL.replace("password: s3", "password: s4"), true)
        .await
        .unwrap();
    assert_eq!(secret("shop", "password"), "s4");
    import_text(&bench, &FULL.replace("k3y", "''").replace(": s3", ": s4"), true)
        .await
        .unwrap();
    assert_eq!(secret("partner", "api_key"), "", "an empty text takes a secret away");

    // where there is nothing to keep, a required one must be given
    let other = Bench::new().await;
    let problems = refused(import_text(&other, &FULL.replace("s3", "null"), false).await);
    assert_eq!(found(&problems), [(Code::E08, "security `shop`", "password")]);
}

#[tokio::test]
async fn a_plan_shows_what_an_import_would_do_and_does_nothing() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let text = FULL
        .replace("/orders", "/orders/v2")
        .replace("s3", "s4")
        .replace("known.receive", "later.receive")
        + "  - name: new\n    address: tcp://a\n";
    let planned = plan_text(&bench, &text).await.unwrap();
    assert_eq!(
        planned.to_string(),
        "\
+ outgoing.zmq `new`
    address: \"tcp://a\"
    socket_type: \"PUSH\"
~ security.basic_auth `shop`
    password: \"******\" -> \"******\"
~ channel.http `orders.in`
    service: \"known.receive\" -> \"later.receive\"
    url_path: \"/orders\" -> \"/orders/v2\"
! channel.http `orders.in`: service `later.receive` is not deployed yet
1 to create, 2 to change, 3 unchanged; changing needs --replace
"
    );
    let text = serde_json::to_string(&planned).unwrap();
    assert!(
        !text.contains("s3") && !text.contains("s4") && text.contains(MASK),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), planned);
    assert_eq!(bench.changes.snapshot().revision, 1);
}

#[tokio::test]
async fn a_plan_of_an_import_that_would_fail_fails() {
    let bench = Bench::new().await;
    let text = FULL.replace("security_name: shop", "security_name: nobody");
    let error = plan_text(&bench, &text).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no security definition `nobody` (W04)"),
        "{error}"
    );
    bench.second.fail.store(true, std::sync::atomic::Ordering::Relaxed);
    plan_text(&bench, FULL).await.unwrap_err();
}

#[tokio::test]
async fn dangling_names_are_told_together_with_wrong_fields() {
    let bench = Bench::new().await;
    let text = "
security:
  - {name: broken, type: basic_auth, username: a, password: s3, colour: red}
channel_rest:
  - {name: one, service: a.b, url_path: /one, security_name: nobody}
  - {name: two, service: a.b, url_path: /two, security_name: broken}
  - {name: three, service: a.b, url_path: /three, security_name: nobody, colour: red}
";
    let error = import_text(&bench, text, false).await.unwrap_err().to_string();
    for (object, code) in [
        ("`broken`", "E22"),
        ("`one`", "W04"),
        ("`three`", "W04"),
        ("`three`", "E22"),
    ] {
        assert!(
            error.lines().any(|line| line.contains(object) && line.contains(code)),
            "no {code} of {object} in:\n{error}"
        );
    }
    assert!(!error.contains("`two`"), "its definition is there, if broken:\n{error}");
}

#[tokio::test]
async fn an_export_imports_as_no_difference_and_secrets_stay_in() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let snapshot = bench.changes.snapshot();
    for format in [Format::Yaml, Format::Json] {
        let options = ExportOptions {
            format,
            ..ExportOptions::default()
        };
        let text = export(REGISTRY, &snapshot, &options).unwrap();
        assert!(!text.contains("s3") && !text.contains("k3y"), "{text}");
        let applied = import_text(&bench, &text, false).await.unwrap();
        assert_eq!((applied.unchanged.len(), applied.revision), (5, 1), "{text}");

        let text = export(
            REGISTRY,
            &snapshot,
            &ExportOptions {
                with_secrets: true,
                ..options
            },
        )
        .unwrap();
        let fresh = Bench::new().await;
        import_text(&fresh, &text, false).await.unwrap();
        assert_eq!(
            diff(&fresh.changes.snapshot(), &snapshot),
            ChangeSet::default(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_export_is_stable_and_can_be_narrowed() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let internal = crate::samples::put(
        "channel.http",
        "own",
        json!({"service": "known.x", "url_path": "/x", "is_internal": true}),
    );
    bench
        .changes
        .apply(crate::samples::set([internal]), "test")
        .await
        .unwrap();
    let snapshot = bench.changes.snapshot();
    let all = export(REGISTRY, &snapshot, &ExportOptions::default()).unwrap();
    assert_eq!(
        all,
        "\
security:
  - name: partner
    type: apikey
    is_active: true
    header: X-API-Key
    api_key: null
  - name: shop
    type: basic_auth
    is_active: true
    username: shop
    password: null
    realm: \"\"
channel_rest:
  - name: orders.in
    is_active: true
    service: known.receive
    url_path: /orders
    security_name: shop
    http_accept: \"*/*\"
    merge_url_params_req: true
outgoing_rest:
  - name: CRM
    is_active: true
    host: http://127.0.0.1:9000
    url_path: /customer/{id}
    timeout: 10.0
    security_name: \"\"
outconn_zmq:
  - name: Fraud detection
    is_active: true
    address: tcp://127.0.0.1:35101
    socket_type: PUB
"
    );
    let only = |keys: &[&str], names: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
        let only = Only {
            keys: texts(keys),
            names: texts(names),
        };
        let options = ExportOptions {
            only,
            ..ExportOptions::default()
        };
        export(REGISTRY, &snapshot, &options)
    };
    let some = only(&["outconn_plain_http", "security"], &[]).unwrap();
    assert!(
        some.contains("CRM") && some.contains("partner") && !some.contains("orders.in"),
        "{some}"
    );
    assert!(only(&[], &["order"]).unwrap().starts_with("channel_rest:"));
    let error = only(&["chanel"], &[]).unwrap_err().to_string();
    assert!(error.contains("`chanel`") && error.contains("channel_rest"), "{error}");
}

/// Texts that YAML, JSON or a reader in between might take for something else.
const ODD_TEXTS: &[&str] = &[
    "",
    " ",
    "yes",
    "No",
    "on",
    "null",
    "~",
    "Null",
    "true",
    "1",
    "1.0",
    "1e5",
    "0x1F",
    "0o17",
    "017",
    "1_000",
    "-",
    "--",
    "---",
    "- a",
    "...",
    ".inf",
    ".nan",
    "nan",
    "<<",
    "=",
    "a: b",
    "a #b",
    "#",
    "[",
    "]",
    "{",
    "}",
    "{a}",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a`",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "\\n",
    "a\nb",
    "a\n",
    "\na",
    "\n",
    "\n\n",
    " a",
    "a ",
    "\ta",
    "a\tb",
    "a\r\nb",
    "\r",
    "\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}a",
    "żółw",
    "\u{1f422}",
    "2024-01-01",
    "2024-01-01 00:00:00",
    "12:30:45",
    "Zato_Enmasse",
    "$HOME",
    "${HOME}",
    "{{x}}",
    ",",
    "?",
    "? a",
    ":",
    "a:",
    "::",
    "key: >\n  text",
    "very long text that goes on and on and on and on and on and on and on and on and on and on and on, far past a line",
];

#[tokio::test]
async fn every_text_survives_export_and_import_in_every_field() {
    for format in [Format::Yaml, Format::Json] {
        let bench = Bench::new().await;
        let mut records = Vec::new();
        for (index, text) in ODD_TEXTS.iter().enumerate() {
            let name = if crate::changes::check_name(text).is_ok() {
                format!("{text}{index}")
            } else {
                format!("n{index}")
            };
            let put = |kind: &str, body: Value| crate::samples::put(kind, &name, body);
            records.push(put(
                "security.basic_auth",
                json!({"username": text, "password": text, "realm": text}),
            ));
            records.push(put(
                "channel.http",
                json!({"service": text, "url_path": format!("/{text}"), "http_accept": text}),
            ));
            records.push(put("outgoing.zmq", json!({"address": text})));
        }
        for (index, http_accept) in [json!(null), json!("a")].into_iter().enumerate() {
            let body = json!({"service": "s", "url_path": "/", "http_accept": http_accept, "timeout": u32::MAX, "merge_url_params_req": false});
            records.push(crate::samples::put("channel.http", &format!("nulls {index}"), body));
        }
        for (index, timeout) in [0.001, 1.0, 86_400.0, 1e-9, 0.1 + 0.2].into_iter().enumerate() {
            records.push(crate::samples::put(
                "outgoing.http",
                &format!("floats {index}"),
                json!({"host": "http://h", "timeout": timeout}),
            ));
        }
        bench.changes.apply(crate::samples::set(records), "test").await.unwrap();
        let snapshot = bench.changes.snapshot();
        let text = export(
            REGISTRY,
            &snapshot,
            &ExportOptions {
                format,
                with_secrets: true,
                ..ExportOptions::default()
            },
        )
        .unwrap();
        let fresh = Bench::new().await;
        import_text(&fresh, &text, false)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(diff(&fresh.changes.snapshot(), &snapshot), ChangeSet::default());
    }
}

#[test]
fn every_type_has_an_enmasse_key_and_secrets_are_texts() {
    for object_type in TYPES {
        let object_type: &ObjectType = object_type;
        assert!(!object_type.enmasse_keys.is_empty(), "{}", object_type.kind);
        let fields = crate::registry::Fields::of(object_type);
        for secret in fields.secrets() {
            assert!(fields.accepts(secret, "string"), "{} {secret}", object_type.kind);
        }
    }
}

#[test]
fn masked_secrets_that_are_not_set_stay_unset() {
    let fields = crate::registry::Fields::of(REGISTRY.get("security.api_key").unwrap());
    let record = Record {
        kind: "security.api_key".into(),
        name: "a".into(),
        is_active: true,
        body: json!({"header": "h", "api_key": null})
            .as_object()
            .unwrap()
            .clone()
            .into(),
        version: 1,
        id: 0,
    };
    assert_eq!(
        Value::Object(fields.masked(&record.body)),
        json!({"header": "h", "api_key": null})
    );
}
