//! XML responses.

use busbar_model::sio::{Declaration, Element, ElementKind, XmlLayout};
use busbar_model::{Error, Kind};
use serde_json::{Map, Value};

use crate::xml::walk::is_character;

/// A payload whose values have been converted already.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// One item.
    One(Map<String, Value>),
    /// A list of items.
    Many(Vec<Map<String, Value>>),
}

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Writes declared output: `zato_env` with the cid first, then one `item`, or an `item_list`. No XML declaration, UTF-8, in one line,
/// unless the declaration's layout says otherwise.
///
/// Fails if a name cannot be an element's name, or a text holds characters that XML does not know.
pub fn write_output(declaration: &Declaration, cid: &str, output: &Output) -> Result<String, Error> {
    let elements = declaration.output.as_deref().unwrap_or_default();
    let root = declaration.response_elem.as_deref().unwrap_or("response");
    let mut writer = Writer::new(&declaration.xml);
    let mut attributes = String::new();
    if !declaration.namespace.is_empty() {
        attributes = format!(" xmlns=\"{}\"", escaped(&declaration.namespace)?);
    }
    let uses_nil = match output {
        Output::One(item) => holds_null(item.values()),
        Output::Many(items) => items.iter().any(|item| holds_null(item.values())),
    };
    if uses_nil {
        attributes.push_str(&format!(" xmlns:xsi=\"{XSI}\""));
    }
    writer.element(root, &attributes, |writer| {
        writer.element("zato_env", "", |writer| {
            writer.element("cid", "", |writer| writer.characters(cid))?;
            writer.element("result", "", |writer| writer.characters("ZATO_OK"))
        })?;
        match output {
            Output::One(item) => writer.item(elements, item),
            Output::Many(items) => writer.element("item_list", "", |writer| {
                items.iter().try_for_each(|item| writer.item(elements, item))
            }),
        }
    })?;
    Ok(writer.text)
}

/// Writes a payload that no output was declared for under a root element, keys as elements, in their own order.
pub fn write_plain(root: &str, value: &Value) -> Result<String, Error> {
    let mut writer = Writer::new(&XmlLayout::default());
    let attributes = if holds_null([value].into_iter()) {
        format!(" xmlns:xsi=\"{XSI}\"")
    } else {
        String::new()
    };
    writer.element(root, &attributes, |writer| writer.plain(value))?;
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
        }
    }

    /// Begins a line for what stands as deep as is open now.
    fn line(&mut self) {
        if let Some(depth) = self.indent {
            self.text.push('\n');
            self.text.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn element(
        &mut self,
        name: &str,
        attributes: &str,
        content: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
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
        let before = self.elements;
        self.text.push('<');
        self.text.push_str(name);
        self.text.push_str(attributes);
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
        let escaped = escaped(text)?;
        if !self.is_ascii || escaped.is_ascii() {
            self.text.push_str(&escaped);
            return Ok(());
        }
        for character in escaped.chars() {
            if character.is_ascii() {
                self.text.push(character);
            } else {
                self.text.push_str(&format!("&#{};", u32::from(character)));
            }
        }
        Ok(())
    }

    /// Declared elements in the order they were declared; those without a value are left out.
    fn item(&mut self, elements: &[Element], item: &Map<String, Value>) -> Result<(), Error> {
        self.element("item", "", |writer| {
            for element in elements {
                if let Some(value) = item.get(&element.name) {
                    writer.declared(element, value)?;
                }
            }
            Ok(())
        })
    }

    fn declared(&mut self, element: &Element, value: &Value) -> Result<(), Error> {
        match (element.kind, value) {
            (ElementKind::List, Value::Array(items)) => self.element(&element.name, "", |writer| {
                items.iter().try_for_each(|item| writer.value("item", item))
            }),
            (ElementKind::DictList, Value::Array(rows)) => self.element(&element.name, "", |writer| {
                rows.iter().try_for_each(|row| writer.value("dict", row))
            }),
            _ => self.value(&element.name, value),
        }
    }

    /// A value of no declared shape: lists repeat the element, dicts are lists of keys and values.
    fn value(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        match value {
            Value::Null => self.element(name, " xsi:nil=\"true\"", |_| Ok(())),
            Value::Array(items) => items.iter().try_for_each(|item| self.value(name, item)),
            Value::Object(values) => self.element(name, "", |writer| {
                for (key, value) in values {
                    writer.element("item", "", |writer| {
                        writer.element("key", "", |writer| writer.characters(key))?;
                        writer.value("value", value)
                    })?;
                }
                Ok(())
            }),
            scalar => self.element(name, "", |writer| writer.scalar(scalar)),
        }
    }

    fn plain(&mut self, value: &Value) -> Result<(), Error> {
        match value {
            Value::Object(values) => values
                .iter()
                .try_for_each(|(key, value)| self.plain_element(key, value)),
            Value::Array(items) => items.iter().try_for_each(|item| self.plain_element("item", item)),
            Value::Null => Ok(()),
            scalar => self.scalar(scalar),
        }
    }

    fn plain_element(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        match value {
            Value::Null => self.element(name, " xsi:nil=\"true\"", |_| Ok(())),
            Value::Array(items) if items.iter().all(|item| !item.is_array()) => {
                items.iter().try_for_each(|item| self.plain_element(name, item))
            }
            value => self.element(name, "", |writer| writer.plain(value)),
        }
    }

    fn scalar(&mut self, value: &Value) -> Result<(), Error> {
        match value {
            Value::String(text) => self.characters(text),
            // numbers, true and false
            other => self.characters(&other.to_string()),
        }
    }
}

fn holds_null<'a>(mut values: impl Iterator<Item = &'a Value>) -> bool {
    values.any(|value| match value {
        Value::Null => true,
        Value::Array(items) => holds_null(items.iter()),
        Value::Object(values) => holds_null(values.values()),
        _ => false,
    })
}

fn escaped(text: &str) -> Result<String, Error> {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // a bare one would be read back as a line feed
            '\r' => escaped.push_str("&#13;"),
            character if is_character(character) => escaped.push(character),
            character => {
                return Err(Error::new(
                    Kind::Service,
                    format!("cannot write character U+{:04X} in XML", u32::from(character)),
                ));
            }
        }
    }
    Ok(escaped)
}

/// Whether a text can be an element's or attribute's name, prefix included.
pub fn is_name(name: &str) -> bool {
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

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
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
            &Output::One(map(json!({"value": "a<b", "provider": true, "x": 1}))),
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
        let many = Output::Many(vec![map(json!({"a": 1})), map(json!({"a": null}))]);
        assert_eq!(
            write_output(&declaration, "c", &many).unwrap(),
            format!(
                "<market_cap xmlns:xsi=\"{XSI}\">{ENV}<item_list><item><a>1</a></item><item><a xsi:nil=\"true\"></a></item></item_list></market_cap>"
            )
        );
        assert_eq!(
            write_output(&declaration, "c", &Output::Many(Vec::new())).unwrap(),
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
        let item = map(json!({"d": {"a": 1}, "ld": [{"b": 2}], "lst": [1, 2], "tags": ["x"]}));
        assert_eq!(
            write_output(&declaration, "c", &Output::One(item)).unwrap(),
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
        assert!(write_output(&bad_name, "c", &Output::One(map(json!({"a b": 1})))).is_err());
        let good_name = declaration(vec![element("a", ElementKind::Text)]);
        assert!(write_output(&good_name, "c", &Output::One(map(json!({"a": "\u{0}"})))).is_err());
    }

    #[test]
    fn an_undeclared_payload_is_written_plainly() {
        assert_eq!(
            write_plain("response", &json!({"a": 1, "b": [{"c": "x"}, {"c": "y"}], "d": true})).unwrap(),
            "<response><a>1</a><b><c>x</c></b><b><c>y</c></b><d>true</d></response>"
        );
        assert_eq!(
            write_plain("response", &json!(["a", "b"])).unwrap(),
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
        let Value::Object(item) = json!({"a": "\u{e9}<", "b": ["1"]}) else {
            unreachable!()
        };
        let text = write_output(&declaration, "c", &Output::One(item)).unwrap();
        let expected = "<?xml version='1.0' encoding='us-ascii'?>\n<response>\n  <zato_env>\n    <cid>c</cid>\n    \
            <result>ZATO_OK</result>\n  </zato_env>\n  <item>\n    <a>&#233;&lt;</a>\n    <b>\n      <item>1</item>\n    </b>\n  \
            </item>\n</response>";
        assert_eq!(text, expected);
        assert!(can_encode("UTF-8") && can_encode("iso-8859-1") && !can_encode("utf-16"));
    }
}
