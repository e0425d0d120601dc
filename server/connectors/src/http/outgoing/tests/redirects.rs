//! Redirects.

use super::*;

#[tokio::test]
async fn redirects_change_methods_as_they_should() {
    let server = Server::answering(|request| match request.line().split(' ').nth(1).unwrap() {
        "/end" => {
            let body = String::from_utf8_lossy(&request.body);
            ok(&format!("{} {body}", request.line().split(' ').next().unwrap()))
        }
        status => {
            let status = status.trim_start_matches('/');
            format!("HTTP/1.1 {status} Go\r\nLocation: end\r\nContent-Length: 0\r\n\r\n")
        }
    });
    for (status, method, expected) in [
        (301, "POST", "GET "),
        (301, "PUT", "PUT "),
        (302, "PUT", "GET "),
        (303, "POST", "GET "),
        (307, "POST", "POST body"),
        (308, "PUT", "PUT body"),
    ] {
        let connection = connection(&server.url(), json!({"url_path": format!("/{status}")}));
        let request = HttpRequest {
            method: method.into(),
            ..post("body")
        };
        let response = connection.send(request).await.unwrap();
        assert_eq!(response.body, expected, "{status} {method}");
        assert_eq!(response.history.len(), 1);
        assert_eq!(response.history[0].status, status);
        assert!(response.url.ends_with("/end"));
        let request = HttpRequest {
            method: method.into(),
            allow_redirects: Some(false),
            ..post("body")
        };
        assert_eq!(connection.send(request).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn redirects_end_and_do_not_carry_credentials_elsewhere() {
    let round = Server::answering(|_| "HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".into());
    let error = connection(&round.url(), json!({})).send(get()).await.unwrap_err();
    assert!(
        matches!(failure(&error), HttpFailure::TooManyRedirects(30)),
        "{error:?}"
    );
    assert_eq!(round.lines(), 1);

    let other = Server::answering(|request| {
        ok(&format!(
            "{:?} {:?}",
            request.header("x-api-key"),
            request.header("authorization")
        ))
    });
    let to = other.url();
    let first = Server::answering(move |_| format!("HTTP/1.1 302 Go\r\nLocation: {to}/x\r\nContent-Length: 0\r\n\r\n"));
    let key = security("security.apikey", json!({"header": "X-API-Key", "password": "secret"}));
    let connection = connection_with(&first.url(), json!({"security": "sec"}), vec![key]);
    let request = HttpRequest {
        basic_auth: Some(("a".into(), "b".into())),
        ..get()
    };
    assert_eq!(connection.send(request).await.unwrap().body, "None None");
}

#[tokio::test]
async fn cookies_go_along_within_redirects_only() {
    let server = Server::answering(|request| match request.line() {
        "GET /log-in HTTP/1.1" => {
            "HTTP/1.1 302 Go\r\nLocation: /in\r\nSet-Cookie: s=1; HttpOnly\r\nContent-Length: 0\r\n\r\n".into()
        }
        _ => ok(request.header("cookie").unwrap_or("none")),
    });
    let log_in = connection(&server.url(), json!({"url_path": "/log-in"}));
    let request = HttpRequest {
        headers: vec![("Cookie".into(), "mine=2; s=0".into())],
        ..get()
    };
    assert_eq!(log_in.send(request).await.unwrap().body, "mine=2; s=1");
    let other = connection(&server.url(), json!({"url_path": "/other"}));
    assert_eq!(other.send(get()).await.unwrap().body, "none");
}
