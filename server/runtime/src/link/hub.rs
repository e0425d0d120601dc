//! The hub's end of a link.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busbar_model::{Cid, Error, Kind};
use bytes::BytesMut;
use slab::Slab;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot, watch};

use crate::call::{Call, Fault, Outcome, Reply};
use crate::handler::ReplyTo;
use crate::hub_port::HubPort;
use crate::link::frame::{Control, Controlled, Health, Hello, ToHub, ToWorker, next_for_hub, pack_call};
use crate::stream::{Refused, ReplyStream, StreamSender};
use crate::task::{self, TaskKind};

const READ_SIZE: usize = 64 << 10;
/// How often the writer lets others run at most before it writes.
const MAX_YIELDS: usize = 4;

/// One worker, seen from the hub.
pub struct WorkerLink {
    out: Mutex<BytesMut>,
    wake_writer: Notify,
    /// Calls that were sent and not answered. A call keeps its number until the worker answers it, whether or not anybody still waits.
    calls: Mutex<Slab<Pending>>,
    in_flight: AtomicUsize,
    controls: Mutex<HashMap<u64, oneshot::Sender<Controlled>>>,
    next_control: AtomicU64,
    heard: Mutex<Heard>,
    /// Turns true when the link is closed, for whatever reason.
    closed: watch::Sender<bool>,
}

struct Pending {
    cid: Cid,
    reply: Option<ReplyTo>,
    /// Where the pieces of its answer go, once the answer has begun.
    stream: Option<StreamSender>,
}

/// What the worker said last.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// What.
    pub health: Health,
}

/// Told about what happens on a link.
pub trait LinkEvents: Send + Sync + 'static {
    /// The worker's interpreter runs.
    fn hello(&self, hello: Hello);
    /// A call was answered: there is room for another.
    fn room(&self);
}

impl WorkerLink {
    /// Takes over the hub's end of a socket pair and starts its reader and writer.
    pub fn spawn(stream: UnixStream, port: Arc<dyn HubPort>, events: Arc<dyn LinkEvents>) -> Arc<Self> {
        let link = Arc::new(Self {
            out: Mutex::default(),
            wake_writer: Notify::new(),
            calls: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            controls: Mutex::default(),
            next_control: AtomicU64::new(1),
            heard: Mutex::new(Heard {
                at: Instant::now(),
                health: Health::default(),
            }),
            closed: watch::Sender::new(false),
        });
        let (read, write) = stream.into_split();
        task::spawn(
            "link-reader",
            TaskKind::Once,
            link.clone().run_reader(read, port, events),
        );
        task::spawn("link-writer", TaskKind::Once, link.clone().run_writer(write));
        link
    }

    /// Sends a call. If the link is closed it is answered with a 502 at once.
    pub fn submit(&self, call: &Call, reply: ReplyTo) {
        let id = {
            let mut calls = lock(&self.calls);
            if *self.closed.borrow() {
                drop(calls);
                return reply.send(lost(call.cid));
            }
            calls.insert(Pending {
                cid: call.cid,
                reply: Some(reply),
                stream: None,
            })
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        pack_call(&mut lock(&self.out), id as u64, call);
        self.wake_writer.notify_one();
    }

    /// Tells the worker to stop a call; false if it is not on this link. Its caller is let go at once.
    pub fn cancel(&self, cid: Cid) -> bool {
        let reply = {
            let mut calls = lock(&self.calls);
            let Some((_, pending)) = calls.iter_mut().find(|(_, pending)| pending.cid == cid) else {
                return false;
            };
            pending.reply.take()
        };
        drop(reply);
        self.send(&ToWorker::Cancel(cid));
        true
    }

    /// Asks for something rare and waits for the answer, at most `limit`.
    pub async fn control(&self, control: Control, limit: Duration) -> Result<Controlled, Error> {
        let id = self.next_control.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.controls).insert(id, sender);
        if *self.closed.borrow() {
            lock(&self.controls).remove(&id);
        } else {
            self.send(&ToWorker::Control { id, control });
        }
        match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(controlled)) => Ok(controlled),
            Ok(Err(_)) => Err(Error::new(Kind::WorkerLost, "the worker process died")),
            Err(_) => {
                lock(&self.controls).remove(&id);
                Err(Error::new(
                    Kind::Timeout,
                    format!("the worker did not answer within {} s", limit.as_secs()),
                ))
            }
        }
    }

    /// Sends a heartbeat.
    pub fn ping(&self) {
        self.send(&ToWorker::Ping(0));
    }

    /// What the worker said last.
    pub fn heard(&self) -> Heard {
        *lock(&self.heard)
    }

    /// Calls that were sent and not answered, those that were cancelled included.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls that somebody still waits for.
    pub fn awaited(&self) -> usize {
        lock(&self.calls)
            .iter()
            .filter(|(_, pending)| pending.reply.is_some())
            .count()
    }

    /// Bytes that the worker has not taken yet.
    pub fn backlog(&self) -> usize {
        lock(&self.out).len()
    }

    /// Whether the link is closed.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the link is closed.
    pub async fn closed(&self) {
        // an error would say that the sender is gone, and it is a field of ours
        drop(self.closed.subscribe().wait_for(|closed| *closed).await);
    }

    fn send(&self, frame: &ToWorker) {
        frame.pack(&mut lock(&self.out));
        self.wake_writer.notify_one();
    }

    async fn run_writer(self: Arc<Self>, mut write: OwnedWriteHalf) {
        loop {
            self.wake_writer.notified().await;
            if self.is_closed() {
                return;
            }
            // lets every other task that is ready run first: what they send goes out with the same system call. Without it there is
            // one for each call, as the writer would run right after the task that woke it. While more comes, more is worth a wait:
            // each system call here also wakes a thread of the worker, which costs many times what packing a call does.
            let mut gathered = self.backlog();
            for _ in 0..MAX_YIELDS {
                tokio::task::yield_now().await;
                let now = self.backlog();
                if now == gathered {
                    break;
                }
                gathered = now;
            }
            loop {
                let bytes = lock(&self.out).split();
                if bytes.is_empty() {
                    break;
                }
                if let Err(error) = write.write_all(&bytes).await {
                    tracing::debug!(%error, "cannot write to a worker");
                    return self.close();
                }
            }
        }
    }

    async fn run_reader(self: Arc<Self>, mut read: OwnedReadHalf, port: Arc<dyn HubPort>, events: Arc<dyn LinkEvents>) {
        let mut buffer = BytesMut::with_capacity(READ_SIZE);
        loop {
            loop {
                match next_for_hub(&mut buffer) {
                    Ok(Some(frame)) => self.take(frame, &port, &*events),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::error!(error = error.chain(), "a worker broke the protocol of the link");
                        return self.close();
                    }
                }
            }
            buffer.reserve(READ_SIZE);
            match read.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return self.close(),
                Ok(_) => {}
            }
        }
    }

    fn take(self: &Arc<Self>, frame: ToHub, port: &Arc<dyn HubPort>, events: &dyn LinkEvents) {
        match frame {
            ToHub::Outcome { id, outcome } => {
                let pending = lock(&self.calls).try_remove(id as usize);
                if let Some(pending) = pending {
                    self.in_flight.fetch_sub(1, Ordering::Relaxed);
                    events.room();
                    if let Some(reply) = pending.reply {
                        reply.send(outcome);
                    }
                }
            }
            ToHub::Stream { id, reply } => self.begin_stream(id, reply),
            ToHub::Piece { id, data } => {
                let calls = lock(&self.calls);
                let stream = calls.get(id as usize).and_then(|pending| pending.stream.clone());
                drop(calls);
                // without a stream: nobody reads it any more, and its worker is about to hear of it
                if stream.is_some_and(|stream| stream.push(data) == Err(Refused::Full)) {
                    tracing::error!("a worker sent more pieces of an answer than there is room for");
                    self.close();
                }
            }
            ToHub::End { id, is_whole } => {
                let pending = lock(&self.calls).try_remove(id as usize);
                if let Some(pending) = pending {
                    self.in_flight.fetch_sub(1, Ordering::Relaxed);
                    events.room();
                    if let Some(stream) = pending.stream
                        && is_whole
                    {
                        stream.push_end();
                    }
                }
            }
            ToHub::Controlled { id, result } => {
                if let Some(waiting) = lock(&self.controls).remove(&id) {
                    // an error here says that whoever asked has given up
                    drop(waiting.send(result));
                }
            }
            ToHub::Pong(_, health) => {
                *lock(&self.heard) = Heard {
                    at: Instant::now(),
                    health,
                }
            }
            ToHub::Hello(hello) => {
                lock(&self.heard).at = Instant::now();
                events.hello(hello);
            }
            ToHub::Request { id, request } => {
                let (link, answer) = (self.clone(), port.request(request));
                task::spawn("hub-request", TaskKind::Once, async move {
                    let result = answer.await.map_err(|error| (&error).into());
                    link.send(&ToWorker::Answer { id, result });
                });
            }
        }
    }

    /// Passes on an answer whose body comes piece by piece.
    fn begin_stream(self: &Arc<Self>, id: u64, mut reply: Reply) {
        let mut calls = lock(&self.calls);
        // without one: the call was cancelled, and its worker is about to hear of it
        let Some(pending) = calls.get_mut(id as usize) else {
            return;
        };
        let Some(waiting) = pending.reply.take() else { return };
        let cid = pending.cid;
        let (sender, mut stream) = ReplyStream::new();
        let link = Arc::downgrade(self);
        stream.on_taken(move |pieces| {
            let Some(link) = link.upgrade() else { return };
            let calls = lock(&link.calls);
            // once the call is over its number is another call's. Sent under the lock: before that call is.
            if calls.get(id as usize).is_some_and(|pending| pending.cid == cid) {
                link.send(&ToWorker::Credit {
                    id,
                    pieces: pieces as u32,
                });
            }
        });
        pending.stream = Some(sender);
        drop(calls);
        reply.stream = Some(Box::new(stream));
        waiting.send(Outcome::Reply(reply));
    }

    /// Closes the link and answers everything that was in flight: calls with a 502.
    pub fn close(&self) {
        let calls = {
            let mut calls = lock(&self.calls);
            self.closed.send_replace(true);
            std::mem::take(&mut *calls)
        };
        self.wake_writer.notify_one();
        self.in_flight.store(0, Ordering::Relaxed);
        for (_, pending) in calls {
            if let Some(reply) = pending.reply {
                reply.send(lost(pending.cid));
            }
        }
        lock(&self.controls).clear();
    }
}

impl std::fmt::Debug for WorkerLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerLink")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

fn lost(cid: Cid) -> Outcome {
    tracing::warn!(%cid, "the worker that ran this call died");
    Outcome::Fault(Fault::new(502, "The worker process that ran this call died"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // the data is whole after every statement, so a panic elsewhere while the lock was held leaves nothing half-made
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
