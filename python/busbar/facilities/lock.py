"""``self.lock``: locks that all workers of all servers share which use the same Redis."""

from __future__ import annotations

import logging
import random
import time
from types import TracebackType
from typing import Any, Final
from uuid import uuid4

from _busbar import Service, pause

__all__ = ['Lock', 'LockManager', 'LockTimeout']

logger = logging.getLogger(__name__)

_PREFIX: Final = 'busbar:lock:'
_COUNTER: Final = 'busbar:lock-fence'
# how often a lock that somebody else holds is asked for
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.05

# takes the lock if nobody has it, and numbers those who have had one
_ACQUIRE: Final = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return redis.call('INCR', KEYS[2])
end
return 0
"""
# frees the lock if it is still one's own: it may have expired and be somebody else's by now
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""


class LockTimeout(Exception):
    """A lock was not to be had in time."""


class Lock:
    """One lock: ``with self.lock('name'):``, or ``acquire()`` and ``release()``.

    :param name: what is locked.
    :param ttl: seconds after which the lock frees itself, should whoever holds it be gone.
    :param block: seconds to wait for it at most; ``True`` is for ever.
    """

    def __init__(self, service: Service, name: str, ttl: float, block: float | bool) -> None:
        self._service: Any = service
        self.name = name
        self.ttl = ttl
        self.block = block
        #: Counts up with every lock that is taken: whoever has a higher number came later.
        self.fence = 0
        self._token = ''

    @property
    def is_held(self) -> bool:
        """Whether the lock was taken and not released."""
        return bool(self._token)

    def acquire(self) -> Lock:
        """Takes the lock, or waits until it can be taken.

        :raises LockTimeout: if that takes too long.
        """
        conn, token = self._service.kvdb.conn, uuid4().hex
        until = None if self.block is True else time.monotonic() + max(float(self.block or 0), 0)
        wait = _FIRST_PAUSE
        while True:
            fence = conn.eval(_ACQUIRE, 2, _PREFIX + self.name, _COUNTER, token, max(int(self.ttl * 1000), 1))
            if fence:
                self._token, self.fence = token, fence
                return self
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                message = f'lock `{self.name}` was not to be had within {self.block} s'
                raise LockTimeout(message)
            # not all at the same moment
            chosen = wait * random.uniform(0.5, 1)
            pause(self._service, chosen if left is None else min(chosen, left))
            wait = min(wait * 1.5, _LONGEST_PAUSE)

    def release(self) -> bool:
        """Frees the lock. False if it had expired before, so that somebody else may have had it meanwhile."""
        if not self._token:
            return False
        token, self._token = self._token, ''
        if self._service.kvdb.conn.eval(_RELEASE, 1, _PREFIX + self.name, token):
            return True
        logger.warning('lock `%s` had expired after %s s, before it was released', self.name, self.ttl)
        return False

    def __enter__(self) -> Lock:
        """Takes the lock."""
        return self if self._token else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Frees the lock."""
        self.release()


class LockManager:
    """``self.lock``"""

    def __init__(self, service: Service) -> None:
        self._service: Any = service

    def __call__(
        self,
        name: str = '',
        ttl: float = 20,
        block: float | bool = 10,
        *,
        expires: float | None = None,
        timeout: float | None = None,
        backend: object = None,
    ) -> Lock:
        """A lock of that name; without one, of the service's name.

        :param ttl: seconds after which it frees itself; ``expires`` is the same.
        :param block: seconds to wait for it at most; ``timeout`` is the same.
        """
        chosen_ttl = ttl if expires is None else expires
        return Lock(self._service, name or self._service.name, chosen_ttl, block if timeout is None else timeout)
