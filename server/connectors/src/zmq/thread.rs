//! The thread that holds all sockets, which ZeroMQ wants to be used by one thread at a time.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use zmq::{Context, PollEvents, PollItem};

use super::outbox::Outbox;
use super::socket::Link;

/// A limit for what has one of its own.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// What the thread is told.
pub(super) enum Order {
    /// The connections that are to be there from now on.
    Apply(Vec<Arc<Outbox>>),
    /// Deliver what is queued, until the instant at most, and end.
    Stop(Instant, oneshot::Sender<()>),
}

/// The way to the thread. Dropped, it ends the thread at once.
pub(super) struct Remote {
    orders: Sender<Order>,
    wake: UnixStream,
    is_awake: Arc<AtomicBool>,
}

impl Remote {
    /// Starts the thread.
    pub(super) fn spawn() -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (orders, inbox) = channel();
        let is_awake = Arc::new(AtomicBool::new(false));
        let thread = Thread {
            context: Context::new(),
            links: HashMap::new(),
            closing: Vec::new(),
            inbox,
            woken,
            is_awake: Arc::clone(&is_awake),
            is_stopping: false,
            waiting: Vec::new(),
            opened: 0,
        };
        std::thread::Builder::new()
            .name("busbar-zmq".to_owned())
            .spawn(move || thread.run())?;
        Ok(Self { orders, wake, is_awake })
    }

    /// Tells the thread something.
    pub(super) fn order(&self, order: Order) {
        // the thread ends only after it was told to stop; what comes later has nothing to be done for it
        let _ = self.orders.send(order);
        self.wake();
    }

    /// Says that there is something to send.
    pub(super) fn wake(&self) {
        // one byte is enough for however many messages
        if !self.is_awake.swap(true, Ordering::AcqRel) {
            // full is as good as written
            let _ = (&self.wake).write(&[0]);
        }
    }
}

struct Thread {
    context: Context,
    links: HashMap<String, Link>,
    /// Removed, and still delivering.
    closing: Vec<Link>,
    inbox: Receiver<Order>,
    woken: UnixStream,
    is_awake: Arc<AtomicBool>,
    is_stopping: bool,
    /// Who waits for the end.
    waiting: Vec<oneshot::Sender<()>>,
    /// Makes the names of monitors unique.
    opened: u64,
}

impl Thread {
    fn run(mut self) {
        loop {
            // before looking: whatever comes in from here on wakes again
            self.is_awake.store(false, Ordering::Release);
            self.take_orders();
            let now = Instant::now();
            for link in self.links.values_mut().chain(&mut self.closing) {
                self.opened += 1;
                link.work(&self.context, self.opened, now);
            }
            let now = Instant::now();
            for link in self.closing.extract_if(.., |link| link.is_done(now)) {
                link.close();
            }
            if self.is_stopping && self.closing.is_empty() {
                break;
            }
            self.wait();
        }
        // waits for what ZeroMQ still delivers, for as long as each socket may linger
        drop(self.context);
        for waiting in self.waiting {
            // whoever waited may have left
            let _ = waiting.send(());
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Apply(outboxes)) => self.apply(outboxes),
                Ok(Order::Stop(limit, stopped)) => {
                    self.waiting.push(stopped);
                    self.stop(limit);
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.stop(Instant::now()),
            }
        }
    }

    fn apply(&mut self, outboxes: Vec<Arc<Outbox>>) {
        if self.is_stopping {
            return;
        }
        let mut old = std::mem::take(&mut self.links);
        for outbox in outboxes {
            let link = match old.remove(&outbox.name) {
                Some(link) if Arc::ptr_eq(&link.outbox, &outbox) => link,
                Some(link) => {
                    link.hand_over(&outbox);
                    Link::new(Arc::clone(&outbox))
                }
                None => Link::new(Arc::clone(&outbox)),
            };
            self.links.insert(outbox.name.clone(), link);
        }
        for (_, mut link) in old {
            link.begin_close(Instant::now() + FOREVER);
            self.closing.push(link);
        }
    }

    fn stop(&mut self, limit: Instant) {
        self.is_stopping = true;
        self.closing.extend(self.links.drain().map(|(_, link)| link));
        for link in &mut self.closing {
            link.begin_close(limit);
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let now = Instant::now();
        let links = || self.links.values().chain(&self.closing);
        let timeout = match links().filter_map(|link| link.wake_at(now)).min() {
            // rounded up, so as not to come back too early over and over
            Some(at) => at
                .saturating_duration_since(now)
                .as_micros()
                .div_ceil(1_000)
                .try_into()
                .unwrap_or(i64::MAX),
            None => -1,
        };
        let mut items = vec![PollItem::from_fd(self.woken.as_raw_fd(), PollEvents::POLLIN)];
        for link in links() {
            link.poll_items(&mut items);
        }
        if let Err(error) = zmq::poll(&mut items, timeout)
            && error != zmq::Error::EINTR
        {
            tracing::error!(
                conn.kind = "outgoing.zmq",
                error = error.message(),
                "cannot wait for ZeroMQ sockets"
            );
            // whatever is wrong, it must not keep a core busy
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut bytes = [0; 64];
        while matches!((&self.woken).read(&mut bytes), Ok(read) if read > 0) {}
    }
}
