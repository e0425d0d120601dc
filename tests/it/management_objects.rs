//! Management services about objects: every type has all of them, and they say what is wrong.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_testkit::{Request, TestServer};
use serde_json::{Value, json};

use crate::admin_doors::manage;
use crate::{OK, repository, server};

/// The status and the answer of a management service, without its response element.
fn ask(server: &TestServer, service: &str, input: &Value) -> (u16, Value) {
    let request = manage(service)
        .body(input.to_string())
        .basic("pubapi", server.password());
    let response = server.send_admin(&request);
    let mut answer = response.json();
    if response.status >= 400 {
        return (response.status, answer["zato_env"]["details"].take());
    }
    let element = format!("{}_response", service.replace(['.', '-'], "_"));
    (response.status, answer[element].take())
}

#[track_caller]
fn ok(server: &TestServer, service: &str, input: &Value) -> Value {
    let (status, answer) = ask(server, service, input);
    assert_eq!(status, 200, "{service} {input}: {answer}");
    answer
}

#[track_caller]
fn refused(server: &TestServer, service: &str, input: &Value, status: u16) -> String {
    let (found, details) = ask(server, service, input);
    assert_eq!(found, status, "{service} {input}: {details}");
    details.as_str().unwrap().to_owned()
}

/// The number of an object in a list.
#[track_caller]
fn id_of(server: &TestServer, list: &str, name: &str) -> Value {
    let list = ok(server, list, &json!({"cluster_id": 1, "query": name}));
    let mut found = list.as_array().unwrap().iter().filter(|it| it["name"] == name);
    found.next().unwrap_or_else(|| panic!("no {name} in {list}"))["id"].clone()
}

/// Objects of one type, by the services of one family.
struct Family {
    name: &'static str,
    kind: &'static str,
    /// What `create` takes.
    object: Value,
    /// What `edit` makes different, and where that is seen afterwards.
    edited: (&'static str, Value),
}

fn families() -> Vec<Family> {
    let family = |name, kind, object, field, value| Family {
        name,
        kind,
        object,
        edited: (field, value),
    };
    let channel = json!({"connection": "channel", "transport": "plain_http", "is_internal": false, "url_path": "/a",
                         "service": "ok.ok", "data_format": "json"});
    let outgoing = json!({"connection": "outgoing", "transport": "plain_http", "is_internal": false, "url_path": "/a",
                          "host": "http://127.0.0.1:9"});
    let rpc = json!({"url_path": "/rpc", "security_id": "ZATO_NONE", "service_whitelist": ["ok.ok"]});
    let wss = json!({"username": "a", "password_type": "clear_text", "reject_empty_nonce_creat": true, "reject_stale_tokens": true,
                     "reject_expiry_limit": 60, "nonce_freshness_time": 60});
    let redis = json!({"host": "127.0.0.1", "port": 9, "db": 0, "redis_sentinels": "", "redis_sentinels_master": ""});
    let sql = json!({"engine": "postgresql", "host": "127.0.0.1", "port": 9, "db_name": "none", "username": "a", "pool_size": 1});
    let smtp = json!({"host": "127.0.0.1", "port": 9, "timeout": 1, "is_debug": false, "mode": "plain", "ping_address": "a@example.com"});
    let imap = json!({"host": "127.0.0.1", "port": 9, "timeout": 1, "debug_level": 0, "mode": "plain", "get_criteria": "UNSEEN"});
    let tokens = json!({"username": "a", "client_id_field": "client_id", "client_secret_field": "client_secret",
                        "grant_type": "client_credentials", "data_format": "form", "auth_server_url": "http://127.0.0.1:9/token"});
    vec![
        family(
            "zato.security.basic-auth",
            "security.basic_auth",
            json!({"username": "a", "realm": "A"}),
            "realm",
            "B".into(),
        ),
        family(
            "zato.security.apikey",
            "security.apikey",
            json!({"header": "X-A"}),
            "header",
            "X-B".into(),
        ),
        family(
            "zato.security.oauth",
            "security.bearer_token",
            tokens,
            "scopes",
            "read".into(),
        ),
        family(
            "zato.security.oauth",
            "security.oauth",
            json!({"username": "a", "sig_method": "HMAC-SHA1"}),
            "sig_method",
            "PLAINTEXT".into(),
        ),
        family(
            "zato.security.jwt",
            "security.jwt",
            json!({"username": "a", "ttl": 60}),
            "ttl",
            90.into(),
        ),
        family(
            "zato.security.wss",
            "security.wss",
            wss,
            "nonce_freshness_time",
            90.into(),
        ),
        family(
            "zato.security.xpath",
            "security.xpath_sec",
            json!({"username": "a", "username_expr": "//u"}),
            "username_expr",
            "//v".into(),
        ),
        family(
            "zato.security.tech-account",
            "security.tech_acc",
            json!({}),
            "is_active",
            false.into(),
        ),
        family(
            "zato.security.ntlm",
            "security.ntlm",
            json!({"username": "A\\a"}),
            "username",
            "A\\b".into(),
        ),
        family(
            "zato.security.tls.channel",
            "security.tls_channel_sec",
            json!({"value": "CN=a"}),
            "value",
            "CN=b".into(),
        ),
        family(
            "zato.security.tls.key-cert",
            "security.tls_key_cert",
            json!({"auth_data": "/nowhere/a.pem"}),
            "is_active",
            false.into(),
        ),
        family(
            "zato.security.tls.ca-cert",
            "security.tls_ca_cert",
            json!({"value": "/nowhere/a.pem"}),
            "value",
            "/nowhere/b.pem".into(),
        ),
        family(
            "zato.groups",
            "security_group",
            json!({"group_type": "zato-api-creds", "members": []}),
            "is_active",
            false.into(),
        ),
        family(
            "zato.security.rbac.role",
            "rbac_role",
            json!({"parent_name": "Root"}),
            "name",
            "Other".into(),
        ),
        family(
            "zato.security.rbac.permission",
            "rbac_permission",
            json!({}),
            "name",
            "Other".into(),
        ),
        family(
            "zato.security.rbac.role-permission",
            "rbac_role_permission",
            json!({}),
            "",
            Value::Null,
        ),
        family(
            "zato.security.rbac.client-role",
            "rbac_client_role",
            json!({}),
            "",
            Value::Null,
        ),
        family("zato.http-soap", "channel.http", channel, "url_path", "/b".into()),
        family("zato.channel.json-rpc", "channel.http", rpc, "url_path", "/c".into()),
        family("zato.http-soap", "outgoing.http", outgoing, "url_path", "/b".into()),
        family(
            "zato.outgoing.zmq",
            "outgoing.zmq",
            json!({"address": "tcp://127.0.0.1:9", "socket_type": "PUSH"}),
            "address",
            "tcp://127.0.0.1:7".into(),
        ),
        family("zato.outgoing.redis", "outgoing.redis", redis, "db", 2.into()),
        family(
            "zato.email.smtp",
            "email.smtp",
            smtp,
            "ping_address",
            "b@example.com".into(),
        ),
        family("zato.email.imap", "email.imap", imap, "get_criteria", "ALL".into()),
        family("zato.outgoing.sql", "outgoing.sql", sql, "db_name", "other".into()),
    ]
}

/// Kinds that the reference page of objects tells of.
fn kinds() -> BTreeSet<String> {
    let page = fs::read_to_string(repository().join("docs/reference/objects.md")).unwrap();
    let kinds = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("Kind `")?.split_once('`')?.0.to_owned()));
    kinds.collect()
}

/// Names of the services that the reference page tells of.
fn listed() -> BTreeSet<String> {
    let page = fs::read_to_string(repository().join("docs/reference/services.md")).unwrap();
    let names = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()));
    names.collect()
}

#[test]
fn every_type_is_made_shown_changed_and_deleted() {
    let server = server().service("ok.py", OK).start();
    let mut kinds = kinds();
    // the settings of services, which are deployed and not made: `zato.service.edit` changes them
    kinds.remove("service");
    let root = id_of(&server, "zato.security.rbac.role.get-list", "Root");
    let read = id_of(&server, "zato.security.rbac.permission.get-list", "Read");
    let service = ok(
        &server,
        "zato.service.get-by-name",
        &json!({"cluster_id": 1, "name": "ok.ok"}),
    )["id"]
        .clone();
    let listed = listed();
    for Family {
        name,
        kind,
        object,
        edited,
    } in families()
    {
        kinds.remove(kind);
        let of = |operation: &str| format!("{name}.{operation}");
        let with = |object: &Value, more: Value| {
            let mut object = object.clone();
            object
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            object
        };
        let mut given = with(&object, json!({"cluster_id": 1, "name": kind, "is_active": true}));
        if kind == "rbac_role_permission" {
            given = json!({"cluster_id": 1, "role_id": root, "perm_id": read, "service_id": service});
        } else if kind == "rbac_client_role" {
            given = json!({"cluster_id": 1, "client_def": "pubapi", "role_id": root});
        }
        let created = ok(&server, &of("create"), &given);
        let by_id =
            json!({"id": created["id"], "connection": object["connection"], "group_type": object["group_type"]});
        let get = ok(&server, &of("get"), &by_id);
        assert_eq!(
            (&get["id"], &get["name"]),
            (&created["id"], &created["name"]),
            "{name}: {get}"
        );
        let in_list = || {
            let list = ok(
                &server,
                &of("get-list"),
                &with(&by_id, json!({"id": null, "cluster_id": 1})),
            );
            list.as_array().unwrap().iter().any(|it| it["id"] == created["id"])
        };
        assert!(in_list(), "{name}");
        let (field, value) = edited;
        if field.is_empty() {
            // Zato has it, and it changes nothing
            ok(&server, &of("edit"), &json!({}));
        } else {
            ok(
                &server,
                &of("edit"),
                &with(&given, json!({"id": created["id"], field: value})),
            );
            assert_eq!(ok(&server, &of("get"), &by_id)[field], value, "{name} {kind} {field}");
        }
        if listed.contains(&of("change-password")) {
            ok(
                &server,
                &of("change-password"),
                &json!({"id": created["id"], "password1": "b", "password2": "b"}),
            );
        }
        if listed.contains(&of("ping")) && kind != "channel.http" {
            let (status, answer) = ask(&server, &of("ping"), &by_id);
            assert!(status == 200 || status >= 500, "{name} {status}: {answer}");
        }
        ok(&server, &of("delete"), &by_id);
        assert!(!in_list(), "{name}");
        refused(&server, &of("get"), &by_id, 404);
    }
    assert_eq!(kinds, BTreeSet::new(), "types without a family of services");
}

#[test]
fn groups_take_lists_of_members() {
    let server = server().service("ok.py", OK).start();
    let definition = |name: &str| {
        let input = json!({"cluster_id": 1, "name": name, "is_active": true, "username": name, "realm": ""});
        ok(&server, "zato.security.basic-auth.create", &input)["id"].clone()
    };
    let (ann, bob) = (definition("ann"), definition("bob"));
    let group = json!({"group_type": "zato-api-creds", "name": "shops", "members": [format!("basic_auth-{ann}")]});
    let group = ok(&server, "zato.groups.create", &group)["id"].clone();
    let members = || {
        let input = json!({"group_type": "zato-api-creds", "group_id": group});
        let members = ok(&server, "zato.groups.get-member-list", &input);
        let names = members
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(members(), ["ann"]);
    for (action, expected) in [("assign", &["ann", "bob"][..]), ("unassign", &["ann"])] {
        let edit = json!({"group_action": action, "group_id": group, "member_id_list": [bob]});
        ok(&server, "zato.groups.edit-member-list", &edit);
        assert_eq!(members(), expected);
    }
    let channel = json!({"cluster_id": 1, "name": "in", "is_active": true, "connection": "channel", "transport": "plain_http",
                         "is_internal": false, "url_path": "/in", "service": "ok.ok", "security_groups": [group]});
    let channel = ok(&server, "zato.http-soap.create", &channel)["id"].clone();
    let shown = ok(&server, "zato.http-soap.get", &json!({"id": channel}));
    assert_eq!(shown["security_groups"], json!([group]));
}

#[test]
fn whatever_the_reference_tells_of_is_there() {
    let server = server().start();
    let listed = listed();
    assert!(listed.len() > 200, "{listed:?}");
    for service in listed {
        let request = manage(&service).basic("pubapi", server.password());
        let response = server.send_admin(&request);
        assert_ne!(response.status, 404, "{service}: {}", response.text());
    }
}

#[test]
fn oauth_of_both_generations_goes_by_one_name() {
    let server = server().start();
    let of = |operation: &str| format!("zato.security.oauth.{operation}");
    // as the 3.2 client sends it, empty fields included
    let tokens = json!({"cluster_id": 1, "name": "tokens", "is_active": true, "username": "me", "client_id_field": "client_id",
                        "client_secret_field": "client_secret", "grant_type": "client_credentials", "data_format": "form",
                        "auth_server_url": "https://login.example.com/token", "scopes": "", "extra_fields": ""});
    let tokens_id = ok(&server, &of("create"), &tokens)["id"].clone();
    // as the 2.0 one does
    let signed = json!({"cluster_id": 1, "name": "signed", "is_active": true, "username": "key", "proto_version": "1.0",
                        "sig_method": "HMAC-SHA1", "max_nonce_log": 1000});
    let signed_id = ok(&server, &of("create"), &signed)["id"].clone();
    let list = ok(&server, &of("get-list"), &json!({"cluster_id": 1}));
    let shown: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["name"], &it["auth_server_url"], &it["sig_method"]))
        .collect();
    let none = json!("");
    assert_eq!(
        shown,
        [
            (&json!("signed"), &none, &json!("HMAC-SHA1")),
            (&json!("tokens"), &json!("https://login.example.com/token"), &none),
        ]
    );
    let mut edited = tokens.clone();
    edited["id"] = tokens_id.clone();
    edited["scopes"] = "read".into();
    ok(&server, &of("edit"), &edited);
    for id in [&tokens_id, &signed_id] {
        ok(
            &server,
            &of("change-password"),
            &json!({"id": id, "password1": "a", "password2": "a"}),
        );
    }
    let exported = server.run("enmasse", &["--export"]).expect_code(0).stdout;
    assert!(
        exported.contains("bearer_token") && exported.contains("scopes: read"),
        "{exported}"
    );
    let general = ok(
        &server,
        "zato.security.get-list",
        &json!({"cluster_id": 1, "sec_type": ["oauth"]}),
    );
    assert_eq!(general.as_array().unwrap().len(), 2, "{general}");
    assert_eq!(general[0]["sec_type"], "oauth");
    // fields of the other generation have no place in what there is
    let mixed = json!({"id": signed_id, "name": "signed", "is_active": true, "username": "key", "auth_server_url": "https://a.example.com"});
    assert!(refused(&server, &of("edit"), &mixed, 400).contains("auth_server_url"));
    for id in [&tokens_id, &signed_id] {
        ok(&server, &of("delete"), &json!({"id": id}));
    }
    assert_eq!(ok(&server, &of("get-list"), &json!({"cluster_id": 1})), json!([]));
}

#[test]
fn tokens_are_given_and_taken_back_by_services_too() {
    let server = server()
        .service("ok.py", OK)
        .enmasse(
            "
security:
  - {name: users, type: jwt, username: ann, password: s3cret}
rbac_role:
  - {name: Leaver}
rbac_role_permission:
  - {name: leavers leave, role: Leaver, service: zato.security.jwt.log-out, permission: Update}
rbac_client_role:
  - {name: users leave, client_def: users, role: Leaver}
channel_rest:
  - {name: guarded, url_path: /guarded, service: ok.ok, data_format: json, security_name: users}
",
        )
        .start();
    let log_in = "zato.security.jwt.log-in";
    refused(&server, log_in, &json!({"username": "ann", "password": "wrong"}), 401);
    assert!(refused(&server, log_in, &json!({"username": "ann"}), 400).contains("password"));
    let token = ok(&server, log_in, &json!({"username": "ann", "password": "s3cret"}))["token"].clone();
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    let with_token = |request: Request| request.header("Authorization", &bearer);
    server
        .send(&with_token(Request::new("POST", "/guarded").body("{}")))
        .expect(200);
    let details = refused(&server, "zato.security.jwt.log-out", &json!({}), 400);
    assert_eq!(details, "no token was given, or it is not a valid one");
    server
        .send_admin(&with_token(manage("zato.security.jwt.log-out")))
        .expect(200);
    server
        .send(&with_token(Request::new("POST", "/guarded").body("{}")))
        .expect(401);
    // as often as one may guess at the address of its own
    for _ in 0..9 {
        refused(&server, log_in, &json!({"username": "ann", "password": "wrong"}), 401);
    }
    let details = refused(&server, log_in, &json!({"username": "ann", "password": "s3cret"}), 429);
    assert!(details.contains("try again in"), "{details}");
    // which every door says in the header too
    let body = json!({"username": "ann", "password": "s3cret"}).to_string();
    let through = json!({"name": log_in, "payload": STANDARD.encode(&body)}).to_string();
    for (request, is_open) in [
        (manage(log_in).body(&body), false),
        (
            Request::new("POST", &format!("/zato/api/invoke/{log_in}")).body(&body),
            false,
        ),
        (manage("zato.service.invoke").body(through), false),
        (Request::new("POST", "/zato/jwt/log-in").body(&body), true),
    ] {
        let response = if is_open {
            server.send(&request)
        } else {
            server.send_admin(&request.basic("pubapi", server.password()))
        };
        let seconds: u64 = response.expect(429).header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
}

#[test]
fn pings_say_what_is_wrong() {
    let canary = "c4nary-that-is-pinged";
    let objects = "
outgoing_sql:
  - {name: sql, engine: postgresql, host: 127.0.0.1, port: 9, db_name: none, username: bus, password: CANARY}
email_smtp:
  - {name: smtp, host: 127.0.0.1, port: 9, username: bus, password: CANARY}
email_imap:
  - {name: imap, host: 127.0.0.1, port: 9, username: bus, password: CANARY}
outconn_redis:
  - {name: redis, host: 127.0.0.1, port: 9, password: CANARY}
";
    let server = server().enmasse(&objects.replace("CANARY", canary)).start();
    for family in [
        "zato.outgoing.sql",
        "zato.email.smtp",
        "zato.email.imap",
        "zato.outgoing.redis",
    ] {
        let name = family.rsplit('.').next().unwrap();
        let id = id_of(&server, &format!("{family}.get-list"), name);
        let (status, details) = ask(&server, &format!("{family}.ping"), &json!({"id": id}));
        let details = details.as_str().unwrap();
        assert!(
            status >= 500 && details.to_lowercase().contains("connection refused"),
            "{family} {status}: {details}"
        );
        assert!(!details.contains(canary), "{details}");
    }
}

#[test]
fn roles_and_permissions_from_the_start_stay_while_they_are_used() {
    let server = server()
        .enmasse(
            "
rbac_role:
  - {name: Viewer, parent: Root}
rbac_role_permission:
  - {name: viewers make, role: Viewer, service: 'zato.*', permission: create}
",
        )
        .start();
    for (family, name, users) in [
        ("role", "Root", "rbac_role `Viewer`"),
        ("permission", "Create", "rbac_role_permission `viewers make`"),
    ] {
        let of = |operation: &str| format!("zato.security.rbac.{family}.{operation}");
        let id = id_of(&server, &of("get-list"), name);
        let details = refused(&server, &of("delete"), &json!({"id": id}), 409);
        assert!(
            details.contains(&format!("cannot be deleted, it is used by {users}")),
            "{details}"
        );
    }
    // what nobody names may go, also together with whoever names it
    let gone = id_of(&server, "zato.security.rbac.permission.get-list", "Delete");
    ok(&server, "zato.security.rbac.permission.delete", &json!({"id": gone}));
}

#[test]
fn a_name_that_cannot_be_is_told_once() {
    let server = server().start();
    let id = id_of(&server, "zato.security.basic-auth.get-list", "ide_publisher");
    let edit = json!({"id": id, "name": "a\nb", "is_active": true, "username": "ide_publisher", "realm": ""});
    let details = refused(&server, "zato.security.basic-auth.edit", &edit, 400);
    assert_eq!(
        details.matches("must not contain control characters").count(),
        1,
        "{details}"
    );
}
