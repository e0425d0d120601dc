//! Whether a request may be read at all: everything that its head tells.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Response, StatusCode, Version};
use percent_encoding::percent_decode_str;

use busbar_model::{Cid, DataFormat};
use busbar_runtime::call::RequestFields;
use busbar_runtime::inbound::{Asking, Looking, Verdict, Visitor};
use busbar_runtime::{Fault, Head, HeadBuilder};

use crate::http::coding::Coding;
use crate::http::config::METHODS;
use crate::http::cors;
use crate::http::front::Client;
use crate::http::respond::{self, Content, Style};
use crate::http::routes::{Found, Route};

/// Headers by which proxies say for whom they ask, most trusted first.
const FORWARDED: [HeaderName; 2] = [
    HeaderName::from_static("x-zato-forwarded-for"),
    HeaderName::from_static("x-forwarded-for"),
];

/// A request that may be read.
pub(super) struct Admitted {
    pub(super) route: Arc<Route>,
    pub(super) head: Bytes,
    /// How its body is compressed.
    pub(super) coding: Option<Coding>,
    /// What is still to be found out about the caller.
    pub(super) pending: Option<Pending>,
}

/// How something is found out about a caller whose head has been read.
pub(super) enum Pending {
    /// By asking somebody.
    Wait(Asking),
    /// By looking at the body.
    Body(Looking),
}

impl Client {
    /// Everything that is known without the body: is there a channel, and may the caller use it? What the hub refuses here costs no read.
    pub(super) fn admit(&self, parts: &Parts, cid: Cid) -> Result<Admitted, Box<Response<Bytes>>> {
        let method = parts.method.as_str();
        if !METHODS.contains(&method) {
            let fault = Fault::new(405, "Unsupported HTTP method").with_header("Allow", METHODS.join(", "));
            return Err(Box::new(respond::fault(&fault, &Style::json(), cid)));
        }
        if parts.version == Version::HTTP_11 && !names_host(&parts.headers) {
            let fault = Fault::new(400, "One Host header is required, with a host and perhaps a port");
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
        if route.style.is_management && cors::is_foreign(&parts.headers, host(parts).as_bytes()) {
            let fault = Fault::new(403, "Pages of other sites may not manage the server");
            return Err(Box::new(respond::fault(&fault, &route.style, cid)));
        }
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
        format!("{scheme}://{}{}", host(parts), parts.uri.path())
    }
}

impl Admitted {
    /// Whether there is nothing to do but to call the service.
    pub(super) fn is_plain(&self) -> bool {
        self.coding.is_none() && self.route.extra.is_none() && self.pending.is_none() && self.route.style.soap.is_none()
    }

    /// Finds out what was still to be found out about the caller, and notes who came in.
    pub(super) async fn settle(&mut self, pending: Pending, body: &[u8]) -> Result<(), Fault> {
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
    pub(super) async fn refuse(self, fault: &Fault, cid: Cid) -> Response<Content> {
        let response = respond::fault(fault, &self.route.style, cid).map(Content::Whole);
        match (&self.route.extra, Head::unpack(&self.head)) {
            (Some(extra), Some(facts)) => extra.finish(cid, &facts, response).await,
            _ => response,
        }
    }
}

/// Whether there is one `Host`, which may be empty but is no more than an authority (RFC 9112, 3.2). With several, those who pass a
/// request on and those who answer it might not mean the same one.
fn names_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"/?#@,\\\"<>{}|^`".contains(byte);
    host.as_bytes().iter().all(is_allowed)
}

/// Whom a request is addressed to; empty if it does not say.
fn host(parts: &Parts) -> &str {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.or_else(|| parts.uri.authority().map(Authority::as_str))
        .unwrap_or_default()
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
