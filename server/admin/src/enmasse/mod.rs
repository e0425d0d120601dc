//! Many objects from and to one file, YAML or JSON, in the shapes that enmasse of Zato 2.0 and 3.2 reads and writes.
//!
//! Reading is in two steps, because they happen in two processes. The command line reads files, follows their includes and fills in
//! environment variables of its own: [`Document::read`]. The server, which knows the types and the objects that are there, makes records
//! out of the items: [`import`], [`plan`].
//!
//! * `read` - files, includes, environment
//! * `tree` - YAML and JSON text to values, with limits
//! * `keys` - what top-level keys were called, and those that there are not
//! * `items` - items to records
//! * `apply` - import and plan
//! * `plan` - what a plan says, and its id
//! * `prune` - which objects go because a document does not have them
//! * `export` - records to text

mod apply;
mod export;
mod items;
mod keys;
mod plan;
mod prune;
mod read;
#[cfg(test)]
mod tests;
mod tree;

pub use apply::{ImportOptions, Only, import, plan};
pub use export::{ExportOptions, Format, export};
pub use plan::{FieldChange, Plan, PlannedChange, PlannedCreate};
pub use prune::Prune;
pub use read::{Document, Item, ReadOptions};
