"""Stands in for the package ``simplejson``: the standard library's ``json`` with the options that only simplejson has.

Of options that make no difference here, such as ``encoding`` of what is read, nothing is done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from json import JSONDecodeError
from math import isfinite
from typing import Any, Final
from uuid import uuid4

__all__ = ['JSONDecodeError', 'JSONDecoder', 'JSONEncoder', 'RawJSON', 'dump', 'dumps', 'load', 'loads']

__version__ = '0'

_OWN: Final = {
    'bigint_as_string': False,
    'encoding': 'utf-8',
    'for_json': False,
    'ignore_nan': False,
    'int_as_string_bitcount': None,
    'item_sort_key': None,
    'iterable_as_array': False,
    'namedtuple_as_object': True,
    'tuple_as_array': True,
    'use_decimal': True,
}


class RawJSON:
    """JSON that is written as it is."""

    def __init__(self, encoded_json: str) -> None:
        self.encoded_json = encoded_json


class JSONEncoder(json.JSONEncoder):
    """Writes JSON."""

    def __init__(self, **options: Any) -> None:
        self._own = {name: options.pop(name, default) for name, default in _OWN.items()}
        # simplejson took `None` for a default of its own
        super().__init__(**options)

    def encode(self, o: Any) -> str:
        """The text of a value."""
        return _Writing(self, self._own).text(o)

    def iterencode(self, o: Any, _one_shot: bool = False) -> Any:
        """The text of a value, in pieces."""
        yield self.encode(o)


class _Writing:
    """One value that is written. What JSON has a form for and ``json`` has not is put in at the end."""

    def __init__(self, encoder: JSONEncoder, own: dict[str, Any]) -> None:
        self._encoder = encoder
        self._own = own
        self._mark = ''
        self._raw: list[str] = []
        bits = own['int_as_string_bitcount'] or (53 if own['bigint_as_string'] else None)
        self._limit = None if bits is None else 1 << bits

    def text(self, value: Any) -> str:
        given = self._encoder
        inner = json.JSONEncoder(
            skipkeys=given.skipkeys,
            ensure_ascii=given.ensure_ascii,
            check_circular=given.check_circular,
            allow_nan=given.allow_nan,
            sort_keys=given.sort_keys,
            indent=given.indent,
            separators=(given.item_separator, given.key_separator),
            default=self._default,
        )
        try:
            text = inner.encode(self._plain(value))
        except RecursionError as e:
            error = 'cannot write JSON: the value contains itself, or has too many levels'
            raise ValueError(error) from e
        if not self._raw:
            return text
        return re.sub(f'"{self._mark}(\\d+)"', lambda found: self._raw[int(found[1])], text)

    def _default(self, value: Any) -> Any:
        if self._own['iterable_as_array'] and isinstance(value, Iterable):
            return self._plain(list(value))
        return self._plain(self._encoder.default(value))

    def _as_it_is(self, text: str) -> str:
        self._mark = self._mark or uuid4().hex
        self._raw.append(text)
        return f'{self._mark}{len(self._raw) - 1}'

    def _plain(self, value: Any) -> Any:
        """The value in types that ``json`` writes as simplejson would."""
        own = self._own
        if value is None or isinstance(value, (str, bool)):
            return value
        if own['for_json'] and callable(to_json := getattr(value, 'for_json', None)):
            return self._plain(to_json())
        if isinstance(value, int):
            limit = self._limit
            return str(value) if limit is not None and not -limit < value < limit else value
        if isinstance(value, float):
            return None if own['ignore_nan'] and not isfinite(value) else value
        if isinstance(value, Decimal) and own['use_decimal']:
            return self._decimal(value)
        if isinstance(value, RawJSON):
            return self._as_it_is(value.encoded_json)
        if isinstance(value, (bytes, bytearray)) and own['encoding']:
            return value.decode(own['encoding'])
        if (
            own['namedtuple_as_object']
            and isinstance(value, tuple)
            and callable(fields := getattr(value, '_asdict', 0))
        ):
            return self._plain(fields())
        if isinstance(value, dict):
            items = ((self._key(key), self._plain(each)) for key, each in value.items())
            return dict(sorted(items, key=own['item_sort_key']) if own['item_sort_key'] else items)
        if isinstance(value, list) or (isinstance(value, tuple) and own['tuple_as_array']):
            return [self._plain(each) for each in value]
        return value

    def _decimal(self, value: Decimal) -> Any:
        if value.is_finite():
            return self._as_it_is(str(value))
        return self._plain(float(value))

    def _key(self, key: Any) -> Any:
        if isinstance(key, bytes) and self._own['encoding']:
            return key.decode(self._own['encoding'])
        return str(key) if isinstance(key, Decimal) else key


class JSONDecoder(json.JSONDecoder):
    """Reads JSON."""

    def __init__(self, encoding: Any = None, use_decimal: bool = False, allow_nan: bool = True, **options: Any) -> None:
        if use_decimal:
            options['parse_float'] = Decimal
        super().__init__(**options)


def dumps(obj: Any, *, cls: type[JSONEncoder] | None = None, default: Any = None, **options: Any) -> str:
    """The text of a value."""
    return (cls or JSONEncoder)(default=default, **options).encode(obj)


def dump(obj: Any, fp: Any, **options: Any) -> None:
    """Writes a value to a file."""
    fp.write(dumps(obj, **options))


def loads(
    s: str | bytes | bytearray,
    encoding: Any = None,
    cls: Callable[..., json.JSONDecoder] | None = None,
    *,
    use_decimal: bool = False,
    allow_nan: bool = True,
    **options: Any,
) -> Any:
    """The value of a text."""
    if use_decimal:
        options['parse_float'] = Decimal
    return json.loads(s, cls=cls, **options)  # type: ignore[arg-type]


def load(fp: Any, encoding: Any = None, **options: Any) -> Any:
    """The value that is in a file."""
    return loads(fp.read(), encoding, **options)
