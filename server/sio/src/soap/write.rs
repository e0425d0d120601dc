//! Writing envelopes.

use busbar_model::SoapVersion;

use crate::soap::FaultCode;
use crate::xml::walk::is_character;

/// What elements of a payload belong to that say nothing of a namespace.
const DEFAULT: &str = "https://zato.io/ns/20130518";

const DECLARATION: &str = "<?xml version='1.0' encoding='UTF-8'?>\n";

/// The namespace of a version's envelopes.
pub(super) fn namespace(version: SoapVersion) -> &'static str {
    match version {
        SoapVersion::V11 => "http://schemas.xmlsoap.org/soap/envelope/",
        SoapVersion::V12 => "http://www.w3.org/2003/05/soap-envelope",
    }
}

/// Puts a payload into an envelope. XML goes in as it is, without its declaration; other text is escaped; an envelope is left alone.
pub fn envelope(version: SoapVersion, payload: &str) -> String {
    let mut content = payload.trim_start_matches('\u{feff}').trim();
    if let Some(rest) = content.strip_prefix("<?xml")
        && let Some((_, rest)) = rest.split_once("?>")
    {
        content = rest.trim_start();
    }
    let is_xml = content.starts_with('<');
    if is_xml && is_envelope(content, version) {
        return payload.to_owned();
    }
    let mut text = format!(
        "{DECLARATION}<soap:Envelope xmlns:soap=\"{}\" xmlns=\"{DEFAULT}\"><soap:Body>",
        namespace(version)
    );
    if is_xml {
        text.push_str(content);
    } else {
        push_escaped(&mut text, content);
    }
    text.push_str("</soap:Body></soap:Envelope>");
    text
}

/// Puts XML into an envelope without a declaration: clients of the management API parse decoded text, which cannot declare an encoding
/// (management.md 3.3). `default` is what elements without a prefix belong to: [`management_namespace`](super::management_namespace).
pub fn undeclared_envelope(version: SoapVersion, default: &str, content: &str) -> String {
    format!(
        "<soap:Envelope xmlns:soap=\"{}\" xmlns=\"{default}\"><soap:Body>{content}</soap:Body></soap:Envelope>",
        namespace(version)
    )
}

/// Whether the first tag opens an envelope of this version.
fn is_envelope(content: &str, version: SoapVersion) -> bool {
    let Some(tag) = content[1..].split('>').next() else {
        return false;
    };
    let name = tag.split_ascii_whitespace().next().unwrap_or_default();
    let local = name.rsplit(':').next().unwrap_or_default();
    local.trim_end_matches('/') == "Envelope" && tag.contains(namespace(version))
}

/// A fault. The message stands in it together with the cid, as clients know it.
pub fn fault(version: SoapVersion, code: FaultCode, cid: &str, message: &str) -> String {
    let envelope = namespace(version);
    let text = format!("cid [{cid}], faultstring [{message}]");
    match version {
        SoapVersion::V11 => format!(
            "{DECLARATION}<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{envelope}\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
             <SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:{}</faultcode>\
             <faultstring><![CDATA[{}]]></faultstring></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>",
            match code {
                FaultCode::Client => "Client",
                FaultCode::Server => "Server",
                FaultCode::MustUnderstand => "MustUnderstand",
                FaultCode::VersionMismatch => "VersionMismatch",
            },
            cdata(&text)
        ),
        SoapVersion::V12 => {
            let mut reason = String::with_capacity(text.len());
            push_escaped(&mut reason, &text);
            // says which version would do
            let upgrade = if code == FaultCode::VersionMismatch {
                format!(
                    "<env:Header><env:Upgrade><env:SupportedEnvelope qname=\"env:Envelope\" xmlns:env=\"{envelope}\"/>\
                     </env:Upgrade></env:Header>"
                )
            } else {
                String::new()
            };
            format!(
                "{DECLARATION}<env:Envelope xmlns:env=\"{envelope}\">{upgrade}<env:Body><env:Fault>\
                 <env:Code><env:Value>env:{}</env:Value></env:Code>\
                 <env:Reason><env:Text xml:lang=\"en\">{reason}</env:Text></env:Reason></env:Fault></env:Body></env:Envelope>",
                match code {
                    FaultCode::Client => "Sender",
                    FaultCode::Server => "Receiver",
                    FaultCode::MustUnderstand => "MustUnderstand",
                    FaultCode::VersionMismatch => "VersionMismatch",
                }
            )
        }
    }
}

/// Text for a CDATA section: what would end it is cut in two.
fn cdata(text: &str) -> String {
    let known: String = text.chars().map(known).collect();
    known.replace("]]>", "]]]]><![CDATA[>")
}

pub(super) fn push_escaped(escaped: &mut String, text: &str) {
    for letter in text.chars().map(known) {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
    }
}

/// What XML does not know cannot be written in it at all, not even escaped.
fn known(letter: char) -> char {
    if is_character(letter) { letter } else { '\u{fffd}' }
}
