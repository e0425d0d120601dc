//! What services send and what they get back.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

/// One request, before the connection adds its address, credentials and headers.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Method: `GET`, `POST`...
    pub method: String,
    /// Names in braces of the address are filled from these; the others become the query, in order. A name may be repeated.
    pub params: Vec<(String, String)>,
    /// Headers of the caller. They replace those which the connection would send under the same names.
    pub headers: Vec<(String, String)>,
    /// The body, written out.
    pub body: Bytes,
    /// Content type of the body; `None`: the connection's. A `Content-Type` among the headers wins. Not sent with an empty body unless
    /// it is given here.
    pub content_type: Option<String>,
    /// Correlation id, sent along; empty: none is sent.
    pub cid: String,
    /// How long the whole call may take, redirects and body included; `None`: what the connection says.
    pub timeout: Option<Duration>,
    /// Whether redirects are followed; `None`: what the connection says.
    pub allow_redirects: Option<bool>,
    /// Instead of the basic auth or API key of the connection: this user name and password. Empty names and passwords are sent as such.
    pub basic_auth: Option<(String, String)>,
}

impl HttpRequest {
    /// A request without anything but its method.
    pub fn new(method: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            params: Vec::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            content_type: None,
            cid: String::new(),
            timeout: None,
            allow_redirects: None,
            basic_auth: None,
        }
    }
}

/// A response, whole.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// Status, 100-999.
    pub status: u16,
    /// Reason phrase as it was received; the standard one if there was none.
    pub reason: String,
    /// Protocol version as `requests` shows it: 10 or 11.
    pub version: u8,
    /// Headers, names like `Content-Type`, values read as UTF-8 or else as Latin-1; a name may be repeated.
    pub headers: Vec<(String, String)>,
    /// The body with gzip and deflate undone. Other content encodings are left as they are.
    pub body: Bytes,
    /// Address that answered, after redirects.
    pub url: String,
    /// From sending the request to the end of the response's head.
    pub elapsed: Duration,
    /// Cookies that the response set, in order. They are not kept for later calls.
    pub cookies: Vec<(String, String)>,
    /// The redirects that led here, first one first, each without a history of its own.
    pub history: Vec<HttpResponse>,
    /// Method of the request that was answered: a redirect may have made it a `GET`.
    pub method: String,
    pub(super) sent: HeaderMap,
}

impl HttpResponse {
    /// The first value of a header, whatever the case of `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Headers of the request that was answered. Holds credentials: not for logs.
    pub fn sent_headers(&self) -> Vec<(String, String)> {
        headers(&self.sent)
    }
}

/// Headers as services see them.
pub(super) fn headers(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| (title_case(name.as_str()), text(value.as_bytes())))
        .collect()
}

/// `content-type` to `Content-Type`.
fn title_case(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            c
        })
        .collect()
}

/// Header values have no encoding of their own: UTF-8 if they are that, else one byte a character.
pub(super) fn text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// Name and value of every cookie that `map` sets.
pub(super) fn cookies(map: &HeaderMap) -> Vec<(String, String)> {
    map.get_all(http::header::SET_COOKIE)
        .iter()
        .filter_map(|value| {
            let value = text(value.as_bytes());
            let (name, value) = value.split(';').next()?.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}
