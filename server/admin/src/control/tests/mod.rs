//! Requests and their answers.

mod objects;
mod running;

use std::sync::Mutex;

use busbar_dispatch::{Deployer, ServiceTable};
use busbar_model::Cid;
use busbar_runtime::call::{Outcome, Reply};
use busbar_runtime::inbound::{Dispatch, Inbound};
use busbar_runtime::queue::Message;
use busbar_runtime::{Fault, Head};
use busbar_store::{Period, ServiceTally, Tally};
use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::enmasse::ReadOptions;
use crate::problem::Code;
use crate::samples::Bench;
use crate::statistics::Order;

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

    fn sample(&self, service: &str) -> Option<Sample> {
        (service == "shop.a").then(|| Sample {
            cid: "c1".into(),
            request_at_ms: 1_700_000_000_000,
            response_at_ms: 1_700_000_000_250,
            request: "{}".into(),
            response: "[]".into(),
        })
    }

    fn message(&self, invoke: Invoke) -> Result<Message, Error> {
        if invoke.name != "shop.a" {
            return Err(Error::new(Kind::NotFound, "there is no such service"));
        }
        Ok(Message {
            cid: Cid::new(),
            service: invoke.name,
            head: Bytes::new(),
            body: invoke.payload.0.into(),
            expires: None,
        })
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
    fn deploy(&self, file_name: String, text: Vec<u8>, _who: &str) -> BoxFuture<'_, Result<Deployed, Failure>> {
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

    fn deploy_all(&self, files: Vec<SourceFile>, who: &str) -> BoxFuture<'_, Result<DeployedFiles, Failure>> {
        let who = who.to_owned();
        Box::pin(async move {
            let mut result = DeployedFiles::default();
            for SourceFile { file_name, text } in files {
                let Deployed { generation, services } = self.deploy(file_name.clone(), text.0, &who).await?;
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
            deployed_by: None,
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
            deployed_by: (generation == 7).then(|| "cli:ann".into()),
        };
        let known = module == "shop";
        let sources = [7, 5].map(source).into_iter().filter(|_| known).collect();
        Box::pin(std::future::ready(Ok(sources)))
    }

    fn roll_back(
        &self,
        module: String,
        generation: Option<u64>,
        who: &str,
    ) -> BoxFuture<'_, Result<Deployed, Failure>> {
        let deployed = Deployed {
            generation: 9,
            services: vec![format!("{module} {generation:?} {who}")],
        };
        Box::pin(std::future::ready(Ok(deployed)))
    }

    fn remove(&self, _module: String) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn pickup_dir(&self) -> &Path {
        Path::new("/pickup-dir")
    }

    fn rename(&self, _from: String, to: String, _who: &str) -> BoxFuture<'_, Result<Deployed, Failure>> {
        Box::pin(self.deploy(to, Vec::new(), ""))
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

/// The first of March 2026, 12:00, in seconds since 1970.
pub(crate) const NOON: u64 = 1_772_366_400;

/// Three minutes after noon, in which two services were called.
impl Statistics for Server {
    fn read(
        &self,
        period: Period,
        step: u64,
        services: Option<Vec<String>>,
    ) -> BoxFuture<'_, Result<Vec<ServiceTally>, Error>> {
        let row = |service: &str, minute: u64, calls, total_us, min_us, max_us| ServiceTally {
            service: service.to_owned(),
            began_at: NOON + minute * 60,
            tally: Tally {
                calls,
                total_us,
                min_us,
                max_us,
            },
        };
        let minutes = vec![
            row("shop.a", 0, 8, 10_000, 500, 2_000),
            row("shop.a", 2, 2, 10_000, 1_000, 9_000),
            row("shop.b", 1, 2, 12_000, 5_000, 7_000),
        ];
        let mut parts: Vec<ServiceTally> = Vec::new();
        for minute in minutes {
            if !period.contains(minute.began_at) || services.as_ref().is_some_and(|it| !it.contains(&minute.service)) {
                continue;
            }
            let began_at = period.part_of(minute.began_at, step);
            let known = parts
                .iter_mut()
                .find(|it| it.service == minute.service && it.began_at == began_at);
            match known {
                Some(part) => part.tally = part.tally.with(minute.tally),
                None => parts.push(ServiceTally { began_at, ..minute }),
            }
        }
        Box::pin(std::future::ready(Ok(parts)))
    }

    fn store(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn condense(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn delete(&self, _period: Period) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Parts that are all this one.
pub fn parts() -> Parts {
    let server = Arc::new(Server);
    Parts {
        node: server.clone(),
        services: server.clone(),
        deployments: server.clone(),
        queue: server.clone(),
        statistics: server,
    }
}

async fn control() -> (Control, Bench) {
    let bench = Bench::new().await;
    (Control::new(bench.changes.clone(), parts()), bench)
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
            ..Invoke::default()
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
                ..Invoke::default()
            }),
        ),
    ] {
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
    }
    assert!(serde_json::from_str::<Request>(r#"{"command": "format_disk"}"#).is_err());
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
async fn texts_of_modules_are_listed_and_brought_back() {
    let (control, _bench) = control().await;
    let module = || "shop".to_owned();
    let Response::Sources(sources) = ask(&control, Request::SourceHistory { module: module() }).await else {
        panic!()
    };
    let seen: Vec<_> = sources
        .iter()
        .map(|it| (it.generation, it.size, it.deployed_by.as_deref()))
        .collect();
    assert_eq!(seen, [(7, 13, Some("cli:ann")), (5, 13, None)]);
    let nobody = Request::SourceHistory {
        module: "nobody".into(),
    };
    assert_eq!(failure(&control, nobody).await.kind, Kind::NotFound);
    let roll_back = Request::SourceRollBack {
        module: module(),
        generation: Some(5),
    };
    assert!(matches!(ask(&control, roll_back).await, Response::Deployed(it) if it.services == ["shop Some(5) cli"]));
}

#[tokio::test]
async fn what_services_took_is_a_table() {
    let (control, _) = control().await;
    let request = Request::ServiceStats {
        start: NOON,
        stop: NOON + 180,
        choice: Choice {
            top: 5,
            order: Order::Mean,
            service: None,
        },
    };
    let Response::Stats(summary) = ask(&control, request).await else {
        panic!()
    };
    let table = "\
service       calls  a second     mean ms      min ms      max ms  % calls  % time
shop.b            2      0.01       6.000       5.000       7.000    16.67   37.50
shop.a           10      0.06       2.000       0.500       9.000    83.33   62.50
";
    assert_eq!(summary.to_string(), table);
}
