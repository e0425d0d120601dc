//! XML requests and responses (sio.md 6).
//!
//! * [`check_xml`] - one pass that refuses what no service should see
//! * [`parse`] and [`read_input`] - declared input out of a request
//! * [`replace_secrets`] - a document that can be shown
//! * [`write_output`] and [`write_plain`] - a response from a payload

mod check;
mod mask;
mod read;
pub(crate) mod walk;
mod write;

pub use check::check_xml;
pub use mask::replace_secrets;
pub use read::{Build, Node, ToJson, parse, read_input};
pub use write::{Item, Output, Shape, Tree, can_encode, is_name, write_output, write_plain};
