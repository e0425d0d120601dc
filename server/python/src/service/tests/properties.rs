//! Whatever a request holds, the hub and the service agree on whether what is required is there.

use std::cell::RefCell;

use busbar_model::DataFormat;
use busbar_runtime::Outcome;
use busbar_sio::{check_json, check_xml};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use super::{body, with};
use crate::testing::Request;

const SERVICES: &str = "
from zato.common.typing_ import *
from zato.server.service import Model, dataclass
@dataclass(init=False)
class Inner(Model):
    a: int
@dataclass(init=False)
class Outer(Model):
    a: int
    b: Inner
    c: str
    d: optional[list_[Inner]]
    e: strlist = list_field()
class Plain(Service):
    input = Int('a'), 'b', '-c', List('d'), Bool('-e')
    def handle(self): self.response.payload = {'ok': True}
class Modelled(Service):
    input = Outer
    def handle(self): self.response.payload = self.request.input
";

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!(1)),
        Just(json!(2.5)),
        Just(json!("")),
        Just(json!("7")),
        Just(json!("x")),
        Just(json!(true)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            object(inner),
        ]
    })
}

fn object(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-f]", values, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// The same members as elements, as far as they have such a form.
fn as_xml(value: &Value) -> String {
    fn content(value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(items) => items
                .iter()
                .map(|item| format!("<item>{}</item>", content(item)))
                .collect(),
            Value::Object(members) => {
                let element = |(name, value)| format!("<{name}>{}</{name}>", content(value));
                members.iter().map(element).collect()
            }
            other => other.to_string(),
        }
    }
    format!("<r>{}</r>", content(value))
}

#[test]
fn the_hub_refuses_what_the_service_would() {
    with(SERVICES, |py, deployed| {
        let mut runner = TestRunner::new(Config {
            cases: 256,
            failure_persistence: None,
            ..Config::default()
        });
        let deployed = RefCell::new(deployed);
        runner
            .run(&object(value()), |input| {
                let deployed = deployed.borrow();
                for name in ["plain", "modelled"] {
                    let class = deployed.class(name);
                    let declaration = class.info().sio.as_ref();
                    let (json, xml) = (input.to_string(), as_xml(&input));
                    let checks = [
                        (
                            DataFormat::Json,
                            &json,
                            check_json(declaration, json.as_bytes(), &|_| false),
                        ),
                        (
                            DataFormat::Xml,
                            &xml,
                            check_xml(declaration, xml.as_bytes(), &|_| false),
                        ),
                    ];
                    for (format, text, checked) in checks {
                        let request = Request { format, ..body(text) };
                        let details = match deployed.call(py, name, &request) {
                            Outcome::Reply(_) => None,
                            Outcome::Fault(fault) => {
                                prop_assert_eq!(fault.status, 400, "{} {}", name, text);
                                fault.details.and_then(|details| details.as_str().map(str::to_owned))
                            }
                        };
                        match checked {
                            Err(error) => prop_assert_eq!(Some(error.message), details, "{} {}", name, text),
                            // only what is inside of something is left to the service
                            Ok(()) => {
                                let is_missing =
                                    details.is_some_and(|details| details.starts_with("Element missing: "));
                                prop_assert!(!is_missing || name == "modelled", "{} {}", name, text);
                            }
                        }
                    }
                }
                Ok(())
            })
            .unwrap();
    });
}
