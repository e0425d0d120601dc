//! Import and export, all the way.

use std::collections::BTreeMap;

use busbar_model::object::{ObjectType, Record};
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
    import(&bench.changes, read(text)?, ImportOptions { replace }, "test").await
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
        bench
            .changes
            .snapshot()
            .records
            .iter()
            .find(|it| it.name == name)
            .unwrap()
            .body[field]
            .clone()
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
    let planned = plan(&bench.changes, &read(&text).unwrap()).await.unwrap();
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
    let error = plan(&bench.changes, &read(&text).unwrap()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no security definition `nobody` (W04)"),
        "{error}"
    );
    bench.second.fail.store(true, std::sync::atomic::Ordering::Relaxed);
    plan(&bench.changes, &read(FULL).unwrap()).await.unwrap_err();
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
        assert_eq!(fresh.changes.snapshot().records, snapshot.records, "{text}");
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
    let options = ExportOptions {
        keys: vec!["outconn_plain_http".into(), "security".into()],
        ..ExportOptions::default()
    };
    let some = export(REGISTRY, &snapshot, &options).unwrap();
    assert!(
        some.contains("CRM") && some.contains("partner") && !some.contains("orders.in"),
        "{some}"
    );
    let options = ExportOptions {
        names: vec!["order".into()],
        ..ExportOptions::default()
    };
    assert!(
        export(REGISTRY, &snapshot, &options)
            .unwrap()
            .starts_with("channel_rest:")
    );
    let error = export(
        REGISTRY,
        &snapshot,
        &ExportOptions {
            keys: vec!["chanel".into()],
            ..ExportOptions::default()
        },
    )
    .unwrap_err();
    assert!(error.hint().unwrap().contains("channel_rest"));
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
                json!({"host": "h", "timeout": timeout}),
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
        let (ours, theirs) = (fresh.changes.snapshot(), snapshot);
        for (a, b) in ours.records.iter().zip(&theirs.records) {
            assert_eq!(a, b);
        }
        assert_eq!(ours.records.len(), theirs.records.len());
    }
}

#[test]
fn what_is_no_document_is_refused_with_a_reason() {
    for (name, text, reason) in [
        ("a.yaml", &b""[..], "is empty"),
        ("a.yaml", b"# only a comment\n", "is empty"),
        ("a.json", b"  \n", "is empty"),
        ("a.yaml", b"just text", "must hold keys"),
        ("a.yaml", b"- a\n- b\n", "must hold keys"),
        ("a.json", b"[]", "must hold keys"),
        ("a.yaml", b"security: shop\n", "`security` must be a list"),
        ("a.yaml", b"security: {name: shop}\n", "`security` must be a list"),
        (
            "a.yaml",
            b"security:\n  - shop\n",
            "item 1 of `security` must hold fields",
        ),
        ("a.yaml", b"security: []\n", "nothing in it"),
        ("a.yaml", b"security:\n", "nothing in it"),
        ("a.yaml", b"a: b: c\n", "is not valid YAML"),
        ("a.yaml", b"a: 'b\n", "is not valid YAML"),
        ("a.yaml", b"a:\n\t- b\n", "is not valid YAML"),
        ("a.yaml", b"a: *nobody\n", "is not valid YAML"),
        ("a.yaml", b"a: 1\na: 2\n", "is not valid YAML"),
        ("a.yaml", b"a: []\n---\nb: []\n", "is not valid YAML"),
        ("a.yaml", b"a: .inf\n", "is not valid YAML"),
        ("a.json", b"{\"a\": 1", "is not valid JSON"),
        ("a.json", b"{\"a\": [], \"a\": []}", "key `a` stands twice"),
        ("a.json", b"{\"a\": []} x", "is not valid JSON"),
        ("a.json", b"{'a': []}", "is not valid JSON"),
        ("a.json", b"{\"a\": 1e999}", "is not valid JSON"),
        ("objects", b"{\"a\": 1", "is not valid JSON"),
        ("a.yaml", b"a: \xff\xfe\n", "is not UTF-8 text (line 1)"),
        ("a.json", b"{\n\"a\": \"\xc3\"}", "is not UTF-8 text (line 2)"),
        ("a.yaml", b"a: \0\n", "is not valid YAML"),
    ] {
        let problem = unreadable(name, text);
        assert_eq!((problem.code, problem.file.as_str()), (Code::E03, name));
        assert!(
            problem.message.contains(reason),
            "{:?}: {problem}",
            String::from_utf8_lossy(text)
        );
        assert!(!problem.message.contains('\n'), "{problem}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for pair in ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi"] {
        let (from, to) = pair.split_at(1);
        laughs.push_str(&format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(", ")));
    }
    let depth = 100_000;
    let wide = format!("security: [{}]", "{}, ".repeat(10));
    assert!(Document::parse("wide.yaml", wide.as_bytes(), &ReadOptions::default()).is_ok());
    for (name, text) in [
        ("laughs.yaml", laughs),
        ("deep.yaml", "[".repeat(depth)),
        ("deep.yaml", "{a: ".repeat(depth)),
        ("deep.yaml", "- ".repeat(depth)),
        (
            "deep.yaml",
            (0..2_000).map(|it| format!("{}a:\n", " ".repeat(it))).collect(),
        ),
        ("deep.json", "[".repeat(depth)),
        ("deep.json", "{\"a\":".repeat(depth)),
        ("deep.json", format!("{}{}", "[".repeat(40), "]".repeat(40))),
        ("self.yaml", "a: &a\n  - *a\n".to_owned()),
        (
            "merge.yaml",
            "a: &a {x: 1}\nb: [{<<: [*a, *a], x: {<<: *missing}}]\n".to_owned(),
        ),
    ] {
        let started = std::time::Instant::now();
        let problem = unreadable(name, text.as_bytes());
        assert_eq!(problem.code, Code::E03, "{name}");
        assert!(problem.message.len() < 1_000, "{problem}");
        assert!(
            started.elapsed() < std::time::Duration::from_secs(10),
            "{name} took {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn anchors_and_merge_keys_within_reason_work() {
    let document = read(
        "
common: &common
  timeout: 5
outgoing_rest:
  - <<: *common
    name: a
    host: http://a
  - <<: *common
    name: b
    host: http://b
",
    );
    // the key that only carries the anchor is not one of ours, and is reported with the others when types are looked up
    let problems = document.unwrap_err();
    assert!(problems.to_string().contains("`common` must be a list"), "{problems}");
    let document =
        read("outgoing_rest:\n  - &a {name: a, host: http://a, timeout: 5}\n  - {<<: *a, name: b}\n").unwrap();
    assert_eq!(document.items[1].fields["timeout"], 5);
    assert_eq!(document.items[1].fields["name"], "b");
}

#[tokio::test]
async fn wrong_items_are_all_listed_with_what_to_do() {
    let bench = Bench::new().await;
    let problems = refused(
        import_text(
            &bench,
            "
chanel_rest:
  - name: a
scheduler:
  - name: job 1
  - name: job 2
  - other: x
unheard_of:
  - name: c
security:
  - name: no type
  - name: odd type
    type: kerberos
  - type: basic_auth
  - name: 7
    type: apikey
  - name: many
    type: basic_auth
    user_name: x
    pasword: y
channel_rest:
  - name: empty
  - name: wrong
    service: s
    url_path: a
  - name: number
    service: 5
    url_path: /a
  - name: flag
    service: s
    url_path: /a
    is_active: perhaps
  - name: twice
    service: s
    url_path: /a
  - name: twice
    service: s
    url_path: /b
outconn_zmq:
  - name: odd
    address: a
    socket_type: PUSHY
",
            false,
        )
        .await,
    );
    assert_eq!(
        found(&problems),
        [
            (Code::E04, "security `no type`", "type"),
            (Code::E09, "security `odd type`", "type"),
            (Code::E04, "item 3 of security", "name"),
            (Code::E22, "item 4 of security", "name"),
            (Code::E22, "security `many`", "user_name"),
            (Code::E22, "security `many`", "pasword"),
            (Code::E08, "security `many`", "username"),
            (Code::E08, "security `many`", "password"),
            (Code::E11, "channel_rest `empty`", "service"),
            (Code::E08, "channel_rest `empty`", "url_path"),
            (Code::E22, "channel_rest `wrong`", "url_path"),
            (Code::E22, "channel_rest `number`", "service"),
            (Code::E22, "channel_rest `flag`", "is_active"),
            (Code::E21, "channel_rest `twice`", ""),
            (Code::E22, "outconn_zmq `odd`", "socket_type"),
            (Code::E10, "", ""),
            (Code::E10, "", ""),
            (Code::E10, "", ""),
        ]
    );
    let text = problems.to_string();
    for part in [
        "objects.yaml: there is no key `chanel_rest`; did you mean `channel_rest`? (used for chanel_rest `a`) (E10)",
        "busbar does not have `scheduler` yet (used for scheduler `job 1`, scheduler `job 2`, item 3 of scheduler) (E10)",
        "there is no key `unheard_of`; there are security, channel_rest, outgoing_rest, outconn_zmq",
        "there is no type `kerberos` under `security`; there are basic_auth, apikey",
        "field `user_name`: is not a field of this type; did you mean `username`?",
        "field `service`: invalid type: integer `5`, expected a string; put it into quotes",
        "unknown variant `PUSHY`, expected `PUSH` or `PUB`",
    ] {
        assert!(text.contains(part), "{part}\n\n{text}");
    }
    assert_eq!(bench.changes.snapshot().revision, 0);
}

#[tokio::test]
async fn a_2_0_file_is_read() {
    let bench = Bench::new().await;
    let text = r#"{"def_sec": [{"type": "basic_auth", "name": "shop", "username": "shop", "password": "s3", "realm": "Shop", "is_active": "True",
                                 "id": 7, "cluster_id": 1}],
        "channel_plain_http": [{"name": "orders.in", "is_active": true, "is_internal": false, "url_path": "/orders", "connection": "channel",
          "transport": "plain_http", "service": "known.receive", "service_id": 9, "sec_def": "shop", "data_format": "json", "ping_method": null,
          "merge_url_params_req": "no", "timeout": "5"}],
        "outconn_plain_http": [{"name": "CRM", "host": "http://a", "timeout": "2.5"}]}"#;
    let document = Document::parse("zato-export.json", text.as_bytes(), &ReadOptions::default()).unwrap();
    import(&bench.changes, document, ImportOptions::default(), "test")
        .await
        .unwrap();
    let snapshot = bench.changes.snapshot();
    assert_eq!(snapshot.records[0].body["merge_url_params_req"], false);
    assert_eq!(
        (
            &snapshot.records[0].body["timeout"],
            &snapshot.records[0].body["security"]
        ),
        (&json!(5), &json!("shop"))
    );
    assert_eq!(snapshot.records[1].body["timeout"], 2.5);
}

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
        body: json!({"header": "h", "api_key": null}).as_object().unwrap().clone(),
        version: 1,
    };
    assert_eq!(
        Value::Object(fields.masked(&record.body)),
        json!({"header": "h", "api_key": null})
    );
}
