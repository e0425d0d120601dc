//! Mailboxes of servers that speak IMAP, and the sessions with them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_imap::error::Error as ImapError;
use busbar_model::{Error, Kind};
use busbar_runtime::task::{self, TaskKind};
use rustls::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::outgoing::{Trust, client_tls};
use crate::imap::config::EmailImap;
use crate::imap::error::failed;
use crate::imap::mailbox::{Found, Uids};
use crate::imap::session::Session;

/// How long a session stays open that nobody uses.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// A mailbox, and the sessions with its server.
pub(super) struct Sessions {
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

impl Sessions {
    /// Connects to nothing yet.
    pub(super) fn build(name: &str, config: EmailImap) -> Result<Self, Error> {
        let mut tls = ClientConfig::clone(&*client_tls(Trust::new(config.tls_verify, &config.tls_ca_path), None)?);
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
    pub(super) async fn search(&self, folder: &str) -> Result<Found, Error> {
        let mut held = self.take().await?;
        let what = format!("searching folder `{folder}`");
        let found = self.within(&what, async {
            let validity = held.session.select(folder).await?;
            let uids = held.session.search(&self.config.get_criteria).await?;
            Ok(Found {
                validity: Some(validity),
                uids: uids.iter().map(u32::to_string).collect(),
            })
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
    pub(super) async fn fetch(&self, message: &Uids) -> Result<Option<Vec<u8>>, Error> {
        let Some(&uid) = self.numbers(message)?.first() else {
            return Ok(None);
        };
        let mut held = self.open(message).await?;
        let what = format!("reading message {uid} of folder `{}`", message.folder);
        let body = self.within(&what, held.session.fetch(uid)).await?;
        self.put_back(held);
        Ok(body)
    }

    /// Marks messages as seen.
    pub(super) async fn mark_seen(&self, messages: &Uids) -> Result<(), Error> {
        let numbers = self.numbers(messages)?;
        let mut held = self.open(messages).await?;
        let what = format!("marking messages of folder `{}`", messages.folder);
        self.within(&what, held.session.flag(&numbers, "\\Seen")).await?;
        self.put_back(held);
        Ok(())
    }

    /// Deletes messages for good.
    pub(super) async fn delete(&self, messages: &Uids) -> Result<(), Error> {
        let numbers = self.numbers(messages)?;
        let mut held = self.open(messages).await?;
        let what = format!("deleting messages of folder `{}`", messages.folder);
        self.within(&what, held.session.delete(&numbers)).await?;
        self.put_back(held);
        Ok(())
    }

    /// Moves messages to another folder.
    pub(super) async fn move_to(&self, messages: &Uids, folder: &str) -> Result<(), Error> {
        let numbers = self.numbers(messages)?;
        let mut held = self.open(messages).await?;
        let what = format!("moving messages of folder `{}` to `{folder}`", messages.folder);
        self.within(&what, held.session.move_to(&numbers, folder)).await?;
        self.put_back(held);
        Ok(())
    }

    /// Connects, if need be, and asks the server whether it is there.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        let held = self.take().await?;
        self.put_back(held);
        Ok(())
    }

    /// Logs in over a new session and asks the server whether it is there. The session is not kept.
    pub(super) async fn try_out(&self) -> Result<(), Error> {
        let mut session = self.log_in().await?;
        self.within("asking whether it is there", session.is_alive()).await
    }

    /// Messages as IMAP names them.
    fn numbers(&self, messages: &Uids) -> Result<Vec<u32>, Error> {
        let number = |uid: &String| {
            uid.parse().map_err(|_| {
                let message = format!("`{uid}` is no number of a message of email.imap `{}`", self.name);
                Error::new(Kind::BadRequest, message)
            })
        };
        messages.uids.iter().map(number).collect()
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
        Ok(Held {
            session: self.log_in().await?,
            _permit: permit,
        })
    }

    async fn log_in(&self) -> Result<Session, Error> {
        let opened = tokio::time::timeout(self.limit(), Session::open(&self.name, &self.config, &self.tls));
        let session = opened.await.map_err(|_| self.too_late("connecting"))??;
        if self.config.debug_level > 0 {
            tracing::info!(conn.kind = "email.imap", conn.name = %self.name, "logged in to `{}`", self.name);
        }
        Ok(session)
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
