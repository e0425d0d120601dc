//! One request, from its head to its response.

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use percent_encoding::percent_decode_str;

use busbar_model::{Cid, DataFormat, Network};
use busbar_runtime::call::RequestFields;
use busbar_runtime::inbound::{Asking, Certificate, Dispatch, Inbound, Looking, Verdict, Visitor};
use busbar_runtime::queue::{Message, Queue};
use busbar_runtime::stream::Broken;
use busbar_runtime::{Fault, Head, HeadBuilder};

use crate::http::body::{self, BodyError, BodyLimits};
use crate::http::coding::Coding;
use crate::http::config::METHODS;
use crate::http::cors;
use crate::http::extra::Extra;
use crate::http::json_rpc::RpcRequest;
use crate::http::respond::{self, Content, Style};
use crate::http::routes::{Found, Route, Routes};
use crate::http::soap;
use crate::http::watch::{Connection, InFlight};

/// Bodies of refused requests up to this size are read and forgotten, so that the connection can be used again.
const SKIP: usize = 64 * 1024;

/// Headers by which proxies say for whom they ask, most trusted first.
const FORWARDED: [HeaderName; 2] = [
    HeaderName::from_static("x-zato-forwarded-for"),
    HeaderName::from_static("x-forwarded-for"),
];

/// Everything that requests need and share.
pub(crate) struct Front {
    pub(crate) routes: Arc<Routes>,
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
    address: SocketAddr,
    address_text: String,
    is_proxy: bool,
    /// What it presented, checked.
    certificate: Option<Certificate>,
}

/// A request that may be read.
struct Admitted {
    route: Arc<Route>,
    head: Bytes,
    /// How its body is compressed.
    coding: Option<Coding>,
    /// What is still to be found out about the caller.
    pending: Option<Pending>,
}

/// How something is found out about a caller whose head has been read.
enum Pending {
    /// By asking somebody.
    Wait(Asking),
    /// By looking at the body.
    Body(Looking),
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
        if let Some(pending) = admitted.pending.take()
            && let Err(fault) = admitted.settle(pending, &body).await
        {
            return admitted.refuse(&fault, cid).await;
        }
        let Admitted { route, head, .. } = admitted;
        let packed = head.clone();
        let (Some(extra), Some(facts)) = (&route.extra, Head::unpack(&packed)) else {
            return self.call(&route, cid, head, body).await;
        };
        if let Some(audit) = &extra.audit {
            audit.received(cid, &facts, &body);
        }
        let response = match &extra.cache {
            None => self.perform(&route, extra, cid, head, body).await,
            Some(cache) => {
                let key = cache.key(&facts, &body);
                match cache.get(key) {
                    Some(response) => response.map(Content::Whole),
                    None => {
                        let response = self.perform(&route, extra, cid, head, body).await;
                        cache.put(key, &response);
                        response
                    }
                }
            }
        };
        extra.finish(cid, &facts, response).await
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

    /// Everything that is known without the body: is there a channel, and may the caller use it? What the hub refuses here costs no read.
    fn admit(&self, parts: &Parts, cid: Cid) -> Result<Admitted, Box<Response<Bytes>>> {
        let method = parts.method.as_str();
        if !METHODS.contains(&method) {
            let fault = Fault::new(405, "Unsupported HTTP method").with_header("Allow", METHODS.join(", "));
            return Err(Box::new(respond::fault(&fault, &Style::json(), cid)));
        }
        if let Some(coding) = parts.headers.get(header::TRANSFER_ENCODING)
            && !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
        {
            // hyper undoes `chunked` only; what else was done to the body would reach services as it is
            let fault = Fault::new(501, "Unsupported transfer coding");
            return Err(Box::new(respond::fault(&fault, &Style::json(), cid)));
        }
        let Some(path) = decode_path(parts.uri.path()) else {
            let fault = Fault::new(400, "Malformed URL path");
            return Err(Box::new(respond::fault(&fault, &Style::json(), cid)));
        };
        let routes = self.front.routes.load();
        if parts.method == Method::OPTIONS
            && let Some(method) = cors::asked(&parts.headers)
            && let Some(cors) = routes.cors(&path, &method)
        {
            return Err(Box::new(cors.preflight(&parts.headers, &method)));
        }
        let route = match routes.find(&path, &parts.method, &parts.headers) {
            Found::Route(route) => route,
            Found::Inactive(route) => {
                let fault = Fault::new(404, "Channel inactive");
                return Err(Box::new(respond::fault(&fault, &route.style, cid)));
            }
            Found::Method(allow) => {
                let mut response = respond::bare(
                    StatusCode::METHOD_NOT_ALLOWED,
                    format!("Method not allowed (CID:{cid})"),
                );
                let allow = HeaderValue::from_str(&allow).expect("methods are tokens");
                response.headers_mut().insert(header::ALLOW, allow);
                return Err(Box::new(response));
            }
            Found::Nothing => {
                return Err(Box::new(respond::bare(
                    StatusCode::NOT_FOUND,
                    format!("URL not found (CID:{cid})"),
                )));
            }
        };
        let forwarded = self.forwarded(&parts.headers);
        let mut known = None;
        let mut pending = None;
        if let Some(guard) = &route.guard {
            let visitor = Visitor {
                cid,
                method,
                url: &|| self.url(parts),
                query: parts.uri.query().unwrap_or_default(),
                remote: forwarded.unwrap_or(self.address.ip()),
                header: &|name| parts.headers.get(name).map(HeaderValue::as_bytes),
                certificate: self.certificate.as_ref(),
                is_proxied: self.is_proxy,
            };
            match guard.check(&visitor) {
                Verdict::In(admission) => known = admission,
                Verdict::Out(fault) => return Err(Box::new(refused(route, &fault, &parts.headers, cid))),
                Verdict::Wait(waiting) => pending = Some(Pending::Wait(waiting)),
                Verdict::Body(look) => pending = Some(Pending::Body(look)),
            }
        }
        // what has no format is the service's own, compressed or not
        let coding = match parts.headers.get(header::CONTENT_ENCODING) {
            Some(coding) if route.style.format != DataFormat::None => {
                Coding::of(coding).map_err(|fault| Box::new(refused(route, &fault, &parts.headers, cid)))?
            }
            _ => None,
        };
        let channel = match &known {
            Some(identity) => Cow::Owned(route.head.with_identity(identity)),
            None => Cow::Borrowed(&route.head),
        };
        let remote = match forwarded {
            Some(address) => Cow::Owned(SocketAddr::new(address, 0).to_string()),
            None => Cow::Borrowed(&*self.address_text),
        };
        let fields = RequestFields {
            method,
            path: &path,
            query: parts.uri.query().unwrap_or_default(),
            remote: &remote,
        };
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let head = HeadBuilder::request(&channel, fields);
        let params = route.params(&path).into_iter();
        let head = if coding.is_some() {
            // services see what it becomes
            head.finish(
                params,
                headers.filter(|(name, _)| *name != header::CONTENT_ENCODING.as_str()),
            )
        } else {
            head.finish(params, headers)
        };
        Ok(Admitted {
            route: Arc::clone(route),
            head,
            coding,
            pending,
        })
    }

    /// For whom a proxy says that it asks, if it is one that is believed.
    fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.is_proxy {
            return None;
        }
        let forwarded = FORWARDED.iter().find_map(|name| headers.get(name))?;
        first_address(forwarded)
    }

    /// The address that the client used, as far as it can be told.
    fn url(&self, parts: &Parts) -> String {
        let proto = parts.headers.get("x-forwarded-proto").filter(|_| self.is_proxy);
        let own = if self.front.is_tls { "https" } else { "http" };
        let scheme = proto.and_then(|proto| proto.to_str().ok()).unwrap_or(own);
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host
            .or_else(|| parts.uri.authority().map(Authority::as_str))
            .unwrap_or_default();
        format!("{scheme}://{host}{}", parts.uri.path())
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

impl Admitted {
    /// Whether there is nothing to do but to call the service.
    fn is_plain(&self) -> bool {
        self.coding.is_none() && self.route.extra.is_none() && self.pending.is_none()
    }

    /// Finds out what was still to be found out about the caller, and notes who came in.
    async fn settle(&mut self, pending: Pending, body: &[u8]) -> Result<(), Fault> {
        let admission = match pending {
            Pending::Wait(waiting) => waiting.await?,
            Pending::Body(look) => look(body).await?,
        };
        if let Some(identity) = admission {
            let channel = &self.route.head;
            self.head = channel.replace(&self.head, &channel.with_identity(&identity));
        }
        Ok(())
    }

    /// Answers without calling the service.
    async fn refuse(self, fault: &Fault, cid: Cid) -> Response<Content> {
        let response = respond::fault(fault, &self.route.style, cid).map(Content::Whole);
        match (&self.route.extra, Head::unpack(&self.head)) {
            (Some(extra), Some(facts)) => extra.finish(cid, &facts, response).await,
            _ => response,
        }
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

/// The answer to a request that may not be read. Web pages that may call may read it.
fn refused(route: &Route, fault: &Fault, headers: &HeaderMap, cid: Cid) -> Response<Bytes> {
    let mut response = respond::fault(fault, &route.style, cid);
    if let Some(cors) = route.extra.as_ref().and_then(|extra| extra.cors.as_ref()) {
        let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        cors.allow(origin, response.headers_mut());
    }
    response
}

fn body_fault(error: &BodyError) -> Fault {
    match error {
        BodyError::TooLarge(max) => Fault::new(413, format!("The request's body is larger than {max} bytes")),
        BodyError::TooSlow => Fault::new(408, "The request's body comes too slowly"),
        BodyError::Broken(_) => Fault::new(400, "The request's body cannot be read"),
    }
}

/// The client's address: the first of those that a request has passed through. A proxy may add ports to them.
fn first_address(forwarded: &HeaderValue) -> Option<IpAddr> {
    let first = forwarded.to_str().ok()?.split(',').next()?.trim();
    first
        .parse()
        .ok()
        .or_else(|| first.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// Undoes percent-encoding. `None`: an escape is not one, or what it stands for is not text.
fn decode_path(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut escapes = path.split('%').skip(1);
    let are_whole = escapes.all(|escape| {
        escape
            .as_bytes()
            .get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    (are_whole && !decoded.contains('\0')).then_some(decoded)
}

#[cold]
fn log_start(parts: &Parts, admitted: &Result<Admitted, Box<Response<Bytes>>>, cid: Cid, remote: &str) {
    let channel = admitted.as_ref().map_or("", |admitted| &admitted.route.name);
    tracing::debug!(%cid, method = %parts.method, path = parts.uri.path(), channel, remote, "received a request");
}

/// A response's body. Lives until hyper has taken the last of it.
pub(crate) struct Answer {
    content: Content,
    /// The stream broke off; hyper has been given time to send what came before.
    is_broken: bool,
    cid: Cid,
    _in_flight: InFlight,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded() {
        for (path, expected) in [
            ("/a", Some("/a")),
            ("/a%20b%2Fc", Some("/a b/c")),
            ("/%C5%BC", Some("/ż")),
            ("/%c5", None),
            ("/%", None),
            ("/%4", None),
            ("/%zz", None),
            ("/%+1", None),
            ("/%00", None),
            ("/%25", Some("/%")),
        ] {
            assert_eq!(decode_path(path).as_deref(), expected, "{path}");
        }
    }
}
