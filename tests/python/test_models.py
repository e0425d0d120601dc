"""Models, as far as they are Python: what the server is told of a class, and the decorator."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, NewType

import pytest

CODE = """
from dataclasses import dataclass as std, field
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, List, NewType, Optional, Union
from zato.common.typing_ import *
from zato.common.ext.dataclasses import dataclass
from zato.server.service import Model

UserId = NewType('UserId', int)
UserName = Union[int, str]

@std(init=False)
class Addr(Model):
    city: str

@std(init=False)
class All(Model):
    kept: ClassVar[int] = 1
    a: int
    b: 'Addr'
    c: List['Addr']
    d: 'optional[list_[Addr]]'
    e: str | None
    f: strnone = None
    g: list = list_field()
    h: 'Unknown' = None
    i: 'Optional[Unknown]'
    j: Annotated[int, 'x']
    k: UserId
    l: Union[int, str]
    m: anydict = dict_field()
    n: datetimez
    o: isotimestamp
    p: anylist
    q: strlistdict

@dataclass
class Ordered:
    a: int = 1
    b: int
    c: list = field(default_factory=list)
    d: str

@dataclass
class Derived(Ordered):
    e: int

class Forgotten(Model):
    a: int
"""


@pytest.fixture
def module(monkeypatch):
    import types

    made = types.ModuleType('shop')
    monkeypatch.setitem(sys.modules, 'shop', made)
    exec(CODE, made.__dict__)
    return made


def describe(cls):
    from busbar.models import describe

    return describe(cls)


def test_every_kind_of_field_is_told(module):
    fields, init, has_after_created, has_to_dict = describe(module.All)
    told = {field['name']: (field['kind'], field['required'], field['nullable']) for field in fields}
    assert told == {
        'a': ('int', True, False),
        'b': ('model', True, False),
        'c': ('models', True, False),
        'd': ('models', False, True),
        'e': ('str', False, True),
        'f': ('str', False, True),
        'g': ('list', False, False),
        'h': ('any', False, False),
        'i': ('any', True, False),
        'j': ('int', True, False),
        'k': ('int', True, False),
        'l': ('any', True, False),
        'm': ('dict', False, False),
        'n': ('datetimez', True, False),
        'o': ('isotimestamp', True, False),
        'p': ('list', True, False),
        'q': ('dict', True, False),
    }
    assert (init, has_after_created, has_to_dict) == ('bare', False, False)
    assert describe(module.Ordered)[1] == 'fields'
    with pytest.raises(TypeError, match='Forgotten'):
        describe(module.Forgotten)


def test_fields_without_default_may_follow(module):
    assert module.Ordered(b=2, d='x') == module.Ordered(1, 2, [], 'x')
    assert repr(module.Ordered(b=2, d='x')) == "Ordered(a=1, b=2, c=[], d='x')"
    assert module.Derived(1, 2, [], 'x', 5).e == 5
    with pytest.raises(TypeError, match='`b`'):
        module.Ordered(d='x')
    with pytest.raises(TypeError, match='`z` is no field'):
        module.Ordered(b=1, d='x', z=1)
    with pytest.raises(TypeError, match='twice'):
        module.Ordered(1, 2, a=1, d='x')


def test_methods_of_instances(module):
    addr = module.Addr()
    assert ('city' in addr, addr.get('city'), addr.get('zip', 1)) == (False, None, 1)
    with pytest.raises(KeyError):
        addr['city']
    addr['city'] = 'A'
    assert ('city' in addr, addr['city'], addr.clone()) == (True, 'A', addr)
    assert [*module.All.zato_get_fields()] == sorted(field.name for field in dataclasses.fields(module.All))
    flat = module.Model.build_model_from_flat_input(None, None, None, 'Flat', ['user_id', '-is_new', 'name'])
    assert {field.name: field.type for field in dataclasses.fields(flat)} == {
        'user_id': int,
        'is_new': bool | None,
        'name': str,
    }


def test_unions_are_told(module):
    assert module.is_union(int | str)
    assert module.is_union(module.UserName)
    assert not module.is_union(Annotated[int, 1])
    assert not module.is_union(NewType('X', int))
    assert module.extract_from_union(int | None | str) == ([int, str], int, str)
