//! `zato.service.invoke`: any service, named in the request (management.md 3.4).

use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::{ChannelType, Cid, DataFormat, Error, Kind, SoapVersion};
use busbar_runtime::call::{ChannelFields, RequestFields, with_transport};
use busbar_runtime::inbound::builtin;
use busbar_runtime::native::Door;
use busbar_runtime::queue::Message;
use busbar_runtime::{HeadBuilder, Reply};
use serde_json::{Map, Value};

use super::{Row, object};
use crate::control::{Channel, Invoke, Payload};
use crate::management::answer::{Answer, environment};
use crate::management::body::Format;
use crate::management::catalogue::Declared;
use crate::management::crud::page_of;
use crate::management::{Call, Management, Run, answer, input};
use crate::problem::{Code, Problem};

pub const TABLE: &[Row] = &[(builtin::INVOKE, |management, call| Box::pin(invoke(management, call)))];

/// What services see as their channel unless the request says otherwise.
const CHANNEL: &str = "invoke";

/// Seconds that a message may wait unless the request says otherwise.
const EXPIRATION: u64 = 15;

async fn invoke(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let started = Instant::now();
    let name = target(management, call).await?;
    let is_management = management.find(&name).is_some();
    if !call.may_have_called(management, &name, is_management) {
        return Err(Error::new(
            Kind::Forbidden,
            format!("You are not allowed to call the service `{name}`"),
        ));
    }
    let is_set = |element: &str| call.input.get(element).is_some_and(|value| *value == true);
    // 2.x clients always say `async`, those of 3.x `is_async`
    let is_3 = call.input.contains_key("is_async");
    let payload = unwrapped(payload(call)?);
    let response = if is_set("async") || is_set("is_async") {
        enqueue(management, call, &name, payload).await?
    } else {
        run(management, call, &name, payload, is_3 || is_set("skip_response_elem")).await?
    };
    let mut reply = Map::from_iter([("response".to_owned(), Value::from(STANDARD.encode(response)))]);
    if call.door == Door::Internal || Format::of(call.head) != Format::Json {
        return Ok(Answer::One(reply));
    }
    if !is_3 {
        reply = Map::from_iter([(call.service.response_element.clone(), Value::Object(reply))]);
    }
    reply.insert("zato_env".to_owned(), environment(call.cid));
    let mut headers = Vec::new();
    if is_set("needs_response_time") {
        let taken = started.elapsed();
        headers.push(("X-Zato-Response-Time".to_owned(), format!("{:.6}", taken.as_secs_f64())));
        headers.push(("X-Zato-Response-Time-Human".to_owned(), format!("{taken:.1?}")));
    }
    Ok(Answer::Raw(Box::new(Reply {
        status: 200,
        content_type: "application/json".to_owned(),
        headers,
        body: Value::Object(reply).to_string().into(),
        ..Reply::default()
    })))
}

/// The service that is asked for.
async fn target(management: &Management, call: &Call<'_>) -> Result<String, Error> {
    let name = call.text("name").filter(|name| !name.is_empty());
    let id = call.input.get("id").and_then(Value::as_u64);
    match (name, id) {
        (Some(_), Some(_)) => Err(wrong("id", "give `name` or `id`, not both")),
        (Some(name), None) => Ok(name.to_owned()),
        (None, Some(id)) => {
            let snapshot = management.changes().snapshot();
            let numbers = management.numbers(&snapshot).await?;
            let name = numbers.service_name(id).map(str::to_owned);
            name.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no service with the id {id}")))
        }
        (None, None) => Err(wrong("name", "Element missing: name")),
    }
}

fn wrong(field: &str, message: &str) -> Error {
    let problem = Problem::new(Code::E22, message).with_field(field);
    Error::new(Kind::BadRequest, problem.said_to_clients())
}

/// The request's body: base64, in which 2.x clients put line ends.
fn payload(call: &Call<'_>) -> Result<Vec<u8>, Error> {
    let text: String = call
        .text("payload")
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    STANDARD.decode(text).map_err(|_| wrong("payload", "must be base64"))
}

/// Lines of `name=value` are an object, and an embedded object is what is in it, as in 3.2.
fn unwrapped(payload: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&payload) else {
        return payload;
    };
    let text = text.trim();
    if text.starts_with('{') && text.contains("zato_embedded") {
        if let Ok(Value::Object(mut embedded)) = serde_json::from_str(text)
            && embedded.contains_key("zato_embedded")
            && let Some(data) = embedded.remove("data")
        {
            return data
                .as_str()
                .map_or_else(|| data.to_string(), str::to_owned)
                .into_bytes();
        }
        return payload;
    }
    let is_pairs = !text.is_empty()
        && !text.contains(['{', '[', '<', '"'])
        && text.lines().filter(|line| !line.trim().is_empty()).all(|line| {
            line.split_once('=')
                .is_some_and(|(name, _)| !name.trim().is_empty() && !name.trim().contains(char::is_whitespace))
        });
    if !is_pairs {
        return payload;
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs: Map<String, Value> = pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().into()))
        .collect();
    Value::Object(pairs).to_string().into_bytes()
}

fn data_format(call: &Call<'_>) -> Result<DataFormat, Error> {
    match call.text("data_format") {
        None => Ok(DataFormat::None),
        Some(text) => serde_json::from_value(text.into()).map_err(|_| {
            wrong(
                "data_format",
                "must be `json`, `xml`, `csv`, `form`, `post`, `dict` or empty",
            )
        }),
    }
}

/// Runs the service and gives what it answered.
async fn run(
    management: &Management,
    call: &Call<'_>,
    name: &str,
    payload: Vec<u8>,
    skips_element: bool,
) -> Result<Vec<u8>, Error> {
    if let Some(inner) = management_service(management, call, name, &payload, skips_element).await {
        return inner;
    }
    let timeout = call.input.get("timeout").and_then(Value::as_u64).filter(|it| *it > 0);
    let invoke = Invoke {
        timeout_secs: timeout.map(|it| u32::try_from(it).unwrap_or(u32::MAX)),
        ..described(call, name, payload)?
    };
    answered(management, invoke).await
}

/// The call that a request asks for.
fn described(call: &Call<'_>, name: &str, payload: Vec<u8>) -> Result<Invoke, Error> {
    Ok(Invoke {
        name: name.to_owned(),
        payload: Payload(payload),
        data_format: data_format(call)?,
        channel: Some(channel(call)?),
        ..Invoke::default()
    })
}

/// The channel that the service is to see.
fn channel(call: &Call<'_>) -> Result<Channel, Error> {
    let name = call.text("channel").filter(|name| !name.is_empty()).unwrap_or(CHANNEL);
    let transport = call.text("transport").unwrap_or_default();
    if !matches!(transport, "" | "plain_http" | "soap") {
        return Err(wrong("transport", "must be `plain_http`, `soap` or empty"));
    }
    Ok(Channel {
        name: name.to_owned(),
        transport: transport.to_owned(),
    })
}

/// How a management service is to read its payload.
fn format(call: &Call<'_>) -> Result<Format, Error> {
    Ok(match data_format(call)? {
        DataFormat::Xml if channel(call)?.transport == "soap" => Format::Soap,
        DataFormat::Xml => Format::Xml,
        _ => Format::Json,
    })
}

/// What a service answers that a worker runs.
async fn answered(management: &Management, invoke: Invoke) -> Result<Vec<u8>, Error> {
    let name = invoke.name.clone();
    let invoked = management.parts().services.invoke(invoke).await?;
    if invoked.status < 400 {
        return Ok(invoked.body.0);
    }
    let kind = Kind::of_status(invoked.status);
    let details = serde_json::from_slice::<Value>(&invoked.body.0).ok();
    let details = details
        .as_ref()
        .map(|body| &body["details"])
        .filter(|details| !details.is_null());
    let message = match details {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::from_utf8_lossy(&invoked.body.0).into_owned(),
    };
    Err(Error::new(
        kind,
        format!("service `{name}` failed (cid {}): {message}", invoked.cid),
    ))
}

/// Runs a management service that is deployed: its answer is a JSON object, or a list of them.
///
/// # Errors
///
/// What the service says went wrong.
pub async fn deployed(management: &Management, call: &Call<'_>) -> Result<Answer, Error> {
    let body = answered(
        management,
        Invoke {
            name: call.service.name.clone(),
            payload: Payload(Value::Object(call.input.clone()).to_string().into_bytes()),
            data_format: DataFormat::Json,
            ..Invoke::default()
        },
    )
    .await?;
    if body.is_empty() {
        return Ok(Answer::Done);
    }
    match serde_json::from_slice(&body) {
        Ok(Value::Object(values)) => Ok(Answer::One(values)),
        Ok(Value::Array(items)) => page_of(&items, call, |item| object(item.clone())),
        _ => Ok(Answer::Raw(Box::new(Reply {
            status: 200,
            body: body.into(),
            ..Reply::default()
        }))),
    }
}

/// What a management service answers: in its response element for 2.x clients, bare for those of 3.x. `None`: it is no such service.
async fn management_service(
    management: &Management,
    call: &Call<'_>,
    name: &str,
    payload: &[u8],
    skips_element: bool,
) -> Option<Result<Vec<u8>, Error>> {
    let (service, run) = management.find(name)?;
    if name == builtin::INVOKE {
        return Some(Err(wrong("name", "a service cannot invoke itself")));
    }
    let input = match format(call).and_then(|format| input(service, format, payload)) {
        Ok(input) => input,
        Err(error) => return Some(Err(error)),
    };
    let inner = Call {
        service,
        door: Door::Internal,
        cid: call.cid,
        head: call.head,
        body: call.body,
        input,
        caller: call.caller.clone(),
        is_limited: call.is_limited,
    };
    let answered = management.finish(run, &inner).await;
    Some(answered.map(|answered| {
        let object = match answered {
            Answer::Raw(reply) => return reply.body.to_vec(),
            answered => answer::object(service, answered, Door::Internal, call.cid),
        };
        let document = match object.values().next() {
            // a page of a list keeps it, for what else there is beside the list
            Some(only) if skips_element && object.len() == 1 => only.to_string(),
            _ => Value::Object(object).to_string(),
        };
        document.into_bytes()
    }))
}

/// Puts the call into the queue and gives its cid. What the service could not use is refused now, as it is for callers that wait.
async fn enqueue(management: &Management, call: &Call<'_>, name: &str, payload: Vec<u8>) -> Result<Vec<u8>, Error> {
    if name == builtin::INVOKE {
        return Err(wrong("name", "a service cannot invoke itself"));
    }
    let expires = expires(call)?;
    let message = match management.find(name) {
        Some((service, run)) => management_message(call, service, run, payload)?,
        None => management.parts().services.message(described(call, name, payload)?)?,
    };
    let cid = message.cid;
    management.parts().queue.put(Message { expires, ..message }).await?;
    Ok(cid.to_string().into_bytes())
}

/// When a message becomes useless.
fn expires(call: &Call<'_>) -> Result<Option<SystemTime>, Error> {
    let seconds = match call.input.get("expiration").filter(|given| !given.is_null()) {
        None => EXPIRATION,
        Some(given) => given
            .as_u64()
            .filter(|seconds| *seconds > 0)
            .ok_or_else(|| wrong("expiration", "must be a number of seconds, from 1 up"))?,
    };
    Ok(SystemTime::now().checked_add(Duration::from_secs(seconds)))
}

/// The call of a management service as a message. It says who calls, and whether they have limits: what they may not do when it is run is
/// not done for them either.
fn management_message(call: &Call<'_>, service: &Declared, run: Run, payload: Vec<u8>) -> Result<Message, Error> {
    let format = format(call)?;
    let input = input(service, format, &payload)?;
    let (format, body) = match run {
        // what is deployed takes JSON only
        Run::Deployed => (Format::Json, Value::Object(input).to_string().into_bytes()),
        Run::Objects(_) | Run::Own(_) => (format, payload),
    };
    let shown = channel(call)?;
    let channel = HeadBuilder::channel(&ChannelFields {
        channel_type: Some(ChannelType::Named),
        data_format: if format == Format::Json {
            DataFormat::Json
        } else {
            DataFormat::Xml
        },
        soap: (format == Format::Soap).then_some(SoapVersion::V11),
        is_held_to_roles: call.is_limited,
        channel: &shown.name,
        security_name: call.head.security_name,
        security_type: call.head.security_type,
        username: call.head.username,
        ..ChannelFields::default()
    });
    let head = HeadBuilder::request(&channel, RequestFields::default()).finish([].into_iter(), [].into_iter());
    Ok(Message {
        cid: Cid::new(),
        service: service.name.clone(),
        head: with_transport(&head, &shown.transport),
        body: body.into(),
        expires: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_pairs_and_embedded_objects_are_objects() {
        for (payload, expected) in [
            ("a=1\nb = x=y\n", r#"{"a":"1","b":"x=y"}"#),
            (r#"{"zato_embedded": true, "data": {"a": 1}}"#, r#"{"a":1}"#),
            (r#"{"zato_embedded": true, "data": "a"}"#, "a"),
            // nothing of the kind
            (r#"{"a": "zato_embedded"}"#, r#"{"a": "zato_embedded"}"#),
            ("<a b='c=d'/>", "<a b='c=d'/>"),
            ("\"\"", "\"\""),
            ("", ""),
            ("plain text", "plain text"),
            ("two words=1", "two words=1"),
        ] {
            assert_eq!(unwrapped(payload.as_bytes().to_vec()), expected.as_bytes(), "{payload}");
        }
    }
}
