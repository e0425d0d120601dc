"""``lock()`` of the client: a lock that all share which use the same Redis, with the calls of redis-py's.

``self.lock('name')`` of services is the shorter way; this one is for code written for redis-py.
"""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Literal
from uuid import uuid1

from busbar.kvdb import exceptions

__all__ = ['Lock', 'make']

logger = logging.getLogger(__name__)

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[1])
return 1
"""
# ARGV: token, milliseconds, '1' in the place of what is left rather than on top of it
_EXTEND: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    return 0
end
if ARGV[3] == '1' then
    left = 0
end
redis.call('PEXPIRE', KEYS[1], left + ARGV[2])
return 1
"""


def make(client: Any, name: str, *args: Any, lock_class: Any = None, **options: Any) -> Any:
    """What ``client.lock(...)`` calls."""
    names = ('timeout', 'sleep', 'blocking', 'blocking_timeout', 'lock_class', 'thread_local', 'raise_on_release_error')
    if len(args) > len(names):
        message = 'lock() was given too many arguments'
        raise TypeError(message)
    for option, value in zip(names, args, strict=False):
        if option in options or (option == 'lock_class' and lock_class is not None):
            message = f'lock() was given `{option}` twice'
            raise TypeError(message)
        options[option] = value
    lock_class = options.pop('lock_class', None) or lock_class or Lock
    return lock_class(client, name, **options)


class Lock:
    """One lock: ``with conn.lock('name', timeout=10):``, or ``acquire()`` and ``release()``.

    :param redis: the client.
    :param name: the key that stands for the lock.
    :param timeout: seconds after which it frees itself; ``None``: never.
    :param sleep: seconds between two attempts.
    :param blocking: whether ``acquire()`` waits.
    :param blocking_timeout: seconds that it waits at most; ``None``: until the deadline of the call.
    :param thread_local: whether each thread knows only of locks that it took itself.
    :param raise_on_release_error: whether leaving ``with`` raises when the lock had expired; else that is logged.
    """

    def __init__(
        self,
        redis: Any,
        name: str,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> None:
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = bool(thread_local)
        self.raise_on_release_error = raise_on_release_error
        self.local: Any = threading.local() if self.thread_local else SimpleNamespace()
        self.local.token = None

    def _token(self) -> bytes | None:
        return getattr(self.local, 'token', None)

    def _error(self, kind: str, message: str) -> Exception:
        error: Any = getattr(exceptions, kind)(message)
        error.lock_name = self.name
        return error  # type: ignore[no-any-return]

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Takes the lock; False if it could not be had, in time or at once. Defaults are the lock's own."""
        pause = self.sleep if sleep is None else sleep
        waits = self.blocking if blocking is None else blocking
        limit = self.blocking_timeout if blocking_timeout is None else blocking_timeout
        mine = uuid1().hex.encode() if token is None else token.encode() if isinstance(token, str) else token
        until = None if limit is None else time.monotonic() + limit
        while not self.do_acquire(mine):
            if not waits or (until is not None and time.monotonic() + pause > until):
                return False
            self.redis._pause(pause)
        self.local.token = mine
        return True

    def do_acquire(self, token: str | bytes) -> bool:
        """Tries once to take the lock with this token."""
        return bool(self.redis.set(self.name, token, nx=True, px=int(self.timeout * 1000) if self.timeout else None))

    def locked(self) -> bool:
        """Whether anybody has the lock."""
        return self.redis.get(self.name) is not None

    def owned(self) -> bool:
        """Whether it is one's own."""
        stored = self.redis.get(self.name)
        if isinstance(stored, str):
            stored = stored.encode()
        mine = self._token()
        return mine is not None and stored == mine

    def release(self) -> None:
        """Frees the lock.

        :raises LockError: if it was not taken.
        :raises LockNotOwnedError: if it had expired meanwhile.
        """
        mine = self._token()
        if mine is None:
            raise self._error('LockError', 'Cannot release an unlocked lock')
        self.local.token = None
        self.do_release(mine)

    def do_release(self, expected_token: str | bytes) -> None:
        """Frees the lock if it has this token.

        :raises LockNotOwnedError: if it has not.
        """
        if not self.redis.eval(_RELEASE, 1, self.name, expected_token):
            raise self._error('LockNotOwnedError', "Cannot release a lock that's no longer owned")

    def extend(self, additional_time: float, replace_ttl: bool = False) -> Literal[True]:
        """Adds seconds to what is left of the lock's time, or puts them in its place.

        :raises LockError: if the lock was not taken, or has no timeout.
        :raises LockNotOwnedError: if it had expired meanwhile.
        """
        self._check('extend')
        return self.do_extend(additional_time, replace_ttl)

    def do_extend(self, additional_time: float, replace_ttl: bool) -> Literal[True]:
        """Adds seconds, or puts them in the place of what is left; raises ``LockNotOwnedError`` if it had expired."""
        return self._expire('extend', additional_time, '1' if replace_ttl else '0')

    def reacquire(self) -> Literal[True]:
        """Starts the lock's time anew; raises what ``extend()`` does."""
        self._check('reacquire')
        return self.do_reacquire()

    def do_reacquire(self) -> Literal[True]:
        """Starts the lock's time anew; raises ``LockNotOwnedError`` if it had expired."""
        return self._expire('reacquire', self.timeout or 0, '1')

    def _check(self, what: str) -> None:
        if self._token() is None:
            raise self._error('LockError', f'Cannot {what} an unlocked lock')
        if self.timeout is None:
            raise self._error('LockError', f'Cannot {what} a lock with no timeout')

    def _expire(self, what: str, seconds: float, replaces: str) -> Literal[True]:
        if not self.redis.eval(_EXTEND, 1, self.name, self._token(), int(seconds * 1000), replaces):
            raise self._error('LockNotOwnedError', f"Cannot {what} a lock that's no longer owned")
        return True

    def __enter__(self) -> Lock:
        if self.acquire():
            return self
        raise self._error('LockError', 'Unable to acquire lock within the time specified')

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except exceptions.LockError:
            if self.raise_on_release_error:
                raise
            logger.warning('lock `%s` had expired before it was released', self.name)
