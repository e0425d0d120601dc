//! Stand-ins for back-ends, for tests of services.

use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use super::HttpFailure;

/// Answers requests in the place of back-ends. Everything else of a connection stays as it is: what it adds to requests, redirects, how
/// a response is read.
pub trait Double: Send + Sync + 'static {
    /// What the back-end answers, or how it fails. Must not wait for long.
    fn answer(&self, request: &DoubledRequest<'_>) -> Result<Response<Bytes>, HttpFailure>;
}

/// A request that would have been sent.
#[derive(Debug)]
pub struct DoubledRequest<'a> {
    /// Name of the connection.
    pub connection: &'a str,
    /// Host and port.
    pub address: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Its address, without user name and password.
    pub url: &'a str,
    /// Its headers, credentials included.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a Bytes,
    /// Seconds that the call may take.
    pub limit: f64,
}
