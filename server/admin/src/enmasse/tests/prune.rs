//! What goes because a file does not have it, plans that somebody agrees to, and parts of files.

use super::*;

fn pruning(prune: Prune) -> ImportOptions {
    ImportOptions {
        replace: true,
        prune,
        ..ImportOptions::default()
    }
}

async fn names_deleted(bench: &Bench, text: &str, options: &ImportOptions) -> Vec<String> {
    let planned = plan(&bench.changes, &read(text).unwrap(), options).await.unwrap();
    planned.delete.iter().map(|it| it.name.clone()).collect()
}

async fn import_with(bench: &Bench, text: &str, options: ImportOptions) -> Result<Applied, ChangeError> {
    import(&bench.changes, read(text).unwrap(), options, "test").await
}

fn code(result: Result<Applied, ChangeError>) -> Code {
    refused(result).0[0].code
}

#[tokio::test]
async fn only_what_the_file_speaks_of_is_pruned_and_only_when_agreed_to() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let text = "
security:
  - {name: shop, type: basic_auth, username: shop, password: s3}
channel_rest: []
outconn_zmq:
";
    // a key without a list says nothing, an empty list says that there are none
    let options = pruning(Prune::Mentioned);
    assert_eq!(names_deleted(&bench, text, &options).await, ["orders.in", "partner"]);
    assert_eq!(
        names_deleted(&bench, text, &pruning(Prune::All)).await,
        ["orders.in", "CRM", "Fraud detection", "partner"]
    );
    assert_eq!(names_deleted(&bench, text, &pruning(Prune::No)).await, [""; 0]);

    let planned = plan(&bench.changes, &read(text).unwrap(), &options).await.unwrap();
    assert!(
        planned.to_string().contains("- channel.http `orders.in`\n"),
        "{planned}"
    );
    assert!(
        planned
            .to_string()
            .ends_with("0 to create, 0 to change, 2 to delete, 1 unchanged\n")
    );
    assert_eq!(code(import_with(&bench, text, options.clone()).await), Code::E30);
    let agreed = ImportOptions {
        confirm: Some(planned.id.clone()),
        ..options
    };
    let applied = import_with(&bench, text, agreed.clone()).await.unwrap();
    assert_eq!(
        (applied.deleted.len(), applied.unchanged.len(), applied.revision),
        (2, 1, 2)
    );
    // what was agreed to has been done, and is not what would be done now
    assert_eq!(code(import_with(&bench, text, agreed).await), Code::E29);
}

#[tokio::test]
async fn empty_lists_say_something_only_to_who_prunes() {
    let bench = Bench::new().await;
    let problems = refused(import_text(&bench, "security: []\n", false).await);
    assert_eq!(found(&problems), [(Code::E03, "", "")]);
    let planned = plan(
        &bench.changes,
        &read("security: []").unwrap(),
        &pruning(Prune::Mentioned),
    )
    .await;
    assert!(planned.unwrap().is_empty());
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_is_refused() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let changed = FULL.replace("password: s3", "password: s4");
    let planned = plan_text(&bench, &changed).await.unwrap();
    let again = plan_text(&bench, &changed).await.unwrap();
    assert_eq!((planned.id.len(), &planned.id), (16, &again.id));
    let agreed = ImportOptions {
        confirm: Some(planned.id),
        ..ImportOptions::replacing()
    };
    // another password, although both are shown as stars
    let other = FULL.replace("password: s3", "password: s5");
    assert_eq!(code(import_with(&bench, &other, agreed.clone()).await), Code::E29);
    // the object that would be changed is another one by now
    import_text(&bench, &FULL.replace("username: shop", "username: ann"), true)
        .await
        .unwrap();
    assert_eq!(code(import_with(&bench, &changed, agreed.clone()).await), Code::E29);
    import_text(&bench, FULL, true).await.unwrap();
    // what has nothing to do with it does not matter
    let aside = crate::samples::put("outgoing.zmq", "aside", json!({"address": "tcp://b"}));
    bench.changes.apply(crate::samples::set([aside]), "test").await.unwrap();
    assert_eq!(import_with(&bench, &changed, agreed).await.unwrap().changed.len(), 1);
}

#[tokio::test]
async fn what_busbar_made_for_itself_is_never_pruned() {
    let bench = Bench::new().await;
    let own = ["pubapi", "admin.invoke", "ide_publisher", "zato.internal.invoke"];
    let basic =
        |name: &str| crate::samples::put("security.basic_auth", name, json!({"username": name, "password": "p"}));
    let internal = crate::samples::put(
        "channel.http",
        "own",
        json!({"service": "known.x", "url_path": "/x", "is_internal": true}),
    );
    let records = own.map(basic).into_iter().chain([internal, basic("mine")]);
    bench.changes.apply(crate::samples::set(records), "test").await.unwrap();
    let text = "{\"security\": [], \"channel_rest\": []}";
    for prune in [Prune::Mentioned, Prune::All] {
        assert_eq!(names_deleted(&bench, text, &pruning(prune)).await, ["mine"]);
    }
}

#[tokio::test]
async fn what_is_in_use_is_not_pruned_behind_the_back_of_its_users() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let error = plan(
        &bench.changes,
        &read("security: []").unwrap(),
        &pruning(Prune::Mentioned),
    )
    .await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("orders.in") && error.contains("E24"), "{error}");
}

#[tokio::test]
async fn a_part_of_a_file_is_imported_and_pruned() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let only = |keys: &[&str], names: &[&str], prune| ImportOptions {
        only: Only {
            keys: keys.iter().map(|it| (*it).to_owned()).collect(),
            names: names.iter().map(|it| (*it).to_owned()).collect(),
        },
        ..pruning(prune)
    };
    let text = "
outconn_zmq: [{name: new one, address: 'tcp://a'}, {name: other, address: 'tcp://a'}]
outgoing_rest: [{name: new, host: 'http://a'}]
";
    let planned = async |options: &ImportOptions| {
        let planned = plan(&bench.changes, &read(text).unwrap(), options).await.unwrap();
        let created: Vec<_> = planned.create.iter().map(|it| it.object.name.clone()).collect();
        let deleted: Vec<_> = planned.delete.iter().map(|it| it.name.clone()).collect();
        (created.join(","), deleted.join(","))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let zmq = only(&["outconn_zmq"], &[], Prune::All);
    assert_eq!(planned(&zmq).await, pair("new one,other", "Fraud detection"));
    assert_eq!(planned(&only(&[], &["new"], Prune::All)).await, pair("new one,new", ""));
    assert_eq!(planned(&only(&[], &["CR"], Prune::Mentioned)).await, pair("", "CRM"));
    assert_eq!(
        planned(&only(&["http_soap"], &["new", "CR"], Prune::Mentioned)).await,
        pair("new", "CRM")
    );
    let error = import_with(&bench, text, only(&["chanels"], &[], Prune::No)).await;
    assert_eq!(code(error), Code::E10);
}

#[tokio::test]
async fn objects_without_their_definitions_are_left_out_when_asked() {
    let bench = Bench::new().await;
    let text = "
channel_rest:
  - {name: guarded, service: known.a, url_path: /g, security_name: nobody}
  - {name: open, service: known.a, url_path: /o}
";
    assert_eq!(code(import_text(&bench, text, false).await), Code::W04);
    let options = ImportOptions {
        ignore_missing_defs: true,
        ..pruning(Prune::Mentioned)
    };
    let applied = import_with(&bench, text, options.clone()).await.unwrap();
    assert_eq!(applied.created.len(), 1);
    assert_eq!(
        applied.warnings,
        [
            "objects.yaml: channel_rest `guarded`: field `security`: there is no security definition `nobody`; the object is left out (W04)"
        ]
    );
    // one that is there stays as it is
    let guarded = crate::samples::put(
        "channel.http",
        "guarded",
        json!({"service": "known.b", "url_path": "/old"}),
    );
    bench
        .changes
        .apply(crate::samples::set([guarded]), "test")
        .await
        .unwrap();
    let planned = plan(&bench.changes, &read(text).unwrap(), &options).await.unwrap();
    assert!(planned.is_empty() && planned.warnings.len() == 1, "{planned}");
}

#[tokio::test]
async fn files_are_joined_with_each_other_and_with_the_server() {
    let bench = Bench::new().await;
    import_text(&bench, FULL, false).await.unwrap();
    let local = "{\"outconn_zmq\": [{\"name\": \"Fraud detection\", \"address\": \"tcp://local\"}, {\"name\": \"new\", \"address\": \"tcp://a\"}]}";
    let write = |without_stored| {
        let options = ExportOptions {
            format: Format::Json,
            local: Some(read(local).unwrap()),
            without_stored,
            ..ExportOptions::default()
        };
        export(REGISTRY, &bench.changes.snapshot(), &options).unwrap()
    };
    assert_eq!(
        write(true),
        "\
{
 \"outconn_zmq\": [
  {
   \"address\": \"tcp://local\",
   \"is_active\": true,
   \"name\": \"Fraud detection\",
   \"socket_type\": \"PUSH\"
  },
  {
   \"address\": \"tcp://a\",
   \"is_active\": true,
   \"name\": \"new\",
   \"socket_type\": \"PUSH\"
  }
 ]
}
"
    );
    let both: Value = serde_json::from_str(&write(false)).unwrap();
    assert_eq!(both["outconn_zmq"].as_array().unwrap().len(), 2);
    assert_eq!(both["outconn_zmq"][0]["address"], "tcp://local");
    assert_eq!(both["security"].as_array().unwrap().len(), 2);
}
