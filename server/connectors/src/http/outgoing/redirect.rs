//! Where a redirect leads, and what goes along.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderValue};
use http::{HeaderMap, Method};
use url::Url;

use super::address::parse;
use super::connect::Origin;
use super::connection::HttpConnection;
use super::credentials::{Credentials, basic_auth};
use super::message::text;
use super::prepared::{Prepared, user_info};
use super::{HttpFailure, HttpResponse};

impl HttpConnection {
    /// The request that a redirect asks for, as browsers and `requests` understand it.
    pub(super) fn redirect(
        &self,
        call: Prepared,
        response: &HttpResponse,
        location: &str,
    ) -> Result<Prepared, HttpFailure> {
        let Prepared {
            mut method,
            url: from,
            mut headers,
            mut body,
            mut logs_in,
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
            logs_in = false;
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
            logs_in,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

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
