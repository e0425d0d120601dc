"""What the services have in common that manage the built-in cache."""

from __future__ import annotations

import math
from typing import Any, Final

from busbar.facilities.cache import Cache
from zato.common.exception import BadRequest, NotFound
from zato.server.service import Service

__all__ = ['CACHE_ID', 'CacheAdminService']

# There is one cache.
CACHE_ID: Final = 1


class CacheAdminService(Service):
    """What these services have in common."""

    @property
    def values(self) -> dict[str, Any]:
        """What the request says."""
        payload = self.request.payload
        return payload if isinstance(payload, dict) else {}

    def cache_of_request(self) -> Cache:
        """The cache that the request means."""
        number = self.values.get('cache_id')
        if number not in (None, '', CACHE_ID, str(CACHE_ID)):
            raise NotFound(self.cid, f'there is no cache {number}; the only one has the id {CACHE_ID}', True)
        return self.cache.default

    def key(self, name: str = 'key', kind: str = 'key_data_type') -> str | int:
        """A key, which is a number if the request says so."""
        if self.values.get(name) in (None, ''):
            raise BadRequest(self.cid, f'Element missing: {name}', True)
        key = self.typed(self.values[name], kind)
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise BadRequest(self.cid, f'field `{name}`: must be text or a whole number', True)
        return key

    def typed(self, value: Any, kind: str) -> Any:
        """A value as its type says: ``int`` or text."""
        if self.values.get(kind) != 'int':
            return value
        try:
            return int(value)
        except (TypeError, ValueError):
            raise BadRequest(self.cid, f'field `{kind}`: {value!r} is not an integer', True) from None

    def expiry(self) -> float:
        """Seconds until an entry expires; 0: it does not."""
        try:
            expiry = float(self.values.get('expiry') or 0)
        except (TypeError, ValueError):
            expiry = math.nan
        if not math.isfinite(expiry) or expiry < 0:
            raise BadRequest(self.cid, 'field `expiry`: must be seconds', True)
        return expiry

    def count(self, name: str, default: int) -> int:
        """A whole number, 0 or more."""
        value = self.values.get(name)
        if value in (None, ''):
            return default
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise BadRequest(self.cid, f'field `{name}`: must be a whole number', True)
        return value

    def described(self) -> dict[str, Any]:
        """The cache."""
        return {
            'id': CACHE_ID,
            'cache_id': CACHE_ID,
            'name': 'default',
            'is_active': True,
            'is_default': True,
            'cache_type': 'builtin',
            'extend_expiry_on_get': False,
            'extend_expiry_on_set': False,
            'sync_method': 'no-sync',
            'persistent_storage': 'no-persistent-storage',
            'current_size': len(self.cache.default),
        }
