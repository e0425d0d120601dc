"""What the services behind ``/zato/cache/`` have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from busbar.facilities.cache import Cache, Entry
from zato.common.exception import BadRequest, NotFound
from zato.server.service import Service

__all__ = ['CacheService', 'ManyKeys', 'is_on', 'told']

_TRUE = (True, 1, '1', 'true', 'True', 'yes', 'on')
_TIMES = ('last_read', 'prev_read', 'last_write', 'prev_write', 'expires_at')


class CacheService(Service):
    """What all of them do."""

    def options(self) -> dict[str, Any]:
        """What the caller sent: the path, the query string and a JSON object; the later wins."""
        body = self.request.payload
        if body and not isinstance(body, dict):
            raise BadRequest(self.cid, 'A JSON object is expected')
        return dict(self.request.http.params) | dict(self.request.http.GET) | dict(body or {})

    def cache_of(self, options: dict[str, Any]) -> Cache:
        """The cache that the caller named, or the default."""
        try:
            return self.cache.get_builtin_cache(options.get('cache') or 'default')
        except KeyError as e:
            raise NotFound(self.cid, f'No such cache {e}') from None

    def expiry_of(self, options: dict[str, Any]) -> float:
        """Seconds until a value expires."""
        try:
            return float(options.get('expiry') or 0)
        except (TypeError, ValueError):
            raise BadRequest(self.cid, 'expiry is a number of seconds') from None


def is_on(options: dict[str, Any], name: str) -> bool:
    """Whether a caller switched something on."""
    return options.get(name) in _TRUE


def told(entry: Entry) -> dict[str, Any]:
    """An entry as callers see it."""
    times = {name: getattr(entry, f'{name}_iso') for name in _TIMES}
    own = {'value': entry.value, 'key': entry.key, 'expiry': entry.expiry, 'hits': entry.hits}
    return own | times | {'position': entry.position}


class ManyKeys(CacheService):
    """Many keys."""

    method: ClassVar[str]
    action: ClassVar[str]

    def handle(self) -> None:
        """Does it."""
        options = self.options()
        key = options.get('key')
        if not key:
            raise BadRequest(self.cid, 'key is needed')
        act = getattr(self.cache_of(options), self.method)
        returns = is_on(options, 'return_prev')
        if self.action == 'get':
            details = is_on(options, 'details')
            found = act(key, details=details)
            self.response.payload = [
                {'key': one, **(told(value) if details else {'value': value})} for one, value in found.items()
            ]
            return
        if self.action == 'set':
            if 'value' not in options:
                raise BadRequest(self.cid, 'value is needed')
            found = act(key, options['value'], self.expiry_of(options), return_found=returns)
        elif self.action == 'delete':
            found = act(key, return_found=returns)
        else:
            if 'expiry' not in options:
                raise BadRequest(self.cid, 'expiry is needed')
            act(key, self.expiry_of(options))
            found = None
        if returns and found is not None:
            self.response.payload = [{'key': one, 'prev_value': value} for one, value in found.items()]
