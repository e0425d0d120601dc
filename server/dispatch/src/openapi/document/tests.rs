use busbar_model::sio::Declaration;

use super::*;

fn element(name: &str, required: bool, kind: ElementKind, nested: Vec<Element>) -> Element {
    Element {
        name: name.to_owned(),
        required,
        kind,
        nested,
    }
}

fn service(sio: Option<Declaration>) -> ServiceInfo {
    ServiceInfo {
        name: "shop.pay".to_owned(),
        impl_name: "shop.Pay".to_owned(),
        module: "shop".to_owned(),
        http_methods: Vec::new(),
        sio,
        summary: "Pays.".to_owned(),
        deadline_secs: None,
        has_request_hash: false,
    }
}

fn channel(path: &str) -> Channel {
    Channel {
        name: "pay it".to_owned(),
        service: "shop.pay".to_owned(),
        path: path.to_owned(),
        method: String::new(),
        format: DataFormat::Json,
        soap: None,
        content_type: "application/json".to_owned(),
        merges_params: true,
        is_async: false,
        is_deprecated: false,
        is_limited: false,
        json_rpc: None,
        security: None,
    }
}

fn paths(channels: &[Channel], service: &ServiceInfo) -> Value {
    make("test", channels, &|name| (name == service.name).then_some(service))["paths"].take()
}

#[test]
fn an_operation_in_full() {
    let sio = Declaration {
        input: Some(vec![
            element("amount", true, ElementKind::Decimal, Vec::new()),
            element("user_id", true, ElementKind::Int, Vec::new()),
            element("tags", false, ElementKind::List, Vec::new()),
        ]),
        output: Some(vec![
            element(
                "addr",
                true,
                ElementKind::Dict,
                vec![element("city", true, ElementKind::Text, Vec::new())],
            ),
            element("u", false, ElementKind::Uuid, Vec::new()),
        ]),
        response_elem: Some("paid".to_owned()),
        output_repeated: true,
        ..Declaration::default()
    };
    let channel = Channel {
        method: "POST".to_owned(),
        is_deprecated: true,
        is_limited: true,
        security: Some(vec![Scheme::Basic, Scheme::ApiKey("X-Key".to_owned())]),
        ..channel("/pay/{user_id}")
    };
    let headers = json!({"X-Zato-CID": {"$ref": "#/components/headers/X-Zato-CID"}});
    let error = |meaning: &str| {
        json!({"description": meaning, "headers": headers,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}})
    };
    let document = make("test", std::slice::from_ref(&channel), &|_| None);
    assert_eq!(document["paths"], json!({}), "a service that is not deployed");

    let service = service(Some(sio));
    let document = make("test", &[channel], &|_| Some(&service));
    assert_eq!(
        document["paths"]["/pay/{user_id}"],
        json!({"post": {
            "operationId": "pay_it",
            "summary": "Pays.",
            "tags": ["shop"],
            "parameters": [{"name": "user_id", "in": "path", "required": true, "schema": {"type": "integer"}}],
            "requestBody": {"required": true, "content": {"application/json": {"schema": {
                "$ref": "#/components/schemas/shop.pay.pay_it.input",
            }}}},
            "deprecated": true,
            "responses": {
                "200": {"description": "What the service answered.", "headers": headers, "content": {"application/json": {"schema": {
                    "type": "object",
                    "properties": {"paid": {"type": "array", "items": {"$ref": "#/components/schemas/shop.pay.output"}}},
                    "required": ["paid"],
                }}}},
                "400": error("The input cannot be used."),
                "401": error("The credentials are missing or wrong."),
                "403": error("The caller may not do this."),
                "429": error("Too many requests."),
                "default": error("The call failed."),
            },
            "security": [{"basic": []}, {"apikey-X-Key": []}],
            "description": "Service `shop.pay`, channel `pay it`.",
        }})
    );
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["shop.pay.pay_it.input"],
        json!({
            "type": "object",
            "properties": {"amount": {"type": ["string", "number"], "format": "decimal"}, "tags": {"type": ["array", "null"]}},
            "required": ["amount"],
        })
    );
    assert_eq!(
        schemas["shop.pay.output"],
        json!({
            "type": "object",
            "properties": {
                "addr": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
                "u": {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$"},
            },
            "required": ["addr"],
        })
    );
    assert_eq!(
        document["components"]["securitySchemes"],
        json!({"basic": {"type": "http", "scheme": "basic"}, "apikey-X-Key": {"type": "apiKey", "in": "header", "name": "X-Key"}})
    );
}

#[test]
fn input_goes_where_the_method_allows() {
    let sio = |elements| Declaration {
        input: Some(elements),
        ..Declaration::default()
    };
    let text = element("q", true, ElementKind::Text, Vec::new());
    let plain = service(Some(sio(vec![text.clone()])));
    let found = paths(&[channel("/find")], &plain);
    assert_eq!(
        found["/find"]["get"]["parameters"],
        json!([{"name": "q", "in": "query", "required": true, "schema": {"type": "string"}}])
    );
    assert_eq!(found["/find"]["get"].get("requestBody"), None);
    assert_eq!(found["/find"]["post"].get("parameters"), None);
    assert_eq!(found["/find"]["post"]["operationId"], "pay_it.post");

    let nested = service(Some(sio(vec![element("a", true, ElementKind::Dict, Vec::new())])));
    let found = paths(&[channel("/find")], &nested);
    assert_eq!(found["/find"].get("get"), None, "an object does not fit into a query");

    let mut verbs = plain;
    verbs.http_methods = vec!["PUT".to_owned()];
    let found = paths(&[channel("/find")], &verbs);
    assert_eq!(found["/find"].as_object().unwrap().keys().collect::<Vec<_>>(), ["put"]);
}

#[test]
fn paths_of_one_shape_are_one() {
    let post = |name: &str, path: &str, method: &str| Channel {
        name: name.to_owned(),
        method: method.to_owned(),
        ..channel(path)
    };
    let channels = [
        post("a", "/x/{one}", "GET"),
        post("b", "/x/{other}", "PUT"),
        post("c", "/x/{one}", "GET"),
    ];
    let found = paths(&channels, &service(None));
    assert_eq!(found.as_object().unwrap().len(), 1);
    assert_eq!(found["/x/{one}"]["put"]["parameters"][0]["name"], "one");
    let text = found["/x/{one}"]["get"]["description"].as_str().unwrap();
    assert!(text.ends_with("Also channel `c`."), "{text}");
}

#[test]
fn other_formats() {
    let sio = Declaration {
        input: Some(vec![element("a", true, ElementKind::Text, Vec::new())]),
        output: Some(vec![element("b", true, ElementKind::Text, Vec::new())]),
        output_repeated: true,
        ..Declaration::default()
    };
    let service = service(Some(sio));
    let with = |format, content_type: &str, soap| Channel {
        method: "POST".to_owned(),
        format,
        soap,
        content_type: content_type.to_owned(),
        ..channel("/x")
    };
    let found = paths(&[with(DataFormat::Xml, "application/xml", None)], &service);
    let xml = &found["/x"]["post"];
    assert_eq!(
        xml["requestBody"]["content"]["application/xml"]["schema"]["xml"],
        json!({"name": "request"})
    );
    let answer = &xml["responses"]["200"]["content"]["application/xml"]["schema"];
    assert_eq!(answer["xml"], json!({"name": "response"}));
    assert_eq!(answer["required"], json!(["zato_env", "item_list"]));
    assert_eq!(
        answer["properties"]["item_list"],
        json!({
            "type": "array",
            "items": {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"], "xml": {"name": "item"}},
            "xml": {"wrapped": true},
        })
    );
    // rows are the body's alone
    let csv = Channel {
        method: String::new(),
        ..with(DataFormat::Csv, "text/csv", None)
    };
    let found = paths(&[csv], &service);
    assert_eq!(found["/x"].as_object().unwrap().keys().collect::<Vec<_>>(), ["post"]);
    assert_eq!(found["/x"]["post"].get("parameters"), None);
    let found = paths(&[with(DataFormat::Xml, "text/xml", Some(SoapVersion::V11))], &service);
    assert_eq!(
        found["/x"]["post"]["requestBody"]["content"],
        json!({"text/xml": {"schema": {"type": "string"}}})
    );
}

#[test]
fn objects_and_lists_have_their_shapes_in_xml() {
    let elements = || {
        vec![
            element("d", true, ElementKind::Dict, Vec::new()),
            element("l", true, ElementKind::List, Vec::new()),
            element("r", true, ElementKind::DictList, Vec::new()),
        ]
    };
    let sio = Declaration {
        input: Some(elements()),
        output: Some(elements()),
        ..Declaration::default()
    };
    let xml = Channel {
        format: DataFormat::Xml,
        content_type: "application/xml".to_owned(),
        ..channel("/x")
    };
    let found = paths(&[xml], &service(Some(sio)));
    let schema_of = |part: &Value| part["content"]["application/xml"]["schema"].clone();
    let input = schema_of(&found["/x"]["post"]["requestBody"]);
    assert_eq!(input["properties"]["d"], json!({"type": "object"}));
    assert_eq!(input["properties"]["r"]["items"]["xml"], json!({"name": "item_dict"}));
    let answer = schema_of(&found["/x"]["post"]["responses"]["200"]);
    let item = &answer["properties"]["item"]["properties"];
    assert_eq!(item["l"]["items"], json!({"xml": {"name": "item"}}));
    assert_eq!(item["d"]["items"]["required"], json!(["key", "value"]));
    assert_eq!(item["r"]["items"]["xml"], json!({"wrapped": true, "name": "dict"}));
    assert_eq!(answer["properties"]["zato_env"]["required"], json!(["cid", "result"]));
}

#[test]
fn schemas_are_called_after_models() {
    let of_model = |model: &str, field: &str| {
        let sio = Declaration {
            input: Some(vec![element(field, true, ElementKind::Text, Vec::new())]),
            input_is_model: true,
            input_model: model.to_owned(),
            ..Declaration::default()
        };
        service(Some(sio))
    };
    let (one, same, other, error) = (
        of_model("Order", "a"),
        of_model("Order", "a"),
        of_model("Order", "b"),
        of_model("Error", "c"),
    );
    let channels = ["one", "same", "other", "error"].map(|name| Channel {
        service: name.to_owned(),
        method: "POST".to_owned(),
        ..channel(&format!("/{name}"))
    });
    let document = make("test", &channels, &|name| match name {
        "one" => Some(&one),
        "same" => Some(&same),
        "other" => Some(&other),
        _ => Some(&error),
    });
    let refers_to = |path: &str| {
        let body = &document["paths"][path]["post"]["requestBody"];
        let schema = &body["content"]["application/json"]["schema"]["$ref"];
        schema.as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(
        ["/one", "/same", "/other", "/error"].map(refers_to),
        ["Order", "Order", "Order.2", "Error.2"]
    );
    assert_eq!(
        document["components"]["schemas"]["Error"]["required"],
        json!(["result", "cid"])
    );
}

#[test]
fn json_rpc_tells_its_methods() {
    let sio = Declaration {
        input: Some(vec![element("a", true, ElementKind::Int, Vec::new())]),
        ..Declaration::default()
    };
    let (declared, free) = (service(Some(sio)), service(None));
    let rpc = |methods: &[&str]| Channel {
        json_rpc: Some(methods.iter().map(|name| (*name).to_owned()).collect()),
        security: Some(vec![Scheme::Basic]),
        ..channel("/rpc")
    };
    let find = |name: &str| match name {
        "declared" => Some(&declared),
        "free" => Some(&free),
        _ => None,
    };
    let document = make("test", &[rpc(&["declared", "free", "gone"])], &find);
    let post = &document["paths"]["/rpc"]["post"];
    let calls = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
        .as_array()
        .unwrap();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0]["properties"]["method"], json!({"const": "shop.pay"}));
    assert_eq!(
        calls[0]["properties"]["params"],
        json!({"$ref": "#/components/schemas/shop.pay.input"})
    );
    assert_eq!(calls[0]["required"], json!(["jsonrpc", "method", "params"]));
    assert_eq!(calls[1]["properties"]["params"], json!({}));
    assert_eq!(post["security"], json!([{"basic": []}]));
    assert_eq!(make("test", &[rpc(&["gone"])], &find)["paths"], json!({}));
}
