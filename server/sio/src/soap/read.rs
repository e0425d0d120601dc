//! Reading envelopes.

use busbar_model::SoapVersion;
use busbar_model::sio::Declaration;
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;

use crate::required::Required;
use crate::soap::write::namespace;
use crate::soap::{FaultCode, SoapError, addressing};
use crate::xml::walk::{Step, Walk, refused};
use crate::xml::{Node, check_xml};
use crate::{SioError, is_blank, without_bom};

/// Headers of this namespace are credentials; whether they are needed, and right, is the business of the channel's security definition.
const SECURITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";

/// Actors and roles that mean whoever gets the message.
const OURS: [&str; 4] = [
    "",
    "http://schemas.xmlsoap.org/soap/actor/next",
    "http://www.w3.org/2003/05/soap-envelope/role/next",
    "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
];

/// What elements of the management API belong to: the first unless a request is written in another one.
const MANAGEMENT: [&str; 2] = ["https://zato.io/ns/20130518", "https://zato.io/ns/v1"];

/// Where in an envelope an element stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Envelope,
    Header,
    Body,
}

/// Checks that a request is an envelope of this version with one body, and that none of its headers must be understood that nobody here
/// understands.
///
/// # Errors
/// With the code that the fault is to have.
pub fn check_envelope(body: &[u8], version: SoapVersion) -> Result<(), SoapError> {
    let client = |message: String| SoapError::new(FaultCode::Client, message);
    if is_blank(body) {
        return Err(client("The request is empty; a SOAP envelope is expected".to_owned()));
    }
    check_xml(None, body, &|_| true).map_err(|error| client(error.message))?;
    let text = std::str::from_utf8(without_bom(body)).map_err(|error| client(error.to_string()))?;
    let mut reader = NsReader::from_str(text);
    let mut depth = 0usize;
    let mut part = Part::Envelope;
    let mut has_body = false;
    loop {
        let event = reader.read_event().map_err(|error| client(refused(error).message))?;
        let (start, is_empty) = match event {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        match (depth, part) {
            (0, _) => check_root(&reader, &start, version)?,
            (1, _) => {
                let is_ours = bound(&reader, &start) == Some(namespace(version));
                part = match start.local_name().as_ref() {
                    "Header" if is_ours && !has_body => Part::Header,
                    "Body" if is_ours && !has_body => {
                        has_body = true;
                        Part::Body
                    }
                    // 1.1 lets anything follow the body
                    _ if has_body && version == SoapVersion::V11 && !is_ours => Part::Envelope,
                    name => {
                        return Err(client(format!(
                            "`{name}` cannot stand in a SOAP envelope at that place"
                        )));
                    }
                };
            }
            (2, Part::Header) => check_header(&reader, &start, version)?,
            _ => {}
        }
        depth += usize::from(!is_empty);
    }
    if has_body {
        Ok(())
    } else {
        Err(client("The SOAP envelope has no Body".to_owned()))
    }
}

fn check_root(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, version: SoapVersion) -> Result<(), SoapError> {
    let name = start.local_name();
    if name.as_ref() != "Envelope" {
        return Err(SoapError::new(
            FaultCode::Client,
            format!("A SOAP envelope is expected, not `{}`", name.as_ref()),
        ));
    }
    if bound(reader, start) == Some(namespace(version)) {
        return Ok(());
    }
    let version = match version {
        SoapVersion::V11 => "1.1",
        SoapVersion::V12 => "1.2",
    };
    Err(SoapError::new(
        FaultCode::VersionMismatch,
        format!("The envelope is not one of SOAP {version}, which is spoken here"),
    ))
}

fn check_header(reader: &NsReader<&[u8]>, start: &BytesStart<'_>, version: SoapVersion) -> Result<(), SoapError> {
    let mut must = false;
    let mut is_ours = true;
    for attribute in start.attributes().flatten() {
        let (resolved, name) = reader.resolver().resolve_attribute(attribute.key);
        if !matches!(resolved, ResolveResult::Bound(bound) if bound.as_ref() == namespace(version)) {
            continue;
        }
        let value = attribute.value.trim();
        match name.as_ref() {
            "mustUnderstand" => must = matches!(value, "1" | "true"),
            "actor" | "role" => is_ours = OURS.contains(&value),
            _ => {}
        }
    }
    let is_known = matches!(bound(reader, start), Some(SECURITY | addressing::NAMESPACE));
    if must && is_ours && !is_known {
        return Err(SoapError::new(
            FaultCode::MustUnderstand,
            format!("The header `{}` is not understood", start.local_name().as_ref()),
        ));
    }
    Ok(())
}

/// What the elements of the answer to a request of the management API belong to: what those of the request do, which is in an envelope or
/// not. Clients look for the elements of the answer in the namespace that they write requests in.
pub fn management_namespace(body: &[u8], is_enveloped: bool) -> &'static str {
    let find = || {
        let text = std::str::from_utf8(without_bom(body)).ok()?;
        let mut reader = NsReader::from_str(text);
        let mut depth = 0usize;
        let mut is_body = false;
        loop {
            let (start, is_empty) = match reader.read_event().ok()? {
                Event::Start(start) => (start, false),
                Event::Empty(start) => (start, true),
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    continue;
                }
                Event::Eof => return None,
                _ => continue,
            };
            if depth == 1 {
                is_body = start.local_name().as_ref() == "Body";
            }
            if !is_enveloped || depth == 2 && is_body {
                let bound = bound(&reader, &start)?;
                return MANAGEMENT.into_iter().find(|known| *known == bound);
            }
            if !is_empty {
                depth += 1;
            }
        }
    };
    find().unwrap_or(MANAGEMENT[0])
}

/// The namespace of an element.
pub(super) fn bound<'r>(reader: &'r NsReader<&[u8]>, start: &BytesStart<'_>) -> Option<&'r str> {
    match reader.resolver().resolve_element(start.name()).0 {
        ResolveResult::Bound(namespace) => Some(namespace.0),
        _ => None,
    }
}

/// Checks that declared input is there: elements below the first element of the body, or parameters of the channel (`has_param`). Of an
/// envelope that [`check_envelope`] has accepted.
pub fn check_input(
    declaration: Option<&Declaration>,
    body: &[u8],
    has_param: &dyn Fn(&str) -> bool,
) -> Result<(), SioError> {
    let mut required = Required::of(declaration);
    if required.is_empty() {
        return Ok(());
    }
    let ignores_body = declaration.is_some_and(|declaration| declaration.use_channel_params_only);
    if !ignores_body && !is_blank(body) {
        let mut walk = Walk::new(body)?;
        let mut depth = 0usize;
        let mut is_body = false;
        let mut payloads = 0;
        loop {
            match walk.next()? {
                Step::Open { name, .. } => {
                    depth += 1;
                    match depth {
                        2 => is_body = name == "Body",
                        3 if is_body => payloads += 1,
                        4 if is_body && payloads == 1 => required.tick(&name),
                        _ => {}
                    }
                }
                Step::Close => depth -= 1,
                Step::Text(_) => {}
                Step::End => break,
            }
        }
    }
    required.check(has_param)
}

/// The first element in the body of an envelope that [`check_envelope`] has accepted; `None` if the body is empty.
pub fn payload(envelope: Node<'_>) -> Option<Node<'_>> {
    let body = envelope.children.into_iter().find(|child| child.name == "Body")?;
    body.children.into_iter().next()
}
