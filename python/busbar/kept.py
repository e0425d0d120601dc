"""Values that outlive their process: plain data that JSON has no word for, and back.

What JSON can carry is left as it is. Anything else becomes ``{'$busbar': [what, value]}``.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

__all__ = ['from_plain', 'to_plain']

_MARK = '$busbar'
_MAX_DEPTH = 150


def _text(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode('ascii')


# the exact type, what it is called, to JSON and back
_KINDS: list[tuple[type, str, Callable[[Any], Any], Callable[[Any], Any]]] = [
    (datetime, 'datetime', datetime.isoformat, datetime.fromisoformat),
    (date, 'date', date.isoformat, date.fromisoformat),
    (time, 'time', time.isoformat, time.fromisoformat),
    (
        timedelta,
        'timedelta',
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda value: timedelta(days=value[0], seconds=value[1], microseconds=value[2]),
    ),
    (Decimal, 'decimal', str, Decimal),
    (UUID, 'uuid', str, UUID),
    (bytes, 'bytes', _text, base64.b64decode),
    (bytearray, 'bytearray', _text, lambda value: bytearray(base64.b64decode(value))),
    (complex, 'complex', lambda value: [value.real, value.imag], lambda value: complex(*value)),
]
_BY_TYPE = {kind: (name, pack) for kind, name, pack, _ in _KINDS}
_BY_NAME = {name: unpack for _, name, _, unpack in _KINDS}
_GROUPS: dict[type, str] = {tuple: 'tuple', set: 'set', frozenset: 'frozenset'}
_MAKE_GROUP: dict[str, Callable[[list[Any]], Any]] = {'tuple': tuple, 'set': set, 'frozenset': frozenset}


def to_plain(value: Any, depth: int = _MAX_DEPTH) -> Any:
    """The value as JSON can carry it. Data classes and models become dictionaries.

    :raises TypeError: if something in it is no plain data; it says of which type.
    """
    if depth == 0:
        message = f'cannot keep a value that has more than {_MAX_DEPTH} levels, or contains itself'
        raise ValueError(message)
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        # infinity and the like are not numbers of JSON
        return float(value) if abs(value) < float('inf') else {_MARK: ['float', repr(float(value))]}
    if isinstance(value, dict):
        return _dictionary(value, depth)
    if isinstance(value, list):
        return [to_plain(item, depth - 1) for item in value]
    if isinstance(value, (tuple, set, frozenset)):
        name = next(name for kind, name in _GROUPS.items() if isinstance(value, kind))
        return {_MARK: [name, [to_plain(item, depth - 1) for item in value]]}
    for kind in type(value).__mro__:
        if known := _BY_TYPE.get(kind):
            name, pack = known
            return {_MARK: [name, pack(value)]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name), depth - 1) for field in fields}
    of_type = f'{type(value).__module__}.{type(value).__qualname__}'
    message = f'cannot keep an object of type `{of_type}`: only plain data (text, numbers, dates...) outlives a process'
    raise TypeError(message)


def _dictionary(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    if all(isinstance(key, str) for key in value) and _MARK not in value:
        return {key: to_plain(item, depth - 1) for key, item in value.items()}
    return {_MARK: ['dict', [[to_plain(key, depth - 1), to_plain(item, depth - 1)] for key, item in value.items()]]}


def from_plain(value: Any) -> Any:
    """What :func:`to_plain` was given."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {_MARK}:
        return {key: from_plain(item) for key, item in value.items()}
    name, inner = value[_MARK]
    if name == 'dict':
        return {from_plain(key): from_plain(item) for key, item in inner}
    if name == 'float':
        return float(inner)
    if make := _MAKE_GROUP.get(name):
        return make([from_plain(item) for item in inner])
    return _BY_NAME[name](inner)
