//! One pass over an XML body, building nothing.

use busbar_model::sio::Declaration;

use crate::required::Required;
use crate::xml::walk::{Step, Walk};
use crate::{SioError, is_blank};

/// Checks an XML body before it may reach an interpreter.
///
/// Refused: invalid UTF-8 and other encodings, what is not well-formed, any DOCTYPE, undefined entities, nesting beyond
/// [`MAX_DEPTH`](crate::MAX_DEPTH). Accepted: a byte order mark, any root element, an empty body if nothing is required.
///
/// Each required element of the declared input must be an element below the root, whatever its namespace and even if empty, or a
/// parameter of the channel (`has_param`). The first one missing, in alphabetical order, is named.
pub fn check_xml(
    declaration: Option<&Declaration>,
    body: &[u8],
    has_param: &dyn Fn(&str) -> bool,
) -> Result<(), SioError> {
    let mut required = Required::of(declaration);
    let ignores_body = declaration.is_some_and(|declaration| declaration.use_channel_params_only);
    if !ignores_body && !is_blank(body) {
        let mut walk = Walk::new(body)?;
        let mut depth = 0usize;
        loop {
            match walk.next()? {
                Step::Open { name, .. } => {
                    depth += 1;
                    if depth == 2 {
                        required.tick(&name);
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

#[cfg(test)]
mod tests {
    use busbar_model::sio::{Element, ElementKind};

    use super::*;

    fn free(body: impl AsRef<[u8]>) -> Result<(), String> {
        check_xml(None, body.as_ref(), &|_| false).map_err(|error| error.message)
    }

    #[test]
    fn xml_is_accepted() {
        for body in [
            "",
            "\n ",
            "<a/>",
            "<a></a>",
            "<a b='c'/>",
            "<?xml version='1.0' encoding='UTF-8'?>\n<a>x</a>\n",
            "\u{feff}<a/>",
            "<p:a xmlns:p='urn:x'><p:b/></p:a>",
            "<a><!-- c --><?pi x?>&lt;&#65;&#x41;<![CDATA[<]]></a>",
            "<é>\u{1f600}</é>",
            "<a><b>1</b><b>2</b></a>",
        ] {
            assert_eq!(free(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for body in [
            "a",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a>&x;</a>",
            "<a>&</a>",
            "<a>&#0;</a>",
            "<a>&#xd800;</a>",
            "<1/>",
            "<a><b></a></b>",
            "<a",
            "<a b='",
            "<![CDATA[x]]>",
            "<a>\u{1}</a>",
            "<a>&#1;</a>",
            "<a b='&x;'/>",
            "<a b='<'/>",
            "<?xml version='1.0' encoding='UTF-16'?><a/>",
            "<a/>&amp;",
            "{}",
            "<>",
            "< a/>",
        ] {
            assert!(free(body).is_err(), "{body}");
        }
        assert!(free(b"<a>\xff</a>").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_doctype_is_refused() {
        for body in [
            "<!DOCTYPE a><a/>",
            "<!doctype a><a/>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
            "<?xml version='1.0'?>\n<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY l2 '&lol;&lol;'>]><a>&l2;</a>",
        ] {
            assert!(free(body).unwrap_err().starts_with("invalid XML: "), "{body}");
        }
        assert!(free("<!DOCTYPE a><a/>").unwrap_err().contains("document type"));
    }

    #[test]
    fn depth_and_attributes_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(free(nested(128)), Ok(()));
        assert!(free(nested(129)).unwrap_err().contains("levels"));
        assert!(free(nested(100_000)).is_err());
        let attributes: String = (0..100_000).map(|index| format!(" a{index}='1'")).collect();
        assert!(free(format!("<a{attributes}/>")).unwrap_err().contains("attributes"));
    }

    #[test]
    fn the_first_missing_element_is_named() {
        let element = |name: &str| Element {
            name: name.to_owned(),
            required: true,
            kind: ElementKind::Text,
            nested: Vec::new(),
        };
        let declaration = Declaration {
            input: Some(vec![element("a"), element("b")]),
            ..Declaration::default()
        };
        let check = |body: &str| check_xml(Some(&declaration), body.as_bytes(), &|_| false);
        assert_eq!(check(""), Err(SioError::missing("a")));
        assert_eq!(check("<r/>"), Err(SioError::missing("a")));
        assert_eq!(check("<r><a/><c><b/></c></r>"), Err(SioError::missing("b")));
        assert_eq!(check("<x:r xmlns:x='urn:x'><x:a/><b>1</b></x:r>"), Ok(()));
        assert_eq!(
            check_xml(Some(&declaration), b"<r><b/></r>", &|name| name == "a"),
            Ok(())
        );
    }
}
