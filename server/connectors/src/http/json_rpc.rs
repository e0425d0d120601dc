//! JSON-RPC channels (http.md 13): one URL, many services, named in the body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use busbar_model::Cid;
use busbar_runtime::call::ChannelHead;
use busbar_runtime::inbound::{Dispatch, Inbound};
use busbar_runtime::{Fault, Outcome, Reply};

/// More calls than one request may hold.
const MAX_CALLS: usize = 1000;

const PARSE: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const UNKNOWN_METHOD: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL: i32 = -32603;
const SERVICE: i32 = -32000;
const FORBIDDEN: i32 = -32403;
const TOO_MANY: i32 = -32429;

/// A request for such a channel.
pub(crate) struct RpcRequest<'r> {
    pub(crate) dispatch: &'r dyn Dispatch,
    /// The services that may be called.
    pub(crate) whitelist: &'r [String],
    pub(crate) cid: Cid,
    pub(crate) channel: &'r ChannelHead,
    pub(crate) head: Bytes,
    pub(crate) body: &'r [u8],
    pub(crate) timeout: Option<Duration>,
}

/// Fields of an object, with their values as they were written.
type Fields<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// Why a call was not answered with a result.
struct RpcError {
    code: i32,
    message: String,
}

impl RpcError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl RpcRequest<'_> {
    /// Runs the calls, one after the other, and answers those that ask for it.
    pub(crate) async fn answer(self) -> Response<Bytes> {
        let body = busbar_sio::without_bom(self.body);
        let text = match std::str::from_utf8(body) {
            Ok(text) => text.trim_ascii(),
            Err(_) => return written(Some(self.error("null", &RpcError::new(PARSE, "Parse error")))),
        };
        let is_batch = text.starts_with('[');
        let calls: Vec<&RawValue> = if is_batch {
            match serde_json::from_str(text) {
                Ok(calls) => calls,
                Err(_) => return written(Some(self.error("null", &RpcError::new(PARSE, "Parse error")))),
            }
        } else {
            match serde_json::from_str(text) {
                Ok(call) => vec![call],
                Err(_) => return written(Some(self.error("null", &RpcError::new(PARSE, "Parse error")))),
            }
        };
        if calls.is_empty() || calls.len() > MAX_CALLS {
            let message = format!("Invalid request: 1 to {MAX_CALLS} calls are expected");
            return written(Some(self.error("null", &RpcError::new(INVALID_REQUEST, message))));
        }
        let mut answers = Vec::new();
        for call in calls {
            answers.extend(self.run(call.get()).await);
        }
        if is_batch {
            written((!answers.is_empty()).then(|| format!("[{}]", answers.join(","))))
        } else {
            written(answers.pop())
        }
    }

    /// Runs one call. `None`: it is a notification, whose caller wants no answer.
    async fn run(&self, call: &str) -> Option<String> {
        let invalid = |what: &str| RpcError::new(INVALID_REQUEST, format!("Invalid request: {what}"));
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(call) else {
            return Some(self.error("null", &invalid("an object is expected")));
        };
        let id = fields.get("id").map(|id| id.get());
        if id.is_some_and(|id| id.starts_with(['{', '[', 't', 'f'])) {
            return Some(self.error("null", &invalid("`id` must be a text or a number")));
        }
        let shown = id.unwrap_or("null");
        let text = |name: &str| {
            let value = fields.get(name)?;
            serde_json::from_str::<String>(value.get()).ok()
        };
        if text("jsonrpc").as_deref() != Some("2.0") {
            return Some(self.error(shown, &invalid("`jsonrpc` must be \"2.0\"")));
        }
        let Some(method) = text("method") else {
            return Some(self.error(shown, &invalid("`method` must be a text")));
        };
        let params = fields.get("params").map(|params| params.get()).unwrap_or_default();
        if !params.is_empty() && !params.starts_with(['{', '[']) && params != "null" {
            return Some(self.error(shown, &invalid("`params` must be an object or a list")));
        }
        let params = if params == "null" { "" } else { params };
        let result = self.call(&method, params).await;
        id?;
        Some(match result {
            Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{shown},"result":{result}}}"#),
            Err(error) => self.error(shown, &error),
        })
    }

    async fn call(&self, method: &str, params: &str) -> Result<String, RpcError> {
        let unknown = || RpcError::new(UNKNOWN_METHOD, format!("No such method `{method}`"));
        // what exists and may not be called is not told from what does not exist
        if !self.whitelist.iter().any(|allowed| allowed == method) {
            return Err(unknown());
        }
        let request = Inbound {
            cid: self.cid,
            service: Arc::from(method),
            channel: self.channel.clone(),
            head: self.head.clone(),
            body: Bytes::copy_from_slice(params.as_bytes()),
            timeout: self.timeout,
        };
        match self.dispatch.dispatch(request).await {
            Outcome::Reply(reply) if reply.stream.is_some() => Err(RpcError::new(
                INTERNAL,
                "Internal error: the service answers piece by piece",
            )),
            Outcome::Reply(reply) if reply.status < 400 => Ok(result(&reply)),
            Outcome::Reply(_) => Err(RpcError::new(SERVICE, "Message could not be handled")),
            Outcome::Fault(fault) => Err(match fault.status {
                400 => RpcError::new(INVALID_PARAMS, details(&fault)),
                403 => RpcError::new(FORBIDDEN, "Forbidden"),
                404 if fault.details.as_ref().and_then(Value::as_str) == Some("Service not found") => unknown(),
                429 => RpcError::new(TOO_MANY, "Too many requests"),
                502..=504 => RpcError::new(INTERNAL, "Internal error"),
                _ => RpcError::new(SERVICE, "Message could not be handled"),
            }),
        }
    }

    fn error(&self, id: &str, error: &RpcError) -> String {
        let RpcError { code, message } = error;
        let error = json!({"code": code, "message": message, "data": {"ctx": {"cid": self.cid.as_str()}}});
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
    }
}

fn details(fault: &Fault) -> String {
    match &fault.details {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "Invalid params".to_owned(),
    }
}

/// What a service answered, as JSON: without the element around declared output, text as text.
fn result(reply: &Reply) -> String {
    let Ok(text) = std::str::from_utf8(&reply.body) else {
        return Value::from(String::from_utf8_lossy(&reply.body)).to_string();
    };
    if text.trim_ascii().is_empty() {
        return "null".to_owned();
    }
    if let Ok(fields) = serde_json::from_str::<Fields<'_>>(text)
        && fields.len() == 1
        && let Some((name, value)) = fields.iter().next()
        && (name == "response" || name.starts_with("zato"))
    {
        return value.get().to_owned();
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) => value.get().to_owned(),
        Err(_) => Value::from(text).to_string(),
    }
}

fn written(answer: Option<String>) -> Response<Bytes> {
    let Some(answer) = answer else {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    };
    let mut response = Response::new(Bytes::from(answer));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_unwrapped() {
        for (body, expected) in [
            ("", "null"),
            (" \n", "null"),
            ("{\"response\": {\"a\": 1}}", "{\"a\": 1}"),
            ("{\"zato_x_response\":[1]}", "[1]"),
            ("{\"response\":1,\"b\":2}", "{\"response\":1,\"b\":2}"),
            ("{\"a\":12345678901234567890123}", "{\"a\":12345678901234567890123}"),
            ("[1]", "[1]"),
            ("plain", "\"plain\""),
        ] {
            let reply = Reply {
                body: Bytes::from_static(body.as_bytes()),
                ..Reply::default()
            };
            assert_eq!(result(&reply), expected, "{body}");
        }
    }
}
