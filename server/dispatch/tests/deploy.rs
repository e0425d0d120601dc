//! Deployments against a handler that "imports" texts of the form `Name Name`, refuses those that begin with `broken`, and dies of those
//! that begin with `deadly`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use busbar_dispatch::deploy::read_source;
use busbar_dispatch::{Deployer, ServiceTable};
use busbar_model::object::Snapshot;
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment, Source};
use busbar_runtime::{Call, Handler, ReplyTo};
use busbar_store::Store;

#[derive(Default)]
struct Importer {
    prepared: Mutex<Option<u64>>,
    committed: Mutex<Vec<Commit>>,
    sources: Mutex<BTreeMap<String, String>>,
    /// How many of the next imports it dies in, whatever the files are.
    deaths: Mutex<u32>,
    imports: Mutex<u32>,
}

impl Handler for Importer {
    fn submit(&self, _: Call, _: ReplyTo) {
        unreachable!("these tests call nothing")
    }

    fn cancel(&self, _: Cid) {}

    fn prepare(&self, deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        Box::pin(async move {
            let mut infos = Vec::new();
            *self.imports.lock().unwrap() += 1;
            let mut deaths = self.deaths.lock().unwrap();
            if *deaths > 0 {
                *deaths -= 1;
                return Err(DeployError {
                    module: String::new(),
                    message: "the worker died".into(),
                    traceback: String::new(),
                    worker_lost: true,
                });
            }
            for source in &deployment.sources {
                let text = String::from_utf8(source.text.clone()).unwrap();
                if text.starts_with("broken") || text.starts_with("deadly") {
                    return Err(DeployError {
                        // a file that kills whoever imports it does not say its name
                        module: if text.starts_with("deadly") {
                            String::new()
                        } else {
                            source.module.clone()
                        },
                        worker_lost: text.starts_with("deadly"),
                        message: text,
                        traceback: "line 1".into(),
                    });
                }
                self.sources.lock().unwrap().insert(source.module.clone(), text.clone());
                infos.extend(text.split_whitespace().map(|name| ServiceInfo {
                    name: name.to_lowercase(),
                    impl_name: format!("{}.{name}", source.module),
                    module: source.module.clone(),
                    http_methods: vec![],
                    sio: None,
                    summary: String::new(),
                    deadline_secs: None,
                    has_request_hash: false,
                }));
            }
            *self.prepared.lock().unwrap() = Some(deployment.generation);
            Ok(infos)
        })
    }

    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            assert_eq!(self.prepared.lock().unwrap().take(), Some(commit.generation));
            self.committed.lock().unwrap().push(Commit::clone(&commit));
            Ok(())
        })
    }

    fn abort(&self, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn configure(&self, _: Arc<Snapshot>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

struct Setup {
    store: Arc<Store>,
    importer: Arc<Importer>,
    table: Arc<ServiceTable>,
    deployer: Arc<Deployer>,
}

fn setup(store: Arc<Store>) -> Setup {
    let (importer, table) = (Arc::new(Importer::default()), ServiceTable::new());
    let deployer = Deployer::new(store.clone(), importer.clone(), table.clone());
    Setup {
        store,
        importer,
        table,
        deployer,
    }
}

fn source(module: &str, text: &str) -> Source {
    Source {
        module: module.into(),
        path: format!("/pickup/{module}.py"),
        text: text.into(),
        deployed_by: None,
    }
}

fn names(deployer: &Deployer) -> Vec<String> {
    deployer.list().into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn a_broken_file_is_left_out_and_the_others_are_deployed() {
    let Setup {
        deployer,
        table,
        importer,
        ..
    } = setup(Store::in_memory().await.unwrap());
    let report = deployer
        .deploy(vec![
            source("a", "One Two"),
            source("b", "broken"),
            source("c", "Three"),
        ])
        .await
        .unwrap();
    assert_eq!(report.deployed["a"], ["one", "two"]);
    assert_eq!(
        report.failed.iter().map(|error| &*error.module).collect::<Vec<_>>(),
        ["b"]
    );
    assert_eq!(names(&deployer), ["one", "three", "two"]);
    assert_eq!(deployer.last_failures()[0].module, "b");

    // the handles that calls carry are those that the workers know
    let commit = importer.committed.lock().unwrap().last().unwrap().clone();
    for (impl_name, handle) in commit.services {
        let row = deployer
            .list()
            .into_iter()
            .find(|row| row.impl_name == impl_name)
            .unwrap();
        assert_eq!(table.get(&row.name).unwrap().handle, handle);
    }
}

#[tokio::test]
async fn a_redeployed_module_brings_new_handles_and_loses_what_it_lost() {
    let Setup {
        deployer,
        table,
        importer,
        ..
    } = setup(Store::in_memory().await.unwrap());
    deployer.deploy(vec![source("a", "One Two")]).await.unwrap();
    let before = table.get("one").unwrap();
    let report = deployer.deploy(vec![source("a", "One")]).await.unwrap();
    let after = table.get("one").unwrap();
    assert!(after.handle.0 > before.handle.0 && after.generation > before.generation);
    assert_eq!(report.generation, Some(after.generation));
    assert_eq!(names(&deployer), ["one"]);

    deployer.deploy(vec![source("a", "broken now")]).await.unwrap();
    assert_eq!(table.get("one").unwrap().handle, after.handle, "what ran goes on");

    // put back as it was: nothing is imported, and the failure is forgotten
    let commits = importer.committed.lock().unwrap().len();
    let report = deployer.deploy(vec![source("a", "One")]).await.unwrap();
    assert_eq!(
        (report.unchanged, importer.committed.lock().unwrap().len()),
        (vec!["a".to_owned()], commits)
    );
    assert!(deployer.last_failures().is_empty());
}

#[tokio::test]
async fn a_start_takes_what_changed_and_falls_back_to_what_was_good() {
    let Setup { deployer, store, .. } = setup(Store::in_memory().await.unwrap());
    deployer
        .deploy(vec![source("a", "One"), source("b", "Two"), source("gone", "Three")])
        .await
        .unwrap();

    let files = vec![source("a", "Four"), source("b", "broken")];
    let restarted = setup(store.clone());
    let report = restarted.deployer.start(files.clone(), false).await.unwrap();
    assert_eq!(report.failed[0].module, "b");
    assert_eq!(names(&restarted.deployer), ["four", "three", "two"]);
    assert_eq!(restarted.importer.sources.lock().unwrap()["b"], "Two");

    let restarted = setup(store);
    restarted.deployer.start(files, true).await.unwrap();
    assert_eq!(
        names(&restarted.deployer),
        ["four", "two"],
        "the file of `three` is gone, and so it is"
    );
}

#[tokio::test]
async fn a_start_falls_back_file_by_file_when_a_file_kills_its_importer() {
    let Setup { deployer, store, .. } = setup(Store::in_memory().await.unwrap());
    deployer
        .deploy(vec![source("a", "One"), source("b", "Two"), source("c", "Three")])
        .await
        .unwrap();
    let restarted = setup(store);
    let files = vec![
        source("a", "Four"),
        source("b", "deadly"),
        source("c", "broken"),
        source("new", "deadly"),
    ];
    let report = restarted.deployer.start(files, false).await.unwrap();
    assert_eq!(names(&restarted.deployer), ["four", "three", "two"]);
    let failed = |modules: Vec<&str>| modules.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let expected = failed(vec!["b", "c", "new"]);
    assert_eq!(
        report
            .failed
            .iter()
            .map(|error| error.module.clone())
            .collect::<BTreeSet<_>>(),
        expected
    );
    let shown = restarted.deployer.last_failures();
    assert_eq!(failed(shown.iter().map(|failure| &*failure.module).collect()), expected);
}

#[tokio::test]
async fn a_deployment_that_meets_a_dying_worker_is_tried_once_more() {
    let Setup { deployer, importer, .. } = setup(Store::in_memory().await.unwrap());
    *importer.deaths.lock().unwrap() = 1;
    let report = deployer.deploy(vec![source("a", "One")]).await.unwrap();
    assert_eq!(report.deployed["a"], ["one"]);
    assert!(deployer.last_failures().is_empty());
    *importer.deaths.lock().unwrap() = 1;
    let report = deployer.remove(&["a".to_owned()]).await.unwrap();
    assert!(report.failed.is_empty());
    assert_eq!(names(&deployer), [""; 0]);

    // and no more often
    *importer.imports.lock().unwrap() = 0;
    let report = deployer.deploy(vec![source("b", "deadly")]).await.unwrap();
    assert_eq!(report.failed[0].module, "b");
    assert_eq!(*importer.imports.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_file_without_services_any_more_takes_those_that_it_had_along() {
    let Setup { deployer, .. } = setup(Store::in_memory().await.unwrap());
    deployer
        .deploy(vec![source("a", "One"), source("b", "Two")])
        .await
        .unwrap();
    deployer.deploy(vec![source("a", " ")]).await.unwrap();
    assert_eq!(names(&deployer), ["two"]);
}

#[tokio::test]
async fn removed_modules_are_forgotten() {
    let Setup { deployer, store, .. } = setup(Store::in_memory().await.unwrap());
    deployer
        .deploy(vec![source("a", "One"), source("b", "Two")])
        .await
        .unwrap();
    deployer
        .remove(&["a".to_owned(), "never-there".to_owned()])
        .await
        .unwrap();
    assert_eq!(names(&deployer), ["two"]);
    assert_eq!(store.current_sources().await.unwrap().len(), 1);
}

#[test]
fn a_file_that_is_no_source_is_refused_before_it_is_read_as_a_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("large.py");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = read_source(&path, None).unwrap_err();
    assert!(error.to_string().contains("larger than 5 MB"), "{error}");
    std::fs::write(&path, "a = 1").unwrap();
    assert_eq!(read_source(&path, None).unwrap().text, b"a = 1");
}

#[tokio::test]
async fn a_name_goes_back_to_who_had_it() {
    let Setup { deployer, table, .. } = setup(Store::in_memory().await.unwrap());
    deployer.deploy(vec![source("b", "Twice Own")]).await.unwrap();
    let first = table.get("twice").unwrap();
    deployer.deploy(vec![source("a", "Twice")]).await.unwrap();
    let second = table.get("twice").unwrap();
    assert_eq!(second.info.module, "a", "the last one is served");

    // the other has its own changes meanwhile, and takes the name with them
    deployer.deploy(vec![source("c", "Twice")]).await.unwrap();
    deployer.remove(&["c".to_owned()]).await.unwrap();
    assert_eq!(table.get("twice").unwrap().handle, second.handle);
    deployer.deploy(vec![source("a", "Other")]).await.unwrap();
    assert_eq!(table.get("twice").unwrap().handle, first.handle);
    assert_eq!(names(&deployer), ["other", "own", "twice"]);
    deployer.remove(&["b".to_owned()]).await.unwrap();
    assert_eq!(names(&deployer), ["other"]);
}

#[tokio::test]
async fn after_a_restart_the_last_one_has_the_name_still() {
    let store = Store::in_memory().await.unwrap();
    let Setup { deployer, .. } = setup(store.clone());
    deployer.deploy(vec![source("b", "Twice")]).await.unwrap();
    deployer.deploy(vec![source("a", "Twice")]).await.unwrap();
    let restarted = setup(store);
    let files = vec![source("a", "Twice"), source("b", "Twice")];
    restarted.deployer.start(files, false).await.unwrap();
    assert_eq!(restarted.table.get("twice").unwrap().info.module, "a");
}
