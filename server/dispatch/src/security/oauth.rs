//! `security.oauth`: requests signed as OAuth 1.0 has it (RFC 5849), by callers that have a key and a secret and no token.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use busbar_model::Cid;
use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use busbar_model::rate_limit::RateLimits;
use busbar_runtime::Fault;
use busbar_runtime::inbound::{Verdict, Visitor};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use crate::query;
use crate::security::definitions::State;
use crate::security::wss::Now;

/// What is not written as `%XX` (RFC 5849 3.6).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A key and a secret with which callers sign their requests, as OAuth 1.0 has it.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityOauth {
    /// Consumer key that callers send.
    #[schemars(length(min = 1), example = &"shop")]
    pub username: String,
    /// Consumer secret that callers sign with. Empty: none is set yet, and every caller is refused.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// How requests are signed.
    #[serde(default)]
    pub sig_method: SignatureMethod,
    /// Seconds by which a request's time may differ from the server's. No nonce may come twice within it.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 86400))]
    pub max_time_difference: u32,
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often callers may come with this definition, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
}

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SignatureMethod {
    /// A MAC with SHA-1, which most clients make.
    #[default]
    #[serde(rename = "HMAC-SHA1")]
    HmacSha1,
    /// A MAC with SHA-256.
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// The secret itself: for TLS only.
    #[serde(rename = "PLAINTEXT")]
    Plaintext,
}

impl SignatureMethod {
    fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::Plaintext => "PLAINTEXT",
        }
    }
}

fn five_minutes() -> u32 {
    300
}

impl Object for SecurityOauth {
    const KIND: &'static str = "security.oauth";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["security", "def_sec"];
    const ENMASSE_TYPE: Option<&'static str> = Some("oauth");

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore_foreign(item);
        // there is one version, and every nonce is remembered for as long as it matters
        for name in ["password_type", "proto_version", "max_nonce_log"] {
            item.remove(name);
        }
        if let Some(Value::String(method)) = item.get_mut("sig_method") {
            method.make_ascii_uppercase();
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.username.is_empty() {
            return Err(FieldError::new("username", "must not be empty"));
        }
        if !(1..=86_400).contains(&self.max_time_difference) {
            return Err(FieldError::new(
                "max_time_difference",
                "must be from 1 to 86400 seconds",
            ));
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

impl fmt::Debug for SecurityOauth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // no secret in logs
        f.debug_struct("SecurityOauth")
            .field("username", &self.username)
            .field("sig_method", &self.sig_method)
            .finish_non_exhaustive()
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Header,
    Parameters,
    Signature,
}

pub(crate) fn fault(cid: Cid) -> Fault {
    Refusal::Header.fault(cid)
}

impl Refusal {
    fn fault(self, cid: Cid) -> Fault {
        let what = match self {
            Self::Header => "No OAuth header was sent",
            Self::Parameters => "The OAuth header's parameters are not all there, or not right",
            Self::Signature => "The OAuth signature is not right",
        };
        Fault::new(401, format!("Unauthorized; {what}; cid={cid}")).with_header("WWW-Authenticate", "OAuth")
    }
}

/// A request, as far as it is signed.
struct Request {
    method: String,
    /// Address without query.
    url: String,
    query: String,
    /// Parameters of the header, without the realm.
    sent: Vec<(String, String)>,
}

/// Whether a request is signed right.
pub(crate) fn check(config: &Arc<SecurityOauth>, name: &str, state: &Arc<State>, visitor: &Visitor<'_>) -> Verdict {
    let cid = visitor.cid;
    let Some(header) = (visitor.header)("authorization") else {
        return Verdict::Out(Refusal::Header.fault(cid));
    };
    let sent = match parameters(header) {
        Ok(sent) => sent,
        Err(refusal) => return Verdict::Out(refusal.fault(cid)),
    };
    let request = Request {
        method: visitor.method.to_owned(),
        url: (visitor.url)(),
        query: visitor.query.to_owned(),
        sent,
    };
    // fields of forms are signed as well
    let content_type = (visitor.header)("content-type").unwrap_or_default();
    let is_form = content_type.split(|byte| *byte == b';').next().is_some_and(|it| {
        it.trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        return match request.check(config, name, state, "", Now::read()) {
            Ok(()) => Verdict::In(None),
            Err(refusal) => Verdict::Out(refusal.fault(cid)),
        };
    }
    let (config, name, state) = (Arc::clone(config), name.to_owned(), Arc::clone(state));
    Verdict::Body(Box::new(move |body| {
        let form = String::from_utf8_lossy(body);
        let checked = request.check(&config, &name, &state, &form, Now::read());
        Box::pin(std::future::ready(
            checked.map(|()| None).map_err(|refusal| refusal.fault(cid)),
        ))
    }))
}

/// The parameters of a header, decoded.
fn parameters(header: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let text = std::str::from_utf8(header).map_err(|_| Refusal::Header)?;
    let (scheme, rest) = text.trim().split_once(' ').ok_or(Refusal::Header)?;
    if !scheme.eq_ignore_ascii_case("oauth") {
        return Err(Refusal::Header);
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .ok()
            .map(|text| text.into_owned())
    };
    let parameter = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        Some((decode(name.trim())?, decode(value)?))
    };
    let parts = rest.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parameters: Option<Vec<_>> = parts.map(parameter).collect();
    let mut parameters = parameters.ok_or(Refusal::Parameters)?;
    parameters.retain(|(name, _)| !name.eq_ignore_ascii_case("realm"));
    Ok(parameters)
}

impl Request {
    /// A parameter that is there once.
    fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self.sent.iter().filter(|(other, _)| other == name);
        let first = found.next();
        match found.next() {
            Some(_) => Err(Refusal::Parameters),
            None => Ok(first.map(|(_, value)| value.as_str())),
        }
    }

    fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.one(name)?
            .filter(|value| !value.is_empty())
            .ok_or(Refusal::Parameters)
    }

    /// Whether it is signed by the definition `name`. A nonce of one that is counts as seen.
    fn check(&self, config: &SecurityOauth, name: &str, state: &State, form: &str, now: Now) -> Result<(), Refusal> {
        let key = self.needed("oauth_consumer_key")?;
        let signature = self.needed("oauth_signature")?;
        let method = self.needed("oauth_signature_method")?;
        if self.one("oauth_version")?.is_some_and(|version| version != "1.0") || method != config.sig_method.name() {
            return Err(Refusal::Parameters);
        }
        let time: u64 = self
            .needed("oauth_timestamp")?
            .parse()
            .map_err(|_| Refusal::Parameters)?;
        let nonce = self.needed("oauth_nonce")?;
        let is_key = key.as_bytes().ct_eq(config.username.as_bytes());
        // there are no tokens, so the second secret is empty
        let secret = format!("{}&", encode(&config.password));
        let is_right = match config.sig_method {
            SignatureMethod::Plaintext => bool::from(signature.as_bytes().ct_eq(secret.as_bytes())),
            SignatureMethod::HmacSha1 => self.is_mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret, signature, form),
            SignatureMethod::HmacSha256 => self.is_mac(hmac::HMAC_SHA256, &secret, signature, form),
        };
        if !(bool::from(is_key) && is_right) {
            return Err(Refusal::Signature);
        }
        let own = now.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if own.abs_diff(time) > config.max_time_difference.into() {
            return Err(Refusal::Signature);
        }
        // seen only now: wrong signatures must not fill the memory of nonces; it is as long as a request can be right
        let freshness = Duration::from_secs(2 * u64::from(config.max_time_difference) + 1);
        match state
            .nonces
            .is_new(name, &format!("{time} {nonce}"), freshness, now.instant)
        {
            true => Ok(()),
            false => Err(Refusal::Signature),
        }
    }

    fn is_mac(&self, algorithm: hmac::Algorithm, secret: &str, signature: &str, form: &str) -> bool {
        let key = hmac::Key::new(algorithm, secret.as_bytes());
        STANDARD
            .decode(signature)
            .is_ok_and(|tag| hmac::verify(&key, self.base_string(form).as_bytes(), &tag).is_ok())
    }

    /// What is signed (RFC 5849 3.4.1).
    fn base_string(&self, form: &str) -> String {
        let sent = self.sent.iter().filter(|(name, _)| name != "oauth_signature");
        let mut parameters: Vec<(String, String)> = sent.map(|(name, value)| (encode(name), encode(value))).collect();
        parameters.extend(
            query::pairs(&self.query)
                .chain(query::pairs(form))
                .map(|(name, value)| (encode(&name), encode(&value))),
        );
        parameters.sort_unstable();
        let parameters: Vec<String> = parameters
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let method = self.method.to_ascii_uppercase();
        format!(
            "{method}&{}&{}",
            encode(&base_url(&self.url)),
            encode(&parameters.join("&"))
        )
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// An address with its scheme and host in lower case, and without the port that the scheme has by itself.
fn base_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let port = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}{path}", host.strip_suffix(port).unwrap_or(&host))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The request of RFC 5849 3.4.1.1.
    fn example() -> Request {
        let header = r#"OAuth realm="Example", oauth_consumer_key="9djdj82h48djs9d2", oauth_token="kkk9d7dh3k39sjv7",
            oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131201", oauth_nonce="7d8f3e4a", oauth_signature="bYT5CMsGcbgUdFHObYMEfcx6bsw%3D""#;
        Request {
            method: "post".to_owned(),
            url: "HTTP://EXAMPLE.com:80/request".to_owned(),
            query: "b5=%3D%253D&a3=a&c%40=&a2=r%20b".to_owned(),
            sent: parameters(header.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn the_base_string_is_the_standards() {
        let expected = "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26\
                        oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D\
                        137131201%26oauth_token%3Dkkk9d7dh3k39sjv7";
        assert_eq!(example().base_string("c2&a3=2+q"), expected);
        assert_eq!(base_url("https://A:443/b"), "https://a/b");
        assert_eq!(base_url("https://A:80"), "https://a:80");
    }

    fn config(method: &str) -> Arc<SecurityOauth> {
        let config = json!({"username": "key", "password": "s&cret", "sig_method": method, "max_time_difference": 60});
        Arc::new(serde_json::from_value(config).unwrap())
    }

    /// A request that is signed, at some second.
    fn signed(method: &str, time: u64, nonce: &str) -> Request {
        let parameter = |name: &str, value: &str| (format!("oauth_{name}"), value.to_owned());
        let mut request = Request {
            method: "GET".to_owned(),
            url: "http://localhost:11223/a%20b".to_owned(),
            query: "x=1&x=2".to_owned(),
            sent: vec![
                parameter("consumer_key", "key"),
                parameter("signature_method", method),
                parameter("timestamp", &time.to_string()),
                parameter("nonce", nonce),
            ],
        };
        let sign = |algorithm| {
            let key = hmac::Key::new(algorithm, b"s%26cret&");
            STANDARD.encode(hmac::sign(&key, request.base_string("").as_bytes()))
        };
        let signature = match method {
            "HMAC-SHA1" => sign(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            "HMAC-SHA256" => sign(hmac::HMAC_SHA256),
            _ => "s%26cret&".to_owned(),
        };
        request.sent.push(parameter("signature", &signature));
        request
    }

    fn at(seconds: u64) -> Now {
        Now {
            time: UNIX_EPOCH + Duration::from_secs(seconds),
            instant: std::time::Instant::now(),
        }
    }

    #[test]
    fn signatures_times_and_nonces_are_checked() {
        for method in ["HMAC-SHA1", "HMAC-SHA256", "PLAINTEXT"] {
            let (config, state) = (config(method), State::default());
            let check = |request: &Request, now| request.check(&config, "shop", &state, "", at(now));
            assert_eq!(check(&signed(method, 1000, "a"), 1060), Ok(()), "{method}");
            assert_eq!(
                check(&signed(method, 1000, "a"), 1000),
                Err(Refusal::Signature),
                "a nonce came twice"
            );
            assert_eq!(check(&signed(method, 1001, "a"), 1000), Ok(()));
            assert_eq!(
                check(&signed(method, 1000, "b"), 1061),
                Err(Refusal::Signature),
                "it is old"
            );
            assert_eq!(
                check(&signed(method, 1061, "b"), 1000),
                Err(Refusal::Signature),
                "it is early"
            );
            for name in ["consumer_key", "signature", "signature_method", "timestamp", "nonce"] {
                let name = format!("oauth_{name}");
                let mut request = signed(method, 1000, "c");
                request.sent.retain(|(other, _)| *other != name);
                assert_eq!(check(&request, 1000), Err(Refusal::Parameters), "{name}");
                let mut request = signed(method, 1000, "c");
                for (other, value) in &mut request.sent {
                    if *other == name {
                        value.push('x');
                    }
                }
                assert!(
                    method == "PLAINTEXT" && name == "oauth_nonce" || check(&request, 1000).is_err(),
                    "{name}"
                );
                let mut request = signed(method, 1000, "c");
                request.sent.push((name.clone(), "again".to_owned()));
                assert_eq!(check(&request, 1000), Err(Refusal::Parameters), "{name}");
            }
            let mut other = signed(method, 1000, "d");
            other.query.push('3');
            assert_eq!(check(&other, 1000).is_ok(), method == "PLAINTEXT");
            // wrong requests have used nothing up
            assert_eq!(check(&signed(method, 1000, "c"), 1000), Ok(()));
        }
        let request = signed("PLAINTEXT", 1000, "a");
        let state = State::default();
        assert_eq!(
            request.check(&config("HMAC-SHA1"), "shop", &state, "", at(1000)),
            Err(Refusal::Parameters)
        );
    }

    #[test]
    fn headers_are_taken_apart() {
        for header in ["", "OAuth", "Basic YTpi", "Bearer x", "OAuthx a=\"b\""] {
            assert_eq!(parameters(header.as_bytes()), Err(Refusal::Header), "{header}");
        }
        for header in ["OAuth a", "OAuth a=b", "OAuth a=\"b", "OAuth a=\"%ff\"", "OAuth a=\""] {
            assert_eq!(parameters(header.as_bytes()), Err(Refusal::Parameters), "{header}");
        }
        let expected = vec![("a b".to_owned(), "c,d".to_owned())];
        assert_eq!(parameters(b"oauth  realm=\"x\",, a%20b = \"c%2Cd\" "), Ok(expected));
    }

    #[test]
    fn items_of_old_files_are_read() {
        let mut item = json!({"type": "oauth", "username": "key", "password": null, "proto_version": "oauth_version_10", "sig_method": "hmac-sha1",
            "max_nonce_log": 500, "id": 1});
        let item = item.as_object_mut().unwrap();
        SecurityOauth::from_enmasse("def_sec", item);
        let read: SecurityOauth = serde_json::from_value(Value::Object(item.clone())).unwrap();
        assert_eq!(
            (read.sig_method, read.password.as_str()),
            (SignatureMethod::HmacSha1, "")
        );
        assert!(read.check().is_ok());
    }

    proptest! {
        /// Whatever is sent is taken apart or refused.
        #[test]
        fn any_header_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..100), is_oauth: bool) {
            let header = if is_oauth { [b"OAuth ", &bytes[..]].concat() } else { bytes };
            let _ = parameters(&header).is_ok();
        }
    }
}
