//! Redis over TLS, behind Sentinels, as a cluster, full, and as a replica: each against real servers on free ports.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use busbar_testkit::free_port;
use tempfile::TempDir;

use super::{RedisClient, RedisConfig, RedisFailureKind, Reply};

const LIMIT: Duration = Duration::from_secs(30);

/// A `redis-server` on a port of its own.
struct Server {
    _directory: TempDir,
    port: u16,
    child: Child,
}

/// `None` where no `redis-server` is installed; never under CI.
fn is_installed() -> bool {
    let is_there = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "redis-server is not installed"
    );
    is_there
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with("", arguments)
    }

    /// With a file of settings, which Sentinels need.
    fn start_with(settings: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = directory.path().join("redis.conf");
        std::fs::write(&file, settings).unwrap();
        let text = port.to_string();
        let mut all = vec!["--port", &text, "--bind", "127.0.0.1"];
        if arguments.contains(&"--tls-port") {
            all = Vec::new();
        }
        // which would be 10,000 above the other one, where it may be somebody's
        let bus = free_port().to_string();
        if arguments.contains(&"--cluster-enabled") {
            all.extend(["--cluster-port", &bus]);
        }
        if !arguments.contains(&"--sentinel") {
            all.extend(["--save", "", "--appendonly", "no"]);
        }
        let arguments: Vec<String> = arguments
            .iter()
            .map(|text| text.replace("PORT", &port.to_string()))
            .collect();
        let child = Command::new("redis-server")
            .arg(&file)
            .args(&all)
            .args(&arguments)
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            _directory: directory,
            port,
            child,
        };
        let end = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < end && server.child.try_wait().unwrap().is_none(),
                "redis-server did not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn client(url: &str) -> RedisClient {
    RedisClient::new(RedisConfig::new(url)).unwrap()
}

fn command(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

async fn run(redis: &RedisClient, text: &str) -> Reply {
    redis
        .execute(&command(text))
        .await
        .unwrap_or_else(|failure| panic!("{text}: {failure}"))
}

/// Tries until it works.
async fn until_done(redis: &RedisClient, text: &str) -> Reply {
    let end = Instant::now() + LIMIT;
    loop {
        match redis.execute(&command(text)).await {
            Ok(reply) => return reply,
            Err(failure) => assert!(Instant::now() < end, "{text}: {failure}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ok() -> Reply {
    Reply::Status("OK".to_owned())
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.to_owned().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_an_authority_of_ones_own() {
    if !is_installed() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let server = Server::start(&[
        "--port",
        "0",
        "--tls-port",
        "PORT",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
        "--requirepass",
        "s3cret",
    ]);
    let url = format!("rediss://:s3cret@127.0.0.1:{}/2", server.port);
    let redis = client(&format!("{url}?ssl_ca_certs={certificate}"));
    assert_eq!(run(&redis, "SET a 1").await, ok());
    assert_eq!(run(&redis, "BLPOP none 0.01").await, Reply::Nil);
    redis.subscription().await.unwrap();
    assert!(redis.direct(&command("GET a")).is_none());
    assert_eq!(
        run(&client(&format!("{url}?ssl_cert_reqs=none")), "GET a").await,
        bulk("1")
    );
    let failure = client(&url).execute(&command("GET a")).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Connection);
    assert!(failure.message().contains("certificate"), "{failure}");
    let wrong = client(&format!("rediss://:wrong@127.0.0.1:{}?ssl_cert_reqs=none", server.port));
    let failure = wrong.execute(&command("GET a")).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Authentication);
    let place = format!("Redis at `127.0.0.1:{}`", server.port);
    assert!(failure.message().contains(&place), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed() {
    if !is_installed() {
        return;
    }
    let mut master = Server::start(&["--requirepass", "p", "--masterauth", "p"]);
    let master_port = master.port.to_string();
    let replica = Server::start(&[
        "--requirepass",
        "p",
        "--masterauth",
        "p",
        "--replicaof",
        "127.0.0.1",
        &master_port,
        "--repl-diskless-sync-delay",
        "0",
    ]);
    let settings = format!(
        "sentinel monitor main 127.0.0.1 {master_port} 1\nsentinel auth-pass main p\n\
         sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
    );
    let sentinel = Server::start_with(&settings, &["--sentinel"]);
    // the first one does not answer
    let url = format!("redis+sentinel://:p@127.0.0.1:9,127.0.0.1:{}/main", sentinel.port);
    let redis = client(&url);
    assert_eq!(run(&redis, "SET a 1").await, ok());
    // the Sentinel must know of the replica, and the replica have everything
    until_replicated(&sentinel, &redis).await;
    let mut watching = redis.session().await.unwrap();
    watching.execute(&command("WATCH a")).await.unwrap();
    master.kill();
    assert!(watching.execute(&command("GET a")).await.is_err());
    assert_eq!(until_done(&redis, "SET b 2").await, ok());
    assert_eq!(run(&redis, "GET a").await, bulk("1"));
    assert_eq!(run(&redis, "BLPOP none 0.01").await, Reply::Nil);
    let direct = client(&format!("redis://:p@127.0.0.1:{}", replica.port));
    assert_eq!(run(&direct, "GET b").await, bulk("2"));
    let failure = client(&url.replace("/main", "/other"))
        .execute(&command("GET a"))
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Connection);
    assert!(failure.message().contains("it does not know the service"), "{failure}");
}

async fn until_replicated(sentinel: &Server, redis: &RedisClient) {
    let sentinel = client(&sentinel.url());
    let end = Instant::now() + LIMIT;
    loop {
        let known = match run(&sentinel, "SENTINEL REPLICAS main").await {
            Reply::Array(replicas) => replicas.len(),
            _ => 0,
        };
        if known == 1 && run(redis, "WAIT 1 100").await == Reply::Int(1) {
            return;
        }
        assert!(Instant::now() < end, "the replica did not get ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three() {
    if !is_installed() {
        return;
    }
    let nodes: Vec<Server> = (0..3)
        .map(|_| Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]))
        .collect();
    let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&addresses)
        .args(["--cluster-yes"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let redis = client(&format!("redis+cluster://{},127.0.0.1:9", addresses[0]));
    // keys of all nodes
    for number in 0..20 {
        assert_eq!(until_done(&redis, &format!("SET key:{number} {number}")).await, ok());
    }
    assert_eq!(
        run(&redis, "MGET key:1 key:2 none").await,
        Reply::Array(vec![bulk("1"), bulk("2"), Reply::Nil])
    );
    assert_eq!(run(&redis, "DBSIZE").await, Reply::Int(20));
    let pipeline: Vec<_> = (0..20).map(|number| command(&format!("GET key:{number}"))).collect();
    let replies = redis.pipeline(&pipeline, false).await.unwrap();
    assert_eq!(replies[7], Ok(bulk("7")));
    // each node has its part
    let masters = redis.nodes().await.unwrap();
    assert_eq!(masters.len(), 3);
    let mut found = 0;
    for node in &masters {
        match redis.execute_at(node, &command("KEYS *")).await.unwrap() {
            Reply::Array(keys) => found += keys.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, 20);
    // what waits, watches and belongs together goes to the node of its key
    for number in 0..5 {
        run(&redis, &format!("RPUSH list:{number} x")).await;
        let popped = run(&redis, &format!("BLPOP list:{number} 1")).await;
        assert_eq!(popped, Reply::Array(vec![bulk(&format!("list:{number}")), bulk("x")]));
        let both = [
            command(&format!("SET {{t{number}}}a 1")),
            command(&format!("INCR {{t{number}}}a")),
        ];
        assert_eq!(
            redis.pipeline(&both, true).await.unwrap(),
            [Ok(ok()), Ok(Reply::Int(2))]
        );
    }
    let mut session = redis.session_for(&command("WATCH key:3")).await.unwrap();
    session.execute(&command("WATCH key:3")).await.unwrap();
    run(&redis, "SET key:3 changed").await;
    let failure = session.pipeline(&[command("SET key:3 mine")], true).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Watch);
    let apart = [command("SET key:1 a"), command("SET key:2 b")];
    let failure = redis.pipeline(&apart, true).await.unwrap_err();
    assert!(
        failure.message().contains("CROSSSLOT") || failure.message().contains("MOVED"),
        "{failure}"
    );
    let failure = redis.execute(&command("SCAN 0")).await.unwrap_err();
    assert!(failure.message().contains("scan_iter"), "{failure}");
    let subscription = redis.subscription().await.unwrap();
    subscription.subscribe(&[b"news".to_vec()]).await.unwrap();
    subscription.next(Some(LIMIT)).await.unwrap().unwrap();
    run(&redis, "PUBLISH news x").await;
    assert_eq!(&subscription.next(Some(LIMIT)).await.unwrap().unwrap().data[..], b"x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_and_read_only_servers_say_so_and_go_on() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&["--maxmemory", "100kb"]);
    let redis = client(&server.url());
    let failure = redis.execute(&command("SET a 1")).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::OutOfMemory);
    assert_eq!(run(&redis, "GET a").await, Reply::Nil);
    let transaction = redis.pipeline(&[command("SET a 1")], true).await.unwrap_err();
    assert_eq!(transaction.kind(), RedisFailureKind::OutOfMemory);
    run(&redis, "CONFIG SET maxmemory 0").await;
    assert_eq!(run(&redis, "SET a 1").await, ok());

    let port = server.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
    let redis = client(&replica.url());
    let failure = until_refused(&redis).await;
    assert_eq!(failure.kind(), RedisFailureKind::ReadOnly);
    run(&redis, "INFO").await;
}

async fn until_refused(redis: &RedisClient) -> super::RedisFailure {
    let end = Instant::now() + LIMIT;
    loop {
        match redis.execute(&command("SET a 2")).await {
            // a replica that has not met its master yet is still reading
            Err(failure) if failure.kind() != RedisFailureKind::BusyLoading => return failure,
            _ => assert!(Instant::now() < end),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_thread_at_a_time_has_the_direct_connection() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let redis = client(&server.url());
    assert!(redis.direct(&command("GET a")).is_none(), "nothing is connected yet");
    run(&redis, "SET a 1").await;
    let redis = tokio::task::spawn_blocking(move || {
        let get = command("GET a");
        let turn = redis.direct(&get).unwrap();
        assert!(redis.direct(&get).is_none(), "somebody else has it");
        assert_eq!(turn.run(&get), Some(Ok(bulk("1"))));
        for text in ["BLPOP a 1", "SUBSCRIBE a", "SELECT 1"] {
            assert!(redis.direct(&command(text)).is_none(), "{text}");
        }
        let wrong = command("LPUSH a 1");
        let failure = redis.direct(&wrong).unwrap().run(&wrong).unwrap().unwrap_err();
        assert!(failure.message().starts_with("WRONGTYPE"));
        let long = vec![b"SET".to_vec(), b"long".to_vec(), vec![b'x'; 1 << 20]];
        assert_eq!(redis.direct(&long).unwrap().run(&long), Some(Ok(ok())));
        let long = command("GET long");
        assert_eq!(
            redis.direct(&long).unwrap().run(&long),
            Some(Ok(bulk(&"x".repeat(1 << 20))))
        );
        redis
    })
    .await
    .unwrap();
    server.kill();
    tokio::task::spawn_blocking(move || {
        // whatever was not run is for the other way, which knows how to wait
        let get = command("GET a");
        if let Some(turn) = redis.direct(&get) {
            assert_eq!(turn.run(&get), None);
        }
    })
    .await
    .unwrap();
}
