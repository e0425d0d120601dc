//! The examples of `docs/services.md`.

use serde_json::json;

use crate::facilities::blocks;
use crate::{repository, server};

#[test]
fn examples_run() {
    let text = std::fs::read_to_string(repository().join("docs/services.md")).unwrap();
    let mut server = server().prepare();
    let [schema] = blocks(&text, "json")[..] else {
        panic!("there is one schema");
    };
    std::fs::write(server.pickup().join("order.json"), schema).unwrap();
    for (number, example) in blocks(&text, "python").iter().enumerate() {
        server.deploy(&format!("example{number}.py"), example);
    }
    server.start();
    let ask = |service: &str, body: &str| server.invoke(service, body);
    assert_eq!(ask("example0.both", "").expect(200).json(), json!(["FIRST", "SECOND"]));
    assert_eq!(
        ask("example1.order", r#"{"id": 7}"#).expect(200).json(),
        json!({"accepted": 7})
    );
    let refused = ask("example1.order", r#"{"id": "x"}"#).expect(400).json();
    let details = refused["details"].as_str().unwrap();
    assert!(text.contains(&format!("`{details}`")), "{details}");
    assert_eq!(
        ask("example2.old", "").expect(200).json(),
        json!({"config": "[crm]\nhost = crm.example.com", "query": "name=A+B"})
    );
    server.wait_log(&["example2.py imports", "which is called otherwise today"]);
}
