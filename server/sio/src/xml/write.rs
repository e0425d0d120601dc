//! XML responses.

use std::borrow::Cow;

use busbar_model::sio::{Declaration, Element, ElementKind, XmlLayout};
use busbar_model::{Error, Kind};
use serde_json::Value;

use crate::xml::walk::is_character;

/// A payload whose values have been converted already: what the declared elements hold, in the order of the declaration.
#[derive(Debug, Clone, PartialEq)]
pub enum Output<'d, T> {
    /// One item.
    One(Item<'d, T>),
    /// A list of items.
    Many(Vec<Item<'d, T>>),
}

/// The elements of an item that have a value.
pub type Item<'d, T> = Vec<(&'d Element, T)>;

/// A value that can be written.
pub trait Tree: Sized {
    /// Why it cannot be written.
    type Error: From<Error>;

    /// What it is.
    fn shape(&self) -> Result<Shape<'_, Self>, Self::Error>;
}

/// What a value is.
#[derive(Debug)]
pub enum Shape<'a, T> {
    /// No value.
    Null,
    /// A text, or the text of a number or truth value.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<T>),
    /// An object.
    Object(Vec<(Cow<'a, str>, T)>),
}

impl Tree for &Value {
    type Error = Error;

    fn shape(&self) -> Result<Shape<'_, Self>, Error> {
        Ok(match self {
            Value::Null => Shape::Null,
            Value::String(text) => Shape::Text(Cow::Borrowed(text)),
            Value::Bool(_) | Value::Number(_) => Shape::Text(Cow::Owned(self.to_string())),
            Value::Array(items) => Shape::List(items.iter().collect()),
            Value::Object(members) => Shape::Object(
                members
                    .iter()
                    .map(|(name, value)| (Cow::Borrowed(name.as_str()), value))
                    .collect(),
            ),
        })
    }
}

const XSI: &str = " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

/// Writes declared output: `zato_env` with the cid first, then one `item`, or an `item_list`. No XML declaration, UTF-8, in one line,
/// unless the declaration's layout says otherwise.
///
/// Fails if a name cannot be an element's name, or a text holds characters that XML does not know.
pub fn write_output<T: Tree>(declaration: &Declaration, cid: &str, output: &Output<'_, T>) -> Result<String, T::Error> {
    let root = declaration.response_elem.as_deref().unwrap_or("response");
    let namespace = Some(declaration.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let mut writer = Writer::new(&declaration.xml);
    writer.root(root, namespace, |writer| {
        writer.element("zato_env", |writer| {
            writer.text_element("cid", cid)?;
            writer.text_element("result", "ZATO_OK")
        })?;
        match output {
            Output::One(item) => writer.item(item),
            Output::Many(items) => writer.element("item_list", |writer| {
                items.iter().try_for_each(|item| writer.item(item))
            }),
        }
    })?;
    Ok(writer.text)
}

/// Writes a payload that no output was declared for under a root element, keys as elements, in their own order.
pub fn write_plain<T: Tree>(root: &str, value: &T) -> Result<String, T::Error> {
    let mut writer = Writer::new(&XmlLayout::default());
    writer.root(root, None, |writer| writer.plain(value))?;
    Ok(writer.text)
}

/// Whether XML can be written in an encoding: UTF-8, and those that begin with ASCII.
pub fn can_encode(encoding: &str) -> bool {
    let encoding = encoding.to_ascii_lowercase();
    is_utf8(&encoding)
        || matches!(encoding.as_str(), "ascii" | "us-ascii" | "latin1" | "latin-1")
        || encoding.starts_with("iso-8859-")
        || encoding.starts_with("windows-125")
}

fn is_utf8(encoding: &str) -> bool {
    encoding.is_empty() || encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("utf8")
}

struct Writer {
    text: String,
    /// Elements written so far.
    elements: usize,
    /// How many elements are open, if each gets a line of its own.
    indent: Option<usize>,
    /// Characters beyond ASCII are written as references.
    is_ascii: bool,
    /// A value was none.
    has_nil: bool,
}

impl Writer {
    fn new(layout: &XmlLayout) -> Self {
        let mut text = String::with_capacity(256);
        if layout.declaration {
            let encoding = if layout.encoding.is_empty() {
                "UTF-8"
            } else {
                &layout.encoding
            };
            text.push_str("<?xml version='1.0' encoding='");
            text.push_str(encoding);
            text.push_str("'?>\n");
        }
        Self {
            text,
            elements: 0,
            indent: layout.pretty_print.then_some(0),
            is_ascii: !is_utf8(&layout.encoding),
            has_nil: false,
        }
    }

    /// Begins a line for what stands as deep as is open now.
    fn line(&mut self) {
        if let Some(depth) = self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
    }

    /// The outermost element. The namespace of `xsi:nil` is declared if it was needed.
    fn root<E: From<Error>>(
        &mut self,
        name: &str,
        namespace: Option<&str>,
        content: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(name)?;
        if let Some(namespace) = namespace {
            self.text.push_str(" xmlns=\"");
            self.characters(namespace)?;
            self.text.push('"');
        }
        let end = self.text.len();
        self.content(name, content)?;
        if self.has_nil {
            self.text.insert_str(end, XSI);
        }
        Ok(())
    }

    fn element<E: From<Error>>(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(name)?;
        self.content(name, content)
    }

    fn text_element(&mut self, name: &str, text: &str) -> Result<(), Error> {
        self.element(name, |writer| writer.characters(text))
    }

    fn nil(&mut self, name: &str) -> Result<(), Error> {
        self.open(name)?;
        self.has_nil = true;
        self.text.push_str(" xsi:nil=\"true\"");
        self.content(name, |_| Ok(()))
    }

    /// The beginning of a tag, up to its attributes.
    fn open(&mut self, name: &str) -> Result<(), Error> {
        if !is_name(name) || (self.is_ascii && !name.is_ascii()) {
            return Err(Error::new(
                Kind::Service,
                format!("cannot write `{name}` as the name of an XML element"),
            ));
        }
        if self.elements > 0 {
            self.line();
        }
        self.elements += 1;
        self.text.push('<');
        self.text.push_str(name);
        Ok(())
    }

    /// The rest of an element.
    fn content<E: From<Error>>(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.elements;
        self.text.push('>');
        self.indent = self.indent.map(|depth| depth + 1);
        content(self)?;
        self.indent = self.indent.map(|depth| depth - 1);
        if self.elements > before {
            self.line();
        }
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
        Ok(())
    }

    fn characters(&mut self, text: &str) -> Result<(), Error> {
        let is_ascii = self.is_ascii;
        // U+FFFE and U+FFFF begin with 0xef
        let is_special = |byte: u8| {
            matches!(byte, b'&' | b'<' | b'>' | b'"' | 0xef)
                || byte < b' ' && !matches!(byte, b'\t' | b'\n')
                || is_ascii && !byte.is_ascii()
        };
        let mut rest = text;
        while let Some(at) = rest.bytes().position(is_special) {
            let (plain, special) = rest.split_at(at);
            self.text.push_str(plain);
            let mut characters = special.chars();
            let character = characters.next().expect("there is one, its first byte was found");
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // a bare one would be read back as a line feed
                '\r' => self.text.push_str("&#13;"),
                character if !is_character(character) => {
                    return Err(Error::new(
                        Kind::Service,
                        format!("cannot write character U+{:04X} in XML", u32::from(character)),
                    ));
                }
                character if is_ascii => self.text.push_str(&format!("&#{};", u32::from(character))),
                character => self.text.push(character),
            }
            rest = characters.as_str();
        }
        self.text.push_str(rest);
        Ok(())
    }

    /// Declared elements; those without a value are left out.
    fn item<T: Tree>(&mut self, item: &Item<'_, T>) -> Result<(), T::Error> {
        self.element("item", |writer| {
            item.iter()
                .try_for_each(|(element, value)| writer.declared(element, value))
        })
    }

    fn declared<T: Tree>(&mut self, element: &Element, value: &T) -> Result<(), T::Error> {
        let inner = match element.kind {
            ElementKind::List => "item",
            ElementKind::DictList => "dict",
            _ => return self.value(&element.name, value),
        };
        match value.shape()? {
            Shape::List(items) => self.element(&element.name, |writer| {
                items.iter().try_for_each(|item| writer.value(inner, item))
            }),
            shape => self.shape(&element.name, shape),
        }
    }

    /// A value of no declared shape: lists repeat the element, dicts are lists of keys and values.
    fn value<T: Tree>(&mut self, name: &str, value: &T) -> Result<(), T::Error> {
        self.shape(name, value.shape()?)
    }

    fn shape<T: Tree>(&mut self, name: &str, shape: Shape<'_, T>) -> Result<(), T::Error> {
        match shape {
            Shape::Null => Ok(self.nil(name)?),
            Shape::Text(text) => Ok(self.text_element(name, &text)?),
            Shape::List(items) => items.iter().try_for_each(|item| self.value(name, item)),
            Shape::Object(members) => self.element(name, |writer| {
                for (key, value) in &members {
                    writer.element("item", |writer| {
                        writer.text_element("key", key)?;
                        writer.value("value", value)
                    })?;
                }
                Ok(())
            }),
        }
    }

    fn plain<T: Tree>(&mut self, value: &T) -> Result<(), T::Error> {
        self.plain_shape(value.shape()?)
    }

    fn plain_shape<T: Tree>(&mut self, shape: Shape<'_, T>) -> Result<(), T::Error> {
        match shape {
            Shape::Null => Ok(()),
            Shape::Text(text) => Ok(self.characters(&text)?),
            Shape::List(items) => items.iter().try_for_each(|item| self.plain_element("item", item)),
            Shape::Object(members) => members
                .iter()
                .try_for_each(|(key, value)| self.plain_element(key, value)),
        }
    }

    fn plain_element<T: Tree>(&mut self, name: &str, value: &T) -> Result<(), T::Error> {
        match value.shape()? {
            Shape::Null => Ok(self.nil(name)?),
            Shape::List(items) => {
                let shapes = items.iter().map(Tree::shape).collect::<Result<Vec<_>, _>>()?;
                if shapes.iter().any(|shape| matches!(shape, Shape::List(_))) {
                    return self.element(name, |writer| {
                        items.iter().try_for_each(|item| writer.plain_element("item", item))
                    });
                }
                items.iter().try_for_each(|item| self.plain_element(name, item))
            }
            shape => self.element(name, |writer| writer.plain_shape(shape)),
        }
    }
}

/// Whether a text is a name of ASCII letters, digits and underscores: such a one has no prefix.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.as_bytes().first().is_some_and(|first| is_start(*first))
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit())
}

/// Whether a text can be an element's or attribute's name, prefix included.
pub fn is_name(name: &str) -> bool {
    if is_plain_name(name) {
        return true;
    }
    let is_start = |character: char| {
        matches!(character, ':' | '_' | 'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
            | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
    };
    let mut characters = name.chars();
    characters.next().is_some_and(is_start) && characters.all(|character| {
        is_start(character)
            || matches!(character, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn element(name: &str, kind: ElementKind) -> Element {
        Element {
            name: name.to_owned(),
            required: true,
            kind,
            nested: Vec::new(),
        }
    }

    fn declaration(output: Vec<Element>) -> Declaration {
        Declaration {
            input: None,
            output: Some(output),
            response_elem: Some("market_cap".to_owned()),
            ..Declaration::default()
        }
    }

    fn item<'d, 'v>(declaration: &'d Declaration, value: &'v Value) -> Item<'d, &'v Value> {
        let elements = declaration.output.iter().flatten();
        elements
            .filter_map(|element| Some((element, value.get(&element.name)?)))
            .collect()
    }

    const ENV: &str = "<zato_env><cid>c</cid><result>ZATO_OK</result></zato_env>";

    #[test]
    fn one_item_is_written() {
        let declaration = declaration(vec![
            element("provider", ElementKind::Text),
            element("value", ElementKind::Text),
        ]);
        let text = write_output(
            &declaration,
            "c",
            &Output::One(item(&declaration, &json!({"value": "a<b", "provider": true, "x": 1}))),
        )
        .unwrap();
        assert_eq!(
            text,
            format!("<market_cap>{ENV}<item><provider>true</provider><value>a&lt;b</value></item></market_cap>")
        );
    }

    #[test]
    fn many_items_are_a_list() {
        let declaration = declaration(vec![element("a", ElementKind::Int)]);
        let (one, null) = (json!({"a": 1}), json!({"a": null}));
        let many = Output::Many(vec![item(&declaration, &one), item(&declaration, &null)]);
        assert_eq!(
            write_output(&declaration, "c", &many).unwrap(),
            format!(
                "<market_cap{XSI}>{ENV}<item_list><item><a>1</a></item><item><a xsi:nil=\"true\"></a></item></item_list></market_cap>"
            )
        );
        assert_eq!(
            write_output(&declaration, "c", &Output::<&Value>::Many(Vec::new())).unwrap(),
            format!("<market_cap>{ENV}<item_list></item_list></market_cap>")
        );
    }

    #[test]
    fn structures_are_written_as_version_two_did() {
        let mut declaration = declaration(vec![
            element("d", ElementKind::Dict),
            element("ld", ElementKind::DictList),
            element("lst", ElementKind::Text),
            element("tags", ElementKind::List),
        ]);
        declaration.namespace = "urn:my".to_owned();
        let value = json!({"d": {"a": 1}, "ld": [{"b": 2}], "lst": [1, 2], "tags": ["x"]});
        assert_eq!(
            write_output(&declaration, "c", &Output::One(item(&declaration, &value))).unwrap(),
            format!(
                "<market_cap xmlns=\"urn:my\">{ENV}<item><d><item><key>a</key><value>1</value></item></d>\
                <ld><dict><item><key>b</key><value>2</value></item></dict></ld>\
                <lst>1</lst><lst>2</lst><tags><item>x</item></tags></item></market_cap>"
            )
        );
    }

    #[test]
    fn what_xml_cannot_hold_is_an_error() {
        let bad_name = declaration(vec![element("a b", ElementKind::Text)]);
        assert!(write_output(&bad_name, "c", &Output::One(item(&bad_name, &json!({"a b": 1})))).is_err());
        let good_name = declaration(vec![element("a", ElementKind::Text)]);
        assert!(write_output(&good_name, "c", &Output::One(item(&good_name, &json!({"a": "\u{0}"})))).is_err());
    }

    #[test]
    fn an_undeclared_payload_is_written_plainly() {
        assert_eq!(
            write_plain("response", &&json!({"a": 1, "b": [{"c": "x"}, {"c": "y"}], "d": true})).unwrap(),
            "<response><a>1</a><b><c>x</c></b><b><c>y</c></b><d>true</d></response>"
        );
        assert_eq!(
            write_plain("response", &&json!(["a", "b"])).unwrap(),
            "<response><item>a</item><item>b</item></response>"
        );
    }

    #[test]
    fn the_layout_can_be_declared() {
        let mut declaration = declaration(vec![element("a", ElementKind::Text), element("b", ElementKind::List)]);
        declaration.response_elem = None;
        declaration.xml = XmlLayout {
            pretty_print: true,
            declaration: true,
            encoding: "us-ascii".to_owned(),
        };
        let value = json!({"a": "\u{e9}<", "b": ["1"]});
        let text = write_output(&declaration, "c", &Output::One(item(&declaration, &value))).unwrap();
        let expected = "<?xml version='1.0' encoding='us-ascii'?>\n<response>\n  <zato_env>\n    <cid>c</cid>\n    \
            <result>ZATO_OK</result>\n  </zato_env>\n  <item>\n    <a>&#233;&lt;</a>\n    <b>\n      <item>1</item>\n    </b>\n  \
            </item>\n</response>";
        assert_eq!(text, expected);
        assert!(can_encode("UTF-8") && can_encode("iso-8859-1") && !can_encode("utf-16"));
    }
}
