//! The HTTP server: bound, then spawned, then drained.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::HeaderValue;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use busbar_model::{Error, Kind};
use busbar_runtime::inbound::Dispatch;
use busbar_runtime::task::{self, TaskKind};

use crate::http::body::BodyLimits;
use crate::http::front::{Client, Front};
use crate::http::io::Watched;
use crate::http::routes::{Audience, Routes};
use crate::http::settings::HttpConfig;
use crate::http::tls::{self, HTTP2};
use crate::http::watch::{Connection, Connections, Fate, Patience, Registration, SWEEP, TICK};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;
/// How long after a warning the same is not warned of again.
const WARN_AGAIN: Duration = Duration::from_secs(30);
/// How long aborted connections may take to be gone.
const ABORT_LIMIT: Duration = Duration::from_secs(1);

/// A socket that is bound, and everything checked. Nothing is accepted yet.
pub struct BoundHttp {
    config: HttpConfig,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    server: Option<HeaderValue>,
}

/// A running server. Dropping it stops it at once.
pub struct HttpServer {
    address: SocketAddr,
    connections: Arc<Connections>,
    stop: watch::Sender<bool>,
}

impl HttpServer {
    /// Checks the configuration and binds the socket.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] if a setting is wrong or a certificate cannot be used; [`Kind::Connection`] if the address cannot be bound.
    pub async fn bind(config: HttpConfig) -> Result<BoundHttp, Error> {
        Self::bind_of(config, "http").await
    }

    /// The same; the address is the one that another section of the settings has, which errors name.
    ///
    /// # Errors
    ///
    /// As [`HttpServer::bind`].
    pub async fn bind_of(config: HttpConfig, section: &str) -> Result<BoundHttp, Error> {
        if config.max_head < 8192 {
            return Err(Error::new(
                Kind::Config,
                "setting `max_head` of `[http]` must be at least 8192",
            ));
        }
        if config.max_connections == 0 {
            return Err(Error::new(
                Kind::Config,
                "setting `max_connections` of `[http]` must be at least 1",
            ));
        }
        let server = match config.server_header.as_str() {
            "" => None,
            text => Some(HeaderValue::from_str(text).map_err(|error| {
                Error::new(
                    Kind::Config,
                    "setting `server_header` of `[http]` cannot be sent in a header",
                )
                .with_source(error)
            })?),
        };
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let listener = listen(&config.address).await.map_err(|error| {
            let message = format!("cannot listen on `{}`", config.address);
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    format!("another process listens there; stop it, or set another `address` in `[{section}]`")
                }
                _ => format!("set an `address` of this machine in `[{section}]`, such as `127.0.0.1:11223`"),
            };
            Error::new(Kind::Connection, message)
                .with_hint(hint)
                .with_source(error)
                .with_temporary(false)
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::new(Kind::Internal, "cannot tell the address of a socket").with_source(error))?;
        Ok(BoundHttp {
            config,
            listener,
            address,
            tls,
            server,
        })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Stops accepting, lets the requests in flight finish, and closes. Connections that are not done by the limit are cut off.
    /// Gives back how many those were.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.stop.send_replace(true);
        // the accept loop drops its receiver when it has closed the socket
        self.stop.closed().await;
        self.connections.decide_all(Fate::Shutdown);
        if tokio::time::timeout(limit, self.wait_empty()).await.is_ok() {
            return 0;
        }
        let left = self.connections.len();
        tracing::warn!(
            connections = left,
            requests = self.connections.in_flight(),
            "cutting off {left} HTTP connection(s) that are not done after {} s",
            limit.as_secs()
        );
        self.abort();
        let _ = tokio::time::timeout(ABORT_LIMIT, self.wait_empty()).await;
        left
    }

    /// Closes everything at once.
    pub fn abort(&self) {
        self.stop.send_replace(true);
        self.connections.decide_all(Fate::Abort);
    }

    async fn wait_empty(&self) {
        while self.connections.len() > 0 {
            self.connections.wait_closed().await;
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.abort();
    }
}

impl BoundHttp {
    /// Where it will listen.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept connections, on the current tokio runtime.
    pub fn spawn(self, routes: &Routes, audience: Audience, dispatch: Arc<dyn Dispatch>) -> HttpServer {
        let config = self.config;
        let connections = Connections::new(config.max_connections);
        let front = Front {
            routes: routes.of_audience(audience),
            dispatch,
            limits: BodyLimits::new(config.max_body, config.min_body_rate),
            server: self.server.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            is_tls: self.tls.is_some(),
        };
        let listening = Listening {
            front: Arc::new(front),
            connections: Arc::clone(&connections),
            protocol: protocol(&config),
            tls: self.tls,
            handshake: Duration::from_secs(config.head_timeout_secs),
        };
        let patience = Patience {
            head: Duration::from_secs(config.head_timeout_secs),
            idle: Duration::from_secs(config.idle_timeout_secs),
            write: Duration::from_secs(config.write_timeout_secs),
        };
        let (stop, stopped) = watch::channel(false);
        task::spawn(
            "http accept",
            TaskKind::Once,
            Arc::new(listening).accept(self.listener, stopped),
        );
        task::spawn(
            "http sweep",
            TaskKind::Once,
            sweep(Arc::downgrade(&connections), patience),
        );
        HttpServer {
            address: self.address,
            connections,
            stop,
        }
    }
}

/// What all connections of a server share.
struct Listening {
    front: Arc<Front>,
    connections: Arc<Connections>,
    protocol: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    handshake: Duration,
}

impl Listening {
    async fn accept(self: Arc<Self>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let mut backoff = Duration::from_millis(10);
        let mut warned: Option<Instant> = None;
        loop {
            if self.connections.is_full() {
                // at the limit one leaves and one comes all the time: that is one thing to tell, not thousands
                if warned.is_none_or(|warned| warned.elapsed() > WARN_AGAIN) {
                    tracing::warn!("{} HTTP connections are open: new ones wait", self.connections.len());
                    warned = Some(Instant::now());
                }
                tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                    () = self.connections.wait_closed() => continue,
                }
            }
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    backoff = Duration::from_millis(10);
                    let registration = self.connections.open();
                    // one task, not a watched one: there may be ten thousands of them, and the registration reports panics
                    tokio::spawn(Arc::clone(&self).serve(stream, address, registration));
                }
                // the client has gone while it waited
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // out of files or memory: trying again at once would only burn what is left
                    tracing::error!(%error, "cannot accept HTTP connections, trying again in {} ms", backoff.as_millis());
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, address: SocketAddr, registration: Registration) {
        // answers are written in one piece, there is nothing to wait for
        let _ = stream.set_nodelay(true);
        let client = |certificate| {
            let front = Arc::clone(&self.front);
            let connection = Arc::clone(&registration.connection);
            Arc::new(Client::new(front, connection, address, certificate))
        };
        match &self.tls {
            None => self.drive(stream, client(None)).await,
            Some(tls) => {
                let handshake = unless_stopped(&registration.connection, tls.accept(stream));
                match tokio::time::timeout(self.handshake, handshake).await {
                    Ok(Some(Ok(stream))) => {
                        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
                            registration.connection.note_http2();
                        }
                        let client = client(tls::certificate(stream.get_ref().1));
                        Box::pin(self.drive(stream, client)).await;
                    }
                    Ok(Some(Err(error))) => tracing::debug!(%error, %address, "a TLS handshake failed"),
                    Ok(None) => {}
                    Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
                }
            }
        }
        drop(registration);
    }

    async fn drive<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S, client: Arc<Client>) {
        let connection = Arc::clone(&client.connection);
        let socket = TokioIo::new(Watched::new(stream, Arc::clone(&connection), self.front.server.clone()));
        let service = service_fn(move |request| Arc::clone(&client).answer(request));
        let mut serving = pin!(self.protocol.serve_connection(socket, service));
        let mut is_first = true;
        let mut is_stopping = false;
        poll_fn(|cx| {
            if is_first {
                is_first = false;
                connection.set_waker(cx.waker());
            }
            match connection.fate() {
                Some(Fate::Abort | Fate::Stalled) => return Poll::Ready(()),
                Some(Fate::Shutdown) if !is_stopping => {
                    is_stopping = true;
                    serving.as_mut().graceful_shutdown();
                }
                _ => {}
            }
            serving.as_mut().poll(cx).map(|result| {
                if let Err(error) = result {
                    tracing::debug!(error = %error, "an HTTP connection ended early");
                }
            })
        })
        .await;
    }
}

/// Waits for a future while the connection may go on; `None` if the server stops meanwhile.
async fn unless_stopped<F: Future>(connection: &Connection, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut is_first = true;
    poll_fn(|cx| {
        if is_first {
            is_first = false;
            connection.set_waker(cx.waker());
        }
        match connection.fate() {
            Some(Fate::Abort | Fate::Shutdown) => Poll::Ready(None),
            _ => future.as_mut().poll(cx).map(Some),
        }
    })
    .await
}

async fn sweep(connections: std::sync::Weak<Connections>, patience: Patience) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let per_sweep = SWEEP.as_millis() / TICK.as_millis();
    let mut count = 0;
    loop {
        ticks.tick().await;
        let Some(connections) = connections.upgrade() else {
            return;
        };
        count += 1;
        if count % per_sweep == 0 {
            connections.sweep(&patience)
        } else {
            connections.tick()
        }
    }
}

/// HTTP/1.1, or HTTP/2 if the client begins with its preface.
fn protocol(config: &HttpConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // heads are timed by the sweep
    builder.http1().header_read_timeout(None).max_buf_size(config.max_head);
    if config.max_headers != HttpConfig::default().max_headers {
        builder.http1().max_headers(config.max_headers);
    }
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(config.max_head.try_into().unwrap_or(u32::MAX));
    builder
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in tokio::net::lookup_host(address).await? {
        let bound = (|| {
            let socket = if address.is_ipv4() {
                TcpSocket::new_v4()
            } else {
                TcpSocket::new_v6()
            }?;
            // a server that restarts need not wait until the connections of the last one are forgotten
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        })();
        match bound {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
