//! Services that manage the server, in the hub: `zato.*` as web-admin, the command line and the Python client of Zato know them
//! (management.md).
//!
//! * [`catalogue`] - the services that there are, what they take and give
//! * `element` - the notation of the catalogue, and values made to fit
//! * `body` - requests of all formats
//! * `answer` - answers in the shape of each door
//! * `change` - changes of one object, as far as the caller may make them
//! * `crud` - what is done with objects, for all types alike
//! * `wire` - elements and fields
//! * [`openapi`] - the same for programs that read OpenAPI
//! * `own` - services that do something else

pub mod answer;
mod body;
pub mod catalogue;
mod change;
mod crud;
pub mod element;
pub mod openapi;
mod own;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use busbar_dispatch::Definitions;
use busbar_model::object::Snapshot;
use busbar_model::{Cid, Error, Kind};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::native::{Door, NativeCall, Natives};
use busbar_runtime::{Fault, Head, Outcome};
use bytes::Bytes;
use serde_json::{Map, Value};
use tracing::error;

use crate::changes::Changes;
use crate::control::{Control, Parts};
use crate::management::answer::{Answer, fit, write};
use crate::management::body::Format;
use crate::management::catalogue::{CATALOGUE, Declared};
use crate::management::element::read_input;
use crate::management::own::Own;
use crate::management::wire::Numbers;
use crate::objects::Objects;

/// Beginnings of the names of services that are deployed, in Python.
const DEPLOYED: &[&str] = &[
    "zato.cache.builtin.get",
    "zato.cache.builtin.clear",
    "zato.cache.builtin.entry.",
    "zato.crypto.",
    "zato.helpers.echo",
    "zato.helpers.input-logger",
    "zato.helpers.json-raw-request-logger",
    "zato.helpers.sio-input-logger",
    "zato.helpers.tls-logger",
    "zato.kvdb.",
    "pub.helpers.",
    "helpers.",
];

/// Every service of the catalogue that a server has, by name.
pub fn served() -> Vec<&'static Declared> {
    let is_served = |service: &&'static Declared| {
        crud::operation(service).is_some() || own::find(&service.name).is_some() || is_deployed(&service.name)
    };
    let mut served: Vec<_> = CATALOGUE.values().filter(is_served).collect();
    served.sort_by(|a, b| a.name.cmp(&b.name));
    served
}

fn is_deployed(name: &str) -> bool {
    DEPLOYED.iter().any(|beginning| name.starts_with(beginning))
}

/// The management services of a server.
#[derive(Clone)]
pub struct Management(Arc<Inner>);

struct Inner {
    changes: Arc<Changes>,
    objects: Objects,
    parts: Parts,
    control: Control,
    definitions: Definitions,
}

/// A call of one of them.
pub struct Call<'a> {
    /// Which.
    pub service: &'static Declared,
    /// How it was reached.
    pub door: Door,
    /// Correlation id.
    pub cid: Cid,
    /// What the channel knows about the request.
    pub head: &'a Head<'a>,
    /// The body as it was received.
    pub body: &'a Bytes,
    /// The values of the request, made to fit.
    pub input: Map<String, Value>,
    /// Who calls, for the history of objects.
    pub caller: String,
    /// Whether they may do what their roles allow and nothing else. It stays so to the end of the call, whatever becomes of the roles.
    pub is_limited: bool,
}

impl Call<'_> {
    /// A value that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.input.get(name).and_then(Value::as_str)
    }

    /// Whether whoever calls may have another service called for them; `is_management`: it is one of these.
    fn may_have_called(&self, management: &Management, service: &str, is_management: bool) -> bool {
        let definition = self.head.security_name;
        !self.is_limited
            || management
                .definitions()
                .may_have_called(definition, service, is_management)
    }
}

/// What runs a service.
#[derive(Clone, Copy)]
enum Run {
    /// What is done with the objects of its type.
    Objects(catalogue::Operation),
    /// Something of its own.
    Own(Own),
    /// A worker: it is deployed, as a part of busbar.
    Deployed,
}

impl Management {
    /// Services that change objects through `changes` and ask `parts` about the rest. `definitions` tell what those who manage a part may
    /// have called for them.
    pub fn new(changes: Arc<Changes>, parts: Parts, definitions: Definitions) -> Self {
        Self(Arc::new(Inner {
            objects: Objects::new(changes.clone()),
            control: Control::new(changes.clone(), parts.clone()),
            changes,
            parts,
            definitions,
        }))
    }

    fn changes(&self) -> &Arc<Changes> {
        &self.0.changes
    }

    fn objects(&self) -> &Objects {
        &self.0.objects
    }

    fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// What answers the command line.
    fn control(&self) -> &Control {
        &self.0.control
    }

    fn definitions(&self) -> &Definitions {
        &self.0.definitions
    }

    fn find(&self, name: &str) -> Option<(&'static Declared, Run)> {
        let service = CATALOGUE.get(name)?;
        let is_there = |kind: &String| self.changes().registry().get(kind).is_some();
        let run = match crud::operation(service) {
            Some(operation) => Run::Objects(operation),
            None => match own::find(name) {
                Some(own) => Run::Own(own),
                None => self.is_builtin(name).then_some(Run::Deployed)?,
            },
        };
        (service.kinds.is_empty() || service.kinds.iter().any(is_there)).then_some((service, run))
    }

    fn is_builtin(&self, name: &str) -> bool {
        if !is_deployed(name) {
            return false;
        }
        let services = self.parts().services.list();
        services
            .iter()
            .any(|service| service.is_internal && service.name == name)
    }

    /// Numbers of objects and services, as they are now.
    async fn numbers<'a>(&self, snapshot: &'a Snapshot) -> Result<Numbers<'a>, Error> {
        let names: Vec<String> = self.parts().services.list().into_iter().map(|it| it.name).collect();
        let ids = self.changes().service_ids(&names).await?;
        let services: HashMap<String, u64> = names.into_iter().zip(ids).collect();
        Ok(Numbers::new(snapshot, services))
    }

    async fn run(&self, call: NativeCall) -> Outcome {
        let Some(head) = Head::unpack(&call.head) else {
            error!(cid = %call.cid, "the head of a call cannot be unpacked");
            return Outcome::Fault(Fault::new(500, "Internal server error"));
        };
        let Some((service, run)) = self.find(&call.service) else {
            return Outcome::Fault(Fault::new(404, "Service not found"));
        };
        match self.try_run(service, run, &call, &head).await {
            Ok(answer) => Outcome::Reply(write(
                answer,
                service,
                call.door,
                Format::of(&head),
                call.cid,
                &call.body,
            )),
            Err(error) => {
                if error.kind() == Kind::Internal {
                    error!(cid = %call.cid, error = %error.chain(), "the service `{}` failed", call.service);
                }
                Outcome::Fault(Fault::from(&error))
            }
        }
    }

    async fn try_run(
        &self,
        service: &'static Declared,
        run: Run,
        call: &NativeCall,
        head: &Head<'_>,
    ) -> Result<Answer, Error> {
        let input = input(service, Format::of(head), &call.body)?;
        let caller = match (head.username, head.security_name) {
            ("", "") => call.service.to_string(),
            ("", name) | (name, _) => name.to_owned(),
        };
        let call = Call {
            service,
            door: call.door,
            cid: call.cid,
            head,
            body: &call.body,
            input,
            caller,
            is_limited: self.definitions().is_limited(head),
        };
        self.finish(run, &call).await
    }

    /// Runs a call whose input has been read.
    async fn finish(&self, run: Run, call: &Call<'_>) -> Result<Answer, Error> {
        let answer = match run {
            Run::Objects(operation) => crud::run(self, operation, call).await?,
            Run::Own(own) => own(self, call).await?,
            Run::Deployed => own::deployed(self, call).await?,
        };
        let declared = &call.service.output;
        Ok(match answer {
            Answer::One(values) => Answer::One(fit(declared, values)),
            Answer::Many(items, page) => {
                Answer::Many(items.into_iter().map(|item| fit(declared, item)).collect(), page)
            }
            answer => answer,
        })
    }
}

/// The values of a request for a service, made to fit.
fn input(service: &Declared, format: Format, body: &[u8]) -> Result<Map<String, Value>, Error> {
    let values = if own::is_raw(&service.name) {
        Map::new()
    } else {
        body::read(format, body)?
    };
    read_input(&service.input, values).map_err(|problem| Error::new(problem.code.kind(), problem.said_to_clients()))
}

impl Natives for Management {
    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn call(&self, call: NativeCall) -> BoxFuture<'static, Outcome> {
        let this = self.clone();
        // a change that was begun is carried through, also when the caller leaves: see `Changes::transact`
        Box::pin(async move { this.run(call).await })
    }
}
