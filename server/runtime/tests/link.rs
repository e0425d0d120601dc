//! Both ends of a link, in one process.
#![expect(clippy::unwrap_used, reason = "this file is a test")]

use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busbar_model::difference::Difference;
use busbar_model::object::{Body, Record, Snapshot};
use busbar_model::service::ServiceInfo;
use busbar_model::{Cid, Error, Kind};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment, Source};
use busbar_runtime::link::frame::{Control, Controlled, Health, Hello};
use busbar_runtime::link::hub::{LinkEvents, WorkerLink};
use busbar_runtime::link::worker::HubLink;
use busbar_runtime::{Call, Fault, Handler, HubPort, HubRequest, Outcome, Reply, ReplyTo, ServiceHandle};
use bytes::Bytes;
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(10);

/// Echoes bodies; keeps calls of service 9 until they are cancelled, never answers service 8.
#[derive(Default)]
struct Echo {
    kept: Mutex<Vec<(Cid, ReplyTo)>>,
    seen: Mutex<Vec<String>>,
}

impl Handler for Echo {
    fn submit(&self, call: Call, reply: ReplyTo) {
        if call.service.0 >= 8 {
            return self.kept.lock().unwrap().push((call.cid, reply));
        }
        assert!(call.deadline > Instant::now());
        let body = [&call.head[..], &call.body[..]].concat().into();
        let headers = vec![("X-One".to_owned(), "1".to_owned())];
        reply.send(Outcome::Reply(Reply {
            status: 207,
            content_type: "text/x".into(),
            headers,
            body,
            stream: None,
        }));
    }

    fn cancel(&self, cid: Cid) {
        let mut kept = self.kept.lock().unwrap();
        if let Some(position) = kept.iter().position(|(other, _)| *other == cid) {
            kept.remove(position)
                .1
                .send(Outcome::Fault(Fault::new(504, "cancelled")));
            self.seen.lock().unwrap().push(format!("cancel {cid}"));
        }
    }

    fn prepare(&self, deployment: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        Box::pin(async move {
            let source = &deployment.sources[0];
            Err(DeployError {
                module: source.module.clone(),
                message: "no".into(),
                traceback: format!("{:?}", source.text),
                worker_lost: false,
            })
        })
    }

    fn commit(&self, _: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Err(Error::new(Kind::Conflict, "not now").with_hint("later")) })
    }

    fn abort(&self, _: u64) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn configure(&self, snapshot: Arc<Snapshot>) -> BoxFuture<'_, Result<(), Error>> {
        let names: Vec<&str> = snapshot.iter().map(|it| it.name.as_str()).collect();
        self.seen.lock().unwrap().push(names.join(" "));
        Box::pin(async { Ok(()) })
    }

    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

struct Port;

impl HubPort for Port {
    fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>> {
        Box::pin(async move {
            if request.name == "known" {
                Ok(request.parts.concat().into())
            } else {
                Err(Error::new(
                    Kind::NotFound,
                    format!("there is no {} `{}`", request.kind, request.name),
                ))
            }
        })
    }
}

struct Events(mpsc::UnboundedSender<String>);

impl LinkEvents for Events {
    fn hello(&self, hello: Hello) {
        self.0.send(format!("hello {}", hello.python)).unwrap();
    }
    fn room(&self) {}
}

struct Pair {
    hub: Arc<WorkerLink>,
    worker: Arc<HubLink>,
    handler: Arc<Echo>,
    served: std::thread::JoinHandle<Result<(), Error>>,
}

async fn pair() -> Pair {
    let (ours, theirs) = StdStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (sender, mut events) = mpsc::unbounded_channel();
    let hub = WorkerLink::spawn(
        tokio::net::UnixStream::from_std(ours).unwrap(),
        Arc::new(Port),
        Arc::new(Events(sender)),
    );
    let (worker, handler) = (HubLink::new(theirs), Arc::new(Echo::default()));
    let (link, handles, runtime) = (worker.clone(), handler.clone(), tokio::runtime::Handle::current());
    let served = std::thread::spawn(move || {
        let hello = Hello {
            pid: 1,
            python: "3.11".into(),
        };
        link.serve(hello, handles, &runtime, || Health {
            running: 5,
            ..Health::default()
        })
    });
    assert_eq!(
        tokio::time::timeout(LIMIT, events.recv()).await.unwrap().unwrap(),
        "hello 3.11"
    );
    Pair {
        hub,
        worker,
        handler,
        served,
    }
}

fn call(service: u32, body: Bytes) -> Call {
    let deadline = Instant::now() + Duration::from_secs(60);
    Call {
        cid: Cid::new(),
        service: ServiceHandle(service),
        deadline,
        head: Bytes::from_static(b"h:"),
        body,
    }
}

async fn outcome(receiver: tokio::sync::oneshot::Receiver<Outcome>) -> Outcome {
    tokio::time::timeout(LIMIT, receiver).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_there_and_back_large_ones_too() {
    let Pair { hub, worker, .. } = pair().await;
    let mut waiting = Vec::new();
    for size in (0..200).chain([100_000, 5_000_000]) {
        let body = Bytes::from(vec![size as u8; size]);
        let (reply, receiver) = ReplyTo::task();
        hub.submit(&call(1, body.clone()), reply);
        waiting.push((body, receiver));
    }
    // outcomes are kept back until somebody flushes: handler threads do when they have nothing else to do
    let flusher = std::thread::spawn(move || {
        for _ in 0..500 {
            busbar_runtime::handler::ReplySink::flush(&*worker);
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    for (body, receiver) in waiting {
        let Outcome::Reply(reply) = outcome(receiver).await else {
            panic!()
        };
        assert_eq!((reply.status, &*reply.content_type), (207, "text/x"));
        assert_eq!(reply.headers, [("X-One".to_owned(), "1".to_owned())]);
        assert_eq!((&reply.body[..2], &reply.body[2..]), (&b"h:"[..], &body[..]));
    }
    assert_eq!(hub.in_flight(), 0);
    flusher.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_lets_its_caller_go_at_once() {
    let Pair {
        hub, worker, handler, ..
    } = pair().await;
    let call = call(9, Bytes::new());
    let (reply, receiver) = ReplyTo::task();
    hub.submit(&call, reply);
    assert_eq!((hub.in_flight(), hub.awaited()), (1, 1));
    assert!(hub.cancel(call.cid) && !hub.cancel(Cid::new()));
    assert!(tokio::time::timeout(LIMIT, receiver).await.unwrap().is_err());
    assert_eq!((hub.in_flight(), hub.awaited()), (1, 0));
    let deadline = Instant::now() + LIMIT;
    while hub.in_flight() > 0 && Instant::now() < deadline {
        busbar_runtime::handler::ReplySink::flush(&*worker);
        tokio::task::yield_now().await;
    }
    assert_eq!(hub.in_flight(), 0);
    assert_eq!(*handler.seen.lock().unwrap(), [format!("cancel {}", call.cid)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rare_requests_are_answered_with_what_came_of_them() {
    let Pair { hub, .. } = pair().await;
    let text = vec![0xff, 0xfe, b'a'];
    let source = Source {
        module: "m".into(),
        path: "/m.py".into(),
        text: text.clone(),
        deployed_by: None,
    };
    let deployment = Deployment {
        generation: 1,
        sources: vec![source],
        builtin: Vec::new(),
        removed: vec![],
        again: false,
    };
    let Controlled::Refused(error) = hub.control(Control::Prepare(deployment), LIMIT).await.unwrap() else {
        panic!()
    };
    assert_eq!(
        (&*error.module, error.traceback),
        ("m", format!("{text:?}")),
        "source text keeps its bytes"
    );
    let commit = Commit {
        generation: 1,
        services: vec![],
    };
    let Controlled::Failed(error) = hub.control(Control::Commit(commit), LIMIT).await.unwrap() else {
        panic!()
    };
    assert_eq!((error.kind, error.hint.as_deref()), (Kind::Conflict, Some("later")));
    assert!(matches!(
        hub.control(Control::Drain, LIMIT).await.unwrap(),
        Controlled::Done
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_of_the_objects_that_it_starts_from_and_of_no_others() {
    let Pair { hub, handler, .. } = pair().await;
    let snapshot = |revision, names: &[&str]| {
        let record = |name: &&str| Record {
            kind: "outgoing.zmq".to_owned(),
            name: (*name).to_owned(),
            is_active: true,
            body: Body::default(),
            version: 1,
            id: 0,
        };
        Snapshot::new(revision, names.iter().map(record).collect())
    };
    let (first, second) = (snapshot(7, &["a", "b"]), snapshot(8, &["b", "c"]));
    let change = || Control::Change(Difference::between(&first, &second));
    let controls = [change(), Control::Configure(first.clone()), change(), change()];
    let mut answers = Vec::new();
    for control in controls {
        answers.push(hub.control(control, LIMIT).await.unwrap());
    }
    assert!(
        matches!(
            answers[..],
            [
                Controlled::Behind,
                Controlled::Done,
                Controlled::Done,
                Controlled::Behind
            ]
        ),
        "{answers:?}"
    );
    assert_eq!(*handler.seen.lock().unwrap(), ["a b", "b c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reaches_connectors_of_the_hub() {
    let Pair { worker, .. } = pair().await;
    let request = |name: &str| HubRequest {
        kind: "outgoing.zmq".into(),
        name: name.into(),
        operation: "send".into(),
        parts: vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")],
    };
    assert_eq!(&worker.request(request("known")).await.unwrap()[..], b"ab");
    let error = worker.request(request("other")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::NotFound, "there is no outgoing.zmq `other`")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_on_a_closed_link_gets_502() {
    let Pair { hub, served, .. } = pair().await;
    let (reply, before) = ReplyTo::task();
    hub.submit(&call(8, Bytes::new()), reply);
    hub.close();
    let (reply, after) = ReplyTo::task();
    hub.submit(&call(1, Bytes::new()), reply);
    for receiver in [before, after] {
        let Outcome::Fault(fault) = outcome(receiver).await else {
            panic!()
        };
        assert_eq!(fault.status, 502);
    }
    let error = hub.control(Control::Drain, LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), Kind::WorkerLost);
    // the worker sees the end of the stream, and ends
    tokio::task::spawn_blocking(|| served.join())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_bring_news() {
    let Pair { hub, .. } = pair().await;
    hub.ping();
    let deadline = Instant::now() + LIMIT;
    while hub.heard().health.running != 5 {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}
