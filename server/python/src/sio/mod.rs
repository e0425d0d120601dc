//! SimpleIO where Python objects are: declarations read off classes, input converted, output collected and converted.
//!
//! * [`declaration`] - what a class declares
//! * [`convert`] - values of input
//! * [`dates`] - dates and times
//! * [`input`] - `self.request.input`
//! * [`output`] - values of output
//! * [`xml`] - XML requests

pub(crate) mod convert;
mod dates;
mod declaration;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod xml;

pub(crate) use declaration::{Field, Sio};
pub(crate) use input::ServiceInput;
