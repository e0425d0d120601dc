//! What holds for any input: nothing panics, whoever checks and whoever reads agree, what is written reads back.

use busbar_model::SoapVersion;
use busbar_model::sio::{Declaration, Element, ElementKind};
use busbar_sio::xml::{Item, Output, ToJson, parse, read_input, write_output};
use busbar_sio::{check_json, check_names, check_xml};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn element(name: &str, kind: ElementKind, required: bool) -> Element {
    Element {
        name: name.to_owned(),
        required,
        kind,
        nested: Vec::new(),
    }
}

/// Pieces of JSON, in any order: much of it is nearly JSON, which random bytes never are.
fn json_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\"a\""),
        Just("\"b\""),
        Just("\\"),
        Just("\\u0041"),
        Just("\\ud800"),
        Just("\\udc00"),
        Just("null"),
        Just("true"),
        Just("false"),
        Just("0"),
        Just("-"),
        Just("1"),
        Just("."),
        Just("e"),
        Just("E+"),
        Just(" "),
        Just("\n"),
        Just("\u{e9}"),
        Just("\u{1f600}"),
        Just("\t"),
        Just("\u{1}"),
        Just("{\"a\":"),
        Just("\"a\":1"),
        Just("[1,"),
        Just("9999999999999999999999"),
        Just("1e999"),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn xml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<a>"),
        Just("</a>"),
        Just("<a/>"),
        Just("<b>"),
        Just("</b>"),
        Just("<item>"),
        Just("</item>"),
        Just("<x:a xmlns:x='u'>"),
        Just("</x:a>"),
        Just("<a b='c'>"),
        Just("<a b='1' b='2'/>"),
        Just("text"),
        Just("&lt;"),
        Just("&#65;"),
        Just("&x;"),
        Just("&"),
        Just("<"),
        Just(">"),
        Just("<!--"),
        Just("-->"),
        Just("<![CDATA["),
        Just("]]>"),
        Just("<!DOCTYPE a>"),
        Just("<?xml version='1.0'?>"),
        Just("<?pi?>"),
        Just(" "),
        Just("\u{e9}"),
        Just("\u{0}"),
        Just("'"),
        Just("="),
        Just("<key>"),
        Just("</key>"),
        Just("<value/>"),
        Just("xsi:nil='true'"),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A document that is right, in which bytes were replaced, taken out, doubled or swapped with others of it.
fn mutated(documents: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let change = (
        0..4u8,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<u8>(),
    );
    (prop::sample::select(documents), vec(change, 1..6)).prop_map(|(document, changes)| {
        let mut bytes = document.as_bytes().to_vec();
        for (what, at, other, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
            match what {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, bytes[other]),
                _ => {
                    let piece = bytes[at.min(other)..at.max(other)].to_vec();
                    bytes.extend(piece);
                }
            }
        }
        bytes
    })
}

const JSON: &[&str] = &[
    r#"{"a": "text \u00e9\ud83d\ude00", "b": [1, -2.5e3, true, null], "item": {"key": "\\\"/"}}"#,
    r#"[{"a": 1, "a": 2}, "", [], {}]"#,
];
const XML: &[&str] = &[
    "<?xml version='1.0' encoding='UTF-8'?><r xmlns='u' xmlns:x='v'><a x:b=\"c &lt; d\">t&amp;&#65;<![CDATA[<&]]></a><!-- c --><b/></r>",
    "<r><a><item><key>k</key><value>v</value></item></a><b xsi:nil='true' xmlns:xsi='i'/></r>",
];
const SOAP: &[&str] = &[
    "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Header><h s:mustUnderstand='0'/></s:Header><s:Body><a>1</a></s:Body></s:Envelope>",
    "<Envelope xmlns='http://www.w3.org/2003/05/soap-envelope'><Body><a xmlns=''><b>&#x41;</b></a></Body></Envelope>",
];

/// Text that XML can hold.
fn text() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            prop::char::range('\u{20}', '\u{7e}'),
            Just('\n'),
            Just('\r'),
            Just('\t'),
            prop::char::range('\u{a0}', '\u{d7ff}'),
            prop::char::range('\u{e000}', '\u{fffd}'),
            prop::char::range('\u{10000}', '\u{10ffff}'),
        ],
        0..12,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![3 => text().prop_map(Value::String), 1 => Just(Value::Null)]
}

/// Keys are read without the blanks around them, as they always were.
fn dict() -> impl Strategy<Value = Value> {
    btree_map("[a-z\u{e9}<&\"][a-z <&]{0,5}[a-z>]", value(), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_is_judged_as_serde_does(body in prop_oneof![json_like(), any::<String>()]) {
        let expected = body.trim_ascii().is_empty() || serde_json::from_str::<Value>(&body).is_ok();
        let body = body.trim_start_matches('\u{feff}');
        prop_assert_eq!(check_json(None, body.as_bytes(), &|_| false).is_ok(), expected || body.trim_ascii().is_empty());
    }

    #[test]
    fn json_that_was_changed_is_judged_as_serde_does(body in mutated(JSON)) {
        let without_mark = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
        let expected = without_mark.trim_ascii().is_empty() || serde_json::from_slice::<Value>(without_mark).is_ok();
        prop_assert_eq!(check_json(None, &body, &|_| false).is_ok(), expected);
    }

    #[test]
    fn xml_that_was_changed_is_judged_as_it_is_read(body in prop_oneof![mutated(XML), mutated(SOAP)]) {
        let is_xml = check_xml(None, &body, &|_| false).is_ok();
        prop_assert_eq!(is_xml && !busbar_sio::is_blank(&body), parse(&body).is_ok());
    }

    #[test]
    fn envelopes_that_were_changed_have_a_payload_or_are_refused(body in mutated(SOAP)) {
        for version in [SoapVersion::V11, SoapVersion::V12] {
            if busbar_sio::soap::check_envelope(&body, version).is_ok() {
                let _ = busbar_sio::soap::payload(parse(&body).unwrap());
            }
        }
    }

    #[test]
    fn envelopes_that_were_changed_take_a_header_or_are_refused(body in mutated(SOAP)) {
        let header = "<h:h xmlns:h='urn:h'>1</h:h>";
        let with = busbar_sio::soap::add_header(&body, header, ("urn:h", "h"));
        for version in [SoapVersion::V11, SoapVersion::V12] {
            // what is an envelope takes the header and stays one
            if busbar_sio::soap::check_envelope(&body, version).is_ok() {
                let with = with.clone().unwrap().unwrap();
                prop_assert!(with.len() > body.len() - 3 + header.len(), "a byte order mark may go");
                prop_assert!(busbar_sio::soap::check_envelope(&with, version).is_ok(), "{}", String::from_utf8_lossy(&with));
                // once
                prop_assert_eq!(busbar_sio::soap::add_header(&with, header, ("urn:h", "h")), Ok(None));
            }
        }
    }

    #[test]
    fn bytes_are_judged(body in vec(any::<u8>(), 0..64)) {
        let _ = check_json(None, &body, &|_| false);
        let is_xml = check_xml(None, &body, &|_| false).is_ok();
        prop_assert_eq!(is_xml && !busbar_sio::is_blank(&body), parse(&body).is_ok());
    }

    #[test]
    fn whoever_checks_xml_and_whoever_reads_it_agree(body in prop_oneof![xml_like(), any::<String>()]) {
        let checked = check_xml(None, body.as_bytes(), &|_| false);
        let read = parse(body.as_bytes());
        prop_assert_eq!(checked.is_ok() && !busbar_sio::is_blank(body.as_bytes()), read.is_ok());
        if let Ok(root) = read {
            let kinds = [ElementKind::List, ElementKind::Dict, ElementKind::DictList, ElementKind::AsIs, ElementKind::Text];
            for kind in kinds {
                let declaration = Declaration {
                    input: Some(vec![element("a", kind, true), element("b", kind, false), element("item", kind, false)]),
                    ..Declaration::default()
                };
                // what does not fit is told when it is read
                let Ok(values) = read_input(&declaration, &root, false, &ToJson) else {
                    continue;
                };
                let is_there = values.iter().any(|(name, _)| *name == "a");
                prop_assert_eq!(check_xml(Some(&declaration), body.as_bytes(), &|_| false).is_ok(), is_there);
            }
        }
    }

    #[test]
    fn the_first_element_missing_is_named(
        names in btree_map("[a-e]", any::<bool>(), 0..5),
        present in btree_map("[a-f]", value(), 0..6),
        params in vec("[a-e]", 0..2),
    ) {
        let mut input: Vec<_> = names.iter().map(|(name, required)| element(name, ElementKind::Text, *required)).collect();
        input.sort_by(|a, b| b.required.cmp(&a.required).then_with(|| a.name.cmp(&b.name)));
        let declaration = Declaration { input: Some(input), ..Declaration::default() };
        let missing = names.iter().find(|(name, required)| {
            **required && !present.contains_key(*name) && !params.contains(name)
        });
        let expected = missing.map(|(name, _)| format!("Element missing: {name}"));
        let has_param = |name: &str| params.iter().any(|param| param == name);
        let told = |result: Result<(), busbar_sio::SioError>| result.err().map(|error| error.message);
        let body = serde_json::to_vec(&present).unwrap();
        prop_assert_eq!(&told(check_json(Some(&declaration), &body, &has_param)), &expected);
        prop_assert_eq!(&told(check_names(Some(&declaration), present.keys(), &has_param)), &expected);
        let elements: String = present.keys().map(|name| format!("<{name}/>")).collect();
        let body = format!("<r>{elements}</r>");
        prop_assert_eq!(&told(check_xml(Some(&declaration), body.as_bytes(), &has_param)), &expected);
    }

    #[test]
    fn xml_that_is_written_reads_back(
        scalar in value(),
        list in vec(value(), 0..4),
        one in dict(),
        many in vec(dict(), 0..3),
        is_pretty in any::<bool>(),
        encoding in prop_oneof![Just(""), Just("us-ascii")],
    ) {
        let elements = vec![
            element("list", ElementKind::List, true),
            element("many", ElementKind::DictList, true),
            element("one", ElementKind::Dict, true),
            element("scalar", ElementKind::Text, true),
        ];
        let mut declaration = Declaration {
            input: Some(elements.clone()),
            output: Some(elements),
            ..Declaration::default()
        };
        declaration.xml.pretty_print = is_pretty;
        declaration.xml.encoding = encoding.to_owned();
        let written = json!({"list": list, "many": many, "one": one, "scalar": scalar});
        let item: Item<'_, &Value> = declaration
            .output
            .iter()
            .flatten()
            .map(|element| (element, &written[&element.name]))
            .collect();
        let text = write_output(&declaration, "c", &Output::One(item)).unwrap();
        prop_assert!(encoding.is_empty() || text.is_ascii());
        let root = parse(text.as_bytes()).unwrap();
        let item = root.children.iter().find(|child| child.name == "item").unwrap();
        let read: Map<String, Value> = read_input(&declaration, item, false, &ToJson)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        prop_assert_eq!(Value::Object(read), written);
    }
}
