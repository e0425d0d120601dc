"""What ``busbar check`` finds of Python 2 in a file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from busbar.python2 import findings

OLD = [
    ("print 'a', b", 'print is a function'),
    ('print', 'print is a function'),
    ('print >>sys.stderr, x', 'print is a function'),
    ("print ('%s') % a", 'print is a function'),
    ("exec 'code'", 'exec is a function'),
    ('try:\n    pass\nexcept ValueError, e:\n    pass', 'except ValueError as e'),
    ('try:\n    pass\nexcept (A, B), e:\n    pass', 'except (A,B) as e'),
    ("raise ValueError, 'x'", "raise E('text')"),
    ('if a <> b: pass', '<> is !='),
    ('x = `y`', 'repr(x)'),
    ('x = 0777', '0o777'),
    ('x = 10L', '10L is 10'),
    ("x = ur'\\d'", "ur'...'"),
    ('x = unicode(y)', '`unicode` is `str`'),
    ('isinstance(x, basestring)', '`basestring`'),
    ('for i in xrange(3): pass', '`xrange` is `range`'),
    ('d.has_key(1)', '.has_key(key)'),
    ('for k, v in d.iteritems(): pass', '.iteritems() is .items()'),
    ('import httplib', '`httplib` is `http.client`'),
    ('import os, urllib2 as u', '`urllib2` is'),
    ('from cStringIO import StringIO', '`cStringIO`'),
    ('from urllib import urlencode', '`urllib.urlencode` is `urllib.parse.urlencode`'),
    ('import urllib\nurllib.quote(x)', '`urllib.quote` is `urllib.parse.quote`'),
    ('def f(a, (b, c)): pass', 'cannot be a tuple'),
    ('class A:\n    def __nonzero__(self): pass', '`__bool__`'),
    ('class A:\n    __metaclass__ = M', 'metaclass=M'),
    ('if a:\n    \tpass', 'tabs and spaces'),
    ('x = reduce(f, y)', '`reduce` is `functools.reduce`'),
]

NEW = """
from __future__ import print_function
from functools import reduce
import http.client, urllib.parse
'''print 'in a text', 0777, `x` <> y
raise E, 'x'
'''
# print 'in a comment'
print('a', b)
print(('%s' % a), file=c)
print((1, 2))
x = reduce(f, y); x = 0o777; x = 0; x = 00; x = 0.5; y = 1_000
try:
    pass
except (A, B):
    pass
except A as e:
    raise ValueError('a', 'b') from e
def f(a=(1, 2), *, b: dict[str, int] = {}, c=lambda x, y: (x, y)): pass
self.unicode = obj.long = 1
call(cmp=1)
d = {'a': lambda: 1}
s = f'{a!r:>{width}}' r'\\d'; y = b'x'
unicode = str
unicode(x)
match x:
    case (a, b): pass
"""


@pytest.mark.parametrize(('source', 'hint'), OLD)
def test_what_is_old_is_found_where_it_is(source, hint):
    found = findings(b'# first\n' + source.encode())
    assert any(hint in text for _, text in found), found
    assert len({text for _, text in found}) == 1
    assert found[0][0] > 1


def test_what_is_not_old_is_left_alone():
    ast.parse(NEW)
    assert findings(NEW.encode()) == []


def test_the_projects_own_files_are_not_old():
    root = Path(__file__).resolve().parent.parent.parent / 'python'
    for path in root.rglob('*.py'):
        # a cache has methods of those names
        if path.name not in {'cache.py', 'old_imports.py', 'python2.py'}:
            assert findings(path.read_bytes()) == [], path


def test_lines_are_counted_as_editors_do():
    source = b"\xef\xbb\xbf# -*- coding: latin-1 -*-\r\nx = '''a\r\nb'''\r\nif x == (1,\r\n  2):\r\n    print 'a'\r\n"
    assert [line for line, _ in findings(source)] == [6]


def test_a_bracket_that_is_never_closed_hides_little():
    assert [line for line, _ in findings(b"x = (1,\n\ndef f():\n    print 'a'\n")] == [4]


def test_any_bytes_are_taken():
    for source in (
        b'',
        b'\0\xff\xfe',
        b"'''",
        b'"\\',
        b'except',
        b'raise',
        b'from',
        b'import',
        b'print >>',
        b'(((',
        b'def f((',
    ):
        findings(source)
