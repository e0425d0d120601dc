//! Enmasse with the real object types: golden files, the documentation's examples, the sample services' files, and every value that a
//! field can have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busbar_admin::enmasse::{Document, ExportOptions, Format, ImportOptions, ReadOptions, export, import, plan};
use busbar_admin::{Changes, Registry};
use busbar_connectors::http::ChannelHttp;
use busbar_connectors::http::outgoing_config::OutgoingHttp;
use busbar_connectors::zmq::OutgoingZmq;
use busbar_dispatch::security::{SecurityApiKey, SecurityBasicAuth};
use busbar_model::object::{Change, ChangeSet, ObjectType, Record, Reference, Snapshot};
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment};
use busbar_runtime::{Call, Fault, Handler, Outcome, ReplyTo};
use busbar_store::Store;
use serde_json::{Map, Value};

/// The types of the executable's registry.
const TYPES: &[ObjectType] = &[
    ObjectType::of::<SecurityBasicAuth>(),
    ObjectType::of::<SecurityApiKey>(),
    ObjectType::of::<ChannelHttp>(),
    ObjectType::of::<OutgoingHttp>(),
    ObjectType::of::<OutgoingZmq>(),
];

const REGISTRY: Registry = Registry::new(TYPES);

/// Runs nothing.
struct NoHost;

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
    let store = Store::in_memory().await.expect("memory");
    let changes = Changes::new(store, REGISTRY, Vec::new(), Arc::new(NoHost), |_| true);
    changes.start().await.expect("nothing is stored yet");
    changes
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|it| it.expect("a file").path()).collect();
    files.retain(|it| it.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

fn environment() -> ReadOptions {
    let env = [("Shop_Password", "s3"), ("Orders_Host", "orders.example.com")];
    let env: BTreeMap<_, _> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    ReadOptions {
        env,
        ..ReadOptions::default()
    }
}

/// `tests/golden/enmasse/CASE/input.*` and what comes of it: `export.yaml`, with secrets, or `problems.txt`.
#[tokio::test]
async fn golden_files() {
    let cases: Vec<_> = files(&repository().join("tests/golden/enmasse"), "")
        .into_iter()
        .filter(|it| it.is_dir())
        .collect();
    assert!(cases.len() >= 4);
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for case in cases {
        let input = ["input.yaml", "input.json"]
            .map(|it| case.join(it))
            .into_iter()
            .find(|it| it.exists())
            .unwrap();
        let changes = server().await;
        let outcome = match Document::read(&input, &environment()) {
            Ok(document) => import(&changes, document, ImportOptions::default(), "test").await,
            Err(problems) => Err(problems.into()),
        };
        let (name, text) = match outcome {
            Ok(_) => {
                let options = ExportOptions {
                    with_secrets: true,
                    ..ExportOptions::default()
                };
                ("export.yaml", export(REGISTRY, &changes.snapshot(), &options).unwrap())
            }
            Err(error) => (
                "problems.txt",
                error.to_string().replace(&format!("{}/", case.display()), "") + "\n",
            ),
        };
        if update {
            std::fs::write(case.join(name), text).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(case.join(name)).unwrap_or_default();
        assert_eq!(
            text,
            expected,
            "{}: run with UPDATE_GOLDEN=1 if this is meant",
            case.display()
        );
    }
}

#[tokio::test]
async fn files_of_the_sample_services_are_imported_together() {
    let changes = server().await;
    for file in files(&repository().join("sample-services/enmasse"), ".yaml") {
        let document = Document::read(&file, &ReadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        import(&changes, document, ImportOptions::default(), "test")
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(changes.snapshot().records.len() >= 8);
}

/// Blocks of code in a page, with the language that each names.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

#[tokio::test]
async fn examples_of_the_documentation_are_imported() {
    let page = std::fs::read_to_string(repository().join("docs/enmasse.md")).unwrap();
    let examples: Vec<_> = blocks(&page)
        .into_iter()
        .filter(|(language, _)| language == "yaml" || language == "json")
        .collect();
    assert!(examples.len() >= 5);
    let changes = server().await;
    for (language, text) in examples {
        // what includes is another example by itself
        if text.contains("include:") || text.contains("file://") {
            continue;
        }
        let document = Document::parse(&format!("example.{language}"), text.as_bytes(), &environment());
        let document = document.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let done = import(&changes, document, ImportOptions { replace: true }, "test").await;
        done.unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[tokio::test]
async fn the_plan_in_the_documentation_is_the_one_that_is_printed() {
    let page = std::fs::read_to_string(repository().join("docs/enmasse.md")).unwrap();
    let blocks = blocks(&page);
    let example = |start: &str| blocks.iter().map(|it| &it.1).find(|it| it.starts_with(start)).unwrap();
    let changes = server().await;
    let read = |text: &str| Document::parse("objects.yaml", text.as_bytes(), &environment()).unwrap();
    import(
        &changes,
        read(example("security:\n  - name: shop\n")),
        ImportOptions::default(),
        "test",
    )
    .await
    .unwrap();
    let planned = plan(&changes, &read(example("# objects-2.yaml\n"))).await.unwrap();
    let shown = example("$ busbar enmasse ~/env/server1 --plan");
    assert_eq!(planned.to_string(), shown.split_once('\n').unwrap().1);
}

/// Texts that YAML, JSON or a reader in between might take for something else.
const ODD_TEXTS: &[&str] = &[
    "",
    "yes",
    "null",
    "~",
    "1",
    "1.0",
    "0123",
    "0x1F",
    "- a",
    "a: b",
    "a #b",
    "[",
    "{",
    "}",
    "*a",
    "&a",
    "!a",
    "%a",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "a\nb",
    "a\n\n",
    " a ",
    "\t",
    "\u{0}",
    "żółw",
    "\u{1f422}",
    "2024-01-01",
    "<<",
    "---",
    "...",
    "X-Key",
    "abc",
    "a/b",
    "application/json",
];

/// A body that the schema allows as far as one can tell, out of examples, odd texts and numbers at the edges.
fn random_body(random: &mut fastrand::Rng, schema: &Value) -> Map<String, Value> {
    let mut body = Map::new();
    for (name, property) in schema["properties"].as_object().expect("an object type has fields") {
        let is_required = schema["required"]
            .as_array()
            .is_some_and(|it| it.iter().any(|it| it == name));
        if is_required || random.u8(..3) > 0 {
            body.insert(name.clone(), random_value(random, schema, property));
        }
    }
    body
}

fn random_value(random: &mut fastrand::Rng, schema: &Value, property: &Value) -> Value {
    if let Some(name) = property["$ref"].as_str().and_then(|it| it.strip_prefix("#/$defs/")) {
        return random_value(random, schema, &schema["$defs"][name]);
    }
    for choices in ["oneOf", "anyOf", "enum"] {
        if let Some(choices) = property[choices].as_array() {
            let choice = &choices[random.usize(..choices.len())];
            return if choice.is_object() {
                random_value(random, schema, choice)
            } else {
                choice.clone()
            };
        }
    }
    if let Some(value) = property.get("const") {
        return value.clone();
    }
    if let Some(examples) = property["examples"].as_array()
        && random.bool()
    {
        return examples[0].clone();
    }
    let types: Vec<&str> = match &property["type"] {
        Value::String(one) => vec![one],
        several => several
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
    };
    let low = property["minimum"].as_f64().unwrap_or(0.0);
    let high = property["maximum"].as_f64().unwrap_or(4_000_000_000.0);
    match types[random.usize(..types.len())] {
        "boolean" => Value::Bool(random.bool()),
        "integer" => [low as i64, high as i64, low as i64 + 7][random.usize(..3)].into(),
        "number" => [low, high, low + 0.125, (low + 1.0) / 3.0][random.usize(..4)].into(),
        "null" => Value::Null,
        "array" => (0..random.usize(..3))
            .map(|_| random_value(random, schema, &property["items"]))
            .collect(),
        "object" => {
            let fields = property["properties"].as_object().expect("an object has fields");
            let fields = fields
                .iter()
                .map(|(name, field)| (name.clone(), random_value(random, schema, field)));
            Value::Object(fields.collect())
        }
        "string" => ODD_TEXTS[random.usize(..ODD_TEXTS.len())].into(),
        other => panic!("teach this test about fields of type {other}"),
    }
}

/// As many random objects as there are whose fields are accepted; a field that is not gets another value.
fn random_records(random: &mut fastrand::Rng, object_type: &ObjectType, count: usize) -> Vec<Record> {
    let schema = (object_type.schema)();
    let mut records = Vec::new();
    while records.len() < count {
        let mut body = random_body(random, &schema);
        let normalised = (0..200).find_map(|_| match (object_type.normalise)(&body) {
            Ok(body) => Some(body),
            Err(error) => {
                let property = &schema["properties"][&error.field];
                assert!(property.is_object(), "{}: {error}", object_type.kind);
                body.insert(error.field, random_value(random, &schema, property));
                None
            }
        });
        let mut body = normalised.unwrap_or_else(|| panic!("{}: no luck with {body:?}", object_type.kind));
        let references = (object_type.references)(&body);
        if references.iter().any(|it| matches!(it, Reference::Security(_))) {
            body.insert("security".to_owned(), "definition".into());
        }
        let name = format!("{} {}", object_type.kind, records.len());
        records.push(Record {
            kind: object_type.kind.to_owned(),
            name,
            is_active: random.bool(),
            body,
            version: 0,
        });
    }
    records
}

#[tokio::test]
async fn every_object_survives_export_and_import() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let body = serde_json::json!({"username": "u", "password": "p"})
        .as_object()
        .unwrap()
        .clone();
    let kind = TYPES[0].kind.to_owned();
    let mut records = vec![Record {
        kind,
        name: "definition".into(),
        is_active: true,
        body,
        version: 0,
    }];
    for object_type in TYPES {
        records.extend(random_records(&mut random, object_type, 200));
    }
    let here = server().await;
    let set = ChangeSet {
        changes: records.into_iter().map(Change::Put).collect(),
    };
    here.apply(set, "test").await.unwrap_or_else(|error| panic!("{error}"));
    let snapshot = here.snapshot();
    for format in [Format::Yaml, Format::Json] {
        let read = |text: &str| {
            let name = if format == Format::Json { "all.json" } else { "all.yaml" };
            Document::parse(name, text.as_bytes(), &ReadOptions::default())
                .unwrap_or_else(|error| panic!("{error}\n{text}"))
        };
        let options = ExportOptions {
            format,
            with_secrets: true,
            ..ExportOptions::default()
        };
        let text = export(REGISTRY, &snapshot, &options).unwrap();
        let there = server().await;
        import(&there, read(&text), ImportOptions::default(), "test")
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        for (a, b) in snapshot.records.iter().zip(&there.snapshot().records) {
            assert_eq!(a, b, "{format:?}");
        }
        assert_eq!(snapshot.records.len(), there.snapshot().records.len());

        // without secrets it is no difference where it came from
        let text = export(
            REGISTRY,
            &snapshot,
            &ExportOptions {
                with_secrets: false,
                ..options
            },
        )
        .unwrap();
        let applied = import(&here, read(&text), ImportOptions::default(), "test")
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (applied.unchanged.len(), applied.revision),
            (snapshot.records.len(), snapshot.revision)
        );
    }
}
