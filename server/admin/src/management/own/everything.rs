//! What is about the objects of all types: their history, the way back, files of them, the backup. The command line asks a running server
//! for the same, and [`Control`](crate::control::Control) answers both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::{Error, Kind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::deploy::failed;
use super::{Row, check_administrator, object, wrong};
use crate::changes::{Moment, ObjectName};
use crate::control::{Request, Response};
use crate::enmasse::{Document, ExportOptions, Format, ImportOptions, Only, Prune, ReadOptions};
use crate::management::answer::Answer;
use crate::management::{Call, Management};

/// How many entries of a history there are at most unless the request says otherwise, as on the command line.
const LIMIT: u32 = 20;

/// What a text of objects is called in messages.
const INPUT: &str = "input";

pub const TABLE: &[Row] = &[
    ("busbar.history.get-list", |management, call| {
        Box::pin(revisions(management, call))
    }),
    ("busbar.history.get-version-list", |management, call| {
        Box::pin(versions(management, call))
    }),
    ("busbar.history.get-source-list", |management, call| {
        Box::pin(sources(management, call))
    }),
    ("busbar.rollback.object", |management, call| {
        Box::pin(roll_back(management, call))
    }),
    ("busbar.rollback.module", |management, call| {
        Box::pin(roll_back_module(management, call))
    }),
    ("busbar.rollback.plan", |management, call| {
        Box::pin(restore(management, call, true))
    }),
    ("busbar.rollback.everything", |management, call| {
        Box::pin(restore(management, call, false))
    }),
    ("busbar.enmasse.plan", |management, call| {
        Box::pin(plan(management, call))
    }),
    ("busbar.enmasse.import", |management, call| {
        Box::pin(import(management, call))
    }),
    ("busbar.enmasse.export", |management, call| {
        Box::pin(export(management, call))
    }),
    ("busbar.backup.create", |management, call| {
        Box::pin(backup(management, call))
    }),
];

/// What the command line would be answered.
async fn ask(management: &Management, call: &Call<'_>, request: Request) -> Result<Response, Error> {
    check_administrator(call)?;
    match management.control().answer(request, &call.caller).await {
        Response::Failed(failure) => Err(failed(&failure)),
        response => Ok(response),
    }
}

/// An answer to another request than the one that was made.
fn unexpected() -> Error {
    Error::new(
        Kind::Internal,
        "a request of a management service got another one's answer",
    )
}

/// Data as the elements of an answer.
fn elements(data: &impl Serialize) -> Map<String, Value> {
    object(json!(data))
}

fn one(data: &impl Serialize) -> Answer {
    Answer::One(elements(data))
}

fn many<T: Serialize>(items: &[T]) -> Answer {
    Answer::Many(items.iter().map(elements).collect(), None)
}

/// A count that a request may hold.
fn count(call: &Call<'_>, element: &str) -> Result<Option<u64>, Error> {
    let value = call.input.get(element);
    value
        .map(|value| value.as_u64().ok_or_else(|| wrong(element, "must be a number from 0")))
        .transpose()
}

fn limit(call: &Call<'_>) -> Result<u32, Error> {
    let limit = count(call, "limit")?;
    Ok(limit.map_or(LIMIT, |limit| u32::try_from(limit).unwrap_or(u32::MAX)))
}

fn is_set(call: &Call<'_>, element: &str) -> bool {
    call.input.get(element).is_some_and(|value| *value == true)
}

/// A text that says something.
fn text(call: &Call<'_>, element: &str) -> Option<String> {
    call.text(element).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(call: &Call<'_>, element: &str) -> Vec<String> {
    let list = call.input.get(element).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The object that a request is about.
fn object_name(management: &Management, call: &Call<'_>) -> Result<ObjectName, Error> {
    let registry = management.changes().registry();
    let object_type = call.text("object_type").unwrap_or_default();
    let of_key = || match registry.of_key(object_type)[..] {
        [only] => Some(only),
        _ => None,
    };
    let found = registry.get(object_type).or_else(of_key);
    let kind = found.map(|it| it.kind.to_owned()).ok_or_else(|| {
        let known: Vec<_> = registry.iter().map(|it| it.kind).collect();
        let message = format!("there is no one type `{object_type}`; there are {}", known.join(", "));
        wrong("object_type", &message)
    })?;
    let name = call.text("name").unwrap_or_default().to_owned();
    Ok(ObjectName { kind, name })
}

/// The moment that a request names.
fn moment(call: &Call<'_>) -> Result<Option<Moment>, Error> {
    match (count(call, "revision")?, text(call, "time")) {
        (Some(_), Some(_)) => Err(wrong("time", "give `revision` or `time`, not both")),
        (Some(revision), None) => Ok(Some(Moment::Revision(revision))),
        (None, time) => Ok(time.map(Moment::Time)),
    }
}

fn only(call: &Call<'_>) -> Only {
    Only {
        keys: texts(call, "include_type"),
        names: texts(call, "include_name"),
    }
}

async fn revisions(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let (before, limit) = (count(call, "before")?, limit(call)?);
    match ask(management, call, Request::Revisions { before, limit }).await? {
        Response::Revisions(revisions) => Ok(many(&revisions)),
        _ => Err(unexpected()),
    }
}

async fn versions(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let (object, limit) = (object_name(management, call)?, limit(call)?);
    match ask(management, call, Request::History { object, limit }).await? {
        Response::History(versions) => Ok(many(&versions)),
        _ => Err(unexpected()),
    }
}

async fn sources(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let limit = usize::try_from(limit(call)?).unwrap_or(usize::MAX);
    let module = call.text("module").unwrap_or_default().to_owned();
    match ask(management, call, Request::SourceHistory { module }).await? {
        Response::Sources(sources) => Ok(many(&sources[..sources.len().min(limit)])),
        _ => Err(unexpected()),
    }
}

async fn roll_back(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let object = object_name(management, call)?;
    let version = count(call, "version")?.unwrap_or_default();
    match ask(management, call, Request::RollBack { object, version }).await? {
        Response::Restored(applied) => Ok(one(&applied)),
        _ => Err(unexpected()),
    }
}

async fn roll_back_module(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let generation = count(call, "generation")?;
    let module = call.text("module").unwrap_or_default().to_owned();
    match ask(management, call, Request::SourceRollBack { module, generation }).await? {
        Response::Deployed(deployed) => Ok(one(&deployed)),
        _ => Err(unexpected()),
    }
}

async fn restore(management: &Management, call: &Call<'_>, rehearse: bool) -> Result<Answer, Error> {
    let at = moment(call)?.ok_or_else(|| wrong("revision", "give `revision` or `time`"))?;
    let confirm = text(call, "confirm");
    let request = Request::Restore { at, confirm, rehearse };
    match ask(management, call, request).await? {
        Response::RestorePlanned(plan) => Ok(one(&plan)),
        Response::Restored(applied) => Ok(one(&applied)),
        _ => Err(unexpected()),
    }
}

/// The objects of a request: the text of a file, YAML or JSON, or what such a text says. Environment variables of the server are not the
/// caller's to read.
async fn document(call: &Call<'_>) -> Result<Document, Error> {
    // nobody else's text is worth the work
    check_administrator(call)?;
    let text = match call.input.get(INPUT) {
        Some(Value::String(text)) => text.clone(),
        Some(tree @ Value::Object(_)) => tree.to_string(),
        _ => return Err(wrong(INPUT, "must be the text of a file of objects, or an object")),
    };
    let parse = move || Document::parse(INPUT, text.as_bytes(), &ReadOptions::default());
    let parsed = tokio::task::spawn_blocking(parse).await;
    let parsed = parsed.map_err(|error| Error::new(Kind::Internal, "reading broke off").with_source(error))?;
    parsed.map_err(|problems| Error::from(&problems))
}

fn import_options(call: &Call<'_>) -> ImportOptions {
    ImportOptions {
        replace: is_set(call, "replace"),
        prune: match (is_set(call, "prune"), is_set(call, "prune_all")) {
            (_, true) => Prune::All,
            (true, false) => Prune::Mentioned,
            (false, false) => Prune::No,
        },
        confirm: text(call, "confirm"),
        ignore_missing_defs: is_set(call, "ignore_missing_defs"),
        only: only(call),
    }
}

async fn plan(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let document = document(call).await?;
    let options = import_options(call);
    match ask(management, call, Request::EnmassePlan { document, options }).await? {
        Response::Planned(plan) => Ok(one(&plan)),
        _ => Err(unexpected()),
    }
}

async fn import(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let document = document(call).await?;
    let options = import_options(call);
    match ask(management, call, Request::EnmasseImport { document, options }).await? {
        Response::Imported(applied) => Ok(one(&applied)),
        _ => Err(unexpected()),
    }
}

async fn export(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let options = ExportOptions {
        format: match call.text("format").unwrap_or_default() {
            "" | "yaml" => Format::Yaml,
            "json" => Format::Json,
            _ => return Err(wrong("format", "must be `yaml` or `json`")),
        },
        only: only(call),
        with_secrets: is_set(call, "with_secrets"),
        ..ExportOptions::default()
    };
    let request = match moment(call)? {
        Some(at) => Request::ExportAt { at, options },
        None => Request::EnmasseExport { options },
    };
    match ask(management, call, request).await? {
        Response::Exported { text } => Ok(Answer::One(object(json!({"text": text})))),
        _ => Err(unexpected()),
    }
}

/// What `busbar backup` writes, as base64. What it restores into is a server that is stopped, so there is no service for that.
async fn backup(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    check_administrator(call)?;
    let passphrase = text(call, "passphrase").ok_or_else(|| wrong("passphrase", "must not be empty"))?;
    let backup = management.changes().backup().await?;
    let seal = move || backup.seal(&passphrase).map(|sealed| (backup, sealed));
    let sealed = tokio::task::spawn_blocking(seal).await;
    let sealed = sealed.map_err(|error| Error::new(Kind::Internal, "encrypting broke off").with_source(error))?;
    let (backup, sealed) = sealed?;
    Ok(Answer::One(object(json!({
        "backup": STANDARD.encode(sealed),
        "objects": backup.records.len(),
        "modules": backup.modules(),
        "revision": backup.revision,
    }))))
}
