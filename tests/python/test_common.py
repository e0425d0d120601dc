import json
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

import anyjson
from zato.common import json_, json_internal
from zato.common.api import CHANNEL, SEC_DEF_TYPE, URL_PARAMS_PRIORITY, ZATO_OK
from zato.common.http_ import HTTP_RESPONSES
from zato.common.util import asbool, make_repr, new_cid, parse_extra_into_dict, parse_simple_type, uncamelify


@pytest.mark.parametrize(
    ('given', 'expected'),
    {
        'GetClientDetails': 'get-client-details',
        'HTTPGet': 'http-get',
        'XMLParser': 'xml-parser',
        'GetHTTPData': 'get-http-data',
        'My_Service': 'my_service',
        'Do_It': 'do_it',
        'Get2Things': 'get2-things',
        'GetUserV2': 'get-user-v2',
        'JSONToXML': 'json-to-xml',
        'SMSSender2FA': 'sms-sender2fa',
        'ABC': 'abc',
    }.items(),
)
def test_class_names_become_parts_of_service_names(given, expected):
    assert uncamelify(given) == expected


def test_a_cid_is_24_hexadecimal_digits():
    cid = new_cid()
    assert len(cid) == 24
    assert set(cid) <= set('0123456789abcdef')
    assert cid != new_cid()


def test_truth_values_in_all_spellings():
    assert all(map(asbool, ['true', 'Yes', 'ON', 'y', 't', '1', ' true ', True, 1]))
    assert not any(map(asbool, ['false', 'No', 'OFF', 'n', 'f', '0', '', 'None', False, None, 0]))
    with pytest.raises(ValueError, match='maybe'):
        asbool('maybe')


def test_simple_types():
    assert [parse_simple_type(text) for text in ['7', '2.5', 'True', 'text']] == [7, 2.5, True, 'text']
    assert parse_simple_type('True', convert_bool=False) == 'True'


def test_lines_of_settings():
    lines = "a=1\n# not this one\n\nb = 'text' ; c=true\nd=x=y"
    assert parse_extra_into_dict(lines) == {'a': 1, 'b': 'text', 'c': True, 'd': 'x=y'}
    assert parse_extra_into_dict(b'a=[1, 2]') == {'a': [1, 2]}
    with pytest.raises(ValueError, match='nothing'):
        parse_extra_into_dict('nothing')


def test_representations():
    class Order:
        def __init__(self):
            self.number = 7

    assert make_repr(Order()).endswith(' number:7>')
    assert len(make_repr(Order(), buff_size=10)) == 10


RICH = {
    'date': date(2021, 2, 3),
    'time': datetime(2021, 2, 3, 4, 5, 6),
    'price': Decimal('1.10'),
    'id': UUID('d5f1c6c0-5c1f-4a3d-8f0e-0a5a2f0d9b11'),
}
PLAIN = {
    'date': '2021-02-03',
    'time': '2021-02-03T04:05:06',
    'price': '1.10',
    'id': 'd5f1c6c0-5c1f-4a3d-8f0e-0a5a2f0d9b11',
}


def test_json_for_people_and_for_machines(tmp_path):
    assert json_.dumps(RICH) == json.dumps(PLAIN, indent=4)
    assert json_internal.dumps(RICH) == json.dumps(PLAIN, separators=(',', ':'))
    assert json_.loads(json_.dumps(RICH)) == json_internal.loads(json_internal.dumps(RICH)) == PLAIN
    for module in (json_, json_internal):
        with (tmp_path / 'file').open('w') as stream:
            module.dump(RICH, stream)
        with (tmp_path / 'file').open() as stream:
            assert module.load(stream) == PLAIN
        with pytest.raises(TypeError, match='object'):
            module.dumps(object())


def test_anyjson():
    assert anyjson.loads(anyjson.dumps({'a': [1]})) == {'a': [1]}
    assert anyjson.deserialize(anyjson.serialize('a')) == 'a'


def test_constants():
    assert CHANNEL.HTTP_SOAP == 'http-soap'
    assert SEC_DEF_TYPE.BASIC_AUTH == 'basic_auth'
    assert URL_PARAMS_PRIORITY.DEFAULT == 'qs-over-path'
    assert ZATO_OK == 'ZATO_OK'
    assert HTTP_RESPONSES[404] == 'Not Found'


def test_typing_names_build_dataclasses():
    from zato.common import typing_

    @typing_.dataclass
    class Order:
        number: int
        tags: typing_.strlist = typing_.list_field()
        extra: typing_.strdictnone = None

    assert Order(7).tags == []
    assert typing_.callable_[[int], str]
    assert typing_.optional[int] == typing_.intnone
