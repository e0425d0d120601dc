//! Finds a UsernameToken in a message. Looks no further than the end of its header.

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};

/// Namespace of the security header.
pub(crate) const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
/// Namespace of times.
pub(crate) const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";

/// A header that is deeper than this is none.
const MAX_DEPTH: usize = 32;

/// What a caller says of itself.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct UsernameToken {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) form: PasswordForm,
    pub(crate) nonce: String,
    pub(crate) created: String,
}

/// How the password was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PasswordForm {
    #[default]
    Text,
    Digest,
    /// In a way that nobody here knows.
    Other,
}

/// Elements on the way to the token and in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Envelope,
    Header,
    Security,
    Token,
    Username,
    Password,
    Nonce,
    Created,
    Elsewhere,
}

/// The token of a message; `None`: it has none, more than one, or is no message.
pub(crate) fn find(body: &[u8]) -> Option<UsernameToken> {
    let mut reader = NsReader::from_str(std::str::from_utf8(busbar_sio::without_bom(body)).ok()?);
    let mut open: Vec<Place> = Vec::new();
    let mut found: Option<UsernameToken> = None;
    let mut token = UsernameToken::default();
    loop {
        match reader.read_resolved_event().ok()? {
            // an entity could stand for anything, at any length
            (_, Event::DocType(_)) | (_, Event::Eof) => return None,
            (namespace, Event::Start(element)) => {
                let place = place(&open, &namespace, &element);
                if open.len() == MAX_DEPTH {
                    return None;
                }
                if is_after_header(&open, &element) {
                    return found;
                }
                if place == Place::Password {
                    token.form = form(&element)?;
                }
                open.push(place);
            }
            (_, Event::End(_)) => match open.pop()? {
                Place::Token if found.is_some() => return None,
                Place::Token => found = Some(std::mem::take(&mut token)),
                Place::Header => return found,
                _ => {}
            },
            (_, Event::Text(text)) => add(&mut token, &open, &text.xml10_content()),
            (_, Event::CData(text)) => add(&mut token, &open, &text.xml10_content()),
            (_, Event::GeneralRef(reference)) => add(&mut token, &open, &resolve(&reference)?),
            _ => {}
        }
    }
}

fn place(open: &[Place], namespace: &ResolveResult<'_>, element: &BytesStart<'_>) -> Place {
    let is_in = |wanted: &str| *namespace == ResolveResult::Bound(Namespace(wanted));
    let local = element.local_name();
    match (open.last(), local.as_ref()) {
        (None, "Envelope") => Place::Envelope,
        (Some(Place::Envelope), "Header") => Place::Header,
        (Some(Place::Header), "Security") if is_in(WSSE) => Place::Security,
        (Some(Place::Security), "UsernameToken") if is_in(WSSE) => Place::Token,
        (Some(Place::Token), "Username") if is_in(WSSE) => Place::Username,
        (Some(Place::Token), "Password") if is_in(WSSE) => Place::Password,
        (Some(Place::Token), "Nonce") if is_in(WSSE) => Place::Nonce,
        (Some(Place::Token), "Created") if is_in(WSU) => Place::Created,
        _ => Place::Elsewhere,
    }
}

/// Whether the body begins here, without a header before it.
fn is_after_header(open: &[Place], element: &BytesStart<'_>) -> bool {
    open == [Place::Envelope] && element.local_name().as_ref() == "Body"
}

/// What the `Type` of a password says; none: it is a text.
fn form(element: &BytesStart<'_>) -> Option<PasswordForm> {
    for attribute in element.attributes() {
        let attribute = attribute.ok()?;
        if attribute.key.as_ref() == "Type" {
            let value = &*attribute.value;
            return Some(if value.ends_with("#PasswordDigest") {
                PasswordForm::Digest
            } else if value.ends_with("#PasswordText") {
                PasswordForm::Text
            } else {
                PasswordForm::Other
            });
        }
    }
    Some(PasswordForm::Text)
}

fn add(token: &mut UsernameToken, open: &[Place], text: &str) {
    match open.last() {
        Some(Place::Username) => token.username.push_str(text),
        Some(Place::Password) => token.password.push_str(text),
        Some(Place::Nonce) => token.nonce.push_str(text.trim()),
        Some(Place::Created) => token.created.push_str(text.trim()),
        _ => {}
    }
}

/// What a reference stands for: a character, or one of the five names that XML has by itself.
fn resolve(reference: &BytesRef<'_>) -> Option<String> {
    if let Some(letter) = reference.resolve_char_ref().ok()? {
        return Some(letter.to_string());
    }
    resolve_predefined_entity(reference).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(header: &str) -> String {
        format!(
            "<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope' xmlns:w='{WSSE}' xmlns:u='{WSU}'>{header}\
             <s:Body>...</s:Body></s:Envelope>"
        )
    }

    const TOKEN: &str = "<w:UsernameToken u:Id='x'><w:Username>ann</w:Username><w:Password Type='a#PasswordText'>p&amp;&#65;</w:Password>\
                         <w:Nonce EncodingType='b'> bm9uY2U= </w:Nonce><u:Created>now</u:Created></w:UsernameToken>";

    #[test]
    fn a_token_is_found() {
        let body = envelope(&format!(
            "<s:Header><other/><w:Security s:mustUnderstand='1'>{TOKEN}</w:Security></s:Header>"
        ));
        let token = find(body.as_bytes()).unwrap();
        assert_eq!(
            (
                &*token.username,
                &*token.password,
                token.form,
                &*token.nonce,
                &*token.created
            ),
            ("ann", "p&A", PasswordForm::Text, "bm9uY2U=", "now")
        );
    }

    #[test]
    fn a_token_elsewhere_is_none() {
        let security = format!("<w:Security>{TOKEN}</w:Security>");
        let header = format!("<s:Header>{security}</s:Header>");
        for body in [
            String::new(),
            "{}".to_owned(),
            envelope(""),
            envelope(&security),
            envelope(&format!("<s:Body>{header}</s:Body>")),
            envelope(&format!("<s:Header><a>{security}</a></s:Header>")),
            envelope(&format!("<s:Header><w:Security>{TOKEN}{TOKEN}</w:Security></s:Header>")),
            envelope(&header).replace(WSSE, "urn:other"),
            format!("<!DOCTYPE a [<!ENTITY p 'p'>]>{}", envelope(&header)),
            envelope(&header).replace("&amp;", "&p;"),
            envelope(&header)[..300].to_owned(),
            format!("{}{}", "<a>".repeat(1000), "</a>".repeat(1000)),
        ] {
            assert_eq!(find(body.as_bytes()), None, "{body}");
        }
    }
}
