//! A line to a server that can be cut.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A port of this machine that leads to a server, until it is cut: then connections break off and new ones are refused.
#[derive(Debug)]
pub struct Proxy {
    to: String,
    port: u16,
    line: Arc<Mutex<Line>>,
}

/// What there is while the line is whole.
#[derive(Debug, Default)]
struct Line {
    is_whole: bool,
    streams: Vec<TcpStream>,
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
        };
        proxy.serve(listener);
        proxy
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts it.
    pub fn cut(&self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Makes it whole again.
    pub fn mend(&self) {
        let listener = crate::wait_until("the proxy's port to be free", || TcpListener::bind(self.address()).ok());
        self.serve(listener);
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn serve(&self, listener: TcpListener) {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).is_whole = true;
        let (to, line) = (self.to.clone(), self.line.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
                if !line.is_whole {
                    return;
                }
                if let Ok(streams) = join(client, &to) {
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

fn join(client: TcpStream, to: &str) -> io::Result<[TcpStream; 2]> {
    let server = TcpStream::connect(to)?;
    let handles = [client.try_clone()?, server.try_clone()?];
    for (mut from, mut into) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        std::thread::spawn(move || {
            io::copy(&mut from, &mut into).ok();
            into.shutdown(Shutdown::Both).ok();
        });
    }
    Ok(handles)
}
