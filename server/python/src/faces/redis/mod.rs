//! `self.kvdb`: the face of Redis, with the methods of redis-py (service-api.md 9.1).
//!
//! * [`values`] - how values are sent
//! * [`shape`] - what replies become
//! * [`table`] - commands whose arguments need no thought
//! * [`special`], [`strings`], [`streams`], [`geo`] - commands whose arguments do
//! * [`call`] - arguments by the names of their parameters
//! * [`client`] - `self.kvdb.conn`
//! * [`pipeline`] - commands that go together
//! * [`scan`] - iterators
//! * [`script`] - `register_script`
//! * [`subscription`] - what `pubsub()` receives with
//! * [`server`] - commands about Redis itself
//! * [`refused`] - what redis-py has and this face has not, and why
//! * [`errors`] - what services catch

mod call;
mod client;
mod errors;
mod geo;
mod pipeline;
mod refused;
mod scan;
mod script;
mod server;
mod shape;
mod special;
mod streams;
mod strings;
mod subscription;
mod table;
#[cfg(test)]
mod tests;
mod values;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyTuple};

pub(crate) use client::{Kvdb, RedisServers, Source};

use shape::Shape;

/// A command on its way: name and arguments, and what its reply becomes.
#[derive(Debug)]
pub(crate) struct Command {
    words: Vec<Vec<u8>>,
    shape: Shape,
    /// What makes a score of its text: `score_cast_func`.
    cast: Option<Py<PyAny>>,
}

impl Command {
    fn new(words: Vec<Vec<u8>>, shape: Shape) -> Self {
        Self {
            words,
            shape,
            cast: None,
        }
    }

    /// A command that a service wrote out. Of the options those count that redis-py itself gives to `execute_command` with ranges.
    fn by_hand(args: &Bound<'_, PyTuple>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let (name, words) = special::by_hand(args)?;
        let option = |name| options.map_or(Ok(None), |options| options.get_item(name));
        if name.starts_with('Z') && option("withscores")?.map_or(Ok(false), |scored| scored.is_truthy())? {
            let cast = option("score_cast_func")?.filter(|cast| !cast.is(args.py().get_type::<PyFloat>()));
            return Ok(Self {
                cast: cast.map(Bound::unbind),
                ..Self::new(words, Shape::Scored)
            });
        }
        // with a range it lists entries rather than summing them up
        let is_listed = name == "XPENDING" && words.len() > 3;
        let shape = if is_listed {
            Shape::Plain
        } else {
            table::shape_of(&name)
        };
        Ok(Self::new(words, shape))
    }
}

/// Adds the classes to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Kvdb>()?;
    module.add_class::<client::Redis>()?;
    module.add_class::<RedisServers>()?;
    module.add_class::<client::RedisMethod>()?;
    module.add_class::<pipeline::Pipeline>()?;
    module.add_class::<scan::ScanIterator>()?;
    module.add_class::<subscription::Subscription>()?;
    module.add_class::<script::Script>()
}
