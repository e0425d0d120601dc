//! `self.outgoing.soap`: envelopes around what is sent, what is in those that come back, and clients made from a WSDL.

use busbar_testkit::{Answer, Backend};

use crate::server;

const SERVICE: &str = "
from lxml import etree
from zato.server.service import Service

class Send(Service):
    def handle(self):
        for name, content_type, namespace in (
            ('V11', 'text/xml; charset=utf-8', 'http://schemas.xmlsoap.org/soap/envelope/'),
            ('V12', 'application/soap+xml; charset=utf-8', 'http://www.w3.org/2003/05/soap-envelope'),
        ):
            conn = self.outgoing.soap.get(name).conn
            data = conn.send(self.cid, '<a>żółw</a>').data
            assert data.tag == 'seen', data.tag
            assert data.type == content_type and data.action == '\"urn:get\"', (data.type, data.action)
            sent = etree.fromstring(data.body.text.encode())
            assert sent.tag == '{%s}Envelope' % namespace
            assert sent[0].tag == '{%s}Body' % namespace and sent[0][0].text == 'żółw'
            whole = '<?xml version=\"1.0\"?><S:Envelope xmlns:S=\"%s\"><S:Body><b/></S:Body></S:Envelope>' % namespace
            for given in whole, whole.encode(), etree.fromstring(whole):
                assert conn.send(given).data.body.text.count('Envelope') == 2
            data = conn.send(self.cid, b'<a/>', headers={'SOAPAction': 'other'}).data
            assert data.action == 'other'
            response = conn.send(self.cid, b'<a/>', {'SOAPAction': 'third'})
            assert response.data.action == 'third' and '?' not in response.url, response.url
            assert conn.send(self.cid, etree.fromstring('<a/>')).ok
        assert self.outgoing.soap.get('Rest') is None and 'V11' not in self.outgoing.plain_http
        assert self.out.soap.keys() == ['Shop', 'V11', 'V12'] and self.out.rest.keys() == ['Rest']
        try: self.out.rest['Rest'].conn.client()
        except AttributeError as e: assert 'SOAP' in str(e)
        else: assert False
        self.response.payload = 'fine'

class Client(Service):
    def handle(self):
        for _ in range(2):
            with self.outgoing.soap['Shop'].conn.client() as client:
                order = client.factory.create('ns0:Order')
                order.item = 'tea'
                order.count = 2
                assert client.service.Price(order) == 5
        try: client.factory.create('NoSuch')
        except LookupError as e: assert 'NoSuch' in str(e)
        else: assert False
        self.response.payload = 'fine'
";

const WSDL: &str = r#"<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:shop" targetNamespace="urn:shop">
  <types><xsd:schema targetNamespace="urn:shop" elementFormDefault="qualified">
    <xsd:complexType name="Order"><xsd:sequence>
      <xsd:element name="item" type="xsd:string"/><xsd:element name="count" type="xsd:int"/>
    </xsd:sequence></xsd:complexType>
    <xsd:element name="Price"><xsd:complexType><xsd:sequence><xsd:element name="order" type="t:Order"/></xsd:sequence></xsd:complexType></xsd:element>
    <xsd:element name="PriceResponse"><xsd:complexType><xsd:sequence><xsd:element name="total" type="xsd:int"/></xsd:sequence></xsd:complexType></xsd:element>
  </xsd:schema></types>
  <message name="In"><part name="parameters" element="t:Price"/></message>
  <message name="Out"><part name="parameters" element="t:PriceResponse"/></message>
  <portType name="Shop"><operation name="Price"><input message="t:In"/><output message="t:Out"/></operation></portType>
  <binding name="Shop" type="t:Shop"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="Price"><soap:operation soapAction="urn:price"/>
      <input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation></binding>
  <service name="Shop"><port name="Shop" binding="t:Shop"><soap:address location="HERE/shop"/></port></service>
</definitions>"#;

/// Tells, in an envelope, what it got; answers `Price` as the WSDL says.
fn peer() -> Backend {
    Backend::new(|request| {
        let host = request.header("host").unwrap_or_default();
        if request.method == "GET" {
            return Answer::text("text/xml", &WSDL.replace("HERE", &format!("http://{host}")));
        }
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
        let header = |name: &str| escape(request.header(name).unwrap_or_default());
        let content = if request.target == "/shop" {
            assert!(request.text().contains("tea"), "{}", request.text());
            r#"<p:PriceResponse xmlns:p="urn:shop"><p:total>5</p:total></p:PriceResponse>"#.to_owned()
        } else {
            format!(
                "<seen><type>{}</type><action>{}</action><body>{}</body></seen>",
                header("content-type"),
                header("soapaction"),
                escape(&request.text())
            )
        };
        let body = format!(
            r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body>{content}</s:Body></s:Envelope>"#
        );
        Answer::text("text/xml; charset=utf-8", &body)
    })
}

#[test]
fn envelopes_are_put_around_and_clients_are_made() {
    let backend = peer();
    let url = backend.url();
    let server = server()
        .service("soap.py", SERVICE)
        .enmasse(&format!(
            "outconn_soap:
  - {{name: V11, host: '{url}', url_path: /, soap_action: 'urn:get', soap_version: '1.1'}}
  - {{name: Shop, host: '{url}', url_path: '/shop?wsdl'}}
outgoing_soap:
  - {{name: V12, host: '{url}', url_path: /, soap_action: '\"urn:get\"', soap_version: '1.2'}}
outgoing_rest:
  - {{name: Rest, host: '{url}', url_path: /, transport: plain_http}}
"
        ))
        .start();
    assert_eq!(server.invoke("soap.send", "").expect(200).text(), "fine");
    assert_eq!(server.invoke("soap.client", "").expect(200).text(), "fine");
    assert_eq!(
        backend.received().iter().filter(|it| it.method == "GET").count(),
        1,
        "the WSDL is read once"
    );
}
