//! Declared input out of an XML request.

use busbar_model::sio::{Declaration, Element, ElementKind};
use serde_json::{Map, Value};

use crate::SioError;
use crate::xml::walk::{Step, Walk};

/// An element of a parsed document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Name without its prefix.
    pub name: String,
    /// Text directly inside it, references resolved, white space kept.
    pub text: String,
    /// Elements directly inside it.
    pub children: Vec<Node>,
    /// It carries `xsi:nil="true"`: no value, rather than an empty one.
    pub is_nil: bool,
}

impl Node {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Parses a document into a tree and checks it as [`check_xml`](crate::check_xml) does; returns its root.
pub fn parse(body: &[u8]) -> Result<Node, SioError> {
    let mut walk = Walk::new(body)?;
    let mut open = vec![Node::default()];
    loop {
        let innermost = open.last_mut().expect("the document itself stays open");
        match walk.next()? {
            Step::Open { name, is_nil } => {
                open.push(Node {
                    name: name.into_owned(),
                    is_nil,
                    ..Node::default()
                });
            }
            Step::Text(text) => innermost.text.push_str(&text),
            Step::Close => {
                let node = open.pop().expect("an element that ends was open");
                open.last_mut()
                    .expect("the document itself stays open")
                    .children
                    .push(node);
            }
            Step::End => {
                return Ok(open
                    .pop()
                    .and_then(|mut document| document.children.pop())
                    .unwrap_or_default());
            }
        }
    }
}

/// Takes the declared elements out of a request, shaped as a JSON body would give them; whoever converts values goes on as with JSON.
///
/// Elements are looked for directly below the root, whatever the root's name. Elements that are not there are left out.
pub fn read_input(declaration: &Declaration, root: &Node) -> Map<String, Value> {
    let input = declaration.input.as_deref().unwrap_or_default();
    let mut values = Map::with_capacity(input.len());
    for element in input {
        if let Some(node) = root.child(&element.name) {
            values.insert(element.name.clone(), read_element(element, root, node));
        }
    }
    values
}

fn read_element(element: &Element, parent: &Node, node: &Node) -> Value {
    if node.is_nil {
        return Value::Null;
    }
    match element.kind {
        // `<tags><item>a</item></tags>`, and the element repeated
        ElementKind::List => {
            let repeated = parent.named(&element.name).nth(1).is_some();
            if repeated && node.children.is_empty() {
                Value::Array(parent.named(&element.name).map(scalar).collect())
            } else if node.children.is_empty() && node.text.trim().is_empty() {
                Value::Array(Vec::new())
            } else if node.children.is_empty() {
                Value::Array(vec![scalar(node)])
            } else {
                Value::Array(node.children.iter().map(free).collect())
            }
        }
        ElementKind::Dict => read_dict(&element.nested, node),
        ElementKind::DictList => {
            let rows = node
                .children
                .iter()
                .filter(|child| matches!(child.name.as_str(), "item_dict" | "dict" | "item"));
            Value::Array(rows.map(|row| read_dict(&element.nested, row)).collect())
        }
        ElementKind::AsIs | ElementKind::Opaque | ElementKind::Custom => free(node),
        _ => scalar(node),
    }
}

/// `<item><key>a</key><value>b</value></item>` for every key, or plainly an element for every key.
fn read_dict(nested: &[Element], node: &Node) -> Value {
    let mut values = Map::new();
    for child in &node.children {
        let (key, value_node) = match (child.name.as_str(), child.child("key")) {
            ("item", Some(key)) => match child.child("value") {
                Some(value) => (key.text.trim().to_owned(), value),
                None => continue,
            },
            _ => (child.name.clone(), child),
        };
        let value = match nested.iter().find(|element| element.name == key) {
            Some(element) => read_element(element, node, value_node),
            None => free(value_node),
        };
        values.entry(key).or_insert(value);
    }
    Value::Object(values)
}

fn scalar(node: &Node) -> Value {
    if node.is_nil {
        Value::Null
    } else {
        Value::String(node.text.clone())
    }
}

/// A value of no declared shape: text, or what its children make of it.
fn free(node: &Node) -> Value {
    if node.is_nil || node.children.is_empty() {
        return scalar(node);
    }
    if node
        .children
        .iter()
        .all(|child| child.name == "item" && child.child("key").is_none())
    {
        return Value::Array(node.children.iter().map(free).collect());
    }
    if node
        .children
        .iter()
        .all(|child| matches!(child.name.as_str(), "item_dict" | "dict"))
    {
        return Value::Array(node.children.iter().map(|row| read_dict(&[], row)).collect());
    }
    read_dict(&[], node)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn element(name: &str, kind: ElementKind, nested: Vec<Element>) -> Element {
        Element {
            name: name.to_owned(),
            required: true,
            kind,
            nested,
        }
    }

    fn read(input: Vec<Element>, body: &str) -> Value {
        let declaration = Declaration {
            input: Some(input),
            ..Declaration::default()
        };
        Value::Object(read_input(&declaration, &parse(body.as_bytes()).unwrap()))
    }

    #[test]
    fn scalars_lists_and_dicts_are_read() {
        let input = vec![
            element("d", ElementKind::Dict, Vec::new()),
            element("ld", ElementKind::DictList, Vec::new()),
            element("note", ElementKind::Text, Vec::new()),
            element("none", ElementKind::Text, Vec::new()),
            element("tags", ElementKind::List, Vec::new()),
            element("user_id", ElementKind::Int, Vec::new()),
        ];
        let body = "<x:any xmlns:x='urn:x' xmlns:xsi='urn:y'><x:user_id>5</x:user_id><note/><none xsi:nil='true'/>\
            <tags><item>a</item><item>b &amp; c</item></tags>\
            <d><item><key>a</key><value>b</value></item></d>\
            <ld><item_dict><item><key>k</key><value>v</value></item></item_dict></ld><other>1</other></x:any>";
        assert_eq!(
            read(input, body),
            json!({"d": {"a": "b"}, "ld": [{"k": "v"}], "note": "", "none": null, "tags": ["a", "b & c"], "user_id": "5"})
        );
    }

    #[test]
    fn plain_nesting_is_read_as_well() {
        let nested = vec![
            element("city", ElementKind::Text, Vec::new()),
            element("codes", ElementKind::List, Vec::new()),
        ];
        let input = vec![
            element("addr", ElementKind::Dict, nested),
            element("free", ElementKind::AsIs, Vec::new()),
            element("rows", ElementKind::DictList, Vec::new()),
            element("tag", ElementKind::List, Vec::new()),
        ];
        let body = "<r><addr><city>A</city><codes><item>1</item></codes></addr><tag>x</tag><tag>y</tag>\
            <rows><item><sku>s</sku></item></rows><free><a>1</a><b><item>2</item></b></free></r>";
        assert_eq!(
            read(input, body),
            json!({"addr": {"city": "A", "codes": ["1"]}, "free": {"a": "1", "b": ["2"]}, "rows": [{"sku": "s"}], "tag": ["x", "y"]})
        );
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        assert_eq!(
            read(vec![element("a", ElementKind::Text, Vec::new())], "<r><b/></r>"),
            json!({})
        );
    }
}
