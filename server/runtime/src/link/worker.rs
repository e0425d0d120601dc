//! The worker's end of a link.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};

use busbar_model::object::Snapshot;
use busbar_model::{Error, Kind};
use bytes::{Buf, Bytes, BytesMut};
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
    /// What leaves next. Locked while writing, so that bytes leave in the order in which they were appended.
    leaving: Mutex<BytesMut>,
    requests: Mutex<HashMap<u64, oneshot::Sender<Result<Bytes, Error>>>>,
    next_request: AtomicU64,
    /// Room for pieces of answers, by number of the call.
    streams: Mutex<HashMap<u64, Arc<Semaphore>>>,
    /// Passes pieces on.
    runtime: OnceLock<Handle>,
    /// The objects as they were taken over last. Locked while others are taken over.
    configured: tokio::sync::Mutex<Arc<Snapshot>>,
    me: Weak<Self>,
}

impl HubLink {
    /// A link over one end of a socket pair.
    pub fn new(stream: UnixStream) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            stream,
            out: Mutex::default(),
            leaving: Mutex::default(),
            requests: Mutex::default(),
            next_request: AtomicU64::new(1),
            streams: Mutex::default(),
            runtime: OnceLock::new(),
            configured: tokio::sync::Mutex::default(),
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
                            let result = link.run_control(&*handler, control).await;
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

impl HubLink {
    async fn run_control(&self, handler: &dyn Handler, control: Control) -> Controlled {
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
            Control::Configure(snapshot) => self.configure(handler, |_| Some(snapshot)).await,
            Control::Change(difference) => self.configure(handler, |earlier| difference.applied_to(earlier)).await,
            Control::Files(files) => done(handler.files(Arc::new(files)).await),
            Control::Pools => Controlled::Pools(handler.pools().await),
            Control::Drain => {
                handler.drain().await;
                Controlled::Done
            }
        }
    }

    /// Lets `handler` take over what `next` makes of the objects that it has.
    async fn configure(&self, handler: &dyn Handler, next: impl FnOnce(&Snapshot) -> Option<Snapshot>) -> Controlled {
        let mut configured = self.configured.lock().await;
        let Some(next) = next(&configured).map(Arc::new) else {
            return Controlled::Behind;
        };
        let result = handler.configure(Arc::clone(&next)).await;
        if result.is_ok() {
            *configured = next;
        }
        done(result)
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
        let mut leaving = lock(&self.leaving);
        leaving.unsplit(lock(&self.out).split());
        if !leaving.is_empty()
            && let Err(error) = (&self.stream).write_all(&leaving)
        {
            // the hub is gone: the reader sees that too, and ends the process
            tracing::debug!(%error, "cannot write to the hub");
        }
        *leaving = BytesMut::new();
    }

    fn try_flush(&self) -> bool {
        let mut leaving = match self.leaving.try_lock() {
            Ok(leaving) => leaving,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // whoever writes may have begun before the last of it was appended
            Err(TryLockError::WouldBlock) => return false,
        };
        leaving.unsplit(lock(&self.out).split());
        while !leaving.is_empty() {
            match send_now(&self.stream, &leaving) {
                Ok(count) => leaving.advance(count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    tracing::debug!(%error, "cannot write to the hub");
                    break;
                }
            }
        }
        *leaving = BytesMut::new();
        true
    }
}

/// Sends as much as leaves without waiting.
fn send_now(stream: &UnixStream, bytes: &[u8]) -> std::io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the descriptor is open as long as `stream` lives, and `bytes` can be read to its end
    let sent = unsafe { libc::send(stream.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| std::io::Error::last_os_error())
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::link::frame::next_for_hub;

    #[test]
    fn what_does_not_leave_at_once_leaves_later_and_in_order() {
        let (ours, mut hub) = UnixStream::pair().unwrap();
        let link = HubLink::new(ours);
        // more than the socket takes while nobody reads
        let body = Bytes::from(vec![b'x'; FLUSH_AT]);
        let reply = || {
            Outcome::Reply(Reply {
                status: 200,
                content_type: String::new(),
                headers: Vec::new(),
                body: body.clone(),
                stream: None,
            })
        };
        for id in 0..64 {
            link.reply(id, reply());
        }
        assert!(!link.try_flush());
        for id in 64..66 {
            link.reply(id, reply());
        }
        assert!(!link.try_flush());
        let reader = thread::spawn(move || {
            let (mut buffer, mut chunk, mut ids) = (BytesMut::new(), vec![0; READ_SIZE], Vec::new());
            while ids.len() < 66 {
                let count = hub.read(&mut chunk).unwrap();
                buffer.extend_from_slice(&chunk[..count]);
                while let Some(frame) = next_for_hub(&mut buffer).unwrap() {
                    let ToHub::Outcome { id, .. } = frame else {
                        panic!("{frame:?}")
                    };
                    ids.push(id);
                }
            }
            (ids, buffer.len())
        });
        link.flush();
        assert!(link.try_flush());
        assert_eq!(reader.join().unwrap(), ((0..66).collect(), 0));
    }
}
