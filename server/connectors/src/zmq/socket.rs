//! One socket: opening, sending, and watching who comes and goes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zmq::{Context, DONTWAIT, PollEvents, PollItem, SNDMORE, Socket, SocketEvent};

use super::config::{OutgoingZmq, SocketMethod, SocketType};
use super::error::attempt;
use super::outbox::{Message, Outbox, ZmqState};

/// Messages that ZeroMQ itself queues for a peer at most; the others wait in our queue, which outlives the socket.
const INNER_MARK: u32 = 1_000;
/// How long what is published is held after a `PUB` socket was opened. Subscribers look again for an address every 0.1 to 0.2 s, and
/// need some more for their subscription to arrive.
const SETTLE_BOUND: Duration = Duration::from_millis(500);
const SETTLE_CONNECTED: Duration = Duration::from_millis(200);
/// Pauses between attempts to open a socket.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// How soon after a line was lost ZeroMQ says that it tries again, at most. It does not if the peer was a wrong one: then it never will.
const SAYS_SO: Duration = Duration::from_secs(2);
/// How long a peer may take to say what it is. Those of ZeroMQ 3 and before never do: whoever is still there by then is taken for one.
const GREETS: Duration = Duration::from_secs(1);
/// What monitors tell of.
const WATCHED: [SocketEvent; 5] = [
    SocketEvent::CONNECTED,
    SocketEvent::CONNECT_RETRIED,
    SocketEvent::ACCEPTED,
    SocketEvent::HANDSHAKE_SUCCEEDED,
    SocketEvent::DISCONNECTED,
];
/// Messages of one connection sent before it is another one's turn.
const TURN: usize = 256;

/// A connection as the thread of the sockets holds it.
pub(super) struct Link {
    pub(super) outbox: Arc<Outbox>,
    open: Option<Open>,
    /// When to try to open it next, and how long to wait after that.
    retry_at: Instant,
    pause: Duration,
    /// Set once it is to be closed: until then what is queued is still delivered.
    closing: Option<Instant>,
}

struct Open {
    socket: Socket,
    /// Makes names of its own.
    number: u64,
    /// Tells of peers.
    monitor: Option<Socket>,
    /// Nothing is sent before.
    settled_at: Instant,
    /// ZeroMQ takes no message at the moment.
    is_blocked: bool,
    /// Lines whose other side has not yet said what it is, and since when they are there.
    greeting: VecDeque<(i32, Instant)>,
    /// Peers that are connected.
    peers: u32,
    /// Whether messages stay in our queue until a peer is there that can take them. What ZeroMQ takes before that would be lost if whoever
    /// answers is a wrong one.
    waits_for_peer: bool,
    /// When the line was lost of which ZeroMQ has not said since that it tries again.
    lost_at: Option<Instant>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // while a socket closes, ZeroMQ goes on to tell its monitor what happens, and waits for ever if that has gone, in the thread that all
        // sockets share: so it gets one that wants to know of nothing
        let endpoint = format!("inproc://busbar-unmonitored-{}", self.number);
        let _ = attempt(|| self.socket.monitor(&endpoint, 0));
    }
}

impl Open {
    /// From when on messages are sent; `None`: not before a peer comes.
    fn ready_at(&self) -> Option<Instant> {
        if self.waits_for_peer && self.peers == 0 {
            self.greeting.front().map(|(_, since)| *since + GREETS)
        } else {
            Some(self.settled_at)
        }
    }
}

impl Link {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self {
            outbox,
            open: None,
            retry_at: Instant::now(),
            pause: FIRST_PAUSE,
            closing: None,
        }
    }

    /// Begins to close: delivers what is queued, until `limit` at most.
    pub(super) fn begin_close(&mut self, limit: Instant) {
        let limit = limit.min(Instant::now() + Duration::from_millis(self.outbox.config.linger.into()));
        self.closing = Some(self.closing.map_or(limit, |earlier| earlier.min(limit)));
        self.outbox.update(|status| status.state = ZmqState::Closing);
    }

    /// Whether it has delivered everything, or must not go on.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        self.closing.is_some_and(|limit| limit <= now || self.outbox.is_empty())
    }

    /// Closes the socket. ZeroMQ goes on delivering what it has taken, for as long as was agreed on.
    pub(super) fn close(self) {
        let dropped = self.outbox.close().len();
        let name = &self.outbox.name;
        if dropped > 0 {
            tracing::warn!(conn.kind = "outgoing.zmq", conn.name = %name, dropped, "dropped {dropped} messages of closed outgoing.zmq `{name}`");
        }
        let left = self
            .closing
            .map(|limit| limit.saturating_duration_since(Instant::now()));
        let left = left.unwrap_or(Duration::from_millis(self.outbox.config.linger.into()));
        self.shut(i32::try_from(left.as_millis()).unwrap_or(i32::MAX));
    }

    /// Closes the socket for another one of the same name that takes over what is queued.
    pub(super) fn hand_over(self, heir: &Outbox) {
        heir.inherit(self.outbox.close());
        let linger = i32::try_from(self.outbox.config.linger).unwrap_or(i32::MAX);
        self.shut(linger);
    }

    fn shut(self, linger: i32) {
        let Some(open) = self.open else { return };
        // as good as it goes: the socket is closed in any case
        let _ = attempt(|| open.socket.set_linger(linger));
        if self.outbox.config.socket_method == SocketMethod::Bind {
            // frees the address at once; closing alone would keep it for as long as it lingers
            if let Some(endpoint) = self.outbox.status().endpoint {
                let _ = attempt(|| open.socket.unbind(&endpoint));
            }
        }
    }

    /// Opens the socket if it is time to, and sends what can be sent.
    pub(super) fn work(&mut self, context: &Context, number: u64, now: Instant) {
        if self.open.is_none() && self.retry_at <= now {
            self.try_open(context, number, now);
        }
        self.watch(now);
        self.leave_wrong_peer(now);
        if let Some(open) = &mut self.open {
            let is_ready = open.ready_at().is_some_and(|at| at <= now);
            open.is_blocked = is_ready && send(open, &self.outbox);
        }
    }

    /// Opens the socket anew if ZeroMQ has given its peer up.
    fn leave_wrong_peer(&mut self, now: Instant) {
        let is_given_up = |open: &mut Open| open.lost_at.is_some_and(|lost| lost + SAYS_SO <= now);
        if self.open.take_if(is_given_up).is_none() {
            return;
        }
        let config = &self.outbox.config;
        let takes = match config.socket_type {
            SocketType::Push => "PULL",
            SocketType::Pub => "SUB",
        };
        self.fail(
            format!("whoever answers at {} is no {takes} socket of ZeroMQ", config.address),
            now,
        );
    }

    fn try_open(&mut self, context: &Context, number: u64, now: Instant) {
        let name = &self.outbox.name;
        match open(context, &self.outbox.config, number, now) {
            Ok((open, endpoint)) => {
                let config = &self.outbox.config;
                tracing::info!(
                    conn.kind = "outgoing.zmq",
                    conn.name = %name,
                    "opened outgoing.zmq `{name}` ({:?}, {:?} {})",
                    config.socket_type,
                    config.socket_method,
                    endpoint.as_deref().unwrap_or(&config.address),
                );
                self.open = Some(open);
                let is_closing = self.closing.is_some();
                // where a wrong peer has answered, it is not yet known that it has gone
                let is_bound = self.outbox.config.socket_method == SocketMethod::Bind;
                let is_well = is_bound || self.outbox.status().error.is_none();
                if is_well {
                    self.pause = FIRST_PAUSE;
                }
                self.outbox.update(|status| {
                    status.endpoint = endpoint;
                    if is_well {
                        status.error = None;
                        if !is_closing {
                            status.state = ZmqState::Waiting;
                        }
                    }
                });
            }
            Err(error) => self.fail(error, now),
        }
    }

    /// The socket is not open; it is tried again after a pause.
    fn fail(&mut self, error: String, now: Instant) {
        let name = &self.outbox.name;
        if self.outbox.status().error.as_ref() != Some(&error) {
            let address = &self.outbox.config.address;
            tracing::warn!(conn.kind = "outgoing.zmq", conn.name = %name, error, "cannot open outgoing.zmq `{name}` at `{address}`, trying on");
        }
        let is_closing = self.closing.is_some();
        self.outbox.update(|status| {
            status.error = Some(error);
            status.peers = 0;
            if !is_closing {
                status.state = ZmqState::Failing;
            }
        });
        self.retry_at = now + self.pause;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// Reads what the monitor tells.
    fn watch(&mut self, now: Instant) {
        let Some(open) = &mut self.open else { return };
        let Some(monitor) = &open.monitor else { return };
        let is_connecting = self.outbox.config.socket_method == SocketMethod::Connect;
        let is_closing = self.closing.is_some();
        let name = &self.outbox.name;
        // an event is two parts: number and value, then the endpoint
        while let Ok(parts) = attempt(|| monitor.recv_multipart(DONTWAIT)) {
            let Some((event, value)) = parts.first().and_then(|part| event(part)) else {
                continue;
            };
            match event {
                SocketEvent::CONNECTED | SocketEvent::ACCEPTED => {
                    open.greeting.push_back((value, now));
                    open.lost_at = None;
                }
                SocketEvent::HANDSHAKE_SUCCEEDED => {
                    // the event does not say whose; where several greet at once it is the first one's nearly always
                    open.greeting.pop_front();
                    self.pause = FIRST_PAUSE;
                    open.peers += 1;
                    let peers = open.peers;
                    self.outbox.update(|status| {
                        status.peers = peers;
                        status.error = None;
                        if !is_closing {
                            status.state = ZmqState::Connected;
                        }
                    });
                    tracing::info!(conn.kind = "outgoing.zmq", conn.name = %name, peers, "a peer of outgoing.zmq `{name}` connected");
                }
                SocketEvent::DISCONNECTED => {
                    if is_connecting {
                        open.lost_at = Some(now);
                    }
                    if let Some(at) = open.greeting.iter().position(|(line, _)| *line == value) {
                        open.greeting.remove(at);
                        tracing::debug!(conn.kind = "outgoing.zmq", conn.name = %name, "whoever was at the other side of outgoing.zmq `{name}` left before it said what it is, or is a wrong peer");
                        continue;
                    }
                    open.peers = open.peers.saturating_sub(1);
                    let peers = open.peers;
                    self.outbox.update(|status| {
                        status.peers = peers;
                        if peers == 0 && !is_closing {
                            status.state = ZmqState::Waiting;
                        }
                    });
                    tracing::info!(conn.kind = "outgoing.zmq", conn.name = %name, peers, "a peer of outgoing.zmq `{name}` left");
                }
                SocketEvent::CONNECT_RETRIED => {
                    open.lost_at = None;
                    self.outbox.update(|status| {
                        status.error = None;
                        if !is_closing {
                            status.state = ZmqState::Waiting;
                        }
                    });
                }
                _ => {}
            }
        }
    }

    /// Adds what to wait for.
    pub(super) fn poll_items<'link>(&'link self, items: &mut Vec<PollItem<'link>>) {
        let Some(open) = &self.open else { return };
        if let Some(monitor) = &open.monitor {
            items.push(monitor.as_poll_item(PollEvents::POLLIN));
        }
        if open.is_blocked {
            items.push(open.socket.as_poll_item(PollEvents::POLLOUT));
        }
    }

    /// When to look again though nothing happens.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let next = match &self.open {
            None => Some(self.retry_at),
            Some(open) if open.lost_at.is_some() => open.lost_at.map(|lost| lost + SAYS_SO),
            Some(_) if self.outbox.is_empty() => None,
            Some(open) => match open.ready_at() {
                Some(at) if at > now => Some(at),
                Some(_) if open.is_blocked => None,
                // its turn was over before its queue was empty
                Some(_) => Some(now),
                None => None,
            },
        };
        match (next, self.closing) {
            (Some(next), Some(limit)) => Some(next.min(limit)),
            (next, limit) => next.or(limit),
        }
    }
}

fn open(context: &Context, config: &OutgoingZmq, number: u64, now: Instant) -> Result<(Open, Option<String>), String> {
    let socket_type = match config.socket_type {
        SocketType::Push => zmq::PUSH,
        SocketType::Pub => zmq::PUB,
    };
    let socket = attempt(|| context.socket(socket_type))?;
    attempt(|| {
        socket.set_sndhwm(i32::try_from(config.high_water_mark.min(INNER_MARK)).unwrap_or(i32::MAX))?;
        socket.set_linger(0)?;
        socket.set_reconnect_ivl(100)?;
        socket.set_reconnect_ivl_max(2_000)?;
        // finds peers whose machine has gone
        socket.set_tcp_keepalive(1)?;
        socket.set_tcp_keepalive_idle(30)?;
        socket.set_tcp_keepalive_intvl(10)?;
        socket.set_tcp_keepalive_cnt(3)?;
        // IPv6 sockets take IPv4 peers as well
        socket.set_ipv6(true)
    })?;
    // without a monitor only the number of peers stays unknown
    let monitor = attempt(|| {
        let endpoint = format!("inproc://busbar-monitor-{number}");
        let events = WATCHED.iter().fold(0, |all, event| all | *event as i32);
        socket.monitor(&endpoint, events)?;
        let monitor = context.socket(zmq::PAIR)?;
        monitor.set_linger(0)?;
        // ZeroMQ would wait for us to read while we wait for it to close a socket
        monitor.set_rcvhwm(0)?;
        monitor.connect(&endpoint)?;
        Ok(monitor)
    })
    .ok();
    let is_push = config.socket_type == SocketType::Push;
    let waits_for_peer = is_push && config.socket_method == SocketMethod::Connect && monitor.is_some();
    let mut endpoint = None;
    let settles = match config.socket_method {
        SocketMethod::Bind => {
            attempt(|| socket.bind(&config.address))?;
            endpoint = attempt(|| socket.get_last_endpoint()).ok().and_then(Result::ok);
            SETTLE_BOUND
        }
        SocketMethod::Connect => {
            attempt(|| socket.connect(&config.address))?;
            SETTLE_CONNECTED
        }
    };
    let settled_at = if is_push { now } else { now + settles };
    Ok((
        Open {
            socket,
            number,
            monitor,
            settled_at,
            is_blocked: false,
            greeting: VecDeque::new(),
            peers: 0,
            waits_for_peer,
            lost_at: None,
        },
        endpoint,
    ))
}

/// What happened, and its value: the number of the line.
fn event(part: &[u8]) -> Option<(SocketEvent, i32)> {
    let (number, value) = part.split_at_checked(2)?;
    let number = u16::from_ne_bytes(number.try_into().ok()?);
    let event = WATCHED.into_iter().find(|event| *event as u16 == number)?;
    Some((event, i32::from_ne_bytes(value.try_into().ok()?)))
}

/// Sends messages; `true` if ZeroMQ takes no more for now.
fn send(open: &Open, outbox: &Outbox) -> bool {
    let mut sent = 0;
    let mut is_blocked = false;
    while sent < TURN as u64 {
        let Some(message) = outbox.pop() else { break };
        match send_one(&open.socket, &message) {
            Ok(()) => sent += 1,
            Err(zmq::Error::EAGAIN) => {
                outbox.unpop(message);
                is_blocked = true;
                break;
            }
            Err(zmq::Error::EINTR) => outbox.unpop(message),
            Err(error) => {
                let name = &outbox.name;
                tracing::error!(conn.kind = "outgoing.zmq", conn.name = %name, error = error.message(), "dropped a message of outgoing.zmq `{name}`");
            }
        }
    }
    if sent > 0 {
        outbox.update(|status| status.sent += sent);
    }
    is_blocked
}

fn send_one(socket: &Socket, message: &Message) -> zmq::Result<()> {
    let Some((last, first)) = message.split_last() else {
        return Ok(());
    };
    for part in first {
        // ZeroMQ takes all parts of a message or none: only the first one can find it full
        socket.send(&part[..], DONTWAIT | SNDMORE)?;
    }
    socket.send(&last[..], DONTWAIT)
}
