//! Objects: one by one, from and to files, and as they were.

use super::*;

#[tokio::test]
async fn objects_are_imported_planned_and_exported() {
    let (control, bench) = control().await;
    let read = |text: &str| Document::parse("a.yaml", text.as_bytes(), &ReadOptions::default()).unwrap();
    let document = read("outconn_zmq: [{name: a, address: 'tcp://a'}]");
    let Response::Planned(plan) = ask(
        &control,
        Request::EnmassePlan {
            document: document.clone(),
            options: ImportOptions::default(),
        },
    )
    .await
    else {
        panic!()
    };
    assert_eq!(plan.create.len(), 1);
    let import = |document: &Document| Request::EnmasseImport {
        document: document.clone(),
        options: ImportOptions::default(),
    };
    let Response::Imported(applied) = ask(&control, import(&document)).await else {
        panic!()
    };
    assert_eq!(
        applied.to_string(),
        "+ outgoing.zmq `a`\n1 created, 0 changed, 0 unchanged\n"
    );
    assert_eq!(
        bench.store.history("outgoing.zmq", "a", 1).await.unwrap()[0].changed_by,
        "cli"
    );
    let Response::Exported { text } = ask(
        &control,
        Request::EnmasseExport {
            options: ExportOptions::default(),
        },
    )
    .await
    else {
        panic!()
    };
    assert!(text.starts_with("outconn_zmq:\n  - name: a\n"), "{text}");

    let failed = failure(&control, import(&read("outconn_zmq: [{name: a, address: 'tcp://b'}]"))).await;
    assert_eq!(
        (failed.kind, failed.problems[0].code, failed.exit_code),
        (Kind::Conflict, Code::W01, exit_code::INVALID_INPUT)
    );
    assert!(
        failed
            .message
            .contains("a.yaml: outgoing.zmq `a`: exists already and is different (W01)"),
        "{failed}"
    );
    let failed = failure(
        &control,
        import(&read("outconn_zmq: [{name: b}, {name: c, address: 7}]")),
    )
    .await;
    assert_eq!((failed.kind, failed.problems.len()), (Kind::BadRequest, 2));
}

#[tokio::test]
async fn objects_are_made_changed_and_deleted_one_by_one() {
    let (control, bench) = control().await;
    let name = |name: &str| ObjectName {
        kind: "security.basic_auth".into(),
        name: name.into(),
    };
    let fields = |fields: serde_json::Value| fields.as_object().unwrap().clone();
    let create = |name: &str, body: serde_json::Value| {
        Request::ObjectCreate(NewObject {
            kind: "security.basic_auth".into(),
            name: name.into(),
            is_active: true,
            fields: fields(body),
        })
    };

    let Response::Object(shop) = ask(
        &control,
        create("shop", json!({"username": "shop", "password": "s3cret"})),
    )
    .await
    else {
        panic!()
    };
    let expected = json!({"username": "shop", "password": "******", "realm": ""});
    assert_eq!((shop.version, shop.fields), (1, fields(expected)));
    let taken = failure(&control, create("shop", json!({"username": "x", "password": "y"}))).await;
    assert_eq!(taken.kind, Kind::Conflict);
    assert_eq!(taken.problems[0].field, "name");
    let wrong = failure(&control, create("other", json!({"username": 1, "password": "y"}))).await;
    assert_eq!(
        (wrong.kind, wrong.problems[0].field.as_str()),
        (Kind::BadRequest, "username")
    );

    let edit = |object: &str, edit: ObjectEdit| Request::ObjectEdit {
        object: name(object),
        edit,
    };
    let renamed = ObjectEdit {
        version: Some(1),
        is_active: Some(false),
        fields: fields(json!({"realm": "Shop"})),
        ..ObjectEdit::default()
    };
    let Response::Object(shop) = ask(&control, edit("shop", renamed)).await else {
        panic!()
    };
    assert!(!shop.is_active);
    assert_eq!(shop.version, 2);
    // made from a version that is not the current one any more
    let late = ObjectEdit {
        version: Some(1),
        ..ObjectEdit::default()
    };
    assert_eq!(failure(&control, edit("shop", late)).await.kind, Kind::Conflict);
    // what the edit did not name is as it was
    let stored = &bench.changes.snapshot().records[0];
    assert_eq!(
        (&stored.body["password"], &stored.body["realm"]),
        (&json!("s3cret"), &json!("Shop"))
    );

    let Response::Objects(found) = ask(
        &control,
        Request::ObjectList {
            kind: "security.basic_auth".into(),
            query: "sh OP".into(),
        },
    )
    .await
    else {
        panic!()
    };
    assert_eq!(found.len(), 1);
    assert!(matches!(
        ask(
            &control,
            Request::ObjectDelete {
                object: name("shop"),
                version: None
            }
        )
        .await,
        Response::ObjectDeleted(_)
    ));
    for request in [
        Request::ObjectGet(name("shop")),
        Request::ObjectDelete {
            object: name("shop"),
            version: None,
        },
        edit("shop", ObjectEdit::default()),
        Request::ObjectList {
            kind: "security.nothing".into(),
            query: String::new(),
        },
    ] {
        assert_eq!(failure(&control, request).await.kind, Kind::NotFound);
    }
}

#[tokio::test]
async fn what_was_is_shown_and_brought_back() {
    let (control, bench) = control().await;
    let address = |text: &str| crate::samples::put("outgoing.zmq", "a", json!({"address": text}));
    for text in ["tcp://one", "tcp://two"] {
        bench
            .changes
            .apply(crate::samples::set([address(text)]), "ann")
            .await
            .unwrap();
    }
    let object = ObjectName {
        kind: "outgoing.zmq".into(),
        name: "a".into(),
    };
    let history = Request::History {
        object: object.clone(),
        limit: 1,
    };
    let Response::History(history) = ask(&control, history).await else {
        panic!()
    };
    assert_eq!(
        serde_json::to_value(&history[0].changes).unwrap(),
        json!([{"field": "address", "old": "tcp://one", "new": "tcp://two"}])
    );
    let at = Moment::Revision(1);
    let options = ExportOptions::default();
    let Response::Exported { text } = ask(&control, Request::ExportAt { at, options }).await else {
        panic!()
    };
    assert!(text.contains("tcp://one"), "{text}");
    let roll_back = Request::RollBack {
        object: object.clone(),
        version: 1,
    };
    assert!(matches!(ask(&control, roll_back).await, Response::Restored(it) if it.changed == [object.clone()]));
    let restore = |rehearse, confirm| Request::Restore {
        at: Moment::Revision(0),
        rehearse,
        confirm,
    };
    let Response::RestorePlanned(plan) = ask(&control, restore(true, None)).await else {
        panic!()
    };
    assert_eq!(plan.applied.deleted, std::slice::from_ref(&object));
    let refused = failure(&control, restore(false, None)).await;
    assert_eq!((refused.kind, refused.problems[0].code), (Kind::Conflict, Code::E30));
    assert_eq!(bench.changes.snapshot().revision, 3);
    let made = ask(&control, restore(false, Some(plan.id))).await;
    assert!(matches!(made, Response::Restored(it) if it.deleted == [object.clone()]));
    assert_eq!(bench.changes.snapshot().revision, 4);
    let before = None;
    let Response::Revisions(revisions) = ask(&control, Request::Revisions { before, limit: 2 }).await else {
        panic!()
    };
    let seen: Vec<_> = revisions
        .iter()
        .map(|it| (it.revision, it.changed_by.as_str()))
        .collect();
    assert_eq!(seen[0], (4, "cli"));
    let nobody = Request::History {
        object: ObjectName {
            kind: "outgoing.zmq".into(),
            name: "nobody".into(),
        },
        limit: 9,
    };
    assert_eq!(failure(&control, nobody).await.kind, Kind::NotFound);
}
