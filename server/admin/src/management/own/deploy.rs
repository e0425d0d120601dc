//! Deployment over HTTP (management.md 7): the same road as a file that is copied into the pickup directory, but the answer says what
//! came of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::{Error, Kind};
use busbar_runtime::Reply;
use busbar_runtime::inbound::builtin;
use busbar_runtime::native::Door;
use serde_json::{Value, json};

use super::{Row, object};
use crate::control::{Deployed, Failure, check_file_name};
use crate::management::answer::{Answer, environment};
use crate::management::body::Format;
use crate::management::{Call, Management};

pub const TABLE: &[Row] = &[
    (builtin::DEPLOY, |management, call| Box::pin(put(management, call))),
    ("zato.service.upload-package", |management, call| {
        Box::pin(upload(management, call))
    }),
    ("zato.ide-deploy.create", |management, call| {
        Box::pin(from_editor(management, call))
    }),
];

async fn deploy(management: &Management, call: &Call<'_>, file_name: &str, text: Vec<u8>) -> Result<Deployed, Failure> {
    check_file_name(file_name)?;
    let deployments = &management.parts().deployments;
    deployments.deploy(file_name.to_owned(), text, &call.caller).await
}

/// The file that a request holds as base64.
fn file(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let text: String = call
        .text("payload")
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    STANDARD
        .decode(text)
        .map_err(|_| Error::new(Kind::BadRequest, "field `payload`: must be base64"))
}

/// `PUT /zato/deploy/{file_name}`: the body is the file.
async fn put(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let mut params = call.head.params();
    let file_name = params
        .find(|(name, _)| *name == builtin::DEPLOY_PARAM)
        .map(|(_, value)| value);
    let file_name = file_name.ok_or_else(|| Error::new(Kind::BadRequest, "the path must name a file"))?;
    let (status, mut answer) = match deploy(management, call, file_name, call.body.to_vec()).await {
        Ok(deployed) => (200, told(&deployed)),
        Err(failure) => {
            let answer = json!({
                "result": "Error",
                "details": failure.message,
                "hint": failure.hint,
                "traceback": failure.traceback,
            });
            (
                if failure.kind == Kind::Service {
                    400
                } else {
                    failure.kind.status()
                },
                answer,
            )
        }
    };
    answer["cid"] = call.cid.to_string().into();
    Ok(Answer::Raw(Box::new(Reply {
        status,
        content_type: "application/json".to_owned(),
        body: format!("{answer}\n").into(),
        ..Reply::default()
    })))
}

fn told(deployed: &Deployed) -> Value {
    json!({"result": "OK", "generation": deployed.generation, "services": deployed.services})
}

/// A failure with its traceback, for clients that show texts.
pub(super) fn failed(failure: &Failure) -> Error {
    let kind = if failure.kind == Kind::Service {
        Kind::BadRequest
    } else {
        failure.kind
    };
    let text = match failure.traceback.trim_end() {
        "" => failure.message.clone(),
        traceback => format!("{}\n{traceback}", failure.message),
    };
    Error::new(kind, text)
}

async fn upload(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let file_name = call.text("payload_name").unwrap_or_default();
    let deployed = deploy(management, call, file_name, file(call)?)
        .await
        .map_err(|failure| failed(&failure))?;
    Ok(Answer::One(object(told(&deployed))))
}

/// What editors call: their answer says in words how it went, also when it went wrong.
async fn from_editor(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let file_name = call.text("payload_name").unwrap_or_default();
    let answer = match deploy(management, call, file_name, file(call)?).await {
        Ok(deployed) => json!({
            "success": true,
            "msg": format!("deployed {} (generation {})", deployed.services.join(", "), deployed.generation),
        }),
        Err(failure) => json!({"success": false, "msg": failed(&failure).message()}),
    };
    if call.door == Door::Internal || Format::of(call.head) != Format::Json {
        return Ok(Answer::One(object(answer)));
    }
    let mut answer = object(answer);
    answer.insert("zato_env".to_owned(), environment(call.cid));
    Ok(Answer::Raw(Box::new(Reply {
        status: 200,
        content_type: "application/json".to_owned(),
        body: Value::Object(answer).to_string().into(),
        ..Reply::default()
    })))
}
