//! Bearer tokens: how often they are asked for, and what happens when there are none.

use busbar_model::object::Record;

use super::*;
use busbar_model::bearer_token::SecurityBearerToken;

/// An authorization server that numbers its tokens and says how long they live.
fn login(expires_in: &'static str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&asked);
    let server = Server::answering(move |request| {
        let mut list = list.lock().unwrap();
        list.push(String::from_utf8(request.body.clone()).unwrap());
        ok(&format!(
            r#"{{"access_token": "t{}", "expires_in": {expires_in}}}"#,
            list.len()
        ))
    });
    (server, asked)
}

fn definition(login: &str, more: Value) -> Record {
    let mut body =
        json!({"username": "me", "password": "hunter2", "auth_server_url": format!("{login}/token"), "scopes": "a\nb"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record::<SecurityBearerToken>("sec", &body)
}

fn crm(host: &str, definition: Record) -> OutgoingConnections {
    let connection = json!({"host": host, "timeout": 5, "security": "sec"});
    connections(vec![definition, record::<OutgoingHttp>("CRM", &connection)])
}

/// A back-end that takes no token among `refused`.
fn picky(refused: &'static [&'static str]) -> Server {
    Server::answering(move |request| {
        let token = request.header("authorization").unwrap_or_default();
        if refused.iter().any(|it| token == format!("Bearer {it}")) {
            return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned();
        }
        ok(token)
    })
}

async fn called(connections: &OutgoingConnections) -> String {
    let response = connections.get("CRM").unwrap().send(post("x")).await.unwrap();
    String::from_utf8(response.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_token_is_asked_for_once() {
    let (login, asked) = login("3600");
    let more = json!({"extra_fields": "audience=crm", "client_id_field": "id"});
    let connections = crm(&picky(&[]).url(), definition(&login.url(), more));
    let (first, second, third) = tokio::join!(called(&connections), called(&connections), called(&connections));
    assert_eq!([first, second, third], ["Bearer t1"; 3]);
    let mut own = post("x");
    own.headers.push(("authorization".into(), "mine".into()));
    let response = connections.get("CRM").unwrap().send(own).await.unwrap();
    assert_eq!(response.body, "mine");
    let source = connections.tokens("sec").unwrap();
    assert_eq!(source.token("b  a", None).await.unwrap(), "t2");
    assert_eq!(source.token(" a b", None).await.unwrap(), "t1");
    let form =
        |scope: &str| format!("grant_type=client_credentials&id=me&client_secret=hunter2&scope={scope}&audience=crm");
    assert_eq!(*asked.lock().unwrap(), [form("a+b"), form("b+a")]);
}

#[tokio::test]
async fn tokens_are_asked_for_as_json_too() {
    let (login, asked) = login("\"3600\"");
    let connections = crm(
        &picky(&[]).url(),
        definition(&login.url(), json!({"data_format": "json"})),
    );
    assert_eq!(called(&connections).await, "Bearer t1");
    let body: Value = serde_json::from_str(&asked.lock().unwrap()[0]).unwrap();
    let expected =
        json!({"grant_type": "client_credentials", "client_id": "me", "client_secret": "hunter2", "scope": "a b"});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn clients_may_say_who_they_are_in_a_header() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&asked);
    let login = Server::answering(move |request| {
        let authorization = request.header("authorization").unwrap_or_default().to_owned();
        list.lock()
            .unwrap()
            .push((authorization, String::from_utf8(request.body.clone()).unwrap()));
        ok(r#"{"access_token": "t1"}"#)
    });
    let more = json!({"client_auth": "basic", "username": "m:e", "password": "hunter 2"});
    let connections = crm(&picky(&[]).url(), definition(&login.url(), more));
    assert_eq!(called(&connections).await, "Bearer t1");
    // `m%3Ae:hunter+2`
    let expected = (
        "Basic bSUzQWU6aHVudGVyKzI=".to_owned(),
        "grant_type=client_credentials&scope=a+b".to_owned(),
    );
    assert_eq!(*asked.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn expired_and_refused_tokens_are_replaced() {
    let (short, asked) = login("0");
    let connections = crm(&picky(&[]).url(), definition(&short.url(), json!({})));
    assert_eq!(
        [called(&connections).await, called(&connections).await],
        ["Bearer t1", "Bearer t2"]
    );
    assert_eq!(asked.lock().unwrap().len(), 2);

    let (long, asked) = login("3600");
    let source = crm(&picky(&["t1"]).url(), definition(&long.url(), json!({})));
    // a token that was never kept is not refused twice
    let response = source.get("CRM").unwrap().send(post("x")).await.unwrap();
    assert_eq!((response.status, asked.lock().unwrap().len()), (401, 1));
    assert_eq!(called(&source).await, "Bearer t2");
    assert_eq!(called(&source).await, "Bearer t2");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_change_of_something_else_keeps_the_tokens() {
    let (login, asked) = login("3600");
    let back_end = picky(&[]);
    let connections = crm(&back_end.url(), definition(&login.url(), json!({})));
    called(&connections).await;
    let again = |more: Value, timeout: u32| {
        let connection = json!({"host": back_end.url(), "timeout": timeout, "security": "sec"});
        let records = vec![
            definition(&login.url(), more),
            record::<OutgoingHttp>("CRM", &connection),
        ];
        connections.prepare(&Snapshot::new(2, records)).unwrap().commit();
    };
    again(json!({}), 6);
    assert_eq!(called(&connections).await, "Bearer t1");
    again(json!({"password": "other"}), 6);
    assert_eq!(called(&connections).await, "Bearer t2");
    assert!(asked.lock().unwrap()[1].contains("client_secret=other"));
}

#[tokio::test]
async fn why_there_is_no_token_is_said_without_secrets() {
    let echo = |head: &'static str| {
        Server::answering(move |request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        })
    };
    let (refuses, fails, babbles) = (echo("401 No"), echo("503 Later"), echo("200 OK"));
    let empty = Server::answering(|_| ok(r#"{"access_token": ""}"#));
    let gone = SocketAddr::from(([127, 0, 0, 1], busbar_testkit::free_port()));
    for (login, kind, what) in [
        (refuses.url(), Kind::Protocol, "answered 401"),
        (fails.url(), Kind::Connection, "answered 503"),
        (babbles.url(), Kind::Protocol, "did not answer with JSON"),
        (empty.url(), Kind::Protocol, "no `access_token`"),
        (format!("http://{gone}"), Kind::Connection, "cannot be called"),
    ] {
        let back_end = picky(&[]);
        let connections = crm(&back_end.url(), definition(&login, json!({})));
        let error = connections.get("CRM").unwrap().send(get()).await.unwrap_err();
        let said = format!("{} {error:?}", error.chain());
        assert_eq!(error.kind(), kind, "{said}");
        assert!(
            said.contains(what) && said.contains("security.bearer_token `sec`"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
        assert_eq!(back_end.lines(), 0, "the back-end is not called without a token");
    }
}

#[tokio::test]
async fn those_who_wait_share_a_failure() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let login = Server::answering(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let connections = crm("http://127.0.0.1:1", definition(&login.url(), json!({})));
    let source = connections.tokens("sec").unwrap();
    let (first, second) = tokio::join!(source.token("", None), source.token("", None));
    assert_eq!(first.unwrap_err().chain(), second.unwrap_err().chain());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    source.token("", None).await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn definitions_that_are_off_or_missing_say_so() {
    let mut off = definition("http://127.0.0.1:1", json!({}));
    off.is_active = false;
    let connections = crm("http://127.0.0.1:1", off);
    let kind = |name: &str| connections.tokens(name).err().unwrap().kind();
    assert_eq!((kind("sec"), kind("other")), (Kind::Inactive, Kind::NotFound));
    let error = connections.get("CRM").unwrap().send(get()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Inactive);
}
