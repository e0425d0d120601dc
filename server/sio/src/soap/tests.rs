use busbar_model::SoapVersion::{self, V11, V12};
use busbar_model::sio::{Declaration, Element, ElementKind};
use proptest::prelude::*;

use super::*;
use crate::SioError;
use crate::xml::parse;

const NS11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const NS12: &str = "http://www.w3.org/2003/05/soap-envelope";

fn check(version: SoapVersion, text: &str) -> Result<(), FaultCode> {
    let text = text.replace("NS11", NS11).replace("NS12", NS12);
    check_envelope(text.as_bytes(), version).map_err(|error| error.code)
}

#[test]
fn envelopes_are_accepted() {
    for (version, text) in [
        (V11, "<s:Envelope xmlns:s='NS11'><s:Body/></s:Envelope>"),
        (
            V11,
            "<Envelope xmlns='NS11'><Header/><Body><a xmlns=''/></Body></Envelope>",
        ),
        (
            V11,
            "<?xml version='1.0'?><s:Envelope xmlns:s='NS11'><!-- c --><s:Body><a/><b/></s:Body></s:Envelope>",
        ),
        (
            V11,
            "<s:Envelope xmlns:s='NS11'><s:Body><a/></s:Body><x:sig xmlns:x='u'/></s:Envelope>",
        ),
        (
            V12,
            "<e:Envelope xmlns:e='NS12'><e:Header><x xmlns='u'/></e:Header><e:Body><a/></e:Body></e:Envelope>",
        ),
        // for somebody else, not required, or about credentials
        (
            V11,
            "<s:Envelope xmlns:s='NS11'><s:Header><x s:mustUnderstand='1' s:actor='urn:other'/></s:Header><s:Body/></s:Envelope>",
        ),
        (
            V11,
            "<s:Envelope xmlns:s='NS11'><s:Header><x s:mustUnderstand='0'/><y mustUnderstand='1'/></s:Header><s:Body/></s:Envelope>",
        ),
        (
            V11,
            "<s:Envelope xmlns:s='NS11'><s:Header><w:Security s:mustUnderstand='1' \
             xmlns:w='http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd'/></s:Header><s:Body/></s:Envelope>",
        ),
    ] {
        assert_eq!(check(version, text), Ok(()), "{text}");
    }
}

#[test]
fn what_is_no_envelope_is_refused_with_its_code() {
    use FaultCode::{Client, MustUnderstand, VersionMismatch};
    for (version, text, code) in [
        (V11, "", Client),
        (V11, " \n", Client),
        (V11, "{}", Client),
        (V11, "<a/>", Client),
        (V11, "<s:Envelope xmlns:s='NS11'/>", Client),
        (V11, "<s:Envelope xmlns:s='NS11'><s:Body></s:Envelope>", Client),
        (
            V11,
            "<s:Envelope xmlns:s='NS11'><s:Body/><s:Body/></s:Envelope>",
            Client,
        ),
        (
            V11,
            "<s:Envelope xmlns:s='NS11'><s:Body/><s:Header/></s:Envelope>",
            Client,
        ),
        (V11, "<s:Envelope xmlns:s='NS11'><a/><s:Body/></s:Envelope>", Client),
        (V11, "<s:Envelope xmlns:s='NS11'><Body/></s:Envelope>", Client),
        (
            V12,
            "<s:Envelope xmlns:s='NS12'><s:Body/><x:sig xmlns:x='u'/></s:Envelope>",
            Client,
        ),
        (
            V11,
            "<!DOCTYPE a><s:Envelope xmlns:s='NS11'><s:Body/></s:Envelope>",
            Client,
        ),
        (
            V11,
            "<s:Envelope xmlns:s='NS12'><s:Body/></s:Envelope>",
            VersionMismatch,
        ),
        (
            V12,
            "<s:Envelope xmlns:s='NS11'><s:Body/></s:Envelope>",
            VersionMismatch,
        ),
        (
            V11,
            "<s:Envelope xmlns:s='urn:none'><s:Body/></s:Envelope>",
            VersionMismatch,
        ),
        (V11, "<Envelope><Body/></Envelope>", VersionMismatch),
        (V11, "<s:Envelope><s:Body/></s:Envelope>", VersionMismatch),
        (
            V11,
            "<s:Envelope xmlns:s='NS11'><s:Header><x s:mustUnderstand='1'/></s:Header><s:Body/></s:Envelope>",
            MustUnderstand,
        ),
        (
            V12,
            "<s:Envelope xmlns:s='NS12'><s:Header><x s:mustUnderstand='true'></x></s:Header><s:Body/></s:Envelope>",
            MustUnderstand,
        ),
        (
            V12,
            "<s:Envelope xmlns:s='NS12'><s:Header><x s:mustUnderstand='1' s:role='NS12/role/next'/></s:Header><s:Body/></s:Envelope>",
            MustUnderstand,
        ),
    ] {
        assert_eq!(check(version, text), Err(code), "{text}");
    }
    assert_eq!(
        check_envelope(b"<s:Envelope xmlns:s='\xff'/>", V11).unwrap_err().code,
        Client
    );
}

#[test]
fn input_stands_below_the_first_element_of_the_body() {
    let declaration = Declaration {
        input: Some(vec![Element {
            name: "a".to_owned(),
            required: true,
            kind: ElementKind::Text,
            nested: Vec::new(),
        }]),
        ..Declaration::default()
    };
    let check = |inner: &str, has: bool| {
        let text = format!("<s:Envelope xmlns:s='{NS11}'>{inner}</s:Envelope>");
        check_input(Some(&declaration), text.as_bytes(), &|_| has)
    };
    assert_eq!(check("<s:Header/><s:Body><r><a>1</a></r></s:Body>", false), Ok(()));
    assert_eq!(check("<s:Body/>", true), Ok(()));
    for inner in [
        "<s:Body/>",
        "<s:Body><a/></s:Body>",
        "<s:Body><r/><r><a/></r></s:Body>",
        "<s:Header><r><a/></r></s:Header><s:Body><r/></s:Body>",
    ] {
        assert_eq!(check(inner, false), Err(SioError::missing("a")), "{inner}");
    }
    let text =
        format!("<s:Envelope xmlns:s='{NS11}'><s:Header><h/></s:Header><s:Body><r><a>1</a></r></s:Body></s:Envelope>");
    let node = payload(parse(text.as_bytes()).unwrap()).unwrap();
    assert_eq!((&*node.name, &*node.children[0].text), ("r", "1"));
    assert_eq!(payload(parse(b"<e><Body/></e>").unwrap()), None);
}

#[test]
fn answers_are_enveloped() {
    let around = |content: &str| {
        format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<soap:Envelope xmlns:soap=\"{NS11}\" \
             xmlns=\"https://zato.io/ns/20130518\"><soap:Body>{content}</soap:Body></soap:Envelope>"
        )
    };
    for (payload, content) in [
        ("<a/>", "<a/>"),
        ("<?xml version='1.0'?>\n<a>1</a>\n", "<a>1</a>"),
        ("", ""),
        ("1 < 2 & \u{1}", "1 &lt; 2 &amp; \u{fffd}"),
        ("<Envelope/>", "<Envelope/>"),
    ] {
        assert_eq!(envelope(V11, payload), around(content), "{payload}");
    }
    let whole = around("<a/>");
    assert_eq!(envelope(V11, &whole), whole);
    assert!(envelope(V12, "<a/>").contains(&format!("xmlns:soap=\"{NS12}\"")));
}

#[test]
fn faults_have_the_shape_of_their_version() {
    assert_eq!(
        fault(V11, FaultCode::Client, "c1", "a ]]> b"),
        "<?xml version='1.0' encoding='UTF-8'?>\n\
         <SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><SOAP-ENV:Body>\
         <SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode>\
         <faultstring><![CDATA[cid [c1], faultstring [a ]]]]><![CDATA[> b]]]></faultstring></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    );
    assert_eq!(
        fault(V12, FaultCode::Server, "c1", "a < b"),
        "<?xml version='1.0' encoding='UTF-8'?>\n<env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\"><env:Body>\
         <env:Fault><env:Code><env:Value>env:Receiver</env:Value></env:Code><env:Reason><env:Text xml:lang=\"en\">\
         cid [c1], faultstring [a &lt; b]</env:Text></env:Reason></env:Fault></env:Body></env:Envelope>"
    );
    assert!(fault(V12, FaultCode::VersionMismatch, "c", "m").contains("<env:Upgrade>"));
}

proptest! {
    /// Whatever comes, nothing panics, and what is written is well-formed.
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        for version in [V11, V12] {
            let _ = check_envelope(&bytes, version);
            let _ = check_input(None, &bytes, &|_| false);
            let _ = envelope(version, &text);
            for code in [FaultCode::Client, FaultCode::VersionMismatch] {
                let written = fault(version, code, "c", &text);
                prop_assert!(check_envelope(written.as_bytes(), version).is_ok(), "{written}");
            }
        }
    }

    /// The same with what looks like an envelope.
    #[test]
    fn nothing_panics_near_envelopes(parts in proptest::collection::vec(
        prop_oneof![
            Just("<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'>"), Just("<s:Header>"), Just("</s:Header>"),
            Just("<s:Body>"), Just("</s:Body>"), Just("</s:Envelope>"), Just("<a s:mustUnderstand='1'/>"), Just("<a>"), Just("</a>"),
            Just("x"), Just("&lt;"), Just("<![CDATA[]]>"), Just("<!-- -->"), Just("<s:Body/>"), Just("xmlns='"), Just("<"),
        ],
        0..12,
    )) {
        let text = parts.concat();
        for version in [V11, V12] {
            if check_envelope(text.as_bytes(), version).is_ok() {
                let _ = payload(parse(text.as_bytes()).unwrap());
            }
            let _ = envelope(version, &text);
        }
    }
}

#[test]
fn management_answers_in_the_namespace_of_the_request() {
    let (old, new) = ("https://zato.io/ns/20130518", "https://zato.io/ns/v1");
    let enveloped = |head: &str, body: &str| {
        format!(
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" {head}><s:Header><a/></s:Header><s:Body>{body}</s:Body></s:Envelope>"
        )
    };
    for (request, is_enveloped, expected) in [
        (enveloped("", &format!("<!-- --><r xmlns='{new}'/>")), true, new),
        (
            enveloped(&format!("xmlns:zato='{new}'"), "<zato:r><zato:id>1</zato:id></zato:r>"),
            true,
            new,
        ),
        (enveloped(&format!("xmlns:zato='{new}'"), "<r/>"), true, old),
        (
            enveloped("", &format!("<r xmlns='{old}'><a xmlns='{new}'/></r>")),
            true,
            old,
        ),
        (enveloped("", "<r xmlns='urn:other'/>"), true, old),
        (enveloped("", ""), true, old),
        (format!("<?xml version='1.0'?><r xmlns='{new}'/>"), false, new),
        ("<r/>".to_owned(), false, old),
        (String::new(), false, old),
        ("{}".to_owned(), true, old),
    ] {
        assert_eq!(
            management_namespace(request.as_bytes(), is_enveloped),
            expected,
            "{request}"
        );
    }
}
