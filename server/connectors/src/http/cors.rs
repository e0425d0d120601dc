//! Calls out of web pages of other sites (http.md 5): off unless a channel lists who may.

use std::collections::HashSet;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use busbar_model::object::FieldError;

use crate::http::config::METHODS;
use crate::http::respond::X_ZATO_CID;

/// Which web pages of other sites may call a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Sites whose pages may call: `https://shop.example`; `*`: all.
    pub origins: Vec<String>,
    /// Headers that their requests may have; empty: those that they ask for.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Headers of answers that pages may read, besides `X-Zato-CID`.
    #[serde(default)]
    pub expose: Vec<String>,
    /// Requests may carry cookies and credentials.
    #[serde(default)]
    pub credentials: bool,
    /// Seconds for which a browser may remember what it was told.
    #[serde(default = "ten_minutes")]
    pub max_age: u32,
}

fn ten_minutes() -> u32 {
    600
}

impl Cors {
    /// Checks what the types of the fields cannot say.
    pub(crate) fn check(&self) -> Result<(), FieldError> {
        let refuse = |message: String| Err(FieldError::new("cors", message));
        if self.origins.is_empty() {
            return refuse("must list at least one of `origins`, such as `https://shop.example`".to_owned());
        }
        for origin in &self.origins {
            if origin == "*" {
                if self.credentials {
                    return refuse("must name its `origins` when `credentials` are allowed: `*` would let every site act for its visitors".to_owned());
                }
                continue;
            }
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            if host.is_empty() || host.contains('/') || HeaderValue::from_str(origin).is_err() {
                return refuse(format!(
                    "has `{origin}` among its `origins`: a scheme and a host are expected, such as `https://shop.example`"
                ));
            }
        }
        for name in self.headers.iter().chain(&self.expose) {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return refuse(format!("names the header `{name}`, which is none"));
            }
        }
        Ok(())
    }
}

/// The same, ready for requests.
pub(crate) struct CorsRules {
    /// `None`: all.
    origins: Option<HashSet<String>>,
    /// `None`: those asked for.
    headers: Option<HeaderValue>,
    expose: HeaderValue,
    credentials: bool,
    max_age: HeaderValue,
}

impl CorsRules {
    pub(crate) fn new(cors: &Cors) -> Self {
        let list = |names: &mut dyn Iterator<Item = &str>| {
            HeaderValue::from_str(&names.collect::<Vec<_>>().join(", "))
                .expect("names of headers can stand in a header")
        };
        Self {
            origins: (!cors.origins.iter().any(|origin| origin == "*"))
                .then(|| cors.origins.iter().map(|origin| origin.to_ascii_lowercase()).collect()),
            headers: (!cors.headers.is_empty()).then(|| list(&mut cors.headers.iter().map(String::as_str))),
            expose: list(
                &mut [X_ZATO_CID.as_str()]
                    .into_iter()
                    .chain(cors.expose.iter().map(String::as_str)),
            ),
            credentials: cors.credentials,
            max_age: HeaderValue::from(cors.max_age),
        }
    }

    /// Adds to an answer what its page needs to read it. A service that says something itself is left alone.
    pub(crate) fn allow(&self, origin: Option<&[u8]>, headers: &mut HeaderMap) {
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        if self.origins.is_some() {
            // an answer to one site must not be kept for another, nor one to none
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, self.expose.clone());
        if self.credentials {
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }

    /// The answer to a browser that asks before it calls.
    pub(crate) fn preflight(&self, request: &HeaderMap, method: &Method) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let origin = request.get(header::ORIGIN).map(HeaderValue::as_bytes);
        let headers = response.headers_mut();
        self.allow(origin, headers);
        if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return response;
        }
        headers.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
        if let Ok(method) = HeaderValue::from_str(method.as_str()) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        let allowed = self
            .headers
            .as_ref()
            .or_else(|| request.get(header::ACCESS_CONTROL_REQUEST_HEADERS));
        if let Some(allowed) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        response
    }

    fn allowed(&self, origin: &[u8]) -> Option<HeaderValue> {
        match &self.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(origins) => {
                let text = std::str::from_utf8(origin).ok()?;
                let known = origins.contains(text) || origins.contains(&text.to_ascii_lowercase());
                known.then(|| HeaderValue::from_bytes(origin).ok()).flatten()
            }
        }
    }
}

/// What a browser asks before it calls: the method that it wants to use. `None`: it does not ask.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Method> {
    headers.get(header::ORIGIN)?;
    let method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()?;
    if METHODS.contains(&method) {
        Method::from_bytes(method.as_bytes()).ok()
    } else {
        None
    }
}

/// Whether a page of another site makes a request: a browser sends the credentials that it remembers for this one along, so those who
/// manage a server would act for whoever made the page. `host`: whom the request is addressed to.
pub(crate) fn is_foreign(headers: &HeaderMap, host: &[u8]) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN).map(HeaderValue::as_bytes) else {
        return false;
    };
    let scheme = origin.windows(3).position(|part| part == b"://");
    // `null` is nobody's
    !scheme.is_some_and(|at| origin[at + 3..].eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors {
            origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            headers: Vec::new(),
            expose: Vec::new(),
            credentials,
            max_age: 5,
        }
    }

    #[test]
    fn origins_are_checked() {
        for (origins, credentials, is_fine) in [
            (&["https://a.example"][..], true, true),
            (&["*"], false, true),
            (&["*"], true, false),
            (&[], false, false),
            (&["a.example"], false, false),
            (&["https://a.example/"], false, false),
            (&["https://a\nb"], false, false),
        ] {
            assert_eq!(cors(origins, credentials).check().is_ok(), is_fine, "{origins:?}");
        }
    }

    #[test]
    fn only_who_is_listed_is_let_in() {
        let rules = CorsRules::new(&cors(&["https://a.example"], true));
        let answer = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            rules.allow(origin.map(str::as_bytes), &mut headers);
            headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned()
        };
        assert_eq!(
            answer(Some("https://a.example")),
            Some(HeaderValue::from_static("https://a.example"))
        );
        for origin in [
            None,
            Some("null"),
            Some("https://b.example"),
            Some("https://a.example.b"),
            Some("http://a.example"),
        ] {
            assert_eq!(answer(origin), None, "{origin:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        let is_foreign = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect();
            is_foreign(&headers, b"127.0.0.1:8183")
        };
        for own in [
            &[][..],
            &[("origin", "http://127.0.0.1:8183")],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8183")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!is_foreign(own), "{own:?}");
        }
        for foreign in [
            ("origin", "http://shop.example"),
            ("origin", "http://127.0.0.1:8184"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(is_foreign(&[foreign]), "{foreign:?}");
        }
    }
}
