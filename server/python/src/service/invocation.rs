//! One invocation: what is known of it before the service's code runs.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use busbar_model::{ChannelType, Cid, DataFormat, JobType};
use busbar_runtime::{Call, Head};

use crate::environment::Environment;
use crate::service::class::ServiceClass;

/// One invocation of a service, from a channel or from another service.
pub(crate) struct Invocation {
    pub(crate) environment: Arc<Environment>,
    pub(crate) class: Arc<ServiceClass>,
    pub(crate) cid: Cid,
    pub(crate) channel_type: ChannelType,
    pub(crate) data_format: DataFormat,
    /// The scheduler's job that this is a run of.
    pub(crate) job_type: Option<JobType>,
    /// Path and query parameters go into the input.
    pub(crate) merge_params: bool,
    /// A value in the body wins over a parameter of the same name.
    pub(crate) body_over_params: bool,
    /// What the channel knows of the request. Nested calls see the one that their outermost caller has; it is empty if that did not
    /// come through a channel.
    pub(crate) head: Bytes,
    pub(crate) source: Source,
    /// How many services wait for this one.
    pub(crate) depth: usize,
    started: Instant,
    started_at: OnceLock<SystemTime>,
    /// When `handle()` returned.
    finished: OnceLock<Instant>,
}

/// Where the payload comes from.
pub(crate) enum Source {
    /// A channel: bytes.
    Channel(Bytes),
    /// Another service: the very object that it gave.
    Service(Local),
}

/// What another service gave.
pub(crate) struct Local {
    pub(crate) payload: Py<PyAny>,
    pub(crate) environ: Option<Py<PyAny>>,
    pub(crate) wsgi_environ: Option<Py<PyDict>>,
    pub(crate) in_reply_to: Option<Py<PyAny>>,
    pub(crate) channel_type: Option<String>,
    /// The cid that it gave, which may have any form.
    pub(crate) given_cid: Option<String>,
    /// What it asked for as `data_format`; `None`: objects, `dict`.
    pub(crate) data_format: Option<String>,
}

impl Invocation {
    /// An invocation through a channel.
    pub(crate) fn of_call(environment: &Arc<Environment>, class: &Arc<ServiceClass>, call: &Call) -> Self {
        // a head that cannot be read is a defect of whoever packed it; the call goes on without what it said
        let head = Head::unpack(&call.head).unwrap_or_default();
        Self {
            environment: environment.clone(),
            class: class.clone(),
            cid: call.cid,
            channel_type: head.channel_type.unwrap_or(ChannelType::Invoke),
            data_format: head.data_format,
            job_type: head.job_type,
            merge_params: head.merge_params,
            body_over_params: head.body_over_params,
            head: call.head.clone(),
            source: Source::Channel(call.body.clone()),
            depth: 0,
            started: Instant::now(),
            started_at: OnceLock::new(),
            finished: OnceLock::new(),
        }
    }

    /// An invocation by a message that another service left.
    pub(crate) fn of_message(
        environment: &Arc<Environment>,
        class: &Arc<ServiceClass>,
        call: &Call,
        local: Local,
    ) -> Self {
        let mut invocation = Self::of_call(environment, class, call);
        if let Some(cid) = local.given_cid.as_deref().and_then(|cid| cid.parse().ok()) {
            // what the log and further calls are to show
            invocation.cid = cid;
        }
        invocation.data_format = match local.data_format.as_deref() {
            Some("json") => DataFormat::Json,
            Some("xml") => DataFormat::Xml,
            _ => DataFormat::Dict,
        };
        // what the queue says of a message is nothing that the service's own calls should see
        invocation.head = Bytes::new();
        invocation.source = Source::Service(local);
        invocation
    }

    /// An invocation by the service that runs `self`.
    pub(crate) fn nested(&self, class: &Arc<ServiceClass>, cid: Cid, data_format: DataFormat, local: Local) -> Self {
        Self {
            environment: self.environment.clone(),
            class: class.clone(),
            cid,
            channel_type: ChannelType::Invoke,
            data_format,
            job_type: None,
            // parameters are part of the outermost request, not of what this service was given
            merge_params: false,
            body_over_params: false,
            head: self.head.clone(),
            source: Source::Service(local),
            depth: self.depth + 1,
            started: Instant::now(),
            started_at: OnceLock::new(),
            finished: OnceLock::new(),
        }
    }

    /// What the channel knows of the request.
    pub(crate) fn head(&self) -> Head<'_> {
        Head::unpack(&self.head).unwrap_or_default()
    }

    /// The correlation id that services see.
    pub(crate) fn shown_cid(&self) -> &str {
        self.given_cid().unwrap_or(self.cid.as_str())
    }

    /// The correlation id that whoever invokes the service gave it, of any form.
    pub(crate) fn given_cid(&self) -> Option<&str> {
        match &self.source {
            Source::Service(local) => local.given_cid.as_deref(),
            Source::Channel(_) => None,
        }
    }

    /// The data format that services see.
    pub(crate) fn shown_data_format(&self) -> &str {
        match &self.source {
            Source::Service(local) => local.data_format.as_deref().unwrap_or("dict"),
            Source::Channel(_) => self.data_format.as_str(),
        }
    }

    /// Whether the request has path or query parameters that belong to this service.
    pub(crate) fn is_from_channel(&self) -> bool {
        matches!(self.source, Source::Channel(_))
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes that `handle()` has returned.
    pub(crate) fn finish(&self) {
        self.finished.get_or_init(Instant::now);
    }

    /// When the invocation began. Worked out when somebody asks: for most calls one clock is enough.
    pub(crate) fn started_at(&self) -> SystemTime {
        let work_out = || {
            SystemTime::now()
                .checked_sub(self.started.elapsed())
                .unwrap_or(UNIX_EPOCH)
        };
        *self.started_at.get_or_init(work_out)
    }

    /// When `handle()` returned, and how long the invocation had taken by then.
    pub(crate) fn finished(&self) -> Option<(SystemTime, Duration)> {
        let took = self.finished.get()?.duration_since(self.started);
        Some((self.started_at() + took, took))
    }
}
