"""The client against a small HTTP server: what it sends, and how it reads the answers that servers of all versions give
(management.md 3, 4).
"""

import base64
import datetime as dt
import decimal
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import tomllib
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import requests

import zato.client
from busbar import client as package
from busbar.client import (
    AnyServiceInvoker,
    APIClient,
    JSONClient,
    JSONSIOClient,
    RawDataClient,
    SOAPClient,
    SOAPSIOClient,
    XMLClient,
    ZatoClient,
    connection,
    get_client_from_server_conf,
)

ROOT = Path(__file__).resolve().parent.parent.parent
CID = 'K05F41RMYLPF2A95E8CFR77PT3QX8BE8'


@dataclass
class Peer:
    """A server that gives the answer it is told to."""

    address: str = ''
    status: int = 200
    body: bytes = b'{}'
    headers: dict[str, str] = field(default_factory=lambda: {'X-Zato-CID': CID})
    seen: list = field(default_factory=list)

    def answer(self, body, status=200, headers=None):
        self.body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.status = status
        self.headers = {'X-Zato-CID': CID} if headers is None else headers

    @property
    def request(self):
        """The only request."""
        (request,) = self.seen
        return request


@dataclass
class Seen:
    """One request."""

    method: str
    path: str
    headers: dict
    body: bytes


@pytest.fixture
def peer():
    peer = Peer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def serve(self):
            # once: the test sets the next answer as soon as it has this one
            answer = peer.body
            body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
            peer.seen.append(Seen(self.command, self.path, self.headers, body))
            self.send_response(peer.status)
            for name, value in peer.headers.items():
                self.send_header(name, value)
            self.send_header('Content-Length', str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

        def log_message(self, *_args):
            """Says nothing."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    peer.address = f'http://127.0.0.1:{server.server_port}'
    yield peer
    server.shutdown()
    thread.join()
    server.server_close()


def encoded(value):
    return base64.b64encode((value if isinstance(value, str) else json.dumps(value)).encode()).decode()


def enveloped(**rest):
    return {**rest, 'zato_env': {'result': 'ZATO_OK', 'cid': 'K0', 'details': ''}}


ERROR = {'zato_env': {'result': 'ZATO_ERROR', 'cid': 'K0', 'details': 'No such service `nope`'}}
# what 3.2 says of errors
ERROR_3 = {'result': 'Error', 'cid': 'K0', 'details': 'Element missing: name'}


class TestAnyServiceInvoker:
    @pytest.fixture
    def client(self, peer):
        with AnyServiceInvoker(peer.address, '/zato/admin/invoke', ('admin.invoke', 's3cret')) as client:
            yield client

    def test_sends_what_clients_of_3_2_send(self, peer, client):
        client.invoke('zato.ping', {'a': 1})
        assert peer.request.method == 'POST'
        assert peer.request.path == '/zato/admin/invoke'
        assert peer.request.headers['Authorization'] == 'Basic ' + encoded('admin.invoke:s3cret')
        assert 'Content-Type' not in peer.request.headers
        assert peer.request.body == (
            b'{"name": "zato.ping", "payload": "eyJhIjogMX0=", "channel": "invoke", "data_format": "json", '
            b'"transport": null, "is_async": false, "expiration": 15, "pid": null, "all_pids": false, "timeout": null, '
            b'"skip_response_elem": true}'
        )

    def test_no_payload_is_an_empty_text_in_json(self, peer, client):
        client.invoke('zato.ping')
        assert json.loads(peer.request.body)['payload'] == 'IiI='

    def test_every_argument_is_sent(self, peer, client):
        client.invoke(
            payload='<a/>',
            headers={'X-Mine': '1'},
            channel='c',
            data_format='xml',
            transport='soap',
            is_async=True,
            expiration=3,
            id=7,
            pid=11,
            all_pids=True,
            timeout=5,
            skip_response_elem=False,
        )
        assert peer.request.headers['X-Mine'] == '1'
        assert json.loads(peer.request.body) == {
            'id': 7,
            'payload': encoded('<a/>'),
            'channel': 'c',
            'data_format': 'xml',
            'transport': 'soap',
            'is_async': True,
            'expiration': 3,
            'pid': 11,
            'all_pids': True,
            'timeout': 5,
            'skip_response_elem': False,
        }

    def test_payloads_that_are_json_already(self, peer, client):
        client.invoke('a', '{"b": 1}', to_json=False)
        client.invoke('a', b'\xff', to_json=False)
        payloads = [json.loads(request.body)['payload'] for request in peer.seen]
        assert [base64.b64decode(payload) for payload in payloads] == [b'{"b": 1}', b'\xff']

    def test_dates_and_other_values(self, peer, client):
        payload = {
            'at': dt.datetime(2026, 5, 1, 10, 30),
            'on': dt.date(2026, 5, 1),
            'tags': {'a'},
            'price': decimal.Decimal('1.10'),
            'id': uuid.UUID(int=1),
            'raw': b'abc',
        }
        client.invoke('a', payload)
        assert json.loads(base64.b64decode(json.loads(peer.request.body)['payload'])) == {
            'at': '2026-05-01T10:30:00',
            'on': '2026-05-01',
            'tags': ['a'],
            'price': '1.10',
            'id': '00000000-0000-0000-0000-000000000001',
            'raw': 'abc',
        }
        with pytest.raises(TypeError, match='type `object` cannot be sent as JSON'):
            client.invoke('a', {'b': object()})

    @pytest.mark.parametrize(
        'body',
        [
            enveloped(response=encoded({'pong': 'zato'})),
            enveloped(zato_service_invoke_response={'response': encoded({'zato_ping_response': {'pong': 'zato'}})}),
        ],
    )
    def test_reads_both_shapes(self, peer, client, body):
        peer.answer(body)
        response = client.invoke('zato.ping')
        assert (response.ok, response.data, response.has_data) == (True, {'pong': 'zato'}, True)
        assert (response.sio_result, response.details, response.meta) == ('ZATO_OK', '', {})

    def test_a_page_of_a_list(self, peer, client):
        meta = {'page_size': 50, 'num_pages': 1, 'cur_page': 1, 'total': 1}
        page = {'zato_service_get_list_response': [{'id': 1}], '_meta': meta}
        peer.answer(enveloped(response=encoded(page)))
        response = client.invoke('zato.service.get-list', {'paginate': True})
        assert (response.data, response.meta) == (page, meta)

    @pytest.mark.parametrize('body', [enveloped(response=''), enveloped(), enveloped(response=encoded(''))])
    def test_an_empty_list_is_one(self, peer, client, body):
        peer.answer(body)
        assert client.invoke('zato.service.get-list').data == []
        assert not client.invoke('zato.service.get-list').has_data
        assert client.invoke('crm.customers', output_repeated=True).data == []
        assert not client.invoke('crm.customers').has_data
        assert client.invoke('zato.service.get-list', output_repeated=False).data != []

    def test_text_stays_text(self, peer, client):
        peer.answer(enveloped(response=encoded('hello, world')))
        assert client.invoke('a').data == 'hello, world'
        peer.answer(enveloped(response=encoded('<n>1</n>')))
        assert client.invoke('a', '<a/>', data_format='xml').data == '<n>1</n>'
        peer.answer(enveloped(response=base64.b64encode(b'\xff\xfe').decode()))
        assert client.invoke('a').data == b'\xff\xfe'

    def test_several_keys_are_kept(self, peer, client):
        peer.answer(enveloped(response=encoded({'zato_a': 1, 'b': 2})))
        assert client.invoke('a').data == {'zato_a': 1, 'b': 2}
        peer.answer(enveloped(response=encoded({'response': {'b': 2}})))
        assert client.invoke('a').data == {'response': {'b': 2}}

    def test_without_waiting(self, peer, client):
        # digits only: it is text all the same
        peer.answer(enveloped(response=encoded('123456789012345678901234')))
        answers = [
            client.invoke_async('a', {'b': 1}),
            client.invoke_async('a', {'b': 1}, None, 'invoke', 'json', None, 30),
            client.invoke('a', {'b': 1}, is_async=True),
            client.invoke('a', {'b': 1}, **{'async': True}),
        ]
        assert [answer.data for answer in answers] == ['123456789012345678901234'] * 4
        requests_ = [json.loads(request.body) for request in peer.seen]
        assert [request['is_async'] for request in requests_] == [True] * 4
        assert [request['expiration'] for request in requests_] == [15, 30, 15, 15]
        assert 'async' not in requests_[3]

    def test_errors_do_not_raise(self, peer, client):
        peer.answer(ERROR, 500)
        response = client.invoke('nope')
        assert (response.ok, response.sio_result, response.has_data) == (False, 'ZATO_ERROR', False)
        assert response.details == 'No such service `nope`'
        peer.answer(ERROR_3, 400)
        response = client.invoke('a')
        assert not response.ok
        assert 'Element missing: name' in response.details
        peer.answer(f'URL not found (CID:{CID})', 404)
        response = client.invoke('a')
        assert (response.ok, response.details) == (False, f'URL not found (CID:{CID})')

    def test_broken_answers_do(self, peer, client):
        peer.answer('{"response": ')
        with pytest.raises(ValueError, match='the answer is not JSON'):
            client.invoke('a')
        peer.answer(enveloped(response={'a': 1}))
        with pytest.raises(ValueError, match='the answer is not in base64'):
            client.invoke('a')

    def test_unknown_arguments_are_refused(self, client):
        with pytest.raises(TypeError, match='has no argument `expire`'):
            client.invoke('a', expire=3)

    def test_cid(self, peer, client):
        peer.answer(enveloped(response=''))
        assert client.invoke('a').cid == CID
        peer.answer(enveloped(response=''), headers={})
        assert client.invoke('a').cid == 'K0'
        peer.answer(ERROR_3, 400, headers={})
        assert client.invoke('a').cid == '(None)'

    def test_with_dots(self, peer):
        peer.answer(enveloped(response=encoded({'user': {'name': 'Ann'}})))
        client = AnyServiceInvoker(peer.address, to_bunch=True)
        assert client.invoke('a').data.user.name == 'Ann'
        assert peer.request.path == '/zato/admin/invoke'

    def test_shown_briefly(self, peer):
        peer.answer(enveloped(response=encoded('x' * 100)))
        client = ZatoClient(peer.address, max_response_repr=5, max_cid_repr=3)
        assert repr(client.invoke('a')) == "<ServiceInvokeResponse ok:True status:200 cid:K05..BE8 'xxxx>"


class TestJSONClient:
    def test_the_whole_body(self, peer):
        peer.answer({'a': [1]})
        response = JSONClient(peer.address, '/crm').invoke({'b': 'ü'}, {'X-A': '1'})
        assert (response.ok, response.data, response.details, response.has_data) == (True, {'a': [1]}, None, True)
        assert (peer.request.path, peer.request.headers['X-A']) == ('/crm', '1')
        assert json.loads(peer.request.body) == {'b': 'ü'}

    def test_json_as_it_is(self, peer):
        JSONClient(peer.address, '/crm').invoke('{"a":1}', to_json=False)
        assert peer.request.body == b'{"a":1}'

    def test_statuses(self, peer):
        client = JSONClient(peer.address, '/crm')
        peer.answer(ERROR_3, 399)
        assert client.invoke().ok
        peer.answer(ERROR_3, 400)
        response = client.invoke()
        assert (response.ok, response.data) == (False, ERROR_3)
        peer.answer('gateway is down', 502)
        response = client.invoke()
        assert (response.ok, response.data, response.details) == (False, None, 'gateway is down')
        peer.answer('')
        response = client.invoke()
        assert (response.ok, response.has_data) == (True, False)
        peer.answer('nonsense')
        with pytest.raises(ValueError, match="'nonsense'"):
            client.invoke()


class TestJSONSIOClient:
    def test_in_an_envelope(self, peer):
        client = JSONSIOClient(peer.address, '/zato/json/zato.scheduler.job.create')
        peer.answer(enveloped(zato_scheduler_job_create_response={'id': 17, 'name': 'night.report'}))
        response = client.invoke({'name': 'night.report'})
        assert (response.ok, response.data) == (True, {'id': 17, 'name': 'night.report'})
        peer.answer(enveloped())
        response = client.invoke()
        assert (response.ok, response.data, response.has_data) == (True, None, False)
        peer.answer(ERROR)
        response = client.invoke()
        assert (response.ok, response.details) == (False, 'No such service `nope`')

    def test_in_none(self, peer):
        client = JSONSIOClient(peer.address, '/crm')
        peer.answer({'a': 1})
        response = client.invoke()
        assert (response.ok, response.data, response.details, response.sio_result) == (True, {'a': 1}, '{"a": 1}', '')
        peer.answer(ERROR_3, 400)
        response = client.invoke()
        assert (response.ok, response.data) == (False, ERROR_3)
        assert json.loads(response.details) == ERROR_3


SOAP = """<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns="https://zato.io/ns/20130518"><soap:Body>
 <zato_ping_response xmlns="https://zato.io/ns/20130518">
  <zato_env><cid>K05</cid><result>{result}</result></zato_env>
  <item><pong>zato</pong></item>
 </zato_ping_response></soap:Body></soap:Envelope>"""
FAULT = """<?xml version='1.0' encoding='UTF-8'?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/"><SOAP-ENV:Body><SOAP-ENV:Fault>
<faultcode>SOAP-ENV:Client</faultcode><faultstring><![CDATA[cid [K05], faultstring [no such service]]]></faultstring>
</SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"""


class TestSOAP:
    def test_in_an_envelope_of_its_own(self, peer):
        client = SOAPSIOClient(peer.address, '/zato/soap')
        peer.answer('<?xml version="1.0" encoding="UTF-8"?>\n' + SOAP.format(result='ZATO_OK'), headers={})
        response = client.invoke('zato.ping', '<x/>', {'X-A': '1'})
        assert (peer.request.headers['SOAPAction'], peer.request.headers['X-A']) == ('zato.ping', '1')
        assert peer.request.body == b'<x/>'
        assert (response.ok, response.sio_result, response.cid) == (True, 'ZATO_OK', 'K05')
        assert response.data.item.pong == 'zato'
        peer.answer(SOAP.format(result='ZATO_ERROR'))
        assert not client.invoke('zato.ping').ok
        peer.answer('<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body/></e:Envelope>')
        assert not client.invoke('zato.ping').ok

    @pytest.mark.parametrize('kind', [SOAPClient, SOAPSIOClient])
    @pytest.mark.parametrize('status', [200, 500])
    def test_faults(self, peer, kind, status):
        peer.answer(FAULT, status)
        response = kind(peer.address, '/zato/soap').invoke('nope')
        assert (response.ok, response.has_data) == (False, False)
        assert 'no such service' in response.details.find('faultstring').text

    def test_any_envelope(self, peer):
        client = SOAPClient(peer.address, '/soap')
        peer.answer(
            '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">'
            '<e:Body><!-- --><a><b>1</b></a></e:Body></e:Envelope>'
        )
        response = client.invoke('', '<x/>')
        assert (response.ok, response.data.b) == (True, 1)
        peer.answer('no such action', 404)
        response = client.invoke('')
        assert (response.ok, response.details) == (False, 'no such action')
        peer.answer('<a/>')
        with pytest.raises(ValueError, match='not a SOAP envelope'):
            client.invoke('')


def test_xml(peer):
    client = XMLClient(peer.address, '/xml')
    peer.answer("<?xml version='1.0' encoding='UTF-8'?><a><b>ü</b><b>2</b></a>")
    response = client.invoke('<x/>')
    assert (response.ok, [str(b) for b in response.data.b]) == (True, ['ü', '2'])
    peer.answer('<error/>', 500)
    response = client.invoke('<x/>')
    assert (response.ok, response.data.tag, response.details) == (False, 'error', '<error/>')
    peer.answer('<a>')
    with pytest.raises(ValueError, match='the answer is not XML'):
        client.invoke('<x/>')


def test_xml_names_no_files(peer, tmp_path):
    (tmp_path / 'secret').write_text('s3cret')
    peer.answer(f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]><a>&e;</a>')
    assert 's3cret' not in str(XMLClient(peer.address, '/').invoke('').data)


def test_raw_data(peer):
    client = RawDataClient(peer.address, '/raw')
    peer.answer('grüße')
    response = client.invoke('hallo')
    assert (response.ok, response.data, peer.request.body) == (True, 'grüße', b'hallo')
    peer.answer('no', 500)
    response = client.invoke(b'\xff')
    assert (response.ok, response.data, response.details) == (False, 'no', 'no')


class TestAPIClient:
    @pytest.mark.parametrize('method', ['get', 'post', 'put', 'patch', 'delete', 'invoke'])
    def test_any_method(self, peer, method):
        peer.answer({'a': 1})
        client = APIClient(peer.address, 'user', 'pass')
        response = getattr(client, method)('crm.get-customer', {'id': 1}, {'X-A': '1'})
        assert (response.is_ok, response.data, response.cid, response.details) == (True, {'a': 1}, CID, None)
        assert peer.request.method == ('POST' if method == 'invoke' else method.upper())
        assert peer.request.path == '/zato/api/invoke/crm.get-customer'
        assert peer.request.headers['Authorization'] == 'Basic ' + encoded('user:pass')
        assert (json.loads(peer.request.body), peer.request.headers['X-A']) == ({'id': 1}, '1')

    def test_names_are_quoted(self, peer):
        response = APIClient(peer.address, 'user', 'pass', '/call/{}/now').get('a/b?c')
        assert (response.is_ok, peer.request.path, peer.request.body) == (True, '/call/a%2Fb%3Fc/now', b'')

    def test_errors(self, peer):
        client = APIClient(peer.address, 'user', 'pass')
        peer.answer(ERROR_3, 400)
        response = client.post('a')
        assert (response.is_ok, response.data, response.details) == (False, None, 'Element missing: name')
        peer.answer('URL not found', 404)
        assert client.post('a').details == 'URL not found'
        peer.answer('plain')
        assert client.post('a').data == 'plain'


class TestConnecting:
    def refusing(self, times, monkeypatch):
        """A session whose first connections fail, and the pauses that were made."""
        pauses = []
        monkeypatch.setattr(connection.time, 'sleep', pauses.append)
        attempts = iter(range(times))

        def answer(_request):
            if next(attempts, None) is not None:
                message = 'connection refused'
                raise httpx.ConnectError(message)
            return httpx.Response(200, json={})

        return httpx.Client(transport=httpx.MockTransport(answer)), pauses

    def test_is_tried_again(self, monkeypatch):
        session, pauses = self.refusing(4, monkeypatch)
        assert JSONClient('http://a', '/', session=session).invoke().ok
        assert pauses == [0.1, 0.2, 0.4, 0.8]

    def test_but_not_for_ever(self, monkeypatch):
        session, pauses = self.refusing(5, monkeypatch)
        with pytest.raises(ConnectionError, match='cannot reach `http://a/`, tried 5 times: connection refused'):
            JSONClient('http://a', '/', session=session).invoke()
        assert len(pauses) == 4

    def test_what_was_sent_is_not_sent_again(self, monkeypatch):
        sent = []

        def answer(request):
            sent.append(request)
            message = 'gone'
            raise httpx.ReadError(message)

        session = httpx.Client(transport=httpx.MockTransport(answer))
        with pytest.raises(ConnectionError, match='may have been carried out'):
            JSONClient('http://a', '/', session=session).invoke()
        assert len(sent) == 1

    def test_not_an_address(self):
        with pytest.raises(ValueError, match='begins with `http://`'):
            JSONClient('localhost:1', '/').invoke()

    def test_sessions_of_requests(self, peer):
        peer.answer({'a': 1})
        with requests.Session() as session:
            client = JSONClient(peer.address, '/crm', ('user', 'pass'), session, headers={'X-A': '1'})
            response = client.invoke({'b': 2})
        assert (response.data, response.cid) == ({'a': 1}, CID)
        assert isinstance(response.inner, requests.Response)
        assert peer.request.headers['Authorization'] == 'Basic ' + encoded('user:pass')
        assert (peer.request.body, peer.request.headers['X-A']) == (b'{"b": 2}', '1')

    def test_logged_without_payloads(self, peer, caplog):
        caplog.set_level('DEBUG', 'busbar.client')
        JSONClient(peer.address, '/crm').invoke({'password': 's3cret'})
        assert f'POST {peer.address}/crm: 200' in caplog.messages
        assert 's3cret' not in caplog.text


class TestDirectory:
    def test_not_a_server(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='is not the directory of a server'):
            get_client_from_server_conf(tmp_path)

    def test_does_not_run(self, tmp_path):
        (tmp_path / 'work').mkdir()
        with pytest.raises(FileNotFoundError, match='does not run; start it with: busbar start'):
            get_client_from_server_conf(tmp_path)

    def test_calls_through_the_socket(self, tmp_path):
        # so deep that its path would not fit into the address of a socket
        directory = tmp_path / ('d' * 100)
        (directory / 'work').mkdir(parents=True)
        asked = []
        status = {'address': 'http://127.0.0.1:1', 'admin_address': 'http://127.0.0.1:2'}
        invoked = {
            'cid': CID,
            'status': 200,
            'headers': [['Content-Type', 'application/json']],
            'body': json.dumps({'zato_service_invoke_response': {'response': encoded({'pong': 'zato'})}}),
        }
        failure = {'message': 'there is no service `a`', 'hint': 'see which there are'}
        answers = [('status', status), ('invoked', invoked), ('failed', failure), None]
        with socket.socket(socket.AF_UNIX) as listener:
            descriptor = os.open(directory / 'work', os.O_RDONLY)
            listener.bind(f'/proc/self/fd/{descriptor}/control.sock')
            os.close(descriptor)
            listener.listen()

            def serve():
                for answer in answers:
                    connection, _ = listener.accept()
                    with connection, connection.makefile('rwb') as stream:
                        asked.append(json.loads(stream.readline()))
                        if answer:
                            name, data = answer
                            stream.write(json.dumps({'answer': name, 'data': data}).encode() + b'\n')

            thread = threading.Thread(target=serve)
            thread.start()
            client = get_client_from_server_conf(directory)
            response = client.invoke('zato.ping', {'a': 'ü'})
            with pytest.raises(ConnectionError, match='there is no service `a`; see which there are'):
                client.invoke('a')
            with pytest.raises(ConnectionError, match='did not answer'):
                client.invoke('a')
            thread.join()
        assert client.address == 'http://127.0.0.1:2'
        assert (response.ok, response.data, response.cid) == (True, {'pong': 'zato'}, CID)
        assert [request['command'] for request in asked] == ['status', *['service_invoke'] * 3]
        assert (asked[1]['name'], asked[1]['data_format']) == ('zato.service.invoke', 'json')
        assert json.loads(asked[1]['payload'])['name'] == 'zato.ping'


def test_old_names():
    missing = [name for name in zato.client.__all__ if getattr(zato.client, name) is not getattr(package, name)]
    assert not missing


def test_needs_no_server(tmp_path):
    # only what the package on its own consists of
    settings = tomllib.loads((ROOT / 'python/pyproject.toml').read_text())['tool']['setuptools']
    for name in settings['packages']:
        shutil.copytree(ROOT / 'python' / name.replace('.', '/'), tmp_path / name.replace('.', '/'))
    for name in settings['py-modules']:
        file = name.replace('.', '/') + '.py'
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / 'python' / file, tmp_path / file)
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import zato.client
        client = zato.client.AnyServiceInvoker('http://localhost', to_bunch=True)
        print(client.service_address, '_busbar' in sys.modules, 'lxml' in sys.modules)
    """
    run = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ('http://localhost/zato/admin/invoke False False\n', '')
