//! Requests and their answers.

use std::sync::Mutex;

use busbar_dispatch::{Deployer, ServiceTable};
use busbar_runtime::call::{Outcome, Reply};
use busbar_runtime::inbound::{Dispatch, Inbound};
use busbar_runtime::queue::Message;
use busbar_runtime::{Fault, Head};
use serde_json::json;

use super::*;
use crate::enmasse::ReadOptions;
use crate::problem::Code;
use crate::samples::Bench;

/// A server with two services and a clock that stands still.
pub(crate) struct Server;

impl Node for Server {
    fn status(&self) -> BoxFuture<'_, NodeStatus> {
        let worker = |number, restarts| WorkerStatus {
            number,
            pid: Some(100 + number),
            state: "ready".into(),
            calls: 3,
            restarts,
            memory_bytes: 36 << 20,
        };
        Box::pin(async move {
            NodeStatus {
                name: "server1".into(),
                version: "0.1.0".into(),
                pid: 99,
                uptime_secs: 3_700,
                address: "127.0.0.1:11223".into(),
                admin_address: "http://127.0.0.1:8183".into(),
                workers: vec![worker(1, 0), worker(2, 4)],
                redis: RedisStatus {
                    state: "ready".into(),
                    url: String::new(),
                    is_private: true,
                },
                pools: vec![PoolNumbers {
                    kind: "outgoing.sql".into(),
                    name: "CRM".into(),
                    limit: 22,
                    in_use: 3,
                    idle: 1,
                    waited: 7,
                    ..PoolNumbers::default()
                }],
            }
        })
    }

    fn audit_log(&self, channel: &str) -> Option<Vec<AuditEntry>> {
        (channel == "kept").then(Vec::new)
    }

    fn slow_calls(&self, _service: Option<&str>) -> Vec<SlowCall> {
        Vec::new()
    }
}

impl Services for Server {
    fn list(&self) -> Vec<ServiceEntry> {
        let entry = |name: &str| ServiceEntry {
            name: format!("shop.{name}"),
            impl_name: format!("shop.{name}"),
            module: "shop".into(),
            generation: 7,
            is_active: true,
            is_internal: false,
            summary: "Gets it.".into(),
            usage: Usage {
                count: 2,
                total_us: 5_000,
                min_us: 1_000,
                max_us: 4_000,
                mean_us: 2_500,
                last_us: 4_000,
                last_at_ms: 1_700_000_000_000,
            },
        };
        vec![entry("b"), entry("a")]
    }

    fn invoke(&self, invoke: Invoke) -> BoxFuture<'_, Result<Invoked, Error>> {
        Box::pin(async move {
            if invoke.name != "shop.a" {
                return Err(Error::new(Kind::NotFound, "there is no such service").with_hint("look again"));
            }
            Ok(Invoked {
                cid: "c".into(),
                status: 200,
                headers: Vec::new(),
                body: invoke.payload,
            })
        })
    }
}

impl Deployments for Server {
    fn deploy(&self, file_name: String, text: Vec<u8>) -> BoxFuture<'_, Result<Deployed, Failure>> {
        Box::pin(async move {
            if text.starts_with(b"raise") {
                let error = DeployError {
                    module: "shop".into(),
                    message: "name 'x' is not defined".into(),
                    traceback: "Traceback...\n".into(),
                    worker_lost: false,
                };
                return Err(error.into());
            }
            Ok(Deployed {
                generation: 8,
                services: vec![file_name],
            })
        })
    }

    fn deploy_all(&self, files: Vec<SourceFile>) -> BoxFuture<'_, Result<DeployedFiles, Failure>> {
        Box::pin(async move {
            let mut result = DeployedFiles::default();
            for SourceFile { file_name, text } in files {
                let Deployed { generation, services } = self.deploy(file_name.clone(), text.0).await?;
                result.generation = Some(generation);
                result.deployed.push(DeployedFile {
                    file_name,
                    services,
                    is_unchanged: false,
                });
            }
            Ok(result)
        })
    }

    fn failures(&self) -> Vec<StoredFailure> {
        vec![StoredFailure {
            generation: 3,
            module: "shop".into(),
            message: "invalid syntax (shop.py, line 3)".into(),
            traceback: String::new(),
            failed_at: "2026-03-01T12:00:00.000Z".into(),
        }]
    }

    fn source(&self, module: String) -> BoxFuture<'_, Result<Option<StoredSource>, Error>> {
        let source = StoredSource {
            path: format!("/pickup-dir/{module}.py"),
            module,
            text: b"class A: pass".to_vec(),
            hash: String::new(),
            generation: 7,
            deployed_at: "2026-03-01T12:00:00.000Z".into(),
        };
        Box::pin(std::future::ready(Ok(Some(source))))
    }

    fn history(&self, module: String) -> BoxFuture<'_, Result<Vec<StoredSource>, Error>> {
        let source = |generation: u64| StoredSource {
            path: format!("/pickup-dir/{module}.py"),
            module: module.clone(),
            text: b"class A: pass".to_vec(),
            hash: String::new(),
            generation,
            deployed_at: "2026-03-01T12:00:00.000Z".into(),
        };
        let known = module == "shop";
        let sources = [7, 5].map(source).into_iter().filter(|_| known).collect();
        Box::pin(std::future::ready(Ok(sources)))
    }

    fn roll_back(&self, module: String, generation: Option<u64>) -> BoxFuture<'_, Result<Deployed, Failure>> {
        let deployed = Deployed {
            generation: 9,
            services: vec![format!("{module} {generation:?}")],
        };
        Box::pin(std::future::ready(Ok(deployed)))
    }

    fn remove(&self, _module: String) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Queue for Server {
    fn put(&self, _message: Message) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn status(&self) -> BoxFuture<'_, Result<QueueStatus, Error>> {
        let status = QueueStatus {
            waiting: 3,
            running: 1,
            dead: 2,
        };
        Box::pin(std::future::ready(Ok(status)))
    }

    fn dead(&self, limit: usize) -> BoxFuture<'_, Result<Vec<DeadLetter>, Error>> {
        Box::pin(std::future::ready(Ok(vec![DeadLetter::default(); limit.min(2)])))
    }

    fn replay(&self, ids: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(std::future::ready(Ok(ids.map_or(2, |ids| ids.len()))))
    }

    fn forget(&self, _ids: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>> {
        let error = Error::new(Kind::NotFound, "there is no dead letter `1-0`");
        Box::pin(std::future::ready(Err(error)))
    }
}

async fn control() -> (Control, Bench) {
    let bench = Bench::new().await;
    let server = Arc::new(Server);
    let parts = Parts {
        node: server.clone(),
        services: server.clone(),
        deployments: server.clone(),
        queue: server,
    };
    (Control::new(bench.changes.clone(), parts), bench)
}

async fn ask(control: &Control, request: Request) -> Response {
    // as it goes over the socket
    let request = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
    let response = control.answer(request, "cli").await;
    let line = serde_json::to_string(&response).unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), response);
    response
}

async fn failure(control: &Control, request: Request) -> Failure {
    match ask(control, request).await {
        Response::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_status_has_it_all() {
    let (control, _) = control().await;
    let Response::Status(status) = ask(&control, Request::Status).await else {
        panic!()
    };
    assert_eq!(
        status.to_string(),
        "\
server1 runs (pid 99), busbar 0.1.0, up 1h 1m
address   http://127.0.0.1:11223
admin     http://127.0.0.1:8183
services  2
objects   0 (revision 0)
redis     ready (its own)
worker 1  ready, pid 101, 3 calls, 36 MB
worker 2  ready, pid 102, 3 calls, 36 MB, replaced 4 times
outgoing.sql `CRM`  3 of 22 connections in use, 1 idle, 7 had to wait so far
! 2026-03-01T12:00:00.000Z shop: invalid syntax (shop.py, line 3) (generation 3)
"
    );
}

#[tokio::test]
async fn services_are_listed_by_name_and_invoked() {
    let (control, _bench) = control().await;
    let Response::Services(services) = ask(&control, Request::ServiceList { internal: false }).await else {
        panic!()
    };
    assert_eq!(
        ServiceEntry::table(&services),
        "\
name    generation  file                      summary
shop.a           7  shop.py                   Gets it.
shop.b           7  shop.py                   Gets it.
"
    );
    let invoke = |name: &str, payload: Payload| {
        Request::ServiceInvoke(Invoke {
            name: name.into(),
            payload,
            data_format: DataFormat::Json,
            headers: Vec::new(),
            timeout_secs: None,
        })
    };
    for payload in [
        Payload::from("{\"a\": 1}"),
        Payload(vec![0, 0xff, 0x80]),
        Payload::default(),
    ] {
        let Response::Invoked(invoked) = ask(&control, invoke("shop.a", payload.clone())).await else {
            panic!()
        };
        assert_eq!(invoked.body, payload);
    }
    let failure = failure(&control, invoke("nobody", Payload::default())).await;
    assert_eq!(
        (failure.kind, failure.exit_code),
        (Kind::NotFound, exit_code::INVALID_INPUT)
    );
    assert_eq!(failure.to_string(), "there is no such service\nhint: look again");
}

#[tokio::test]
async fn files_are_deployed_under_their_own_names_only() {
    let (control, _bench) = control().await;
    let deploy = |file_name: &str, text: &str| Request::HotDeploy {
        file_name: file_name.into(),
        text: text.into(),
    };
    assert!(matches!(ask(&control, deploy("shop.py", "")).await, Response::Deployed(it) if it.generation == 8));
    assert!(matches!(
        ask(&control, deploy("src/crm/shop.py", "")).await,
        Response::Deployed(_)
    ));
    let failed = failure(&control, deploy("shop.py", "raise x")).await;
    assert_eq!(
        (failed.kind, failed.traceback.as_str()),
        (Kind::Service, "Traceback...\n")
    );
    assert!(
        failed
            .to_string()
            .contains("\nTraceback...\nhint: what ran before still runs"),
        "{failed}"
    );
    for name in [
        "",
        ".py",
        "shop.txt",
        "../shop.py",
        "a/b.py",
        "src/../b.py",
        "/src/b.py",
        "src/.git/b.py",
        "/etc/shop.py",
        ".hidden.py",
        "a\\b.py",
        "a\0.py",
    ] {
        let failed = failure(&control, deploy(name, "")).await;
        assert_eq!(
            (failed.kind, failed.exit_code),
            (Kind::BadRequest, exit_code::INVALID_INPUT),
            "{name}"
        );
    }
    let large = "#".repeat(5 * 1024 * 1024 + 1);
    assert_eq!(failure(&control, deploy("shop.py", &large)).await.kind, Kind::TooLarge);
}

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
    let import = |document: &Document, who: &str| Request::EnmasseImport {
        document: document.clone(),
        options: ImportOptions::default(),
        who: who.into(),
    };
    let Response::Imported(applied) = ask(&control, import(&document, "")).await else {
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

    let failed = failure(
        &control,
        import(&read("outconn_zmq: [{name: a, address: 'tcp://b'}]"), "ann"),
    )
    .await;
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
        import(&read("outconn_zmq: [{name: b}, {name: c, address: 7}]"), "ann"),
    )
    .await;
    assert_eq!((failed.kind, failed.problems.len()), (Kind::BadRequest, 2));
}

#[test]
fn requests_are_what_a_script_would_write() {
    for (text, request) in [
        (r#"{"command": "status"}"#, Request::Status),
        (
            r#"{"command": "enmasse_export"}"#,
            Request::EnmasseExport {
                options: ExportOptions::default(),
            },
        ),
        (
            r#"{"command": "service_invoke", "name": "a", "payload": "{}", "data_format": "json"}"#,
            Request::ServiceInvoke(Invoke {
                name: "a".into(),
                payload: "{}".into(),
                data_format: DataFormat::Json,
                headers: Vec::new(),
                timeout_secs: None,
            }),
        ),
    ] {
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
    }
    assert!(serde_json::from_str::<Request>(r#"{"command": "format_disk"}"#).is_err());
}

/// Echoes payloads, and refuses some.
#[derive(Default)]
struct Echo(Mutex<Vec<Inbound>>);

impl Dispatch for Echo {
    fn dispatch(&self, request: Inbound) -> BoxFuture<'static, Outcome> {
        let head = Head::unpack(&request.head).unwrap();
        assert_eq!(head.channel, &*request.service);
        assert_eq!(head.headers().collect::<Vec<_>>(), [("x-test", &b"1"[..])]);
        let outcome = match &request.body[..] {
            b"refuse" => Outcome::Fault(Fault::new(400, "Element missing: a")),
            body => Outcome::Reply(Reply {
                status: 201,
                content_type: "text/plain".into(),
                headers: vec![("X".into(), "y".into())],
                body: body.to_vec().into(),
                stream: None,
            }),
        };
        self.0.lock().unwrap().push(request);
        Box::pin(std::future::ready(outcome))
    }
}

#[tokio::test]
async fn what_runs_here_is_invoked_and_deployed() {
    let bench = Bench::new().await;
    let dir = tempfile::tempdir().unwrap();
    let deployer = Deployer::new(bench.store.clone(), bench.host.clone(), ServiceTable::new());
    let echo = Arc::new(Echo::default());
    let running = Running::new(deployer, echo.clone(), dir.path().to_owned());

    let deployed = running.deploy("shop.py".into(), b"# service".to_vec()).await.unwrap();
    assert_eq!(
        (deployed.generation, deployed.services),
        (1, vec!["shop.run".to_owned()])
    );
    assert_eq!(std::fs::read(dir.path().join("shop.py")).unwrap(), b"# service");
    let deployed = running.deploy("shop.py".into(), b"# service".to_vec()).await.unwrap();
    assert_eq!(
        (deployed.generation, deployed.services),
        (1, vec!["shop.run".to_owned()]),
        "nothing to do"
    );

    let module = || "shop".to_owned();
    let newer = running.deploy("shop.py".into(), b"# newer".to_vec()).await.unwrap();
    let generations = |history: Vec<StoredSource>| history.iter().map(|it| it.generation).collect::<Vec<_>>();
    assert_eq!(
        generations(running.history(module()).await.unwrap()),
        [newer.generation, 1]
    );
    let back = running.roll_back(module(), None).await.unwrap();
    assert!(back.generation > newer.generation);
    assert_eq!(std::fs::read(dir.path().join("shop.py")).unwrap(), b"# service");
    running.roll_back(module(), Some(newer.generation)).await.unwrap();
    assert_eq!(std::fs::read(dir.path().join("shop.py")).unwrap(), b"# newer");
    running.roll_back(module(), Some(1)).await.unwrap();
    for (module, generation) in [("shop", Some(99)), ("nobody", None)] {
        let failure = running.roll_back(module.into(), generation).await.unwrap_err();
        assert_eq!(failure.kind, Kind::NotFound, "{failure}");
    }

    let failure = running.deploy("shop.py".into(), b"raise".to_vec()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Service);
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(files, ["shop.py"], "nothing is left behind");
    assert_eq!(
        std::fs::read(dir.path().join("shop.py")).unwrap(),
        b"# service",
        "what is broken never gets there"
    );

    let invoke = |name: &str, body: &str| Invoke {
        name: name.into(),
        payload: body.into(),
        data_format: DataFormat::Json,
        headers: vec![("X-Test".into(), "1".into())],
        timeout_secs: Some(3),
    };
    let invoked = running.invoke(invoke("shop.run", "hello")).await.unwrap();
    assert_eq!((invoked.status, invoked.body), (201, "hello".into()));
    assert_eq!(
        invoked.headers,
        [
            ("Content-Type".into(), "text/plain".into()),
            ("X".to_owned(), "y".to_owned())
        ]
    );
    let refused = running.invoke(invoke("shop.run", "refuse")).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&refused.body.0).unwrap();
    assert_eq!(
        (refused.status, body),
        (
            400,
            json!({"result": "Error", "cid": refused.cid, "details": "Element missing: a"})
        )
    );
    assert_eq!(
        echo.0.lock().unwrap()[0].timeout,
        Some(std::time::Duration::from_secs(3))
    );
    let error = running.invoke(invoke("shop.gone", "")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);

    // together: one that is broken does not keep the others from being served, and never gets into the directory
    let file = |file_name: &str, text: &str| SourceFile {
        file_name: file_name.into(),
        text: text.into(),
    };
    let together = vec![
        file("bank.py", "# service"),
        file("broken.py", "raise"),
        file("shop.py", "# service"),
    ];
    let DeployedFiles {
        generation,
        deployed,
        failed,
    } = running.deploy_all(together).await.unwrap();
    assert!(generation.is_some());
    let names: Vec<_> = deployed
        .iter()
        .map(|it| (it.file_name.as_str(), it.is_unchanged))
        .collect();
    assert_eq!(names, [("bank.py", false), ("shop.py", true)]);
    assert_eq!(deployed[0].services, ["bank.run"]);
    assert_eq!((failed.len(), failed[0].file_name.as_str()), (1, "broken.py"));
    assert!(dir.path().join("bank.py").exists() && !dir.path().join("broken.py").exists());
    let twice = vec![file("bank.py", "# service"), file("bank.pyw", "# service")];
    assert_eq!(running.deploy_all(twice).await.unwrap_err().kind, Kind::BadRequest);

    // a directory that is missing is made again; one where a file stands cannot be
    let place = dir.path().to_owned();
    dir.close().unwrap();
    std::fs::write(&place, "").unwrap();
    let failure = running
        .deploy("late.py".into(), b"# service".to_vec())
        .await
        .unwrap_err();
    std::fs::remove_file(place).unwrap();
    assert_eq!(failure.kind, Kind::Config);
    assert_eq!(running.list().len(), 2, "what cannot be kept is not deployed");
}

#[tokio::test]
async fn dead_letters_are_listed_and_put_back() {
    let (control, _bench) = control().await;
    let Response::Queue(status) = ask(&control, Request::QueueStatus).await else {
        panic!()
    };
    assert_eq!((status.waiting, status.running, status.dead), (3, 1, 2));
    let Response::DeadLetters(letters) = ask(&control, Request::QueueDead { limit: 1 }).await else {
        panic!()
    };
    assert_eq!(letters.len(), 1);
    let ids = Some(vec!["1-0".to_owned()]);
    let replayed = ask(&control, Request::QueueReplay { ids: ids.clone() }).await;
    assert_eq!(replayed, Response::QueueChanged { count: 1 });
    let Response::Failed(failure) = ask(&control, Request::QueueForget { ids }).await else {
        panic!()
    };
    assert_eq!(failure.exit_code, exit_code::INVALID_INPUT);
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
        who: String::new(),
    };
    assert!(matches!(ask(&control, roll_back).await, Response::Restored(it) if it.changed == [object.clone()]));
    for (rehearse, revision) in [(true, 3), (false, 4)] {
        let at = Moment::Revision(0);
        let who = "bob".to_owned();
        let restore = Request::Restore { at, rehearse, who };
        assert!(matches!(ask(&control, restore).await, Response::Restored(it) if it.deleted == [object.clone()]));
        assert_eq!(bench.changes.snapshot().revision, revision);
    }
    let before = None;
    let Response::Revisions(revisions) = ask(&control, Request::Revisions { before, limit: 2 }).await else {
        panic!()
    };
    let seen: Vec<_> = revisions
        .iter()
        .map(|it| (it.revision, it.changed_by.as_str()))
        .collect();
    assert_eq!(seen[0], (4, "bob"));
    let nobody = Request::History {
        object: ObjectName {
            kind: "outgoing.zmq".into(),
            name: "nobody".into(),
        },
        limit: 9,
    };
    assert_eq!(failure(&control, nobody).await.kind, Kind::NotFound);
}

#[tokio::test]
async fn texts_of_modules_are_listed_and_brought_back() {
    let (control, _bench) = control().await;
    let module = || "shop".to_owned();
    let Response::Sources(sources) = ask(&control, Request::SourceHistory { module: module() }).await else {
        panic!()
    };
    let seen: Vec<_> = sources.iter().map(|it| (it.generation, it.size)).collect();
    assert_eq!(seen, [(7, 13), (5, 13)]);
    let nobody = Request::SourceHistory {
        module: "nobody".into(),
    };
    assert_eq!(failure(&control, nobody).await.kind, Kind::NotFound);
    let roll_back = Request::SourceRollBack {
        module: module(),
        generation: Some(5),
    };
    assert!(matches!(ask(&control, roll_back).await, Response::Deployed(it) if it.services == ["shop Some(5)"]));
}
