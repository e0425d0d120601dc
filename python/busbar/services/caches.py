"""The built-in cache for administrators: there is one, and all services share it."""

from __future__ import annotations

import json
from typing import Any

from busbar.facilities.cache import Entry
from busbar.facilities.cache_admin import CACHE_ID, CacheAdminService
from busbar.facilities.kvdb_calls import answer
from zato.common.exception import Conflict


class GetList(CacheAdminService):
    """Lists the caches."""

    name = 'zato.cache.builtin.get-list'

    def handle(self) -> None:
        """Lists them."""
        answer(self, [self.described()])


class Get(CacheAdminService):
    """Shows a cache."""

    name = 'zato.cache.builtin.get'

    def handle(self) -> None:
        """Shows it."""
        self.cache_of_request()
        answer(self, self.described())


class Clear(CacheAdminService):
    """Empties a cache."""

    name = 'zato.cache.builtin.clear'

    def handle(self) -> None:
        """Empties it."""
        self.cache_of_request().clear()


class EntryGetList(CacheAdminService):
    """Lists the entries of a cache."""

    name = 'zato.cache.builtin.entry.get-list'

    def handle(self) -> None:
        """Lists them, long values cut off."""
        cache = self.cache_of_request()
        most = self.count('max_chars', 30)
        query = str(self.values.get('query') or '').lower().split()
        found = []
        for entry in cache.entries():
            if all(word in str(entry.key).lower() for word in query):
                found.append(self.item(entry, most))
        answer(self, found)

    def item(self, entry: Entry, most: int) -> dict[str, Any]:
        """An entry."""
        value = entry.value if isinstance(entry.value, str) else json.dumps(entry.value, default=str)
        return {
            'cache_id': CACHE_ID,
            'key': entry.key,
            'position': entry.position,
            'hits': entry.hits,
            'expiry_op': entry.expiry,
            'expires_at': entry.expires_at_iso,
            'last_read': entry.last_read_iso,
            'prev_read': entry.prev_read_iso,
            'last_write': entry.last_write_iso,
            'prev_write': entry.prev_write_iso,
            'server': self.server.name,
            'value': value[:most],
            'chars_omitted': max(len(value) - most, 0),
        }


class EntryCreate(CacheAdminService):
    """Puts an entry in."""

    name = 'zato.cache.builtin.entry.create'

    def handle(self) -> None:
        """Puts it in, unless it is there and is not to be replaced."""
        cache, key = self.cache_of_request(), self.key()
        if key in cache and not self.values.get('replace_existing'):
            raise Conflict(self.cid, f'there is an entry `{key}` already', True)
        cache.set(key, self.typed(self.values.get('value', ''), 'value_data_type'), self.expiry())


class EntryUpdate(CacheAdminService):
    """Changes an entry."""

    name = 'zato.cache.builtin.entry.update'

    def handle(self) -> None:
        """Changes it; one that has another key now is gone under the old one."""
        cache, key = self.cache_of_request(), self.key()
        cache.set(key, self.typed(self.values.get('value', ''), 'value_data_type'), self.expiry())
        if self.values.get('old_key') not in (None, '') and (old := self.key('old_key')) != key:
            cache.delete(old, raise_key_error=False)


class EntryGet(CacheAdminService):
    """Shows an entry."""

    name = 'zato.cache.builtin.entry.get'

    def handle(self) -> None:
        """Shows it."""
        entry = self.cache_of_request().entry(self.key())
        if entry is None:
            answer(self, {'key_found': False})
            return
        values = {
            'key_found': True,
            'key': entry.key,
            'value': entry.value,
            'is_key_integer': isinstance(entry.key, int),
            'is_value_integer': isinstance(entry.value, int),
            'expiry': entry.expiry,
        }
        answer(self, values)


class EntryDelete(CacheAdminService):
    """Takes an entry out."""

    name = 'zato.cache.builtin.entry.delete'

    def handle(self) -> None:
        """Takes it out and says whether it was there."""
        cache, key = self.cache_of_request(), self.key()
        was_there = key in cache
        cache.delete(key, raise_key_error=False)
        answer(self, {'key_found': was_there})
