//! All outgoing ZeroMQ connections of a node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use busbar_model::object::{Object, Snapshot};
use busbar_model::{Error, Kind};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::{Configure, HubRequest, Switch};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::config::OutgoingZmq;
use super::error::error;
use super::outbox::{Outbox, Refused, ZmqState, ZmqStatus};
use super::thread::{Order, Remote};

/// All outgoing ZeroMQ connections of a node. One thread holds their sockets; dropping this closes them at once.
pub struct ZmqSockets {
    live: Arc<ArcSwap<Outboxes>>,
    remote: Arc<Remote>,
}

/// Queues by name; `None` for connections that are switched off.
type Outboxes = HashMap<String, Option<Arc<Outbox>>>;

impl ZmqSockets {
    /// No connections yet. Starts the thread; fails if the system has no more threads or descriptors.
    pub fn new() -> Result<Self, Error> {
        let remote = Remote::spawn().map_err(|error| {
            Error::new(Kind::Internal, "cannot start the thread of ZeroMQ sockets").with_source(error)
        })?;
        Ok(Self {
            live: Arc::default(),
            remote: Arc::new(remote),
        })
    }

    /// Runs an operation of a worker.
    ///
    /// * `send`: queues the parts as one message and answers nothing. [`Kind::Unavailable`] if the queue is full.
    /// * `ping`: answers a [`ZmqStatus`] as JSON. [`Kind::Connection`] if the socket cannot be opened.
    ///
    /// [`Kind::NotFound`] or [`Kind::Inactive`] if there is no such connection, or it is switched off.
    pub fn request(&self, request: HubRequest) -> BoxFuture<'static, Result<Bytes, Error>> {
        let result = match request.operation.as_str() {
            "send" => self.send(&request.name, request.parts).map(|()| Bytes::new()),
            "ping" => self.ping(&request.name).map(|status| {
                serde_json::to_vec(&status)
                    .expect("a status is numbers and texts")
                    .into()
            }),
            other => Err(Error::new(
                Kind::BadRequest,
                format!("outgoing.zmq knows no operation `{other}`"),
            )),
        };
        Box::pin(std::future::ready(result))
    }

    /// Queues a message. Never waits.
    pub fn send(&self, name: &str, parts: Vec<Bytes>) -> Result<(), Error> {
        if parts.is_empty() {
            return Err(error(
                Kind::BadRequest,
                "a message without parts cannot be sent to",
                name,
            ));
        }
        let mut parts = parts;
        loop {
            let outbox = self.outbox(name)?;
            match outbox.push(parts) {
                Ok(()) => {
                    self.remote.wake();
                    return Ok(());
                }
                Err(Refused::Full) => {
                    return Err(error(Kind::Unavailable, "the queue is full of", name).with_hint(
                        "its peers are away or too slow; they can have more time with a larger `high_water_mark`",
                    ));
                }
                // changed this very moment: its successor is there already, or it is no more
                Err(Refused::Closed(message)) => {
                    let is_stopped = self.outbox(name).is_ok_and(|next| Arc::ptr_eq(&next, &outbox));
                    if is_stopped {
                        return Err(error(Kind::Unavailable, "the server is stopping, so is", name));
                    }
                    parts = message;
                }
            }
        }
    }

    /// What is known of a connection; an error if its socket cannot be opened.
    pub fn ping(&self, name: &str) -> Result<ZmqStatus, Error> {
        let status = self.status(name)?;
        match (status.state, &status.error) {
            (ZmqState::Failing, Some(reason)) => {
                Err(error(Kind::Connection, "cannot open", name).with_source(std::io::Error::other(reason.clone())))
            }
            _ => Ok(status),
        }
    }

    /// What is known of a connection.
    pub fn status(&self, name: &str) -> Result<ZmqStatus, Error> {
        Ok(self.outbox(name)?.status())
    }

    fn outbox(&self, name: &str) -> Result<Arc<Outbox>, Error> {
        match self.live.load().get(name) {
            Some(Some(outbox)) => Ok(Arc::clone(outbox)),
            Some(None) => Err(Error::new(Kind::Inactive, format!("outgoing.zmq `{name}` is inactive"))),
            None => Err(Error::new(Kind::NotFound, format!("there is no outgoing.zmq `{name}`"))),
        }
    }

    #[cfg(test)]
    pub(super) fn outbox_for_tests(&self, name: &str) -> Arc<Outbox> {
        self.outbox(name).unwrap()
    }

    /// Delivers what is queued, for as long as each connection's `linger` says and for `limit` at most, and closes all sockets.
    pub async fn stop(&self, limit: Duration) {
        let (stopped, wait) = oneshot::channel();
        self.remote.order(Order::Stop(Instant::now() + limit, stopped));
        // an error here says that the thread has ended already
        let _ = wait.await;
    }
}

impl Configure for ZmqSockets {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let running = self.live.load();
        let mut next = Outboxes::new();
        for (record, config) in snapshot.of::<OutgoingZmq>() {
            let name = &record.name;
            let config = config.map_err(|source| {
                Error::new(Kind::Config, format!("cannot read {} `{name}`", OutgoingZmq::KIND)).with_source(source)
            })?;
            let outbox = record.is_active.then(|| {
                let same = running
                    .get(name)
                    .and_then(Option::as_ref)
                    .filter(|outbox| outbox.config == config);
                match same {
                    Some(outbox) => Arc::clone(outbox),
                    None => Arc::new(Outbox::new(name.clone(), config)),
                }
            });
            next.insert(name.clone(), outbox);
        }
        let (live, remote) = (Arc::clone(&self.live), Arc::clone(&self.remote));
        Ok(Switch::new(move || {
            let outboxes = next.values().flatten().cloned().collect();
            // senders first: once a queue is closed, its successor must be found
            live.store(Arc::new(next));
            remote.order(Order::Apply(outboxes));
        }))
    }
}
