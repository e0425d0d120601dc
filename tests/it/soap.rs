//! SOAP channels: one service answers them as it answers JSON.

use busbar_testkit::{Request, Response, TestServer};

use crate::server;

const SERVICES: &str = "
from zato.common.exception import Conflict, Forbidden
from zato.server.service import Service

class Pay(Service):
    class SimpleIO:
        input_required = 'user_id', 'note'
        output_required = 'user_id', 'note'
        response_elem = 'pay_response'
        namespace = 'urn:pay'
    def handle(self):
        self.response.payload = {'user_id': self.request.input.user_id + 1, 'note': self.request.input.note}

class Show(Service):
    def handle(self):
        payload = self.request.payload
        if payload == '':
            self.response.payload = 'nothing < of it'
        else:
            self.response.payload = '<shown>%s %s %s %s</shown>' % (
                payload.tag, payload.name, self.transport, self.request.raw_request.startswith(b'<s:Envelope'))

class Fail(Service):
    def handle(self):
        kind = str(self.request.payload)
        if kind == 'conflict':
            raise Conflict(self.cid, 'no ]]> way')
        elif kind == 'forbidden':
            raise Forbidden(self.cid, 'not you')
        raise Exception('broken')
";

const CHANNELS: &str = "
channel_soap:
  - {name: pay, url_path: /soap, soap_action: 'urn:pay', service: soap.pay}
  - {name: show, url_path: /soap, soap_action: 'urn:show', service: soap.show}
  - {name: fail, url_path: /soap, soap_action: 'urn:fail', service: soap.fail}
  - {name: pay12, url_path: /soap12, soap_version: '1.2', service: soap.pay}
  - {name: fail12, url_path: /soap12/fail, soap_version: '1.2', service: soap.fail}
";

fn start() -> TestServer {
    server().service("soap.py", SERVICES).enmasse(CHANNELS).start()
}

fn envelope(namespace: &str, inner: &str) -> String {
    format!("<s:Envelope xmlns:s=\"{namespace}\">{inner}</s:Envelope>")
}

const NS11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const NS12: &str = "http://www.w3.org/2003/05/soap-envelope";

fn call(server: &TestServer, path: &str, action: &str, body: &str) -> Response {
    let request = Request::new("POST", path)
        .header("Content-Type", "text/xml; charset=utf-8")
        .header("SOAPAction", action)
        .body(body);
    server.send(&request)
}

fn fault11(code: &str, response: &Response, message: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{NS11}\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
         <SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:{code}</faultcode>\
         <faultstring><![CDATA[cid [{}], faultstring [{message}]]]></faultstring>\
         </SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>",
        response.cid()
    )
}

#[test]
fn input_comes_out_of_the_body_and_output_goes_into_an_envelope() {
    let server = start();
    let body = envelope(
        NS11,
        "<s:Header/><s:Body><p:pay xmlns:p='urn:x'><p:user_id>6</p:user_id><p:note>ż</p:note></p:pay></s:Body>",
    );
    for (path, action, namespace, content_type) in [
        ("/soap", "\"urn:pay\"", NS11, "text/xml; charset=UTF-8"),
        ("/soap12", "", NS12, "application/soap+xml; charset=utf-8"),
    ] {
        let response = call(&server, path, action, &body.replace(NS11, namespace)).expect(200);
        assert_eq!(response.header("content-type"), Some(content_type));
        let expected = format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<soap:Envelope xmlns:soap=\"{namespace}\" \
             xmlns=\"https://zato.io/ns/20130518\"><soap:Body><pay_response xmlns=\"urn:pay\"><zato_env><cid>{}</cid>\
             <result>ZATO_OK</result></zato_env><item><note>ż</note><user_id>7</user_id></item></pay_response>\
             </soap:Body></soap:Envelope>",
            response.cid()
        );
        assert_eq!(response.text(), expected);
    }
}

#[test]
fn the_payload_is_the_first_child_of_the_body_and_text_is_enveloped() {
    let server = start();
    let around = |content: &str| {
        format!(
            "<?xml version='1.0' encoding='UTF-8'?>\n<soap:Envelope xmlns:soap=\"{NS11}\" \
             xmlns=\"https://zato.io/ns/20130518\"><soap:Body>{content}</soap:Body></soap:Envelope>"
        )
    };
    let body = envelope(NS11, "<s:Body><!-- c --><q><name>Ann</name></q><other/></s:Body>");
    let response = call(&server, "/soap", "'urn:show'", &body).expect(200);
    assert_eq!(response.text(), around("<shown>q Ann soap True</shown>"));
    let response = call(&server, "/soap", "urn:show", &envelope(NS11, "<s:Body/>")).expect(200);
    assert_eq!(response.text(), around("nothing &lt; of it"));
}

#[test]
fn what_is_wrong_with_an_envelope_is_a_fault_with_the_right_code() {
    let server = start();
    for (body, code, message) in [
        (
            envelope(NS12, "<s:Body/>"),
            "VersionMismatch",
            "The envelope is not one of SOAP 1.1, which is spoken here",
        ),
        (
            envelope("urn:x", "<s:Body/>"),
            "VersionMismatch",
            "The envelope is not one of SOAP 1.1, which is spoken here",
        ),
        (
            envelope(
                NS11,
                "<s:Header><t:tx xmlns:t='urn:t' s:mustUnderstand='1'/></s:Header><s:Body/>",
            ),
            "MustUnderstand",
            "The header `tx` is not understood",
        ),
        (envelope(NS11, ""), "Client", "The SOAP envelope has no Body"),
        ("<a/>".to_owned(), "Client", "A SOAP envelope is expected, not `a`"),
        (
            String::new(),
            "Client",
            "The request is empty; a SOAP envelope is expected",
        ),
        (
            format!(
                "<!DOCTYPE a [<!ENTITY x 'y'>]>{}",
                envelope(NS11, "<s:Body>&x;</s:Body>")
            ),
            "Client",
            "invalid XML: a document type declaration is not accepted",
        ),
        (
            envelope(NS11, "<s:Body><pay><note/></pay></s:Body>"),
            "Client",
            "Element missing: user_id",
        ),
    ] {
        let response = call(&server, "/soap", "urn:pay", &body).expect(500);
        assert_eq!(response.header("content-type"), Some("text/xml; charset=utf-8"));
        assert_eq!(response.text(), fault11(code, &response, message));
    }
    // what 1.2 makes of it
    let response = call(&server, "/soap12", "", &envelope(NS12, "<s:Body/>")).expect(400);
    let expected = format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<env:Envelope xmlns:env=\"{NS12}\"><env:Body><env:Fault><env:Code>\
         <env:Value>env:Sender</env:Value></env:Code><env:Reason><env:Text xml:lang=\"en\">cid [{}], faultstring \
         [Element missing: note]</env:Text></env:Reason></env:Fault></env:Body></env:Envelope>",
        response.cid()
    );
    assert_eq!(response.text(), expected);
    assert_eq!(
        response.header("content-type"),
        Some("application/soap+xml; charset=utf-8")
    );
    let response = call(&server, "/soap12", "", &envelope(NS11, "<s:Body/>")).expect(500);
    assert!(response.text().contains("env:VersionMismatch"), "{}", response.text());
}

#[test]
fn what_a_service_raises_is_a_fault() {
    let server = start();
    let fail = |kind: &str| {
        call(
            &server,
            "/soap",
            "urn:fail",
            &envelope(NS11, &format!("<s:Body><k>{kind}</k></s:Body>")),
        )
    };
    let response = fail("conflict").expect(500);
    assert_eq!(response.text(), fault11("Client", &response, "no ]]]]><![CDATA[> way"));
    let response = fail("forbidden").expect(403);
    assert_eq!(response.text(), fault11("Client", &response, "not you"));
    let response = fail("else").expect(500);
    assert_eq!(response.text(), fault11("Server", &response, "An error has occurred"));
    let response = call(
        &server,
        "/soap12/fail",
        "",
        &envelope(NS12, "<s:Body><k>conflict</k></s:Body>"),
    )
    .expect(409);
    assert!(response.text().contains("<env:Value>env:Sender</env:Value>"));
}

#[test]
fn an_action_that_no_channel_has_is_404() {
    let server = start();
    let body = envelope(NS11, "<s:Body><pay/></s:Body>");
    for action in ["urn:none", "", "\"\""] {
        let response = call(&server, "/soap", action, &body).expect(404);
        assert_eq!(response.text(), format!("URL not found (CID:{})", response.cid()));
    }
    server.post("/soap", body).expect(404);
    // the same path and action twice cannot be
    let refused =
        server.import("channel_soap: [{name: twin, url_path: /soap, soap_action: 'urn:pay', service: soap.pay}]");
    assert_ne!(refused.code, 0, "{refused:?}");
}

#[test]
fn an_answer_relates_to_the_request_that_is_addressed() {
    let server = start();
    let namespace = "http://www.w3.org/2005/08/addressing";
    let ask = |action: &str, headers: &str| {
        let body = format!(
            "<s:Header xmlns:a='{namespace}'><a:MessageID s:mustUnderstand='1'>urn:1</a:MessageID><a:Action>{action}</a:Action>{headers}\
             </s:Header><s:Body><q><name>Ann</name></q></s:Body>"
        );
        call(&server, "/soap", action, &envelope(NS11, &body))
    };
    let header = |name: &str, value: &str| format!("<wsa:{name} xmlns:wsa=\"{namespace}\">{value}</wsa:{name}>");
    for (action, status, answers) in [
        ("urn:show", 200, "urn:showResponse"),
        ("urn:fail", 500, "http://www.w3.org/2005/08/addressing/soap/fault"),
    ] {
        let response = ask(action, "").expect(status);
        let headers = format!(
            "Header>{}{}{}</",
            header("Action", answers),
            header("MessageID", &format!("urn:cid:{}", response.cid())),
            header("RelatesTo", "urn:1")
        );
        assert!(response.text().contains(&headers), "{}", response.text());
    }
    let elsewhere = "<a:ReplyTo><a:Address>http://elsewhere</a:Address></a:ReplyTo>";
    let refused = ask("urn:show", elsewhere).expect(500);
    assert!(refused.text().contains("leave `ReplyTo` out"), "{}", refused.text());
}

#[test]
fn what_is_attached_is_where_it_is_included() {
    let server = server()
        .service(
            "photo.py",
            "
from base64 import b64decode
from zato.server.service import Service

class Photo(Service):
    def handle(self):
        self.response.payload = '<size>%d</size>' % len(b64decode(str(self.request.payload.photo)))
",
        )
        .enmasse("channel_soap: [{name: photo, url_path: /photo, service: photo.photo}]")
        .start();
    let send = |part: &str| {
        let root = envelope(
            NS11,
            "<s:Body><q><photo><Include xmlns='http://www.w3.org/2004/08/xop/include' href='cid:p@b'/></photo></q></s:Body>",
        );
        let mut body = format!(
            "--XX\r\nContent-Type: application/xop+xml; charset=UTF-8; type=\"text/xml\"\r\nContent-ID: <root@b>\r\n\r\n{root}\r\n\
             --XX\r\nContent-Type: image/png\r\nContent-ID: <{part}>\r\n\r\n"
        )
        .into_bytes();
        body.extend(vec![0xff; 100_000]);
        body.extend(b"\r\n--XX--\r\n");
        let content_type =
            "multipart/related; boundary=XX; type=\"application/xop+xml\"; start=\"<root@b>\"; start-info=\"text/xml\"";
        server.send(
            &Request::new("POST", "/photo")
                .header("Content-Type", content_type)
                .body(body),
        )
    };
    let text = send("p@b").expect(200).text().to_owned();
    assert!(text.contains("<size>100000</size>"), "{text}");
    let refused = send("other").expect(500);
    assert!(refused.text().contains("SOAP-ENV:Client"), "{}", refused.text());
    assert!(
        refused.text().contains("the part `p@b`, which is not there"),
        "{}",
        refused.text()
    );
}
