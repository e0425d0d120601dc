//! Declared input out of an XML request.

use std::borrow::Cow;
use std::convert::Infallible;

use busbar_model::sio::{Declaration, Element, ElementKind};
use serde_json::{Map, Value};

use crate::SioError;
use crate::xml::walk::{Step, Walk};

/// An element of a parsed document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node<'a> {
    /// Name without its prefix.
    pub name: Cow<'a, str>,
    /// Text directly inside it, references resolved, white space kept.
    pub text: Cow<'a, str>,
    /// Elements directly inside it.
    pub children: Vec<Node<'a>>,
    /// It carries `xsi:nil="true"`: no value, rather than an empty one.
    pub is_nil: bool,
}

impl Node<'_> {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Parses a document into a tree and checks it as [`check_xml`](crate::check_xml) does; returns its root.
pub fn parse(body: &[u8]) -> Result<Node<'_>, SioError> {
    let mut walk = Walk::new(body)?;
    let mut open = vec![Node::default()];
    loop {
        let innermost = open.last_mut().expect("the document itself stays open");
        match walk.next()? {
            Step::Open { name, is_nil } => {
                open.push(Node {
                    name,
                    is_nil,
                    ..Node::default()
                });
            }
            Step::Text(text) if innermost.text.is_empty() => innermost.text = text,
            Step::Text(text) => innermost.text.to_mut().push_str(&text),
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

/// Makes the values that are read.
pub trait Build {
    /// What a value is.
    type Value;
    /// Why one could not be made.
    type Error;

    /// No value.
    fn null(&self) -> Self::Value;
    /// A text.
    fn text(&self, text: &str) -> Self::Value;
    /// A list.
    fn list(&self, items: Vec<Self::Value>) -> Result<Self::Value, Self::Error>;
    /// An object. Of members with the same name the first one counts.
    fn object(&self, members: Vec<(&str, Self::Value)>) -> Result<Self::Value, Self::Error>;
}

/// Takes the declared elements out of a request, shaped as a JSON body would give them; whoever converts values goes on as with JSON.
///
/// Elements are looked for directly below the root, whatever the root's name. Elements that are not there are left out.
pub fn read_input<'d, B: Build>(
    declaration: &'d Declaration,
    root: &Node<'_>,
    build: &B,
) -> Result<Vec<(&'d str, B::Value)>, B::Error> {
    let input = declaration.input.as_deref().unwrap_or_default();
    let mut values = Vec::with_capacity(input.len());
    for element in input {
        if let Some(node) = root.child(&element.name) {
            values.push((element.name.as_str(), read_element(element, root, node, build)?));
        }
    }
    Ok(values)
}

fn read_element<B: Build>(
    element: &Element,
    parent: &Node<'_>,
    node: &Node<'_>,
    build: &B,
) -> Result<B::Value, B::Error> {
    if node.is_nil {
        return Ok(build.null());
    }
    match element.kind {
        // `<tags><item>a</item></tags>`, and the element repeated
        ElementKind::List => {
            let repeated = parent.named(&element.name).nth(1).is_some();
            let items = if repeated && node.children.is_empty() {
                parent.named(&element.name).map(|node| scalar(node, build)).collect()
            } else if node.children.is_empty() && node.text.trim().is_empty() {
                Vec::new()
            } else if node.children.is_empty() {
                vec![scalar(node, build)]
            } else {
                frees(node, build)?
            };
            build.list(items)
        }
        ElementKind::Dict => read_dict(&element.nested, node, build),
        ElementKind::DictList => {
            let rows = node
                .children
                .iter()
                .filter(|child| matches!(&*child.name, "item_dict" | "dict" | "item"))
                .map(|row| read_dict(&element.nested, row, build))
                .collect::<Result<_, _>>()?;
            build.list(rows)
        }
        ElementKind::AsIs | ElementKind::Opaque | ElementKind::Custom => free(node, build),
        _ => Ok(scalar(node, build)),
    }
}

/// `<item><key>a</key><value>b</value></item>` for every key, or plainly an element for every key.
fn read_dict<B: Build>(nested: &[Element], node: &Node<'_>, build: &B) -> Result<B::Value, B::Error> {
    let mut values = Vec::with_capacity(node.children.len());
    for child in &node.children {
        let (key, value_node) = match (&*child.name, child.child("key")) {
            ("item", Some(key)) => match child.child("value") {
                Some(value) => (key.text.trim(), value),
                None => continue,
            },
            _ => (&*child.name, child),
        };
        let value = match nested.iter().find(|element| element.name == key) {
            Some(element) => read_element(element, node, value_node, build)?,
            None => free(value_node, build)?,
        };
        values.push((key, value));
    }
    build.object(values)
}

fn scalar<B: Build>(node: &Node<'_>, build: &B) -> B::Value {
    if node.is_nil {
        build.null()
    } else {
        build.text(&node.text)
    }
}

/// A value of no declared shape: text, or what its children make of it.
fn free<B: Build>(node: &Node<'_>, build: &B) -> Result<B::Value, B::Error> {
    if node.is_nil || node.children.is_empty() {
        return Ok(scalar(node, build));
    }
    if node
        .children
        .iter()
        .all(|child| child.name == "item" && child.child("key").is_none())
    {
        return build.list(frees(node, build)?);
    }
    if node
        .children
        .iter()
        .all(|child| matches!(&*child.name, "item_dict" | "dict"))
    {
        let rows = node.children.iter().map(|row| read_dict(&[], row, build));
        return build.list(rows.collect::<Result<_, _>>()?);
    }
    read_dict(&[], node, build)
}

fn frees<B: Build>(node: &Node<'_>, build: &B) -> Result<Vec<B::Value>, B::Error> {
    node.children.iter().map(|child| free(child, build)).collect()
}

/// Makes JSON values.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToJson;

impl Build for ToJson {
    type Value = Value;
    type Error = Infallible;

    fn null(&self) -> Value {
        Value::Null
    }

    fn text(&self, text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn list(&self, items: Vec<Value>) -> Result<Value, Infallible> {
        Ok(Value::Array(items))
    }

    fn object(&self, members: Vec<(&str, Value)>) -> Result<Value, Infallible> {
        let mut object = Map::new();
        for (name, value) in members {
            object.entry(name).or_insert(value);
        }
        Ok(Value::Object(object))
    }
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
        let values = read_input(&declaration, &parse(body.as_bytes()).unwrap(), &ToJson).unwrap();
        Value::Object(
            values
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
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
