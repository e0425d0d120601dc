//! The body of a response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use busbar_model::Cid;
use busbar_runtime::stream::Broken;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::http::respond::Content;
use crate::http::watch::InFlight;

/// A response's body. Lives until hyper has taken the last of it.
pub(crate) struct Answer {
    pub(super) content: Content,
    /// The stream broke off; hyper has been given time to send what came before.
    pub(super) is_broken: bool,
    pub(super) cid: Cid,
    pub(super) _in_flight: InFlight,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if this.is_broken {
            return Poll::Ready(Some(Err(Broken)));
        }
        Poll::Ready(match &mut this.content {
            Content::Whole(data) if data.is_empty() => None,
            Content::Whole(data) => Some(Ok(Frame::data(std::mem::take(data)))),
            Content::Stream(stream) => match ready!(stream.poll_next(cx)) {
                Some(Err(Broken)) => {
                    // the one way left to tell the client; what it has not been sent yet is sent first, which hyper does when it must wait
                    tracing::warn!(cid = %this.cid, "an answer broke off, its connection is closed");
                    this.is_broken = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                piece => piece.map(|piece| piece.map(Frame::data)),
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(data) if data.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(data) => SizeHint::with_exact(data.len() as u64),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}
