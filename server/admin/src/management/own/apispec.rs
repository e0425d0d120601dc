//! `zato.apispec.get-api-spec`: the management services as an OpenAPI document. What users deploy is described where they call it, by
//! `/openapi.json`.

use busbar_runtime::Reply;

use super::{Row, is_raw};
use crate::management::answer::Answer;
use crate::management::catalogue::CATALOGUE;
use crate::management::{Call, Management, openapi};

pub const TABLE: &[Row] = &[("zato.apispec.get-api-spec", |management, call| {
    Box::pin(async move { Ok(describe(management, call)) })
})];

/// The services whose names have all words of `query` in them.
fn describe(management: &Management, call: &Call<'_>) -> Answer {
    let query = call.text("query").unwrap_or_default().to_lowercase();
    let services = CATALOGUE.values().filter(|service| {
        !is_raw(&service.name)
            && management.find(&service.name).is_some()
            && query.split_whitespace().all(|word| service.name.contains(word))
    });
    Answer::Raw(Box::new(Reply {
        status: 200,
        content_type: "application/json".to_owned(),
        body: openapi::document(services).to_string().into(),
        ..Reply::default()
    }))
}
