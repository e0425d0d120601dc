"""``self.translate``: what one system calls something that another one calls otherwise.

The dictionaries are in Redis. An entry is a field of the hash ``zato:kvdb:data-dict:item``, its id, with the value
``system:::key:::value``. A translation is a hash of its own, ``zato:kvdb:data-dict:translation:::`` and the five parts
joined with ``:::``, with the fields ``id``, ``id1``, ``id2`` and ``value2``.
"""

from __future__ import annotations

from typing import Any, Final

from _busbar import Service

__all__ = ['Translate', 'translate']

_SEPARATOR: Final = ':::'
_PREFIX: Final = 'zato:kvdb:data-dict:translation'


def translate(conn: Any, system1: str, key1: str, value1: str, system2: str, key2: str, default: Any = '') -> Any:
    """Looks a translation up over a Redis client; the default if there is none."""
    key = _SEPARATOR.join(str(part) for part in (_PREFIX, system1, key1, value1, system2, key2))
    found = conn.hget(key, 'value2')
    return default if found is None else found


class Translate:
    """``self.translate``"""

    def __init__(self, service: Service) -> None:
        self._service: Any = service

    def __call__(self, system1: str, key1: str, value1: str, system2: str, key2: str, default: Any = '') -> Any:
        """What ``system2`` calls under ``key2`` that which ``system1`` calls ``value1`` under ``key1``."""
        return translate(self._service.kvdb.conn, system1, key1, value1, system2, key2, default)
