"""Stands in for the package ``ujson``: the standard library's ``json``, written as tightly as ujson does."""

from __future__ import annotations

import json
from json import JSONDecodeError
from typing import Any

from busbar.stand_ins.simplejson import JSONEncoder

__all__ = ['JSONDecodeError', 'decode', 'dump', 'dumps', 'encode', 'load', 'loads']

__version__ = '0'


class _Encoder(JSONEncoder):
    """What ujson writes that json does not."""

    def default(self, o: Any) -> Any:
        """Objects that say how they are written."""
        for name in ('__json__', 'toDict'):
            if callable(method := getattr(o, name, None)):
                made = method()
                return json.loads(made) if name == '__json__' else made
        return super().default(o)


def dumps(
    obj: Any,
    ensure_ascii: bool = True,
    encode_html_chars: bool = False,
    escape_forward_slashes: bool = True,
    sort_keys: bool = False,
    indent: int = 0,
    allow_nan: bool = True,
    reject_bytes: bool = False,
    default: Any = None,
    separators: Any = None,
    double_precision: int | None = None,
) -> str:
    """The text of a value. Numbers have all of their digits, whatever ``double_precision`` says."""
    text = _Encoder(
        ensure_ascii=ensure_ascii,
        sort_keys=sort_keys,
        indent=indent or None,
        allow_nan=allow_nan,
        default=default,
        separators=separators or ((',', ': ') if indent else (',', ':')),
        encoding=None if reject_bytes else 'utf-8',
    ).encode(obj)
    if escape_forward_slashes:
        text = text.replace('/', '\\/')
    if encode_html_chars:
        for letter in '&<>':
            text = text.replace(letter, f'\\u{ord(letter):04x}')
    return text


def dump(obj: Any, fp: Any, **options: Any) -> None:
    """Writes a value to a file."""
    fp.write(dumps(obj, **options))


def loads(obj: str | bytes | bytearray, precise_float: bool = True) -> Any:
    """The value of a text."""
    return json.loads(obj)


def load(fp: Any, precise_float: bool = True) -> Any:
    """The value that is in a file."""
    return loads(fp.read())


encode, decode = dumps, loads
