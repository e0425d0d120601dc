//! `[http]` of the server's settings: addresses and limits of the inbound side.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use busbar_model::Network;

/// What the HTTP server listens on, and what it bears with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// `host:port` to listen on; port 0 takes a free one.
    pub address: String,
    /// Speak TLS there. Not set: plain HTTP.
    pub tls: Option<Tls>,
    /// Bytes of a request's body at most; larger ones get 413.
    pub max_body: usize,
    /// Bytes of a request's line and headers at most (8192 or more); larger ones get 431.
    pub max_head: usize,
    /// Headers of a request at most; more get 431. Values other than the default of 100 make each request a little slower.
    pub max_headers: usize,
    /// Seconds from the first byte of a request to the last one of its headers; also from a new connection to its first byte.
    pub head_timeout_secs: u64,
    /// Seconds that a connection may stay open between two requests.
    pub idle_timeout_secs: u64,
    /// Seconds that a client may leave a response unread before it is cut off.
    pub write_timeout_secs: u64,
    /// Bytes per second that a body must come with on average over five seconds; slower ones get 408. 0: no limit.
    pub min_body_rate: u64,
    /// Connections at once. Beyond, new ones wait until others close; idle ones are then closed early.
    pub max_connections: usize,
    /// The `Server` header; empty: none is sent.
    pub server_header: String,
    /// Content types of answers whose service chose none.
    pub content_types: ContentTypes,
    /// Bytes that the answers of all channels with a cache may take.
    pub cache_max_bytes: usize,
    /// Put what services answer on SOAP channels into envelopes. Not: they write whole envelopes themselves.
    pub use_soap_envelope: bool,
    /// Addresses or networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` and `X-Zato-Forwarded-For` are believed.
    pub trusted_proxies: Vec<Network>,
    /// Who may read what can be called: `/openapi.json` and the page `/openapi`.
    pub openapi: OpenApiAccess,
}

/// Who may read what can be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenApiAccess {
    /// Nobody: it is not there.
    Off,
    /// Whoever has the credentials of `pubapi`, with which every service can be called anyway.
    #[default]
    Protected,
    /// Everybody.
    Open,
}

/// Where the server's certificate lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate, followed by intermediate ones if there are any. A relative path starts at the server's `config/`.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose certificates clients may present. Not set: clients are not asked for any.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Clients without a certificate are turned away when they connect; otherwise channels decide.
    #[serde(default)]
    pub client_required: bool,
}

/// Content types of answers whose service chose none, by what the channel speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContentTypes {
    /// Of JSON channels.
    pub json: String,
    /// Of XML channels.
    pub plain_xml: String,
    /// Of SOAP 1.1 channels.
    pub soap11: String,
    /// Of SOAP 1.2 channels.
    pub soap12: String,
}

impl Default for ContentTypes {
    fn default() -> Self {
        Self {
            json: "application/json".to_owned(),
            plain_xml: "application/xml".to_owned(),
            soap11: "text/xml; charset=UTF-8".to_owned(),
            soap12: "application/soap+xml; charset=utf-8".to_owned(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:11223".to_owned(),
            tls: None,
            max_body: 8 * 1024 * 1024,
            max_head: 64 * 1024,
            max_headers: 100,
            head_timeout_secs: 10,
            idle_timeout_secs: 75,
            write_timeout_secs: 60,
            min_body_rate: 240,
            max_connections: 20_000,
            server_header: "busbar".to_owned(),
            content_types: ContentTypes::default(),
            cache_max_bytes: 64 * 1024 * 1024,
            use_soap_envelope: true,
            trusted_proxies: Vec::new(),
            openapi: OpenApiAccess::default(),
        }
    }
}

impl HttpConfig {
    /// Makes relative paths start at `directory`.
    #[must_use]
    pub fn in_directory(mut self, directory: &Path) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.certificate = directory.join(&tls.certificate);
            tls.key = directory.join(&tls.key);
            if let Some(client_ca) = &mut tls.client_ca {
                *client_ca = directory.join(&*client_ca);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<HttpConfig>(r#"{"adress": "x"}"#).is_err());
        let config: HttpConfig = serde_json::from_str(r#"{"trusted_proxies": ["10.0.0.0/8"]}"#).unwrap();
        assert_eq!(config.max_body, 8 << 20);
    }
}
