"""``self.cache``: values that all services of a node share, in memory.

The cache lives in the hub: all workers see the same, and nothing is lost when one of them dies. It is empty when the
server starts.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from _busbar import Service, ask_hub, pack_exactly, unpack

__all__ = ['Cache', 'CacheAPI', 'Entry', 'KeyExpiredError']

_DEFAULT: Final = 'default'
_MISSING: Final = object()
_LENGTH: Final = struct.Struct('<I')


class KeyExpiredError(KeyError):
    """An item has expired. Never raised: what has expired is not there."""


class Entry:
    """One item with what is known of it: ``details=True``."""

    def __init__(self, key: str | int, value: Any, details: dict[str, Any]) -> None:
        self.key = key
        self.value = value
        self.hash = hash(key)
        self.expiry: float = details['expiry']
        self.expires_at: float | None = details['expires_at'] or None
        self.hits: int = details['hits']
        self.position: int = details['position']
        self.last_read: float | None = details['last_read'] or None
        self.prev_read: float | None = details['prev_read'] or None
        self.last_write: float | None = details['last_write'] or None
        self.prev_write: float | None = details['prev_write'] or None

    def __getattr__(self, name: str) -> str | None:
        """The times as text: ``last_read_iso``, ``expires_at_http`` and so on."""
        base, _, form = name.rpartition('_')
        if form not in ('iso', 'http') or base not in _TIMES:
            message = f'an entry of a cache has no attribute {name!r}'
            raise AttributeError(message)
        seconds: float | None = getattr(self, base)
        if seconds is None:
            return None
        try:
            moment = datetime.fromtimestamp(seconds, UTC)
        except (OverflowError, ValueError, OSError):
            # it expires after the last moment that can be written
            moment = datetime.max.replace(tzinfo=UTC)
        if form == 'iso':
            return moment.replace(tzinfo=None).isoformat()
        # every worker imports this module, and few ask for such a time
        from email.utils import format_datetime

        return format_datetime(moment, usegmt=True)

    def to_dict(self) -> dict[str, Any]:
        """All of it."""
        names = ('key', 'value', 'hash', 'expiry', 'hits', 'position', *_TIMES)
        times = {f'{name}_{form}': getattr(self, f'{name}_{form}') for name in _TIMES for form in ('iso', 'http')}
        return {name: getattr(self, name) for name in names} | times

    def __repr__(self) -> str:
        return f'<cache entry `{self.key}`>'


_TIMES: Final = ('expires_at', 'last_read', 'prev_read', 'last_write', 'prev_write')


def _pack(value: Any) -> bytes:
    """A value as it is kept: as JSON if that brings it back exactly, else as a pickle, which only our workers read."""
    if (plain := pack_exactly(value)) is not None:
        return b'j' + plain
    import pickle  # every worker imports this module, and most keep what JSON can hold

    try:
        return b'p' + pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as e:
        kind = f'{type(value).__module__}.{type(value).__qualname__}'
        message = f'cannot cache an object of type `{kind}`: it cannot be pickled ({e})'
        raise TypeError(message) from e


def _unpack(packed: bytes) -> Any:
    if packed[:1] == b'j':
        return unpack(packed[1:])
    import pickle

    # made by `_pack` in a worker of this server, never by anybody outside
    return pickle.loads(packed[1:])


def _key(key: str | int) -> str:
    if isinstance(key, str):
        return 's' + key
    if isinstance(key, int) and not isinstance(key, bool):
        return f'i{key}'
    message = f'keys of caches are text or whole numbers, not {type(key).__name__}'
    raise TypeError(message)


class Cache:
    """A cache, by the ways of a dictionary and more.

    Keys are text or whole numbers. ``expiry`` is in seconds, and 0 is never. In bulk methods ``limit`` is how many
    items at most, and 0 is all.
    """

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self.name = name

    # === one item ===

    def set(self, key: str | int, value: Any, expiry: float = 0.0, details: bool = False) -> Any:
        """Puts a value under a key. With ``details`` the entry is given back."""
        self._ask('set', {'what': [_key(key)], 'expiry': float(expiry or 0)}, value)
        return self._one(key, details=True, peek=True, default=None) if details else None

    def get(self, key: str | int, default: Any = None, details: bool = False) -> Any:
        """The value under a key, or the default."""
        return self._one(key, details=details, peek=False, default=default)

    def delete(self, key: str | int, raise_key_error: bool = True) -> Any:
        """Removes a value and gives it back.

        :raises KeyError: if it is not there.
        """
        found = self._ask('delete', {'what': [_key(key)]})
        if found:
            return found[0][1]
        if raise_key_error:
            raise KeyError(key)
        return None

    def expire(self, key: str | int, expiry: float = 0.0) -> bool:
        """Says when a value expires, from now on. False if it is not there."""
        return bool(self._ask('expire', {'what': [_key(key)], 'expiry': float(expiry or 0)}))

    # === all of them ===

    def keys(self) -> list[str | int]:
        """All keys, the oldest first."""
        return [key for key, *_ in self._all()]

    def values(self) -> list[Any]:
        """All values, the oldest first."""
        return [value for _, value, _ in self._all()]

    def items(self) -> list[tuple[str | int, Any]]:
        """All keys with their values, the oldest first."""
        return [(key, value) for key, value, _ in self._all()]

    def iterkeys(self) -> Iterator[str | int]:
        """The same as ``keys``, one by one."""
        return iter(self.keys())

    def itervalues(self) -> Iterator[Any]:
        """The same as ``values``, one by one."""
        return iter(self.values())

    def iteritems(self) -> Iterator[tuple[str | int, Any]]:
        """The same as ``items``, one by one."""
        return iter(self.items())

    def clear(self) -> None:
        """Removes everything."""
        self._ask('delete', {'how': 'all'})

    def has_key(self, key: str | int) -> bool:
        """Whether there is such a key."""
        return bool(self._ask('get', {'what': [_key(key)], 'peek': True}))

    def __contains__(self, key: str | int) -> bool:
        return self.has_key(key)

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str | int]:
        return self.iterkeys()

    def __getitem__(self, key: str | int | slice) -> Any:
        """The value under a key or ``None``; of a slice the values at these positions."""
        return self.values()[key] if isinstance(key, slice) else self.get(key)

    def __setitem__(self, key: str | int, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str | int) -> None:
        self.delete(key)

    # === many ===

    def get_by_prefix(self, key: str, details: bool = False, limit: int = 0) -> dict[Any, Any]:
        """Items whose keys begin with this."""
        return self._get_many('prefix', key, details, limit)

    def get_by_suffix(self, key: str, details: bool = False, limit: int = 0) -> dict[Any, Any]:
        """Items whose keys end with this."""
        return self._get_many('suffix', key, details, limit)

    def get_by_regex(self, key: str, details: bool = False, limit: int = 0) -> dict[Any, Any]:
        """Items in whose keys this regular expression is found."""
        return self._get_many('regex', key, details, limit)

    def get_contains(self, key: str, details: bool = False, limit: int = 0) -> dict[Any, Any]:
        """Items whose keys contain this."""
        return self._get_many('contains', key, details, limit)

    def get_not_contains(self, key: str, details: bool = False, limit: int = 0) -> dict[Any, Any]:
        """Items whose keys do not contain this."""
        return self._get_many('not-contains', key, details, limit)

    def get_contains_all(self, key: list[str], details: bool = False, limit: int = 0) -> dict[Any, Any]:
        """Items whose keys contain all of these."""
        return self._get_many('contains-all', key, details, limit)

    def get_contains_any(self, key: list[str], details: bool = False, limit: int = 0) -> dict[Any, Any]:
        """Items whose keys contain one of these."""
        return self._get_many('contains-any', key, details, limit)

    def __getattr__(self, name: str) -> Any:
        """``set_``, ``delete_`` and ``expire_`` with the endings that ``get_`` has."""
        action, _, rest = name.partition('_')
        how = rest.removeprefix('by_').replace('_', '-')
        is_by = rest.startswith('by_')
        if action not in ('set', 'delete', 'expire') or how not in _HOW or is_by != (how in _BY):
            message = f'caches have no attribute {name!r}'
            raise AttributeError(message)

        def set_many(
            key: Any, value: Any, expiry: float = 0.0, return_found: bool = False, details: bool = False, limit: int = 0
        ) -> dict[Any, Any] | None:
            ask = self._ask_for(how, key, limit) | {'expiry': float(expiry or 0), 'details': details}
            found = self._ask('set', ask, value)
            return _dictionary(found, details) if return_found else None

        def delete_many(key: Any, return_found: bool = False, limit: int = 0) -> dict[Any, Any] | None:
            found = self._ask('delete', self._ask_for(how, key, limit))
            return _dictionary(found, details=False) if return_found else None

        def expire_many(key: Any, expiry: float = 0.0, limit: int = 0) -> None:
            self._ask('expire', self._ask_for(how, key, limit) | {'expiry': float(expiry or 0)})

        return {'set': set_many, 'delete': delete_many, 'expire': expire_many}[action]

    # === for administrators: looking is not reading ===

    def entries(self) -> list[Entry]:
        """All items with what is known of them, the oldest first."""
        found = self._ask('get', {'how': 'all', 'peek': True, 'details': True})
        return [Entry(key, value, known) for key, value, known in found]

    def entry(self, key: str | int) -> Entry | None:
        """One of them."""
        entry: Entry | None = self._one(key, details=True, peek=True, default=None)
        return entry

    # === how it is done ===

    def _get_many(self, how: str, key: Any, details: bool, limit: int) -> dict[Any, Any]:
        found = self._ask('get', self._ask_for(how, key, limit) | {'details': details})
        return _dictionary(found, details)

    def _ask_for(self, how: str, key: Any, limit: int) -> dict[str, Any]:
        if how == 'regex':
            # matched here, by the rules of Python
            pattern = re.compile(key)
            found = [one for one in self.keys() if isinstance(one, str) and pattern.search(one)]
            return {'how': 'keys', 'what': [_key(one) for one in (found[:limit] if limit else found)]}
        return {'how': how, 'what': [key] if isinstance(key, str) else list(key), 'limit': limit}

    def _one(self, key: str | int, *, details: bool, peek: bool, default: Any) -> Any:
        found = self._ask('get', {'what': [_key(key)], 'peek': peek, 'details': details})
        if not found:
            return default
        _, value, known = found[0]
        return Entry(key, value, known) if details else value

    def _all(self) -> list[tuple[str | int, Any, dict[str, Any]]]:
        return self._ask('get', {'how': 'all', 'peek': True})

    def _ask(self, operation: str, ask: dict[str, Any], value: Any = _MISSING) -> list[Any]:
        parts = [json.dumps(ask).encode('ascii')]
        if value is not _MISSING:
            parts.append(_pack(value))
        answer = ask_hub(self._service, 'cache', self.name, operation, parts)
        position = _LENGTH.size

        def part() -> bytes:
            nonlocal position
            (length,) = _LENGTH.unpack_from(answer, position)
            start, position = position + _LENGTH.size, position + _LENGTH.size + length
            return answer[start:position]

        (count,) = _LENGTH.unpack_from(answer, 0)
        items = []
        for _ in range(count):
            key, known, packed = part().decode('utf8'), part(), part()
            shown = key[1:] if key[0] == 's' else int(key[1:])
            items.append((shown, _unpack(packed), json.loads(known) if known else {}))
        return items

    def __repr__(self) -> str:
        return f'<cache `{self.name}`>'


_BY: Final = ('prefix', 'suffix', 'regex')
_HOW: Final = (*_BY, 'contains', 'not-contains', 'contains-all', 'contains-any')


def _dictionary(found: list[Any], details: bool) -> dict[Any, Any]:
    return {key: Entry(key, value, known) if details else value for key, value, known in found}


class CacheAPI:
    """``self.cache``: the caches, and itself the default one."""

    def __init__(self, service: Service) -> None:
        self._service = service
        #: The default cache.
        self.default = Cache(service, _DEFAULT)

    def get_cache(self, type: str, name: str) -> Cache:
        """The cache of that type and name.

        :raises KeyError: if there is none.
        """
        if type == 'builtin':
            return self.get_builtin_cache(name)
        return self.get_memcached_cache(name)

    def get_builtin_cache(self, name: str) -> Cache:
        """The built-in cache of that name.

        :raises KeyError: if there is none.
        """
        if name != _DEFAULT:
            raise KeyError(name)
        return self.default

    def get_memcached_cache(self, name: str) -> Cache:
        """Always fails: there is no memcached here, and the built-in cache does the same.

        :raises KeyError: always.
        """
        message = f'there is no memcached cache `{name}`: this server has the built-in cache `{_DEFAULT}` only'
        raise KeyError(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.default, name)

    def __getitem__(self, key: str | int | slice) -> Any:
        return self.default[key]

    def __setitem__(self, key: str | int, value: Any) -> None:
        self.default[key] = value

    def __delitem__(self, key: str | int) -> None:
        del self.default[key]

    def __contains__(self, key: str | int) -> bool:
        return key in self.default

    def __len__(self) -> int:
        return len(self.default)

    def __bool__(self) -> bool:
        return True
