"""Modules under the names that they had in Python 2."""

from __future__ import annotations

import http.client
import importlib
import logging
import sys

import pytest

from busbar import old_imports
from busbar.old_imports import MODULES, NAMES, find, find_name


@pytest.mark.parametrize('name', sorted(MODULES))
def test_every_old_module_is_found(name):
    module = find(name, 'a.py', is_from=True)
    assert module is not None
    assert name not in sys.modules or name in sys.stdlib_module_names or '.' in name


@pytest.mark.parametrize('module', sorted(NAMES))
def test_every_old_name_is_found(module):
    try:
        real = importlib.import_module(module)
    except ModuleNotFoundError:
        pytest.skip(f'there is no module {module} any more')
    for name in NAMES[module]:
        if not hasattr(real, name):
            assert getattr(find_name(real, (name,), 'a.py'), name)


def test_old_names_are_inside():
    assert find('httplib', 'a.py', is_from=False).HTTPConnection is http.client.HTTPConnection
    urllib2 = find('urllib2', 'a.py', is_from=False)
    assert {'urlopen', 'HTTPError', 'quote'} <= vars(urllib2).keys()
    assert find('StringIO', 'a.py', is_from=False).StringIO().read() == ''
    assert find('ConfigParser', 'a.py', is_from=False).SafeConfigParser().sections() == []
    gevent = find('gevent', 'a.py', is_from=True)
    assert gevent.spawn(pow, 2, 3).get() == 8
    assert find('gevent.pool', 'a.py', is_from=True).Pool(2).map(abs, [-1, -2, -3]) == [1, 2, 3]
    assert find('no_such_module', 'a.py', is_from=False) is None
    assert find_name(http.client, ('nothing',), 'a.py') is None


def test_each_file_gets_one_hint(caplog, monkeypatch):
    monkeypatch.setattr(old_imports, '_told', set())
    with caplog.at_level(logging.WARNING):
        find('httplib', 'one.py', is_from=False)
        find('urllib2', 'one.py', is_from=False)
        find('httplib', 'two.py', is_from=False)
    assert [record.getMessage().partition(' ')[0] for record in caplog.records] == ['one.py', 'two.py']
