//! From a request that a channel has read to the call of a service.

use std::future::ready;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use busbar_model::service::ServiceInfo;
use busbar_model::sio::Declaration;
use busbar_model::{Cid, DataFormat};
use busbar_runtime::call::asking_hash;
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::inbound::{Dispatch, Inbound, builtin};
use busbar_runtime::native::{Door, NativeCall, Natives};
use busbar_runtime::{Call, Fault, Handler, Head, Outcome, Reply};
use busbar_sio::{SioError, check_names, check_no_rows, form, is_blank, multipart};

use crate::calls::{Calls, Waiting};
use crate::openapi::OpenApi;
use crate::query;
use crate::sample::Sampling;
use crate::security::{Definitions, Permission, forbidden, remote_ip};
use crate::table::{Entry, ServiceTable};
use crate::{invoker, metrics, ping};

/// Runs requests: finds the service, refuses what it could not use, calls it, keeps the deadline.
pub struct Dispatcher {
    table: Arc<ServiceTable>,
    definitions: Definitions,
    handler: Arc<dyn Handler>,
    calls: Arc<Calls>,
    openapi: Arc<OpenApi>,
    natives: OnceLock<Arc<dyn Natives>>,
    deadline: Duration,
}

/// A request that was taken on.
enum Started {
    /// A worker runs the service.
    Call(Waiting),
    /// The hub does.
    Native(BoxFuture<'static, Outcome>),
}

impl Dispatcher {
    /// A dispatcher of the services in `table`, which `handler` runs, as often as `definitions` allows. Calls may take `deadline` unless
    /// their service or channel says otherwise. Needs a tokio runtime around it.
    pub fn new(
        table: Arc<ServiceTable>,
        definitions: Definitions,
        handler: Arc<dyn Handler>,
        deadline: Duration,
    ) -> Arc<Self> {
        let calls = Calls::spawn(Arc::clone(&handler));
        Arc::new(Self {
            openapi: Arc::new(OpenApi::new(Arc::clone(&table))),
            table,
            definitions,
            handler,
            calls,
            natives: OnceLock::new(),
            deadline,
        })
    }

    /// Runs these in the hub from now on, where no deployed service has their name. Those of the first call stay.
    pub fn serve_natives(&self, natives: Arc<dyn Natives>) {
        self.natives.get_or_init(|| natives);
    }

    /// Who may do what.
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// What it answers to those who ask what can be called.
    pub fn openapi(&self) -> &Arc<OpenApi> {
        &self.openapi
    }

    /// Everything that needs no waiting.
    fn start(&self, request: Inbound) -> Result<Started, Outcome> {
        let Some(head) = Head::unpack(&request.head) else {
            // a defect of the channel that packed it
            tracing::error!(cid = %request.cid, "a request's head cannot be unpacked");
            return Err(Outcome::Fault(Fault::new(500, "Internal server error")));
        };
        match &*request.service {
            builtin::PING | builtin::PING_BASIC | builtin::PING_SOAP_BASIC | builtin::PING_SOAP_WSS => {
                Err(ping::answer(request.cid, head.soap.map(|_| &request.body[..])))
            }
            builtin::OPENAPI => Err(self.openapi.answer()),
            builtin::OPENAPI_PAGE => Err(OpenApi::page()),
            builtin::METRICS => Err(metrics::answer(&self.table.load())),
            builtin::LOG_IN => Err(self.definitions.log_in(&head, &request.body, request.cid)),
            builtin::LOG_OUT => Err(self.definitions.log_out(&head)),
            builtin::MANAGE => {
                let service = invoker::named(&head).map_err(Outcome::Fault)?;
                self.manage(service, &head)?;
                self.native(service, Door::Channel, &request)
                    .ok_or_else(|| Outcome::Fault(Fault::new(404, "Service not found")))
            }
            builtin::MANAGE_SOAP => {
                let service = invoker::soap_action(&head).map_err(Outcome::Fault)?;
                self.manage(service, &head)?;
                self.native(service, Door::Channel, &request)
                    .ok_or_else(|| unknown_action(request.cid, head.path, service))
            }
            builtin::WSDL => {
                let asked = Value::Object(query::to_object(head.query));
                let request = Inbound {
                    body: asked.to_string().into(),
                    ..request
                };
                self.native(builtin::WSDL, Door::Channel, &request)
                    .ok_or_else(|| Outcome::Fault(Fault::new(404, "Service not found")))
            }
            builtin::INVOKER | builtin::MANAGE_INVOKER => {
                let is_management = &*request.service == builtin::MANAGE_INVOKER;
                if is_management {
                    let service = invoker::named(&head).map_err(Outcome::Fault)?;
                    if self.has_native(service) {
                        self.manage(service, &head)?;
                    }
                    if let Some(started) = self.native(service, Door::Api, &request) {
                        return Ok(started);
                    }
                }
                let target = invoker::target(&head, &request.body).map_err(Outcome::Fault)?;
                if is_management
                    && !self
                        .definitions
                        .may_invoke(head.security_name, target.name, head.method)
                {
                    return Err(Outcome::Fault(forbidden()));
                }
                if target.name == builtin::PING {
                    return Err(ping::answer(request.cid, None));
                }
                let Some(entry) = self.table.get(target.name) else {
                    return Err(Outcome::Fault(Fault::new(
                        400,
                        format!("No such service `{}`", target.name),
                    )));
                };
                self.refuse_inactive(target.name)?;
                self.limit(target.name, &head)?;
                let head = Head::unpack(&target.head).expect("a head that was packed just now");
                check(&entry.info, &head, &target.body)?;
                let (head, body) = (target.head.clone(), target.body);
                Ok(Started::Call(self.call(
                    &entry,
                    request.cid,
                    request.timeout,
                    head,
                    body,
                )))
            }
            name => {
                let Some(entry) = self.table.get(name) else {
                    return self
                        .native(name, Door::Channel, &request)
                        .ok_or_else(|| Outcome::Fault(Fault::new(404, "Service not found")));
                };
                self.refuse_inactive(name)?;
                self.limit(name, &head)?;
                check(&entry.info, &head, &request.body)?;
                let (cid, timeout) = (request.cid, request.timeout);
                Ok(Started::Call(self.call(
                    &entry,
                    cid,
                    timeout,
                    request.head,
                    request.body,
                )))
            }
        }
    }

    /// Refuses whoever came in through a door of the management API and may not call this service.
    fn manage(&self, service: &str, head: &Head<'_>) -> Result<(), Outcome> {
        let permission = Permission::of_service(service);
        if self.definitions.may_manage(head.security_name, service, permission) {
            Ok(())
        } else {
            Err(Outcome::Fault(forbidden()))
        }
    }

    /// Whether it runs this service itself.
    pub(crate) fn has_native(&self, service: &str) -> bool {
        self.natives.get().is_some_and(|natives| natives.has(service))
    }

    /// The services that it runs itself.
    pub(crate) fn natives(&self) -> Option<&Arc<dyn Natives>> {
        self.natives.get()
    }

    /// Begins to run a service that is the hub's own, if there is one of this name.
    fn native(&self, service: &str, door: Door, request: &Inbound) -> Option<Started> {
        let natives = self.natives.get().filter(|natives| natives.has(service))?;
        Some(Started::Native(natives.call(NativeCall {
            door,
            cid: request.cid,
            service: service.into(),
            head: request.head.clone(),
            body: request.body.clone(),
        })))
    }

    /// Refuses what comes more often than the service may be called.
    fn limit(&self, service: &str, head: &Head<'_>) -> Result<(), Outcome> {
        self.definitions
            .limit_service(service, || remote_ip(head.remote))
            .map_err(Outcome::Fault)
    }

    fn refuse_inactive(&self, name: &str) -> Result<(), Outcome> {
        if self.table.is_active(name) {
            Ok(())
        } else {
            Err(Outcome::Fault(Fault::new(404, "Service inactive")))
        }
    }

    /// Calls the service, which counts.
    fn call(&self, entry: &Entry, cid: Cid, timeout: Option<Duration>, head: Bytes, body: Bytes) -> Waiting {
        let start = Instant::now();
        let every = self.table.sample_frequency(&entry.info.name);
        let sampling = every.map(|every| Box::new(Sampling::new(every, cid, &head, &body)));
        let waiting = self.submit(entry, cid, timeout, head, body);
        waiting.counted(&entry.statistics, start, sampling)
    }

    fn submit(&self, entry: &Entry, cid: Cid, timeout: Option<Duration>, head: Bytes, body: Bytes) -> Waiting {
        let own = entry.info.deadline_secs.map(|secs| Duration::from_secs(secs.into()));
        let limit = match (own, timeout) {
            (Some(own), Some(timeout)) => own.min(timeout),
            (own, timeout) => own.or(timeout).unwrap_or(self.deadline),
        };
        let deadline = Instant::now() + limit;
        let (reply, waiting) = self.calls.wait(cid, deadline);
        self.handler.submit(
            Call {
                cid,
                service: entry.handle,
                deadline,
                head,
                body,
            },
            reply,
        );
        waiting
    }
}

impl Dispatch for Dispatcher {
    fn dispatch(&self, request: Inbound) -> BoxFuture<'static, Outcome> {
        match self.start(request) {
            Ok(Started::Call(waiting)) => Box::pin(waiting),
            Ok(Started::Native(answer)) => answer,
            Err(outcome) => Box::pin(ready(outcome)),
        }
    }

    fn request_hash(&self, request: &Inbound) -> Option<BoxFuture<'static, Result<Option<Bytes>, Fault>>> {
        let entry = self
            .table
            .get(&request.service)
            .filter(|entry| entry.info.has_request_hash)?;
        // what is refused is refused by the call itself
        if !self.table.is_active(&request.service) {
            return None;
        }
        let (head, body) = (asking_hash(&request.head), request.body.clone());
        let waiting = self.submit(&entry, request.cid, request.timeout, head, body);
        Some(Box::pin(async move {
            match waiting.await {
                Outcome::Reply(reply) => Ok((reply.status == 200).then_some(reply.body)),
                Outcome::Fault(fault) => Err(fault),
            }
        }))
    }

    fn check(&self, request: &Inbound) -> Result<(), Fault> {
        let Some(head) = Head::unpack(&request.head) else {
            return Err(Fault::new(500, "Internal server error"));
        };
        let Some(entry) = self.table.get(&request.service) else {
            return Err(Fault::new(404, "Service not found"));
        };
        let checked = self
            .refuse_inactive(&request.service)
            .and_then(|()| check(&entry.info, &head, &request.body));
        match checked {
            Err(Outcome::Fault(fault)) => Err(fault),
            // the one reply that is none of a service's: a verb that it does not take
            Err(Outcome::Reply(reply)) => Err(Fault {
                status: reply.status,
                details: None,
                headers: reply.headers,
            }),
            Ok(()) => Ok(()),
        }
    }
}

/// The answer to a SOAP action that no service has: text, not an envelope (management.md 3.3).
fn unknown_action(cid: Cid, path: &str, action: &str) -> Outcome {
    Outcome::Reply(Reply {
        status: 404,
        content_type: "text/plain; charset=utf-8".to_owned(),
        body: format!("CID:`{cid}` Unknown URL:`{path}` or SOAP action:`{action}`").into(),
        ..Reply::default()
    })
}

/// Refuses what the service could not use, so that it never reaches an interpreter.
fn check(info: &ServiceInfo, head: &Head<'_>, body: &Bytes) -> Result<(), Outcome> {
    let methods = &info.http_methods;
    if !methods.is_empty() && !head.method.is_empty() && !methods.iter().any(|method| method == head.method) {
        return Err(Outcome::Reply(Reply {
            status: 405,
            headers: vec![("Allow".to_owned(), methods.join(", "))],
            ..Reply::default()
        }));
    }
    let has_param = |name: &str| {
        head.merge_params && (head.params().any(|(param, _)| param == name) || query::has_name(head.query, name))
    };
    let checked = match head.data_format {
        // the channel has checked the envelope
        _ if head.soap.is_some() => busbar_sio::soap::check_input(info.sio.as_ref(), body, &has_param),
        // service-api.md 5: a service that declares nothing may make something of what is no JSON
        DataFormat::Json if info.sio.is_none() => Ok(()),
        DataFormat::Json => busbar_sio::check_json(info.sio.as_ref(), body, &has_param),
        DataFormat::Xml => busbar_sio::check_xml(info.sio.as_ref(), body, &has_param),
        DataFormat::Form | DataFormat::Post => check_form(info.sio.as_ref(), head, body, &has_param),
        DataFormat::Csv if is_blank(body) => check_no_rows(info.sio.as_ref()),
        DataFormat::Csv | DataFormat::None | DataFormat::Dict => Ok(()),
    };
    checked.map_err(|error| Outcome::Fault(Fault::new(400, error.message)))
}

/// Whether the required input is among the names of a form.
fn check_form(
    declaration: Option<&Declaration>,
    head: &Head<'_>,
    body: &Bytes,
    has_param: &dyn Fn(&str) -> bool,
) -> Result<(), SioError> {
    if let Some(multipart) = content_type(head).filter(|_| form::is_multipart(content_type(head))) {
        let parts = multipart::parse(multipart, body)?;
        return check_names(declaration, parts.iter().map(|part| &*part.name), has_param);
    }
    let is_encoded = head.data_format == DataFormat::Post && !form::is_multipart(content_type(head))
        || form::is_url_encoded(content_type(head));
    match std::str::from_utf8(body) {
        Ok(text) if is_encoded => check_names(declaration, query::pairs(text).map(|(name, _)| name), has_param),
        _ => Ok(()),
    }
}

fn content_type<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    head.headers()
        .find(|(name, _)| *name == "content-type")
        .map(|(_, value)| value)
}
