//! Takes secrets out of documents that are to be shown.

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use crate::SioError;
use crate::xml::check_xml;
use crate::xml::walk::refused;

/// A document in which `mask` stands for what is in elements and attributes whose names, without prefixes, `hides` picks.
///
/// # Errors
/// If it is not a document.
pub fn replace_secrets(text: &str, hides: &dyn Fn(&str) -> bool, mask: &str) -> Result<String, SioError> {
    check_xml(None, text.as_bytes(), &|_| true)?;
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new(Vec::with_capacity(text.len()));
    // how deep inside of a secret
    let mut hidden = 0usize;
    loop {
        let event = reader.read_event().map_err(refused)?;
        let (start, is_empty) = match event {
            Event::Eof => break,
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(end) => {
                hidden = hidden.saturating_sub(1);
                if hidden == 0 {
                    write(&mut writer, Event::End(end))?;
                }
                continue;
            }
            other => {
                if hidden == 0 {
                    write(&mut writer, other)?;
                }
                continue;
            }
        };
        if hidden > 0 {
            hidden += usize::from(!is_empty);
            continue;
        }
        let is_secret = hides(start.local_name().as_ref());
        let shown = masked(&start, hides, mask)?;
        if is_empty {
            write(&mut writer, Event::Empty(shown))?;
        } else {
            write(&mut writer, Event::Start(shown))?;
            if is_secret {
                write(&mut writer, Event::Text(BytesText::new(mask)))?;
                hidden = 1;
            }
        }
    }
    String::from_utf8(writer.into_inner()).map_err(refused)
}

fn write(writer: &mut Writer<Vec<u8>>, event: Event<'_>) -> Result<(), SioError> {
    writer.write_event(event).map_err(refused)
}

/// A tag without the secrets among its attributes.
fn masked<'a>(start: &BytesStart<'a>, hides: &dyn Fn(&str) -> bool, mask: &str) -> Result<BytesStart<'a>, SioError> {
    let has_secrets = start
        .attributes()
        .flatten()
        .any(|attribute| hides(attribute.key.local_name().as_ref()));
    if !has_secrets {
        return Ok(start.clone());
    }
    let mut shown = BytesStart::new(start.name().as_ref().to_owned());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(refused)?;
        let value = if hides(attribute.key.local_name().as_ref()) {
            mask.to_owned()
        } else {
            // written between double quotes, whatever it stood between
            attribute.value.replace('"', "&quot;")
        };
        shown.push_attribute(Attribute {
            key: attribute.key,
            value: value.into(),
        });
    }
    Ok(shown)
}
