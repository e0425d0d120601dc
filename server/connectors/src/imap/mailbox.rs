//! Mailboxes, whichever way they are reached.

use std::sync::Arc;

use busbar_model::Error;
use busbar_model::object::Snapshot;
use busbar_runtime::{Configure, Switch};

use crate::imap::config::{EmailImap, ServerType};
use crate::imap::graph::Graph;
use crate::imap::sessions::Sessions;
use crate::live::{Live, Make};

/// All mailboxes of a worker.
#[derive(Default)]
pub struct Mailboxes {
    live: Live<Mailbox>,
}

impl Mailboxes {
    /// The mailbox of this name. [`Kind::NotFound`](busbar_model::Kind::NotFound) if there is none, [`Kind::Inactive`](busbar_model::Kind::Inactive) if it is switched off; else why it
    /// cannot be made.
    pub fn get(&self, name: &str) -> Result<Arc<Mailbox>, Error> {
        self.live.get(name)
    }
}

impl Configure for Mailboxes {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        Ok(self.live.prepare(snapshot, |_| {}))
    }
}

impl Make for Mailbox {
    type Config = EmailImap;

    fn make(name: &str, config: EmailImap) -> Result<Self, Error> {
        Self::build(name, config)
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which numbering the numbers are of: UIDVALIDITY of RFC 3501. `None`: these names of messages never change.
    pub validity: Option<u32>,
    /// The messages' numbers, or what they are called, oldest first.
    pub uids: Vec<String>,
}

/// Messages of one folder, by their numbers, or what they are called.
#[derive(Debug, Clone)]
pub struct Uids {
    /// The folder.
    pub folder: String,
    /// Which numbering they are of; `None`: whichever is valid.
    pub validity: Option<u32>,
    /// The numbers.
    pub uids: Vec<String>,
}

/// A mailbox.
pub struct Mailbox {
    config: EmailImap,
    way: Way,
}

/// How it is reached.
enum Way {
    Imap(Box<Sessions>),
    Graph(Box<Graph>),
}

impl Mailbox {
    /// Connects to nothing yet.
    pub(crate) fn build(name: &str, config: EmailImap) -> Result<Self, Error> {
        let way = match config.server_type {
            ServerType::GenericImap => Way::Imap(Box::new(Sessions::build(name, config.clone())?)),
            ServerType::Microsoft365 => Way::Graph(Box::new(Graph::build(name, &config)?)),
        };
        Ok(Self { config, way })
    }

    /// The messages of a folder that the configured search finds.
    pub async fn search(&self, folder: &str) -> Result<Found, Error> {
        match &self.way {
            Way::Imap(sessions) => sessions.search(folder).await,
            Way::Graph(graph) => graph.search(folder).await,
        }
    }

    /// One message as it went over the wire, without marking it as seen; `None` if it is not there any more. `message` names one.
    pub async fn fetch(&self, message: &Uids) -> Result<Option<Vec<u8>>, Error> {
        match &self.way {
            Way::Imap(sessions) => sessions.fetch(message).await,
            Way::Graph(graph) => graph.fetch(message).await,
        }
    }

    /// Marks messages as seen.
    pub async fn mark_seen(&self, messages: &Uids) -> Result<(), Error> {
        match &self.way {
            Way::Imap(sessions) => sessions.mark_seen(messages).await,
            Way::Graph(graph) => graph.mark_seen(messages).await,
        }
    }

    /// Deletes messages for good.
    pub async fn delete(&self, messages: &Uids) -> Result<(), Error> {
        match &self.way {
            Way::Imap(sessions) => sessions.delete(messages).await,
            Way::Graph(graph) => graph.delete(messages).await,
        }
    }

    /// Moves messages to another folder.
    pub async fn move_to(&self, messages: &Uids, folder: &str) -> Result<(), Error> {
        match &self.way {
            Way::Imap(sessions) => sessions.move_to(messages, folder).await,
            Way::Graph(graph) => graph.move_to(messages, folder).await,
        }
    }

    /// Asks the server whether it is there, with a connection of its own that is not kept.
    pub(super) async fn try_out(&self) -> Result<(), Error> {
        match &self.way {
            Way::Imap(sessions) => sessions.try_out().await,
            Way::Graph(graph) => graph.ping().await,
        }
    }

    /// Its configuration.
    pub(super) fn config(&self) -> &EmailImap {
        &self.config
    }

    /// Asks the server whether it is there, and knows its user.
    pub async fn ping(&self) -> Result<(), Error> {
        match &self.way {
            Way::Imap(sessions) => sessions.ping().await,
            Way::Graph(graph) => graph.ping().await,
        }
    }
}
