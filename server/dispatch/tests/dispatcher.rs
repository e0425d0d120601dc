//! Requests through the dispatcher, to a handler that is not one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busbar_dispatch::{Definitions, Deployer, Dispatcher, ServiceTable};
use busbar_model::object::Snapshot;
use busbar_model::service::ServiceInfo;
use busbar_model::sio::{Declaration, Element, ElementKind};
use busbar_model::{ChannelType, Cid, DataFormat, Error};
use busbar_runtime::call::{ChannelFields, RequestFields};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment, Source};
use busbar_runtime::inbound::{Dispatch, Inbound, builtin};
use busbar_runtime::{Call, Fault, Handler, Head, HeadBuilder, Outcome, Reply, ReplyTo, ServiceHandle};
use busbar_store::Store;
use serde_json::{Value, json};

/// Answers with what it was called with; keeps calls of `silent` unanswered.
#[derive(Default)]
struct Fake {
    names: Mutex<HashMap<ServiceHandle, String>>,
    kept: Mutex<Vec<(Call, ReplyTo)>>,
    cancelled: Mutex<Vec<Cid>>,
    submitted: Mutex<usize>,
}

impl Handler for Fake {
    fn submit(&self, call: Call, reply: ReplyTo) {
        *self.submitted.lock().unwrap() += 1;
        let name = self.names.lock().unwrap()[&call.service].clone();
        match name.as_str() {
            "shop.silent" | "shop.brief" => self.kept.lock().unwrap().push((call, reply)),
            "shop.dead" => reply.send(Outcome::Fault(Fault::new(
                502,
                "The worker process that ran this call died",
            ))),
            _ => {
                let head = Head::unpack(&call.head).unwrap();
                let body = json!({
                    "name": name, "method": head.method, "query": head.query, "params": head.params().collect::<Vec<_>>(),
                    "headers": head.headers().map(|(name, _)| name).collect::<Vec<_>>(), "channel": head.channel,
                    "username": head.username, "body": String::from_utf8_lossy(&call.body),
                });
                reply.send(Outcome::Reply(Reply {
                    status: 200,
                    body: body.to_string().into(),
                    ..Reply::default()
                }));
            }
        }
    }

    fn cancel(&self, cid: Cid) {
        self.cancelled.lock().unwrap().push(cid);
    }

    fn prepare(&self, deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        let module = deployment.sources[0].module.clone();
        let info = |class: &str| ServiceInfo {
            name: format!("{module}.{class}"),
            impl_name: format!("{module}.{class}"),
            module: module.clone(),
            http_methods: Vec::new(),
            sio: None,
            summary: String::new(),
            deadline_secs: None,
            has_request_hash: false,
        };
        let element = |name: &str, required| Element {
            name: name.to_owned(),
            required,
            kind: ElementKind::Text,
            nested: Vec::new(),
        };
        let sio = Declaration {
            input: Some(vec![element("a", true), element("b", true), element("c", false)]),
            ..Declaration::default()
        };
        let infos = vec![
            info("free"),
            ServiceInfo {
                sio: Some(sio),
                ..info("declared")
            },
            ServiceInfo {
                http_methods: vec!["GET".to_owned(), "PUT".to_owned()],
                ..info("verbs")
            },
            info("silent"),
            ServiceInfo {
                deadline_secs: Some(1),
                has_request_hash: false,
                ..info("brief")
            },
            info("dead"),
        ];
        Box::pin(async { Ok(infos) })
    }

    fn commit(&self, commit: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
        let names = commit.services.iter().map(|(name, handle)| (*handle, name.clone()));
        self.names.lock().unwrap().extend(names);
        Box::pin(async { Ok(()) })
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
    fake: Arc<Fake>,
    dispatcher: Arc<Dispatcher>,
}

impl Setup {
    async fn new() -> Self {
        let fake = Arc::new(Fake::default());
        let table = ServiceTable::new();
        let deployer = Deployer::new(Store::in_memory().await.unwrap(), fake.clone(), table.clone());
        let source = Source {
            module: "shop".to_owned(),
            path: "shop.py".to_owned(),
            text: b"x".to_vec(),
            deployed_by: None,
        };
        deployer.deploy(vec![source]).await.unwrap();
        let dispatcher = Dispatcher::new(table, Definitions::new(), fake.clone(), Duration::from_secs(60));
        Self { fake, dispatcher }
    }

    fn submitted(&self) -> usize {
        *self.fake.submitted.lock().unwrap()
    }
}

/// A request, to be built like a sentence.
#[derive(Clone)]
struct Ask<'a> {
    service: &'a str,
    method: &'a str,
    format: DataFormat,
    query: &'a str,
    params: Vec<(&'a str, &'a str)>,
    body: &'a str,
    merge: bool,
    timeout: Option<Duration>,
    cid: Cid,
}

fn ask(service: &str) -> Ask<'_> {
    Ask {
        service,
        method: "POST",
        format: DataFormat::Json,
        query: "",
        params: Vec::new(),
        body: "",
        merge: true,
        timeout: None,
        cid: Cid::new(),
    }
}

impl<'a> Ask<'a> {
    fn inbound(&self) -> Inbound {
        let channel = HeadBuilder::channel(&ChannelFields {
            channel_type: Some(ChannelType::HttpSoap),
            data_format: self.format,
            merge_params: self.merge,
            channel: "the channel",
            username: "ann",
            ..ChannelFields::default()
        });
        let fields = RequestFields {
            method: self.method,
            path: "/",
            query: self.query,
            remote: "",
        };
        let head = HeadBuilder::request(&channel, fields)
            .finish(self.params.iter().copied(), [("x-a", &b"1"[..])].into_iter());
        Inbound {
            cid: self.cid,
            service: self.service.into(),
            channel,
            head,
            body: self.body.to_owned().into(),
            timeout: self.timeout,
        }
    }

    async fn of(&self, setup: &Setup) -> Outcome {
        let outcome = setup.dispatcher.dispatch(self.inbound());
        tokio::time::timeout(Duration::from_secs(20), outcome)
            .await
            .expect("an outcome")
    }

    async fn fault(&self, setup: &Setup) -> (u16, String) {
        match self.of(setup).await {
            Outcome::Fault(fault) => (fault.status, fault.details.unwrap().as_str().unwrap().to_owned()),
            Outcome::Reply(reply) => panic!("{reply:?}"),
        }
    }

    async fn seen(&self, setup: &Setup) -> Value {
        match self.of(setup).await {
            Outcome::Reply(reply) => serde_json::from_slice(&reply.body).unwrap(),
            Outcome::Fault(fault) => panic!("{fault:?}"),
        }
    }
}

#[tokio::test]
async fn a_service_is_called_with_what_came() {
    let setup = Setup::new().await;
    let seen = Ask {
        body: "{\"x\":1}",
        query: "q=1",
        params: vec![("p", "2")],
        ..ask("shop.free")
    }
    .seen(&setup)
    .await;
    assert_eq!(
        seen,
        json!({"name": "shop.free", "method": "POST", "query": "q=1", "params": [["p", "2"]], "headers": ["x-a"],
               "channel": "the channel", "username": "ann", "body": "{\"x\":1}"})
    );
    assert_eq!(
        ask("shop.unknown").fault(&setup).await,
        (404, "Service not found".to_owned())
    );
    assert_eq!(ask("shop.dead").fault(&setup).await.0, 502);
}

#[tokio::test]
async fn what_a_service_could_not_use_does_not_reach_it() {
    let setup = Setup::new().await;
    for body in ["{", "nope", "{\"a\":1}}", "\"\\ud800\""] {
        let declared = Ask {
            body,
            ..ask("shop.declared")
        };
        let (status, details) = declared.fault(&setup).await;
        assert_eq!(status, 400, "{body}");
        assert!(details.starts_with("invalid JSON"), "{details}");
    }
    let missing = |name: &str| (400, format!("Element missing: {name}"));
    assert_eq!(ask("shop.declared").fault(&setup).await, missing("a"));
    assert_eq!(
        Ask {
            body: "{\"a\":null}",
            ..ask("shop.declared")
        }
        .fault(&setup)
        .await,
        missing("b")
    );
    let half = Ask {
        body: "{\"a\":1}",
        query: "x=1&b=2",
        ..ask("shop.declared")
    };
    assert_eq!(
        Ask {
            merge: false,
            ..half.clone()
        }
        .fault(&setup)
        .await,
        missing("b")
    );
    let xml = Ask {
        format: DataFormat::Xml,
        body: "<r><a/></r>",
        ..ask("shop.declared")
    };
    assert_eq!(xml.fault(&setup).await, missing("b"));
    let doctype = Ask {
        format: DataFormat::Xml,
        body: "<!DOCTYPE r><r><a/><b/></r>",
        ..ask("shop.declared")
    };
    assert_eq!(doctype.fault(&setup).await.0, 400);
    assert_eq!(setup.submitted(), 0);

    half.seen(&setup).await;
    Ask {
        method: "GET",
        query: "a=1",
        params: vec![("b", "2")],
        ..ask("shop.declared")
    }
    .seen(&setup)
    .await;
    Ask {
        format: DataFormat::Xml,
        body: "<r><a/><b>1</b></r>",
        ..ask("shop.declared")
    }
    .seen(&setup)
    .await;
    // a service that declares nothing makes what it can of a body
    for format in [DataFormat::None, DataFormat::Json] {
        Ask {
            format,
            body: "{",
            ..ask("shop.free")
        }
        .seen(&setup)
        .await;
    }
    assert_eq!(setup.submitted(), 5);
}

#[tokio::test]
async fn verbs_without_a_method_are_refused_with_an_empty_body() {
    let setup = Setup::new().await;
    let Outcome::Reply(reply) = ask("shop.verbs").of(&setup).await else {
        panic!("a fault")
    };
    assert_eq!((reply.status, reply.body.len()), (405, 0));
    assert_eq!(reply.headers, [("Allow".to_owned(), "GET, PUT".to_owned())]);
    Ask {
        method: "PUT",
        ..ask("shop.verbs")
    }
    .seen(&setup)
    .await;
}

#[tokio::test]
async fn deadlines_are_kept() {
    let setup = Setup::new().await;
    let brief = ask("shop.brief");
    let started = Instant::now();
    assert_eq!(
        brief.fault(&setup).await,
        (504, "The service did not answer in time".to_owned())
    );
    assert!(
        (900..3000).contains(&started.elapsed().as_millis()),
        "{:?}",
        started.elapsed()
    );
    let timed = Ask {
        timeout: Some(Duration::from_millis(50)),
        ..ask("shop.silent")
    };
    assert_eq!(timed.fault(&setup).await.0, 504);
    assert_eq!(*setup.fake.cancelled.lock().unwrap(), [brief.cid, timed.cid]);
    // answers that come after all reach nobody, not even those who have the slots now
    let kept = std::mem::take(&mut *setup.fake.kept.lock().unwrap());
    let next: Vec<_> = (0..64)
        .map(|_| setup.dispatcher.dispatch(ask("shop.silent").inbound()))
        .collect();
    for (_, reply) in kept {
        reply.send(Outcome::Fault(Fault::new(500, "late")));
    }
    for (_, reply) in std::mem::take(&mut *setup.fake.kept.lock().unwrap()) {
        reply.send(Outcome::Fault(Fault::new(500, "in time")));
    }
    for outcome in next {
        let Outcome::Fault(fault) = outcome.await else {
            panic!("a reply")
        };
        assert_eq!(fault.details.unwrap(), "in time");
    }
}

#[tokio::test]
async fn who_leaves_cancels() {
    let setup = Setup::new().await;
    let request = ask("shop.silent");
    let mut outcome = setup.dispatcher.dispatch(request.inbound());
    assert!(
        tokio::time::timeout(Duration::from_millis(10), &mut outcome)
            .await
            .is_err()
    );
    drop(outcome);
    assert_eq!(*setup.fake.cancelled.lock().unwrap(), [request.cid]);
    // who got an answer does not
    ask("shop.free").seen(&setup).await;
    assert_eq!(setup.fake.cancelled.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_calls_get_their_own_answers() {
    let setup = Arc::new(Setup::new().await);
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let setup = Arc::clone(&setup);
            tokio::spawn(async move {
                for round in 0..50 {
                    let body = format!("[{number},{round}]");
                    let seen = Ask {
                        body: &body,
                        ..ask("shop.free")
                    }
                    .seen(&setup)
                    .await;
                    assert_eq!(seen["body"], body);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn the_ping_answers_both_generations_of_clients() {
    let setup = Setup::new().await;
    let request = ask(builtin::PING);
    let seen = request.seen(&setup).await;
    let environment = json!({"result": "ZATO_OK", "cid": request.cid.as_str(), "details": ""});
    assert_eq!(
        seen,
        json!({"pong": "zato", "zato_env": environment, "zato_ping_response": {"pong": "zato"}})
    );
    assert_eq!(setup.submitted(), 0);
}

#[tokio::test]
async fn the_invoker_calls_any_service() {
    let setup = Setup::new().await;
    let invoke = |name| Ask {
        params: vec![(builtin::INVOKER_PARAM, name)],
        ..ask(builtin::INVOKER)
    };
    let seen = Ask {
        body: "{\"x\":1}",
        ..invoke("shop.free")
    }
    .seen(&setup)
    .await;
    assert_eq!(
        (&seen["name"], &seen["body"], &seen["params"]),
        (&json!("shop.free"), &json!("{\"x\":1}"), &json!([]))
    );
    assert_eq!((&seen["username"], &seen["headers"]), (&json!("ann"), &json!(["x-a"])));
    let seen = Ask {
        method: "GET",
        query: "a=1&b=%C5%BC&a=2",
        ..invoke("shop.declared")
    }
    .seen(&setup)
    .await;
    assert_eq!(seen["body"], "{\"a\":[\"1\",\"2\"],\"b\":\"ż\"}");
    assert_eq!(
        Ask {
            method: "GET",
            ..invoke("shop.free")
        }
        .seen(&setup)
        .await["body"],
        ""
    );
    assert_eq!(
        Ask {
            body: "nope",
            ..invoke("shop.declared")
        }
        .fault(&setup)
        .await
        .0,
        400
    );
    assert_eq!(
        invoke("shop.declared").fault(&setup).await,
        (400, "Element missing: a".to_owned())
    );
    assert_eq!(
        invoke("shop.unknown").fault(&setup).await,
        (400, "No such service `shop.unknown`".to_owned())
    );
    for name in ["zato.server.stop", "pub.zato.x", "zato", builtin::INVOKER] {
        assert_eq!(invoke(name).fault(&setup).await.0, 400, "{name}");
    }
    assert_eq!(invoke(builtin::PING).seen(&setup).await["pong"], "zato");
}
