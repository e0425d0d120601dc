//! Texts that are no documents, items that are wrong, and what old files say.

use super::*;

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
fn large_files_are_read_and_larger_ones_refused() {
    let text = "x".repeat(1_000_000);
    let items = |count: usize| -> String {
        let item = |it| format!("  - name: n{it}\n    address: {text}\n");
        format!("outconn_zmq:\n{}", (0..count).map(item).collect::<String>())
    };
    let document = read(&items(50)).unwrap();
    assert_eq!(document.items.len(), 50);
    assert_eq!(document.items[49].fields["address"], text.as_str());
    let json = serde_json::json!({"outconn_zmq": document.items.iter().map(|it| &it.fields).collect::<Vec<_>>()});
    assert_eq!(read(&json.to_string()).unwrap().items.len(), 50);

    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), items(70)).unwrap();
    let problems = Document::read(file.path(), &ReadOptions::default()).unwrap_err();
    assert_eq!(found(&problems), [(Code::E20, "", "")]);
    assert!(problems.to_string().contains("larger than 64 MB"), "{problems}");
}

#[test]
fn ends_of_lines_and_marks_of_order_make_no_difference() {
    let plain = "outconn_zmq:\n  - name: a\n    address: tcp://a\n    # said twice\n    socket_type: PUB\n";
    let expected = read(plain).unwrap();
    for text in [
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
        format!("\u{feff}---\n{plain}...\n"),
        format!("{plain}\n\n   \n"),
        plain.replace("PUB", "PUB\t# after a tab"),
    ] {
        assert_eq!(read(&text).unwrap(), expected, "{text:?}");
    }
    let json = r#"{"outconn_zmq": [{"name": "a", "address": "tcp://a", "socket_type": "PUB"}]}"#;
    for text in [json.replace(' ', "\r\n\t"), format!("\u{feff}{json}")] {
        let document = Document::parse("objects.json", text.as_bytes(), &ReadOptions::default()).unwrap();
        assert_eq!(document.items[0].fields, expected.items[0].fields, "{text:?}");
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
