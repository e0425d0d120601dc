//! What the hub knows of a deployed service, and what is set for one.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object::{Object, Placement, Snapshot};
use crate::sio::Declaration;

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
}

/// What is set for a service, under its name, whatever file it comes from: so far only whether it is active. A service of which nothing
/// is set is active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {}

impl Object for ServiceSettings {
    const KIND: &'static str = "service";
    const PLACEMENT: Placement = Placement::Hub;
    const ENMASSE_KEYS: &'static [&'static str] = &["service"];
}

/// Names of the services that are switched off.
pub fn inactive(snapshot: &Snapshot) -> HashSet<String> {
    snapshot
        .records
        .iter()
        .filter(|record| record.kind == ServiceSettings::KIND && !record.is_active)
        .map(|record| record.name.clone())
        .collect()
}
