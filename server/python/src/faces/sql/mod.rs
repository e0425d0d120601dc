//! What `busbar.sql` stands on: the connections and cursors of PEP 249, and pools of connections by name.
//!
//! * [`values`] - Python's values, there and back
//! * [`connection`] - connections
//! * [`cursor`] - cursors
//! * [`pool`] - pools
//! * [`errors`] - what callers catch

mod connection;
mod cursor;
mod errors;
mod pool;
mod values;

use pyo3::prelude::*;

/// Adds the classes to the module `_busbar`.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<connection::SqlConnection>()?;
    module.add_class::<cursor::SqlCursor>()?;
    module.add_class::<pool::SqlPool>()?;
    module.add_function(wrap_pyfunction!(connection::sql_connect, module)?)
}
