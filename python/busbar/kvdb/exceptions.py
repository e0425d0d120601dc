"""What ``self.kvdb.conn`` raises: the classes of ``redis.exceptions``, so that services catch what they always caught.

Without the ``redis`` package installed these are classes of the same names and bases. Names resolve on first use::

    from busbar.kvdb.exceptions import WatchError
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from busbar._borrowed import Borrowed

if TYPE_CHECKING:
    from redis.exceptions import (
        AskError,
        AuthenticationError,
        AuthenticationWrongNumberOfArgsError,
        AuthorizationError,
        BusyLoadingError,
        ChildDeadlockedError,
        ClusterCrossSlotError,
        ClusterDownError,
        ClusterError,
        ConnectionError,
        DataError,
        ExecAbortError,
        InvalidResponse,
        LockError,
        LockNotOwnedError,
        MasterDownError,
        MaxConnectionsError,
        ModuleError,
        MovedError,
        NoPermissionError,
        NoScriptError,
        OutOfMemoryError,
        PubSubError,
        ReadOnlyError,
        RedisClusterException,
        RedisError,
        ResponseError,
        SlotNotCoveredError,
        TimeoutError,
        TryAgainError,
        WatchError,
    )

__all__ = [
    'AskError',
    'AuthenticationError',
    'AuthenticationWrongNumberOfArgsError',
    'AuthorizationError',
    'BusyLoadingError',
    'ChildDeadlockedError',
    'ClusterCrossSlotError',
    'ClusterDownError',
    'ClusterError',
    'ConnectionError',
    'DataError',
    'ExecAbortError',
    'InvalidResponse',
    'LockError',
    'LockNotOwnedError',
    'MasterDownError',
    'MaxConnectionsError',
    'ModuleError',
    'MovedError',
    'NoPermissionError',
    'NoScriptError',
    'OutOfMemoryError',
    'PubSubError',
    'ReadOnlyError',
    'RedisClusterException',
    'RedisError',
    'ResponseError',
    'SlotNotCoveredError',
    'TimeoutError',
    'TryAgainError',
    'WatchError',
]


def _lock_error(self: Any, message: str | None = None, lock_name: Any = None) -> None:
    self.message = message
    self.lock_name = lock_name


def _cluster_error(self: Any, resp: str) -> None:
    self.args = (resp,)
    self.message = resp


def _redirection(self: Any, resp: str) -> None:
    _cluster_error(self, resp)
    slot_id, new_node = resp.split(' ')
    host, port = new_node.rsplit(':', 1)
    self.slot_id = int(slot_id)
    self.node_addr = self.host, self.port = host, int(port)


def _stand_ins() -> dict[str, type[Exception]]:
    made: dict[str, type[Exception]] = {}

    def add(name: str, text: str, *bases: str | type[Exception], **members: Any) -> None:
        parents = tuple(made[base] if isinstance(base, str) else base for base in bases)
        made[name] = type(name, parents, {'__doc__': text, '__module__': __name__, **members})

    add('RedisError', 'A command of the key/value database failed.', Exception)
    add('ConnectionError', 'The database could not be reached, or the line dropped.', 'RedisError')
    add('TimeoutError', 'The database did not answer in time.', 'RedisError')
    add('AuthenticationError', 'The database did not accept the password.', 'ConnectionError')
    add('AuthorizationError', 'The database did not let the user in.', 'ConnectionError')
    add('BusyLoadingError', 'The database is still loading its data.', 'ConnectionError')
    add('MaxConnectionsError', 'There are as many connections as there may be.', 'ConnectionError')
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
    add('ModuleError', 'A module could not be loaded or unloaded.', 'ResponseError')
    add('AuthenticationWrongNumberOfArgsError', 'The database knows no users, only a password.', 'ResponseError')
    add('LockError', 'A lock could not be taken or released.', 'RedisError', ValueError, __init__=_lock_error)
    add('LockNotOwnedError', 'The lock belongs to somebody else by now.', 'LockError')
    add('ChildDeadlockedError', 'A process was forked while it held a lock.', Exception)
    add('RedisClusterException', 'The cluster could not be used.', Exception)
    add('SlotNotCoveredError', 'No node of the cluster has the key.', 'RedisClusterException')
    add('ClusterError', 'The cluster could not do it.', 'RedisError')
    add('ClusterDownError', 'The cluster is down.', 'ClusterError', 'ResponseError', __init__=_cluster_error)
    add('MasterDownError', 'The master of this replica is down.', 'ClusterDownError')
    add('AskError', 'The key is being moved to another node.', 'ResponseError', __init__=_redirection)
    add('MovedError', 'The key lives on another node.', 'AskError')
    add('TryAgainError', 'The keys are being moved to another node.', 'ResponseError')
    message = "Keys in request don't hash to the same slot"
    add('ClusterCrossSlotError', 'The keys live on several nodes.', 'ResponseError', message=message)
    return made


_classes = Borrowed('redis.exceptions', _stand_ins())


def __getattr__(name: str) -> type[Exception]:
    return _classes.resolve(name)
