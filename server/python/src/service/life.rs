//! The life of one invocation: hooks, `handle()`, and what follows (service-api.md 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDictMethods, PyString};

use busbar_model::slow::SlowCall;
use busbar_runtime::task::{self, TaskKind};
use busbar_runtime::{Call, Fault, HubRequest, Outcome, Reply};

use crate::environment::Environment;
use crate::errors;
use crate::faces::ReadableWait;
use crate::service::class::ServiceClass;
use crate::service::instance::{self, Service};
use crate::service::invocation::{Invocation, Source};
use crate::service::response::Answer;
use crate::service::{invoke, queued, stream, write};

/// How many reports of slow calls may be on their way to the hub. Calls beyond are only in the log: a threshold that every call exceeds must
/// not cost more than the calls.
const MAX_REPORTS: usize = 100;

static REPORTS: AtomicUsize = AtomicUsize::new(0);

/// How an invocation went that raised nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// `handle()` returned.
    Handled,
    /// `accept()` said no.
    NotAccepted,
    /// The class has methods for verbs, but not for the one of the request.
    NoMethod,
}

/// Runs one call that came through a channel, and writes its answer.
pub fn run(py: Python<'_>, environment: &Arc<Environment>, class: &Arc<ServiceClass>, call: &Call) -> Outcome {
    if queued::is_message(call) {
        return run_message(py, environment, class, call);
    }
    let invocation = Arc::new(Invocation::of_call(environment, class, call));
    let service = match instance::create(py, &invocation) {
        Ok(service) => service,
        Err(error) => return Outcome::Fault(fault(py, &invocation, None, &error)),
    };
    let answered = if invocation.head().asks_hash {
        request_hash(&service)
    } else {
        execute(py, &invocation, &service).and_then(|ending| reply(py, &invocation, &service, ending))
    };
    let outcome = match answered {
        Ok(reply) => Outcome::Reply(reply),
        Err(error) => Outcome::Fault(fault(py, &invocation, Some(&service), &error)),
    };
    // an answer that comes piece by piece is not written yet
    if !matches!(&outcome, Outcome::Reply(Reply { stream: Some(_), .. })) {
        finish(py, &invocation, &service);
    }
    outcome
}

/// What the service says tells its request from others, so that a channel may answer as it did before (http.md 11).
fn request_hash(service: &Bound<'_, Service>) -> PyResult<Reply> {
    let py = service.py();
    let hash = py
        .import(intern!(py, "busbar.request_hash"))?
        .call_method1(intern!(py, "of"), (service,))?;
    let hash: Option<String> = hash.extract()?;
    Ok(Reply {
        status: if hash.is_some() { 200 } else { 204 },
        body: hash.unwrap_or_default().into(),
        ..Reply::default()
    })
}

/// Closes what a service has left open. Runs when its answer has been written: until then that may need it.
pub(crate) fn finish(py: Python<'_>, invocation: &Invocation, service: &Bound<'_, Service>) {
    if let Some(Err(error)) = service
        .get()
        .outgoing_if_any(py)
        .map(|outgoing| outgoing.get().finish(py))
    {
        errors::log_swallowed(py, &error, &invocation.cid, &invocation.class.info().name, "finish");
    }
}

/// Does so when it is dropped.
pub(crate) struct Finish {
    pub(crate) invocation: Arc<Invocation>,
    pub(crate) service: Py<Service>,
}

impl Drop for Finish {
    fn drop(&mut self) {
        Python::attach(|py| finish(py, &self.invocation, self.service.bind(py)));
    }
}

/// Runs a call that another service left in the queue. Nobody waits for the answer but the services that are to be called with it; they
/// are before the message is done with.
fn run_message(py: Python<'_>, environment: &Arc<Environment>, class: &Arc<ServiceClass>, call: &Call) -> Outcome {
    let (invocation, callbacks) = match queued::read(py, environment, class, call) {
        Ok((invocation, callbacks)) => (Arc::new(invocation), callbacks),
        Err(error) => {
            let name = &class.info().name;
            let traceback = errors::traceback(py, &error);
            tracing::error!(cid = %call.cid, service = name, "cannot read a message for service `{name}`\n{traceback}");
            return Outcome::Fault(Fault::new(400, "the message cannot be read"));
        }
    };
    let service = match instance::create(py, &invocation) {
        Ok(service) => service,
        Err(error) => return Outcome::Fault(fault(py, &invocation, None, &error)),
    };
    let run = || {
        let ending = execute(py, &invocation, &service)?;
        if ending == Ending::Handled && !callbacks.is_empty() {
            let response = service.get().response(py)?.get();
            let answer = invoke::without_response_elem(invoke::answer(py, &invocation, response, false)?)?;
            queued::call_back(py, &invocation, &service, callbacks, answer)?;
        }
        Ok(())
    };
    let outcome = match run() {
        Ok(()) => Outcome::Reply(Reply {
            status: 200,
            ..Reply::default()
        }),
        Err(error) => Outcome::Fault(fault(py, &invocation, Some(&service), &error)),
    };
    finish(py, &invocation, &service);
    outcome
}

/// Runs a service's hooks and its handling method. Exceptions of the hooks around are logged and forgotten, as they always were.
pub(crate) fn execute(py: Python<'_>, invocation: &Arc<Invocation>, service: &Bound<'_, Service>) -> PyResult<Ending> {
    let Some(threshold) = slow_threshold(invocation) else {
        return execute_all(py, invocation, service);
    };
    let ending = execute_all(py, invocation, service);
    let took = invocation.elapsed();
    if took >= threshold {
        report_slow(invocation, took, threshold);
    }
    ending
}

/// From when on a call is slow: as is set for the service, else as its class says.
fn slow_threshold(invocation: &Invocation) -> Option<Duration> {
    let set = invocation.environment.slow_thresholds.load();
    // nearly nobody sets one, and this is on the way of every call
    let set = if set.is_empty() {
        None
    } else {
        set.get(&invocation.class.info().name).copied()
    };
    set.or(invocation.class.slow_threshold)
}

/// Logs a slow call, and has the hub keep it. Nobody waits for that.
fn report_slow(invocation: &Invocation, took: Duration, threshold: Duration) {
    let (service, cid) = (&invocation.class.info().name, &invocation.cid);
    let (duration_ms, threshold_ms) = (took.as_millis() as u64, threshold.as_millis() as u64);
    tracing::warn!(%cid, service, duration_ms, threshold_ms, "slow call of service `{service}`");
    if REPORTS.fetch_add(1, Ordering::Relaxed) >= MAX_REPORTS {
        REPORTS.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let at_ms = invocation.started_at().duration_since(UNIX_EPOCH).unwrap_or_default();
    let call = SlowCall {
        service: service.clone(),
        cid: invocation.shown_cid().to_owned(),
        channel: invocation.channel_type.as_str().to_owned(),
        at_ms: at_ms.as_millis() as u64,
        duration_ms,
        threshold_ms,
    };
    let report = serde_json::to_vec(&call).expect("numbers and text are JSON");
    let answer = invocation.environment.hub.request(HubRequest {
        kind: SlowCall::KIND.to_owned(),
        name: call.service,
        operation: "report".to_owned(),
        parts: vec![report.into()],
    });
    let _runtime = invocation.environment.runtime.enter();
    task::spawn("report of a slow call", TaskKind::Once, async move {
        if let Err(error) = answer.await {
            tracing::debug!(error = error.chain(), "a slow call is only in the log");
        }
        REPORTS.fetch_sub(1, Ordering::Relaxed);
    });
}

fn execute_all(py: Python<'_>, invocation: &Arc<Invocation>, service: &Bound<'_, Service>) -> PyResult<Ending> {
    let class = &invocation.class;
    class.count();
    if class.sio.as_ref().is_some_and(|sio| sio.has_input()) {
        service.get().request(py)?.get().read_declared_input(service)?;
    }
    let hooks = class.hooks;
    if hooks.accept && !call(service, intern!(py, "accept"))?.is_truthy()? {
        return Ok(Ending::NotAccepted);
    }
    if let Some(schema) = &class.schema {
        let payload = service.get().request(py)?.get().payload(py)?;
        schema.call1(py, (invocation.shown_cid(), payload))?;
    }
    if let Some(job_type) = invocation.job_type.filter(|_| hooks.before_job) {
        call_quietly(py, invocation, service, intern!(py, "before_job"))?;
        let hook = PyString::new(py, &format!("before_{}_job", job_type.as_str()));
        call_quietly(py, invocation, service, &hook)?;
    }
    if hooks.before_handle {
        call_quietly(py, invocation, service, intern!(py, "before_handle"))?;
    }
    if hooks.validate_input {
        call(service, intern!(py, "validate_input"))?;
    }
    if class.has_verbs() {
        match method_of(py, invocation) {
            Some(method) => call(service, method.bind(py))?,
            None => return Ok(Ending::NoMethod),
        };
    } else {
        call(service, intern!(py, "handle"))?;
    }
    if hooks.validate_output {
        call(service, intern!(py, "validate_output"))?;
    }
    let job_type = invocation.job_type.filter(|_| hooks.after_job);
    if hooks.after_handle || hooks.finalize_handle || job_type.is_some() {
        // nobody else can ask for the times
        invocation.finish();
    }
    if hooks.after_handle {
        call_quietly(py, invocation, service, intern!(py, "after_handle"))?;
    }
    if let Some(job_type) = job_type {
        call_quietly(py, invocation, service, intern!(py, "after_job"))?;
        let hook = PyString::new(py, &format!("after_{}_job", job_type.as_str()));
        call_quietly(py, invocation, service, &hook)?;
    }
    if hooks.finalize_handle {
        call_quietly(py, invocation, service, intern!(py, "finalize_handle"))?;
    }
    Ok(Ending::Handled)
}

/// Calls a method of the service. What is declared with `async def` runs to its end here.
fn call<'py>(service: &Bound<'py, Service>, method: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
    let py = service.py();
    let result = service.call_method0(method)?;
    // most methods give nothing back, which costs them nothing here
    if result.is_none() || result.get_type().getattr_opt(intern!(py, "__await__"))?.is_none() {
        return Ok(result);
    }
    static RUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let wait = Bound::new(py, ReadableWait(service.get().invocation()?.environment.clone()))?;
    RUN.import(py, "busbar.coroutines", "run")?.call1((wait, result))
}

/// The method that handles the request's verb. What did not come over HTTP goes to `handle`.
fn method_of(py: Python<'_>, invocation: &Invocation) -> Option<Py<PyString>> {
    if let Source::Service(local) = &invocation.source
        && let Some(environ) = &local.wsgi_environ
        && let Some(verb) = environ.bind(py).get_item(intern!(py, "REQUEST_METHOD")).ok().flatten()
    {
        return invocation.class.method(py, verb.extract().ok()?);
    }
    let head = invocation.head();
    if head.method.is_empty() {
        return Some(intern!(py, "handle").clone().unbind());
    }
    invocation.class.method(py, head.method)
}

/// Calls a hook whose exceptions change nothing.
fn call_quietly(
    py: Python<'_>,
    invocation: &Invocation,
    service: &Bound<'_, Service>,
    hook: &Bound<'_, PyString>,
) -> PyResult<()> {
    match call(service, hook) {
        Err(error) if errors::is_ordinary(py, &error) => {
            let name = &invocation.class.info().name;
            errors::log_swallowed(py, &error, &invocation.cid, name, &hook.to_string_lossy());
            Ok(())
        }
        result => result.map(drop),
    }
}

fn reply(
    py: Python<'_>,
    invocation: &Arc<Invocation>,
    service: &Bound<'_, Service>,
    ending: Ending,
) -> PyResult<Reply> {
    match ending {
        Ending::Handled => {}
        Ending::NotAccepted => {
            return Ok(Reply {
                status: 400,
                content_type: "text/plain".to_owned(),
                ..Reply::default()
            });
        }
        Ending::NoMethod => {
            let allowed = invocation.class.info().http_methods.join(", ");
            return Ok(Reply {
                status: 405,
                headers: vec![("Allow".to_owned(), allowed)],
                ..Reply::default()
            });
        }
    }
    let response = service.get().response(py)?.get();
    let answer = response.answer(py)?;
    if let Answer::Free(payload) = &answer
        && stream::is_stream(payload)?
    {
        let (status, content_type, _) = response.chosen();
        let reply = Reply {
            status,
            content_type,
            headers: response.header_pairs(py)?,
            ..Reply::default()
        };
        return stream::begin(invocation, service, payload, reply);
    }
    let mut body = write::body(py, invocation, answer)?;
    let mut headers = response.header_pairs(py)?;
    let (status, content_type, encoding) = response.chosen();
    if encoding == "gzip" {
        body = write::gzip(py, &body)?;
        headers.push(("Content-Encoding".to_owned(), encoding));
    }
    Ok(Reply {
        status,
        content_type,
        headers,
        body,
        stream: None,
    })
}

/// Logs what came out of a service, and says what its caller is told. Headers that the service had set are sent all the same.
fn fault(py: Python<'_>, invocation: &Invocation, service: Option<&Bound<'_, Service>>, error: &PyErr) -> Fault {
    let environment = &invocation.environment;
    let mut fault = errors::fault(py, error, environment.return_tracebacks);
    if environment.hide_messages && errors::is_reticent(py, error) {
        fault.details = Some("Bad request".into());
    } else if !environment.return_tracebacks && errors::is_general(&fault) {
        fault.details = Some(environment.default_error_message.as_str().into());
    }
    errors::log(py, error, &invocation.cid, &invocation.class.info().name, fault.status);
    let headers = service.and_then(|service| service.get().response_if_any(py)?.get().header_pairs(py).ok());
    fault.headers.extend(headers.unwrap_or_default());
    fault
}
