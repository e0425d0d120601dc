//! The object type of a further Redis.

use std::fmt;
use std::time::Duration;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RedisConfig;

/// A further Redis: `self.outgoing.redis['name'].conn.get('key')`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutgoingRedis {
    /// Name or address of the server. Left out where Sentinels or nodes of a cluster say where it is.
    #[serde(default)]
    #[schemars(example = &"redis.example.com")]
    pub host: String,
    /// Port.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Number of the database.
    #[serde(default)]
    pub db: u32,
    /// User name; empty: only a password is sent, if there is one.
    #[serde(default)]
    pub username: String,
    /// Password.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Whether Sentinels say which server is the master.
    #[serde(default)]
    pub use_redis_sentinels: bool,
    /// Sentinels, with their ports, separated by commas or line breaks.
    #[serde(default)]
    #[schemars(example = &"sentinel1:26379, sentinel2:26379")]
    pub redis_sentinels: String,
    /// Name of the service that the Sentinels watch over.
    #[serde(default)]
    pub redis_sentinels_master: String,
    /// Nodes of a cluster, with their ports, separated by commas or line breaks: enough of them to find the others.
    #[serde(default)]
    pub cluster_nodes: String,
    /// Whether connections use TLS.
    #[serde(default)]
    pub use_tls: bool,
    /// Whether the server's certificate is verified.
    #[serde(default = "fields::yes")]
    pub tls_verify: bool,
    /// File with certificate authorities to trust, in PEM.
    #[serde(default)]
    pub tls_ca_path: String,
    /// Seconds that a command may take, beyond what it waits for on purpose.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub timeout: f64,
    /// Most connections that one worker has for commands that wait, for sessions and subscriptions.
    #[serde(default = "pool_size")]
    #[schemars(range(min = 1, max = 10000))]
    pub pool_size: u32,
    /// Whether `.conn` gives text; else it gives bytes.
    #[serde(default = "fields::yes")]
    pub decode_responses: bool,
}

fn port() -> u16 {
    6379
}

fn timeout() -> f64 {
    10.0
}

fn pool_size() -> u32 {
    512
}

impl OutgoingRedis {
    /// How to reach it.
    pub fn redis_config(&self) -> RedisConfig {
        RedisConfig {
            response_timeout: Duration::from_secs_f64(self.timeout),
            dedicated_connections: usize::try_from(self.pool_size).unwrap_or(usize::MAX),
            ..RedisConfig::new(self.url())
        }
    }

    /// The same as a URL.
    fn url(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let scheme = if self.use_tls { "rediss" } else { "redis" };
        let login = match (self.username.is_empty(), self.password.is_empty()) {
            (true, true) => String::new(),
            _ => format!("{}:{}@", encoded(&self.username), encoded(&self.password)),
        };
        let place = if self.use_redis_sentinels {
            let service = encoded(&self.redis_sentinels_master);
            format!(
                "{scheme}+sentinel://{login}{}/{service}/{}",
                addresses(&self.redis_sentinels),
                self.db
            )
        } else if !self.cluster_nodes.trim().is_empty() {
            format!("{scheme}+cluster://{login}{}", addresses(&self.cluster_nodes))
        } else {
            let host = if self.host.contains(':') && !self.host.starts_with('[') {
                format!("[{}]", self.host)
            } else {
                self.host.clone()
            };
            format!("{scheme}://{login}{host}:{}/{}", self.port, self.db)
        };
        if !self.use_tls {
            return place;
        }
        let verify = if self.tls_verify { "required" } else { "none" };
        format!(
            "{place}?ssl_cert_reqs={verify}&ssl_ca_certs={}",
            encoded(&self.tls_ca_path)
        )
    }
}

fn addresses(text: &str) -> String {
    let each = text
        .split([',', '\n'])
        .map(str::trim)
        .filter(|address| !address.is_empty());
    each.collect::<Vec<_>>().join(",")
}

// without the password
impl fmt::Debug for OutgoingRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingRedis")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("db", &self.db)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Object for OutgoingRedis {
    const KIND: &'static str = "outgoing.redis";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["outconn_redis", "outgoing_redis"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        fields::ignore(item, &["id", "cluster_id", "opaque1"]);
        fields::ignore_nulls(item);
        fields::read_numbers(item, &["port", "db", "timeout", "pool_size"]);
        for field in ["redis_sentinels", "cluster_nodes"] {
            if let Some(Value::Array(addresses)) = item.get(field) {
                let text: Vec<&str> = addresses.iter().filter_map(Value::as_str).collect();
                let text = Value::String(text.join(", "));
                item.insert(field.to_owned(), text);
            }
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.use_redis_sentinels {
            if addresses(&self.redis_sentinels).is_empty() {
                return Err(FieldError::new("redis_sentinels", "must name at least one Sentinel"));
            }
            if self.redis_sentinels_master.trim().is_empty() {
                return Err(FieldError::new("redis_sentinels_master", "must not be empty"));
            }
        } else if self.host.trim().is_empty() && self.cluster_nodes.trim().is_empty() {
            return Err(FieldError::new("host", "must not be empty"));
        }
        if !self.cluster_nodes.trim().is_empty() && self.db != 0 {
            return Err(FieldError::new("db", "must be 0, a cluster has no other database"));
        }
        fields::check_timeout(self.timeout)?;
        if !(1..=10_000).contains(&self.pool_size) {
            return Err(FieldError::new("pool_size", "must be from 1 to 10000"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    fn url(body: Value) -> String {
        let config: OutgoingRedis = serde_json::from_value(body).unwrap();
        config.url()
    }

    #[test]
    fn fields_become_a_url() {
        assert_eq!(url(json!({"host": "a"})), "redis://a:6379/0");
        assert_eq!(
            url(json!({"host": "::1", "port": 1, "db": 2, "username": "u", "password": "p@/:", "use_tls": true})),
            "rediss://u:p%40%2F%3A@[::1]:1/2?ssl_cert_reqs=required&ssl_ca_certs="
        );
        let sentinels = json!({"use_redis_sentinels": true, "redis_sentinels": "a:1\nb:2", "redis_sentinels_master": "m", "db": 3,
            "password": "p"});
        assert_eq!(url(sentinels), "redis+sentinel://:p@a:1,b:2/m/3");
        assert_eq!(url(json!({"cluster_nodes": "a:1, b:2"})), "redis+cluster://a:1,b:2");
    }

    #[test]
    fn an_export_of_earlier_servers_is_read_and_wrong_fields_are_told() {
        let normalise = |item: Value| (ObjectType::of::<OutgoingRedis>().normalise)(&item.as_object().unwrap().clone());
        let mut item = json!({"id": 1, "host": "a", "port": "6380", "db": "1", "use_redis_sentinels": false, "redis_sentinels": null,
            "redis_sentinels_master": null});
        OutgoingRedis::from_enmasse("outconn_redis", item.as_object_mut().unwrap());
        let body = normalise(item).unwrap();
        assert_eq!((&body["port"], &body["db"]), (&json!(6380), &json!(1)));
        for (item, field) in [
            (json!({}), "host"),
            (json!({"use_redis_sentinels": true}), "redis_sentinels"),
            (
                json!({"use_redis_sentinels": true, "redis_sentinels": "a"}),
                "redis_sentinels_master",
            ),
            (json!({"cluster_nodes": "a", "db": 1}), "db"),
            (json!({"host": "a", "timeout": 0}), "timeout"),
            (json!({"host": "a", "pool_size": 0}), "pool_size"),
        ] {
            assert_eq!(normalise(item.clone()).unwrap_err().field, field, "{item}");
        }
        let config: OutgoingRedis = serde_json::from_value(json!({"host": "a", "password": "hunter2"})).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
