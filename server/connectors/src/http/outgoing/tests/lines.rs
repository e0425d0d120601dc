//! Keeping, sharing and replacing lines.

use super::*;

#[tokio::test]
async fn lines_are_kept_and_reused() {
    let server = Server::answering(|_| ok("x"));
    let connection = connection(&server.url(), json!({}));
    for _ in 0..20 {
        connection.send(get()).await.unwrap();
    }
    assert_eq!(server.lines(), 1);
}

#[tokio::test]
async fn a_change_keeps_the_pools_of_connections_that_it_leaves_alone() {
    let server = Server::answering(|_| ok("x"));
    let body = |timeout: u32| json!({"host": server.url(), "timeout": timeout});
    let all = connections(vec![
        record::<OutgoingHttp>(" a ", &body(5)),
        record::<OutgoingHttp>("b", &body(5)),
    ]);
    let (a, b) = (all.get("a").unwrap(), all.get("b ").unwrap());
    a.send(get()).await.unwrap();
    let mut off = record::<OutgoingHttp>("c", &body(1));
    off.is_active = false;
    let records = vec![
        record::<OutgoingHttp>("a", &body(5)),
        record::<OutgoingHttp>("b", &body(6)),
        off,
    ];
    all.prepare(&Snapshot::new(2, records)).unwrap().commit();
    assert!(Arc::ptr_eq(&a, &all.get("a").unwrap()));
    assert!(!Arc::ptr_eq(&b, &all.get("b").unwrap()));
    all.get("a").unwrap().send(get()).await.unwrap();
    assert_eq!(server.lines(), 1);
    // whoever holds the old one can still use it
    b.send(get()).await.unwrap();
    assert_eq!(all.get("c").unwrap_err().kind(), Kind::Inactive);
    assert_eq!(all.get("d").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(all.names(crate::http::Transport::PlainHttp), ["a", "b", "c"]);
}

#[tokio::test]
async fn the_pool_bounds_lines_and_waiting_for_one_is_bounded() {
    let server = Server::answering(|_| {
        std::thread::sleep(Duration::from_millis(50));
        ok("x")
    });
    let connection = connection(&server.url(), json!({"pool_size": 2}));
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { connection.send(get()).await.map(|response| response.status) })
        })
        .collect();
    tokio::task::yield_now().await;
    let request = HttpRequest {
        timeout: Some(Duration::from_millis(20)),
        ..get()
    };
    let error = connection.send(request).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::PoolTimeout(2)), "{error:?}");
    assert!(error.message().contains("`CRM`"));
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 200);
    }
    assert_eq!(server.lines(), 2);
}

#[tokio::test]
async fn a_line_that_the_server_has_closed_is_replaced_also_for_a_post() {
    let server = Server::raw(|_, stream| {
        let mut reader = BufReader::new(stream);
        read_request(&mut reader);
        reader.get_mut().write_all(ok("x").as_bytes()).unwrap();
    });
    let connection = connection(&server.url(), json!({}));
    for _ in 0..5 {
        assert_eq!(connection.send(post("y")).await.unwrap().body, "x");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.lines(), 5);
}

#[tokio::test]
async fn a_line_that_drops_under_a_request_is_replaced_once_unless_that_could_do_harm() {
    // every line answers one request and drops at the second one
    let server = || {
        Server::raw(|_, stream| {
            let mut reader = BufReader::new(stream);
            read_request(&mut reader);
            reader.get_mut().write_all(ok("x").as_bytes()).unwrap();
            read_request(&mut reader);
        })
    };
    let connection = connection(&server().url(), json!({}));
    connection.send(get()).await.unwrap();
    assert_eq!(connection.send(get()).await.unwrap().body, "x");
    let error = connection.send(post("y")).await.unwrap_err();
    assert!(matches!(failure(&error), HttpFailure::Lost(_)), "{error:?}");
}

#[tokio::test]
async fn a_call_that_is_given_up_frees_its_place() {
    let server = Server::raw(|number, stream| {
        let mut reader = BufReader::new(stream);
        read_request(&mut reader);
        if number == 0 {
            std::thread::sleep(Duration::from_secs(2));
        }
        let _ = reader.get_mut().write_all(ok("x").as_bytes());
    });
    let connection = connection(&server.url(), json!({"pool_size": 1}));
    let given_up = tokio::time::timeout(Duration::from_millis(100), connection.send(get())).await;
    assert!(given_up.is_err());
    assert_eq!(connection.send(get()).await.unwrap().body, "x");
}
