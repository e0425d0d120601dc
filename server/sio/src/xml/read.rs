//! Declared input out of an XML request.

use std::borrow::Cow;

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

    fn has_text(&self) -> bool {
        !self.text.trim().is_empty()
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
    type Error: From<SioError>;

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
/// Elements are looked for directly below the root, whatever the root's name. Elements that are not there are left out. What a declared
/// element cannot hold is refused: what is no row of a `DictList`, a key without a value, text between elements. Elements where a plain
/// value is declared are given as what they make, which whoever converts values judges.
///
/// `gives_nodes`: the nodes of plain texts are given to the service, so what is in them is not looked at.
pub fn read_input<'d, B: Build>(
    declaration: &'d Declaration,
    root: &Node<'_>,
    gives_nodes: bool,
    build: &B,
) -> Result<Vec<(&'d str, B::Value)>, B::Error> {
    let input = declaration.input.as_deref().unwrap_or_default();
    let mut values = Vec::with_capacity(input.len());
    for element in input {
        if let Some(node) = root.child(&element.name) {
            let value = if gives_nodes && element.kind == ElementKind::Text {
                scalar(node, build)
            } else {
                read_element(element, root, node, build)?
            };
            values.push((element.name.as_str(), value));
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
            let items = if repeated {
                let nodes = parent.named(&element.name);
                nodes
                    .map(|node| free(&element.name, node, build))
                    .collect::<Result<_, _>>()?
            } else if node.children.is_empty() {
                node.has_text().then(|| scalar(node, build)).into_iter().collect()
            } else {
                frees(&element.name, node, build)?
            };
            build.list(items)
        }
        ElementKind::Dict if node.children.is_empty() && node.has_text() => Ok(scalar(node, build)),
        ElementKind::Dict => read_dict(&element.name, &element.nested, node, build),
        ElementKind::DictList if node.children.is_empty() && node.has_text() => Ok(scalar(node, build)),
        ElementKind::DictList => {
            let rows = whole(&element.name, node)?
                .children
                .iter()
                .map(|child| match &*child.name {
                    "item_dict" | "dict" | "item" if child.children.is_empty() && child.has_text() => {
                        Ok(scalar(child, build))
                    }
                    "item_dict" | "dict" | "item" => read_dict(&element.name, &element.nested, child, build),
                    other => {
                        let message = format!(
                            "element `{}`: `{other}` is not a row of a list of objects; a row is an element `item_dict`",
                            element.name
                        );
                        Err(SioError::new(message).into())
                    }
                })
                .collect::<Result<_, _>>()?;
            build.list(rows)
        }
        _ => free(&element.name, node, build),
    }
}

/// `<item><key>a</key><value>b</value></item>` for every key, or plainly an element for every key. `name`: of the element that it is
/// in, for errors.
fn read_dict<B: Build>(name: &str, nested: &[Element], node: &Node<'_>, build: &B) -> Result<B::Value, B::Error> {
    let mut values = Vec::with_capacity(node.children.len());
    for child in &whole(name, node)?.children {
        let (key, value_node) = match (&*child.name, child.child("key")) {
            ("item", Some(key)) => match child.child("value") {
                Some(value) => (key.text.trim(), value),
                None => {
                    let message = format!("element `{name}`: key `{}` has no `value` beside it", key.text.trim());
                    return Err(SioError::new(message).into());
                }
            },
            _ => (&*child.name, child),
        };
        let value = match nested.iter().find(|element| element.name == key) {
            Some(element) => read_element(element, node, value_node, build)?,
            // keys beside those that are declared are dropped by whoever converts values
            None if !nested.is_empty() => continue,
            None => free(key, value_node, build)?,
        };
        values.push((key, value));
    }
    build.object(values)
}

/// The node, unless there is text between its elements, which no value has a place for.
fn whole<'n, 'a>(name: &str, node: &'n Node<'a>) -> Result<&'n Node<'a>, SioError> {
    if node.has_text() {
        return Err(SioError::new(format!(
            "element `{name}`: there is text beside the elements in it"
        )));
    }
    Ok(node)
}

fn scalar<B: Build>(node: &Node<'_>, build: &B) -> B::Value {
    if node.is_nil {
        build.null()
    } else {
        build.text(&node.text)
    }
}

/// A value of no declared shape: text, or what its children make of it.
fn free<B: Build>(name: &str, node: &Node<'_>, build: &B) -> Result<B::Value, B::Error> {
    if node.is_nil || node.children.is_empty() {
        return Ok(scalar(node, build));
    }
    whole(name, node)?;
    if node
        .children
        .iter()
        .all(|child| child.name == "item" && child.child("key").is_none())
    {
        return build.list(frees(name, node, build)?);
    }
    if node
        .children
        .iter()
        .all(|child| matches!(&*child.name, "item_dict" | "dict"))
    {
        let rows = node.children.iter().map(|row| read_dict(name, &[], row, build));
        return build.list(rows.collect::<Result<_, _>>()?);
    }
    read_dict(name, &[], node, build)
}

fn frees<B: Build>(name: &str, node: &Node<'_>, build: &B) -> Result<Vec<B::Value>, B::Error> {
    let children = &whole(name, node)?.children;
    children.iter().map(|child| free(name, child, build)).collect()
}

/// Makes JSON values.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToJson;

impl Build for ToJson {
    type Value = Value;
    type Error = SioError;

    fn null(&self) -> Value {
        Value::Null
    }

    fn text(&self, text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn list(&self, items: Vec<Value>) -> Result<Value, SioError> {
        Ok(Value::Array(items))
    }

    fn object(&self, members: Vec<(&str, Value)>) -> Result<Value, SioError> {
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
        let values = read_input(&declaration, &parse(body.as_bytes()).unwrap(), false, &ToJson).unwrap();
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
    fn what_does_not_fit_is_refused_or_left_to_be_judged() {
        let kinds = [
            ("d", ElementKind::Dict),
            ("i", ElementKind::Int),
            ("l", ElementKind::List),
            ("o", ElementKind::Opaque),
            ("r", ElementKind::DictList),
            ("t", ElementKind::Text),
        ];
        let declaration = Declaration {
            input: Some(kinds.map(|(name, kind)| element(name, kind, Vec::new())).into()),
            ..Declaration::default()
        };
        let read = |body: &str, gives_nodes| {
            let root = format!("<x>{body}</x>");
            read_input(&declaration, &parse(root.as_bytes()).unwrap(), gives_nodes, &ToJson)
                .map_err(|error| error.message)
        };
        for (body, expected) in [
            ("<d>x</d>", json!("x")),
            ("<r>x</r>", json!("x")),
            ("<i><a>1</a></i>", json!({"a": "1"})),
            ("<r><item>1</item></r>", json!(["1"])),
            ("<t><item>1</item></t>", json!(["1"])),
            ("<l><a>1</a></l><l>2</l>", json!([{"a": "1"}, "2"])),
            ("<d> <a>1</a>\n</d>", json!({"a": "1"})),
        ] {
            assert_eq!(read(body, false).unwrap()[0].1, expected, "{body}");
        }
        let beside = "there is text beside the elements in it";
        for (body, expected) in [
            ("<d>x<a/></d>", format!("element `d`: {beside}")),
            ("<t>x<a/></t>", format!("element `t`: {beside}")),
            ("<o><a>x<b/></a></o>", format!("element `a`: {beside}")),
            ("<l><item>1</item>x</l>", format!("element `l`: {beside}")),
            ("<r><item_dict>x<a/></item_dict></r>", format!("element `r`: {beside}")),
            (
                "<r><sku>1</sku></r>",
                "element `r`: `sku` is not a row of a list of objects; a row is an element `item_dict`".to_owned(),
            ),
            (
                "<d><item><key>a</key></item></d>",
                "element `d`: key `a` has no `value` beside it".to_owned(),
            ),
        ] {
            assert_eq!(read(body, false).unwrap_err(), expected, "{body}");
        }
        assert_eq!(read("<t>x<a/></t>", true).unwrap()[0].1, json!("x"));
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        assert_eq!(
            read(vec![element("a", ElementKind::Text, Vec::new())], "<r><b/></r>"),
            json!({})
        );
    }
}
