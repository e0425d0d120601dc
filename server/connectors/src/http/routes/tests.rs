//! Which channel a request belongs to, and which channels cannot be beside each other.

use busbar_model::object::Object;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::index::tests::some_path;
use super::*;

fn record(name: &str, body: Value) -> Record {
    let mut full = json!({"service": format!("service.{name}")});
    full.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let body = full.as_object().unwrap().clone().into();
    Record {
        kind: ChannelHttp::KIND.to_owned(),
        name: name.to_owned(),
        is_active: true,
        body,
        version: 1,
        id: 0,
    }
}

/// Nobody is asked for anything.
struct Open;

impl Gate for Open {
    fn guards(&self, _: &Snapshot) -> Result<Arc<dyn Guards>, Error> {
        Ok(Arc::new(Self))
    }
}

impl Guards for Open {
    fn of(&self, _: &Entrance<'_>) -> Result<Option<Arc<dyn Guard>>, Error> {
        Ok(None)
    }
}

fn routes(records: Vec<Record>) -> Arc<Routes> {
    let routes = Routes::new(Arc::new(Open));
    routes.prepare(&Snapshot::new(1, records)).unwrap().commit();
    routes
}

fn find(routes: &Routes, method: &str, path: &str, accept: Option<&'static str>) -> String {
    let accept = accept.map(|accept| (ACCEPT, accept));
    find_with(routes, method, path, accept.into_iter())
}

fn find_with(
    routes: &Routes,
    method: &str,
    path: &str,
    headers: impl Iterator<Item = (http::HeaderName, &'static str)>,
) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let headers = headers
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    match routes.clients.load().find(path, &method, &headers) {
        Found::Route(route) => {
            let params: Vec<_> = route
                .params(path)
                .iter()
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            format!("{}{}", route.name, params.concat())
        }
        Found::Inactive(route) => format!("{} is off", route.name),
        Found::Method(allow) => format!("allow {allow}"),
        Found::Nothing => "nothing".to_owned(),
    }
}

/// What trying all channels one after another in their order finds.
fn find_one_by_one(routes: &Routes, method: &str, path: &str) -> String {
    let table = routes.clients.load();
    let mut allowed = BTreeSet::new();
    for route in table.own.routes.iter().chain(&table.internal.routes) {
        if route.path != path && !route.has_pattern_of(path) {
            continue;
        }
        match &route.method {
            Some(other) if other.as_str() != method => {
                allowed.extend(route.is_active.then(|| other.as_str()));
            }
            _ if route.is_active => return route.name.clone(),
            _ => return format!("{} is off", route.name),
        }
    }
    match allowed.into_iter().collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "nothing".to_owned(),
        methods => format!("allow {methods}"),
    }
}

proptest! {
    #[test]
    fn what_is_found_is_what_trying_one_by_one_finds(
        channels in vec((some_path(), any::<bool>(), 0..4_usize, any::<bool>()), 0..20),
        asked in vec("[ab]|/|/x1|/x12/|/x123|zato|/zato/cache/[ab]", 0..8),
        method in 0..3_usize,
    ) {
        let methods = ["GET", "POST", "PUT", ""];
        let mut seen = HashSet::new();
        let records = channels.iter().enumerate().filter_map(|(number, (path, match_slash, method, is_active))| {
            let body = json!({"url_path": path, "match_slash": match_slash, "method": methods[*method]});
            let mut record = record(&number.to_string(), body);
            record.is_active = *is_active;
            seen.insert((path, method)).then_some(record)
        });
        let routes = routes(records.collect());
        // also the paths of the channels themselves: a placeholder's own spelling is text that it takes
        let asked = channels.iter().map(|(path, ..)| path.clone()).chain([format!("/{}", asked.concat())]);
        for path in asked {
            let found = find(&routes, methods[method], &path, None);
            let found = found.split(' ').take_while(|word| !word.contains('=')).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(found, find_one_by_one(&routes, methods[method], &path), "{}", path);
        }
    }
}

#[test]
fn literal_and_longer_paths_come_first() {
    let routes = routes(vec![
        record("a", json!({"url_path": "/a/{x}"})),
        record("b", json!({"url_path": "/a/{x}/more"})),
        record("c", json!({"url_path": "/a/static"})),
        record("d", json!({"url_path": "/{any}"})),
        record(
            "e",
            json!({"url_path": "/a/{y}", "match_slash": false, "method": "POST"}),
        ),
        record("f", json!({"url_path": "/a.b"})),
    ]);
    for (path, expected) in [
        ("/a/static", "c"),
        ("/a/1", "a x=1"),
        ("/a/1/2", "a x=1/2"),
        ("/a/1/more", "b x=1"),
        ("/a/", "d any=a/"),
        ("/b", "d any=b"),
        ("/A/static", "d any=A/static"),
        ("/a/static/", "a x=static/"),
        ("/a.b", "f"),
        ("/aXb", "d any=aXb"),
        ("/", "nothing"),
        ("", "nothing"),
        ("*", "nothing"),
    ] {
        assert_eq!(find(&routes, "GET", path, None), expected, "{path}");
    }
    assert_eq!(
        find(&routes, "POST", "/a/1", None),
        "e y=1",
        "a channel that names its method comes first"
    );
}

#[test]
fn methods_and_accept_values_choose() {
    let routes = routes(vec![
        record("get", json!({"url_path": "/x", "method": "GET"})),
        record("put", json!({"url_path": "/x", "method": "PUT"})),
        record("csv", json!({"url_path": "/y", "http_accept": "text/csv"})),
        record("any", json!({"url_path": "/y"})),
        record("only", json!({"url_path": "/z", "http_accept": "text/csv"})),
    ]);
    assert_eq!(find(&routes, "GET", "/x", Some("text/plain")), "get");
    assert_eq!(find(&routes, "PUT", "/x", None), "put");
    assert_eq!(find(&routes, "DELETE", "/x", None), "allow GET, PUT");
    assert_eq!(find(&routes, "GET", "/y", Some("text/csv")), "csv");
    assert_eq!(find(&routes, "GET", "/y", Some("text/csv;q=1")), "any");
    assert_eq!(find(&routes, "GET", "/y", None), "any");
    assert_eq!(find(&routes, "GET", "/z", None), "nothing");
}

#[test]
fn soap_actions_choose() {
    let soap =
        |action: &str| json!({"url_path": "/s", "transport": "soap", "data_format": "xml", "soap_action": action});
    let routes = routes(vec![
        record("a", soap("urn:a")),
        record("b", soap("urn:b")),
        record("any", soap("")),
        record(
            "z",
            json!({"url_path": "/only", "transport": "soap", "data_format": "xml", "soap_action": "x"}),
        ),
    ]);
    let find = |path: &str, name: &'static str, value: &'static str| {
        find_with(
            &routes,
            "POST",
            path,
            [(http::HeaderName::from_static(name), value)].into_iter(),
        )
    };
    for (path, name, value, expected) in [
        ("/s", "soapaction", "urn:a", "a"),
        ("/s", "soapaction", "\"urn:b\"", "b"),
        ("/s", "soapaction", "'urn:b'", "b"),
        ("/s", "soapaction", "\"\"", "any"),
        ("/s", "soapaction", "urn:c", "any"),
        ("/s", "x", "", "any"),
        (
            "/s",
            "content-type",
            "application/soap+xml; charset=utf-8; action=\"urn:a\"",
            "a",
        ),
        ("/s", "content-type", "application/soap+xml;ACTION=urn:b", "b"),
        ("/only", "soapaction", "x", "z"),
        ("/only", "soapaction", "", "nothing"),
        ("/only", "x", "", "nothing"),
    ] {
        assert_eq!(find(path, name, value), expected, "{path} {name}: {value}");
    }
}

#[test]
fn own_channels_come_before_built_in_ones() {
    assert_eq!(find(&routes(Vec::new()), "GET", "/zato/ping", None), "zato.ping");
    assert_eq!(
        find(&routes(Vec::new()), "GET", "/zato/api/invoke/a.b", None),
        "pubapi.invoke service_name=a.b"
    );
    let routes = routes(vec![record("mine", json!({"url_path": "/zato/{x}"}))]);
    assert_eq!(find(&routes, "GET", "/zato/ping", None), "mine x=ping");
}

#[test]
fn a_channel_that_is_off_is_found_as_such() {
    let mut off = record("off", json!({"url_path": "/a/b"}));
    off.is_active = false;
    let routes = routes(vec![off, record("on", json!({"url_path": "/a/{x}"}))]);
    assert_eq!(find(&routes, "GET", "/a/b", None), "off is off");
    assert_eq!(find(&routes, "GET", "/a/c", None), "on x=c");
}

#[test]
fn twins_and_missing_definitions_are_refused() {
    let prepare = |records| {
        Routes::new(Arc::new(Open))
            .prepare(&Snapshot::new(1, records))
            .map(|_| ())
            .unwrap_err()
    };
    let error = prepare(vec![
        record("a", json!({"url_path": "/x"})),
        record("b", json!({"url_path": "/x"})),
    ]);
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(
        error.message().contains("`a`") && error.message().contains("`b`"),
        "{error}"
    );
    let error = prepare(vec![record("a", json!({"url_path": "/x", "security": "nobody"}))]);
    assert!(error.message().contains("`nobody`"), "{error}");
}

#[test]
fn changed_order_is_noticed() {
    let routes = routes(vec![
        record("b", json!({"url_path": "/a/{x}"})),
        record("c", json!({"url_path": "/a/static"})),
        record("d", json!({"url_path": "/b/static"})),
        record("e", json!({"url_path": "/b/{x}"})),
        record("g", json!({"url_path": "/b/{x}", "method": "GET"})),
    ]);
    let pair = |first: &str, second: &str| (first.to_owned(), second.to_owned());
    assert_eq!(
        *routes.warned.lock().unwrap(),
        HashSet::from([pair("c", "b"), pair("g", "e")])
    );
}

fn find_as(routes: &Routes, audience: Audience, method: &str, path: &str) -> String {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    match routes
        .of_audience(audience)
        .load()
        .find(path, &method, &HeaderMap::new())
    {
        Found::Route(route) => format!("{} {}", route.name, route.service),
        Found::Method(allow) => format!("allow {allow}"),
        Found::Inactive(_) | Found::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn administrators_have_doors_of_their_own() {
    let routes = routes(vec![record("own", json!({"url_path": "/own"}))]);
    let doors = [
        ("POST", "/zato/json/zato.ping", "admin.json busbar.manage"),
        ("POST", "/zato/soap", "admin.soap busbar.manage.soap"),
        ("POST", "/zato/admin/invoke", "admin.invoke.json zato.service.invoke"),
        ("PUT", "/zato/deploy/a.py", "admin.deploy busbar.deploy"),
        ("POST", "/zato/deploy/src/a/b.py", "admin.deploy busbar.deploy"),
        ("GET", "/zato/deploy/a.py", "allow POST, PUT"),
        ("POST", "/ide-deploy", "ide-deploy zato.ide-deploy.create"),
        (
            "POST",
            "/zato/internal/invoke",
            "zato.internal.invoke zato.service.invoke",
        ),
    ];
    let invoke = "/zato/api/invoke/shop.buy";
    for (method, path, expected) in doors {
        assert_eq!(find_as(&routes, Audience::Administrators, method, path), expected);
        assert_eq!(find_as(&routes, Audience::Clients, method, path), "nothing", "{path}");
    }
    assert_eq!(
        find_as(&routes, Audience::Administrators, "DELETE", invoke),
        "admin.api.invoke busbar.manage.invoker"
    );
    assert_eq!(
        find_as(&routes, Audience::Clients, "DELETE", invoke),
        "pubapi.invoke pub.zato.service.service-invoker"
    );
    for path in ["/zato/ping", "/openapi.json"] {
        for audience in [Audience::Clients, Audience::Administrators] {
            assert_ne!(find_as(&routes, audience, "GET", path), "nothing", "{path}");
        }
    }
    for path in ["/own", "/zato/cache/key", "/zato/crypto/encrypt"] {
        assert_eq!(
            find_as(&routes, Audience::Administrators, "GET", path),
            "nothing",
            "{path}"
        );
    }

    // with one address for both, clients find them too, behind what is configured
    routes.share_management();
    let own = record("mine", json!({"url_path": "/zato/soap"}));
    let snapshot = Snapshot::new(2, vec![own]);
    routes.prepare(&snapshot).unwrap().commit();
    for (method, path, expected) in doors.into_iter().filter(|(_, path, _)| *path != "/zato/soap") {
        assert_eq!(find_as(&routes, Audience::Clients, method, path), expected);
    }
    assert_eq!(
        find_as(&routes, Audience::Clients, "POST", "/zato/soap"),
        "mine service.mine"
    );
    assert_eq!(
        find_as(&routes, Audience::Clients, "POST", invoke),
        "admin.api.invoke busbar.manage.invoker"
    );
    assert_ne!(find_as(&routes, Audience::Clients, "GET", "/zato/cache/key"), "nothing");
}

/// Guards that are the same until somebody says otherwise.
#[derive(Default)]
struct Settled(Mutex<Option<Arc<dyn Guards>>>);

impl Gate for Settled {
    fn guards(&self, _: &Snapshot) -> Result<Arc<dyn Guards>, Error> {
        let mut guards = self.0.lock().unwrap();
        Ok(Arc::clone(guards.get_or_insert_with(|| Arc::new(Open))))
    }
}

#[test]
fn a_change_makes_the_channels_anew_that_it_changes() {
    let gate = Arc::new(Settled::default());
    let routes = Routes::new(gate.clone());
    let made = |paths: &[(&str, &str)]| {
        let records = paths.iter().map(|(name, path)| record(name, json!({"url_path": path})));
        routes.prepare(&Snapshot::new(1, records.collect())).unwrap().commit();
        let table = routes.clients.load_full();
        let mut own: Vec<_> = table.own.routes.clone();
        own.sort_by(|one, other| one.name.cmp(&other.name));
        (table, own)
    };
    let (first, before) = made(&[("a", "/a"), ("b", "/b/{id}"), ("c", "/c")]);
    let (second, after) = made(&[("a", "/a"), ("b", "/b/{id}"), ("c", "/c")]);
    assert!(Arc::ptr_eq(&first.own, &second.own) && Arc::ptr_eq(&first.internal, &second.internal));
    assert!(before.iter().zip(&after).all(|(one, other)| Arc::ptr_eq(one, other)));

    let (third, after) = made(&[("a", "/a"), ("b", "/x/{id}"), ("d", "/c")]);
    assert!(Arc::ptr_eq(&before[0], &after[0]) && !Arc::ptr_eq(&before[1], &after[1]));
    assert!(!Arc::ptr_eq(&second.own, &third.own) && Arc::ptr_eq(&second.internal, &third.internal));
    assert_eq!(find(&routes, "GET", "/x/1", None), "b id=1");
    assert_eq!(find(&routes, "GET", "/b/1", None), "nothing");
    assert_eq!(find(&routes, "GET", "/c", None), "d");

    // what a change that is refused has prepared does not come into effect
    let records = vec![record("a", json!({"url_path": "/y"}))];
    drop(routes.prepare(&Snapshot::new(1, records)).unwrap());
    assert_eq!(find(&routes, "GET", "/a", None), "a");

    // whom channels let in has changed
    *gate.0.lock().unwrap() = None;
    let (fourth, last) = made(&[("a", "/a"), ("b", "/x/{id}"), ("d", "/c")]);
    assert!(last.iter().zip(&after).all(|(one, other)| !Arc::ptr_eq(one, other)));
    assert!(!Arc::ptr_eq(&third.internal, &fourth.internal));
}
