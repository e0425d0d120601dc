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

/// A channel that is there without being made.
pub(super) struct Builtin<'b> {
    pub(super) name: &'b str,
    pub(super) path: &'b str,
    pub(super) service: &'b str,
    /// The definition that guards it; `None`: it is open.
    pub(super) security: Option<&'b str>,
    /// `None`: any.
    pub(super) method: Option<Method>,
    pub(super) kind: BuiltinKind<'b>,
}

/// What a built-in channel is for.
#[derive(Clone, Copy)]
pub(super) enum BuiltinKind<'b> {
    /// Requests like those to any other channel.
    Ordinary,
    /// Management: roles must allow this service to whoever has not the definition's own credentials. Bodies have this format.
    Management(&'b str, DataFormat),
}

impl<'b> Builtin<'b> {
    /// An ordinary one, for any method.
    pub(super) fn new(name: &'b str, path: &'b str, service: &'b str, security: Option<&'b str>) -> Self {
        Self {
            name,
            path,
            service,
            security,
            method: match service {
                builtin::LOG_IN | builtin::LOG_OUT => Some(Method::POST),
                builtin::METRICS | builtin::OPENAPI | builtin::OPENAPI_PAGE | builtin::WSDL => Some(Method::GET),
                _ => None,
            },
            kind: BuiltinKind::Ordinary,
        }
    }

    pub(super) fn build(self, snapshot: &Snapshot, guards: &dyn Guards, routes: &Routes) -> Result<Route, Error> {
        let Self {
            name,
            path,
            service,
            security,
            method,
            kind,
        } = self;
        let channel = channel(path, service, security, kind);
        let definition = security.and_then(|security| Definition::find(snapshot, security));
        let (guarded, is_management) = match kind {
            BuiltinKind::Ordinary => (service, false),
            BuiltinKind::Management(guarded, _) => (guarded, true),
        };
        let guard = guards.of(&Entrance {
            channel: name,
            service: guarded,
            security,
            is_management,
            ..Entrance::default()
        })?;
        // what is SOAP here is an answer of a management service, even if it is only a ping
        let style = if is_management || channel.soap().is_some() {
            routes.styles.management(channel.data_format, channel.soap())
        } else {
            routes.styles.of(channel.data_format, channel.soap())
        };
        Ok(Route {
            name: name.to_owned(),
            head: channel_head(name, &channel, definition, is_management),
            service: service.into(),
            style,
            extra: None,
            guard,
            timeout: None,
            is_active: true,
            path: path.to_owned(),
            pattern: Pattern::parse(path, channel.match_slash).expect("built-in paths are paths"),
            method,
            accept: None,
            soap_action: None,
        })
    }
}

/// What all listeners answer: that the server is there, log-ins, and what can be called.
pub(super) fn everywhere(openapi: OpenApiAccess) -> Vec<Builtin<'static>> {
    let security = match openapi {
        OpenApiAccess::Off => None,
        OpenApiAccess::Protected => Some(Some(builtin::PUBAPI)),
        OpenApiAccess::Open => Some(None),
    };
    let mut all = vec![
        Builtin::new("zato.ping", "/zato/ping", builtin::PING, None),
        // what probes asked the load balancer that stood here
        Builtin::new("zato-lb-alive", "/zato-lb-alive", builtin::PING, None),
        Builtin::new("zato.jwt.log-in", "/zato/jwt/log-in", builtin::LOG_IN, None),
        Builtin::new("zato.jwt.log-out", "/zato/jwt/log-out", builtin::LOG_OUT, None),
    ];
    if let Some(security) = security {
        all.push(Builtin::new(
            builtin::OPENAPI,
            "/openapi.json",
            builtin::OPENAPI,
            security,
        ));
        all.push(Builtin::new(
            builtin::OPENAPI_PAGE,
            "/openapi",
            builtin::OPENAPI_PAGE,
            security,
        ));
    }
    all
}

/// What only the listener of clients answers.
pub(super) fn routes(snapshot: &Snapshot, guards: &dyn Guards, routes: &Routes) -> Result<Vec<Route>, Error> {
    let invoke = format!("/zato/api/invoke/{{{}}}", builtin::INVOKER_PARAM);
    let cache = cache_paths();
    let path = |service: &str| format!("/zato/{}", service.trim_start_matches("zato."));
    let pings =
        [builtin::PING_BASIC, builtin::PING_SOAP_BASIC, builtin::PING_SOAP_WSS].map(|service| (service, path(service)));
    let pubapi = Some(builtin::PUBAPI);
    let invoke = Builtin::new("pubapi.invoke", &invoke, builtin::INVOKER, pubapi);
    let wsdl = Builtin::new("zato.wsdl", "/zato/wsdl", builtin::WSDL, None);
    // the definition of each has its name
    let pings = pings
        .iter()
        .map(|(service, path)| Builtin::new(service, path, service, Some(service)));
    let crypto = CRYPTO.map(|(path, service)| Builtin::new(service, path, service, pubapi));
    let cache = cache
        .iter()
        .map(|(path, service)| Builtin::new(service, path, service, pubapi));
    let all = [invoke, wsdl].into_iter().chain(pings).chain(crypto).chain(cache);
    all.map(|it| it.build(snapshot, guards, routes)).collect()
}

fn channel(path: &str, service: &str, security: Option<&str>, kind: BuiltinKind<'_>) -> ChannelHttp {
    let is_soap = matches!(
        service,
        builtin::PING_SOAP_BASIC | builtin::PING_SOAP_WSS | builtin::MANAGE_SOAP
    );
    ChannelHttp {
        service: service.to_owned(),
        url_path: path.to_owned(),
        data_format: match kind {
            BuiltinKind::Management(_, format) => format,
            BuiltinKind::Ordinary if is_soap => DataFormat::Xml,
            BuiltinKind::Ordinary => DataFormat::Json,
        },
        transport: if is_soap { Transport::Soap } else { Transport::PlainHttp },
        security: security.map(str::to_owned),
        // files may lie in folders
        match_slash: service == builtin::DEPLOY,
        ..ChannelHttp::default()
    }
}
