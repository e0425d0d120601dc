"""What ``self.kvdb.conn`` raises: the classes of ``redis.exceptions``, so that services catch what they always caught.

Without the ``redis`` package installed these are classes of the same names and bases. Names resolve on first use::

    from busbar.kvdb.exceptions import WatchError
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from busbar._borrowed import Borrowed

if TYPE_CHECKING:
    from redis.exceptions import (
        AuthenticationError,
        BusyLoadingError,
        ConnectionError,
        DataError,
        ExecAbortError,
        InvalidResponse,
        LockError,
        LockNotOwnedError,
        NoPermissionError,
        NoScriptError,
        OutOfMemoryError,
        PubSubError,
        ReadOnlyError,
        RedisError,
        ResponseError,
        TimeoutError,
        WatchError,
    )

__all__ = [
    'AuthenticationError',
    'BusyLoadingError',
    'ConnectionError',
    'DataError',
    'ExecAbortError',
    'InvalidResponse',
    'LockError',
    'LockNotOwnedError',
    'NoPermissionError',
    'NoScriptError',
    'OutOfMemoryError',
    'PubSubError',
    'ReadOnlyError',
    'RedisError',
    'ResponseError',
    'TimeoutError',
    'WatchError',
]


def _stand_ins() -> dict[str, type[Exception]]:
    made: dict[str, type[Exception]] = {}

    def add(name: str, text: str, *bases: str | type[Exception]) -> None:
        parents = tuple(made[base] if isinstance(base, str) else base for base in bases)
        made[name] = type(name, parents, {'__doc__': text, '__module__': __name__})

    add('RedisError', 'A command of the key/value database failed.', Exception)
    add('ConnectionError', 'The database could not be reached, or the line dropped.', 'RedisError')
    add('TimeoutError', 'The database did not answer in time.', 'RedisError')
    add('AuthenticationError', 'The database did not accept the password.', 'ConnectionError')
    add('BusyLoadingError', 'The database is still loading its data.', 'ConnectionError')
    add('InvalidResponse', 'The answer does not follow the protocol.', 'RedisError')
    add('ResponseError', 'The database answered that the command cannot be done.', 'RedisError')
    add('DataError', 'A value cannot be sent.', 'RedisError')
    add('PubSubError', 'A subscription could not be used.', 'RedisError')
    add('WatchError', 'A watched key changed before the transaction was made.', 'RedisError')
    add('NoScriptError', 'There is no script of that hash.', 'ResponseError')
    add('OutOfMemoryError', 'The database has reached its memory limit.', 'ResponseError')
    add('ExecAbortError', 'A command of the transaction was refused.', 'ResponseError')
    add('ReadOnlyError', 'The database is a replica and takes no writes.', 'ResponseError')
    add('NoPermissionError', 'The user may not run that command.', 'ResponseError')
    add('LockError', 'A lock could not be taken or released.', 'RedisError', ValueError)
    add('LockNotOwnedError', 'The lock belongs to somebody else by now.', 'LockError')
    return made


_classes = Borrowed('redis.exceptions', _stand_ins())


def __getattr__(name: str) -> type[Exception]:
    return _classes.resolve(name)
