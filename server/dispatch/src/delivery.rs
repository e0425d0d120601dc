//! Messages out of the durable queue become calls, like any other request.

use std::sync::Arc;
use std::time::Duration;

use busbar_runtime::call::ChannelFields;
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::inbound::{Dispatch, Inbound};
use busbar_runtime::queue::{Deliver, Delivered, Message};
use busbar_runtime::{Fault, HeadBuilder, Outcome};
use serde_json::Value;

use crate::dispatcher::Dispatcher;
use crate::table::ServiceTable;

/// Statuses below 500 with which a service says that another time may do.
const NOT_NOW: [u16; 3] = [408, 425, 429];

/// Runs messages through the dispatcher.
pub struct Delivery {
    dispatcher: Arc<Dispatcher>,
    table: Arc<ServiceTable>,
    deadline: Duration,
}

impl Delivery {
    /// Messages may take `deadline` unless their service says otherwise.
    pub fn new(dispatcher: Arc<Dispatcher>, table: Arc<ServiceTable>, deadline: Duration) -> Self {
        Self {
            dispatcher,
            table,
            deadline,
        }
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
    use super::*;

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
