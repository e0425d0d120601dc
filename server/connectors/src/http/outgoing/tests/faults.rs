//! Back-ends that misbehave.

use super::*;

#[tokio::test]
async fn refused_and_reset_and_early_closed_are_connection_errors() {
    let closed = SocketAddr::from(([127, 0, 0, 1], busbar_testkit::free_port()));
    let error = connection(&format!("http://{closed}"), json!({}))
        .send(get())
        .await
        .unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Connect { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Connection);
    assert!(error.chain().contains("refused"), "{}", error.chain());

    // data that nobody has read makes the system send a reset
    let resets = Server::raw(|_, stream| {
        std::thread::sleep(Duration::from_millis(50));
        drop(stream);
    });
    let error = connection(&resets.url(), json!({})).send(post("x")).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Lost(_)), "{error:?}");

    let closes = Server::raw(|_, stream| {
        read_request(&mut BufReader::new(stream));
    });
    let error = connection(&closes.url(), json!({})).send(get()).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Lost(_)), "{error:?}");

    let error = connection("http://no-such-host.invalid", json!({}))
        .send(get())
        .await
        .unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn hanging_and_dripping_servers_meet_the_time_limit() {
    let hangs = Server::raw(|_, stream| {
        std::thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    let drips = Server::raw(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for server in [hangs, drips] {
        let connection = connection(&server.url(), json!({"timeout": 0.2}));
        let started = Instant::now();
        let error = connection.send(get()).await.unwrap_err();
        assert!(matches!(failure(&error), HttpFailure::ReadTimeout(_)), "{error:?}");
        assert_eq!(error.kind(), Kind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn connecting_has_a_time_limit_of_its_own_kind() {
    // the backlog is full: the system answers no more attempts to connect
    let listener = socket_with_full_backlog();
    let url = format!("http://{}", listener.0.local_addr().unwrap());
    let error = connection(&url, json!({"timeout": 0.2})).send(get()).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::ConnectTimeout(_)), "{error:?}");
}

/// A listener whose backlog is full, with the lines that fill it.
fn socket_with_full_backlog() -> (TcpListener, Vec<std::thread::JoinHandle<()>>) {
    use std::os::fd::AsRawFd;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: listening again on a listening socket only changes its backlog
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let fillers = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                if let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
                    std::thread::sleep(Duration::from_secs(2));
                    drop(stream);
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    (listener, fillers)
}

#[tokio::test]
async fn garbage_and_broken_framing_are_told_apart_from_lost_lines() {
    for (wire, expected) in [
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "protocol"),
        ("HTTP/1.1 two hundred\r\n\r\n", "protocol"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "protocol",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxyz", "truncated"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n",
            "truncated",
        ),
    ] {
        let server = Server::raw(move |_, stream| {
            let mut reader = BufReader::new(stream);
            read_request(&mut reader);
            reader.get_mut().write_all(wire.as_bytes()).unwrap();
        });
        let error = connection(&server.url(), json!({})).send(get()).await.unwrap_err();
        let found = match failure(&error) {
            HttpFailure::Protocol(_) => "protocol",
            HttpFailure::Truncated(_) => "truncated",
            _ => "other",
        };
        assert_eq!(found, expected, "{wire:?}: {error:?}");
    }
}
