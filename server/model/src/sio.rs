//! SimpleIO declarations: what a service says of its input and output (sio.md).

use serde::{Deserialize, Serialize};

/// What one service declares, read off its class when it is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Input elements, required ones sorted by name, then optional ones sorted by name. `None`: no input is declared.
    pub input: Option<Vec<Element>>,
    /// Output elements in the same order. `None`: no output is declared, the payload is free.
    pub output: Option<Vec<Element>>,
    /// Top key in JSON and root element in XML around the output; `None`: no wrapper in JSON.
    pub response_elem: Option<String>,
    /// Root element that XML requests are documented to have. Any root is accepted (sio.md 6.1).
    pub request_elem: String,
    /// Output is a list even with no or one item.
    pub output_repeated: bool,
    /// XML namespace of the response's root; empty: none.
    pub namespace: String,
    /// Ignore the body, take input from path and query parameters only.
    pub use_channel_params_only: bool,
    /// Input is an instance of a model, whose fields the input elements are: what is missing is told by its path.
    #[serde(default)]
    pub input_is_model: bool,
    /// Output is an instance of a model. Then the output elements are for documentation: what is assigned is sent as it is.
    #[serde(default)]
    pub output_is_model: bool,
    /// Name of the input's model; empty: it is none.
    #[serde(default)]
    pub input_model: String,
    /// Name of the output's model; empty: it is none.
    #[serde(default)]
    pub output_model: String,
    /// How XML responses are laid out.
    #[serde(default)]
    pub xml: XmlLayout,
}

impl Default for Declaration {
    /// Nothing is declared.
    fn default() -> Self {
        Self {
            input: None,
            output: None,
            response_elem: None,
            request_elem: "request".to_owned(),
            output_repeated: false,
            namespace: String::new(),
            use_channel_params_only: false,
            input_is_model: false,
            output_is_model: false,
            input_model: String::new(),
            output_model: String::new(),
            xml: XmlLayout::default(),
        }
    }
}

/// How XML responses are laid out: `class XML` of a declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct XmlLayout {
    /// An element a line, indented.
    pub pretty_print: bool,
    /// An XML declaration comes first.
    pub declaration: bool,
    /// Encoding that the declaration names; empty: UTF-8. In any other one characters beyond ASCII are written as references, which
    /// every encoding of XML that begins with ASCII reads alike.
    pub encoding: String,
}

/// One declared name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// The name, without its optional marker.
    pub name: String,
    /// Whether it must be there.
    pub required: bool,
    /// How values are read and written.
    pub kind: ElementKind,
    /// Declared keys of a `Dict` or `DictList`; empty: everything is let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<Element>,
}

/// How the values of an element are read and written (sio.md 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementKind {
    /// `str(v)`.
    Text,
    /// An integer.
    Int,
    /// A truth value in many spellings.
    Bool,
    /// A floating-point number.
    Float,
    /// `decimal.Decimal`; text in JSON.
    Decimal,
    /// A date: `datetime` at midnight.
    Date,
    /// A point in time.
    DateTime,
    /// Text of a point in time without its trailing `+00:00`.
    Utc,
    /// `uuid.UUID`; 32 hexadecimal digits in JSON.
    Uuid,
    /// Comma-separated text; a list in Python.
    Csv,
    /// A list; a scalar becomes a list of one.
    List,
    /// An object with declared keys.
    Dict,
    /// A list of such objects.
    DictList,
    /// Unchanged.
    AsIs,
    /// Unchanged, objects as `Bunch`.
    Opaque,
    /// Text that must not be shown in logs.
    Secret,
    /// An element class of the user's own, converted by its Python code.
    Custom,
}
