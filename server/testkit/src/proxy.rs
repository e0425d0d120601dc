//! A line to a server that can be cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A port of this machine that leads to a server, until it is cut: then connections break off and new ones are refused.
#[derive(Debug)]
pub struct Proxy {
    to: String,
    port: u16,
    line: Arc<Mutex<Line>>,
    trap: Arc<Mutex<Option<Moment>>>,
}

/// When a connection is to break off, by what its client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server gets what has these bytes in it.
    Before(&'static [u8]),
    /// When the server has got them, and before the client gets its answer.
    Answering(&'static [u8]),
    /// When the client has got the answer to them.
    After(&'static [u8]),
}

/// What there is while the line is whole.
#[derive(Debug, Default)]
struct Line {
    is_whole: bool,
    streams: Vec<TcpStream>,
    /// Whether nothing goes through any more on the connections that there are.
    silence: Arc<AtomicBool>,
}

impl Proxy {
    /// A line to `to`, a host and a port.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub fn new(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let proxy = Self {
            to: to.to_owned(),
            port,
            line: Arc::default(),
            trap: Arc::default(),
        };
        proxy.serve(listener);
        proxy
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Breaks the connection off that meets this moment next, once. New ones are let through.
    pub fn cut_at(&self, moment: Moment) {
        *lock(&self.trap) = Some(moment);
    }

    /// Cuts it.
    pub fn cut(&self) {
        let mut line = lock(&self.line);
        line.is_whole = false;
        for stream in line.streams.drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
        drop(line);
        // the listener is closed when it has seen that
        TcpStream::connect(self.address()).ok();
        crate::wait_until("the proxy to refuse connections", || {
            TcpStream::connect(self.address()).err()
        });
    }

    /// Lets nothing through any more on the connections that there are, in either direction, and leaves them open. New ones are let through.
    pub fn silence(&self) {
        let silence = std::mem::take(&mut lock(&self.line).silence);
        silence.store(true, Ordering::Relaxed);
    }

    /// Makes it whole again.
    pub fn mend(&self) {
        let listener = crate::wait_until("the proxy's port to be free", || TcpListener::bind(self.address()).ok());
        self.serve(listener);
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn serve(&self, listener: TcpListener) {
        lock(&self.line).is_whole = true;
        let (to, line, trap) = (self.to.clone(), self.line.clone(), self.trap.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut line = lock(&line);
                if !line.is_whole {
                    return;
                }
                if let Ok(streams) = join(client, &to, &trap, &line.silence) {
                    line.streams.extend(streams);
                }
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Whether a connection has met its moment, for both of its directions.
#[derive(Debug, Default)]
struct Met(Mutex<Option<Moment>>);

fn join(
    client: TcpStream,
    to: &str,
    trap: &Arc<Mutex<Option<Moment>>>,
    silence: &Arc<AtomicBool>,
) -> io::Result<[TcpStream; 2]> {
    let server = TcpStream::connect(to)?;
    let handles = [client.try_clone()?, server.try_clone()?];
    let met = Arc::new(Met::default());
    let (mut from, mut into) = (client.try_clone()?, server.try_clone()?);
    let (trap, own) = (trap.clone(), met.clone());
    let silences = [silence.clone(), silence.clone()];
    let [there, back] = silences.map(|silence| {
        move |fate| {
            if silence.load(Ordering::Relaxed) {
                Fate::Swallow
            } else {
                fate
            }
        }
    });
    std::thread::spawn(move || {
        copy(&mut from, &mut into, |bytes| there(to_server(bytes, &trap, &own))).ok();
        into.shutdown(Shutdown::Both).ok();
    });
    let (mut from, mut into) = (server, client);
    std::thread::spawn(move || {
        copy(&mut from, &mut into, |_| back(to_client(&met))).ok();
        into.shutdown(Shutdown::Both).ok();
        from.shutdown(Shutdown::Both).ok();
    });
    Ok(handles)
}

/// What becomes of bytes.
enum Fate {
    Pass,
    /// They go nowhere, which nobody hears of.
    Swallow,
    /// They go on, and are the last.
    Last,
    Stop,
}

fn copy(from: &mut TcpStream, into: &mut TcpStream, fate: impl Fn(&[u8]) -> Fate) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let bytes = &buffer[..count];
        match fate(bytes) {
            Fate::Pass => into.write_all(bytes)?,
            Fate::Swallow => {}
            Fate::Last => return into.write_all(bytes),
            Fate::Stop => return Ok(()),
        }
    }
}

fn to_server(bytes: &[u8], trap: &Mutex<Option<Moment>>, met: &Met) -> Fate {
    let mut trap = lock(trap);
    let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    match *trap {
        Some(Moment::Before(wanted)) if has(wanted) => {
            *trap = None;
            Fate::Stop
        }
        Some(moment @ (Moment::Answering(wanted) | Moment::After(wanted))) if has(wanted) => {
            *trap = None;
            *lock(&met.0) = Some(moment);
            Fate::Pass
        }
        _ => Fate::Pass,
    }
}

fn to_client(met: &Met) -> Fate {
    match *lock(&met.0) {
        Some(Moment::Answering(_)) => Fate::Stop,
        Some(Moment::After(_)) => Fate::Last,
        _ => Fate::Pass,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
