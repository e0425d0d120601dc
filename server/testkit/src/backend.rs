//! HTTP back-ends inside the test, whose every answer is scripted, faults included.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wait::wait_until;

/// What a back-end does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Responds, and keeps the connection.
    Respond {
        /// Status.
        status: u16,
        /// Headers; the length is added.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// Waits, then does something else.
    After(Duration, Box<Answer>),
    /// Never answers, and keeps the connection open.
    Hang,
    /// Closes the connection without an answer.
    Close,
    /// Resets the connection without an answer.
    Reset,
    /// Sends the head at once and the body a byte at a time with such a pause.
    Drip(Duration, Vec<u8>),
    /// Sends bytes as they are and closes the connection.
    Raw(Vec<u8>),
}

impl Answer {
    /// 200 with JSON.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::text("application/json", &body.to_string())
    }

    /// 200 with a body of some type.
    pub fn text(content_type: &str, body: &str) -> Self {
        Self::respond(200, &[("Content-Type", content_type)], body.as_bytes())
    }

    /// Any response.
    pub fn respond(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::Respond {
            status,
            headers,
            body: body.to_vec(),
        }
    }
}

/// A request that a back-end has received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Headers in the order received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
}

impl Received {
    /// First value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    streams: Mutex<Vec<TcpStream>>,
    closing: AtomicBool,
    closed: (Mutex<()>, Condvar),
}

/// A back-end on a free port. Ends, and closes its connections, when it is dropped.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Backend {
    /// A back-end that does with every request what `script` says.
    pub fn new(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("there is a free port"), script)
    }

    /// A back-end on an address where another one was before.
    pub fn at(address: SocketAddr, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::on(
            wait_until(&format!("{address} to be free"), || TcpListener::bind(address).ok()),
            script,
        )
    }

    /// A back-end that always does the same.
    pub fn always(answer: Answer) -> Self {
        Self::new(move |_| answer.clone())
    }

    fn on(listener: TcpListener, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            received: Mutex::default(),
            streams: Mutex::default(),
            closing: AtomicBool::new(false),
            closed: (Mutex::default(), Condvar::new()),
        });
        let acceptor = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// The last request.
    ///
    /// # Panics
    ///
    /// If there was none.
    #[track_caller]
    pub fn last(&self) -> Received {
        self.received().pop().expect("the back-end was never called")
    }

    /// Number of requests so far.
    pub fn count(&self) -> usize {
        lock(&self.shared.received).len()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        {
            let _guard = lock(&self.shared.closed.0);
            self.shared.closed.1.notify_all();
        }
        for stream in lock(&self.shared.streams).drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
        // wakes the acceptor up
        TcpStream::connect(self.address).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (connection, stream) in listener.incoming().enumerate() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        stream.set_nodelay(true).ok();
        if let Ok(clone) = stream.try_clone() {
            lock(&shared.streams).push(clone);
        }
        let shared = shared.clone();
        // an error here is a client that left
        thread::spawn(move || serve(stream, connection, &shared).ok());
    }
}

fn serve(stream: TcpStream, connection: usize, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(received) = read_request(&mut stream, connection)? {
        let answer = (shared.script)(&received);
        lock(&shared.received).push(received.clone());
        if !act(stream.get_mut(), answer, &received, shared)? {
            // `streams` holds another descriptor, so that dropping this one closes nothing
            return stream.get_ref().shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

/// Does what was scripted; gives back whether the connection goes on.
fn act(stream: &mut TcpStream, answer: Answer, received: &Received, shared: &Shared) -> io::Result<bool> {
    match answer {
        Answer::Respond { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            if !matches!(status, 204 | 304) {
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            }
            let mut bytes = format!("{head}\r\n").into_bytes();
            if received.method != "HEAD" {
                bytes.extend_from_slice(&body);
            }
            stream.write_all(&bytes)?;
            Ok(true)
        }
        Answer::After(delay, answer) => {
            pause(shared, delay);
            act(stream, *answer, received, shared)
        }
        Answer::Hang => {
            pause(shared, Duration::from_secs(3600));
            Ok(false)
        }
        Answer::Close => Ok(false),
        Answer::Reset => {
            let linger = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            // SAFETY: the pointer is to a struct that lives through the call, with its size
            unsafe {
                libc::setsockopt(
                    stream.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_LINGER,
                    (&raw const linger).cast(),
                    size_of::<libc::linger>() as libc::socklen_t,
                );
            }
            // the reset is sent when the last descriptor goes
            let peer = stream.peer_addr()?;
            lock(&shared.streams).retain(|other| other.peer_addr().is_ok_and(|other| other != peer));
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Answer::Drip(gap, body) => {
            write!(
                stream,
                "HTTP/1.1 200 Scripted\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )?;
            for byte in body {
                if shared.closing.load(Ordering::SeqCst) {
                    return Ok(false);
                }
                stream.write_all(&[byte])?;
                pause(shared, gap);
            }
            Ok(true)
        }
        Answer::Raw(bytes) => {
            stream.write_all(&bytes)?;
            Ok(false)
        }
    }
}

/// Waits, but not beyond the end of the back-end.
fn pause(shared: &Shared, time: Duration) {
    let guard = lock(&shared.closed.0);
    let going_on = |(): &mut ()| !shared.closing.load(Ordering::SeqCst);
    drop(shared.closed.1.wait_timeout_while(guard, time, going_on));
}

fn read_request(stream: &mut BufReader<TcpStream>, connection: usize) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut parts = line.split_whitespace();
    let (method, target) = (
        parts.next().unwrap_or_default().to_owned(),
        parts.next().unwrap_or_default().to_owned(),
    );
    let mut received = Received {
        method,
        target,
        headers: Vec::new(),
        body: Vec::new(),
        connection,
    };
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        received
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if received.header("transfer-encoding").is_some() {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let size =
                usize::from_str_radix(line.trim(), 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            let start = received.body.len();
            received.body.resize(start + size, 0);
            stream.read_exact(&mut received.body[start..])?;
            stream.read_line(&mut line)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = received.header("content-length").and_then(|length| length.parse().ok()) {
        received.body.resize(length, 0);
        stream.read_exact(&mut received.body)?;
    }
    Ok(Some(received))
}

/// An address that refuses connections for as long as this lives: bound, so that nobody else gets it, and not listened on.
#[derive(Debug)]
pub struct Refusing {
    address: SocketAddr,
    _socket: OwnedFd,
}

impl Refusing {
    /// Takes a free port.
    ///
    /// # Panics
    ///
    /// If the kernel has none.
    pub fn new() -> Self {
        // SAFETY: no pointers but to structs that live through the calls, each with its size; the descriptor is owned by nobody else
        unsafe {
            let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            assert!(socket >= 0, "the kernel has a socket");
            let owned = OwnedFd::from_raw_fd(socket);
            let mut address: libc::sockaddr_in = std::mem::zeroed();
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_addr.s_addr = u32::from_be_bytes([127, 0, 0, 1]).to_be();
            let mut size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            assert_eq!(
                libc::bind(socket, (&raw const address).cast(), size),
                0,
                "there is a free port"
            );
            assert_eq!(
                libc::getsockname(socket, (&raw mut address).cast(), &raw mut size),
                0,
                "a bound socket has a name"
            );
            let port = u16::from_be(address.sin_port);
            Self {
                address: SocketAddr::from(([127, 0, 0, 1], port)),
                _socket: owned,
            }
        }
    }

    /// Its address as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Default for Refusing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Connection, Request};

    #[test]
    fn it_does_what_it_is_told() {
        let backend = Backend::new(|request| match request.path() {
            "/json" => Answer::json(&serde_json::json!({"got": request.text()})),
            "/close" => Answer::Close,
            "/reset" => Answer::Reset,
            "/drip" => Answer::Drip(Duration::from_millis(1), b"abc".to_vec()),
            _ => Answer::respond(404, &[], b""),
        });
        let mut connection = Connection::open(backend.address()).unwrap();
        let post = |path: &str| Request::new("POST", path).body("x");
        assert_eq!(connection.send(&post("/json?a=1")).unwrap().json()["got"], "x");
        assert_eq!(connection.send(&post("/drip")).unwrap().text(), "abc");
        assert_eq!(connection.send(&post("/other")).unwrap().status, 404);
        assert_eq!(
            connection.send(&post("/close")).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        let mut connection = Connection::open(backend.address()).unwrap();
        assert_eq!(
            connection.send(&post("/reset")).unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        assert_eq!(backend.count(), 5);
        assert_eq!(backend.last().connection, 1);
    }

    #[test]
    fn nobody_listens_on_an_address_that_refuses() {
        let refusing = Refusing::new();
        let error = TcpStream::connect(refusing.address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
