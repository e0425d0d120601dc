//! Which objects go because a document does not have them.

use std::collections::BTreeSet;

use busbar_model::object::{Record, Snapshot};
use serde::{Deserialize, Serialize};

use crate::built_in::is_built_in;
use crate::changes::ObjectName;
use crate::enmasse::apply::ImportOptions;
use crate::enmasse::keys;
use crate::enmasse::read::Document;
use crate::problem::Problems;
use crate::registry::Registry;

/// Which objects an import deletes because its document does not have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prune {
    /// None.
    #[default]
    No,
    /// Those of types that the document speaks of: whose key stands in it with a list, be it an empty one.
    Mentioned,
    /// Those of all types.
    All,
}

/// The objects that are to be deleted; `mentioned` are those of the document.
///
/// # Errors
///
/// A key is asked for that there is not.
pub(super) fn condemned<'a>(
    registry: Registry,
    document: &Document,
    options: &'a ImportOptions,
    current: &'a Snapshot,
    mentioned: &'a BTreeSet<ObjectName>,
) -> Result<impl Iterator<Item = &'a Record>, Problems> {
    let mut kinds: BTreeSet<&'static str> = match options.prune {
        Prune::No => BTreeSet::new(),
        Prune::Mentioned => document
            .keys
            .iter()
            .flat_map(|key| keys::kinds(registry, key))
            .collect(),
        Prune::All => registry.iter().map(|it| it.kind).collect(),
    };
    if let Some(only) = keys::kinds_of(registry, &options.only.keys)? {
        kinds.retain(|kind| only.contains(kind));
    }
    Ok(current.iter().filter(move |record| {
        kinds.contains(record.kind.as_str())
            && options.only.has_name(&record.name)
            && !is_built_in(record)
            && !mentioned.contains(&ObjectName::of(record))
    }))
}
