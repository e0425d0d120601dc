//! An API that a connector of another kind speaks, with bearer tokens of its own.

use std::sync::Arc;

use busbar_model::bearer_token::SecurityBearerToken;
use busbar_model::{Error, Kind};
use serde_json::json;
use url::Url;

use super::bearer::TokenSource;
use super::connection::HttpConnection;
use super::credentials::Credentials;
use super::message::{HttpRequest, HttpResponse};
use crate::http::outgoing_config::OutgoingHttp;

/// What such a connector says of an API.
pub(crate) struct ApiConfig {
    /// Whose it is, for messages: ``email.imap `Orders` ``.
    pub(crate) owner: String,
    /// Scheme, host and port.
    pub(crate) host: String,
    /// Where its tokens come from.
    pub(crate) tokens: SecurityBearerToken,
    /// Seconds that a request may take.
    pub(crate) timeout: f64,
    /// Requests at a time.
    pub(crate) pool_size: u32,
    /// Largest answer, in bytes.
    pub(crate) max_response_size: u64,
    pub(crate) tls_verify: bool,
    pub(crate) tls_ca_path: String,
}

/// Sends requests to one API.
pub(crate) struct ApiClient(HttpConnection);

impl ApiClient {
    /// Opens nothing yet.
    pub(crate) fn build(config: ApiConfig) -> Result<Self, Error> {
        let connection: OutgoingHttp = serde_json::from_value(json!({
            "host": config.host,
            "follow_redirects": false,
            "timeout": config.timeout,
            "pool_size": config.pool_size,
            "max_response_size": config.max_response_size,
            "tls_verify": config.tls_verify,
            "tls_ca_path": config.tls_ca_path,
        }))
        .map_err(|error| {
            Error::new(Kind::Config, format!("cannot use the API of {}", config.owner)).with_source(error)
        })?;
        let tokens = TokenSource::build(&config.owner, config.tokens, "", None)?;
        let credentials = Credentials::Bearer(Arc::new(tokens));
        let connection = HttpConnection::build(&config.owner, connection, credentials, None, "")?;
        Ok(Self(connection.called(format!("the API of {}", config.owner))))
    }

    /// Sends a request to an address of the API. Statuses of 400 and more are responses like any other.
    pub(crate) async fn send(&self, url: Url, request: HttpRequest) -> Result<HttpResponse, Error> {
        self.0.authorized(url, request).await
    }
}
