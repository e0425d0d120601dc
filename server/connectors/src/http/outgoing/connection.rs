//! One outgoing connection: sends requests within their time, over lines of its pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use busbar_model::{Error, Kind};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{HeaderMap, StatusCode, Version};
use hyper::ext::ReasonPhrase;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::address::Address;
use super::connect::{Origin, Trust, tls};
use super::credentials::Credentials;
use super::decode::decode;
use super::double::{Double, DoubledRequest};
use super::message::{cookies, headers, text};
use super::pool::{Exchanged, Pool};
use super::prepared::Prepared;
use super::{HttpFailure, HttpRequest, HttpResponse};
use crate::check::Unfit;
use crate::http::ca_cert::SecurityTlsCaCert;
use crate::http::client_cert::SecurityTlsKeyCert;
use crate::http::outgoing_config::OutgoingHttp;

/// Redirects that one call follows.
pub const MAX_REDIRECTS: usize = 30;

/// How long a call without any sensible limit may take.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

const X_ZATO_COMPONENT: HeaderName = HeaderName::from_static("x-zato-component");
/// One outgoing connection, with its pool.
pub struct HttpConnection {
    name: String,
    /// What it is called in messages.
    title: String,
    pub(super) config: OutgoingHttp,
    pub(super) credentials: Credentials,
    /// Whom it trusts, if that is not in a file.
    pub(super) authority: Option<SecurityTlsCaCert>,
    /// What every request carries.
    pub(super) defaults: HeaderMap,
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

impl HttpConnection {
    pub(super) fn build(
        name: &str,
        config: OutgoingHttp,
        credentials: Credentials,
        authority: Option<SecurityTlsCaCert>,
        component: &str,
    ) -> Result<Self, Unfit> {
        let failed = || format!("cannot set outgoing.http `{name}` up");
        let address = Address::parse(&config.host, &config.url_path)
            .map_err(|failure| Error::new(Kind::Config, failed()).with_source(failure))
            .map_err(Unfit::of("host"))?;
        let skips = std::env::var("Zato_Skip_TLS_Verify").is_ok_and(|value| is_true(&value));
        let own = match &credentials {
            Credentials::Certificate(certificate) => Some(certificate),
            _ => None,
        };
        let trust = match &authority {
            Some(authority) if config.tls_verify && !skips => Trust::Definition(authority),
            _ => Trust::new(config.tls_verify && !skips, &config.tls_ca_path),
        };
        let trusted = match own {
            Some(_) if config.tls_ca_path.is_empty() => "security",
            _ if authority.is_some() => "tls_ca_cert",
            _ => "tls_ca_path",
        };
        let tls = tls(trust, own)
            .map_err(|error| Error::new(error.kind(), failed()).with_source(error))
            .map_err(Unfit::of(trusted))?;
        let mut defaults = HeaderMap::new();
        defaults.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("busbar/", env!("CARGO_PKG_VERSION"))),
        );
        defaults.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        defaults.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if let Ok(component) = HeaderValue::from_str(component)
            && !component.is_empty()
        {
            defaults.insert(X_ZATO_COMPONENT, component);
        }
        let invalid =
            |message: String| Error::new(Kind::Config, failed()).with_source(HttpFailure::InvalidRequest(message));
        credentials
            .add_to(&mut defaults)
            .map_err(invalid)
            .map_err(Unfit::of("security"))?;
        let pool = Pool::new(config.pool_size, tls);
        Ok(Self {
            name: name.to_owned(),
            title: format!("outgoing.http `{name}`"),
            config,
            credentials,
            authority,
            defaults,
            address,
            pool,
            double: None,
        })
    }

    /// Calls it otherwise in messages: it is a part of something else.
    pub(super) fn called(mut self, title: String) -> Self {
        self.title = title;
        self
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

    /// User name, password and whether a digest is sent of it, if it says who calls in the header of envelopes.
    pub fn wss_auth(&self) -> Option<(&str, &str, bool)> {
        match &self.credentials {
            Credentials::Wss(token) => Some((&token.username, &token.password, token.is_digest)),
            _ => None,
        }
    }

    /// User name, with its domain, and password of its log-in, if that is how it says who calls.
    pub fn ntlm_auth(&self) -> Option<(String, &str)> {
        match &self.credentials {
            Credentials::Ntlm(account) => Some((account.name(), account.password())),
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
            .map_err(|failure| failure.into_error(&self.title))?;
        self.authorized(url, request).await
    }

    /// Sends the connection's ping method to `path` of its host, with its credentials, and does not follow redirects.
    pub async fn ping(&self, path: &str, cid: String) -> Result<HttpResponse, Error> {
        self.check_credentials()?;
        let address = Address::parse(&self.config.host, path).map_err(|failure| failure.into_error(&self.title))?;
        let url = address.fill(&[]).map_err(|failure| failure.into_error(&self.title))?;
        let request = HttpRequest {
            cid,
            allow_redirects: Some(false),
            ..HttpRequest::new(self.config.ping_method.clone())
        };
        self.authorized(url, request).await
    }

    /// Sends a request with a bearer token, if that is what the connection has and the caller brings no credentials. A token that was
    /// kept and is not accepted is replaced, and the request sent again, once.
    pub(super) async fn authorized(&self, url: Url, request: HttpRequest) -> Result<HttpResponse, Error> {
        let deadline = Instant::now() + self.limit(&request);
        let failed = |failure: HttpFailure| failure.into_error(&self.title);
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
        // a line that is logged in is not for requests that bring credentials of their own
        let account = match &self.credentials {
            Credentials::Ntlm(account) => Some(account),
            _ => None,
        };
        let shares = account.is_none() || call.logs_in;
        let mut line = if shares { self.pool.take(&origin) } else { None };
        let exchanged = loop {
            let is_new = line.is_none();
            let mut current = match line.take() {
                Some(line) => line,
                None => timeout_at(deadline, self.pool.open(&origin))
                    .await
                    .map_err(|_late| HttpFailure::ConnectTimeout(origin.to_string()))??,
            };
            let max = self.config.max_response_size;
            let exchange = async {
                match account.filter(|_| call.logs_in) {
                    Some(account) => account.exchange(&mut current, call, &origin, max).await,
                    None => current.exchange(call.to_request(&origin)?, max).await,
                }
            };
            match timeout_at(deadline, exchange).await {
                Err(_late) => return Err(late()),
                Ok(Ok((exchanged, is_reusable))) => {
                    if is_reusable && shares {
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
}

fn is_true(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on" | "y" | "t"
    )
}
