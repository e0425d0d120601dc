//! SimpleIO without an interpreter: what bodies must be before a service sees them, and how XML is read and written.
//!
//! * [`check_json`] and [`check_xml`] - refuse what no service could use: not JSON or XML, nested too deeply, required input missing
//! * [`check_names`] and [`form`] - the same for forms, whose names somebody else has read; [`check_no_rows`] for CSV
//! * [`mask`] - secrets taken out of what is kept of messages
//! * [`multipart`] - forms in several parts, with files
//! * [`names`] - the type that an element's name implies
//! * [`soap`] - SOAP envelopes around such requests and responses
//! * [`xml`] - XML requests and responses of services that declare their input and output

mod error;
pub mod form;
mod json;
pub mod mask;
pub mod multipart;
pub mod names;
mod required;
pub mod soap;
pub mod xml;

pub use error::SioError;
pub use json::{check_json, plain_prefix};
pub use required::{check_names, check_no_rows};
pub use xml::check_xml;

/// How deeply arrays and objects, or XML elements, may be nested. Far above what documents need, far below what would endanger a
/// thread's stack where Python objects are built by recursion.
pub const MAX_DEPTH: usize = 128;

/// How many digits an integer may have: the limit of CPython's own `int(text)`, whose time grows with the square of the length.
pub const MAX_DIGITS: usize = 4300;

/// Takes a byte order mark off, which some clients put before UTF-8.
pub fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Whether a body holds nothing: no bytes, or white space only.
pub fn is_blank(body: &[u8]) -> bool {
    without_bom(body).trim_ascii().is_empty()
}
