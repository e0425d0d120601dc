//! What the hub answers itself, and what built-in services do (http.md 9).

use http::Method;

use busbar_model::object::Snapshot;
use busbar_model::{DataFormat, Error};
use busbar_runtime::inbound::{Entrance, Guards, builtin};

use super::{Definition, Route, Routes, channel_head};
use crate::http::config::{ChannelHttp, Transport};
use crate::http::pattern::Pattern;
use crate::http::settings::OpenApiAccess;

/// Paths of built-in services that encrypt and hash.
const CRYPTO: [(&str, &str); 6] = [
    ("/zato/crypto/encrypt", "zato.crypto.encrypt"),
    ("/zato/crypto/decrypt", "zato.crypto.decrypt"),
    ("/zato/crypto/hash-secret", "zato.crypto.hash-secret"),
    ("/zato/crypto/verify-hash", "zato.crypto.verify-hash"),
    ("/zato/crypto/generate-secret", "zato.crypto.generate-secret"),
    ("/zato/crypto/generate-password", "zato.crypto.generate-password"),
];

/// Endings of paths and services that act on many keys of the cache, and whether the path names the key.
const CACHE_KEYS: [(&str, bool); 7] = [
    ("by-prefix", true),
    ("by-suffix", true),
    ("by-regex", true),
    ("contains", true),
    ("not-contains", true),
    ("contains-all", false),
    ("contains-any", false),
];

/// Paths of built-in services that act on the cache.
fn cache_paths() -> Vec<(String, String)> {
    let prefix = "zato.cache.builtin.pubapi";
    let mut paths = vec![("/zato/cache/{key}".to_owned(), format!("{prefix}.single-key-service"))];
    for action in ["get", "set", "delete", "expire"] {
        for (how, names_key) in CACHE_KEYS {
            let key = if names_key { "/{key}" } else { "" };
            paths.push((
                format!("/zato/cache/{action}/{how}{key}"),
                format!("{prefix}.{action}-{how}"),
            ));
        }
    }
    paths
}

/// What the hub answers itself, and what built-in services do (http.md 9).
pub(super) fn routes(snapshot: &Snapshot, guards: &dyn Guards, routes: &Routes) -> Result<Vec<Route>, Error> {
    let invoke = format!("/zato/api/invoke/{{{}}}", builtin::INVOKER_PARAM);
    let cache = cache_paths();
    let openapi = match routes.openapi {
        OpenApiAccess::Off => None,
        OpenApiAccess::Protected => Some(Some(builtin::PUBAPI)),
        OpenApiAccess::Open => Some(None),
    };
    let path = |service: &str| format!("/zato/{}", service.trim_start_matches("zato."));
    let pings =
        [builtin::PING_BASIC, builtin::PING_SOAP_BASIC, builtin::PING_SOAP_WSS].map(|service| (service, path(service)));
    [
        ("zato.ping", "/zato/ping", builtin::PING, None),
        // what probes asked the load balancer that stood here
        ("zato-lb-alive", "/zato-lb-alive", builtin::PING, None),
        ("pubapi.invoke", &invoke, builtin::INVOKER, Some(builtin::PUBAPI)),
        ("zato.jwt.log-in", "/zato/jwt/log-in", builtin::LOG_IN, None),
        ("zato.jwt.log-out", "/zato/jwt/log-out", builtin::LOG_OUT, None),
    ]
    .into_iter()
    // the definition of each has its name
    .chain(
        pings
            .iter()
            .map(|(service, path)| (*service, path.as_str(), *service, Some(*service))),
    )
    .chain(openapi.into_iter().flat_map(|security| {
        [
            (builtin::OPENAPI, "/openapi.json", builtin::OPENAPI, security),
            (builtin::OPENAPI_PAGE, "/openapi", builtin::OPENAPI_PAGE, security),
        ]
    }))
    .chain(CRYPTO.map(|(path, service)| (service, path, service, Some(builtin::PUBAPI))))
    .chain(
        cache
            .iter()
            .map(|(path, service)| (service.as_str(), path.as_str(), service.as_str(), Some(builtin::PUBAPI))),
    )
    .map(|(name, path, service, security)| {
        let channel = channel(path, service, security);
        let definition = security.and_then(|security| Definition::find(snapshot, security));
        let guard = guards.of(&Entrance {
            channel: name,
            service,
            security,
            ..Entrance::default()
        })?;
        Ok(Route {
            name: name.to_owned(),
            head: channel_head(name, &channel, definition),
            service: service.into(),
            style: routes.styles.of(channel.data_format, channel.soap()),
            extra: None,
            guard,
            timeout: None,
            is_active: true,
            path: path.to_owned(),
            pattern: Pattern::parse(path, false).expect("built-in paths are paths"),
            method: match service {
                builtin::LOG_IN | builtin::LOG_OUT => Some(Method::POST),
                builtin::OPENAPI | builtin::OPENAPI_PAGE => Some(Method::GET),
                _ => None,
            },
            accept: None,
            soap_action: None,
        })
    })
    .collect()
}

fn channel(path: &str, service: &str, security: Option<&str>) -> ChannelHttp {
    let is_soap = matches!(service, builtin::PING_SOAP_BASIC | builtin::PING_SOAP_WSS);
    ChannelHttp {
        service: service.to_owned(),
        url_path: path.to_owned(),
        data_format: if is_soap { DataFormat::Xml } else { DataFormat::Json },
        transport: if is_soap { Transport::Soap } else { Transport::PlainHttp },
        security: security.map(str::to_owned),
        match_slash: false,
        ..ChannelHttp::default()
    }
}
