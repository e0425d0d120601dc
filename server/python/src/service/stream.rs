//! Iterators as payload: what they give is sent as it comes (service-api.md 6).

use std::sync::Arc;

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString};

use busbar_model::{Error, Kind};
use busbar_runtime::Reply;
use busbar_runtime::stream::{Gone, ReplyStream, StreamSender};

use crate::errors;
use crate::json;
use crate::service::instance::Service;
use crate::service::invocation::Invocation;
use crate::service::life::Finish;
use crate::service::write::bytes_of;
use crate::turn;

/// Content type of server-sent events.
const EVENTS: &str = "text/event-stream";

/// Whether a payload is sent piece by piece: it is an iterator, and does not say itself how it is written.
pub(crate) fn is_stream(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    if value.cast::<PyIterator>().is_err() {
        return Ok(false);
    }
    let (py, class) = (value.py(), value.get_type());
    for name in [intern!(py, "to_json"), intern!(py, "to_dict"), intern!(py, "getvalue")] {
        if class.getattr_opt(name)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Begins an answer. The first piece is waited for, so that what goes wrong before it becomes an ordinary fault; the rest follows once
/// the answer has been handed over, on the same thread, without a deadline.
///
/// What the service has left open is closed at the end, whatever that is.
pub(crate) fn begin(
    invocation: &Arc<Invocation>,
    service: &Bound<'_, Service>,
    payload: &Bound<'_, PyAny>,
    mut reply: Reply,
) -> PyResult<Reply> {
    let mut pieces = Pieces {
        iterator: payload.cast::<PyIterator>()?.clone(),
        is_events: reply
            .content_type
            .get(..EVENTS.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(EVENTS)),
    };
    if pieces.is_events
        && !reply
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("cache-control"))
    {
        reply.headers.push(("Cache-Control".to_owned(), "no-cache".to_owned()));
    }
    let Some(first) = pieces.next()? else {
        return Ok(reply);
    };
    let (sender, stream) = ReplyStream::new();
    reply.stream = Some(Box::new(stream));
    let (iterator, is_events) = (pieces.iterator.unbind(), pieces.is_events);
    let finish = Finish {
        invocation: invocation.clone(),
        service: service.clone().unbind(),
    };
    turn::follow_up(move |py| {
        let pieces = Pieces {
            iterator: iterator.bind(py).clone(),
            is_events,
        };
        go_on(py, &finish.invocation, pieces, &sender, first);
    });
    Ok(reply)
}

/// Sends the rest. A client that leaves closes the iterator; an exception breaks the answer off, which is all that its client can be told.
fn go_on(py: Python<'_>, invocation: &Arc<Invocation>, mut pieces: Pieces<'_>, sender: &StreamSender, first: Bytes) {
    let name = &invocation.class.info().name;
    let mut next = Ok(Some(first));
    loop {
        match next {
            Ok(Some(piece)) => {
                let sent = sender.clone();
                let sending = async move { sent.send(piece).await.map_err(gone) };
                if turn::block_on(py, &invocation.environment, sending).is_err() {
                    tracing::debug!(cid = %invocation.cid, service = name, "nobody reads an answer of `{name}` any more");
                    break pieces.close(invocation);
                }
            }
            Ok(None) => {
                let sent = sender.clone();
                let finishing = async move { sent.finish().await.map_err(gone) };
                // whoever has left by now has all of it but the news that it is all
                let _: Result<(), Error> = turn::block_on(py, &invocation.environment, finishing);
                break;
            }
            Err(error) => {
                if errors::is_ordinary(py, &error) {
                    errors::log(py, &error, &invocation.cid, name, 500);
                } else {
                    tracing::debug!(cid = %invocation.cid, service = name, "an answer of `{name}` was given up: {error}");
                }
                break pieces.close(invocation);
            }
        }
        next = pieces.next();
    }
}

fn gone(gone: Gone) -> Error {
    Error::new(Kind::Cancelled, gone.to_string())
}

/// What an iterator gives, as bytes.
struct Pieces<'py> {
    iterator: Bound<'py, PyIterator>,
    is_events: bool,
}

impl Pieces<'_> {
    /// The next piece that is not empty.
    fn next(&mut self) -> PyResult<Option<Bytes>> {
        while let Some(item) = self.iterator.next() {
            let piece = self.piece(&item?)?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Texts and bytes as they are, nothing for `None`, JSON for the rest: an event of it, or a line.
    fn piece(&self, item: &Bound<'_, PyAny>) -> PyResult<Bytes> {
        if item.is_none() {
            return Ok(Bytes::new());
        }
        if let Some(bytes) = bytes_of(item)? {
            return Ok(bytes);
        }
        let mut text = if self.is_events { b"data: ".to_vec() } else { Vec::new() };
        let class = item.get_type();
        let py = item.py();
        match class.getattr_opt(intern!(py, "to_dict"))? {
            Some(_) => text.extend_from_slice(&json::write(&item.call_method0(intern!(py, "to_dict"))?)?),
            None => text.extend_from_slice(&json::write(item)?),
        }
        text.extend_from_slice(if self.is_events { b"\n\n" } else { b"\n" });
        Ok(text.into())
    }

    /// Lets a generator clean up.
    fn close(&self, invocation: &Invocation) {
        let py = self.iterator.py();
        let close: &Bound<'_, PyString> = intern!(py, "close");
        let closed = match self.iterator.getattr_opt(close) {
            Ok(Some(close)) => close.call0().map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = closed {
            errors::log_swallowed(py, &error, &invocation.cid, &invocation.class.info().name, "close");
        }
    }
}
