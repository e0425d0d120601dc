"""What ``busbar check`` says of a file that parses."""

from __future__ import annotations

import pytest

from busbar.check import findings

MISSING = [
    ('amqp', 'self.amqp is not supported yet'),
    ('odb', 'self.odb is not in busbar: use `self.outgoing.sql`'),
    ('outgoing.ftp', 'self.outgoing.ftp is not supported yet'),
    ('request.amqp', 'self.request.amqp is not supported yet'),
]


def told(source):
    return [text for _, text in findings(source.encode(), MISSING)]


def in_service(line):
    return f'class A:\n    def handle(self):\n        {line}\n'


def test_what_is_not_there_is_told_of():
    for line, text in [
        ('self.amqp.send()', MISSING[0][1]),
        ('x = self.odb', MISSING[1][1]),
        ('self.outgoing.ftp["a"].conn', MISSING[2][1]),
        ('self.request.amqp.ack()', MISSING[3][1]),
    ]:
        assert told(in_service(line)) == [text]
    assert findings(in_service('self.odb').encode(), MISSING)[0][0] == 3


@pytest.mark.parametrize(
    'line', ['self.amqp = 1; self.amqp.x', 'self.ftp', 'other.amqp', 'self.x.amqp', 'self.outgoing.sql']
)
def test_what_is_ones_own_or_there_is_not(line):
    assert told(in_service(line)) == []


@pytest.mark.parametrize(
    ('source', 'part'),
    [
        ('x.keys()[0]', '.keys() of a dictionary cannot be indexed'),
        ('{}.items()[0]', '.items() of a dictionary'),
        ('map(f, x)[0]', 'map(...) cannot be indexed'),
        ('len(filter(f, x))', 'filter(...) has no length'),
        ('x.values() + y', '.values() of a dictionary cannot be added'),
        ('x.keys().sort()', 'has no .sort()'),
        ("'x'.decode('utf-8')", 'text has no .decode()'),
        ("x.encode('base64')", 'base64.b64encode'),
        ("x.decode('HEX')", 'bytes.fromhex'),
        ('x.sort(cmp=f)', 'cmp_to_key'),
        ('sorted(x, cmp=f)', 'cmp_to_key'),
        ("raise 'text'", 'a text cannot be raised'),
        ('try:\n    pass\nexcept ValueError as e:\n    f(e.message)', 'no .message'),
    ],
)
def test_what_fails_when_it_runs_is_told_of(source, part):
    (text,) = told(source)
    assert part in text


@pytest.mark.parametrize(
    'source',
    [
        'list(x.keys())[0]',
        'x.keys(1)[0]',
        "b'x'.decode()",
        "x.encode('utf-8')",
        'x.sort(key=f)',
        'def map(f, x): return []\nmap(f, x)[0]',
        'try:\n    pass\nexcept Own as e:\n    f(e.message)',
        'for x in map(f, y): pass',
        'def broken(',
    ],
)
def test_what_works_is_not(source):
    assert told(source) == []
