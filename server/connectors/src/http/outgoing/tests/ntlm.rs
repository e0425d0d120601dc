//! NTLM: how lines are logged in, and what happens when they cannot be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::http::outgoing::ntlm::{Account, message};

const NONCE: [u8; 8] = [7; 8];

fn refused(challenge: &str) -> String {
    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM{challenge}\r\nContent-Length: 4\r\n\r\nnope")
}

fn challenge() -> String {
    let mut message = b"NTLMSSP\0\x02\0\0\0".to_vec();
    message.extend([0; 8]);
    message.extend(0x0080_0201_u32.to_le_bytes());
    message.extend(NONCE);
    message.extend([0; 8]);
    // no attributes
    message.extend([4, 0, 4, 0, 48, 0, 0, 0, 0, 0, 0, 0]);
    refused(&format!(" {}", STANDARD.encode(message)))
}

/// What the requests of one line said, and how a line ends up.
type Seen = Arc<Mutex<Vec<(usize, String)>>>;

/// A server that logs lines in, for `CORP\ann` whose password is `s3cret`; forgets a line after so many requests.
fn server(forgets_after: usize) -> (Server, Seen) {
    let seen = Seen::default();
    let list = Arc::clone(&seen);
    let server = Server::raw(move |number, stream| {
        let account = Account::new("CORP\\ann", "s3cret");
        let mut reader = BufReader::new(stream);
        let mut good_for = 0;
        while let Some(request) = read_request(&mut reader) {
            let token = request.header("authorization").and_then(|it| it.strip_prefix("NTLM "));
            let bytes = token.map(|token| STANDARD.decode(token).unwrap());
            let body = String::from_utf8(request.body.clone()).unwrap();
            let (what, answer) = match &bytes {
                Some(bytes) if bytes[8] == 1 => ("opening", challenge()),
                Some(bytes) if message::is_right(bytes, &account, NONCE) => {
                    good_for = forgets_after;
                    ("answer", ok(&body))
                }
                Some(_) => ("wrong", refused("")),
                None if good_for == 0 => ("stranger", refused("")),
                None => {
                    good_for -= 1;
                    ("known", ok(&body))
                }
            };
            list.lock().unwrap().push((number, format!("{what} {body}")));
            if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (server, seen)
}

fn crm(host: &str, password: &str) -> Arc<HttpConnection> {
    let account = security("security.ntlm", json!({"username": "CORP\\ann", "password": password}));
    connection_with(host, json!({"security": "sec"}), vec![account])
}

fn said(seen: &Seen) -> Vec<(usize, String)> {
    std::mem::take(&mut seen.lock().unwrap())
}

fn expected(steps: &[(usize, &str)]) -> Vec<(usize, String)> {
    steps.iter().map(|(line, step)| (*line, (*step).to_owned())).collect()
}

#[tokio::test]
async fn a_line_is_logged_in_once() {
    let (server, seen) = server(usize::MAX);
    let crm = crm(&server.url(), "s3cret");
    for _ in 0..2 {
        let response = crm.send(post("x")).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (200, &b"x"[..]));
    }
    assert_eq!(crm.send(get()).await.unwrap().status, 200);
    let steps = [(0, "opening "), (0, "answer x"), (0, "known x"), (0, "known ")];
    assert_eq!(said(&seen), expected(&steps));
}

#[tokio::test]
async fn a_line_that_is_forgotten_is_logged_in_again() {
    let (server, seen) = server(0);
    let crm = crm(&server.url(), "s3cret");
    for _ in 0..2 {
        assert_eq!(crm.send(post("x")).await.unwrap().status, 200);
    }
    let steps = [
        (0, "opening "),
        (0, "answer x"),
        (0, "stranger x"),
        (0, "opening "),
        (0, "answer x"),
    ];
    assert_eq!(said(&seen), expected(&steps));
}

#[tokio::test]
async fn a_wrong_password_is_the_back_ends_refusal() {
    let (server, seen) = server(usize::MAX);
    let crm = crm(&server.url(), "other");
    let response = crm.send(post("x")).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (401, &b"nope"[..]));
    assert_eq!(said(&seen), expected(&[(0, "opening "), (0, "wrong x")]));
}

#[tokio::test]
async fn requests_with_credentials_of_their_own_keep_to_themselves() {
    let (server, seen) = server(usize::MAX);
    let crm = crm(&server.url(), "s3cret");
    assert_eq!(crm.send(post("x")).await.unwrap().status, 200);
    let mut own = post("y");
    own.headers.push(("Authorization".into(), "Basic eDp5".into()));
    assert_eq!(crm.send(own).await.unwrap().status, 401);
    let steps = [(0, "opening "), (0, "answer x"), (1, "stranger y")];
    assert_eq!(said(&seen), expected(&steps));
}

#[tokio::test]
async fn back_ends_that_do_not_ask_get_the_request_all_the_same() {
    let server = Server::answering(|request| ok(&String::from_utf8(request.body.clone()).unwrap()));
    let crm = crm(&server.url(), "s3cret");
    assert_eq!(crm.send(post("x")).await.unwrap().body, "x");
    assert_eq!(crm.send(get()).await.unwrap().status, 200);
    assert_eq!(server.lines(), 1);
}

#[tokio::test]
async fn challenges_that_cannot_be_answered_are_errors() {
    for answer in [
        refused(" !"),
        refused(" TlRMTVNTUAACAAAA"),
        challenge().replace("Content-Length", "Connection: close\r\nContent-Length"),
    ] {
        let server = Server::answering(move |_| answer.clone());
        let error = crm(&server.url(), "s3cret").send(post("x")).await.unwrap_err();
        assert!(
            matches!(failure(&error), HttpFailure::Protocol(_) | HttpFailure::Lost(_)),
            "{error:?}"
        );
        assert!(!error.chain().contains("s3cret"));
    }
}

#[tokio::test]
async fn nobody_else_gets_the_log_in() {
    let (elsewhere, seen) = server(usize::MAX);
    let location = format!("{}/x", elsewhere.url());
    let here = Server::answering(move |_| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
    });
    assert_eq!(crm(&here.url(), "s3cret").send(post("x")).await.unwrap().status, 401);
    assert_eq!(said(&seen), expected(&[(0, "stranger x")]));
}
