//! What a channel's options do for its callers.

use busbar_testkit::Request;
use serde_json::{Value, json};

use crate::{OK, server};

/// Tells where each value came from.
const SHOW: &str = "
from zato.server.service import Service

class Show(Service):
    def handle(self):
        self.response.payload = {
            'params': dict(self.request.http.params), 'input': dict(self.request.input), 'GET': dict(self.request.http.GET),
            'all': dict(self.request.channel_params),
        }

class Declared(Service):
    input = '-x', '-y'
    output = '-x', '-y'
    def handle(self):
        self.response.payload = dict(self.request.input)

class Many(Service):
    def handle(self):
        self.response.payload = {'count': len(self.request.http.GET), 'input': len(self.request.input)}
";

#[test]
fn options_say_which_value_of_a_name_wins() {
    let channels = "
channel_rest:
  - {name: default, url_path: '/default/{x}', service: options.show, data_format: json}
  - {name: path, url_path: '/path/{x}', service: options.show, data_format: json, url_params_pri: path-over-qs}
  - {name: apart, url_path: '/apart/{x}', service: options.show, data_format: json, merge_url_params_req: false}
  - {name: declared, url_path: '/declared/{x}', service: options.declared, data_format: json}
  - {name: declared-body, url_path: '/declared-body/{x}', service: options.declared, data_format: json, params_pri: msg-over-channel-params}
  - {name: declared-apart, url_path: '/declared-apart/{x}', service: options.declared, data_format: json, merge_url_params_req: false}
";
    let server = server().service("options.py", SHOW).enmasse(channels).start();
    let post = |target: &str| server.post(target, r#"{"x":"body","z":1}"#).expect(200).json();
    let expected = |params: Value, input: Value, all: Value| json!({"params": params, "input": input, "GET": {"x": "query", "q": ["1", ""]}, "all": all});
    let query = "?x=query&q=1&q=";
    // without declared input parameters add to the body, they replace nothing in it
    assert_eq!(
        post(&format!("/default/path{query}")),
        expected(
            json!({"x": "query", "q": ["1", ""]}),
            json!({"x": "body", "z": 1, "q": ["1", ""]}),
            json!({"x": "query", "q": ["1", ""]})
        )
    );
    assert_eq!(
        post(&format!("/path/path{query}")),
        expected(
            json!({"x": "path"}),
            json!({"x": "body", "z": 1, "q": ["1", ""]}),
            json!({"x": "path", "q": ["1", ""]})
        )
    );
    assert_eq!(
        post(&format!("/apart/path{query}"))["input"],
        json!({"x": "body", "z": 1})
    );

    assert_eq!(post("/declared/path?y=query"), json!({"x": "path", "y": "query"}));
    assert_eq!(post("/declared-body/path?y=query"), json!({"x": "body", "y": "query"}));
    assert_eq!(post("/declared-apart/path?y=query"), json!({"x": "body", "y": ""}));
}

#[test]
fn odd_parameters_are_the_callers_to_choose() {
    let server = server()
        .service("options.py", SHOW)
        .channel("/show/{x}", "options.show")
        .channel("/many", "options.many")
        .start();
    let many = |count: usize| {
        (0..count)
            .map(|index| format!("p{index}={index}"))
            .collect::<Vec<_>>()
            .join("&")
    };
    assert_eq!(
        server.get(&format!("/many?{}", many(5_000))).expect(200).json(),
        json!({"count": 5_000, "input": 5_000})
    );
    // more than a head may hold
    assert!(matches!(
        server.get(&format!("/many?{}", many(10_000))).status,
        414 | 431
    ));
    // all that can stand in a path may stand for a name, encoded or not
    let show = server
        .get("/show/@+,;*!()$.-:|=~%5E%20%25%2F?x%20y=%ff&n")
        .expect(200)
        .json();
    assert_eq!(show["params"]["x"], "@+,;*!()$.-:|=~^ %/");
    assert_eq!(show["GET"], json!({"x y": "\u{fffd}", "n": ""}));
    for path in ["/show/%ff", "/show/%c3%28", "/show/%", "/show/%zz", "/show/%00"] {
        let response = server.get(path).expect(400);
        assert_eq!(response.json()["details"], "Malformed URL path", "{path}");
    }
    // what a client says of its charset is not believed; what it sends must be UTF-8
    let post = |charset: &str, body: &[u8]| {
        let request =
            Request::new("POST", "/show/1").header("Content-Type", &format!("application/json; charset={charset}"));
        server.send(&request.body(body))
    };
    for charset in ["utf-8", "klingon", "iso-8859-1", ""] {
        assert_eq!(
            post(charset, "{\"a\":\"é\"}".as_bytes()).expect(200).json()["input"]["a"],
            "é"
        );
    }
    assert_eq!(post("utf-16", b"\xff\xfe{\0}\0").status, 400);
}

#[test]
fn whoever_moves_here_is_told_of_channels_that_are_now_found_in_another_order() {
    let server = server()
        .service("ok.py", OK)
        .enmasse(
            "
channel_rest:
  - {name: b, url_path: '/o/{x}', service: ok.ok, data_format: json}
  - {name: c, url_path: '/o/static', service: ok.ok, data_format: json}
",
        )
        .start();
    server.wait_log(&["channel `c` is tried before channel `b`"]);
    let refused = server.import("channel_rest: [{name: d, url_path: '/o/{x}', service: ok.ok, data_format: json}]");
    assert_ne!(refused.code, 0);
    assert!(
        refused.stdout.contains("`/o/{x}`") || refused.stderr.contains("`/o/{x}`"),
        "{refused:?}"
    );
}
