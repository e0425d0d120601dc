//! Walks over a document and checks it on the way: what both the check and the reader stand on.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::xml::write::{is_name, is_plain_name};
use crate::{MAX_DEPTH, SioError, without_bom};

/// More attributes on one element than any document needs; whether their names differ is checked one against the other.
const MAX_ATTRIBUTES: usize = 256;

/// One step through a document. Comments and processing instructions are passed over.
pub(crate) enum Step<'a> {
    /// An element begins; its name without a prefix.
    Open {
        name: Cow<'a, str>,
        /// It carries `xsi:nil="true"`.
        is_nil: bool,
    },
    /// Text inside an element, references resolved. May come in pieces.
    Text(Cow<'a, str>),
    /// The innermost element ends.
    Close,
    /// The document ends, and was well-formed.
    End,
}

pub(crate) struct Walk<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// All of it is printable ASCII, tabs and line feeds: its texts need no further look.
    is_plain: bool,
    depth: usize,
    has_root: bool,
    /// An empty element was opened and is to be closed.
    close_next: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, SioError> {
        let body = without_bom(body);
        let text = std::str::from_utf8(body)
            .map_err(|error| refused(format_args!("not UTF-8 after {} bytes", error.valid_up_to())))?;
        Ok(Self {
            text,
            reader: Reader::from_str(text),
            is_plain: is_plain(text),
            depth: 0,
            has_root: false,
            close_next: false,
        })
    }

    pub(crate) fn next(&mut self) -> Result<Step<'a>, SioError> {
        if self.close_next {
            self.close_next = false;
            self.depth -= 1;
            return Ok(Step::Close);
        }
        loop {
            let event = self.reader.read_event().map_err(|error| {
                // the message of the parser names what it found, never more than a tag
                refused(format_args!("{error} at byte {}", self.reader.error_position()))
            })?;
            match event {
                Event::Start(start) => return self.open(&start),
                Event::Empty(start) => {
                    self.close_next = true;
                    return self.open(&start);
                }
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(Step::Close);
                }
                Event::Text(text) => {
                    let text = if self.is_plain {
                        text.into_inner()
                    } else {
                        let text = text.xml10_content();
                        check_characters(&text)?;
                        text
                    };
                    if self.depth > 0 {
                        return Ok(Step::Text(text));
                    }
                    if !text.trim_ascii().is_empty() {
                        return Err(refused("text outside of the root element"));
                    }
                }
                Event::CData(_) | Event::GeneralRef(_) if self.depth == 0 => {
                    return Err(refused("text outside of the root element"));
                }
                Event::CData(text) => {
                    let text = text.xml10_content();
                    check_characters(&text)?;
                    return Ok(Step::Text(text));
                }
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref() {
                        Ok(character) => character,
                        Err(_) => return Err(refused("a character reference that is none")),
                    };
                    let text = match character {
                        Some(character) => Cow::Owned(character.to_string()),
                        // there is no DOCTYPE that could define further ones
                        None => resolve_predefined_entity(&reference)
                            .map(Cow::Borrowed)
                            .ok_or_else(|| refused("an entity that is not defined"))?,
                    };
                    check_characters(&text)?;
                    return Ok(Step::Text(text));
                }
                Event::Decl(declaration) => {
                    if let Some(encoding) = declaration.encoding() {
                        let encoding = encoding.map_err(refused)?;
                        if !["utf-8", "utf8", "us-ascii", "ascii"]
                            .iter()
                            .any(|known| encoding.eq_ignore_ascii_case(known))
                        {
                            return Err(refused("an encoding other than UTF-8"));
                        }
                    }
                }
                Event::DocType(_) => return Err(refused("a document type declaration is not accepted")),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof if self.depth > 0 => return Err(refused("the document ends inside an element")),
                Event::Eof if !self.has_root => return Err(refused("there is no root element")),
                Event::Eof => return Ok(Step::End),
            }
        }
    }

    /// A part of the document that outlives the event it came with.
    fn borrowed(&self, part: &str) -> Cow<'a, str> {
        let at = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        // what lies within the document is the same text
        match at.checked_add(part.len()).and_then(|end| self.text.get(at..end)) {
            Some(same) => Cow::Borrowed(same),
            None => Cow::Owned(part.to_owned()),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<Step<'a>, SioError> {
        if self.depth == 0 && self.has_root {
            return Err(refused("more than one root element"));
        }
        if self.depth == MAX_DEPTH {
            return Err(refused(format_args!("more than {MAX_DEPTH} levels")));
        }
        let name = start.name();
        let name = name.as_ref();
        let name = if is_plain_name(name) {
            self.borrowed(name)
        } else if is_name(name) {
            self.borrowed(start.local_name().as_ref())
        } else {
            return Err(refused("an element's name is not one"));
        };
        let is_nil = !start.attributes_raw().is_empty() && self.attributes(start)?;
        self.has_root = true;
        self.depth += 1;
        Ok(Step::Open { name, is_nil })
    }

    /// Checks the attributes of an element; whether they say that it has no value.
    fn attributes(&self, start: &BytesStart<'_>) -> Result<bool, SioError> {
        let mut is_nil = false;
        for (index, attribute) in start.attributes().enumerate() {
            if index == MAX_ATTRIBUTES {
                return Err(refused(format_args!("more than {MAX_ATTRIBUTES} attributes")));
            }
            let attribute = attribute.map_err(refused)?;
            let raw: &str = &attribute.value;
            if raw.contains('<') || !is_name(attribute.key.as_ref()) {
                return Err(refused("an attribute that is none"));
            }
            let value = quick_xml::escape::unescape(raw).map_err(|_| refused("an entity that is not defined"))?;
            check_characters(&value)?;
            is_nil |= attribute.key.local_name().as_ref() == "nil"
                && attribute.key.prefix().is_some()
                && matches!(value.trim(), "true" | "1");
        }
        Ok(is_nil)
    }
}

pub(crate) fn refused(what: impl std::fmt::Display) -> SioError {
    SioError::new(format!("invalid XML: {what}"))
}

/// XML 1.0 leaves out most control characters, even as references.
fn check_characters(text: &str) -> Result<(), SioError> {
    if is_plain(text) || text.chars().all(is_character) {
        Ok(())
    } else {
        Err(refused("a character that XML does not know"))
    }
}

/// Whether a text is printable ASCII, tabs and line feeds. Without a way out in the middle, so that it takes many bytes at a time.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~' | b'\n' | b'\t'))
}

pub(crate) fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
