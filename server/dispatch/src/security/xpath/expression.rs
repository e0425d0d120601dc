//! A small part of XPath: enough to say where in a message a name and a password are.
//!
//! `/Envelope/Header/user`, `//user`, `//login/@name`, `/a/*[local-name()='b']/c[2]/text()`. Nothing is built of a message and nothing is
//! looked at twice, so a message costs what its length says. Prefixes are not looked at: definitions have no namespaces to bind them to.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Deeper messages have no credentials.
const MAX_DEPTH: usize = 100;
/// Longer values are none.
const MAX_VALUE: usize = 64 * 1024;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    steps: Vec<Step>,
    /// The attribute that is meant; `None`: the text.
    attribute: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// At any depth.
    is_deep: bool,
    /// Local name; `None`: any.
    name: Option<String>,
    predicates: Vec<Predicate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Predicate {
    /// The n-th of those below one element.
    Position(u32),
    LocalName(String),
    Attribute(String, Option<String>),
}

/// One open element of a message.
#[derive(Default)]
struct Open {
    /// Steps that its children may take.
    next: Vec<usize>,
    /// How many children took each step so far.
    counts: Vec<u32>,
}

impl Expression {
    /// # Errors
    ///
    /// What is wrong with it, or not known.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        // an expression without a beginning begins below the root element
        let mut steps = Vec::new();
        if !rest.starts_with('/') {
            steps.push(Step {
                is_deep: false,
                name: None,
                predicates: Vec::new(),
            });
        } else if let Some(deep) = rest.strip_prefix("//") {
            rest = deep;
            steps.push(Self::step(&mut rest, true)?);
        } else {
            rest = &rest[1..];
            steps.push(Self::step(&mut rest, false)?);
        }
        let mut is_first = !text.trim().starts_with('/');
        loop {
            let is_deep = if is_first {
                is_first = false;
                false
            } else if rest.is_empty() {
                return Ok(Self { steps, attribute: None });
            } else if let Some(deep) = rest.strip_prefix("//") {
                rest = deep;
                true
            } else if let Some(next) = rest.strip_prefix('/') {
                rest = next;
                false
            } else {
                return Err(format!("`{rest}` cannot stand where it stands"));
            };
            if rest == "text()" && !is_deep {
                return Ok(Self { steps, attribute: None });
            }
            if let Some(name) = rest.strip_prefix('@') {
                let name = local(name);
                if is_deep || !is_name(name) {
                    return Err(format!("`@{name}` is not an attribute of an element"));
                }
                return Ok(Self {
                    steps,
                    attribute: Some(name.to_owned()),
                });
            }
            steps.push(Self::step(&mut rest, is_deep)?);
        }
    }

    fn step(rest: &mut &str, is_deep: bool) -> Result<Step, String> {
        let end = rest.find(['/', '[']).unwrap_or(rest.len());
        let (name, mut after) = rest.split_at(end);
        let name = local(name.trim());
        if name != "*" && !is_name(name) {
            return Err(format!("`{name}` is not the name of an element"));
        }
        let mut predicates = Vec::new();
        while let Some(inner) = after.strip_prefix('[') {
            let (inner, behind) = quoted_split(inner).ok_or_else(|| format!("`[{inner}` has no end"))?;
            predicates.push(Predicate::parse(inner.trim())?);
            after = behind;
        }
        *rest = after;
        Ok(Step {
            is_deep,
            name: (name != "*").then(|| name.to_owned()),
            predicates,
        })
    }

    /// The value of the first place in a message that it leads to; `None`: there is none, or it is no message.
    pub(super) fn find(&self, message: &[u8]) -> Option<String> {
        let mut reader = Reader::from_str(std::str::from_utf8(busbar_sio::without_bom(message)).ok()?);
        let mut open = vec![self.frame(vec![0])];
        // depth at which the element stands whose text is being read, and what there is of it
        let mut reading: Option<(usize, String)> = None;
        loop {
            match reader.read_event().ok()? {
                // an entity could stand for anything, at any length
                Event::DocType(_) | Event::Eof => return None,
                Event::Start(element) => {
                    if open.len() > MAX_DEPTH {
                        return None;
                    }
                    if let Some(value) = self.enter(&mut open, &element, &mut reading)? {
                        return Some(value);
                    }
                }
                Event::Empty(element) => {
                    if let Some(value) = self.enter(&mut open, &element, &mut reading)? {
                        return Some(value);
                    }
                    open.pop();
                    if let Some((_, text)) = reading.take_if(|(depth, _)| *depth > open.len()) {
                        return Some(text);
                    }
                }
                Event::End(_) => {
                    open.pop();
                    if let Some((_, text)) = reading.take_if(|(depth, _)| *depth > open.len()) {
                        return Some(text.trim().to_owned());
                    }
                }
                Event::Text(text) => add(&mut reading, open.len(), &text.xml10_content())?,
                Event::CData(text) => add(&mut reading, open.len(), &text.xml10_content())?,
                Event::GeneralRef(reference) => add(&mut reading, open.len(), &resolve(&reference)?)?,
                _ => {}
            }
        }
    }

    fn frame(&self, next: Vec<usize>) -> Open {
        Open {
            counts: vec![0; self.steps.len()],
            next,
        }
    }

    /// Goes into an element. The outer `None`: the message is broken; the inner one: the value is not here.
    fn enter(
        &self,
        open: &mut Vec<Open>,
        element: &BytesStart<'_>,
        reading: &mut Option<(usize, String)>,
    ) -> Option<Option<String>> {
        let mut next = Vec::new();
        let mut is_meant = false;
        if let Some(parent) = open.last_mut() {
            for &index in &parent.next {
                let step = &self.steps[index];
                if step.is_deep {
                    next.push(index);
                }
                if step.takes(element, &mut parent.counts[index])? {
                    if index + 1 == self.steps.len() {
                        is_meant = true;
                    } else {
                        next.push(index + 1);
                    }
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        open.push(self.frame(next));
        if is_meant && reading.is_none() {
            match &self.attribute {
                Some(name) => return attribute(element, name),
                None => *reading = Some((open.len(), String::new())),
            }
        }
        Some(None)
    }
}

impl Step {
    /// Whether an element is one; `None`: it is broken. `count` counts those that are but for their position.
    fn takes(&self, element: &BytesStart<'_>, count: &mut u32) -> Option<bool> {
        let local = element.local_name();
        if self.name.as_deref().is_some_and(|name| name != local.as_ref()) {
            return Some(false);
        }
        for predicate in &self.predicates {
            let is_so = match predicate {
                Predicate::Position(wanted) => {
                    *count = count.saturating_add(1);
                    count == wanted
                }
                Predicate::LocalName(name) => name == local.as_ref(),
                Predicate::Attribute(name, wanted) => {
                    let value = attribute(element, name)?;
                    value.is_some_and(|value| wanted.as_ref().is_none_or(|wanted| *wanted == value))
                }
            };
            if !is_so {
                return Some(false);
            }
        }
        Some(true)
    }
}

impl Predicate {
    fn parse(text: &str) -> Result<Self, String> {
        let unknown = || format!("`[{text}]` is not known: there are [2], [@name], [@name='x'] and [local-name()='x']");
        if let Ok(position) = text.parse::<u32>() {
            return if position > 0 {
                Ok(Self::Position(position))
            } else {
                Err(unknown())
            };
        }
        let (left, value) = match text.split_once('=') {
            Some((left, right)) => (left.trim(), Some(unquote(right.trim()).ok_or_else(unknown)?)),
            None => (text, None),
        };
        match (left.strip_prefix('@').map(local), value) {
            (Some(name), value) if is_name(name) => Ok(Self::Attribute(name.to_owned(), value)),
            (None, Some(value)) if left == "local-name()" => Ok(Self::LocalName(value)),
            _ => Err(unknown()),
        }
    }
}

/// What stands before a closing bracket that is not in quotes, and what stands behind it.
fn quoted_split(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Some((&text[..at], &text[at + 1..])),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text[1..].strip_suffix(quote)?;
    (!inner.contains(quote)).then(|| inner.to_owned())
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// The value of an attribute by its local name. The outer `None`: the element is broken.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<Option<String>> {
    for attribute in element.attributes() {
        let attribute = attribute.ok()?;
        if attribute.key.local_name().as_ref() == name {
            return Some(Some(quick_xml::escape::unescape(&attribute.value).ok()?.into_owned()));
        }
    }
    Some(None)
}

/// Adds to the text that is being read, if this is in its element and in none below. `None`: it is longer than any value.
fn add(reading: &mut Option<(usize, String)>, depth: usize, text: &str) -> Option<()> {
    if let Some((own, value)) = reading
        && *own == depth
    {
        value.push_str(text);
        return (value.len() <= MAX_VALUE).then_some(());
    }
    Some(())
}

fn resolve(reference: &BytesRef<'_>) -> Option<String> {
    match reference.resolve_char_ref().ok()? {
        Some(character) => Some(character.to_string()),
        None => resolve_predefined_entity(reference).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: &str = "<?xml version='1.0'?><s:E xmlns:s='urn:e' xmlns='urn:a'><s:H><login name='a&amp;b' kind=\"x\"><user> ann </user>
        <user>bob<b>no</b>&amp;<![CDATA[<c>]]></user></login><login kind='y'><user/></login></s:H><s:B><user>last</user></s:B></s:E>";

    fn find(expression: &str) -> Option<String> {
        Expression::parse(expression).unwrap().find(MESSAGE.as_bytes())
    }

    #[test]
    fn expressions_lead_to_the_first_place() {
        for (expression, expected) in [
            ("/s:E/s:H/login/user", Some("ann")),
            ("/E/H/login/user/text()", Some("ann")),
            ("//user", Some("ann")),
            ("//B//user", Some("last")),
            ("//*[local-name()='B']/user", Some("last")),
            ("/*/*[2]/user", Some("last")),
            ("H/login/user[2]", Some("bob&<c>")),
            ("//user[2]", Some("bob&<c>")),
            ("//login/@name", Some("a&b")),
            ("//login[@kind = 'y']/user", Some("")),
            ("//login[@kind=\"y\"][1]/user[@none]", None),
            ("//login[@name][1]/@kind", Some("x")),
            ("/E/B/user[2]", None),
            ("/H/login", None),
            ("/E/user", None),
            ("//login/@none", None),
        ] {
            assert_eq!(find(expression).as_deref(), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for expression in [
            "",
            "/",
            "//",
            "a//",
            "/a/",
            "/a[",
            "/a[0]",
            "/a[b]",
            "/a[b='c']",
            "/a[position()=1]",
            "count(//a)",
            "/a|/b",
            "/a/../b",
            "//@a",
            "/a[@b='c]",
            "/a[@b='c'd']",
            "/a[1]b",
            "/a/@*",
            "$a",
            "/text()/a",
            "..",
        ] {
            assert!(Expression::parse(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn broken_messages_have_nothing() {
        let deep = format!("{}<user>x</user>{}", "<a>".repeat(200), "</a>".repeat(200));
        for message in [
            "",
            "x",
            "<user>x",
            "<!DOCTYPE a [<!ENTITY u 'ann'>]><user>&u;</user>",
            "<user>&u;</user>",
            "<a></b><user>x</user>",
            &deep,
        ] {
            assert_eq!(
                Expression::parse("//user").unwrap().find(message.as_bytes()),
                None,
                "{message}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Neither of the two breaks anything.
        #[test]
        fn anything_is_answered(text in "[/a@*\\[\\]'\"=1():._ -]{0,20}", at in any::<prop::sample::Index>(), byte: u8) {
            let mut message = MESSAGE.as_bytes().to_vec();
            let at = at.index(message.len());
            message[at] = byte;
            if let Ok(expression) = Expression::parse(&text) {
                expression.find(&message);
            }
            find("//login/user[2]").unwrap();
        }
    }
}
