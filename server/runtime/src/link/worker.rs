//! The worker's end of a link.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use busbar_model::{Error, Kind};
use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use crate::call::{Outcome, Reply};
use crate::handler::{BoxFuture, Handler, ReplySink, ReplyTo};
use crate::hub_port::{HubPort, HubRequest};
use crate::link::frame::{Control, Controlled, Health, Hello, ToHub, ToWorker, next_for_worker, pack_outcome};
use crate::stream::{ReplyStream, WINDOW};

/// Outcomes should be kept back no longer than until this many bytes wait.
const FLUSH_AT: usize = 64 << 10;
/// How much is read at once.
const READ_SIZE: usize = 64 << 10;

/// The hub, seen from a worker.
pub struct HubLink {
    stream: UnixStream,
    out: Mutex<BytesMut>,
    /// Held while writing, so that bytes leave in the order in which they were appended.
    writing: Mutex<()>,
    requests: Mutex<HashMap<u64, oneshot::Sender<Result<Bytes, Error>>>>,
    next_request: AtomicU64,
    /// Room for pieces of answers, by number of the call.
    streams: Mutex<HashMap<u64, Arc<Semaphore>>>,
    /// Passes pieces on.
    runtime: OnceLock<Handle>,
    me: Weak<Self>,
}

impl HubLink {
    /// A link over one end of a socket pair.
    pub fn new(stream: UnixStream) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            stream,
            out: Mutex::default(),
            writing: Mutex::default(),
            requests: Mutex::default(),
            next_request: AtomicU64::new(1),
            streams: Mutex::default(),
            runtime: OnceLock::new(),
            me: me.clone(),
        })
    }

    /// Says hello, then hands every frame to `handler` until the hub closes the link or the link fails. Rare requests run on
    /// `runtime`; calls are handed over by this thread. `health` answers heartbeats: a worker whose reader thread cannot run at all
    /// does not answer, which says as much.
    pub fn serve(
        self: &Arc<Self>,
        hello: Hello,
        handler: Arc<dyn Handler>,
        runtime: &Handle,
        health: impl Fn() -> Health,
    ) -> Result<(), Error> {
        // before any call that could answer with a stream
        let _ = self.runtime.set(runtime.clone());
        self.send(&ToHub::Hello(hello));
        let sink: Arc<dyn ReplySink> = self.clone();
        let mut scratch = vec![0; READ_SIZE];
        let mut buffer = BytesMut::with_capacity(READ_SIZE);
        loop {
            while let Some(frame) = next_for_worker(&mut buffer)? {
                match frame {
                    ToWorker::Call { id, call } => handler.submit(call, ReplyTo::Sink { sink: sink.clone(), id }),
                    ToWorker::Cancel(cid) => handler.cancel(cid),
                    ToWorker::Control { id, control } => {
                        let (link, handler) = (self.clone(), handler.clone());
                        runtime.spawn(async move {
                            let result = run_control(&*handler, control).await;
                            link.send(&ToHub::Controlled { id, result });
                        });
                    }
                    ToWorker::Ping(number) => self.send(&ToHub::Pong(number, health())),
                    ToWorker::Credit { id, pieces } => {
                        if let Some(room) = lock(&self.streams).get(&id) {
                            room.add_permits(pieces as usize);
                        }
                    }
                    ToWorker::Answer { id, result } => {
                        if let Some(waiting) = lock(&self.requests).remove(&id) {
                            // an error here says that the call that asked has ended
                            drop(waiting.send(result.map_err(Error::from)));
                        }
                    }
                }
            }
            if !read_some(&self.stream, &mut scratch, &mut buffer)? {
                return Ok(());
            }
        }
    }

    /// Sends a frame at once.
    fn send(&self, frame: &ToHub) {
        frame.pack(&mut lock(&self.out));
        self.flush();
    }
}

impl HubLink {
    /// Passes the pieces of an answer on, as the hub has room for them.
    fn pass_on(&self, id: u64, mut stream: Box<ReplyStream>) {
        let (Some(link), Some(runtime)) = (self.me.upgrade(), self.runtime.get()) else {
            return;
        };
        let room = Arc::new(Semaphore::new(WINDOW));
        lock(&self.streams).insert(id, room.clone());
        runtime.spawn(async move {
            let mut is_whole = true;
            while let Some(piece) = stream.next().await {
                let Ok(data) = piece else {
                    is_whole = false;
                    break;
                };
                if let Ok(permit) = room.acquire().await {
                    permit.forget();
                }
                link.send(&ToHub::Piece { id, data });
            }
            lock(&link.streams).remove(&id);
            link.send(&ToHub::End { id, is_whole });
        });
    }
}

async fn run_control(handler: &dyn Handler, control: Control) -> Controlled {
    match control {
        Control::Prepare(deployment) => match handler.prepare(Arc::new(deployment)).await {
            Ok(services) => Controlled::Prepared(services),
            Err(error) => Controlled::Refused(error),
        },
        Control::Commit(commit) => done(handler.commit(Arc::new(commit)).await),
        Control::Abort { generation } => {
            handler.abort(generation).await;
            Controlled::Done
        }
        Control::Configure(snapshot) => done(handler.configure(Arc::new(snapshot)).await),
        Control::Files(files) => done(handler.files(Arc::new(files)).await),
        Control::Drain => {
            handler.drain().await;
            Controlled::Done
        }
    }
}

fn done(result: Result<(), Error>) -> Controlled {
    match result {
        Ok(()) => Controlled::Done,
        Err(error) => Controlled::Failed((&error).into()),
    }
}

/// Reads what is there, at least a byte; false at the end of the stream. Goes through `scratch`, which is initialised once: room in
/// `buffer` would have to be cleared before each read.
fn read_some(mut stream: &UnixStream, scratch: &mut [u8], buffer: &mut BytesMut) -> Result<bool, Error> {
    loop {
        match stream.read(scratch) {
            Ok(count) => {
                buffer.extend_from_slice(&scratch[..count]);
                return Ok(count > 0);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new(Kind::Connection, "cannot read from the hub").with_source(error)),
        }
    }
}

impl ReplySink for HubLink {
    fn reply(&self, id: u64, outcome: Outcome) -> bool {
        let mut out = lock(&self.out);
        pack_outcome(&mut out, id, &outcome);
        let flush_due = out.len() >= FLUSH_AT;
        drop(out);
        if let Outcome::Reply(Reply {
            stream: Some(stream), ..
        }) = outcome
        {
            self.pass_on(id, stream);
        }
        flush_due
    }

    fn flush(&self) {
        let writing = lock(&self.writing);
        let bytes = lock(&self.out).split();
        if !bytes.is_empty()
            && let Err(error) = (&self.stream).write_all(&bytes)
        {
            // the hub is gone: the reader sees that too, and ends the process
            tracing::debug!(%error, "cannot write to the hub");
        }
        drop(writing);
    }
}

impl HubPort for HubLink {
    fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>> {
        let id = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.requests).insert(id, sender);
        self.send(&ToHub::Request { id, request });
        Box::pin(async move {
            receiver
                .await
                .unwrap_or_else(|_| Err(Error::new(Kind::Connection, "the link to the hub was closed")))
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // the data is whole after every statement, so a panic elsewhere while the lock was held leaves nothing half-made
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
