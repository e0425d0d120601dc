//! Messages out of the durable queue become calls, like any other request.

use std::sync::Arc;
use std::time::Duration;

use busbar_model::{ChannelType, Cid, Error};
use busbar_runtime::call::ChannelFields;
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::inbound::{Dispatch, Inbound};
use busbar_runtime::native::NativeCall;
use busbar_runtime::queue::{Deliver, Delivered, Envelope, Message, Queue};
use busbar_runtime::{Fault, Head, HeadBuilder, Outcome};
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::dispatcher::Dispatcher;
use crate::table::ServiceTable;

/// Statuses below 500 with which a service says that another time may do.
const NOT_NOW: [u16; 3] = [408, 425, 429];

/// Runs messages through the dispatcher.
pub struct Delivery {
    dispatcher: Arc<Dispatcher>,
    table: Arc<ServiceTable>,
    queue: Arc<dyn Queue>,
    deadline: Duration,
}

impl Delivery {
    /// Messages may take `deadline` unless their service says otherwise. Those for the services that the hub's own call back go to `queue`.
    pub fn new(
        dispatcher: Arc<Dispatcher>,
        table: Arc<ServiceTable>,
        queue: Arc<dyn Queue>,
        deadline: Duration,
    ) -> Self {
        Self {
            dispatcher,
            table,
            queue,
            deadline,
        }
    }

    /// Whether whoever had a service of the management called in the background may have it called now. The head says if they had limits
    /// then: these do not go with the roles.
    fn is_allowed(&self, head: &Head<'_>, service: &str) -> bool {
        let definitions = self.dispatcher.definitions();
        head.channel_type != Some(ChannelType::Named)
            || !self.dispatcher.has_native(service)
            || !definitions.is_limited(head)
            || definitions.may_have_called(head.security_name, service, true)
    }

    /// Runs a service of the hub's own for the one that left the message, then leaves messages for those that wait for its answer.
    fn run_native(&self, cid: Cid, service: &str, body: &[u8]) -> BoxFuture<'static, Delivered> {
        let never =
            |why: String| -> BoxFuture<'static, Delivered> { Box::pin(std::future::ready(Delivered::Never(why))) };
        let read = serde_json::from_slice::<Envelope>(body)
            .and_then(|envelope| Ok((serde_json::from_str::<String>(envelope.payload.get())?, envelope)));
        let (request, envelope) = match read {
            Ok(read) => read,
            Err(error) => return never(format!("the message cannot be read: {error}")),
        };
        let Some(natives) = self.dispatcher.natives() else {
            return never(format!("this server has no service `{service}`"));
        };
        let caller = envelope.caller.as_deref().unwrap_or_default();
        let shown = envelope.cid.clone().unwrap_or_else(|| cid.to_string());
        let outcome = natives.call(NativeCall::of_service(
            shown.parse().unwrap_or(cid),
            service,
            caller,
            request.into(),
        ));
        let (queue, table, natives) = (Arc::clone(&self.queue), Arc::clone(&self.table), Arc::clone(natives));
        let service = service.to_owned();
        Box::pin(async move {
            let answer = match outcome.await {
                Outcome::Reply(reply) => reply.body,
                Outcome::Fault(fault) => return judge(&fault),
            };
            if envelope.callback.is_empty() {
                return Delivered::Done;
            }
            let answer = without_element(&answer);
            for name in envelope.callback {
                // one of the hub's own takes a text
                let is_own = natives.has(&name) && table.get(&name).is_none();
                let payload = if is_own {
                    to_raw_value(&answer.to_string())
                } else {
                    to_raw_value(&answer)
                };
                let envelope = Envelope {
                    payload: payload.expect("a JSON value is JSON"),
                    caller: is_own.then(|| service.clone()),
                    channel: Some(Envelope::CALLBACK_CHANNEL.to_owned()),
                    cid: None,
                    in_reply_to: Some(shown.clone()),
                    environ: envelope.environ.clone(),
                    callback: Vec::new(),
                };
                let body = serde_json::to_vec(&envelope).expect("JSON and texts are JSON");
                let message = Message::of_service(Cid::new(), name, body.into(), None);
                if let Err(error) = queue.put(message).await {
                    return Delivered::Again(not_called_back(&error));
                }
            }
            Delivered::Done
        })
    }
}

fn not_called_back(error: &Error) -> String {
    format!("what waits for the answer cannot be called: {}", error.chain())
}

/// What is in the response element of an answer, if that is all there is.
fn without_element(answer: &[u8]) -> Value {
    match serde_json::from_slice(answer) {
        Ok(Value::Object(mut object)) if object.len() == 1 && object.keys().all(|key| key.starts_with("zato")) => {
            object.values_mut().next().map(Value::take).unwrap_or_default()
        }
        Ok(answer) => answer,
        Err(_) => String::from_utf8_lossy(answer).into(),
    }
}

impl Deliver for Delivery {
    fn deliver(&self, message: Message) -> BoxFuture<'static, Delivered> {
        let Message {
            cid,
            service,
            head,
            body,
            ..
        } = message;
        if self.table.get(&service).is_none() && !self.dispatcher.has_native(&service) {
            // it may be on its way: its file was being replaced, or this server is starting
            let reason = format!("there is no service `{service}`");
            return Box::pin(std::future::ready(Delivered::Again(reason)));
        }
        let Some(unpacked) = Head::unpack(&head) else {
            let reason = "the head of the message cannot be unpacked".to_owned();
            return Box::pin(std::future::ready(Delivered::Never(reason)));
        };
        if !self.is_allowed(&unpacked, &service) {
            let reason = format!("status 403: whoever sent the message may not call the service `{service}`");
            return Box::pin(std::future::ready(Delivered::Never(reason)));
        }
        if unpacked.channel_type == Some(ChannelType::InvokeAsync) && self.table.get(&service).is_none() {
            return self.run_native(cid, &service, &body);
        }
        let outcome = self.dispatcher.dispatch(Inbound {
            cid,
            service: service.into(),
            channel: HeadBuilder::channel(&ChannelFields::default()),
            head,
            body,
            timeout: Some(self.deadline),
        });
        Box::pin(async move {
            match outcome.await {
                Outcome::Reply(_) => Delivered::Done,
                Outcome::Fault(fault) => judge(&fault),
            }
        })
    }
}

fn judge(fault: &Fault) -> Delivered {
    let details = match &fault.details {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let reason = format!("status {}: {details}", fault.status);
    if fault.status < 500 && !NOT_NOW.contains(&fault.status) {
        Delivered::Never(reason)
    } else {
        Delivered::Again(reason)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_of_the_hub_are_unwrapped_for_callbacks() {
        for (answer, expected) in [
            (r#"{"zato_ping_response":{"pong":"zato"}}"#, json!({"pong": "zato"})),
            (
                r#"{"zato_x_response":[1],"_meta":{}}"#,
                json!({"zato_x_response": [1], "_meta": {}}),
            ),
            ("{}", json!({})),
            (r#"{"name":"a"}"#, json!({"name": "a"})),
            ("text", json!("text")),
        ] {
            assert_eq!(without_element(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn only_what_may_work_is_tried_again() {
        for (status, is_final) in [
            (400, true),
            (404, true),
            (429, false),
            (500, false),
            (502, false),
            (504, false),
        ] {
            let verdict = judge(&Fault::new(status, "why"));
            assert_eq!(matches!(verdict, Delivered::Never(_)), is_final, "{status}");
        }
    }
}
