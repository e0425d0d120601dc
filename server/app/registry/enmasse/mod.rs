//! Enmasse with every object type that there is: what is exported is imported without a difference, old files are read, and what is wrong
//! with a field is said so.
//!
//! The random objects are the same ones on each run; `SEED=2`, and any other number, makes others.

mod random;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busbar_admin::control::Failure;
use busbar_admin::enmasse::{Document, ExportOptions, Format, ImportOptions, Prune, ReadOptions, export, import, plan};
use busbar_admin::{Applied, ChangeError, Changes, Registry};
use busbar_model::object::{Change, ChangeSet, ObjectType, Record, Snapshot};
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment};
use busbar_runtime::{Call, Fault, Handler, Outcome, ReplyTo};
use busbar_store::{Store, diff};
use serde_json::{Map, Value, json};

use crate::registry::TYPES;
use crate::registry::enmasse::random::Random;

const REGISTRY: Registry = Registry::new(TYPES);

/// Runs nothing.
pub(super) struct NoHost;

impl Handler for NoHost {
    fn submit(&self, _call: Call, reply: ReplyTo) {
        reply.send(Outcome::Fault(Fault::new(500, "not here")));
    }

    fn cancel(&self, _cid: Cid) {}

    fn prepare(&self, _deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn commit(&self, _commit: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn abort(&self, _generation: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn configure(&self, _snapshot: Arc<Snapshot>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

async fn server() -> Arc<Changes> {
    let store = Store::in_memory().await.unwrap();
    let changes = Changes::new(store, REGISTRY, Vec::new(), Arc::new(NoHost), |_| true);
    changes.start().await.unwrap();
    changes
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

fn read(format: Format, text: &str) -> Document {
    let name = if format == Format::Json { "all.json" } else { "all.yaml" };
    Document::parse(name, text.as_bytes(), &ReadOptions::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

async fn import_whole(changes: &Arc<Changes>, document: Document) -> Applied {
    let applied = import(changes, document, ImportOptions::default(), "test").await;
    applied.unwrap_or_else(|error| panic!("{error}"))
}

fn write(changes: &Changes, format: Format, with_secrets: bool) -> String {
    let options = ExportOptions {
        format,
        with_secrets,
        ..ExportOptions::default()
    };
    export(REGISTRY, &changes.snapshot(), &options).unwrap()
}

/// A plan that would also delete what the document lacks.
async fn difference(changes: &Arc<Changes>, document: &Document) -> String {
    let options = ImportOptions {
        prune: Prune::All,
        ..ImportOptions::replacing()
    };
    let plan = plan(changes, document, &options)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    if plan.is_empty() {
        String::new()
    } else {
        plan.to_string()
    }
}

#[test]
fn export_then_import_is_no_difference() {
    let mut random = Random::seeded();
    let changes = run(async { random.records(40) }).into_iter().map(Change::Put).collect();
    run(async {
        let here = server().await;
        let applied = here.apply(ChangeSet { changes }, "test").await;
        applied.unwrap_or_else(|error| panic!("{error}"));
        let snapshot = here.snapshot();
        for object_type in TYPES {
            let of_type = snapshot.iter().filter(|it| it.kind == object_type.kind);
            assert!(of_type.count() >= 40, "{}", object_type.kind);
        }
        for format in [Format::Yaml, Format::Json] {
            let text = write(&here, format, true);
            let whole = read(format, &text);
            assert_eq!(difference(&here, &whole).await, "", "{format:?}, into the same server");
            let there = server().await;
            import_whole(&there, whole.clone()).await;
            assert_eq!(difference(&there, &whole).await, "", "{format:?}, into an empty one");
            assert_eq!(diff(&snapshot, &there.snapshot()), ChangeSet::default(), "{format:?}");
            assert_eq!(write(&there, format, true), text, "the same objects, the same text");

            // without its secrets it is no difference where they are
            let bare = read(format, &write(&here, format, false));
            assert_eq!(difference(&here, &bare).await, "", "{format:?}, without secrets");
            let applied = import_whole(&here, bare).await;
            assert_eq!(applied.unchanged.len(), snapshot.records.len());
        }
    });
}

/// What fields may be set to by mistake or on purpose.
fn bad_values() -> Vec<Value> {
    let mut deep = json!("bottom");
    for _ in 0..20 {
        deep = json!([deep]);
    }
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!([]),
        json!([1]),
        json!([{"a": null}]),
        json!({}),
        json!({"a": {"b": 1}}),
        deep,
        json!(""),
        json!(" "),
        json!("-1"),
        json!("'; DROP TABLE object; --"),
        json!("<script>alert(1)</script>"),
        json!("a\r\nX-Injected: 1"),
        json!("line\nbreak"),
        json!("a\u{0}b"),
        json!("\u{1b}[2Jgone"),
        json!("\u{202e}\u{feff}\u{fffd}"),
        json!("{{7*7}} ${HOME} $(id) %s %n"),
        json!("../../../../etc/passwd"),
        json!("x".repeat((1 << 20) + 1)),
    ]
}

/// The one object of a document, as a file would have it.
fn document(key: &str, item: Map<String, Value>) -> Document {
    let text = json!({key: [item]}).to_string();
    read(Format::Json, &text)
}

fn item(object_type: &ObjectType, name: &str, record: &Record) -> Map<String, Value> {
    let mut item = record.body.fields().into_owned();
    item.insert("name".to_owned(), name.into());
    item.insert("is_active".to_owned(), record.is_active.into());
    if let Some(enmasse_type) = object_type.enmasse_type {
        item.insert("type".to_owned(), enmasse_type.into());
    }
    item
}

/// Each problem says where; nothing in it can do harm to whoever looks at it.
fn check_problems(error: ChangeError, what: &str) {
    let ChangeError::Refused(problems) = error else {
        panic!("{what}: {error}")
    };
    assert!(!problems.0.is_empty());
    for problem in &problems.0 {
        assert_eq!(problem.file, "all.json", "{what}: {problem}");
        assert!(
            !problem.object.is_empty() && !problem.message.is_empty(),
            "{what}: {problem}"
        );
        assert!(
            !problem.field.is_empty() || problem.message.contains('`'),
            "{what}: {problem}"
        );
        let text = problem.to_string();
        assert!(
            !text.contains(char::is_control) && text.chars().count() < 5_000,
            "{what}: {text}"
        );
    }
    let failure = serde_json::to_string(&Failure::from(&Error::from(&problems))).unwrap();
    assert!(failure.len() < 20_000, "{what}");
}

#[test]
fn every_field_of_every_type_takes_what_it_should_and_refuses_the_rest() {
    let mut random = Random::seeded();
    let base = run(async { random.records(1) });
    run(async {
        let changes = server().await;
        let set = ChangeSet {
            changes: base.iter().cloned().map(Change::Put).collect(),
        };
        changes
            .apply(set, "test")
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let (mut taken, mut refused) = (0, 0);
        for object_type in TYPES {
            let record = base
                .iter()
                .find(|it| it.kind == object_type.kind && it.name != random::DEFINITION)
                .unwrap();
            let key = object_type.enmasse_keys[0];
            let schema = (object_type.schema)();
            let fields = schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|it| it.0.as_str());
            for field in fields.chain(["name", "is_active", "type", "no_such_field", "<b>", "a\nb", ""]) {
                for value in bad_values() {
                    let what = format!("{} {field:?}: {:.80}", object_type.kind, value.to_string());
                    let mut item = item(object_type, &record.name, record);
                    item.insert(field.to_owned(), value);
                    let document = document(key, item);
                    let before = changes.snapshot();
                    match plan(&changes, &document, &ImportOptions::default()).await {
                        // whatever is accepted is kept as it is
                        Ok(planned) if !planned.is_empty() => {
                            taken += 1;
                            let imported = import(&changes, document, ImportOptions::replacing(), "test").await;
                            imported.unwrap_or_else(|error| panic!("{what}: {error}"));
                            for format in [Format::Yaml, Format::Json] {
                                let again = read(format, &write(&changes, format, true));
                                assert_eq!(difference(&changes, &again).await, "", "{what}");
                            }
                            let back = diff(&changes.snapshot(), &before);
                            changes
                                .apply(back, "test")
                                .await
                                .unwrap_or_else(|error| panic!("{what}: {error}"));
                        }
                        Ok(_) => assert_eq!(changes.snapshot(), before, "{what}"),
                        Err(error) => {
                            refused += 1;
                            check_problems(error, &what);
                            assert_eq!(changes.snapshot(), before, "{what}");
                        }
                    }
                }
            }
            for field in schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                let mut item = item(object_type, "another", record);
                item.remove(field);
                let error = plan(&changes, &document(key, item), &ImportOptions::default())
                    .await
                    .unwrap_err();
                let text = error.to_string();
                let expected = format!("field `{field}`: is required");
                assert!(text.contains(&expected), "{}: {text}", object_type.kind);
                check_problems(error, field);
            }
        }
        assert!(taken > 500 && refused > 2_000, "{taken} taken, {refused} refused");
    });
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/enmasse-all")
        .join(name)
}

/// Files in the shape of Zato's own exports have every type that both it and busbar have.
#[test]
fn files_of_zato_are_read_as_they_are() {
    let env = [("Shop_Password", "s3"), ("CRM_Host", "crm.example.com")];
    let env: BTreeMap<_, _> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let options = ReadOptions {
        env,
        ..ReadOptions::default()
    };
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut kinds: Vec<_> = TYPES.iter().map(|it| it.kind).collect();
    run(async {
        for file in ["zato-2.0.json", "zato-3.2.yaml"] {
            let changes = server().await;
            let document = Document::read(&golden(file), &options).unwrap_or_else(|error| panic!("{error}"));
            let count = document.items.len();
            let applied = import_whole(&changes, document.clone()).await;
            assert_eq!(applied.created.len(), count, "{file}");
            assert_eq!(difference(&changes, &document).await, "", "{file}");
            kinds.retain(|kind| changes.snapshot().iter().all(|it| it.kind != *kind));
            let (text, expected) = (
                write(&changes, Format::Yaml, true),
                golden(&format!("{file}.export.yaml")),
            );
            if update {
                std::fs::write(&expected, text).unwrap();
                continue;
            }
            let expected = std::fs::read_to_string(expected).unwrap();
            assert_eq!(text, expected, "{file}: run with UPDATE_GOLDEN=1 if this is meant");
        }
    });
    assert_eq!(kinds, [""; 0], "a type that neither file has");
}
