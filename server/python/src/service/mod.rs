//! What a service is and what it sees.
//!
//! * [`class`] - what is known of a service class, read once when it is deployed
//! * [`name`] - how services get their names
//! * [`instance`] - the native base class, `self`
//! * [`attributes`] - what is on it besides methods
//! * [`invocation`] - one call, before any code of the service runs
//! * [`life`] - hooks, `handle()` and the answer
//! * [`invoke`] - services that call services
//! * [`queued`] - services that leave messages for services
//! * [`request`], [`params`], [`wsgi`], [`channel`] - what came in
//! * [`response`], [`payload`], [`write`], [`stream`] - what goes out
//! * [`slot`] - places for Python objects

mod attributes;
mod channel;
mod class;
pub(crate) mod instance;
pub(crate) mod invocation;
mod invoke;
mod life;
mod name;
mod params;
mod payload;
mod queued;
mod request;
mod response;
pub(crate) mod slot;
mod stream;
mod write;
mod wsgi;

#[cfg(test)]
mod tests;

pub(crate) use attributes::missing;
pub use class::{ServiceClass, deployable};
pub use life::run;
pub(crate) use slot::Slot;

use pyo3::prelude::*;

/// Adds the classes that services meet to the module `_busbar`.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<instance::Service>()?;
    module.add_class::<attributes::Attribute>()?;
    module.add_class::<request::Request>()?;
    module.add_class::<request::HttpRequest>()?;
    module.add_class::<response::Response>()?;
    module.add_class::<payload::SimpleIOPayload>()?;
    module.add_class::<channel::ChannelDetails>()?;
    module.add_class::<channel::ChannelSecurityInfo>()?;
    crate::sio::model::register(module)?;
    attributes::add_attributes(module.py())
}
