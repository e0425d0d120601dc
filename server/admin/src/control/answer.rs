//! Requests to responses.

use std::sync::Arc;
use std::time::Duration;

use busbar_connectors::ping::{Ping, ping};
use busbar_dispatch::deploy::SOURCE_MAX;
use busbar_model::object::{Change, ChangeSet, Object, Record, Snapshot};
use busbar_model::service::{self, SOURCE_FOLDERS, ServiceSettings};
use busbar_model::{Error, Kind};
use busbar_store::Period;
use tracing::error;

use crate::accounts;
use crate::changes::{ChangeError, Changes, ObjectName};
use crate::control::{Failure, Invoke, Parts, Payload, Pinged, Request, Response, SourceFile, Status};
use crate::enmasse;
use crate::objects::Objects;
use crate::statistics::Summary;

/// How long the other side of a connection may take to answer a ping.
const PING_LIMIT: Duration = Duration::from_secs(10);

/// Answers what the command line asks.
#[derive(Clone)]
pub struct Control {
    pub(super) changes: Arc<Changes>,
    objects: Objects,
    pub(super) parts: Parts,
}

impl Control {
    /// Answers out of these.
    pub fn new(changes: Arc<Changes>, parts: Parts) -> Self {
        Self {
            objects: Objects::new(changes.clone()),
            changes,
            parts,
        }
    }

    /// Answers one request. `caller` is who asks, for the history of objects.
    pub async fn answer(&self, request: Request, caller: &str) -> Response {
        self.try_answer(request, caller).await.unwrap_or_else(Response::Failed)
    }

    async fn try_answer(&self, request: Request, caller: &str) -> Result<Response, Failure> {
        match request {
            Request::Status => self.status().await.map(|status| Response::Status(Box::new(status))),
            Request::ServiceList { internal } => {
                let mut services = self.parts.services.list();
                services.retain(|service| internal || !service.is_internal);
                services.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(Response::Services(services))
            }
            Request::ServiceInvoke(invoke) => {
                let caller = caller.to_owned();
                self.invoke(Invoke { caller, ..invoke }).await
            }
            Request::AuditLog { channel } => match self.parts.node.audit_log(&channel) {
                Some(entries) => Ok(Response::AuditLog(entries)),
                None => Err(failed(
                    &Error::new(Kind::NotFound, format!("channel.http `{channel}` keeps no messages")).with_hint(
                        "set `is_audit_log_received_active` and `is_audit_log_sent_active` of the channel with `busbar enmasse`",
                    ),
                )),
            },
            Request::ServiceSlow { name } => {
                Ok(Response::SlowCalls(self.parts.node.slow_calls(name.as_deref())))
            }
            Request::ServiceStats { start, stop, choice } => {
                let period = Period { start, stop };
                let read = Summary::read(&*self.parts.statistics, period, &choice, busbar_store::now_secs()).await;
                read.map(Response::Stats).map_err(|error| failed(&error))
            }
            Request::ServiceSwitch { name, is_active } => self.switch_service(name, is_active, caller).await,
            Request::HotDeploy { file_name, text } => self.deploy(file_name, text, caller).await,
            Request::Deploy { files } => self.deploy_all(files, caller).await,
            Request::ObjectList { kind, query } => {
                let objects = self.objects.list(&kind, &query);
                objects.map(Response::Objects).map_err(|error| failed(&error))
            }
            Request::ObjectGet(object) => {
                let object = self.objects.get(&object);
                object.map(Response::Object).map_err(|error| failed(&error))
            }
            Request::ObjectCreate(object) => {
                let created = self.objects.create(object, caller).await;
                created.map(Response::Object).map_err(refused)
            }
            Request::ObjectEdit { object, edit } => {
                let edited = self.objects.edit(&object, edit, caller).await;
                edited.map(Response::Object).map_err(refused)
            }
            Request::ObjectDelete { object, version } => {
                let deleted = self.objects.delete(&object, version, caller).await;
                deleted.map(Response::ObjectDeleted).map_err(refused)
            }
            Request::ObjectPing(object) => {
                let pinged = self.ping(&object).await;
                pinged.map(Response::Pinged).map_err(|error| failed(&error))
            }
            Request::EnmasseImport { document, options } => enmasse::import(&self.changes, document, options, caller)
                .await
                .map(Response::Imported)
                .map_err(refused),
            Request::EnmassePlan { document, options } => enmasse::plan(&self.changes, &document, &options)
                .await
                .map(Response::Planned)
                .map_err(refused),
            Request::QueueStatus => {
                let status = self.parts.queue.status().await;
                status.map(Response::Queue).map_err(|error| failed(&error))
            }
            Request::QueueDead { limit } => {
                let letters = self.parts.queue.dead(limit).await;
                letters.map(Response::DeadLetters).map_err(|error| failed(&error))
            }
            Request::QueueReplay { ids } => changed(self.parts.queue.replay(ids).await),
            Request::QueueForget { ids } => changed(self.parts.queue.forget(ids).await),
            Request::PasswordSet { name, password } => {
                let make = move |current: &Snapshot| Ok(accounts::set_password(current, &name, &password)?);
                self.changes.transact(caller, make).await.map_err(refused)?;
                Ok(Response::PasswordSet)
            }
            Request::SecretsRotate => {
                let rotated = self.changes.rotate_secrets().await;
                rotated.map(Response::SecretsRotated).map_err(|error| failed(&error))
            }
            Request::History { object, limit } => self.history(&object, limit).await,
            Request::Revisions { before, limit } => self.revisions(before, limit).await,
            Request::ExportAt { at, options } => self.export_at(&at, &options).await,
            Request::RollBack { object, version } => self.roll_back(&object, version, caller).await,
            Request::Restore { at, rehearse: true, .. } => self.restore_plan(&at).await,
            Request::Restore { at, confirm, .. } => self.restore(&at, confirm, caller).await,
            Request::SourceHistory { module } => self.source_history(module).await,
            Request::SourceRollBack { module, generation } => self.roll_back_source(module, generation, caller).await,
            Request::EnmasseExport { options } => {
                let text = enmasse::export(self.changes.registry(), &self.changes.snapshot(), &options);
                text.map(|text| Response::Exported { text }).map_err(refused)
            }
        }
    }

    async fn status(&self) -> Result<Status, Failure> {
        let snapshot = self.changes.snapshot();
        let mut failures = self.parts.deployments.failures();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.generation));
        Ok(Status {
            node: self.parts.node.status().await,
            services: self.parts.services.list().iter().filter(|it| !it.is_internal).count(),
            objects: snapshot.records.len(),
            revision: snapshot.revision,
            failures,
        })
    }

    async fn invoke(&self, invoke: Invoke) -> Result<Response, Failure> {
        self.parts
            .services
            .invoke(invoke)
            .await
            .map(Response::Invoked)
            .map_err(|error| failed(&error))
    }

    async fn switch_service(&self, name: String, is_active: bool, who: &str) -> Result<Response, Failure> {
        let services = self.parts.services.list();
        // one that is switched off and whose file is gone can be switched on again
        let known = services.iter().any(|service| service.name == name)
            || service::inactive(&self.changes.snapshot()).contains(&name);
        if !known {
            let error = Error::new(Kind::NotFound, format!("there is no service `{name}`"))
                .with_hint("see which there are with `busbar service list`");
            return Err(failed(&error));
        }
        let make = move |current: &Snapshot| {
            let inactive = service::inactive(current).contains(&name);
            if inactive != is_active {
                return Ok(ChangeSet::default());
            }
            let set = current.get(ServiceSettings::KIND, &name);
            let body = set.map(|it| it.body.clone()).unwrap_or_default();
            let record = Record {
                kind: ServiceSettings::KIND.to_owned(),
                name,
                is_active,
                body,
                version: 0,
                id: 0,
            };
            Ok(ChangeSet {
                changes: vec![Change::Put(record)],
            })
        };
        let applied = self.changes.transact(who, make).await.map_err(refused)?;
        Ok(Response::Switched {
            changed: !(applied.created.is_empty() && applied.changed.is_empty()),
        })
    }

    async fn ping(&self, object: &ObjectName) -> Result<Pinged, Error> {
        // says so if there is none of that kind and name
        self.objects.get(object)?;
        let snapshot = self.changes.snapshot();
        let record = snapshot.get(&object.kind, &object.name);
        let record = record.ok_or_else(|| Error::new(Kind::NotFound, format!("{object} was deleted just now")))?;
        let Ping { info, elapsed } = ping(record, &snapshot, PING_LIMIT).await?;
        Ok(Pinged {
            info,
            response_ms: elapsed.as_secs_f64() * 1000.0,
        })
    }

    async fn deploy(&self, file_name: String, text: Payload, who: &str) -> Result<Response, Failure> {
        check_file(&file_name, &text)?;
        Ok(Response::Deployed(
            self.parts.deployments.deploy(file_name, text.0, who).await?,
        ))
    }

    async fn deploy_all(&self, files: Vec<SourceFile>, who: &str) -> Result<Response, Failure> {
        for SourceFile { file_name, text } in &files {
            check_file(file_name, text)?;
        }
        Ok(Response::DeployedFiles(
            self.parts.deployments.deploy_all(files, who).await?,
        ))
    }
}

fn check_file(file_name: &str, text: &Payload) -> Result<(), Failure> {
    check_file_name(file_name)?;
    if text.0.len() > SOURCE_MAX {
        let message = format!("cannot deploy `{file_name}`: it is larger than {} MB", SOURCE_MAX >> 20);
        return Err(failed(&Error::new(Kind::TooLarge, message)));
    }
    Ok(())
}

/// A source file's name, which is a module's name and becomes a file in the pickup directory, or in one of its folders that hold sources.
///
/// # Errors
///
/// It is none.
pub fn check_file_name(file_name: &str) -> Result<(), Failure> {
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    let (folders, name) = file_name.rsplit_once('/').unwrap_or(("", file_name));
    let stem = name.strip_suffix(".py").or_else(|| name.strip_suffix(".pyw"));
    let is_folder = folders.split('/').all(is_plain) && folders.split('/').any(|it| SOURCE_FOLDERS.contains(&it));
    if stem.is_some_and(is_plain) && (folders.is_empty() && !file_name.contains('/') || is_folder) {
        return Ok(());
    }
    let error = Error::new(
        Kind::BadRequest,
        format!("cannot deploy `{file_name}`: it is not the name of a Python file"),
    )
    .with_hint("name a file that ends in .py");
    Err(failed(&error))
}

pub(super) fn refused(error: ChangeError) -> Failure {
    match error {
        ChangeError::Refused(problems) => Failure {
            problems: problems.0.clone(),
            ..Failure::from(&Error::from(&problems))
        },
        ChangeError::Failed(error) => failed(&error),
    }
}

fn changed(result: Result<usize, Error>) -> Result<Response, Failure> {
    let count = result.map_err(|error| failed(&error))?;
    Ok(Response::QueueChanged { count })
}

pub(super) fn failed(error: &Error) -> Failure {
    if error.kind() == Kind::Internal {
        error!(error = %error.chain(), "a command failed");
    }
    Failure::from(error)
}
