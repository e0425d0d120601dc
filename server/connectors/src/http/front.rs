//! One request, from its head to its response.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};

use busbar_model::{Cid, Network};
use busbar_runtime::inbound::{Certificate, Dispatch, Inbound};
use busbar_runtime::queue::{Message, Queue};
use busbar_runtime::{Fault, Head};

use crate::http::admit::{Admitted, Pending};
use crate::http::answer::Answer;
use crate::http::body::{self, BodyError, BodyLimits};
use crate::http::cache::ChannelCache;
use crate::http::extra::Extra;
use crate::http::json_rpc::RpcRequest;
use crate::http::respond::{self, Content};
use crate::http::routes::{Route, RouteTable};
use crate::http::soap;
use crate::http::watch::Connection;

/// Bodies of refused requests up to this size are read and forgotten, so that the connection can be used again.
const SKIP: usize = 64 * 1024;

/// Everything that requests need and share.
pub(crate) struct Front {
    pub(crate) routes: Arc<ArcSwap<RouteTable>>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) limits: BodyLimits,
    pub(crate) server: Option<HeaderValue>,
    pub(crate) trusted_proxies: Vec<Network>,
    /// Whether its clients speak TLS with it.
    pub(crate) is_tls: bool,
}

/// One connection's client.
pub(crate) struct Client {
    pub(crate) front: Arc<Front>,
    pub(crate) connection: Arc<Connection>,
    pub(super) address: SocketAddr,
    pub(super) address_text: String,
    pub(super) is_proxy: bool,
    /// What it presented, checked.
    pub(super) certificate: Option<Certificate>,
}

impl Client {
    pub(crate) fn new(
        front: Arc<Front>,
        connection: Arc<Connection>,
        address: SocketAddr,
        certificate: Option<Certificate>,
    ) -> Self {
        let is_proxy = front
            .trusted_proxies
            .iter()
            .any(|network| network.contains(address.ip()));
        Self {
            front,
            connection,
            address,
            address_text: address.to_string(),
            is_proxy,
            certificate,
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let cid = Cid::new();
        let is_http2 = request.version() == Version::HTTP_2;
        let in_flight = self.connection.begin(is_http2);
        let started = tracing::enabled!(tracing::Level::DEBUG).then(Instant::now);
        let (parts, mut body) = request.into_parts();
        let is_head = parts.method == Method::HEAD;
        let expects = !is_http2 && parts.headers.contains_key(header::EXPECT);

        let admitted = self.admit(&parts, cid);
        if started.is_some() {
            log_start(&parts, &admitted, cid, &self.address_text);
        }
        drop(parts);
        let (mut response, is_read) = match admitted {
            Ok(admitted) if matches!(admitted.pending, Some(Pending::Wait(_))) => {
                Box::pin(self.ask(admitted, &mut body, expects, cid)).await
            }
            Ok(admitted) => match body::read(&mut body, self.front.limits).await {
                Ok(bytes) if admitted.is_plain() => (self.call(&admitted.route, cid, admitted.head, bytes).await, true),
                // in a box, so that those who need none of it do not carry the room for it
                Ok(bytes) => (Box::pin(self.run(admitted, cid, bytes)).await, true),
                Err(error) => (Box::pin(admitted.refuse(&body_fault(&error), cid)).await, false),
            },
            Err(response) => (response.map(Content::Whole), self.let_go(&mut body, expects).await),
        };
        if !is_read && !is_http2 {
            self.connection.lingers.store(true, Ordering::Relaxed);
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }

        let headers = response.headers_mut();
        if let Some(server) = &self.front.server {
            headers.entry(header::SERVER).or_insert_with(|| server.clone());
        }
        headers.entry(respond::X_ZATO_CID).or_insert_with(|| {
            HeaderValue::from_bytes(cid.as_bytes()).expect("hexadecimal digits can stand in a header")
        });
        if is_head {
            // the length that a GET would have had, and nothing of it
            if let Content::Whole(body) = response.body()
                && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            {
                let length = HeaderValue::from(body.len());
                response.headers_mut().insert(header::CONTENT_LENGTH, length);
            }
            *response.body_mut() = Content::Whole(Bytes::new());
        }
        if let Some(started) = started {
            let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
            tracing::debug!(%cid, status = response.status().as_u16(), size_bytes = response.body().len(), duration_ms, "answered");
        }
        Ok(response.map(|content| Answer {
            content,
            cid,
            is_broken: false,
            _in_flight: in_flight,
        }))
    }

    /// Asks who calls, then runs the request. Its response, and whether its body was read to the end.
    async fn ask(
        &self,
        mut admitted: Admitted,
        body: &mut Incoming,
        expects: bool,
        cid: Cid,
    ) -> (Response<Content>, bool) {
        if let Some(pending) = admitted.pending.take()
            && let Err(fault) = admitted.settle(pending, &[]).await
        {
            let response = admitted.refuse(&fault, cid).await;
            return (response, self.let_go(body, expects).await);
        }
        match body::read(body, self.front.limits).await {
            Ok(bytes) => (self.run(admitted, cid, bytes).await, true),
            Err(error) => (admitted.refuse(&body_fault(&error), cid).await, false),
        }
    }

    /// Runs a request that has been read, with all that its channel has.
    async fn run(&self, mut admitted: Admitted, cid: Cid, mut body: Bytes) -> Response<Content> {
        if let Some(coding) = admitted.coding {
            match coding.inflate(body, self.front.limits.max).await {
                Ok(inflated) => body = inflated,
                Err(fault) => return admitted.refuse(&fault, cid).await,
            }
        }
        let mut addressing = None;
        if admitted.route.style.soap.is_some() {
            match soap::opened(&admitted.head, body) {
                Ok(opened) => (body, addressing) = opened,
                Err(fault) => return admitted.refuse(&fault, cid).await,
            }
        }
        if let Some(pending) = admitted.pending.take()
            && let Err(fault) = admitted.settle(pending, &body).await
        {
            return admitted.refuse(&fault, cid).await;
        }
        let Admitted { route, head, .. } = admitted;
        let answered = |response| match &addressing {
            Some(addressing) => soap::answered(response, addressing, cid),
            None => response,
        };
        let packed = head.clone();
        let (Some(extra), Some(facts)) = (&route.extra, Head::unpack(&packed)) else {
            return answered(self.call(&route, cid, head, body).await);
        };
        if let Some(audit) = &extra.audit {
            audit.received(cid, &facts, &body);
        }
        let response = match &extra.cache {
            None => self.perform(&route, extra, cid, head, body).await,
            Some(cache) => self.cached(&route, extra, cache, cid, &facts, head, body).await,
        };
        extra.finish(cid, &facts, answered(response)).await
    }

    /// Answers as a request like this one was answered before, or else has it answered.
    #[expect(
        clippy::too_many_arguments,
        reason = "it is a part of `run`, which has all of these at hand"
    )]
    async fn cached(
        &self,
        route: &Route,
        extra: &Extra,
        cache: &ChannelCache,
        cid: Cid,
        facts: &Head<'_>,
        head: Bytes,
        body: Bytes,
    ) -> Response<Content> {
        let request = || inbound(route, cid, head.clone(), body.clone(), route.timeout);
        let own = match request().map(|request| self.front.dispatch.request_hash(&request)) {
            Ok(Some(asking)) => match asking.await {
                Ok(hash) => hash,
                Err(fault) => return respond::fault(&fault, &route.style, cid).map(Content::Whole),
            },
            // refused below, as ever
            Ok(None) | Err(_) => None,
        };
        let key = match &own {
            Some(hash) => cache.own_key(facts, hash),
            None => cache.key(facts, &body),
        };
        if let Some(response) = cache.get(key) {
            return response.map(Content::Whole);
        }
        let response = self.perform(route, extra, cid, head, body).await;
        cache.put(key, &response);
        response
    }

    /// Has whatever is behind a channel answer a request.
    async fn perform(&self, route: &Route, extra: &Extra, cid: Cid, head: Bytes, body: Bytes) -> Response<Content> {
        if let Some(queue) = &extra.queue {
            return self.keep(route, queue.get(), cid, head, body).await.map(Content::Whole);
        }
        let Some(whitelist) = &extra.json_rpc else {
            return self.call(route, cid, head, body).await;
        };
        let request = RpcRequest {
            dispatch: &*self.front.dispatch,
            whitelist,
            cid,
            channel: &route.head,
            head,
            body: &body,
            timeout: route.timeout,
        };
        request.answer().await.map(Content::Whole)
    }

    /// Stores a request for its service, and says so. What the service could not use is refused at once.
    async fn keep(
        &self,
        route: &Route,
        queue: Option<&Arc<dyn Queue>>,
        cid: Cid,
        head: Bytes,
        body: Bytes,
    ) -> Response<Bytes> {
        let request = match inbound(route, cid, head, body, None) {
            Ok(request) => request,
            Err(response) => return *response,
        };
        if let Err(fault) = self.front.dispatch.check(&request) {
            return respond::fault(&fault, &route.style, cid);
        }
        let unavailable =
            || Fault::new(503, "The request could not be stored, try again later").with_header("Retry-After", "1");
        let Some(queue) = queue else {
            return respond::fault(&unavailable(), &route.style, cid);
        };
        let message = Message {
            cid,
            service: route.service.to_string(),
            head: request.head,
            body: request.body,
            expires: None,
        };
        match queue.put(message).await {
            Ok(()) => respond::accepted(&route.style, cid),
            Err(error) => {
                tracing::error!(%cid, channel = %route.name, error = error.chain(), "cannot store a request of channel `{}`", route.name);
                respond::fault(&unavailable(), &route.style, cid)
            }
        }
    }

    /// Has a service answer a request.
    async fn call(&self, route: &Route, cid: Cid, head: Bytes, body: Bytes) -> Response<Content> {
        let request = match inbound(route, cid, head, body, route.timeout) {
            Ok(request) => request,
            Err(response) => return (*response).map(Content::Whole),
        };
        let outcome = self.front.dispatch.dispatch(request).await;
        respond::outcome(outcome, &route.style, cid)
    }

    /// Reads what is left of a refused request's body, if that is little. False: the connection cannot be used again.
    async fn let_go(&self, body: &mut Incoming, expects: bool) -> bool {
        if body.is_end_stream() {
            return true;
        }
        // a client that waits for a go-ahead does not send the body now, and asking for it would be a go-ahead
        !expects && body.size_hint().lower() <= SKIP as u64 && body::skip(body, SKIP, self.front.limits).await
    }
}

/// A request as the dispatcher takes it. What a SOAP channel gets that is no envelope is answered at once.
fn inbound(
    route: &Route,
    cid: Cid,
    head: Bytes,
    body: Bytes,
    timeout: Option<Duration>,
) -> Result<Inbound, Box<Response<Bytes>>> {
    if let Some(version) = route.style.soap
        && let Err((status, fault)) = soap::check(version, &body, cid)
    {
        return Err(Box::new(respond::soap_fault(version, status, fault, &route.style)));
    }
    Ok(Inbound {
        cid,
        service: Arc::clone(&route.service),
        channel: route.head.clone(),
        head,
        body,
        timeout,
    })
}

fn body_fault(error: &BodyError) -> Fault {
    match error {
        BodyError::TooLarge(max) => Fault::new(413, format!("The request's body is larger than {max} bytes")),
        BodyError::TooSlow => Fault::new(408, "The request's body comes too slowly"),
        BodyError::Broken(_) => Fault::new(400, "The request's body cannot be read"),
    }
}

#[cold]
fn log_start(parts: &Parts, admitted: &Result<Admitted, Box<Response<Bytes>>>, cid: Cid, remote: &str) {
    let channel = admitted.as_ref().map_or("", |admitted| &admitted.route.name);
    tracing::debug!(%cid, method = %parts.method, path = parts.uri.path(), channel, remote, "received a request");
}
