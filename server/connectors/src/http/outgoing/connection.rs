//! One outgoing connection: address, credentials, headers, redirects, time limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::{Error, Kind};
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName,
    HeaderValue, LOCATION, TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use http_body_util::Full;
use hyper::ext::ReasonPhrase;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::address::{Address, parse};
use super::bearer::TokenSource;
use super::connect::{Origin, tls};
use super::decode::decode;
use super::double::{Double, DoubledRequest};
use super::message::{cookies, headers, text};
use super::pool::{Exchanged, Pool};
use super::{HttpFailure, HttpRequest, HttpResponse};
use crate::http::client_cert::SecurityTlsKeyCert;
use crate::http::outgoing_config::OutgoingHttp;

/// Redirects that one call follows.
pub const MAX_REDIRECTS: usize = 30;

/// How long a call without any sensible limit may take.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

const X_ZATO_CID: HeaderName = HeaderName::from_static("x-zato-cid");
const X_ZATO_COMPONENT: HeaderName = HeaderName::from_static("x-zato-component");
const X_ZATO_MSG_TS: HeaderName = HeaderName::from_static("x-zato-msg-ts");

const TIMESTAMP: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");

/// The credentials that a connection sends.
#[derive(Clone, PartialEq)]
pub(super) enum Credentials {
    None,
    Basic {
        username: String,
        password: String,
    },
    ApiKey {
        header: String,
        key: String,
    },
    /// Tokens that are asked for when they are needed.
    Bearer(Arc<TokenSource>),
    /// A TLS certificate.
    Certificate(SecurityTlsKeyCert),
    /// The security definition of this name is switched off.
    Inactive(String),
}

/// One outgoing connection, with its pool.
pub struct HttpConnection {
    name: String,
    config: OutgoingHttp,
    pub(super) credentials: Credentials,
    /// What every request carries.
    defaults: HeaderMap,
    address: Address,
    pool: Arc<Pool>,
    double: Option<Arc<dyn Double>>,
}

impl fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A request on its way.
struct Prepared {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl HttpConnection {
    pub(super) fn build(
        name: &str,
        config: OutgoingHttp,
        credentials: Credentials,
        component: &str,
    ) -> Result<Self, Error> {
        let failed = || format!("cannot set outgoing.http `{name}` up");
        let address = Address::parse(&config.host, &config.url_path)
            .map_err(|failure| Error::new(Kind::Config, failed()).with_source(failure))?;
        let skips = std::env::var("Zato_Skip_TLS_Verify").is_ok_and(|value| is_true(&value));
        let own = match &credentials {
            Credentials::Certificate(certificate) => Some(certificate),
            _ => None,
        };
        let tls = tls(config.tls_verify && !skips, &config.tls_ca_path, own)
            .map_err(|error| Error::new(error.kind(), failed()).with_source(error))?;
        let mut defaults = HeaderMap::new();
        defaults.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("busbar/", env!("CARGO_PKG_VERSION"))),
        );
        defaults.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        defaults.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Ok(component) = HeaderValue::from_str(component) {
            defaults.insert(X_ZATO_COMPONENT, component);
        }
        let invalid =
            |message: String| Error::new(Kind::Config, failed()).with_source(HttpFailure::InvalidRequest(message));
        match &credentials {
            Credentials::Basic { username, password } => {
                defaults.insert(AUTHORIZATION, basic_auth(username, password));
            }
            Credentials::ApiKey { header, key } => {
                let header: HeaderName = header
                    .parse()
                    .map_err(|_| invalid(format!("`{header}` is not a header name")))?;
                let mut key =
                    HeaderValue::from_str(key).map_err(|_| invalid("the API key is not a header value".into()))?;
                key.set_sensitive(true);
                defaults.insert(header, key);
            }
            Credentials::None | Credentials::Bearer(_) | Credentials::Certificate(_) | Credentials::Inactive(_) => {}
        }
        let pool = Pool::new(config.pool_size, tls);
        Ok(Self {
            name: name.to_owned(),
            config,
            credentials,
            defaults,
            address,
            pool,
            double: None,
        })
    }

    /// Lets `double` answer in the place of the back-end.
    pub(super) fn answered_by(mut self, double: Option<Arc<dyn Double>>) -> Self {
        self.double = double;
        self
    }

    /// Name of the object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its configuration.
    pub fn config(&self) -> &OutgoingHttp {
        &self.config
    }

    /// User name and password that it sends, if that is how it says who calls.
    pub fn basic_auth(&self) -> Option<(&str, &str)> {
        match &self.credentials {
            Credentials::Basic { username, password } => Some((username, password)),
            _ => None,
        }
    }

    /// Header and key that it sends, if that is how it says who calls.
    pub fn key_auth(&self) -> Option<(&str, &str)> {
        match &self.credentials {
            Credentials::ApiKey { header, key } => Some((header, key)),
            _ => None,
        }
    }

    /// The definition whose bearer tokens it sends, if that is how it says who calls.
    pub fn bearer_auth(&self) -> Option<&str> {
        match &self.credentials {
            Credentials::Bearer(_) => Some(&self.config.security),
            _ => None,
        }
    }

    /// The certificate that it presents, if that is how it says who calls.
    pub fn certificate(&self) -> Option<&SecurityTlsKeyCert> {
        match &self.credentials {
            Credentials::Certificate(certificate) => Some(certificate),
            _ => None,
        }
    }

    /// Its whole address, names in braces as they are.
    pub fn address(&self) -> &str {
        self.address.as_str()
    }

    /// The names in braces of its address, in order.
    pub fn path_params(&self) -> Vec<String> {
        self.address.names().map(str::to_owned).collect()
    }

    /// Sends a request and reads the whole response. Statuses of 400 and more are responses like any other.
    ///
    /// Must run within a tokio runtime (`Handle::block_on` will do); giving the future up closes the line. The source of an error is a
    /// [`HttpFailure`] except where a security definition is switched off ([`Kind::Inactive`]).
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        self.check_credentials()?;
        let url = self
            .address
            .fill(&request.params)
            .map_err(|failure| failure.into_error(&self.name))?;
        self.authorized(url, request).await
    }

    /// Sends the connection's ping method to `path` of its host, with its credentials, and does not follow redirects.
    pub async fn ping(&self, path: &str, cid: String) -> Result<HttpResponse, Error> {
        self.check_credentials()?;
        let address = Address::parse(&self.config.host, path).map_err(|failure| failure.into_error(&self.name))?;
        let url = address.fill(&[]).map_err(|failure| failure.into_error(&self.name))?;
        let request = HttpRequest {
            cid,
            allow_redirects: Some(false),
            ..HttpRequest::new(self.config.ping_method.clone())
        };
        self.authorized(url, request).await
    }

    /// Sends a request with a bearer token, if that is what the connection has and the caller brings no credentials. A token that was
    /// kept and is not accepted is replaced, and the request sent again, once.
    async fn authorized(&self, url: Url, request: HttpRequest) -> Result<HttpResponse, Error> {
        let deadline = Instant::now() + self.limit(&request);
        let failed = |failure: HttpFailure| failure.into_error(&self.name);
        let has_own = |(name, _): &(String, String)| name.trim().eq_ignore_ascii_case("authorization");
        let source = match &self.credentials {
            Credentials::Bearer(source) if request.basic_auth.is_none() && !request.headers.iter().any(has_own) => {
                source
            }
            _ => return self.run(url, request, None, deadline).await.map_err(failed),
        };
        let token = source.get("", None, deadline).await?;
        let response = self
            .run(url.clone(), request.clone(), Some(&token.text), deadline)
            .await;
        let response = response.map_err(failed)?;
        if response.status != 401 || token.is_new {
            return Ok(response);
        }
        let renewed = source.get("", Some(&token.text), deadline).await?;
        self.run(url, request, Some(&renewed.text), deadline)
            .await
            .map_err(failed)
    }

    /// Sends a request to the connection's own address as it is, without the tokens of others.
    pub(super) async fn send_plain(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let deadline = Instant::now() + self.limit(&request);
        let url = self.address.fill(&request.params)?;
        self.run(url, request, None, deadline).await
    }

    /// How long the whole call may take.
    fn limit(&self, request: &HttpRequest) -> Duration {
        request
            .timeout
            .unwrap_or_else(|| Duration::from_secs_f64(self.config.timeout))
            .min(FOREVER)
    }

    fn check_credentials(&self) -> Result<(), Error> {
        match &self.credentials {
            Credentials::Inactive(security) => Err(Error::new(
                Kind::Inactive,
                format!(
                    "cannot call outgoing.http `{}`: security definition `{security}` is inactive",
                    self.name
                ),
            )),
            _ => Ok(()),
        }
    }

    async fn run(
        &self,
        url: Url,
        request: HttpRequest,
        token: Option<&str>,
        deadline: Instant,
    ) -> Result<HttpResponse, HttpFailure> {
        let limit = self.limit(&request);
        let follows = request.allow_redirects.unwrap_or(self.config.follow_redirects);
        let mut call = self.prepare(url, request, token)?;
        let _permit = timeout_at(deadline, self.pool.permit())
            .await
            .map_err(|_late| HttpFailure::PoolTimeout(self.pool.size()))?;
        let mut history: Vec<HttpResponse> = Vec::new();
        loop {
            let (mut response, location) = self.exchange(&call, deadline, limit).await?;
            let Some(location) = location.filter(|_| follows) else {
                response.history = history;
                return Ok(response);
            };
            if history.len() == MAX_REDIRECTS {
                return Err(HttpFailure::TooManyRedirects(MAX_REDIRECTS));
            }
            call = self.redirect(call, &response, &location)?;
            history.push(response);
        }
    }

    fn prepare(&self, mut url: Url, request: HttpRequest, token: Option<&str>) -> Result<Prepared, HttpFailure> {
        let invalid = |message: String| HttpFailure::InvalidRequest(message);
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid(format!("`{}` is not an HTTP method", request.method)))?;
        let mut map = self.defaults.clone();
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| invalid("the bearer token is not a header value".into()))?;
            value.set_sensitive(true);
            map.insert(AUTHORIZATION, value);
        }
        if let Some((username, password)) = user_info(&mut url) {
            map.insert(AUTHORIZATION, basic_auth(&username, &password));
        }
        if let Some((username, password)) = &request.basic_auth {
            map.insert(AUTHORIZATION, basic_auth(username, password));
        }
        if !request.cid.is_empty() {
            let cid =
                HeaderValue::from_str(&request.cid).map_err(|_| invalid("the cid is not a header value".into()))?;
            map.insert(X_ZATO_CID, cid);
        }
        map.insert(X_ZATO_MSG_TS, timestamp(OffsetDateTime::now_utc()));
        let content_type = match &request.content_type {
            Some(content_type) => Some(content_type.as_str()),
            None if request.body.is_empty() => None,
            None if self.config.content_type.is_empty() => Some(self.config.data_format.content_type()),
            None => Some(self.config.content_type.as_str()),
        };
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_str(content_type)
                .map_err(|_| invalid(format!("`{content_type}` is not a content type")))?;
            map.insert(CONTENT_TYPE, value);
        }
        let mut own = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let header: HeaderName = name
                .trim()
                .parse()
                .map_err(|_| invalid(format!("`{name}` is not a header name")))?;
            let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| {
                invalid(format!(
                    "the value of header `{name}` holds characters that a header cannot"
                ))
            })?;
            own.append(header, value);
        }
        // `HeaderMap::extend` replaces what is there under a name and appends what comes again
        map.extend(own);
        // the framing follows from the body
        map.remove(CONTENT_LENGTH);
        map.remove(TRANSFER_ENCODING);
        Ok(Prepared {
            method,
            url,
            headers: map,
            body: request.body,
        })
    }

    /// Sends a request over an idle line, or a new one. A request that an idle line has swallowed goes once more over a new one, if
    /// nothing of it was sent or sending it twice does no harm.
    async fn exchange(
        &self,
        call: &Prepared,
        deadline: Instant,
        limit: Duration,
    ) -> Result<(HttpResponse, Option<String>), HttpFailure> {
        let late = || HttpFailure::ReadTimeout(limit.as_secs_f64());
        let origin = Origin::of(&call.url);
        let started = std::time::Instant::now();
        if let Some(double) = &self.double {
            return self.response(call, self.doubled(&**double, call, &origin, limit)?, started);
        }
        let mut line = self.pool.take(&origin);
        let exchanged = loop {
            let is_new = line.is_none();
            let mut current = match line.take() {
                Some(line) => line,
                None => timeout_at(deadline, self.pool.open(&origin))
                    .await
                    .map_err(|_late| HttpFailure::ConnectTimeout(origin.to_string()))??,
            };
            let request = call.to_request(&origin)?;
            match timeout_at(deadline, current.exchange(request, self.config.max_response_size)).await {
                Err(_late) => return Err(late()),
                Ok(Ok((exchanged, is_reusable))) => {
                    if is_reusable {
                        self.pool.put_back(origin, current);
                    }
                    break exchanged;
                }
                Ok(Err(failed)) if !is_new && (failed.is_unsent || failed.is_stale && call.method.is_idempotent()) => {
                    tracing::debug!(conn.name = %self.name, "sending again over a new line");
                }
                Ok(Err(failed)) => return Err(failed.failure),
            }
        };
        self.response(call, exchanged, started)
    }

    fn doubled(
        &self,
        double: &dyn Double,
        call: &Prepared,
        origin: &Origin,
        limit: Duration,
    ) -> Result<Exchanged, HttpFailure> {
        let request = call.to_request(origin)?;
        let response = double.answer(&DoubledRequest {
            connection: &self.name,
            address: &origin.to_string(),
            method: request.method(),
            url: call.url.as_str(),
            headers: request.headers(),
            body: &call.body,
            limit: limit.as_secs_f64(),
        })?;
        let (head, body) = response.into_parts();
        if body.len() as u64 > self.config.max_response_size {
            return Err(HttpFailure::TooLarge(self.config.max_response_size));
        }
        Ok(Exchanged {
            head,
            body,
            head_at: std::time::Instant::now(),
        })
    }

    fn response(
        &self,
        call: &Prepared,
        exchanged: Exchanged,
        started: std::time::Instant,
    ) -> Result<(HttpResponse, Option<String>), HttpFailure> {
        let Exchanged { head, body, head_at } = exchanged;
        let is_redirect = matches!(
            head.status,
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        let location = head
            .headers
            .get(LOCATION)
            .filter(|_| is_redirect)
            .map(|value| text(value.as_bytes()));
        let body = match head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()) {
            // what a redirect's own body holds does not matter
            Some(encoding) if location.is_none() => decode(encoding, body, self.config.max_response_size)?,
            _ => body,
        };
        let reason = match head.extensions.get::<ReasonPhrase>() {
            Some(reason) => text(reason.as_bytes()),
            None => head.status.canonical_reason().unwrap_or_default().to_owned(),
        };
        let response = HttpResponse {
            status: head.status.as_u16(),
            reason,
            version: if head.version == Version::HTTP_10 { 10 } else { 11 },
            headers: headers(&head.headers),
            body,
            url: call.url.to_string(),
            elapsed: head_at.saturating_duration_since(started),
            cookies: cookies(&head.headers),
            history: Vec::new(),
            method: call.method.to_string(),
            sent: call.headers.clone(),
        };
        Ok((response, location))
    }

    /// The request that a redirect asks for, as browsers and `requests` understand it.
    fn redirect(&self, call: Prepared, response: &HttpResponse, location: &str) -> Result<Prepared, HttpFailure> {
        let Prepared {
            mut method,
            url: from,
            mut headers,
            mut body,
        } = call;
        let mut url = match from.join(location) {
            Ok(url) => parse(url.as_str())?,
            Err(error) => {
                return Err(HttpFailure::InvalidUrl {
                    url: location.to_owned(),
                    reason: error.to_string(),
                });
            }
        };
        let becomes_get = match response.status {
            303 | 302 => method != Method::HEAD,
            301 => method == Method::POST,
            _ => false,
        };
        if becomes_get {
            method = Method::GET;
        }
        if !matches!(response.status, 307 | 308) {
            body = Bytes::new();
            headers.remove(CONTENT_TYPE);
        }
        // whoever the first host points to must not get what was meant for that host
        if is_elsewhere(&from, &url) {
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
            headers.remove(HOST);
            if let Credentials::ApiKey { header, .. } = &self.credentials {
                headers.remove(header);
            }
        } else {
            add_cookies(&mut headers, &response.cookies);
        }
        if let Some((username, password)) = user_info(&mut url) {
            headers.insert(AUTHORIZATION, basic_auth(&username, &password));
        }
        Ok(Prepared {
            method,
            url,
            headers,
            body,
        })
    }
}

impl Prepared {
    fn to_request(&self, origin: &Origin) -> Result<Request<Full<Bytes>>, HttpFailure> {
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        let invalid = |reason: String| HttpFailure::InvalidUrl {
            url: self.url.to_string(),
            reason,
        };
        let uri = Uri::try_from(target).map_err(|error| invalid(error.to_string()))?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if !self.headers.contains_key(HOST) {
            let host = if origin.has_default_port() {
                origin.host().to_owned()
            } else {
                origin.to_string()
            };
            let host = HeaderValue::from_str(&host).map_err(|error| invalid(error.to_string()))?;
            request.headers_mut().insert(HOST, host);
        }
        Ok(request)
    }
}

/// Whether credentials for `from` are none of the business of `to`: another host or port, or TLS given up. The same host going from
/// plain HTTP to HTTPS on their own ports is the same place.
fn is_elsewhere(from: &Url, to: &Url) -> bool {
    let (old, new) = (Origin::of(from), Origin::of(to));
    let upgraded = old.host() == new.host()
        && !old.is_https()
        && new.is_https()
        && old.has_default_port()
        && new.has_default_port();
    old != new && !upgraded
}

/// Sends the cookies of a redirect along to the next step, as log-ins need it.
fn add_cookies(headers: &mut HeaderMap, new: &[(String, String)]) {
    if new.is_empty() {
        return;
    }
    let old = headers
        .get(COOKIE)
        .map(|value| text(value.as_bytes()))
        .unwrap_or_default();
    let kept = old
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| !new.iter().any(|(other, _)| other == name));
    let new = new.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = kept
        .chain(new)
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("; ");
    if let Ok(value) = HeaderValue::from_str(&all) {
        headers.insert(COOKIE, value);
    }
}

/// Takes user name and password out of a URL.
fn user_info(url: &mut Url) -> Option<(String, String)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let found = (decode(url.username()), decode(url.password().unwrap_or_default()));
    // cannot fail for a URL that has a host
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(found)
}

fn basic_auth(username: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
    let mut value = HeaderValue::try_from(text).expect("base64 is a header value");
    value.set_sensitive(true);
    value
}

fn is_true(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on" | "y" | "t"
    )
}

/// `2024-02-29T12:34:56.123456`, UTC.
fn timestamp(moment: OffsetDateTime) -> HeaderValue {
    let text = moment
        .format(TIMESTAMP)
        .expect("a time in UTC has all that the format asks for");
    HeaderValue::try_from(text).expect("digits are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timestamp_is_a_civil_date() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000"),
            (951_782_399, "2000-02-28T23:59:59.000000"),
            (951_868_799, "2000-02-29T23:59:59.000000"),
            (4_107_542_400, "2100-03-01T00:00:00.000000"),
        ] {
            assert_eq!(
                timestamp(OffsetDateTime::from_unix_timestamp(seconds).unwrap()),
                expected
            );
        }
    }

    #[test]
    fn credentials_follow_to_the_same_place_only() {
        let elsewhere = |from: &str, to: &str| is_elsewhere(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
        assert!(!elsewhere("http://a/x", "http://a/y"));
        assert!(!elsewhere("http://a/x", "https://a/y"));
        assert!(elsewhere("https://a/x", "http://a/y"));
        assert!(elsewhere("http://a:1/x", "http://a:2/y"));
        assert!(elsewhere("http://a/x", "http://b/x"));
    }
}
