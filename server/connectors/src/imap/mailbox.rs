//! Mailboxes and their sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_imap::error::Error as ImapError;
use busbar_model::object::Snapshot;
use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use busbar_runtime::{Configure, Switch};
use rustls::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::outgoing::client_tls;
use crate::imap::config::EmailImap;
use crate::imap::error::failed;
use crate::imap::session::Session;

/// How long a session stays open that nobody uses.
const IDLE_TIME: Duration = Duration::from_secs(30);

type ByName = HashMap<String, Option<Arc<Mailbox>>>;

/// All mailboxes of a worker.
#[derive(Default)]
pub struct Mailboxes {
    live: Arc<ArcSwap<ByName>>,
}

impl Mailboxes {
    /// The mailbox of this name. [`Kind::NotFound`] if there is none, [`Kind::Inactive`] if it is switched off.
    pub fn get(&self, name: &str) -> Result<Arc<Mailbox>, Error> {
        match self.live.load().get(name) {
            Some(Some(mailbox)) => Ok(Arc::clone(mailbox)),
            Some(None) => Err(Error::new(Kind::Inactive, format!("email.imap `{name}` is inactive"))),
            None => Err(Error::new(Kind::NotFound, format!("there is no email.imap `{name}`"))),
        }
    }
}

impl Configure for Mailboxes {
    fn prepare(&self, snapshot: &Snapshot) -> Result<Switch, Error> {
        let running = self.live.load();
        let mut next = ByName::new();
        for (record, config) in snapshot.of::<EmailImap>() {
            let name = &record.name;
            let config = config.map_err(|error| {
                Error::new(Kind::Config, format!("cannot read email.imap `{name}`")).with_source(error)
            })?;
            let same = running
                .get(name)
                .and_then(Option::as_ref)
                .filter(|it| it.config == config);
            let mailbox = match (record.is_active, same) {
                (false, _) => None,
                (true, Some(mailbox)) => Some(Arc::clone(mailbox)),
                (true, None) => Some(Arc::new(Mailbox::build(name, config)?)),
            };
            next.insert(name.clone(), mailbox);
        }
        let live = Arc::clone(&self.live);
        Ok(Switch::new(move || live.store(Arc::new(next))))
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which numbering the numbers are of: UIDVALIDITY of RFC 3501.
    pub validity: u32,
    /// The messages' numbers, in their order.
    pub uids: Vec<u32>,
}

/// Messages of one folder, by their numbers.
#[derive(Debug, Clone)]
pub struct Uids {
    /// The folder.
    pub folder: String,
    /// Which numbering they are of; `None`: whichever is valid.
    pub validity: Option<u32>,
    /// The numbers.
    pub uids: Vec<u32>,
}

/// A mailbox, and the sessions with its server.
pub struct Mailbox {
    name: String,
    config: EmailImap,
    tls: Arc<ClientConfig>,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Idle>>,
}

/// Sessions that nobody uses.
#[derive(Default)]
struct Idle {
    sessions: Vec<(Session, Instant)>,
    is_swept: bool,
}

/// A session in use.
struct Held {
    session: Session,
    _permit: OwnedSemaphorePermit,
}

impl Mailbox {
    /// Connects to nothing yet.
    fn build(name: &str, config: EmailImap) -> Result<Self, Error> {
        let mut tls = ClientConfig::clone(&*client_tls(config.tls_verify, &config.tls_ca_path, None)?);
        tls.alpn_protocols.clear();
        Ok(Self {
            name: name.to_owned(),
            tls: Arc::new(tls),
            permits: Arc::new(Semaphore::new(config.pool_size as usize)),
            idle: Arc::default(),
            config,
        })
    }

    /// The messages of a folder that the configured search finds.
    pub async fn search(&self, folder: &str) -> Result<Found, Error> {
        let mut held = self.take().await?;
        let what = format!("searching folder `{folder}`");
        let found = self.within(&what, async {
            let validity = held.session.select(folder).await?;
            let uids = held.session.search(&self.config.get_criteria).await?;
            Ok(Found { validity, uids })
        });
        let found = found.await?;
        self.put_back(held);
        if self.config.debug_level > 0 {
            let count = found.uids.len();
            tracing::info!(conn.kind = "email.imap", conn.name = %self.name, folder, count, "`{}` found messages", self.name);
        }
        Ok(found)
    }

    /// One message as it went over the wire, without marking it as seen; `None` if it is not there any more. `message` names one.
    pub async fn fetch(&self, message: &Uids) -> Result<Option<Vec<u8>>, Error> {
        let Some(&uid) = message.uids.first() else {
            return Ok(None);
        };
        let mut held = self.open(message).await?;
        let what = format!("reading message {uid} of folder `{}`", message.folder);
        let body = self.within(&what, held.session.fetch(uid)).await?;
        self.put_back(held);
        Ok(body)
    }

    /// Marks messages as seen.
    pub async fn mark_seen(&self, messages: &Uids) -> Result<(), Error> {
        let mut held = self.open(messages).await?;
        let what = format!("marking messages of folder `{}`", messages.folder);
        self.within(&what, held.session.flag(&messages.uids, "\\Seen")).await?;
        self.put_back(held);
        Ok(())
    }

    /// Deletes messages for good.
    pub async fn delete(&self, messages: &Uids) -> Result<(), Error> {
        let mut held = self.open(messages).await?;
        let what = format!("deleting messages of folder `{}`", messages.folder);
        self.within(&what, held.session.delete(&messages.uids)).await?;
        self.put_back(held);
        Ok(())
    }

    /// Moves messages to another folder.
    pub async fn move_to(&self, messages: &Uids, folder: &str) -> Result<(), Error> {
        let mut held = self.open(messages).await?;
        let what = format!("moving messages of folder `{}` to `{folder}`", messages.folder);
        self.within(&what, held.session.move_to(&messages.uids, folder)).await?;
        self.put_back(held);
        Ok(())
    }

    /// Connects, if need be, and asks the server whether it is there.
    pub async fn ping(&self) -> Result<(), Error> {
        let held = self.take().await?;
        self.put_back(held);
        Ok(())
    }

    /// A session in which the folder of `messages` is open, with the numbering that they are of.
    async fn open(&self, messages: &Uids) -> Result<Held, Error> {
        let mut held = self.take().await?;
        let what = format!("opening folder `{}`", messages.folder);
        let validity = self.within(&what, held.session.select(&messages.folder)).await?;
        if messages.validity.is_some_and(|expected| expected != validity) {
            let message = format!(
                "folder `{}` of email.imap `{}` was made anew, its messages have other numbers now",
                messages.folder, self.name
            );
            return Err(Error::new(Kind::Conflict, message).with_hint("call `get` again"));
        }
        Ok(held)
    }

    /// A session that answers: one that nobody uses, or a new one.
    async fn take(&self) -> Result<Held, Error> {
        let permit = tokio::time::timeout(self.limit(), Arc::clone(&self.permits).acquire_owned());
        let permit = match permit.await {
            Ok(permit) => permit.expect("the semaphore is never closed"),
            Err(_) => {
                let size = self.config.pool_size;
                let message = format!("all {size} sessions of email.imap `{}` are in use", self.name);
                return Err(Error::new(Kind::Unavailable, message).with_hint("raise `pool_size`"));
            }
        };
        while let Some(mut session) = self.spare() {
            if self
                .within("asking whether it is there", session.is_alive())
                .await
                .is_ok()
            {
                return Ok(Held {
                    session,
                    _permit: permit,
                });
            }
        }
        let opened = tokio::time::timeout(self.limit(), Session::open(&self.name, &self.config, &self.tls));
        let session = opened.await.map_err(|_| self.too_late("connecting"))??;
        if self.config.debug_level > 0 {
            tracing::info!(conn.kind = "email.imap", conn.name = %self.name, "logged in to `{}`", self.name);
        }
        Ok(Held {
            session,
            _permit: permit,
        })
    }

    fn spare(&self) -> Option<Session> {
        let (session, since) = lock(&self.idle).sessions.pop()?;
        (since.elapsed() < IDLE_TIME).then_some(session)
    }

    /// Keeps a session for others. Only after a command that went well: else it may be in the middle of an answer.
    fn put_back(&self, held: Held) {
        let mut idle = lock(&self.idle);
        idle.sessions.push((held.session, Instant::now()));
        if !idle.is_swept {
            idle.is_swept = true;
            task::spawn(
                "idle sessions of email.imap",
                TaskKind::Once,
                sweep(Arc::downgrade(&self.idle)),
            );
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs_f64(self.config.timeout)
    }

    fn too_late(&self, what: &str) -> Error {
        let message = format!(
            "email.imap `{}` did not answer within {} s while {what}",
            self.name, self.config.timeout
        );
        Error::new(Kind::Timeout, message)
    }

    async fn within<T>(&self, what: &str, work: impl Future<Output = Result<T, ImapError>>) -> Result<T, Error> {
        match tokio::time::timeout(self.limit(), work).await {
            Ok(result) => result.map_err(|error| failed(&self.name, what, error)),
            Err(_) => Err(self.too_late(what)),
        }
    }
}

/// Closes sessions that were not used for long, until there are none.
async fn sweep(idle: Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(IDLE_TIME / 2).await;
        let Some(idle) = idle.upgrade() else {
            return;
        };
        let mut idle = lock(&idle);
        idle.sessions.retain(|(_, since)| since.elapsed() < IDLE_TIME);
        if idle.sessions.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    // every statement leaves it whole
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
