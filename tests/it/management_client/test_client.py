"""The client against a server: every class, good answers and bad ones. Where the server is, the environment says."""

import os

import pytest

from busbar.client import (
    AnyServiceInvoker,
    APIClient,
    JSONClient,
    JSONSIOClient,
    RawDataClient,
    SOAPClient,
    SOAPSIOClient,
    XMLClient,
    get_client_from_server_conf,
)

MAIN = os.environ['BUSBAR_TEST_MAIN']
ADMIN = os.environ['BUSBAR_TEST_ADMIN']
AUTH = ('pubapi', os.environ['BUSBAR_TEST_PASSWORD'])
ADMIN_AUTH = ('admin.invoke', os.environ['BUSBAR_TEST_ADMIN_PASSWORD'])
DIRECTORY = os.environ['BUSBAR_TEST_DIRECTORY']

ENVELOPE = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{}</e:Body></e:Envelope>'
REQUEST = '<{0} xmlns="https://zato.io/ns/20130518">{1}</{0}>'


@pytest.fixture(params=['over HTTP', 'through the socket'])
def invoker(request):
    if request.param == 'over HTTP':
        client = AnyServiceInvoker(ADMIN, '/zato/admin/invoke', ADMIN_AUTH)
    else:
        client = get_client_from_server_conf(DIRECTORY)
    with client:
        yield client


class TestAnyServiceInvoker:
    def test_a_management_service(self, invoker):
        response = invoker.invoke('zato.ping')
        assert (response.ok, response.data) == (True, {'pong': 'zato'})
        assert len(response.cid) == 24
        elements = invoker.invoke('zato.ping', skip_response_elem=False)
        assert elements.data == {'pong': 'zato'}

    def test_a_service_of_a_user(self, invoker):
        response = invoker.invoke('customers.get', {'id': 7})
        assert (response.ok, response.data) == (True, {'id': 7, 'name': 'Ann'})

    def test_text(self, invoker):
        assert invoker.invoke('customers.text', 'x').data == 'héllo'

    def test_a_list_in_pages(self, invoker):
        name = f'page {id(invoker)}'
        for number in range(3):
            created = invoker.invoke(
                'zato.security.basic-auth.create',
                {'name': f'{name} {number}', 'is_active': True, 'username': f'{name} {number}', 'realm': 'r'},
            )
            assert created.ok, created.details
            assert created.data['name'] == f'{name} {number}'
        everything = invoker.invoke('zato.security.basic-auth.get-list', {'cluster_id': 1})
        assert {f'{name} {number}' for number in range(3)} <= {item['name'] for item in everything.data}
        assert everything.meta == {}
        page = invoker.invoke('zato.security.basic-auth.get-list', {'paginate': True, 'query': name})
        items = page.data['zato_security_basic_auth_get_list_response']
        assert [item['name'] for item in items] == [f'{name} {number}' for number in range(3)]
        assert (page.meta['total'], page.meta['cur_page'], page.meta['num_pages']) == (3, 1, 1)
        for item in items:
            deleted = invoker.invoke('zato.security.basic-auth.delete', {'id': item['id']})
            assert deleted.ok, deleted.details
            assert not deleted.has_data
        page = invoker.invoke('zato.security.basic-auth.get-list', {'paginate': True, 'query': name})
        assert (page.data['zato_security_basic_auth_get_list_response'], page.meta['total']) == ([], 0)

    def test_without_waiting(self, invoker):
        response = invoker.invoke_async('customers.get', {'id': 8})
        assert response.ok, response.details
        assert len(response.data) == 24
        assert not invoker.invoke_async('nobody.knows-me').ok

    @pytest.mark.parametrize(
        ('service', 'payload', 'details'),
        [
            ('nobody.knows-me', '', 'nobody.knows-me'),
            ('customers.get', {'id': -1}, 'no such customer'),
            ('customers.get', {}, 'id'),
            ('zato.security.basic-auth.create', {'name': 'x'}, 'is_active'),
            ('zato.security.basic-auth.delete', {'id': 999999}, '999999'),
        ],
    )
    def test_errors(self, invoker, service, payload, details):
        response = invoker.invoke(service, payload)
        assert not response.ok
        assert isinstance(response.details, str)
        assert details in response.details
        assert not response.details.startswith('{')
        assert not response.has_data or 'details' in response.data

    def test_neither_name_nor_id(self, invoker):
        assert not invoker.invoke().ok
        assert not invoker.invoke('zato.ping', id=1).ok

    def test_by_id(self, invoker):
        found = invoker.invoke('zato.service.get-by-name', {'cluster_id': 1, 'name': 'customers.get'})
        assert found.ok, found.details
        assert invoker.invoke(id=found.data['id'], payload={'id': 7}).data['name'] == 'Ann'

    def test_with_dots(self):
        client = AnyServiceInvoker(ADMIN, '/zato/admin/invoke', ADMIN_AUTH, to_bunch=True)
        assert client.invoke('zato.ping').data.pong == 'zato'

    def test_wrong_password(self):
        response = AnyServiceInvoker(ADMIN, '/zato/admin/invoke', ('admin.invoke', 'wrong')).invoke('zato.ping')
        assert (response.ok, response.inner.status_code) == (False, 401)
        assert response.inner.headers['WWW-Authenticate'].startswith('Basic')


class TestJSON:
    def test_a_channel(self):
        client = JSONClient(MAIN, '/customers')
        response = client.invoke({'id': 7})
        assert (response.ok, response.data) == (True, {'id': 7, 'name': 'Ann'})
        response = client.invoke({'id': -1})
        assert not response.ok
        assert 'no such customer' in str(response.data)
        assert not client.invoke('{"id": ', to_json=False).ok
        assert not JSONClient(MAIN, '/nowhere').invoke().ok

    def test_a_management_service(self):
        client = JSONSIOClient(ADMIN, '/zato/json/zato.ping', AUTH)
        response = client.invoke()
        assert (response.ok, response.sio_result, response.data) == (True, 'ZATO_OK', {'pong': 'zato'})
        for path in '/zato/json/zato.nothing', '/zato/json/zato.security.basic-auth.create':
            response = JSONSIOClient(ADMIN, path, AUTH).invoke()
            assert not response.ok, path
            assert response.details


class TestSOAP:
    def test_a_management_service(self):
        client = SOAPSIOClient(ADMIN, '/zato/soap', AUTH)
        response = client.invoke('zato.ping', ENVELOPE.format(REQUEST.format('zato_ping_request', '')))
        assert (response.ok, response.sio_result) == (True, 'ZATO_OK')
        assert response.data.item.pong == 'zato'
        filter_ = '<cluster_id>1</cluster_id><name_filter>customers</name_filter>'
        request = ENVELOPE.format(REQUEST.format('zato_service_get_list_request', filter_))
        listed = client.invoke('"zato.service.get-list"', request)
        assert sorted(str(item.name) for item in listed.data.item_list.item) == ['customers.get', 'customers.text']

    def test_errors(self):
        client = SOAPSIOClient(ADMIN, '/zato/soap', AUTH)
        request = ENVELOPE.format(REQUEST.format('zato_service_delete_request', '<id>999999</id>'))
        response = client.invoke('zato.service.delete', request)
        assert not response.ok
        assert '999999' in response.details.findtext('faultstring')
        response = client.invoke('zato.nothing', request)
        assert (response.ok, response.inner.status_code) == (False, 404)

    def test_a_channel(self):
        client = SOAPClient(MAIN, '/soap')
        request = ENVELOPE.format('<get><id>7</id></get>')
        response = client.invoke('customers', request)
        assert response.ok, response.details
        assert 'Ann' in ''.join(response.data.itertext())
        refused = client.invoke('customers', ENVELOPE.format('<get><id>-1</id></get>'))
        assert not refused.ok


def test_xml():
    client = XMLClient(MAIN, '/xml')
    response = client.invoke('<get><id>7</id></get>')
    assert response.ok, response.details
    assert 'Ann' in ''.join(response.data.itertext())
    assert not client.invoke('<get><id>-1</id></get>').ok


def test_raw_data():
    response = RawDataClient(MAIN, '/text').invoke('anything')
    assert (response.ok, response.data) == (True, 'héllo')
    assert not RawDataClient(MAIN, '/nowhere').invoke('').ok


class TestAPIClient:
    @pytest.mark.parametrize('method', ['get', 'post', 'put', 'patch', 'delete', 'invoke'])
    def test_any_method(self, method):
        client = APIClient(MAIN, *AUTH)
        response = getattr(client, method)('customers.get', {'id': 7})
        assert (response.is_ok, response.data) == (True, {'id': 7, 'name': 'Ann'})

    def test_errors(self):
        client = APIClient(MAIN, *AUTH)
        response = client.invoke('nobody.knows-me')
        assert not response.is_ok
        assert response.details
        assert len(response.cid) == 24
        assert 'no such customer' in str(client.invoke('customers.get', {'id': -1}).details)
        assert not APIClient(MAIN, 'pubapi', 'wrong').invoke('customers.get').is_ok

    @pytest.mark.parametrize('address', [MAIN, ADMIN])
    def test_details_are_text(self, address):
        client = APIClient(address, *AUTH)
        assert client.get('x.nope').details == 'No such service `x.nope`'
        assert client.invoke('customers.get', {}).details == 'Element missing: id'

    def test_a_management_service(self):
        response = APIClient(ADMIN, *AUTH).invoke('zato.ping')
        assert (response.is_ok, response.data['pong']) == (True, 'zato')
