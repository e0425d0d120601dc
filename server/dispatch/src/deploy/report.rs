//! What is told of deployments.

use std::collections::BTreeMap;

use busbar_runtime::handler::DeployError;
use serde::{Deserialize, Serialize};

use crate::statistics::Usage;

/// What came of a batch of files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The generation that is current now, if anything was deployed.
    pub generation: Option<u64>,
    /// Modules that were imported, those that only depend on a changed one included, with their services.
    pub deployed: BTreeMap<String, Vec<String>>,
    /// Files whose content is what is deployed already.
    pub unchanged: Vec<String>,
    /// Files that were left out, and why.
    pub failed: Vec<DeployError>,
}

/// What `busbar service list` shows of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Its name.
    pub name: String,
    /// `<module>.<Class>`.
    pub impl_name: String,
    /// The file it came from.
    pub path: String,
    /// The deployment that brought it.
    pub generation: u64,
    /// Whether it may be called.
    pub is_active: bool,
    /// Whether it declares input or output.
    pub has_sio: bool,
    /// Verbs it has methods for; empty: `handle()` takes them all.
    pub http_methods: Vec<String>,
    /// First line of its docstring.
    pub summary: String,
    /// Whether it is part of busbar rather than of what users deploy.
    pub is_builtin: bool,
    /// How often it was called, and how long that took.
    pub usage: Usage,
}
