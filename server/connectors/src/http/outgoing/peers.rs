//! Other servers that the hub asks by itself: whoever has keys, and whoever knows of tokens.

use std::sync::Arc;
use std::time::Duration;

use busbar_model::{Error, Kind};
use busbar_runtime::handler::BoxFuture;
use busbar_runtime::peers::{Peer, PeerAddress, PeerAnswer, Peers, Question};
use serde_json::json;
use url::{Position, Url};

use super::connection::HttpConnection;
use super::credentials::Credentials;
use super::message::HttpRequest;
use crate::http::outgoing_config::OutgoingHttp;

/// How long an answer may take. Somebody waits for it who was not even let in.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to one of them at a time; questions beyond wait, within their time.
const POOL_SIZE: u32 = 20;
/// Largest answer, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// Reaches other servers over HTTP.
pub struct HttpPeers {
    component: String,
}

impl HttpPeers {
    /// `component` names this server to them, in the header `X-Zato-Component`.
    pub fn new(component: impl Into<String>) -> Self {
        let component = component.into();
        Self { component }
    }
}

impl Peers for HttpPeers {
    fn open(&self, name: &str, address: &PeerAddress) -> Result<Arc<dyn Peer>, Error> {
        let connection = plain_connection(name, address, POOL_SIZE, TIMEOUT, &self.component)?;
        Ok(Arc::new(HttpPeer(Arc::new(connection))))
    }
}

struct HttpPeer(Arc<HttpConnection>);

impl Peer for HttpPeer {
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<PeerAnswer, Error>> {
        let connection = Arc::clone(&self.0);
        Box::pin(async move {
            let mut request = HttpRequest::new("GET");
            if !question.form.is_empty() {
                request.method = "POST".to_owned();
                request.content_type = Some("application/x-www-form-urlencoded".to_owned());
                let fields = question
                    .form
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()));
                request.body = form(fields).into();
            }
            request.basic_auth = question.basic_auth;
            request.headers = vec![("Accept".to_owned(), "application/json".to_owned())];
            let response = connection.send_plain(request).await.map_err(|failure| {
                let kind = failure.kind();
                Error::new(kind, "it cannot be asked").with_source(failure)
            })?;
            Ok(PeerAnswer {
                status: response.status,
                body: response.body,
            })
        })
    }
}

/// The body of a form.
pub(super) fn form<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// A connection to one address that sends no credentials by itself and follows nobody elsewhere.
pub(super) fn plain_connection(
    name: &str,
    address: &PeerAddress,
    pool_size: u32,
    timeout: Duration,
    component: &str,
) -> Result<HttpConnection, Error> {
    let failed = || format!("cannot use the address `{}` of {name}", address.url);
    let url = Url::parse(&address.url).map_err(|error| Error::new(Kind::Config, failed()).with_source(error))?;
    let config: OutgoingHttp = serde_json::from_value(json!({
        "host": &url[..Position::BeforePath],
        "url_path": &url[Position::BeforePath..Position::AfterQuery],
        "follow_redirects": false,
        "timeout": timeout.as_secs_f64(),
        "pool_size": pool_size,
        "max_response_size": MAX_ANSWER,
        "tls_verify": address.tls_verify,
        "tls_ca_path": address.tls_ca_path,
    }))
    .map_err(|error| Error::new(Kind::Config, failed()).with_source(error))?;
    HttpConnection::build(name, config, Credentials::None, None, component)
        .map_err(Error::from)
        .map_err(|error| Error::new(error.kind(), failed()).with_source(error))
}
