from collections import namedtuple

import pytest

from bunch import Bunch, bunchify, unbunchify


def test_keys_are_attributes():
    bunch = Bunch(name='Ann')
    bunch.age = 7
    assert (bunch.name, bunch['age']) == ('Ann', 7)
    del bunch.name
    assert bunch == {'age': 7}


def test_a_missing_key_is_a_missing_attribute():
    bunch = Bunch()
    assert getattr(bunch, 'name', 'default') == 'default'
    with pytest.raises(AttributeError, match='name'):
        _ = bunch.name
    with pytest.raises(AttributeError, match='name'):
        del bunch.name
    with pytest.raises(KeyError):
        bunch['name']


def test_methods_of_dict_win_and_their_keys_stay_reachable():
    bunch = Bunch({'items': [1]})
    assert bunch['items'] == [1]
    assert list(bunch.items()) == [('items', [1])]
    assert 'items' in bunch
    assert 'keys' not in bunch


def test_dictionaries_inside_are_bunches_too():
    Point = namedtuple('Point', 'x y')
    data = {'user': {'name': 'Ann'}, 'tags': [{'id': 1}], 'pair': ({'a': 1}, 2), 'point': Point({'b': 2}, 3)}
    bunch = bunchify(data)
    assert bunch.user.name == 'Ann'
    assert bunch.tags[0].id == 1
    assert bunch.pair[0].a == 1
    assert bunch.point.x.b == 2
    plain = unbunchify(bunch)
    assert plain == data
    assert type(plain['user']) is dict
    assert type(plain['point']) is Point
    assert type(bunch.toDict()['tags'][0]) is dict


def test_a_copy_is_independent():
    bunch = bunchify({'user': {'name': 'Ann'}})
    other = bunch.copy()
    other.user.name = 'Bob'
    assert bunch.user.name == 'Ann'
    assert isinstance(other, Bunch)


def test_it_shows_what_is_in_it():
    bunch = bunchify({'user': {'name': 'Ann'}, 'two words': 1})
    assert repr(bunch) == "Bunch(user=Bunch(name='Ann'), two words=1)"
    assert 'user' in dir(bunch)
    assert 'two words' not in dir(bunch)
    assert bunch.toJSON() == '{"user": {"name": "Ann"}, "two words": 1}'
