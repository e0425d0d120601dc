//! What a URL of Redis says.

use std::fmt;
use std::sync::Arc;

use busbar_model::{Error, Kind};
use percent_encoding::percent_decode_str;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use rustls::ClientConfig;

use crate::http::outgoing::{Trust, tls_without_protocols};

/// The forms that are understood; the first thing that whoever wrote another one has to see.
const FORMS: &str = "use redis://[user:password@]host[:port][/db], rediss:// for TLS, unix:///path/to/socket, \
                     redis+sentinel://[user:password@]host[:port],host2[:port]/service-name[/db] or \
                     redis+cluster://[user:password@]host[:port],host2[:port]";
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// One server, and how to log in to it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) info: ConnectionInfo,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Where Redis is.
pub(super) enum Address {
    /// One server.
    One(Endpoint),
    /// The master of a service that Sentinels watch over.
    Sentinel {
        sentinels: Vec<Endpoint>,
        service: String,
        /// How to log in to the master; its address is what the Sentinels say.
        settings: RedisConnectionInfo,
        tls: Option<Arc<ClientConfig>>,
    },
    /// A cluster that these nodes know.
    Cluster {
        nodes: Vec<Endpoint>,
        /// File of authorities to trust; empty: those of the browsers.
        ca_path: String,
        verify: bool,
    },
}

impl Address {
    /// Reads a URL. It stays out of messages: it may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| failed("it has no scheme"))?;
        let (scheme, is_tls) = match scheme {
            "redis" | "unix" | "redis+unix" => return one(url),
            "rediss" => ("redis", true),
            "redis+sentinel" => ("sentinel", false),
            "rediss+sentinel" => ("sentinel", true),
            "redis+cluster" => ("cluster", false),
            "rediss+cluster" => ("cluster", true),
            _ => return Err(failed("its scheme is not known")),
        };
        let parts = Parts::split(rest)?;
        let tls = if is_tls {
            Some(tls_without_protocols(Trust::new(parts.verify, &parts.ca_path))?)
        } else {
            None
        };
        let settings = settings(&parts.user, &parts.password);
        let endpoint = |(host, port): (String, u16), settings: &RedisConnectionInfo| -> Result<Endpoint, Error> {
            Ok(Endpoint {
                info: info(host, port, settings)?,
                tls: tls.clone(),
            })
        };
        match scheme {
            "redis" => {
                let [database] = parts.path(["db"])?;
                let settings = settings.set_db(number(&database)?);
                let [host] =
                    <[_; 1]>::try_from(parts.hosts(PORT)?).map_err(|_| failed("it names more than one host"))?;
                Ok(Self::One(endpoint(host, &settings)?))
            }
            "sentinel" => {
                let [service, database] = parts.path(["service-name", "db"])?;
                if service.is_empty() {
                    return Err(failed("it does not say which service the Sentinels watch over"));
                }
                let own = self::settings(&parts.sentinel_user, &parts.sentinel_password);
                let sentinels = parts.hosts(SENTINEL_PORT)?.into_iter().map(|host| endpoint(host, &own));
                Ok(Self::Sentinel {
                    sentinels: sentinels.collect::<Result<_, _>>()?,
                    service,
                    settings: settings.set_db(number(&database)?),
                    tls: tls.clone(),
                })
            }
            _ => {
                let [database] = parts.path(["db"])?;
                if number(&database)? != 0 {
                    return Err(failed("a cluster has no databases but 0"));
                }
                let nodes = parts.hosts(PORT)?.into_iter().map(|host| endpoint(host, &settings));
                Ok(Self::Cluster {
                    nodes: nodes.collect::<Result<_, _>>()?,
                    ca_path: parts.ca_path.clone(),
                    verify: parts.verify,
                })
            }
        }
    }
}

impl Endpoint {
    /// The same kind of server elsewhere.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        Self {
            info: self.info.clone().set_addr(ConnectionAddr::Tcp(host.to_owned(), port)),
            tls: self.tls.clone(),
        }
    }
}

/// The server at an address, with TLS or not.
pub(super) fn info(host: String, port: u16, settings: &RedisConnectionInfo) -> Result<ConnectionInfo, Error> {
    let info = ConnectionAddr::Tcp(host, port)
        .into_connection_info()
        .map_err(|error| failed("it names no host").with_source(error))?;
    Ok(info.set_redis_settings(named(settings.clone())))
}

fn one(url: &str) -> Result<Address, Error> {
    let url = redis::parse_redis_url(url).ok_or_else(|| failed("it cannot be read"))?;
    let info = url
        .into_connection_info()
        .map_err(|error| failed("it cannot be read").with_source(error))?;
    let settings = named(info.redis_settings().clone());
    Ok(Address::One(Endpoint {
        info: info.set_redis_settings(settings),
        tls: None,
    }))
}

fn named(settings: RedisConnectionInfo) -> RedisConnectionInfo {
    settings
        .set_protocol(ProtocolVersion::RESP2)
        .set_lib_name("busbar", env!("CARGO_PKG_VERSION"))
}

fn settings(user: &str, password: &str) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default();
    if !user.is_empty() {
        settings = settings.set_username(user);
    }
    if !password.is_empty() {
        settings = settings.set_password(password);
    }
    settings
}

fn number(database: &str) -> Result<i64, Error> {
    match database {
        "" => Ok(0),
        text => text
            .parse()
            .ok()
            .filter(|number| *number >= 0)
            .ok_or_else(|| failed("its database is no number")),
    }
}

fn failed(reason: &str) -> Error {
    Error::new(Kind::Config, format!("cannot use the URL of Redis: {reason}")).with_hint(FORMS)
}

/// What stands behind the scheme.
struct Parts {
    user: String,
    password: String,
    sentinel_user: String,
    sentinel_password: String,
    authority: String,
    path: String,
    verify: bool,
    ca_path: String,
}

impl Parts {
    fn split(rest: &str) -> Result<Self, Error> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let mut parts = Self {
            user: decoded(user)?,
            password: decoded(password)?,
            sentinel_user: String::new(),
            sentinel_password: String::new(),
            authority: hosts.to_owned(),
            path: path.to_owned(),
            verify: true,
            ca_path: String::new(),
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sentinel_username" => parts.sentinel_user = value.into_owned(),
                "sentinel_password" => parts.sentinel_password = value.into_owned(),
                "ssl_ca_certs" => parts.ca_path = value.into_owned(),
                "ssl_cert_reqs" => parts.verify = value != "none",
                _ => return Err(failed(&format!("it has an option `{name}` that is not known"))),
            }
        }
        Ok(parts)
    }

    /// Hosts and ports.
    fn hosts(&self, default_port: u16) -> Result<Vec<(String, u16)>, Error> {
        self.authority
            .split(',')
            .map(|text| {
                let (host, port) = match text.rsplit_once(':') {
                    // an IPv6 address without a port ends in a bracket
                    Some((host, port)) if !port.ends_with(']') => {
                        (host, port.parse().map_err(|_| failed("a port is no number"))?)
                    }
                    _ => (text, default_port),
                };
                let host = host.trim_start_matches('[').trim_end_matches(']');
                if host.is_empty() {
                    return Err(failed("it names no host"));
                }
                Ok((decoded(host)?, port))
            })
            .collect()
    }

    /// What the path consists of; what is left out at its end is empty.
    fn path<const N: usize>(&self, names: [&str; N]) -> Result<[String; N], Error> {
        let mut found = [const { String::new() }; N];
        for (index, part) in self.path.trim_end_matches('/').split('/').enumerate() {
            match found.get_mut(index) {
                Some(place) => *place = decoded(part)?,
                None => return Err(failed(&format!("its path has more than {}", names.join(" and ")))),
            }
        }
        Ok(found)
    }
}

fn decoded(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| failed("it holds what is no text"))
}

// without user and password
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.info.addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let Address::One(one) = Address::parse("rediss://u:p%40ss@example.com/3").unwrap() else {
            panic!("one server");
        };
        assert_eq!(one.info.addr().to_string(), "example.com:6379");
        let settings = one.info.redis_settings();
        assert_eq!(
            (settings.username(), settings.password(), settings.db()),
            (Some("u"), Some("p@ss"), 3)
        );
        assert!(one.tls.is_some());
        let url = "redis+sentinel://:secret@a,b:1,[::1]/mymaster/2?sentinel_password=other";
        let Address::Sentinel {
            sentinels,
            service,
            settings,
            tls,
        } = Address::parse(url).unwrap()
        else {
            panic!("Sentinels");
        };
        let shown: Vec<String> = sentinels.iter().map(|node| format!("{node:?}")).collect();
        assert_eq!(shown, ["a:26379", "b:1", "::1:26379"]);
        assert_eq!(sentinels[0].info.redis_settings().password(), Some("other"));
        assert_eq!(
            (service.as_str(), settings.password(), settings.db()),
            ("mymaster", Some("secret"), 2)
        );
        assert!(tls.is_none());
        let Address::Cluster { nodes, .. } = Address::parse("redis+cluster://a:7000,b:7001").unwrap() else {
            panic!("a cluster");
        };
        assert_eq!(nodes.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_told_without_the_password() {
        for (url, reason) in [
            ("hunter2", "no scheme"),
            ("http://a:hunter2@b", "scheme is not known"),
            ("redis+sentinel://:hunter2@a", "which service"),
            ("redis+sentinel://:hunter2@a/s/x", "database is no number"),
            ("redis+sentinel://:hunter2@a/s/1/2", "more than service-name and db"),
            ("redis+cluster://:hunter2@a/1", "no databases but 0"),
            ("redis+cluster://:hunter2@a:x", "port is no number"),
            ("rediss://:hunter2@", "names no host"),
            ("rediss://:hunter2@a,b", "more than one host"),
            ("rediss://:hunter2@a?nonsense=1", "option `nonsense`"),
        ] {
            let Err(error) = Address::parse(url) else {
                panic!("{url}")
            };
            assert!(error.message().contains(reason), "{url}: {}", error.message());
            assert!(!format!("{error:?}").contains("hunter2"), "{url}");
        }
    }
}
