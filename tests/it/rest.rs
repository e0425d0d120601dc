//! `self.rest`, models and callbacks of outgoing REST connections, uploads, adapters.

use busbar_testkit::{Answer, Backend};
use serde_json::json;

use crate::server;

const SERVICES: &str = "
from dataclasses import dataclass
from zato.server.service import RESTAdapter, Service

@dataclass
class Customer:
    name: str
    age: int = 0

class Rest(Service):
    def handle(self):
        crm = self.rest['My CRM']
        for item in crm, self.rest.My_CRM, self.rest['$CRM_NAME'], self.rest.get('My CRM'):
            assert item.get(self.cid, {'id': 1}).data['name'] == 'Anna', item
        assert crm.get(params={'id': 1}).data['cid'] == self.cid
        assert crm.conn.post({'a': 1}).data['body'] == '{\"a\":1}'
        assert self.rest.get('No') is None and 'No' not in self.rest and 'My CRM' in self.rest
        for wrong in (lambda: self.rest['No'], lambda: self.rest.No, lambda: self.rest['$NO_SUCH']):
            try: wrong()
            except KeyError: pass
            else: assert False

        assert crm.get(model=Customer).data == Customer('Anna', 7)
        assert crm.get({'many': 1}, model=list[Customer]).data == [Customer('Anna', 7), Customer('Bob', 8)]
        assert crm.get(callback=lambda data: data['name'].upper()).data == 'ANNA'
        assert crm.get({'status': 500}, model=Customer).status_code == 500

        call = crm.conn.rest_call
        assert call(cid=self.cid, data='', method='GET', model=Customer, callback=self.named) == ('Anna', self.cid)
        assert call(method='POST', data={'x': 1})['body'] == '{\"x\":1}'
        assert self.rest['Gone'].rest_call(method='GET') is None
        try: call(method='GET', params={'status': 500})
        except Exception as e: assert 'Anna' in str(e)
        else: assert False

        with open('report.txt', 'w') as f:
            f.write('line')
        sent = crm.upload(self.cid, 'report.txt', 'file', mime_type='text/csv').data
        assert 'name=\"file\"; filename=\"report.txt\"' in sent['body'] and 'Content-Type: text/csv' in sent['body'], sent
        assert '\\r\\n\\r\\nline\\r\\n--' in sent['body'] and sent['type'].startswith('multipart/form-data; boundary=')
        try: crm.upload('no-such-file')
        except FileNotFoundError: pass
        else: assert False
        self.response.payload = 'fine'

    def named(self, data, *, cid, id, model, callback):
        assert id is None and model is Customer and callback
        return data.name, cid

class Adapter(RESTAdapter):
    conn_name = 'My CRM'
    method = 'POST'
    has_json_id = True
    has_query_string_id = True
    query_string_id_param = 'customer'
    class SimpleIO:
        input = 'id'
    def get_headers(self):
        return {'X-Mine': 'yes'}
    def get_auth_bearer(self):
        return 'token'
    def get_request(self):
        return {'a': 1}
    def get_query_string(self, params):
        return {'more': params['customer']}
    def map_response(self, data, **kwargs):
        return {key: data[key] for key in ('method', 'target', 'body', 'mine', 'auth')}
";

fn back_end() -> Backend {
    Backend::new(|request| {
        let mut body = json!({
            "name": "Anna", "age": 7, "cid": request.header("x-zato-cid"), "body": request.text(), "method": request.method,
            "target": request.target, "type": request.header("content-type"), "mine": request.header("x-mine"),
            "auth": request.header("authorization"),
        });
        if request.target.contains("many") {
            body = json!([body, {"name": "Bob", "age": 8}]);
        }
        let status = if request.target.contains("status=500") {
            500
        } else {
            200
        };
        Answer::respond(
            status,
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )
    })
}

#[test]
fn connections_are_called_in_every_way() {
    let backend = back_end();
    let gone = busbar_testkit::backend::Refusing::new();
    let server = server()
        .variable("CRM_NAME", "My CRM")
        .service("rest.py", SERVICES)
        .outgoing("My CRM", &backend.url(), "/")
        .outgoing("Gone", &gone.url(), "/")
        .start();
    assert_eq!(server.invoke("rest.rest", "").expect(200).text(), "fine");
    assert_eq!(
        server.invoke("rest.adapter", r#"{"id": 5}"#).expect(200).json(),
        json!({"method": "POST", "target": "/?customer=5&more=5", "body": "{\"a\":1,\"id\":5}", "mine": "yes", "auth": "Bearer token"})
    );
}
