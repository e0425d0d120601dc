//! The queue in front of a socket, and what is known of the connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::config::OutgoingZmq;

/// One message: its parts.
pub(super) type Message = Vec<Bytes>;

/// What a connection does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZmqState {
    /// The socket is not open yet.
    Opening,
    /// The socket is open, no peer is there.
    Waiting,
    /// There are peers.
    Connected,
    /// The socket cannot be opened; it is tried again.
    Failing,
    /// It delivers what is left and closes.
    Closing,
}

/// What is known of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZmqStatus {
    /// What it does.
    pub state: ZmqState,
    /// Peers that are connected.
    pub peers: u32,
    /// Messages that wait in the queue.
    pub queued: u64,
    /// Messages handed to ZeroMQ since the connection was last changed.
    pub sent: u64,
    /// Where it is bound, if it is: with the port that the system chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Why it is failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where senders leave messages and the thread of the sockets takes them.
pub(super) struct Outbox {
    pub(super) name: String,
    pub(super) config: OutgoingZmq,
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` once nobody takes messages from here any more.
    queue: Option<VecDeque<Message>>,
    size: u64,
    status: ZmqStatus,
}

/// Why a message was not taken.
pub(super) enum Refused {
    /// The queue is full.
    Full,
    /// Nobody takes messages from here any more: the connection was changed or removed meanwhile.
    Closed(Message),
}

impl Outbox {
    pub(super) fn new(name: String, config: OutgoingZmq) -> Self {
        let status = ZmqStatus {
            state: ZmqState::Opening,
            peers: 0,
            queued: 0,
            sent: 0,
            endpoint: None,
            error: None,
        };
        let inner = Inner {
            queue: Some(VecDeque::new()),
            size: 0,
            status,
        };
        Self {
            name,
            config,
            inner: Mutex::new(inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a message.
    pub(super) fn push(&self, message: Message) -> Result<(), Refused> {
        let size = size(&message);
        let inner = &mut *self.lock();
        let Some(queue) = &mut inner.queue else {
            return Err(Refused::Closed(message));
        };
        // one message is always taken, however large it is
        let is_full = queue.len() >= self.config.high_water_mark as usize
            || (!queue.is_empty() && inner.size.saturating_add(size) > self.config.max_queue_size);
        if is_full {
            return Err(Refused::Full);
        }
        queue.push_back(message);
        inner.size += size;
        Ok(())
    }

    /// Takes the oldest message.
    pub(super) fn pop(&self) -> Option<Message> {
        let inner = &mut *self.lock();
        let message = inner.queue.as_mut()?.pop_front()?;
        inner.size -= size(&message);
        Some(message)
    }

    /// Puts a message back that could not be sent yet.
    pub(super) fn unpop(&self, message: Message) {
        let inner = &mut *self.lock();
        if let Some(queue) = &mut inner.queue {
            inner.size += size(&message);
            queue.push_front(message);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().queue.as_ref().is_none_or(VecDeque::is_empty)
    }

    /// Takes all that is left; from here on nothing is taken in.
    pub(super) fn close(&self) -> VecDeque<Message> {
        let inner = &mut *self.lock();
        inner.size = 0;
        inner.queue.take().unwrap_or_default()
    }

    /// Puts what another connection left before what came since. May go over the mark, so as not to lose anything.
    pub(super) fn inherit(&self, mut older: VecDeque<Message>) {
        let inner = &mut *self.lock();
        if let Some(queue) = &mut inner.queue {
            inner.size += older.iter().map(size).sum::<u64>();
            older.append(queue);
            *queue = older;
        }
    }

    pub(super) fn status(&self) -> ZmqStatus {
        let inner = self.lock();
        let queued = inner.queue.as_ref().map_or(0, VecDeque::len) as u64;
        ZmqStatus {
            queued,
            ..inner.status.clone()
        }
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ZmqStatus)) {
        change(&mut self.lock().status);
    }
}

fn size(message: &Message) -> u64 {
    message.iter().map(|part| part.len() as u64).sum()
}
