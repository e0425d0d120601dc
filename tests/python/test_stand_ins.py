"""Packages that service files import and that need not be installed."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import threading
import time
from collections import namedtuple
from decimal import Decimal

import pytest

from busbar import old_imports
from busbar.old_imports import STAND_INS, find
from busbar.stand_ins import gevent, jsonpointer, retools, simplejson, suds, ujson


@pytest.mark.parametrize('name', sorted(STAND_INS))
def test_every_stand_in_is_found(name):
    root, module = find(name, 'a.py', is_from=False), find(name, 'a.py', is_from=True)
    for part in name.split('.')[1:]:
        root = getattr(root, part)
    assert root is module or name.startswith('simplejson.')


def test_the_hint_says_what_is_true(caplog, monkeypatch):
    monkeypatch.setattr(old_imports, '_told', set())
    find('gevent.queue', 'one.py', is_from=True)
    assert 'one.py imports gevent, which is not installed: busbar.stand_ins.gevent stands in' in caplog.text


def test_what_gevent_makes_cooperative_is_as_usual():
    assert gevent.socket.socket is socket.socket
    assert gevent.subprocess.check_output is subprocess.check_output
    assert gevent.monkey.patch_all() is None
    assert gevent.monkey.get_original('socket', 'socket') is socket.socket
    with pytest.raises(NotImplementedError, match=r'there is no gevent\.pywsgi\.WSGIServer here'):
        gevent.pywsgi.WSGIServer(('', 0), None)


class Adding(gevent.Greenlet):
    def __init__(self, start):
        gevent.Greenlet.__init__(self)
        self.first = start

    def _run(self):
        return self.first + 1


def test_greenlets_of_ones_own_run():
    task = Adding(1)
    task.start()
    assert task.get() == 2
    assert Adding.spawn(2).get() == 3
    assert isinstance(gevent.spawn_later(0.01, pow, 2, 3), gevent.Greenlet)
    assert sorted(task.get() for task in gevent.iwait([gevent.spawn(abs, -1), gevent.spawn(abs, -2)])) == [1, 2]
    assert len(gevent.wait([gevent.spawn(abs, -1), gevent.spawn(abs, -2)], count=1)) == 1
    values = queue.Queue()
    gevent.spawn(abs, -3).link_value(lambda task: values.put(task.value))
    assert values.get(timeout=10) == 3
    with pytest.raises(NotImplementedError, match='without a function'):
        gevent.Greenlet.spawn().get()


def test_what_is_killed_ends():
    seen = []

    def endless():
        try:
            seen.append('begun')
            while True:
                gevent.sleep(0.01)
        finally:
            seen.append('ended')

    task = gevent.spawn(endless)
    while not seen:
        time.sleep(0.001)
    task.kill(timeout=30)
    assert task.dead
    assert task.successful()
    assert isinstance(task.get(), gevent.GreenletExit)
    assert seen == ['begun', 'ended']
    later = gevent.spawn_later(1000, seen.append, 'never')
    gevent.killall([later], timeout=30)
    assert later.dead
    assert 'never' not in seen
    # one that was not started stays dead
    unstarted = gevent.Greenlet(seen.append, 'never')
    unstarted.kill()
    assert unstarted.dead
    # too late
    done = gevent.spawn(abs, -1)
    done.join()
    done.kill()
    assert done.get() == 1
    # what else is raised is what it ends with
    failing = gevent.spawn(gevent.sleep, 1000)
    failing.kill(KeyError, timeout=30)
    with pytest.raises(KeyError):
        failing.get()


def test_a_thread_that_waits_outside_of_python_is_told_of(caplog):
    gate = threading.Lock()
    gate.acquire()
    task = gevent.spawn(gate.acquire)
    task.kill(timeout=0.01)
    assert not task.dead
    assert 'was killed and goes on' in caplog.text
    gate.release()
    task.join(30)
    assert task.dead


def test_limits():
    assert gevent.with_timeout(30, abs, -1) == 1
    gate = threading.Event()
    assert gevent.with_timeout(0.01, gate.wait, timeout_value='late') == 'late'
    with pytest.raises(gevent.Timeout):
        gevent.with_timeout(0.01, gate.wait)
    gate.set()


def test_events_queues_and_pools():
    result = gevent.event.AsyncResult()
    gevent.spawn(result.set, 5)
    assert result.get(timeout=30) == 5
    result.set_exception(ValueError('x'))
    with pytest.raises(ValueError, match='x'):
        result.get()
    with pytest.raises(gevent.Timeout):
        gevent.event.AsyncResult().get(timeout=0.01)
    items = gevent.queue.Queue(items=[1, 2, StopIteration])
    assert len(items) == 3
    assert list(items) == [1, 2]
    pool = gevent.pool.Pool(2)
    assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
    assert list(pool.imap_unordered(pow, [2, 3], [2, 2])) == [4, 9]
    assert pool.apply(abs, (-1,)) == 1
    assert pool.join()
    assert pool.free_count() == 2
    group = gevent.pool.Group()
    group.spawn(gevent.sleep, 1000)
    group.kill(timeout=30)
    assert not len(group)


Point = namedtuple('Point', 'x y')


class Own:
    def for_json(self):
        return {'own': Decimal('1.10')}


@pytest.mark.parametrize(
    ('value', 'options', 'text'),
    [
        ({'a': Decimal('1.10')}, {}, '{"a": 1.10}'),
        ({'a': Decimal('1.10')}, {'use_decimal': True, 'indent': 1}, '{\n "a": 1.10\n}'),
        ([Point(1, 2)], {}, '[{"x": 1, "y": 2}]'),
        ([Point(1, 2)], {'namedtuple_as_object': False}, '[[1, 2]]'),
        ([Own()], {'for_json': True}, '[{"own": 1.10}]'),
        ([float('nan'), 1.5], {'ignore_nan': True}, '[null, 1.5]'),
        ([2**60, 1], {'bigint_as_string': True}, '["1152921504606846976", 1]'),
        (map(abs, [-1]), {'iterable_as_array': True}, '[1]'),
        ({'b': 1, 'a': 2}, {'item_sort_key': lambda item: item[0]}, '{"a": 2, "b": 1}'),
        ({b'a': b'x'}, {'encoding': 'utf-8'}, '{"a": "x"}'),
        ({1}, {'default': lambda value: [Decimal(each) for each in value]}, '[1]'),
        (simplejson.RawJSON('{}'), {}, '{}'),
        ({'a': [1, 'é', None]}, {'separators': (',', ':'), 'ensure_ascii': False}, '{"a":[1,"é",null]}'),
    ],
)
def test_simplejson_writes(value, options, text):
    assert simplejson.dumps(value, **options) == text


def test_simplejson_refuses_and_reads():
    with pytest.raises(TypeError, match='Decimal'):
        simplejson.dumps(Decimal(1), use_decimal=False)
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match='contains itself'):
        simplejson.dumps(endless)
    assert simplejson.loads('{"a": 1.10}', use_decimal=True) == {'a': Decimal('1.10')}
    assert simplejson.loads(b'[1]', encoding='utf-8') == [1]

    class Encoder(simplejson.JSONEncoder):
        def default(self, o):
            return sorted(o)

    assert simplejson.dumps({'a': {2, 1}}, cls=Encoder) == '{"a": [1, 2]}'
    with pytest.raises(simplejson.JSONDecodeError):
        simplejson.loads('x')


def test_ujson():
    assert ujson.dumps({'a': ['b/c', Decimal('1.5')]}) == '{"a":["b\\/c",1.5]}'
    assert ujson.dumps('</a>', escape_forward_slashes=False, encode_html_chars=True) == '"\\u003c/a\\u003e"'
    assert json.loads(ujson.encode([1, None])) == ujson.loads('[1, null]', precise_float=True)


def test_jsonpointer():
    # the examples of RFC 6901
    document = {'foo': ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'm~n': 8}
    for pointer, value in [
        ('', document),
        ('/foo', ['bar', 'baz']),
        ('/foo/0', 'bar'),
        ('/', 0),
        ('/a~1b', 1),
        ('/c%d', 2),
        ('/m~0n', 8),
    ]:
        assert jsonpointer.resolve_pointer(document, pointer) == value
        assert jsonpointer.JsonPointer(pointer).path == pointer
    assert jsonpointer.resolve_pointer(document, '/nothing/x', 'default') == 'default'
    for pointer in ['/nothing', '/foo/2', '/foo/01', '/foo/x', '/foo/0/x/y', 'foo', '/m~n']:
        with pytest.raises(jsonpointer.JsonPointerException):
            jsonpointer.resolve_pointer(document, pointer)
    jsonpointer.set_pointer(document, '/foo/-', 'new')
    assert jsonpointer.resolve_pointer(document, '/foo/2') == 'new'
    copied = jsonpointer.set_pointer(document, '/foo/0', 'other', inplace=False)
    assert (copied['foo'][0], document['foo'][0]) == ('other', 'bar')
    assert jsonpointer.JsonPointer('/a').contains(jsonpointer.JsonPointer('/a') / ['b'] / '/c')


def test_what_cannot_be_served_says_what_to_do():
    with pytest.raises(NotImplementedError, match=r'self\.outgoing\.soap'):
        suds.client.Client('http://localhost/?wsdl')
    assert issubclass(suds.client.WebFault, Exception)
    with pytest.raises(NotImplementedError, match=r"with self\.lock\('a'\)"), retools.lock.Lock('a'):
        pass
    assert retools.lock.LockTimeout is __import__('zato.distlock', fromlist=['x']).LockTimeout
