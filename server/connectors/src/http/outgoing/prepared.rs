//! A request on its way: what a connection makes of what a service asks for.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use url::{Position, Url};

use super::connect::Origin;
use super::connection::HttpConnection;
use super::credentials::{Credentials, basic_auth};
use super::{HttpFailure, HttpRequest};

const X_ZATO_CID: HeaderName = HeaderName::from_static("x-zato-cid");
const X_ZATO_MSG_TS: HeaderName = HeaderName::from_static("x-zato-msg-ts");

const TIMESTAMP: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");

/// A request on its way.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether it is for those with whom the connection's account may log in (NTLM).
    pub(super) logs_in: bool,
}

impl HttpConnection {
    /// What goes out for a request: the connection's own headers below those of the caller.
    pub(super) fn prepare(
        &self,
        mut url: Url,
        request: HttpRequest,
        token: Option<&str>,
    ) -> Result<Prepared, HttpFailure> {
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
        let mut logs_in = matches!(self.credentials, Credentials::Ntlm(_)) && !map.contains_key(AUTHORIZATION);
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
        logs_in &= !own.contains_key(AUTHORIZATION);
        // `HeaderMap::extend` replaces what is there under a name and appends what comes again
        map.extend(own);
        // the framing follows from the body
        map.remove(CONTENT_LENGTH);
        map.remove(TRANSFER_ENCODING);
        // without an envelope there is nothing to say it in: pings, the WSDL
        let body = match &self.credentials {
            Credentials::Wss(token) if !request.body.is_empty() => {
                token.add_to(&request.body)?.map_or(request.body, Bytes::from)
            }
            _ => request.body,
        };
        Ok(Prepared {
            method,
            url,
            headers: map,
            body,
            logs_in,
        })
    }
}

impl Prepared {
    pub(super) fn to_request(&self, origin: &Origin) -> Result<Request<Full<Bytes>>, HttpFailure> {
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

/// Takes user name and password out of a URL.
pub(super) fn user_info(url: &mut Url) -> Option<(String, String)> {
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
}
