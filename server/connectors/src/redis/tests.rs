//! Against a real `redis-server`, one per test where it has to be killed. Skipped, with a note, where there is none.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;

use super::{PushKind, RedisClient, RedisConfig, RedisFailureKind, RedisPush, Reply};

const LIMIT: Duration = Duration::from_secs(10);

/// A server on a Unix socket in a directory of its own.
struct Server {
    directory: TempDir,
    child: Child,
}

impl Server {
    /// `None` where no `redis-server` is installed; never under CI.
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        match spawn(&directory) {
            Some(child) => Some(Self { directory, child }),
            None => {
                assert!(std::env::var_os("CI").is_none(), "redis-server is not installed");
                eprintln!("skipped: redis-server is not installed");
                None
            }
        }
    }

    fn config(&self) -> RedisConfig {
        RedisConfig::new(format!("unix://{}/redis.sock", self.directory.path().display()))
    }

    fn client(&self) -> RedisClient {
        RedisClient::new(self.config()).unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = spawn(&self.directory).unwrap();
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the child is ours and has not been waited for
        assert_eq!(
            unsafe { libc::kill(i32::try_from(self.child.id()).unwrap(), signal) },
            0
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal_quietly();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn signal_quietly(&self) {
        // SAFETY: as above; a stopped process must go on to be killed cleanly
        let _ = unsafe { libc::kill(i32::try_from(self.child.id()).unwrap_or(0), libc::SIGCONT) };
    }
}

fn spawn(directory: &TempDir) -> Option<Child> {
    Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--unixsocket",
            "redis.sock",
            "--dir",
        ])
        .arg(directory.path())
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

fn command(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn commands(texts: &[&str]) -> Vec<Vec<Vec<u8>>> {
    texts.iter().map(|text| command(text)).collect()
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

#[tokio::test]
async fn commands_get_their_replies() {
    let Some(server) = Server::start() else { return };
    let redis = server.client();
    assert_eq!(
        redis.execute(&command("PING")).await.unwrap(),
        Reply::Status("PONG".into())
    );
    assert_eq!(
        redis.execute(&command("SET a 1")).await.unwrap(),
        Reply::Status("OK".into())
    );
    assert_eq!(redis.execute(&command("GET a")).await.unwrap(), bulk("1"));
    assert_eq!(redis.execute(&command("GET b")).await.unwrap(), Reply::Nil);
    assert_eq!(redis.execute(&command("INCR a")).await.unwrap(), Reply::Int(2));
    redis.execute(&command("RPUSH l x y")).await.unwrap();
    let list = redis.execute(&command("LRANGE l 0 -1")).await.unwrap();
    assert_eq!(list, Reply::Array(vec![bulk("x"), bulk("y")]));
    redis
        .execute(&[b"SET".to_vec(), b"bin".to_vec(), vec![0, 255, 13, 10]])
        .await
        .unwrap();
    assert_eq!(
        redis.execute(&command("GET bin")).await.unwrap().as_bytes(),
        Some(&[0, 255, 13, 10][..])
    );
}

#[tokio::test]
async fn errors_have_the_kinds_of_redis_py() {
    let Some(server) = Server::start() else { return };
    let redis = server.client();
    redis.execute(&command("SET a x")).await.unwrap();
    for (text, kind, message) in [
        ("LPUSH a 1", RedisFailureKind::Response, "WRONGTYPE Operation"),
        ("INCR a", RedisFailureKind::Response, "value is not an integer"),
        (
            "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
            RedisFailureKind::NoScript,
            "No matching script",
        ),
        ("SELECT 1", RedisFailureKind::Data, "SELECT changes its connection"),
        ("NOSUCH", RedisFailureKind::Response, "unknown command"),
    ] {
        let failure = redis.execute(&command(text)).await.unwrap_err();
        assert_eq!(failure.kind(), kind, "{text}: {failure}");
        assert!(failure.message().starts_with(message), "{text}: {failure}");
    }
    assert_eq!(redis.execute(&[]).await.unwrap_err().kind(), RedisFailureKind::Data);
    redis.execute(&command("CONFIG SET requirepass secret")).await.unwrap();
    let failure = server.client().execute(&command("GET a")).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Authentication, "{failure}");
    let url = |password: &str| RedisConfig::new(format!("{}?pass={password}&db=3", server.config().url));
    let failure = RedisClient::new(url("wrong"))
        .unwrap()
        .execute(&command("GET a"))
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Authentication, "{failure}");
    // which one of several it is
    let alone = RedisClient::new(url("wrong")).unwrap().session().await.err().unwrap();
    for failure in [failure, alone] {
        let message = failure.message();
        assert!(message.starts_with("cannot log in to Redis at `"), "{message}");
        assert!(message.contains(".sock`: "), "{message}");
    }
    let logged_in = RedisClient::new(url("secret")).unwrap();
    assert_eq!(logged_in.execute(&command("GET a")).await.unwrap(), Reply::Nil);
    logged_in.execute(&command("RPUSH l 1")).await.unwrap();
    // connections of their own log in, and choose the database, as well
    assert_eq!(
        logged_in.execute(&command("BLPOP l 1")).await.unwrap(),
        Reply::Array(vec![bulk("l"), bulk("1")])
    );
}

#[tokio::test]
async fn pipelines_and_transactions() {
    let Some(server) = Server::start() else { return };
    let redis = server.client();
    let replies = redis
        .pipeline(&commands(&["SET a x", "INCR a", "GET a"]), false)
        .await
        .unwrap();
    assert_eq!(replies[0], Ok(Reply::Status("OK".into())));
    assert_eq!(replies[1].as_ref().unwrap_err().kind(), RedisFailureKind::Response);
    assert_eq!(replies[2], Ok(bulk("x")));
    let replies = redis
        .pipeline(&commands(&["SET a 1", "INCR a", "LPUSH a 1"]), true)
        .await
        .unwrap();
    assert_eq!(replies[1], Ok(Reply::Int(2)));
    assert!(replies[2].is_err());
    // refused when it is queued: nothing runs
    let failure = redis
        .pipeline(&commands(&["SET a 9", "NOSUCH x"]), true)
        .await
        .unwrap_err();
    assert!(failure.message().starts_with("unknown command"), "{failure}");
    assert_eq!(redis.execute(&command("GET a")).await.unwrap(), bulk("2"));
    assert_eq!(redis.pipeline(&[], true).await.unwrap(), []);
    let replies = redis
        .pipeline(&commands(&["RPUSH l 1", "BLPOP l 1"]), false)
        .await
        .unwrap();
    assert_eq!(replies[1], Ok(Reply::Array(vec![bulk("l"), bulk("1")])));
}

#[tokio::test]
async fn what_is_watched_is_watched() {
    let Some(server) = Server::start() else { return };
    let redis = server.client();
    redis.execute(&command("SET a 1")).await.unwrap();
    let mut session = redis.session().await.unwrap();
    session.execute(&command("WATCH a")).await.unwrap();
    redis.execute(&command("SET a 2")).await.unwrap();
    let failure = session.pipeline(&commands(&["SET a 3"]), true).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Watch);
    session.execute(&command("WATCH a")).await.unwrap();
    assert_eq!(
        session.pipeline(&commands(&["INCR a"]), true).await.unwrap(),
        [Ok(Reply::Int(3))]
    );
    // one that still watches, or has chosen another database, is not given to the next user
    session.execute(&command("SELECT 5")).await.unwrap();
    drop(session);
    let mut next = redis.session().await.unwrap();
    assert_eq!(next.execute(&command("GET a")).await.unwrap(), bulk("3"));
}

#[tokio::test]
async fn commands_that_wait_hold_nobody_up() {
    let Some(server) = Server::start() else { return };
    let redis = server.client();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let redis = redis.clone();
            tokio::spawn(async move { redis.execute(&command("BLPOP queue 20")).await })
        })
        .collect();
    let end = Instant::now() + LIMIT;
    loop {
        let info = redis.execute(&command("INFO clients")).await.unwrap();
        if String::from_utf8_lossy(info.as_bytes().unwrap()).contains("blocked_clients:50") {
            break;
        }
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..50 {
        redis.execute(&command("RPUSH queue x")).await.unwrap();
    }
    for reply in waiting {
        assert_eq!(
            reply.await.unwrap().unwrap(),
            Reply::Array(vec![bulk("queue"), bulk("x")])
        );
    }
    assert_eq!(redis.execute(&command("BLPOP queue 0.05")).await.unwrap(), Reply::Nil);
}

#[tokio::test]
async fn a_waiting_command_that_is_given_up_takes_nothing() {
    let Some(server) = Server::start() else { return };
    let redis = server.client();
    let given_up = tokio::time::timeout(Duration::from_millis(100), redis.execute(&command("BLPOP q 0"))).await;
    assert!(given_up.is_err());
    let end = Instant::now() + LIMIT;
    loop {
        let info = redis.execute(&command("INFO clients")).await.unwrap();
        if String::from_utf8_lossy(info.as_bytes().unwrap()).contains("blocked_clients:0") {
            break;
        }
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    redis.execute(&command("RPUSH q x")).await.unwrap();
    assert_eq!(redis.execute(&command("LLEN q")).await.unwrap(), Reply::Int(1));
}

#[tokio::test]
async fn subscriptions_receive_and_lose_nothing_between_waits() {
    let Some(server) = Server::start() else { return };
    let redis = server.client();
    let subscription = redis.subscription().await.unwrap();
    subscription.subscribe(&[b"news".to_vec()]).await.unwrap();
    subscription.psubscribe(&[b"n*".to_vec()]).await.unwrap();
    let mut pushes = Vec::new();
    while pushes.len() < 2 {
        pushes.extend(subscription.next(Some(Duration::from_millis(1))).await.unwrap());
    }
    assert_eq!(pushes[0].kind, PushKind::Subscribe);
    assert_eq!((pushes[1].kind, pushes[1].count), (PushKind::PatternSubscribe, 2));
    assert_eq!(
        redis.execute(&command("PUBLISH news hello")).await.unwrap(),
        Reply::Int(2)
    );
    let message = subscription.next(Some(LIMIT)).await.unwrap().unwrap();
    let expected = RedisPush {
        kind: PushKind::Message,
        pattern: None,
        channel: "news".into(),
        data: "hello".into(),
        count: 0,
        is_nothing: false,
    };
    assert_eq!(message, expected);
    let message = subscription.next(Some(LIMIT)).await.unwrap().unwrap();
    assert_eq!(
        (message.kind, message.pattern),
        (PushKind::PatternMessage, Some("n*".into()))
    );
    assert_eq!(subscription.next(Some(Duration::from_millis(10))).await.unwrap(), None);
    subscription.ping().await.unwrap();
    assert_eq!(
        subscription.next(Some(LIMIT)).await.unwrap().unwrap().kind,
        PushKind::Pong
    );
    subscription.unsubscribe(&[]).await.unwrap();
    assert_eq!(
        subscription.next(Some(LIMIT)).await.unwrap().unwrap().kind,
        PushKind::Unsubscribe
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_and_restarts_is_hardly_noticed() {
    let Some(mut server) = Server::start() else { return };
    let redis = server.client();
    redis.execute(&command("SET a 0")).await.unwrap();
    let stop = Instant::now() + Duration::from_secs(2);
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let redis = redis.clone();
            tokio::spawn(async move {
                let (mut good, mut failed) = (0, Vec::new());
                while Instant::now() < stop {
                    let text = if number % 2 == 0 { "GET a" } else { "INCR a" };
                    match redis.execute(&command(text)).await {
                        Ok(_) => good += 1,
                        Err(failure) => failed.push((number % 2 == 0, failure)),
                    }
                }
                (good, failed, redis.execute(&command("GET a")).await)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.restart();
    for call in calls {
        let (good, failed, last) = call.await.unwrap();
        assert!(good > 10, "{good}");
        // commands that were under way may fail, once; those which only read are sent again
        assert!(failed.len() <= 1, "{failed:?}");
        for (only_reads, failure) in failed {
            assert!(!only_reads, "{failure:?}");
            assert_eq!(failure.kind(), RedisFailureKind::Connection, "{failure:?}");
        }
        last.unwrap();
    }
}

#[tokio::test]
async fn a_write_after_a_restart_is_not_lost_on_the_old_connection() {
    let Some(mut server) = Server::start() else { return };
    let redis = server.client();
    redis.execute(&command("INCR a")).await.unwrap();
    server.kill();
    // the runtime needs its turn to see that the connection is gone, as it always has where it has threads of its own
    tokio::time::sleep(Duration::from_millis(20)).await;
    server.restart();
    assert_eq!(redis.execute(&command("INCR a")).await.unwrap(), Reply::Int(2));
    let mut session = redis.session().await.unwrap();
    session.execute(&command("PING")).await.unwrap();
    drop(session);
    server.kill();
    server.restart();
    tokio::time::sleep(Duration::from_millis(300)).await;
    redis.execute(&command("RPUSH l x")).await.unwrap();
    assert_eq!(
        redis.execute(&command("BLPOP l 1")).await.unwrap(),
        Reply::Array(vec![bulk("l"), bulk("x")])
    );
}

#[tokio::test]
async fn a_server_that_stays_away_fails_commands_quickly_after_a_first_wait() {
    let Some(mut server) = Server::start() else { return };
    let redis = RedisClient::new(RedisConfig {
        patience: Duration::from_millis(300),
        ..server.config()
    })
    .unwrap();
    redis.execute(&command("PING")).await.unwrap();
    server.kill();
    let started = Instant::now();
    let failure = redis.execute(&command("GET a")).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Connection);
    assert!(
        started.elapsed() >= Duration::from_millis(250),
        "{:?}",
        started.elapsed()
    );
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(
            redis.execute(&command("GET a")).await.unwrap_err().kind(),
            RedisFailureKind::Connection
        );
    }
    assert!(
        started.elapsed() < Duration::from_millis(250),
        "{:?}",
        started.elapsed()
    );
    server.restart();
    let end = Instant::now() + LIMIT;
    while let Err(failure) = redis.execute(&command("GET a")).await {
        assert!(Instant::now() < end, "{failure}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_meets_the_time_limit() {
    let Some(server) = Server::start() else { return };
    let redis = RedisClient::new(RedisConfig {
        response_timeout: Duration::from_millis(200),
        ..server.config()
    })
    .unwrap();
    redis.execute(&command("SET a 1")).await.unwrap();
    server.signal(libc::SIGSTOP);
    let started = Instant::now();
    let failure = redis.execute(&command("GET a")).await.unwrap_err();
    assert_eq!(failure.kind(), RedisFailureKind::Timeout, "{failure}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    server.signal(libc::SIGCONT);
    assert_eq!(redis.execute(&command("GET a")).await.unwrap(), bulk("1"));
}

#[test]
fn urls_that_cannot_be_used_are_refused_without_being_shown() {
    for url in ["http://:secret@h", "nonsense secret", "redis://:secret@h/x", "unix:"] {
        let error = RedisClient::new(RedisConfig::new(url)).unwrap_err();
        assert!(!error.chain().contains("secret"), "{}", error.chain());
        assert!(error.hint().is_some());
    }
}
