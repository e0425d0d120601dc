"""JSON Schemas of services."""

from __future__ import annotations

import pytest

from busbar.schema import Checker
from zato.common.exception import JSONSchemaValidationException

pytest.importorskip('jsonschema')


class Order:
    """Stands for a service."""


def test_all_that_is_wrong_is_told(tmp_path):
    path = tmp_path / 'order.json'
    path.write_text('{"required": ["id"], "properties": {"n": {"type": "integer"}}}')
    checker = Checker(Order, str(path))
    checker('cid', {'id': 1, 'n': 2})
    with pytest.raises(JSONSchemaValidationException) as raised:
        checker('cid', {'n': 'x'})
    assert raised.value.msg == "'id' is a required property; 'x' is not of type 'integer' (in `n`)"
    assert raised.value.status == 400


@pytest.mark.parametrize('text', ['{', '{"type": 7}'])
def test_what_is_no_schema_is_refused(tmp_path, text):
    path = tmp_path / 'bad.json'
    path.write_text(text)
    with pytest.raises(ValueError, match='is not a JSON Schema'):
        Checker(Order, str(path))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match='no-such-file'):
        Checker(Order, 'no-such-file.json')
