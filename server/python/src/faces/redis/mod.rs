//! `self.kvdb`: the face of Redis, with the methods of redis-py (service-api.md 9.1).
//!
//! * [`values`] - how values are sent
//! * [`shape`] - what replies become
//! * [`table`] - commands whose arguments need no thought
//! * [`special`], [`streams`], [`geo`] - commands whose arguments do
//! * [`call`] - arguments by the names of their parameters
//! * [`client`] - `self.kvdb.conn`
//! * [`pipeline`] - commands that go together
//! * [`scan`] - iterators
//! * [`script`] - `register_script`
//! * [`errors`] - what services catch

mod call;
mod client;
mod errors;
mod geo;
mod pipeline;
mod scan;
mod script;
mod shape;
mod special;
mod streams;
mod table;
#[cfg(test)]
mod tests;
mod values;

use pyo3::prelude::*;

pub(crate) use client::Kvdb;

use shape::Shape;

/// A command on its way: name and arguments, and what its reply becomes.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) shape: Shape,
}

/// Adds the classes to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Kvdb>()?;
    module.add_class::<client::Redis>()?;
    module.add_class::<client::RedisMethod>()?;
    module.add_class::<pipeline::Pipeline>()?;
    module.add_class::<scan::ScanIterator>()?;
    module.add_class::<script::Script>()
}
