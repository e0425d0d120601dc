//! Enmasse with real object types: golden files, the documentation's examples, the sample services' files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busbar_admin::enmasse::{Document, ExportOptions, ImportOptions, ReadOptions, export, import, plan};
use busbar_admin::{Changes, Registry};
use busbar_connectors::http::ChannelHttp;
use busbar_connectors::http::outgoing_config::OutgoingHttp;
use busbar_connectors::zmq::OutgoingZmq;
use busbar_dispatch::security::{SecurityApiKey, SecurityBasicAuth};
use busbar_model::object::{ObjectType, Snapshot};
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment};
use busbar_runtime::{Call, Fault, Handler, Outcome, ReplyTo};
use busbar_store::Store;

/// Some of the executable's registry, whose tests have all of them.
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
        let done = import(&changes, document, ImportOptions::replacing(), "test").await;
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
    let planned = plan(
        &changes,
        &read(example("# objects-2.yaml\n")),
        &ImportOptions::default(),
    )
    .await
    .unwrap();
    let shown = example("$ busbar enmasse ~/env/server1 --plan");
    assert_eq!(planned.to_string(), shown.split_once('\n').unwrap().1);
}
