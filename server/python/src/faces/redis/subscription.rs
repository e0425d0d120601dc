//! What `pubsub()` receives with: the native half of `busbar.kvdb.pubsub`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use busbar_connectors::redis::{PushKind, RedisFailure, RedisFailureKind, RedisSubscription};
use busbar_model::Error;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::faces::redis::client::Redis;
use crate::faces::redis::errors::{of_failure, to_exception};
use crate::faces::redis::shape::text_or_bytes;
use crate::faces::redis::values::encode;
use crate::sync::lock;
use crate::turn;

/// A connection that receives what is published. It is not replaced when it is lost; whoever has it makes another.
#[pyclass(frozen, module = "_busbar", name = "RedisSubscription")]
pub(crate) struct Subscription {
    client: Py<Redis>,
    open: Mutex<Option<Arc<RedisSubscription>>>,
}

/// Kind, pattern, channel and data; in the place of data, of confirmations, how much is subscribed to.
type Received<'py> = (
    &'static str,
    Option<Bound<'py, PyAny>>,
    Bound<'py, PyAny>,
    Bound<'py, PyAny>,
);

#[pymethods]
impl Subscription {
    /// Connects.
    #[new]
    fn new(client: &Bound<'_, Redis>) -> PyResult<Self> {
        let py = client.py();
        let redis = client.get().client(py)?;
        let open = turn::block_on(py, client.get().environment(), async move {
            redis.subscription().await.map_err(Error::from)
        })
        .map_err(|error| to_exception(py, &error))?;
        Ok(Self {
            client: client.clone().unbind(),
            open: Mutex::new(Some(Arc::new(open))),
        })
    }

    /// Sends `SUBSCRIBE` and the like with these names.
    fn send(&self, py: Python<'_>, command: &str, names: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
        let open = self.open(py)?;
        let mut words = vec![command.as_bytes().to_vec()];
        for name in &names {
            words.push(encode(name)?);
        }
        let sent = turn::block_on(py, self.client.get().environment(), async move {
            open.send(&words).await.map_err(Error::from)
        });
        self.judge(py, sent)
    }

    /// What comes next, or `None` if nothing does in so many seconds; without them it waits for as long as it takes.
    #[pyo3(signature = (timeout = None))]
    fn read<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Option<Received<'py>>> {
        let limit = timeout
            .map(|seconds| {
                Duration::try_from_secs_f64(seconds.max(0.0))
                    .map_err(|_| PyValueError::new_err(format!("cannot wait for {seconds} seconds")))
            })
            .transpose()?;
        let open = self.open(py)?;
        let came = turn::block_on(py, self.client.get().environment(), async move {
            open.next(limit).await.map_err(Error::from)
        });
        let Some(push) = self.judge(py, came)? else {
            return Ok(None);
        };
        let is_text = self.client.get().is_text();
        let data = match push.kind {
            PushKind::Message | PushKind::PatternMessage | PushKind::ShardMessage | PushKind::Pong => {
                text_or_bytes(py, is_text, &push.data)?
            }
            _ => push.count.into_pyobject(py)?.into_any(),
        };
        let pattern = push
            .pattern
            .map(|pattern| text_or_bytes(py, is_text, &pattern))
            .transpose()?;
        // nothing was subscribed to that could be given up, or it is about no channel
        let channel = if push.is_nothing || push.kind == PushKind::Pong {
            py.None().into_bound(py)
        } else {
            text_or_bytes(py, is_text, &push.channel)?
        };
        Ok(Some((push.kind.as_str(), pattern, channel, data)))
    }

    /// Ends the connection.
    fn close(&self) {
        lock(&self.open).take();
    }

    /// Whether it still stands, as far as is known.
    #[getter]
    fn is_open(&self) -> bool {
        lock(&self.open).is_some()
    }
}

impl Subscription {
    fn open(&self, py: Python<'_>) -> PyResult<Arc<RedisSubscription>> {
        lock(&self.open).clone().ok_or_else(|| {
            let failure = RedisFailure::new(RedisFailureKind::Connection, "the subscription's connection was closed");
            of_failure(py, &failure)
        })
    }

    /// A connection that has failed is let go of.
    fn judge<T>(&self, py: Python<'_>, result: Result<T, Error>) -> PyResult<T> {
        result.map_err(|error| {
            if error.kind() != busbar_model::Kind::Cancelled {
                self.close();
            }
            to_exception(py, &error)
        })
    }
}
