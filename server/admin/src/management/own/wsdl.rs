//! WSDL: documents that are kept for services (management.md 6.3), and those that outgoing connections read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::{Error, Kind};
use busbar_runtime::Reply;
use busbar_runtime::inbound::builtin;
use serde_json::{Map, Value, json};

use super::service::{change_settings, named, setting};
use super::{Row, object};
use crate::management::answer::Answer;
use crate::management::change::{Step, change};
use crate::management::{Call, Management};
use crate::objects::ObjectEdit;

/// What a WSDL is to those who fetch it.
const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// How many bits a counter of a connection has: then it begins again.
const REVISIONS: u64 = 1 << 32;

pub const TABLE: &[Row] = &[
    ("zato.service.get-wsdl", |management, call| {
        Box::pin(get(management, call))
    }),
    ("zato.service.set-wsdl", |management, call| {
        Box::pin(set(management, call))
    }),
    ("zato.service.has-wsdl", |management, call| {
        Box::pin(has(management, call))
    }),
    (builtin::WSDL, |management, call| Box::pin(download(management, call))),
    ("zato.http-soap.reload-wsdl", |management, call| {
        Box::pin(reload(management, call))
    }),
];

/// The WSDL that is kept for the service that an element names, and its own name. Empty texts: there is none.
fn kept(management: &Management, call: &Call<'_>, element: &str) -> Result<(String, String), Error> {
    let Some(service) = call.text(element).filter(|name| !name.is_empty()) else {
        return Err(Error::new(Kind::BadRequest, format!("Element missing: {element}")));
    };
    let service = named(management, service)?;
    let text = |field: &str| match setting(management, &service.name, field) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    Ok((text("wsdl"), text("wsdl_name")))
}

async fn get(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let (wsdl, name) = kept(management, call, "service")?;
    Ok(Answer::One(object(json!({
        "content_type": CONTENT_TYPE,
        "wsdl": STANDARD.encode(wsdl),
        "wsdl_name": name,
    }))))
}

async fn set(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = named(management, call.text("name").unwrap_or_default())?;
    let text: String = call.text("wsdl").unwrap_or_default().split_ascii_whitespace().collect();
    let wrong = |what: &str| Error::new(Kind::BadRequest, format!("field `wsdl`: {what}"));
    let wsdl = STANDARD.decode(text).map_err(|_| wrong("must be base64"))?;
    let wsdl = String::from_utf8(wsdl).map_err(|_| wrong("the document must be in UTF-8"))?;
    let fields = object(json!({"wsdl": wsdl, "wsdl_name": call.text("wsdl_name")}));
    change_settings(management, call, &service.name, None, fields).await?;
    Ok(Answer::Done)
}

async fn has(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let (wsdl, _) = kept(management, call, "name")?;
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    Ok(Answer::One(object(json!({
        "service_id": numbers.service(call.text("name").unwrap_or_default()),
        "has_wsdl": !wsdl.is_empty(),
    }))))
}

/// The document itself, as a file.
async fn download(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = call.text("service").unwrap_or_default();
    let (wsdl, name) = kept(management, call, "service")?;
    if wsdl.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("no WSDL is kept for `{service}`")));
    }
    let name = if name.is_empty() {
        format!("{service}.wsdl")
    } else {
        name
    };
    Ok(Answer::Raw(Box::new(Reply {
        status: 200,
        content_type: CONTENT_TYPE.to_owned(),
        headers: vec![(
            "Content-Disposition".to_owned(),
            format!("attachment; filename=\"{name}\""),
        )],
        body: wsdl.into(),
        ..Reply::default()
    })))
}

/// Lets every worker read the WSDL of a SOAP connection again when a service next uses it.
async fn reload(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let id = call.input.get("id").and_then(Value::as_u64).unwrap_or_default();
    let record = numbers.record("outgoing.http", id)?;
    if record.body.get("transport").is_none_or(|it| it != "soap") {
        let message = format!("outgoing.http `{}` is no SOAP connection: it has no WSDL", record.name);
        return Err(Error::new(Kind::BadRequest, message));
    }
    let revision = record
        .body
        .get("wsdl_revision")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let next = (revision + 1) % REVISIONS;
    let edit = ObjectEdit {
        version: Some(record.version),
        fields: Map::from_iter([("wsdl_revision".to_owned(), next.into())]),
        ..ObjectEdit::default()
    };
    change(management, call, Step::Edit(record, edit)).await?;
    Ok(Answer::Done)
}
