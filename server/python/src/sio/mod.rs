//! SimpleIO where Python objects are: declarations read off classes, input converted, output collected and converted.
//!
//! * [`declaration`] - what a class declares
//! * [`convert`] - values of input
//! * [`csv`] - CSV in and out
//! * [`dates`] - dates and times
//! * [`input`] - `self.request.input`
//! * [`output`] - values of output
//! * [`model`] - models: dataclasses as input and output
//! * [`xml`] - XML requests

pub(crate) mod convert;
pub(crate) mod csv;
mod dates;
mod declaration;
pub(crate) mod input;
pub(crate) mod model;
pub(crate) mod output;
pub(crate) mod xml;

pub(crate) use declaration::{CsvFormat, Field, Sio, kind_of_name};
pub(crate) use input::ServiceInput;
