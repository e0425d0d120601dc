//! The object type of an SQL connection.

use std::fmt;

use busbar_model::fields;
use busbar_model::object::{FieldError, Object, Placement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::options::{Engine, SqlTarget};

/// A database: `self.outgoing.sql['name']`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutgoingSql {
    /// Kind of database: `postgresql`, `mysql` or `sqlite`, with or without the name of a driver after a `+`. Any other engine is left
    /// to SQLAlchemy and the driver that it names.
    #[schemars(length(min = 1), example = &"postgresql")]
    pub engine: String,
    /// Name or address of the server, or the directory of its Unix socket; empty for SQLite.
    #[serde(default)]
    pub host: String,
    /// Port; 0: the usual one of the engine.
    #[serde(default)]
    pub port: u16,
    /// Name of the database; for SQLite the path of its file.
    #[serde(default)]
    pub db_name: String,
    /// User name.
    #[serde(default)]
    pub username: String,
    /// Password.
    #[serde(default)]
    #[schemars(extend("x-secret" = true))]
    pub password: String,
    /// Connections that each worker keeps.
    #[serde(default = "pool_size")]
    #[schemars(range(min = 1, max = 1000))]
    pub pool_size: u32,
    /// Connections that each worker may open beyond those, for as long as they are needed.
    #[serde(default = "max_overflow")]
    #[schemars(range(max = 1000))]
    pub max_overflow: u32,
    /// Seconds that a service waits for a connection when all are in use.
    #[serde(default = "pool_timeout")]
    #[schemars(range(min = 0.001, max = 3600.0))]
    pub pool_timeout: f64,
    /// Seconds after which a connection is replaced by a new one; 0: never.
    #[serde(default = "recycle")]
    pub recycle: u32,
    /// Whether a connection that was not used for a second is tried out before a service gets it.
    #[serde(default = "fields::yes")]
    pub pre_ping: bool,
    /// Seconds that opening a connection may take.
    #[serde(default = "connect_timeout")]
    #[schemars(range(min = 0.001, max = 3600.0))]
    pub connect_timeout: f64,
    /// Seconds that a statement may take; 0: as long as the call that runs it.
    #[serde(default)]
    #[schemars(range(max = 86400.0))]
    pub statement_timeout: f64,
    /// How the line is encrypted: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`; empty: `prefer`.
    #[serde(default)]
    pub ssl_mode: String,
    /// File with the certificate authorities to trust, in PEM; empty: the usual ones.
    #[serde(default)]
    pub ssl_ca: String,
    /// File with the certificate of this side, in PEM.
    #[serde(default)]
    pub ssl_cert: String,
    /// File with the key of that certificate, in PEM.
    #[serde(default)]
    pub ssl_key: String,
    /// Further options of the connection, one `key=value` per line.
    #[serde(default)]
    pub extra: String,
}

fn pool_size() -> u32 {
    1
}

fn max_overflow() -> u32 {
    10
}

fn pool_timeout() -> f64 {
    30.0
}

fn recycle() -> u32 {
    3600
}

fn connect_timeout() -> f64 {
    10.0
}

impl OutgoingSql {
    /// The engine, if it is one whose connections live in busbar; `None`: SQLAlchemy's own driver speaks to it.
    pub fn native(&self) -> Option<Engine> {
        Engine::parse(&self.engine)
    }

    /// `key=value` lines of `extra`.
    ///
    /// # Errors
    /// A line without `=`.
    pub fn extra(&self) -> Result<Vec<(String, String)>, FieldError> {
        let lines = self.extra.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (key, value) = line
                    .split_once('=')
                    .ok_or_else(|| FieldError::new("extra", format!("`{line}` is not of the form key=value")))?;
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            })
            .collect()
    }
}

// without the password
impl fmt::Debug for OutgoingSql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingSql")
            .field("engine", &self.engine)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("db_name", &self.db_name)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Object for OutgoingSql {
    const KIND: &'static str = "outgoing.sql";
    const PLACEMENT: Placement = Placement::Worker;
    const ENMASSE_KEYS: &'static [&'static str] = &["outgoing_sql", "outconn_sql"];

    fn from_enmasse(_key: &str, item: &mut Map<String, Value>) {
        let foreign = ["id", "cluster_id", "opaque1", "engine_display_name", "display_name"];
        fields::ignore(item, &foreign);
        fields::ignore_nulls(item);
        if let Some(Value::String(engine)) = item.remove("type") {
            item.entry("engine").or_insert(Value::String(engine));
        }
        fields::read_numbers(item, &["port", "pool_size"]);
        // some exports have a list of lines
        if let Some(Value::Array(lines)) = item.get("extra") {
            let lines: Vec<_> = lines.iter().filter_map(Value::as_str).collect();
            let text = lines.join("\n");
            item.insert("extra".to_owned(), Value::String(text));
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.engine.trim().is_empty() {
            return Err(FieldError::new("engine", "must not be empty"));
        }
        if !(1..=1000).contains(&self.pool_size) {
            return Err(FieldError::new("pool_size", "must be from 1 to 1000"));
        }
        if self.max_overflow > 1000 {
            return Err(FieldError::new("max_overflow", "must be at most 1000"));
        }
        for (field, seconds) in [
            ("pool_timeout", self.pool_timeout),
            ("connect_timeout", self.connect_timeout),
        ] {
            if !(seconds > 0.0 && seconds <= 3600.0) {
                return Err(FieldError::new(field, "must be more than 0 and at most 3600 seconds"));
            }
        }
        if !(0.0..=86_400.0).contains(&self.statement_timeout) {
            return Err(FieldError::new("statement_timeout", "must be from 0 to 86400 seconds"));
        }
        self.extra()?;
        if self.native().is_some() {
            SqlTarget::of_config(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use busbar_model::object::ObjectType;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_export_of_earlier_servers_is_read() {
        let mut item = json!({
            "id": 1, "cluster_id": 1, "engine": "postgresql+pg8000", "host": "db", "port": "5432", "db_name": "crm",
            "username": "crm", "password": "hunter2", "pool_size": "5", "extra": "connect_timeout=3\n# note\n",
        });
        let item = item.as_object_mut().unwrap();
        OutgoingSql::from_enmasse("outconn_sql", item);
        let body = (ObjectType::of::<OutgoingSql>().normalise)(item).unwrap();
        assert_eq!((&body["port"], &body["pool_size"]), (&json!(5432), &json!(5)));
        let config: OutgoingSql = serde_json::from_value(Value::Object(body)).unwrap();
        assert_eq!(config.native(), Some(Engine::Postgres));
        assert_eq!(
            config.extra().unwrap(),
            [("connect_timeout".to_owned(), "3".to_owned())]
        );
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn wrong_fields_are_named() {
        for (body, field) in [
            (json!({"engine": ""}), "engine"),
            (json!({"engine": "mysql", "pool_size": 0}), "pool_size"),
            (json!({"engine": "mysql", "extra": "x"}), "extra"),
            (json!({"engine": "mysql", "extra": "no_such=1"}), "extra"),
            (json!({"engine": "mysql", "ssl_mode": "maybe"}), "ssl_mode"),
            (json!({"engine": "sqlite"}), "db_name"),
        ] {
            let refused = (ObjectType::of::<OutgoingSql>().normalise)(body.as_object().unwrap());
            assert_eq!(refused.unwrap_err().field, field, "{body}");
        }
        let other = json!({"engine": "mssql+pymssql", "host": "db", "extra": "charset=utf8"});
        assert!((ObjectType::of::<OutgoingSql>().normalise)(other.as_object().unwrap()).is_ok());
    }
}
