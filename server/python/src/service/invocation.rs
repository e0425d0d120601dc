//! One invocation: what is known of it before the service's code runs.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use busbar_model::{ChannelType, Cid, DataFormat};
use busbar_runtime::{Call, Head};

use crate::environment::Environment;
use crate::service::class::ServiceClass;
use crate::sync::lock;

/// One invocation of a service, from a channel or from another service.
pub(crate) struct Invocation {
    pub(crate) environment: Arc<Environment>,
    pub(crate) class: Arc<ServiceClass>,
    pub(crate) cid: Cid,
    pub(crate) channel_type: ChannelType,
    pub(crate) data_format: DataFormat,
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
    pub(crate) started_at: SystemTime,
    pub(crate) started: Instant,
    /// When `handle()` returned, and how long it had taken.
    finished: Mutex<Option<(SystemTime, Duration)>>,
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
    /// What it asked for as `data_format`: `dict`, `json`.
    pub(crate) data_format: String,
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
            merge_params: head.merge_params,
            body_over_params: head.body_over_params,
            head: call.head.clone(),
            source: Source::Channel(call.body.clone()),
            depth: 0,
            started_at: SystemTime::now(),
            started: Instant::now(),
            finished: Mutex::new(None),
        }
    }

    /// An invocation by the service that runs `self`.
    pub(crate) fn nested(&self, class: &Arc<ServiceClass>, cid: Cid, data_format: DataFormat, local: Local) -> Self {
        Self {
            environment: self.environment.clone(),
            class: class.clone(),
            cid,
            channel_type: ChannelType::Invoke,
            data_format,
            // parameters are part of the outermost request, not of what this service was given
            merge_params: false,
            body_over_params: false,
            head: self.head.clone(),
            source: Source::Service(local),
            depth: self.depth + 1,
            started_at: SystemTime::now(),
            started: Instant::now(),
            finished: Mutex::new(None),
        }
    }

    /// What the channel knows of the request.
    pub(crate) fn head(&self) -> Head<'_> {
        Head::unpack(&self.head).unwrap_or_default()
    }

    /// The correlation id that services see.
    pub(crate) fn shown_cid(&self) -> &str {
        match &self.source {
            Source::Service(Local {
                given_cid: Some(cid), ..
            }) => cid,
            _ => self.cid.as_str(),
        }
    }

    /// The data format that services see.
    pub(crate) fn shown_data_format(&self) -> &str {
        match &self.source {
            Source::Service(local) => &local.data_format,
            Source::Channel(_) => self.data_format.as_str(),
        }
    }

    /// Whether the request has path or query parameters that belong to this service.
    pub(crate) fn is_from_channel(&self) -> bool {
        matches!(self.source, Source::Channel(_))
    }

    /// Notes that `handle()` has returned.
    pub(crate) fn finish(&self) {
        *lock(&self.finished) = Some((SystemTime::now(), self.started.elapsed()));
    }

    /// When `handle()` returned, and how long the invocation had taken by then.
    pub(crate) fn finished(&self) -> Option<(SystemTime, Duration)> {
        *lock(&self.finished)
    }
}
