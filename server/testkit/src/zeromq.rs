//! Peers of ZeroMQ connections.

use std::time::{Duration, Instant};

use crate::wait::LIMIT;

/// A socket that receives: PULL or SUB.
pub struct Receiver {
    socket: zmq::Socket,
    // after the socket: a context ends when its sockets are closed
    _context: zmq::Context,
    address: String,
}

impl Receiver {
    /// A PULL socket on a free port.
    pub fn pull() -> Self {
        Self::pull_on("tcp://127.0.0.1:*")
    }

    /// A PULL socket on an address.
    ///
    /// # Panics
    ///
    /// If the address is taken.
    pub fn pull_on(address: &str) -> Self {
        let (context, socket) = socket(zmq::PULL);
        // a peer that was just closed may hold the port for a moment
        crate::wait_until(&format!("{address} to be free"), || socket.bind(address).ok());
        Self::new(context, socket)
    }

    /// A SUB socket that is connected to a publisher, for messages that begin with `topic`.
    pub fn subscribe(address: &str, topic: &str) -> Self {
        let (context, socket) = socket(zmq::SUB);
        socket
            .set_subscribe(topic.as_bytes())
            .expect("a SUB socket can subscribe");
        socket.connect(address).expect("the address is one of ZeroMQ");
        Self::new(context, socket)
    }

    fn new(context: zmq::Context, socket: zmq::Socket) -> Self {
        let address = socket.get_last_endpoint().ok().and_then(Result::ok).unwrap_or_default();
        Self {
            socket,
            _context: context,
            address,
        }
    }

    /// Where it is bound or connected.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The next message, its parts as text.
    ///
    /// # Panics
    ///
    /// If none comes within [`LIMIT`].
    #[track_caller]
    pub fn receive(&self) -> Vec<String> {
        self.receive_within(LIMIT).expect("no message has come")
    }

    /// The next message; `None` if none comes in time.
    pub fn receive_within(&self, limit: Duration) -> Option<Vec<String>> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.socket
                .set_rcvtimeo(i32::try_from(left.as_millis()).unwrap_or(i32::MAX))
                .ok()?;
            match self.socket.recv_multipart(0) {
                Ok(parts) => {
                    return Some(
                        parts
                            .iter()
                            .map(|part| String::from_utf8_lossy(part).into_owned())
                            .collect(),
                    );
                }
                Err(zmq::Error::EINTR) => {}
                Err(_) => return None,
            }
        }
    }
}

fn socket(kind: zmq::SocketType) -> (zmq::Context, zmq::Socket) {
    let context = zmq::Context::new();
    let socket = context.socket(kind).expect("a context has room for a socket");
    socket.set_linger(0).expect("a socket can linger");
    (context, socket)
}
