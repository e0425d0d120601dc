//! Requests and answers of services, of which one in so many is kept (management.md 6.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::{Error, Kind};
use serde_json::{Map, Value, json};

use super::service::{change_settings, named, setting};
use super::{Row, object};
use crate::management::answer::Answer;
use crate::management::{Call, Management};

const FREQUENCY: &str = "sample_req_resp_freq";

pub const TABLE: &[Row] = &[
    ("zato.service.get-request-response", |management, call| {
        Box::pin(get(management, call))
    }),
    ("zato.service.configure-request-response", |management, call| {
        Box::pin(configure(management, call))
    }),
];

async fn get(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = named(management, call.text("name").unwrap_or_default())?;
    let snapshot = management.changes().snapshot();
    let numbers = management.numbers(&snapshot).await?;
    let mut answer = object(json!({
        "service_id": numbers.service(&service.name),
        FREQUENCY: setting(management, &service.name, FREQUENCY).unwrap_or_else(|| 0.into()),
    }));
    if let Some(sample) = management.parts().services.sample(&service.name) {
        answer.extend(object(json!({
            "sample_cid": sample.cid,
            "sample_req_ts": busbar_store::at_ms(sample.request_at_ms),
            "sample_resp_ts": busbar_store::at_ms(sample.response_at_ms),
            "sample_req": STANDARD.encode(sample.request),
            "sample_resp": STANDARD.encode(sample.response),
        })));
    }
    Ok(Answer::One(answer))
}

async fn configure(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let service = named(management, call.text("name").unwrap_or_default())?;
    let every = call.input.get(FREQUENCY).cloned().unwrap_or_default();
    if every.as_u64().is_none() {
        let message = format!("field `{FREQUENCY}`: must be 0 for never, or every how many calls one is kept");
        return Err(Error::new(Kind::BadRequest, message));
    }
    let fields: Map<String, Value> = Map::from_iter([(FREQUENCY.to_owned(), every)]);
    change_settings(management, call, &service.name, None, fields).await?;
    Ok(Answer::Done)
}
