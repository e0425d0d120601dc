import pytest

from busbar import sio
from busbar.sio import NOT_GIVEN, Dict, ForceType, Int, List, SIOElem, Text

KINDS = {
    'AsIs': 'as_is',
    'Bool': 'bool',
    'CSV': 'csv',
    'Date': 'date',
    'DateTime': 'date_time',
    'Decimal': 'decimal',
    'Dict': 'dict',
    'DictList': 'dict_list',
    'Float': 'float',
    'ForceType': 'custom',
    'Int': 'int',
    'List': 'list',
    'Opaque': 'opaque',
    'SIOElem': 'custom',
    'Secret': 'secret',
    'Text': 'text',
    'UTC': 'utc',
    'UUID': 'uuid',
}
ALIASES = {'Boolean': 'Bool', 'Integer': 'Int', 'ListOfDicts': 'DictList', 'Nested': 'Opaque', 'Unicode': 'Text'}


def test_each_element_has_its_kind():
    found = {name: getattr(sio, name) for name in sio.__all__ if name not in {'NOT_GIVEN', 'NotGiven'}}
    assert {name: element.kind for name, element in found.items() if name not in ALIASES} == KINDS
    assert all(found[alias] is found[name] for alias, name in ALIASES.items())


def test_an_element_keeps_what_it_was_given():
    element = Dict('address', 'city', '-zip', Int('floor', default=0))
    assert (element.name, element.is_required, element.default) == ('address', True, NOT_GIVEN)
    assert element.nested[:2] == ('city', '-zip')
    assert (element.nested[2].name, element.nested[2].default) == ('floor', 0)
    assert repr(element) == "Dict('address', 'city', '-zip', Int('floor', default=0))"


def test_a_dash_makes_it_optional():
    element = List('-tags', default=None)
    assert (element.name, element.is_required, element.default) == ('tags', False, None)
    assert repr(element) == "List('-tags', default=None)"


@pytest.mark.parametrize('name', ['', '-', None, 7])
def test_a_name_is_needed(name):
    with pytest.raises(ValueError, match='name'):
        Text(name)


def test_elements_of_ones_own_convert_by_themselves():
    class Upper(Text):
        def from_json(self, value):
            return value.upper()

    class Renamed(Text):
        pass

    class Older(ForceType):
        def convert(self, value):
            return value

    assert (Upper.kind, Renamed.kind, Older.kind) == ('custom', 'text', 'custom')
    assert issubclass(Older, SIOElem)
    assert not NOT_GIVEN
