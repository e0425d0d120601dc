import importlib
import sys

import pytest
import redis
import requests

import busbar.http.exceptions
import busbar.kvdb.exceptions

HOMES = [(busbar.http.exceptions, requests.exceptions), (busbar.kvdb.exceptions, redis.exceptions)]


#: What exceptions are made with that take more than a message, or a message of a certain form.
ARGUMENTS = {
    'AskError': ('5 10.0.0.1:6379',),
    'JSONDecodeError': ('what happened', 'a document', 2),
    'MovedError': ('5 10.0.0.1:6379',),
}


@pytest.fixture(params=HOMES, ids=['http', 'kvdb'])
def home(request):
    """One of our modules, freshly imported, and the library whose names it has."""
    ours, theirs = request.param
    return importlib.reload(ours), theirs


def test_the_library_wins_where_it_is_installed(home):
    ours, theirs = home
    for name in ours.__all__:
        assert getattr(ours, name) is getattr(theirs, name)


def test_without_it_classes_of_the_same_names_and_bases_stand_in(home, monkeypatch):
    ours, theirs = home
    for module in [name for name in sys.modules if name.partition('.')[0] == theirs.__name__.partition('.')[0]]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr('importlib.util.find_spec', lambda _name: None)
    for name in ours.__all__:
        stand_in, real = getattr(ours, name), getattr(theirs, name)
        assert stand_in is not real
        known = {base for base in ours.__all__ if issubclass(real, getattr(theirs, base))}
        assert {base for base in ours.__all__ if issubclass(stand_in, getattr(ours, base))} == known
        assert stand_in.__name__ == name
        arguments = ARGUMENTS.get(name, ('what happened',))
        assert str(stand_in(*arguments)) == str(real(*arguments))
        assert str(stand_in(*arguments)).startswith(arguments[0])
        assert vars(stand_in(*arguments)).items() <= vars(real(*arguments)).items()


def test_there_are_no_other_names(home):
    ours, _ = home
    with pytest.raises(AttributeError, match='NoSuchError'):
        _ = ours.NoSuchError


def test_request_and_response_are_kept(monkeypatch):
    monkeypatch.setitem(sys.modules, 'requests.exceptions', None)
    monkeypatch.setattr('importlib.util.find_spec', lambda _name: None)
    ours = importlib.reload(busbar.http.exceptions)
    error = ours.ConnectTimeout('too late', request=1)
    assert (error.request, error.response) == (1, None)
    assert isinstance(error, ours.Timeout)
    assert isinstance(error, ours.ConnectionError)
    assert isinstance(error, OSError)
    monkeypatch.undo()
    importlib.reload(busbar.http.exceptions)


def test_a_broken_installation_hides_nothing(monkeypatch):
    ours = importlib.reload(busbar.kvdb.exceptions)
    monkeypatch.delitem(sys.modules, 'redis.exceptions')

    def broken(_name):
        message = 'no such symbol'
        raise RuntimeError(message)

    monkeypatch.setattr('importlib.import_module', broken)
    assert issubclass(ours.WatchError, ours.RedisError)
    monkeypatch.undo()
    importlib.reload(busbar.kvdb.exceptions)
