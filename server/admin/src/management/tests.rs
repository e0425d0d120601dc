//! Management services over a server whose parts only take notes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_dispatch::Definitions;
use busbar_model::{Cid, DataFormat};
use busbar_runtime::call::{ChannelFields, RequestFields};
use busbar_runtime::native::{Door, NativeCall, Natives};
use busbar_runtime::{HeadBuilder, Outcome};
use serde_json::{Value, json};

use super::catalogue::CATALOGUE;
use super::{Management, served};
use crate::control::tests::parts;
use crate::samples::Bench;

async fn management() -> (Management, Bench) {
    let bench = Bench::new().await;
    (
        Management::new(bench.changes.clone(), parts(), Definitions::new()),
        bench,
    )
}

/// A call through a door for JSON.
fn call(door: Door, service: &str, input: &Value) -> NativeCall {
    let channel = ChannelFields {
        data_format: DataFormat::Json,
        username: "admin.invoke",
        ..ChannelFields::default()
    };
    call_by(&channel, door, service, input)
}

/// The same, by whoever these say.
fn call_by(caller: &ChannelFields<'_>, door: Door, service: &str, input: &Value) -> NativeCall {
    let channel = HeadBuilder::channel(caller);
    NativeCall {
        door,
        cid: Cid::new(),
        service: service.into(),
        head: HeadBuilder::request(&channel, RequestFields::default()).finish([].into_iter(), [].into_iter()),
        body: input.to_string().into(),
    }
}

/// The status and the body of what a service answers over a JSON channel.
async fn ask(management: &Management, service: &str, input: Value) -> (u16, Value) {
    match management.call(call(Door::Channel, service, &input)).await {
        Outcome::Reply(reply) => (reply.status, serde_json::from_slice(&reply.body).unwrap()),
        Outcome::Fault(fault) => (fault.status, fault.details.unwrap_or_default()),
    }
}

/// The answer of a service that is to succeed, out of its response element.
async fn ok(management: &Management, service: &str, input: Value) -> Value {
    let (status, mut body) = ask(management, service, input).await;
    assert_eq!(status, 200, "{service}: {body}");
    assert_eq!(body["zato_env"]["result"], "ZATO_OK");
    body[&CATALOGUE[service].response_element].take()
}

#[tokio::test]
async fn definitions_and_channels_are_managed_by_their_numbers() {
    let (management, bench) = management().await;
    let shop = json!({"cluster_id": 1, "name": "shop", "is_active": "on", "username": "shop", "realm": "Shop"});
    let created = ok(&management, "zato.security.basic-auth.create", shop.clone()).await;
    let id = created["id"].as_u64().unwrap();
    assert_eq!(created, json!({"id": id, "name": "shop"}));
    // nobody knows the password until it is set
    let password = bench.changes.snapshot().records[0].body["password"].clone();
    assert!(password.as_str().unwrap().len() > 30);
    let (status, details) = ask(&management, "zato.security.basic-auth.create", shop).await;
    assert_eq!(status, 409);
    assert!(details.as_str().unwrap().contains("exists already"), "{details}");

    let change = |one: &str, two: &str| json!({"id": id, "password1": one, "password2": two});
    for (one, two, field) in [("", "", "password1"), ("a", "", "password2"), ("a", "b", "password2")] {
        let (status, details) = ask(
            &management,
            "zato.security.basic-auth.change-password",
            change(one, two),
        )
        .await;
        assert_eq!(status, 400);
        assert!(details.as_str().unwrap().contains(field), "{details}");
    }
    ok(
        &management,
        "zato.security.basic-auth.change-password",
        change("s3cret", "s3cret"),
    )
    .await;
    assert_eq!(bench.changes.snapshot().records[0].body["password"], "s3cret");

    let list = ok(
        &management,
        "zato.security.basic-auth.get-list",
        json!({"cluster_id": 1}),
    )
    .await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        (&list[0]["username"], &list[0]["realm"]),
        (&json!("shop"), &json!("Shop"))
    );
    assert!(!list.to_string().contains("s3cret"));

    // references follow a new name; an old version is refused
    let channel = json!({"name": "shop.in", "is_active": true, "connection": "channel", "transport": "plain_http", "url_path": "/shop",
                         "service": "known.a", "security_id": id, "cluster_id": 1, "is_internal": false});
    let channel = ok(&management, "zato.http-soap.create", channel).await;
    let renamed = json!({"id": id, "cluster_id": 1, "name": "store", "is_active": true, "username": "shop", "realm": "", "version": 2});
    ok(&management, "zato.security.basic-auth.edit", renamed.clone()).await;
    let late = ask(&management, "zato.security.basic-auth.edit", renamed).await;
    assert_eq!(late.0, 409, "{}", late.1);
    let shown = ok(&management, "zato.http-soap.get", json!({"id": channel["id"]})).await;
    assert_eq!(
        (&shown["security_name"], &shown["security_id"]),
        (&json!("store"), &json!(id))
    );
    assert_eq!(shown["sec_type"], "basic_auth");
    let in_use = ask(&management, "zato.security.basic-auth.delete", json!({"id": id})).await;
    assert_eq!(in_use.0, 409, "{}", in_use.1);
    ok(&management, "zato.http-soap.delete", json!({"id": channel["id"]})).await;

    let edited =
        json!({"id": id, "cluster_id": 1, "name": "shop", "is_active": false, "username": "shop2", "realm": ""});
    ok(&management, "zato.security.basic-auth.edit", edited).await;
    let record = bench.changes.snapshot().records[0].clone();
    assert_eq!(
        (record.is_active, &record.body["username"], record.id),
        (false, &json!("shop2"), id)
    );
    assert_eq!(record.body["password"], "s3cret");

    for (service, input, status) in [
        ("zato.security.basic-auth.delete", json!({"id": 4711}), 404),
        ("zato.security.basic-auth.delete", json!({"id": "x"}), 400),
        ("zato.security.basic-auth.delete", json!({}), 400),
        ("zato.security.basic-auth.edit", json!({"id": id}), 400),
        (
            "zato.security.basic-auth.create",
            json!({"name": "a\nb", "is_active": true, "username": "u", "realm": ""}),
            400,
        ),
        (
            "zato.security.basic-auth.create",
            json!({"name": "a", "is_active": "perhaps", "username": "u", "realm": ""}),
            400,
        ),
        ("zato.security.basic-auth.create", json!([1]), 400),
    ] {
        assert_eq!(
            ask(&management, service, input.clone()).await.0,
            status,
            "{service} {input}"
        );
    }
    ok(&management, "zato.security.basic-auth.delete", json!({"id": id})).await;
    assert!(bench.changes.snapshot().records.is_empty());
}

#[tokio::test]
async fn lists_are_paged_sorted_and_filtered() {
    let (management, _bench) = management().await;
    for number in 0..7 {
        let input = json!({"name": format!("shop {number}"), "is_active": true, "username": format!("u{}", 6 - number),
                           "realm": ""});
        ok(&management, "zato.security.basic-auth.create", input).await;
    }
    let input = json!({"paginate": true, "cur_page": 2, "page_size": 3, "sort_by": "-username"});
    let (_, body) = ask(&management, "zato.security.basic-auth.get-list", input).await;
    let names: Vec<_> = body["zato_security_basic_auth_get_list_response"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let names: Vec<_> = names.into_iter().map(|it| it["username"].as_str().unwrap()).collect();
    assert_eq!(names, ["u3", "u2", "u1"]);
    assert_eq!(
        (&body["_meta"]["total"], &body["_meta"]["num_pages"]),
        (&json!(7), &json!(3))
    );
    let found = ok(
        &management,
        "zato.security.basic-auth.get-list",
        json!({"query": "SHOP 4"}),
    )
    .await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    let beyond = json!({"paginate": true, "cur_page": 99});
    let beyond = ok(&management, "zato.security.basic-auth.get-list", beyond).await;
    assert_eq!(beyond, json!([]));
    for wrong in [
        json!({"paginate": true, "cur_page": 0}),
        json!({"paginate": true, "page_size": 100_000}),
        json!({"sort_by": "nothing"}),
    ] {
        assert_eq!(
            ask(&management, "zato.security.basic-auth.get-list", wrong).await.0,
            400
        );
    }
}

#[tokio::test]
async fn both_generations_of_clients_are_answered_in_their_shape() {
    let (management, _bench) = management().await;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let decoded = |body: &Value| {
        let text = STANDARD.decode(body.as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let two = json!({"name": "zato.ping", "data_format": "json", "channel": "invoke", "async": false, "payload": "eyJhIjogMX0=\n",
                     "transport": null, "expiration": 15});
    let (_, body) = ask(&management, "zato.service.invoke", two).await;
    assert_eq!(body["zato_env"]["result"], "ZATO_OK");
    let inner = decoded(&body["zato_service_invoke_response"]["response"]);
    assert_eq!(inner, json!({"zato_ping_response": {"pong": "zato"}}));

    let three = json!({"name": "zato.ping", "payload": "eyJhIjogMX0=", "channel": "invoke", "data_format": "json", "transport": null,
                       "is_async": false, "expiration": 15, "pid": null, "all_pids": false, "timeout": null,
                       "skip_response_elem": true});
    let (_, body) = ask(&management, "zato.service.invoke", three).await;
    assert_eq!(decoded(&body["response"]), json!({"pong": "zato"}));

    // a deployed service's answer as it is
    let (_, body) = ask(
        &management,
        "zato.service.invoke",
        json!({"name": "shop.a", "payload": "e30=", "is_async": false}),
    )
    .await;
    assert_eq!(decoded(&body["response"]), json!({}));
    for (input, status) in [
        (json!({"payload": "e30="}), 400),
        (json!({"name": "shop.a", "id": 1}), 400),
        (json!({"name": "shop.a", "payload": "???"}), 400),
        (json!({"name": "nobody", "is_async": false}), 404),
        (json!({"name": "nobody", "is_async": true}), 404),
        (json!({"name": "zato.service.invoke"}), 400),
        (json!({"name": "zato.service.invoke", "is_async": true}), 400),
        (json!({"name": "zato.ping", "is_async": true}), 200),
        (json!({"name": "shop.a", "data_format": "x"}), 400),
    ] {
        assert_eq!(
            ask(&management, "zato.service.invoke", input.clone()).await.0,
            status,
            "{input}"
        );
    }
}

#[tokio::test]
async fn services_are_listed_as_either_version_asks() {
    let (management, _bench) = management().await;
    for (input, count) in [
        (json!({"cluster_id": 1, "name_filter": "*"}), 2),
        (json!({"cluster_id": 1, "name_filter": "SHOP b"}), 1),
        (json!({"cluster_id": 1, "name_filter": ""}), 0),
        (json!({"cluster_id": 1, "query": "shop"}), 2),
        (json!({}), 2),
    ] {
        let list = ok(&management, "zato.service.get-list", input.clone()).await;
        assert_eq!(list.as_array().unwrap().len(), count, "{input}");
    }
    let one = ok(
        &management,
        "zato.service.get-by-name",
        json!({"cluster_id": 1, "name": "shop.a"}),
    )
    .await;
    assert_eq!(
        (&one["impl_name"], &one["slow_threshold"]),
        (&json!("shop.a"), &json!(99_999))
    );
    let same = ok(
        &management,
        "zato.service.get-by-id",
        json!({"cluster_id": 1, "id": one["id"]}),
    )
    .await;
    assert_eq!((&same["id"], &same["name"]), (&one["id"], &one["name"]));
    let source = ok(
        &management,
        "zato.service.get-source-info",
        json!({"cluster_id": 1, "name": "shop.a"}),
    )
    .await;
    assert_eq!(source["source"], "Y2xhc3MgQTogcGFzcw==");
    assert_eq!(
        ask(&management, "zato.service.get-by-name", json!({"name": "nobody"}))
            .await
            .0,
        404
    );
}

/// Services of the catalogue that there are not, and why.
const MISSING: &[(&str, &str)] = &[
    (
        "pub.zato.channel.json-rpc.gateway",
        "stands behind channels of JSON-RPC, which call it with requests of theirs",
    ),
    (
        "pub.zato.service.service-invoker",
        "stands behind `/zato/api/invoke/{service_name}`, whose path says what it calls",
    ),
    (
        "zato.apispec.get-sphinx",
        "gives the pages of Sphinx as an archive: `/openapi` shows the same, and get-api-spec describes it",
    ),
    (
        "zato.cache.builtin.create",
        "makes another cache: there is one, which config/server.toml describes",
    ),
    (
        "zato.cache.builtin.delete",
        "deletes a cache: there is one, which config/server.toml describes",
    ),
    (
        "zato.cache.builtin.edit",
        "changes a cache: there is one, which config/server.toml describes",
    ),
    (
        "zato.helpers.html-service",
        "is a class for services of users to derive from: called itself it has no page to show",
    ),
    (
        "zato.hot-deploy.create",
        "deploys a package that another server has stored: whatever is uploaded is deployed at once",
    ),
    (
        "zato.http-soap.get-url-security",
        "shows a table inside of Zato's servers: get-list says of every channel what guards it",
    ),
    (
        "zato.http-soap.set-audit-response-data",
        "is how Zato's servers store the second half of what they keep: both halves are kept at once",
    ),
    (
        "zato.kv-data.auto-clean-up",
        "removes what has expired: keys in Redis and in the cache expire by themselves",
    ),
    (
        "zato.service.rpc-service-invoker",
        "stands behind RPC channels of Zato: those of JSON-RPC need none",
    ),
];

#[test]
fn every_service_of_the_catalogue_is_there_or_is_known_to_be_missing() {
    let served: HashSet<&str> = served().into_iter().map(|service| service.name.as_str()).collect();
    let names = CATALOGUE.keys().map(String::as_str);
    let mut missing: Vec<&str> = names.filter(|name| !served.contains(name)).collect();
    missing.sort_unstable();
    assert_eq!(missing, MISSING.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

/// Names of all services in the tables of the specification (management.md 6).
const SPECIFIED: &str = include_str!("catalogue/spec.txt");

/// Services that the compatibility tables name, and the state that they say these have.
fn promised() -> HashMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Table {
        row: Vec<Promise>,
    }
    #[derive(serde::Deserialize)]
    struct Promise {
        what: String,
        state: String,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility/management.toml");
    let table: Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut promised = HashMap::new();
    for row in table.row {
        for part in row.what.split("; ") {
            let Some((family, operations)) = part.split_once(".*`: ") else {
                continue;
            };
            for operation in operations.split(", ") {
                let name = format!("{}.{operation}", family.trim_start_matches('`'));
                promised.insert(name, row.state.clone());
            }
        }
    }
    promised
}

#[test]
fn every_service_of_the_specification_is_what_the_compatibility_tables_say() {
    let served: HashSet<&str> = served().into_iter().map(|service| service.name.as_str()).collect();
    let promised = promised();
    let is_missing = |name: &str| MISSING.iter().any(|(missing, _)| *missing == name);
    assert_eq!(SPECIFIED.lines().count(), 491);
    for name in SPECIFIED.lines() {
        let is_right = match promised.get(name).map(String::as_str) {
            Some("works") => served.contains(name),
            Some("differs") => served.contains(name) || is_missing(name),
            Some("not yet") => !CATALOGUE.contains_key(name),
            _ => false,
        };
        assert!(is_right, "{name}: {:?}", promised.get(name));
    }
    // what is in the catalogue and neither in those tables nor busbar's own stands in the text around them
    let own = ["busbar.", "pub.", "helpers.", "zato.common."];
    let others = CATALOGUE.values().filter(|service| {
        let is_get = service.name.ends_with(".get");
        !is_get && !own.iter().any(|it| service.name.starts_with(it)) && !promised.contains_key(&service.name)
    });
    let mut others: Vec<&str> = others.map(|service| service.name.as_str()).collect();
    others.sort_unstable();
    let expected = [
        "zato.kv-data.auto-clean-up",
        "zato.kvdb.log-connection-info",
        "zato.outgoing.redis.create",
        "zato.outgoing.redis.delete",
        "zato.outgoing.redis.ping",
        "zato.outgoing.zmq.ping",
    ];
    assert_eq!(others, expected);
}

#[tokio::test]
async fn wsdl_and_samples_are_kept_of_services() {
    let (management, _bench) = management().await;
    for (service, input, status) in [
        (
            "zato.service.set-wsdl",
            json!({"name": "nobody", "wsdl": "PGEvPg==", "wsdl_name": "a"}),
            404,
        ),
        (
            "zato.service.set-wsdl",
            json!({"name": "shop.a", "wsdl": "??", "wsdl_name": "a"}),
            400,
        ),
        (
            "zato.service.set-wsdl",
            json!({"name": "shop.a", "wsdl": "/w==", "wsdl_name": "a"}),
            400,
        ),
        (
            "zato.service.set-wsdl",
            json!({"name": "shop.a", "wsdl": "PGEvPg==", "wsdl_name": "../a"}),
            400,
        ),
        ("busbar.wsdl", json!({"service": "shop.a", "cluster_id": "1"}), 404),
        ("busbar.wsdl", json!({"service": "shop.a"}), 400),
        (
            "zato.service.configure-request-response",
            json!({"name": "shop.a", "sample_req_resp_freq": -1}),
            400,
        ),
    ] {
        let (found, details) = ask(&management, service, input.clone()).await;
        assert_eq!(found, status, "{service} {input}: {details}");
    }
    let has = |name: &str| json!({"name": name, "cluster_id": 1});
    let before = ok(&management, "zato.service.has-wsdl", has("shop.a")).await;
    assert_eq!(before["has_wsdl"], false);
    let set = json!({"name": "shop.a", "wsdl": "PGEv\nPg==\n", "wsdl_name": "a.wsdl", "cluster_id": 1});
    ok(&management, "zato.service.set-wsdl", set).await;
    assert_eq!(
        ok(&management, "zato.service.has-wsdl", has("shop.a")).await["has_wsdl"],
        true
    );
    let kept = ok(&management, "zato.service.get-wsdl", json!({"service": "shop.a"})).await;
    assert_eq!(
        (&kept["wsdl"], &kept["wsdl_name"]),
        (&json!("PGEvPg=="), &json!("a.wsdl"))
    );

    let every = json!({"name": "shop.a", "sample_req_resp_freq": 10, "cluster_id": 1});
    ok(&management, "zato.service.configure-request-response", every).await;
    let sample = ok(&management, "zato.service.get-request-response", has("shop.a")).await;
    assert_eq!(
        (
            &sample["sample_req_resp_freq"],
            &sample["sample_cid"],
            &sample["sample_req"],
            &sample["sample_resp"]
        ),
        (&json!(10), &json!("c1"), &json!("e30="), &json!("W10="))
    );
    let none = ok(&management, "zato.service.get-request-response", has("shop.b")).await;
    assert_eq!(
        (&none["sample_req_resp_freq"], &none["sample_req"]),
        (&json!(0), &json!(""))
    );
    // one setting leaves the others alone
    assert_eq!(
        ok(&management, "zato.service.has-wsdl", has("shop.a")).await["has_wsdl"],
        true
    );
}

#[tokio::test]
async fn many_objects_are_made_and_deleted_together() {
    let (management, bench) = management().await;
    let shop = |name: &str, username: &str| json!({"name": name, "username": username, "password": "x"});
    let many = |kind: &str, objects: Value| json!({"object_type": kind, "object_list": objects});
    let two = many("security.basic_auth", json!([shop("a", "a"), shop("b", "b")]));
    let made = ok(&management, "zato.common.create-objects", two).await;
    assert_eq!((&made["created"], &made["warnings"]), (&json!(2), &json!([])));
    for (service, input, status) in [
        // one is there already and different, so the other is not made either
        (
            "create-objects",
            many("security.basic_auth", json!([shop("c", "c"), shop("a", "z")])),
            409,
        ),
        ("create-objects", many("nothing", json!([])), 400),
        ("create-objects", many("security", json!([1])), 400),
        ("create-objects", json!({"object_type": "security"}), 400),
        ("delete-objects", many("security", json!(["a", "nobody"])), 404),
    ] {
        let (found, details) = ask(&management, &format!("zato.common.{service}"), input.clone()).await;
        assert_eq!(found, status, "{service} {input}: {details}");
    }
    assert_eq!(bench.changes.snapshot().records.len(), 2);
    let one = many("security.basic_auth", json!([shop("a", "z")]));
    assert_eq!(ok(&management, "zato.common.import-objects", one).await["changed"], 1);
    let id = bench.changes.snapshot().records[1].id;
    let gone = many("security", json!(["a", {"id": id}]));
    assert_eq!(ok(&management, "pub.zato.common.delete-many", gone).await["deleted"], 2);
    assert!(bench.changes.snapshot().records.is_empty());

    // what an import would warn of
    let unguarded = json!({"name": "nobody", "username": "n", "password": ""});
    let channel = json!({"name": "early", "service": "not.there", "url_path": "/early"});
    for (kind, object, warning) in [
        ("security.basic_auth", unguarded, "refuses every caller"),
        ("channel.http", channel, "`not.there` is not deployed yet"),
    ] {
        let made = ok(&management, "zato.common.create-objects", many(kind, json!([object]))).await;
        let warnings = made["warnings"].as_array().unwrap();
        let [only] = &warnings[..] else {
            panic!("{kind}: {made}")
        };
        assert!(only.as_str().unwrap().contains(warning), "{only}");
    }
}

#[tokio::test]
async fn who_has_lost_all_roles_is_not_free_of_them() {
    let (management, bench) = management().await;
    let channel = json!({"name": "way in", "connection": "channel", "url_path": "/in", "service": "zato.ping", "is_active": true,
                         "transport": "plain_http", "is_internal": false});
    let export = json!({});
    let through = json!({"name": "zato.http-soap.delete", "payload": STANDARD.encode("{}"), "is_async": true});
    // a door of the management API lets nobody in without roles: whoever calls had some when the call was made
    for (is_held_to_roles, expected) in [(true, [403, 403, 403]), (false, [200, 200, 200])] {
        let caller = ChannelFields {
            data_format: DataFormat::Json,
            security_name: "viewer",
            is_held_to_roles,
            ..ChannelFields::default()
        };
        let mut statuses = Vec::new();
        for (service, input) in [
            ("zato.http-soap.create", &channel),
            ("busbar.enmasse.export", &export),
            ("zato.service.invoke", &through),
        ] {
            let outcome = management.call(call_by(&caller, Door::Channel, service, input)).await;
            statuses.push(match outcome {
                Outcome::Reply(reply) => reply.status,
                Outcome::Fault(fault) => fault.status,
            });
        }
        assert_eq!(statuses, expected);
    }
    assert_eq!(bench.changes.snapshot().records.len(), 1);
}

#[tokio::test]
async fn what_services_took_is_told_for_periods_and_calendars() {
    let (management, _bench) = management().await;
    let asked = |start: &str, stop: &str| json!({"start": start, "stop": stop, "n": 10, "n_type": "usage"});
    let noon = asked("2026-03-01T12:00:00", "2026-03-01T12:03:00");
    let list = ok(&management, "zato.stats.trends.get-trends", noon.clone()).await;
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    let first = json!({
        "all_services_usage": 12, "all_services_time": 32.0, "mean_all_services": 2.666, "usage_perc_all_services": 83.33,
        "time_perc_all_services": 62.5, "service_name": "shop.a", "usage": 10, "mean": 2.0, "rate": 0.0556, "time": 20.0,
        "usage_trend": "8,0,2", "mean_trend": "1.25,0,5", "min_resp_time": 0.5, "max_resp_time": 9.0,
    });
    assert_eq!(list[0], first);
    assert_eq!(
        ok(&management, "zato.stats.summary.get-summary-by-range", noon.clone()).await,
        list
    );
    let slowest = json!({"start": "2026-03-01 18:30", "n": 1, "n_type": "mean"});
    for unit in ["day", "week", "month", "year"] {
        let service = format!("zato.stats.summary.get-summary-by-{unit}");
        let list = ok(&management, &service, slowest.clone()).await;
        let named: Vec<&Value> = list.as_array().unwrap().iter().map(|it| &it["service_name"]).collect();
        assert_eq!(named, ["shop.b"], "{unit}");
        let only = json!({"start": "2026-03-01", "n": 1, "n_type": "mean", "service_name": "shop.a"});
        assert_eq!(
            ok(&management, &service, only).await[0]["usage_perc_all_services"],
            83.33
        );
    }
    let before = json!({"start": "2025-12-31", "n": 1, "n_type": "mean"});
    let nothing = ok(&management, "zato.stats.summary.get-summary-by-year", before).await;
    assert_eq!(nothing, json!([]));

    let id = ok(&management, "zato.service.get-by-name", json!({"name": "shop.a"})).await["id"].take();
    let by_id = json!({"start": "2026-03-01T12:00:00Z", "stop": "2026-03-01T13:00:00+01:00", "service_id": id});
    let (status, _) = ask(&management, "zato.stats.get-by-service", by_id).await;
    assert_eq!(status, 400, "the two are one moment");
    let by_id = json!({"start": "2026-03-01T12:00:00Z", "stop": "2026-03-01T14:00:00+01:00", "service_id": id});
    let one = ok(&management, "zato.stats.get-by-service", by_id).await;
    assert_eq!((&one["usage"], &one["max_resp_time"]), (&json!(10), &json!(9.0)));
    assert!(one["usage_trend"].as_str().unwrap().starts_with("8,0,2,0"), "{one}");
    assert_eq!(one.get("all_services_usage"), None);
    let idle = json!({"start": "2026-03-02", "stop": "2026-03-03", "service_name": "shop.a"});
    let one = ok(&management, "zato.stats.get-by-service", idle).await;
    assert_eq!((&one["usage"], &one["min_resp_time"]), (&json!(0), &json!("")));

    for job in [
        "process-raw-times",
        "aggregate-by-minute",
        "aggregate-by-hour",
        "aggregate-by-day",
        "aggregate-by-month",
        "summary.create-summary-by-day",
        "summary.create-summary-by-week",
        "summary.create-summary-by-month",
        "summary.create-summary-by-year",
    ] {
        let (status, body) = ask(&management, &format!("zato.stats.{job}"), json!({})).await;
        assert_eq!(status, 200, "{job}: {body}");
    }
    let day = json!({"start": "2026-03-01", "stop": "2026-03-02"});
    ok(&management, "zato.stats.delete", day).await;

    for (service, input, field) in [
        ("delete", json!({"start": "noon", "stop": "2026-03-01"}), "start"),
        ("delete", json!({"start": "2026-03-01", "stop": "2026-03-01"}), "stop"),
        ("delete", json!({"start": "1970-01-01", "stop": "2090-01-01"}), "stop"),
        (
            "get-by-service",
            json!({"start": "2026-03-01", "stop": "2026-03-02"}),
            "service_id",
        ),
        (
            "trends.get-trends",
            json!({"start": "2026-03-01", "n": 1, "n_type": "mean"}),
            "stop",
        ),
        (
            "summary.get-summary-by-day",
            json!({"start": "2026-03-01", "n": 0, "n_type": "mean"}),
            "`n`",
        ),
        (
            "summary.get-summary-by-day",
            json!({"start": "2026-03-01", "n": -1, "n_type": "mean"}),
            "`n`",
        ),
        (
            "summary.get-summary-by-day",
            json!({"start": "2026-03-01", "n": 1, "n_type": "name"}),
            "n_type",
        ),
        (
            "summary.get-summary-by-year",
            json!({"start": "9999-12-31", "n": 1, "n_type": "mean"}),
            "start",
        ),
    ] {
        let (status, details) = ask(&management, &format!("zato.stats.{service}"), input.clone()).await;
        assert_eq!(status, 400, "{service} {input}: {details}");
        assert!(
            details.as_str().unwrap().contains(field),
            "{service} {input}: {details}"
        );
    }
    let nobody = json!({"start": "2026-03-01", "stop": "2026-03-02", "service_name": "nobody"});
    assert_eq!(ask(&management, "zato.stats.get-by-service", nobody).await.0, 404);
}
