//! The doors of the management API: who comes in, who may do what behind them, and who must wait.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_dispatch::security::{
    Permission, RbacClientRole, RbacRole, RbacRolePermission, SecurityApiKey, SecurityBasicAuth, hashed_password,
};
use busbar_dispatch::{Definitions, Delivery, Dispatcher, ServiceTable};
use busbar_model::object::{Object, Record, Snapshot};
use busbar_model::service::ServiceInfo;
use busbar_model::{ChannelType, Cid, DataFormat, Error};
use busbar_runtime::call::{ChannelFields, RequestFields};
use busbar_runtime::handler::{BoxFuture, Commit, DeployError, Deployment};
use busbar_runtime::inbound::{Admission, Dispatch, Entrance, Gate, Guard, Inbound, Verdict, Visitor, builtin};
use busbar_runtime::native::{Door, NativeCall, Natives};
use busbar_runtime::queue::{DeadLetter, Deliver, Delivered, Message, Queue, QueueStatus};
use busbar_runtime::{Call, Configure, Fault, Handler, Head, HeadBuilder, Outcome, Reply, ReplyTo};
use serde_json::{Value, json};

/// Services of the hub: each says by whom it was called, and through what.
struct Fake;

impl Natives for Fake {
    fn has(&self, name: &str) -> bool {
        name.starts_with("zato.http-soap.") || name == builtin::INVOKE
    }

    fn call(&self, call: NativeCall) -> BoxFuture<'static, Outcome> {
        let security = Head::unpack(&call.head).unwrap().security_name.to_owned();
        let door = match call.door {
            Door::Channel => "channel",
            Door::Api => "api",
            Door::Internal => "internal",
        };
        let body = format!("{} {door} {security}", call.service);
        Box::pin(std::future::ready(Outcome::Reply(Reply {
            status: 200,
            body: body.into(),
            ..Reply::default()
        })))
    }
}

/// There are no workers.
struct Nobody;

impl Handler for Nobody {
    fn submit(&self, _: Call, _: ReplyTo) {}

    fn cancel(&self, _: Cid) {}

    fn prepare(&self, _: Arc<Deployment>) -> BoxFuture<'_, Result<Vec<ServiceInfo>, DeployError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn commit(&self, _: Arc<Commit>) -> BoxFuture<'_, Result<(), Error>> {
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

fn record(kind: &str, name: &str, body: Value) -> Record {
    Record {
        kind: kind.to_owned(),
        name: name.to_owned(),
        is_active: true,
        body: body.as_object().cloned().unwrap().into(),
        version: 1,
        id: 1,
    }
}

/// `pubapi` with a password of which only a hash is kept; `viewer`, who may list; `robot`, who may do everything with channels; `guest`.
fn snapshot() -> Snapshot {
    let basic = |name: &str, password: &str| {
        let body = json!({"username": name, "password": password, "realm": "Zato public API"});
        record(SecurityBasicAuth::KIND, name, body)
    };
    let given = |role: &str, service: &str, permission: &str| {
        let body = json!({"role": role, "service": service, "permission": permission});
        record(
            RbacRolePermission::KIND,
            &format!("{role} {service} {permission}"),
            body,
        )
    };
    let client = |definition: &str, role: &str| {
        let body = json!({"client_def": definition, "role": role});
        record(RbacClientRole::KIND, definition, body)
    };
    Snapshot::new(
        1,
        vec![
            basic("pubapi", &hashed_password("s3cret").unwrap()),
            basic("viewer", "v"),
            basic("guest", "g"),
            record(
                SecurityApiKey::KIND,
                "robot",
                json!({"header": "X-Key", "password": "k"}),
            ),
            record(RbacRole::KIND, "Viewer", json!({"parent": "Root"})),
            record(RbacRole::KIND, "Robot", json!({"parent": "Root"})),
            given("Viewer", "zato.*.get-list", "Read"),
            given("Robot", "zato.http-soap.*", "Create"),
            given("Robot", "zato.http-soap.*", "Delete"),
            given("Robot", "busbar.*", "Update"),
            given("Root", "crm.*", "Read"),
            client("viewer", "Viewer"),
            client("robot", "Robot"),
        ],
    )
}

fn definitions() -> Definitions {
    let definitions = Definitions::new();
    definitions.prepare(&snapshot()).unwrap().commit();
    definitions
}

fn guard(definitions: &Definitions, service: &str) -> Arc<dyn Guard> {
    let guards = definitions.guards(&snapshot()).unwrap();
    let entrance = Entrance {
        channel: "door",
        service,
        security: Some("pubapi"),
        is_management: true,
        ..Entrance::default()
    };
    guards.of(&entrance).unwrap().unwrap()
}

fn basic(name: &str, password: &str) -> (&'static str, String) {
    (
        "authorization",
        format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))),
    )
}

async fn enter(guard: &dyn Guard, remote: &str, headers: &[(&'static str, String)]) -> Result<Admission, Fault> {
    let header = |name: &str| {
        let found = headers.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value.as_bytes())
    };
    let visitor = Visitor {
        cid: Cid::new(),
        method: "POST",
        url: &String::new,
        query: "",
        remote: remote.parse::<IpAddr>().unwrap(),
        header: &header,
        certificate: None,
        is_proxied: false,
    };
    match guard.check(&visitor) {
        Verdict::In(admission) => Ok(admission),
        Verdict::Out(fault) => Err(fault),
        Verdict::Wait(waiting) => waiting.await,
        Verdict::Body(look) => look(b"").await,
    }
}

#[tokio::test]
async fn its_own_user_comes_in_and_whoever_has_a_role_for_it() {
    let definitions = definitions();
    let guard = guard(&definitions, builtin::MANAGE);
    let by = async |headers: &[(&'static str, String)]| {
        let entered = enter(&*guard, "10.0.0.1", headers).await;
        entered.map(|admission| admission.map(|identity| identity.name.clone()))
    };
    let key = |key: &str| ("x-key", key.to_owned());
    // looked at once, then known
    for _ in 0..2 {
        assert_eq!(by(&[basic("pubapi", "s3cret")]).await, Ok(None));
    }
    assert_eq!(by(&[basic("viewer", "v")]).await, Ok(Some("viewer".to_owned())));
    assert_eq!(by(&[key("k")]).await, Ok(Some("robot".to_owned())));
    for wrong in [
        &[][..],
        &[basic("pubapi", "guess")],
        &[basic("viewer", "w")],
        &[basic("guest", "g")],
        &[key("j")],
    ] {
        let fault = by(wrong).await.unwrap_err();
        let challenge = (
            "WWW-Authenticate".to_owned(),
            "Basic realm=\"Zato public API\"".to_owned(),
        );
        assert_eq!((fault.status, fault.headers), (401, vec![challenge]));
    }
}

#[tokio::test]
async fn a_door_for_one_service_is_for_those_who_may_call_it() {
    let definitions = definitions();
    let create = guard(&definitions, "zato.http-soap.create");
    assert!(enter(&*create, "10.0.0.1", &[("x-key", "k".to_owned())]).await.is_ok());
    assert!(enter(&*create, "10.0.0.1", &[basic("viewer", "v")]).await.is_err());
    let upload = guard(&definitions, builtin::UPLOAD);
    assert!(enter(&*upload, "10.0.0.1", &[("x-key", "k".to_owned())]).await.is_err());
}

#[tokio::test]
async fn who_is_wrong_too_often_must_wait() {
    let definitions = definitions();
    let guard = guard(&definitions, builtin::MANAGE);
    // asking what to send is no attempt
    for _ in 0..60 {
        assert_eq!(enter(&*guard, "10.0.0.1", &[]).await.unwrap_err().status, 401);
    }
    for _ in 0..10 {
        let fault = enter(&*guard, "10.0.0.1", &[basic("pubapi", "guess")])
            .await
            .unwrap_err();
        assert_eq!(fault.status, 401);
    }
    let fault = enter(&*guard, "10.0.0.1", &[basic("pubapi", "s3cret")])
        .await
        .unwrap_err();
    assert_eq!(fault.status, 429);
    let (name, seconds) = &fault.headers[0];
    assert!(
        name == "Retry-After" && (1..=60).contains(&seconds.parse::<u32>().unwrap()),
        "{fault:?}"
    );
    // one user of one address waits, not everybody
    assert!(enter(&*guard, "10.0.0.1", &[basic("viewer", "v")]).await.is_ok());
    assert!(enter(&*guard, "10.0.0.2", &[basic("pubapi", "s3cret")]).await.is_ok());
    // log-ins for tokens are counted with them
    for _ in 0..10 {
        enter(&*guard, "10.0.0.3", &[basic("ann", "guess")]).await.unwrap_err();
    }
    let dispatcher = dispatcher(&definitions);
    let body = json!({"username": "ann", "password": "right"}).to_string();
    let outcome = ask(&dispatcher, builtin::LOG_IN, &[], "", &[], "10.0.0.3:1", &body).await;
    assert_eq!(outcome.0, 429);
}

#[tokio::test]
async fn passwords_are_kept_as_hashes_on_other_channels_and_in_groups_too() {
    let definitions = Definitions::new();
    let partners = json!({"members": ["pubapi", "viewer", "robot"]});
    let partners = record("security_group", "partners", partners);
    let snapshot = Snapshot::new(2, snapshot().iter().cloned().chain([partners]).collect());
    let guards = definitions.guards(&snapshot).unwrap();
    let groups = ["partners".to_owned()];
    let group = Entrance {
        groups: &groups,
        ..Entrance::default()
    };
    let group = guards.of(&group).unwrap().unwrap();
    for _ in 0..2 {
        let found = enter(&*group, "10.0.0.1", &[basic("pubapi", "s3cret")]).await.unwrap();
        assert_eq!(found.unwrap().name, "pubapi");
    }
    assert!(enter(&*group, "10.0.0.1", &[basic("viewer", "v")]).await.is_ok());
    let plain = Entrance {
        security: Some("pubapi"),
        ..Entrance::default()
    };
    let plain = guards.of(&plain).unwrap().unwrap();
    assert!(enter(&*plain, "10.0.0.1", &[basic("pubapi", "s3cret")]).await.is_ok());
    // the hash is no password
    let hash = snapshot.security("pubapi").unwrap().body["password"].as_str().unwrap();
    for guard in [&group, &plain] {
        for wrong in ["guess", hash] {
            let fault = enter(&**guard, "10.0.0.2", &[basic("pubapi", wrong)])
                .await
                .unwrap_err();
            assert!(matches!(fault.status, 401 | 403), "{fault:?}");
        }
    }
    for _ in 0..10 {
        enter(&*group, "10.0.0.3", &[basic("pubapi", "guess")])
            .await
            .unwrap_err();
    }
    let fault = enter(&*plain, "10.0.0.3", &[basic("pubapi", "s3cret")])
        .await
        .unwrap_err();
    assert_eq!(fault.status, 429);
}

#[test]
fn roles_say_what_else_may_be_managed() {
    let definitions = definitions();
    let may =
        |definition: &str, service: &str| definitions.may_manage(definition, service, Permission::of_service(service));
    for all in ["pubapi", "admin.invoke"] {
        assert!(may(all, "zato.http-soap.delete") && may(all, "zato.service.upload-package"));
        assert!(may(all, "busbar.enmasse.import"));
    }
    assert!(may("ide_publisher", builtin::IDE_DEPLOY) && !may("ide_publisher", "zato.http-soap.get-list"));
    assert!(may("viewer", "zato.http-soap.get-list") && may("viewer", "zato.scheduler.job.get-list"));
    assert!(may("robot", "zato.http-soap.create") && may("robot", "zato.http-soap.delete"));
    for (definition, service) in [
        ("viewer", "zato.http-soap.get"),
        ("viewer", "zato.http-soap.delete"),
        ("robot", "zato.http-soap.edit"),
        // which is about everything at once, whatever a role says
        ("robot", "busbar.enmasse.import"),
        ("robot", "zato.scheduler.job.create"),
        ("guest", "zato.http-soap.get-list"),
        ("nobody", "zato.http-soap.get-list"),
        ("", "zato.ping"),
    ] {
        assert!(!may(definition, service), "{definition} {service}");
    }
}

#[test]
fn whoever_manages_a_part_has_no_more_called_by_others() {
    let definitions = definitions();
    let may = |definition, service, is_management| definitions.may_have_called(definition, service, is_management);
    for all in ["pubapi", "admin.invoke"] {
        assert!(
            may(all, "zato.http-soap.delete", true) && may(all, "crm.get", false),
            "{all}"
        );
    }
    assert!(may("viewer", "zato.http-soap.get-list", true));
    assert!(!may("viewer", "zato.http-soap.delete", true) && !may("viewer", "crm.get", false));
}

/// The head of a call that has no request. `is_held_to_roles`: it came through a door of the management API.
fn head(channel_type: ChannelType, security_name: &str, is_held_to_roles: bool) -> bytes::Bytes {
    let channel = HeadBuilder::channel(&ChannelFields {
        channel_type: Some(channel_type),
        channel: "invoke",
        security_name,
        is_held_to_roles,
        ..ChannelFields::default()
    });
    HeadBuilder::request(&channel, RequestFields::default()).finish([].into_iter(), [].into_iter())
}

#[test]
fn limits_do_not_go_with_the_roles() {
    let definitions = definitions();
    let is_limited = |definition: &str, is_held| {
        let head = head(ChannelType::HttpSoap, definition, is_held);
        definitions.is_limited(&Head::unpack(&head).unwrap())
    };
    for (definition, of_own_channel) in [
        ("pubapi", false),
        ("viewer", true),
        ("robot", true),
        ("guest", false),
        ("", false),
    ] {
        assert_eq!(is_limited(definition, false), of_own_channel, "{definition}");
        assert_eq!(is_limited(definition, true), definition != "pubapi", "{definition}");
    }
    definitions.prepare(&without_roles()).unwrap().commit();
    assert!(is_limited("viewer", true) && !is_limited("viewer", false));
}

/// The same definitions, of which none has a role.
fn without_roles() -> Snapshot {
    let records = snapshot()
        .iter()
        .filter(|it| it.kind != RbacClientRole::KIND)
        .cloned()
        .collect();
    Snapshot::new(2, records)
}

#[tokio::test]
async fn who_loses_all_roles_has_nothing_run_that_was_left_with_limits() {
    let (queue, definitions) = (Arc::new(Kept::default()), definitions());
    let dispatcher = dispatcher(&definitions);
    let delivery = Delivery::new(dispatcher, ServiceTable::new(), queue, Duration::from_secs(60));
    let left = |security: &str, is_held| Message {
        cid: Cid::new(),
        service: "zato.http-soap.get-list".to_owned(),
        head: head(ChannelType::Named, security, is_held),
        body: "{}".to_owned().into(),
        expires: None,
    };
    assert_eq!(delivery.deliver(left("viewer", true)).await, Delivered::Done);
    definitions.prepare(&without_roles()).unwrap().commit();
    let refused = delivery.deliver(left("viewer", true)).await;
    assert!(
        matches!(&refused, Delivered::Never(reason) if reason.contains("403")),
        "{refused:?}"
    );
    // who had none came through a channel that somebody made for that
    assert_eq!(delivery.deliver(left("guest", false)).await, Delivered::Done);
}

fn dispatcher(definitions: &Definitions) -> Arc<Dispatcher> {
    let dispatcher = Dispatcher::new(
        ServiceTable::new(),
        definitions.clone(),
        Arc::new(Nobody),
        Duration::from_secs(60),
    );
    dispatcher.serve_natives(Arc::new(Fake));
    dispatcher
}

async fn ask(
    dispatcher: &Dispatcher,
    service: &str,
    params: &[(&str, &str)],
    security: &str,
    headers: &[(&str, &str)],
    remote: &str,
    body: &str,
) -> (u16, String) {
    let channel = HeadBuilder::channel(&ChannelFields {
        channel_type: Some(ChannelType::HttpSoap),
        data_format: DataFormat::Json,
        channel: "door",
        security_name: security,
        ..ChannelFields::default()
    });
    let fields = RequestFields {
        method: "POST",
        path: "/zato",
        query: "",
        remote,
    };
    let head = HeadBuilder::request(&channel, fields).finish(
        params.iter().copied(),
        headers.iter().map(|(name, value)| (*name, value.as_bytes())),
    );
    let inbound = Inbound {
        cid: Cid::new(),
        service: service.into(),
        channel,
        head,
        body: body.to_owned().into(),
        timeout: None,
    };
    match dispatcher.dispatch(inbound).await {
        Outcome::Reply(reply) => (reply.status, String::from_utf8_lossy(&reply.body).into_owned()),
        Outcome::Fault(fault) => (fault.status, fault.details.unwrap_or_default().to_string()),
    }
}

#[tokio::test]
async fn behind_the_doors_roles_are_looked_at_again() {
    let dispatcher = dispatcher(&definitions());
    let named = async |door: &str, service: &str, security: &str| {
        ask(
            &dispatcher,
            door,
            &[(builtin::INVOKER_PARAM, service)],
            security,
            &[],
            "127.0.0.1:1",
            "{}",
        )
        .await
    };
    for (door, shown) in [(builtin::MANAGE, "channel"), (builtin::MANAGE_INVOKER, "api")] {
        let list = "zato.http-soap.get-list";
        for security in ["pubapi", "viewer"] {
            let expected = (200, format!("{list} {shown} {security}"));
            assert_eq!(named(door, list, security).await, expected);
        }
        assert_eq!(named(door, list, "guest").await.0, 403);
        assert_eq!(named(door, "zato.http-soap.delete", "viewer").await.0, 403);
        assert_eq!(named(door, "zato.http-soap.delete", "robot").await.0, 200);
    }
    // what there is not is not told to those who may not call it
    assert_eq!(named(builtin::MANAGE, "zato.nothing.get", "pubapi").await.0, 404);
    assert_eq!(named(builtin::MANAGE, "zato.nothing.get", "viewer").await.0, 403);
    // services of users: for whoever may, by method
    assert_eq!(named(builtin::MANAGE_INVOKER, "crm.get", "pubapi").await.0, 400);
    assert_eq!(named(builtin::MANAGE_INVOKER, "crm.get", "viewer").await.0, 403);
    assert_eq!(
        named(builtin::INVOKER, "zato.http-soap.get-list", "pubapi").await.0,
        400
    );
}

#[tokio::test]
async fn a_soap_action_names_the_service() {
    let dispatcher = dispatcher(&definitions());
    let act = async |headers: &[(&str, &str)], security: &str| {
        ask(
            &dispatcher,
            builtin::MANAGE_SOAP,
            &[],
            security,
            headers,
            "127.0.0.1:1",
            "<x/>",
        )
        .await
    };
    for action in ["zato.http-soap.get-list", "\"zato.http-soap.get-list\""] {
        let (status, body) = act(&[("soapaction", action)], "pubapi").await;
        assert_eq!((status, body.as_str()), (200, "zato.http-soap.get-list channel pubapi"));
    }
    for missing in [&[][..], &[("soapaction", "")], &[("soapaction", "\"\"")]] {
        assert_eq!(act(missing, "pubapi").await.0, 400);
    }
    let (status, body) = act(&[("soapaction", "zato.nothing")], "pubapi").await;
    assert!(
        status == 404 && body.ends_with("Unknown URL:`/zato` or SOAP action:`zato.nothing`"),
        "{body}"
    );
    assert_eq!(act(&[("soapaction", "zato.http-soap.delete")], "viewer").await.0, 403);
}

/// A queue that keeps what is put into it.
#[derive(Default)]
struct Kept(Mutex<Vec<Message>>);

impl Queue for Kept {
    fn put(&self, message: Message) -> BoxFuture<'static, Result<(), Error>> {
        self.0.lock().unwrap().push(message);
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> BoxFuture<'_, Result<QueueStatus, Error>> {
        Box::pin(async { Ok(QueueStatus::default()) })
    }

    fn dead(&self, _: usize) -> BoxFuture<'_, Result<Vec<DeadLetter>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn replay(&self, _: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async { Ok(0) })
    }

    fn forget(&self, _: Option<Vec<String>>) -> BoxFuture<'_, Result<usize, Error>> {
        Box::pin(async { Ok(0) })
    }
}

#[tokio::test]
async fn messages_for_services_of_the_hub_are_run_with_the_rights_of_whoever_left_them() {
    let queue = Arc::new(Kept::default());
    let dispatcher = dispatcher(&definitions());
    let delivery = Delivery::new(dispatcher, ServiceTable::new(), queue.clone(), Duration::from_secs(60));
    // of callers outside: their roles are looked at when the message is run
    let named = |security: &str, body: &str| Message {
        cid: Cid::new(),
        service: "zato.http-soap.delete".to_owned(),
        head: head(ChannelType::Named, security, false),
        body: body.to_owned().into(),
        expires: None,
    };
    let envelope =
        r#"{"payload": "{}", "callback": ["zato.http-soap.create", "crm.gone"], "environ": {"a": 7}, "cid": "c"}"#;
    let refused = delivery.deliver(named("viewer", envelope)).await;
    assert!(
        matches!(&refused, Delivered::Never(reason) if reason.contains("403")),
        "{refused:?}"
    );
    assert_eq!(delivery.deliver(named("robot", envelope)).await, Delivered::Done);
    assert!(
        queue.0.lock().unwrap().is_empty(),
        "what callers send is no envelope, whatever it looks like"
    );

    // of services: anything, and what they say is to be called is
    let service = "zato.http-soap.delete".to_owned();
    let message = Message::of_service(Cid::new(), service.clone(), envelope.into(), None);
    assert_eq!(delivery.deliver(message).await, Delivered::Done);
    let gone = queue.0.lock().unwrap().pop().unwrap();
    assert_eq!(gone.service, "crm.gone");
    let body: Value = serde_json::from_slice(&gone.body).unwrap();
    assert_eq!(
        (&body["payload"], &body["caller"]),
        (&json!("zato.http-soap.delete internal "), &Value::Null)
    );
    let called = queue.0.lock().unwrap().pop().unwrap();
    assert_eq!(called.service, "zato.http-soap.create");
    let body: Value = serde_json::from_slice(&called.body).unwrap();
    assert_eq!(
        body,
        json!({"payload": "\"zato.http-soap.delete internal \"", "caller": "zato.http-soap.delete",
               "channel": "invoke-async-callback", "in_reply_to": "c", "environ": {"a": 7}})
    );
    for wrong in ["", "[]", r#"{"payload": {"a": 1}}"#] {
        let message = Message::of_service(Cid::new(), service.clone(), wrong.into(), None);
        let delivered = delivery.deliver(message).await;
        assert!(matches!(delivered, Delivered::Never(_)), "{wrong}: {delivered:?}");
    }
}
