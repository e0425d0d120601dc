use std::path::Path;
use std::sync::Arc;

use busbar_connectors::http::Tls;
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::setup::{LIMIT, config, server, server_with};

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let (sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let ask = |path: &str, body: String| {
        let mut sender = sender.clone();
        let request = Request::post(format!("http://x{path}")).body(Full::from(body)).unwrap();
        async move {
            let response = sender.send_request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            (
                parts.status.as_u16(),
                parts.headers,
                String::from_utf8(body.to_vec()).unwrap(),
            )
        }
    };
    let (status, headers, body) = ask("/echo", "{}".to_owned()).await;
    assert_eq!((status, body.as_str()), (200, "{}"));
    assert_eq!(headers["server"], "busbar");
    assert_eq!(headers["x-zato-cid"].len(), 24);
    assert!(!headers.contains_key("connection"));
    let (status, headers, _) = ask("/echo", "x".repeat(100_001)).await;
    assert_eq!(status, 413);
    assert!(headers.contains_key("x-zato-cid") && !headers.contains_key("connection"));
    assert_eq!(ask("/guarded", "x".repeat(90_000)).await.0, 401);
    assert_eq!(ask("/nope", String::new()).await.0, 404);
    // many at once
    let all: Vec<_> = (0..150)
        .map(|number| tokio::spawn(ask("/length", "x".repeat(number * 100))))
        .collect();
    for (number, one) in all.into_iter().enumerate() {
        assert_eq!(one.await.unwrap().2, (number * 100).to_string());
    }
    let mut sender = sender;
    let head = Request::head("http://x/head/1").body(Full::default()).unwrap();
    let response = sender.send_request(head).await.unwrap();
    assert!(
        response.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse::<usize>()
            .unwrap()
            > 50
    );
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    drop(sender);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_without_tls() {
    let server = server().await;
    speak(TcpStream::connect(server.address()).await.unwrap()).await;
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight() {
    let server = server().await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let response = tokio::spawn(sender.send_request(Request::get("http://x/wait").body(Full::default()).unwrap()));
    tokio::time::timeout(LIMIT, server.fake.began.notified()).await.unwrap();
    let fake = Arc::clone(&server.fake);
    let draining = tokio::spawn(async move { server.server.drain(LIMIT).await });
    fake.go_on.notify_one();
    let response = tokio::time::timeout(LIMIT, response).await.unwrap().unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "at last");
    assert_eq!(tokio::time::timeout(LIMIT, draining).await.unwrap().unwrap(), 0);
    driver.await.unwrap().unwrap();
}

/// A certificate for `localhost`, signed by itself.
fn certificate(directory: &Path) -> Tls {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate: directory.join("cert.pem"),
        key: directory.join("key.pem"),
        client_ca: None,
        client_required: false,
    };
    std::fs::write(&tls.certificate, cert.pem()).unwrap();
    std::fs::write(&tls.key, signing_key.serialize_pem()).unwrap();
    tls
}

#[tokio::test]
async fn tls_agrees_on_the_protocol() {
    let directory = tempfile::tempdir().unwrap();
    let tls = certificate(directory.path());
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_file(&tls.certificate).unwrap())
        .unwrap();
    let mut config = config();
    config.tls = Some(tls);
    let server = server_with(config).await;
    let connect = async |protocols: &[&[u8]]| {
        let mut config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    };
    let stream = connect(&[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    speak(stream).await;
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let (mut sender, connection) = http1::handshake(TokioIo::new(connect(protocols).await)).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = Request::post("/echo")
            .header("host", "x")
            .body(Full::new(Bytes::from_static(b"{}")))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, Version::HTTP_11)
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{}");
        drop(sender);
        driver.await.unwrap().unwrap();
    }
    // a handshake that does not come keeps nobody from stopping
    let mut silent = server.connect().await;
    // plain bytes on a TLS port
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    drop(client);
    assert_eq!(server.server.drain(LIMIT / 4).await, 0);
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_when_the_server_is_bound() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config.tls = Some(Tls {
        certificate: directory.path().join("none.pem"),
        key: directory.path().join("none.key"),
        client_ca: None,
        client_required: false,
    });
    let error = busbar_connectors::http::HttpServer::bind(config)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(error.message().contains("none.pem"), "{error}");
}
