use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use busbar_model::Cid;
use busbar_runtime::queue::{Deliver, Delivered};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;
use crate::private::{PrivateRedis, RedisConfig, RedisProcess};

/// Says what a test told it to, and tells the test what it was given.
struct Service {
    verdicts: Mutex<Vec<Delivered>>,
    seen: mpsc::UnboundedSender<Message>,
    /// Never returns, from this delivery on.
    hangs_from: usize,
    count: AtomicUsize,
}

impl Deliver for Service {
    fn deliver(&self, message: Message) -> BoxFuture<'static, Delivered> {
        let verdict = self.verdicts.lock().unwrap().pop().unwrap_or(Delivered::Done);
        let hangs = self.count.fetch_add(1, Ordering::Relaxed) >= self.hangs_from;
        self.seen.send(message).unwrap();
        Box::pin(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            verdict
        })
    }
}

fn service(mut verdicts: Vec<Delivered>, hangs_from: usize) -> (Arc<Service>, mpsc::UnboundedReceiver<Message>) {
    verdicts.reverse();
    let (seen, receiver) = mpsc::unbounded_channel();
    let service = Service {
        verdicts: Mutex::new(verdicts),
        seen,
        hangs_from,
        count: AtomicUsize::new(0),
    };
    (Arc::new(service), receiver)
}

fn message(body: &str) -> Message {
    Message {
        cid: Cid::new(),
        service: "my.service".to_owned(),
        head: Bytes::from_static(&[0, 255]),
        body: Bytes::copy_from_slice(body.as_bytes()),
        expires: None,
    }
}

async fn redis(directory: &tempfile::TempDir) -> Arc<RedisProcess> {
    let config = RedisConfig {
        executable: String::new(),
        directory: directory.path().join("redis"),
        log: directory.path().join("redis.log"),
    };
    let process = PrivateRedis::build(&config).unwrap().spawn();
    process.wait_ready(Duration::from_secs(30)).await.unwrap();
    process
}

fn config() -> QueueConfig {
    QueueConfig {
        retry_secs: 0.01,
        max_deliveries: 3,
        max_messages: 5,
        ..QueueConfig::default()
    }
}

fn queue(redis: &RedisProcess) -> QueueHandle {
    QueueHandle(Some(
        RedisQueue::new(&redis.url(), "test", "server1", config()).unwrap(),
    ))
}

/// Waits until the queue is as it should be.
async fn until(queue: &QueueHandle, wanted: impl Fn(&QueueStatus) -> bool) {
    let looking = async {
        while !wanted(&queue.status().await.unwrap()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap();
}

#[tokio::test]
async fn messages_are_run_again_until_they_are_dead_letters() {
    let directory = tempfile::tempdir().unwrap();
    let redis = redis(&directory).await;
    let queue = queue(&redis);
    let again = || Delivered::Again("it broke".to_owned());
    let (service, mut seen) = service(vec![again(), Delivered::Done, again(), again(), again()], usize::MAX);
    queue.0.as_ref().unwrap().consume(service);

    let sent = message("a");
    queue.put(sent.clone()).await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), sent);
    assert_eq!(seen.recv().await.unwrap(), sent);
    until(&queue, |status| status.waiting == 0).await;

    let sent = message("b");
    queue.put(sent.clone()).await.unwrap();
    until(&queue, |status| status.waiting == 0 && status.dead == 1).await;
    let dead = queue.dead(10).await.unwrap().remove(0);
    assert_eq!((dead.cid, dead.reason.as_str()), (sent.cid.to_string(), "it broke"));
    assert_eq!((dead.deliveries, dead.excerpt.as_str()), (3, "b"));
    for _ in 0..3 {
        seen.recv().await.unwrap();
    }
    assert_eq!(queue.replay(None).await.unwrap(), 1);
    assert_eq!(seen.recv().await.unwrap(), sent);
    until(&queue, |status| (status.waiting, status.dead) == (0, 0)).await;
    assert!(queue.forget(Some(vec![dead.id])).await.is_err());
    queue.0.as_ref().unwrap().drain(Duration::from_secs(5)).await;
    redis.stop().await;
}

#[tokio::test]
async fn what_a_server_left_is_run_when_it_starts() {
    let directory = tempfile::tempdir().unwrap();
    let redis = redis(&directory).await;
    let first = queue(&redis);
    let (hanging, mut seen) = service(Vec::new(), 0);
    first.0.as_ref().unwrap().consume(hanging);
    first.put(message("a")).await.unwrap();
    seen.recv().await.unwrap();
    first.0.as_ref().unwrap().drain(Duration::ZERO).await;
    // nobody takes it meanwhile
    first.put(message("b")).await.unwrap();

    let second = queue(&redis);
    let (working, mut seen) = service(vec![Delivered::Never("bad".to_owned())], usize::MAX);
    second.0.as_ref().unwrap().consume(working);
    let bodies = [seen.recv().await.unwrap().body, seen.recv().await.unwrap().body];
    assert_eq!(bodies, [&b"a"[..], &b"b"[..]]);
    until(&second, |status| (status.waiting, status.dead) == (0, 1)).await;
    assert_eq!(second.dead(9).await.unwrap()[0].deliveries, 2);
    second.0.as_ref().unwrap().drain(Duration::from_secs(5)).await;
    redis.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_what_expired_is_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let redis = redis(&directory).await;
    let queue = queue(&redis);
    for body in ["1", "2", "3", "4"] {
        let late = Message {
            expires: Some(SystemTime::now()),
            ..message(body)
        };
        queue.put(late).await.unwrap();
    }
    queue.put(message("5")).await.unwrap();
    assert_eq!(queue.put(message("6")).await.unwrap_err().kind(), Kind::Unavailable);
    let (service, mut seen) = service(Vec::new(), usize::MAX);
    queue.0.as_ref().unwrap().consume(service);
    assert_eq!(seen.recv().await.unwrap().body, &b"5"[..]);
    until(&queue, |status| (status.waiting, status.dead) == (0, 0)).await;
    queue.0.as_ref().unwrap().drain(Duration::from_secs(5)).await;
    redis.stop().await;
    let error = queue.put(message("7")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connection, "{}", error.chain());
}
