//! What classes declare, in every form.

use std::ffi::CString;

use pyo3::types::PyDict;

use busbar_model::sio::ElementKind;

use super::*;
use crate::testing::attach;

fn read(py: Python<'_>, body: &str) -> PyResult<Option<Sio>> {
    let scope = PyDict::new(py);
    let code = format!(
        "from zato.server.service import *\nclass Base:\n    class SimpleIO:\n        input = 'base'\nclass S:\n{body}\n"
    );
    py.run(&CString::new(code).unwrap(), Some(&scope), None)?;
    Sio::read(
        scope.get_item("S").unwrap().unwrap().cast::<PyType>().unwrap(),
        &NamingRules::default(),
    )
}

fn names(fields: &Option<Vec<Field>>) -> Vec<String> {
    let name = |field: &Field| {
        format!(
            "{}{}:{:?}",
            if field.required { "" } else { "-" },
            field.text,
            field.kind
        )
    };
    fields
        .as_ref()
        .map(|fields| fields.iter().map(name).collect())
        .unwrap_or_default()
}

#[test]
fn every_form_is_read() {
    attach(|py| {
        for body in [
            "    class SimpleIO:\n        input = 'user_id', '-note', Float('amount')",
            "    class IO:\n        input = ['user_id', '-note', Float('amount')]",
            "    input = 'user_id', '-note', Float('amount')",
            "    class SimpleIO:\n        input_required = 'user_id', Float('amount')\n        input_optional = 'note'",
            "    class SimpleIO:\n        input_required = {'user_id', Float('amount')}\n        input_optional = ['note', 'user_id']",
            "    class SimpleIO:\n        input = Float('amount'), 'user_id', Text('-note')",
        ] {
            let sio = read(py, body).unwrap().unwrap();
            assert_eq!(
                names(&sio.input),
                ["amount:Float", "user_id:Int", "-note:Text"],
                "{body}"
            );
            assert!(sio.output.is_none());
            assert_eq!(
                sio.declaration.response_elem.is_some(),
                body.contains("class"),
                "{body}"
            );
        }
    });
}

#[test]
fn one_text_is_one_element() {
    attach(|py| {
        let sio = read(
            py,
            "    class SimpleIO:\n        input_required = 'cust'\n        output = 'ok'",
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            (names(&sio.input), names(&sio.output)),
            (vec!["cust:Text".to_owned()], vec!["ok:Text".to_owned()])
        );
    });
}

#[test]
fn settings_are_read() {
    attach(|py| {
        let body = "    class SimpleIO:\n        output = 'a'\n        response_elem = 'user'\n        output_repeated = True\n        \
                    namespace = 'urn:x'\n        request_elem = 'req'\n        use_channel_params_only = True";
        let declaration = read(py, body).unwrap().unwrap().declaration;
        assert_eq!(declaration.response_elem.as_deref(), Some("user"));
        assert!(declaration.output_repeated && declaration.use_channel_params_only);
        assert_eq!(
            (declaration.namespace.as_str(), declaration.request_elem.as_str()),
            ("urn:x", "req")
        );
        for none in ["None", "''"] {
            let body = format!("    class SimpleIO:\n        output = 'a'\n        response_elem = {none}");
            assert_eq!(read(py, &body).unwrap().unwrap().declaration.response_elem, None);
        }
    });
}

#[test]
fn inheritance_works() {
    attach(|py| {
        let sio = read(py, "    pass\nclass S(Base):\n    pass").unwrap().unwrap();
        assert_eq!(names(&sio.input), ["base:Text"]);
        let sio = read(
            py,
            "    pass\nclass S(Base):\n    class SimpleIO(Base.SimpleIO):\n        output = 'x'",
        )
        .unwrap()
        .unwrap();
        assert_eq!(
            (names(&sio.input), names(&sio.output)),
            (vec!["base:Text".to_owned()], vec!["x:Text".to_owned()])
        );
        assert!(read(py, "    pass").unwrap().is_none());
    });
}

#[test]
fn what_cannot_be_declared_fails() {
    attach(|py| {
        for (body, part) in [
            (
                "    class SimpleIO:\n        input = 'a'\n        input_required = 'b'",
                "input_required",
            ),
            (
                "    class SimpleIO:\n        output = 'a'\n        output_optional = 'b'",
                "output_optional",
            ),
            ("    class SimpleIO:\n        input = 'a', 5", "5"),
            ("    class SimpleIO:\n        input = 3", "3"),
            ("    class SimpleIO:\n        input = 'a', ''", "empty name"),
            ("    class M: pass\n    input = M", "it is no model"),
            (
                "    class SimpleIO:\n        input = 'a'\n        class SkipEmpty:\n            input = 'all', 'b'",
                "SkipEmpty",
            ),
        ] {
            let message = read(py, body).unwrap_err().to_string();
            assert!(message.contains(part), "{body}: {message}");
        }
    });
}

#[test]
fn nested_elements_and_defaults_are_read() {
    attach(|py| {
        let body = "    class SimpleIO:\n        default_value = 'x'\n        input = Dict('addr', 'city', '-zip', Int('floor')), Int('-n', default=5), '-o'";
        let sio = read(py, body).unwrap().unwrap();
        let input = sio.input.unwrap();
        assert_eq!(names(&Some(vec![])), Vec::<String>::new());
        let nested: Vec<_> = input[0]
            .nested
            .iter()
            .map(|field| (field.text.as_str(), field.required, field.kind))
            .collect();
        assert_eq!(
            nested,
            [
                ("city", true, ElementKind::Text),
                ("zip", false, ElementKind::Text),
                ("floor", true, ElementKind::Int)
            ]
        );
        let default = |index: usize| input[index].default.as_ref().unwrap().bind(py).to_string();
        assert_eq!((default(1), default(2)), ("5".to_owned(), "x".to_owned()));
    });
}
