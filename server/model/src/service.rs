//! What the hub knows of a deployed service, and what is set for one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields;
use crate::object::{FieldError, Object, Placement, Snapshot};
use crate::rate_limit::RateLimits;
use crate::sio::Declaration;

/// Folders of the pickup directory whose files are service files too, with all that is in them.
pub const SOURCE_FOLDERS: [&str; 3] = ["src", "source", "services"];

/// One service class, as a worker reports it after importing its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Name by which channels and `self.invoke` reach it: `my-service.get-client-details`.
    pub name: String,
    /// `<module>.<Class>`, in the case it was written in.
    pub impl_name: String,
    /// Stem of the file that it came from; the key of the source in the ODB.
    pub module: String,
    /// Verbs with a method of their own (`handle_GET` gives `GET`), sorted. Empty: `handle()` takes them all.
    pub http_methods: Vec<String>,
    /// Its SimpleIO, if it declares any.
    pub sio: Option<Declaration>,
    /// First line of the class's docstring.
    #[serde(default)]
    pub summary: String,
    /// Seconds a call of it may take; `None`: the server's default. Class attribute `timeout`.
    #[serde(default)]
    pub deadline_secs: Option<u32>,
    /// It says itself what tells its requests apart, for channels that keep answers: `get_request_hash`.
    #[serde(default)]
    pub has_request_hash: bool,
}

/// What is set for a service, under its name, whatever file it comes from: whether it is active, how often it may be called over channels,
/// which calls of it are slow, which are kept, and its WSDL. A service of which nothing is set is active, without limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// Whether `rate_limit_def` is enforced.
    #[serde(default)]
    pub is_rate_limit_active: bool,
    /// How often the service may be called over channels, whichever they are, as lines such as `*=100/m`.
    #[serde(default)]
    #[schemars(with = "String", example = &"*=100/m")]
    pub rate_limit_def: RateLimits,
    /// Milliseconds from which on a call of the service is kept as slow; 0: as its class attribute `slow_threshold` says, if it has one.
    #[serde(default)]
    pub slow_threshold: u32,
    /// Every how many calls one is kept, its request and its answer, secrets masked; 0: none is.
    #[serde(default)]
    pub sample_req_resp_freq: u32,
    /// The WSDL that `/zato/wsdl` gives to callers; empty: there is none.
    #[serde(default)]
    pub wsdl: String,
    /// The name under which callers store it.
    #[serde(default)]
    #[schemars(example = &"crm.wsdl")]
    pub wsdl_name: String,
}

/// Longest WSDL, in bytes.
const WSDL_MAX: usize = 4 << 20;

/// Key of files from when limits of services were objects of their own, which were switched on and off.
const LIMITS_KEY: &str = "service_limits";

impl Object for ServiceSettings {
    const KIND: &'static str = "service";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["service", LIMITS_KEY];

    fn from_enmasse(key: &str, item: &mut Map<String, Value>) {
        for field in ["impl_name", "rate_limit_type", "rate_limit_check_parent_def"] {
            item.remove(field);
        }
        fields::ignore_nulls(item);
        if key == LIMITS_KEY {
            item.entry("is_rate_limit_active").or_insert(Value::Bool(true));
        }
    }

    fn check(&self) -> Result<(), FieldError> {
        if self.wsdl.len() > WSDL_MAX {
            let message = format!("must not be longer than {} MB", WSDL_MAX >> 20);
            return Err(FieldError::new("wsdl", message));
        }
        let is_odd = |it: char| it.is_control() || matches!(it, '"' | '/' | '\\');
        if self.wsdl_name.contains(is_odd) {
            return Err(FieldError::new(
                "wsdl_name",
                "must be the name of a file, without folders",
            ));
        }
        self.rate_limit_def.check(self.is_rate_limit_active)
    }
}

/// Which calls are slow, of the services of which something is set about that.
pub fn slow_thresholds(snapshot: &Snapshot) -> HashMap<String, Duration> {
    snapshot
        .of::<ServiceSettings>()
        .filter_map(|(record, settings)| {
            let threshold = settings
                .ok()
                .map(|settings| settings.slow_threshold)
                .filter(|it| *it > 0)?;
            Some((record.name.clone(), Duration::from_millis(threshold.into())))
        })
        .collect()
}

/// Every how many calls one is kept, of the services of which any is.
pub fn sample_frequencies(snapshot: &Snapshot) -> HashMap<String, u32> {
    snapshot
        .of::<ServiceSettings>()
        .filter_map(|(record, settings)| {
            let every = settings.ok().map(|settings| settings.sample_req_resp_freq);
            Some((record.name.clone(), every.filter(|it| *it > 0)?))
        })
        .collect()
}

/// Names of the services that are switched off.
pub fn inactive(snapshot: &Snapshot) -> HashSet<String> {
    snapshot
        .of_kind(ServiceSettings::KIND)
        .filter(|record| !record.is_active)
        .map(|record| record.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::ObjectType;

    #[test]
    fn limits_of_their_own_are_read() {
        for (key, item, is_limited) in [
            ("service_limits", json!({"rate_limit_def": "*=1/m"}), true),
            (
                "service_limits",
                json!({"rate_limit_def": "*=1/m", "is_rate_limit_active": false}),
                false,
            ),
            (
                "service",
                json!({"rate_limit_def": "*=1/m", "impl_name": "a.A", "slow_threshold": 99999}),
                false,
            ),
        ] {
            let mut item = item;
            let item = item.as_object_mut().unwrap();
            ServiceSettings::from_enmasse(key, item);
            let body = (ObjectType::of::<ServiceSettings>().normalise)(item).unwrap();
            assert_eq!(body["is_rate_limit_active"], is_limited, "{key} {item:?}");
        }
    }
}
