//! A connection on which the calling thread writes and reads by itself.
//!
//! Handing a command to a task and being woken by it costs more than Redis takes to answer: one thread alone had 13,600 `GET` a second
//! over the shared connection, 18,700 with redis-py and 67,500 in this way. So each client has one such connection, for whoever comes when
//! nobody else wants anything; otherwise commands of many threads travel together over the shared one.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use redis::{ConnectionAddr, ConnectionInfo};

use super::client::RedisClient;
use super::command::{only_reads, pack};
use super::line::login;
use super::resp::Decoder;
use super::{RedisFailure, RedisFailureKind, Reply};

/// A connection that was idle for longer is asked whether it still stands.
const FRESH: Duration = Duration::from_millis(200);

trait Io: Read + Write + Send {}

impl<T: Read + Write + Send> Io for T {}

/// The connection, and what has come in over it.
pub(super) struct Direct {
    stream: Box<dyn Io>,
    decoder: Decoder,
    input: BytesMut,
    wire: Vec<u8>,
    used_at: Instant,
}

/// Where it is kept.
#[derive(Default)]
pub(super) enum Place {
    #[default]
    Empty,
    Idle(Box<Direct>),
    Busy,
}

/// The right to use the connection once.
pub struct RedisTurn<'c> {
    client: &'c RedisClient,
    direct: Option<Box<Direct>>,
}

impl<'c> RedisTurn<'c> {
    /// `None` if somebody else has it.
    pub(super) fn take(client: &'c RedisClient, place: &Mutex<Place>) -> Option<Self> {
        let mut place = place.try_lock().ok()?;
        let direct = match std::mem::replace(&mut *place, Place::Busy) {
            Place::Busy => return None,
            Place::Idle(direct) => Some(direct),
            Place::Empty => None,
        };
        Some(Self { client, direct })
    }

    /// Runs a command; blocks the thread. `None` if the connection cannot be used and the command was not run, or may run again.
    pub fn run(mut self, command: &[Vec<u8>]) -> Option<Result<Reply, RedisFailure>> {
        let (info, connect, response) = self.client.direct_settings()?;
        let mut direct = match self.direct.take() {
            Some(mut direct) if direct.used_at.elapsed() > FRESH => {
                direct.exchange(&[b"PING".to_vec()]).ok()?;
                direct
            }
            Some(direct) => direct,
            None => Box::new(Direct::open(info, connect, response).ok()?),
        };
        match direct.exchange(command) {
            Ok(reply) => {
                direct.used_at = Instant::now();
                self.direct = Some(direct);
                Some(reply.into_result())
            }
            // the other way tries again, with patience
            Err(Lost { was_sent, .. }) if !was_sent || only_reads(command) => None,
            Err(Lost { error, .. }) => Some(Err(failure(&error))),
        }
    }
}

impl Drop for RedisTurn<'_> {
    fn drop(&mut self) {
        let mut place = self
            .client
            .direct_place()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *place = match self.direct.take() {
            Some(direct) => Place::Idle(direct),
            None => Place::Empty,
        };
    }
}

struct Lost {
    error: io::Error,
    was_sent: bool,
}

impl Direct {
    fn open(info: &ConnectionInfo, connect: Duration, response: Duration) -> io::Result<Self> {
        let stream: Box<dyn Io> = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let address = (host.as_str(), *port).to_socket_addrs()?.next();
                let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
                let stream = TcpStream::connect_timeout(&address, connect)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(response))?;
                stream.set_write_timeout(Some(response))?;
                Box::new(stream)
            }
            ConnectionAddr::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(response))?;
                stream.set_write_timeout(Some(response))?;
                Box::new(stream)
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        let mut direct = Self {
            stream,
            decoder: Decoder::default(),
            input: BytesMut::new(),
            wire: Vec::new(),
            used_at: Instant::now(),
        };
        for command in login(info) {
            match direct.exchange(&command) {
                Ok(Reply::Error(failure)) => return Err(io::Error::other(failure)),
                Ok(_) => {}
                Err(lost) => return Err(lost.error),
            }
        }
        Ok(direct)
    }

    fn exchange(&mut self, command: &[Vec<u8>]) -> Result<Reply, Lost> {
        let lost = |was_sent| move |error| Lost { error, was_sent };
        self.wire.clear();
        pack(command, &mut self.wire);
        self.stream.write_all(&self.wire).map_err(lost(false))?;
        if self.wire.capacity() > 64 * 1024 {
            self.wire = Vec::new();
        }
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.input).map_err(lost(true))? {
                return Ok(reply);
            }
            let before = self.input.len();
            self.input.resize(before + 16 * 1024, 0);
            let read = self.stream.read(&mut self.input[before..]);
            self.input.truncate(before + read.as_ref().map_or(0, |read| *read));
            if read.map_err(lost(true))? == 0 {
                return Err(lost(true)(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

fn failure(error: &io::Error) -> RedisFailure {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            RedisFailure::new(RedisFailureKind::Timeout, "no reply from Redis in time")
        }
        _ => RedisFailure::from_io(error, "connection to Redis lost"),
    }
}
