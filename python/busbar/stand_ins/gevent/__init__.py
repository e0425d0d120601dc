"""Stands in for the package ``gevent``: services run in threads here, so waiting and spawning mean threads.

Other calls run while one of them waits, as they do with greenlets. What gevent has made cooperative is the standard
library's: ``gevent.socket``, ``gevent.subprocess``, ``gevent.ssl``. Servers and event loops can be imported; using them
says that they are not there.
"""

from __future__ import annotations

import os as _os
import queue as _queue
import select as _select
import signal as _signal
import socket as _socket
import ssl as _ssl
import subprocess as _subprocess
import threading as _threading
import time as _time
from types import ModuleType
from typing import Any, NoReturn

from busbar.stand_ins.gevent import waiting as _waiting
from busbar.stand_ins.gevent.greenlets import Greenlet, GreenletExit, iwait, joinall, killall, sleep, wait
from busbar.stand_ins.gevent.timeouts import Timeout, with_timeout

__all__ = [
    'Greenlet',
    'GreenletExit',
    'Timeout',
    'getcurrent',
    'idle',
    'iwait',
    'joinall',
    'killall',
    'sleep',
    'spawn',
    'spawn_later',
    'spawn_raw',
    'wait',
    'with_timeout',
]

__version__ = '0'
version_info = (0, 0, 0)

spawn = spawn_raw = Greenlet.spawn
spawn_later = Greenlet.spawn_later


def idle(priority: int = 0) -> None:
    """Lets other threads run."""
    sleep(0)


def getcurrent() -> Any:
    """The thread that asks."""
    return _threading.current_thread()


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """Nothing: there is nothing to patch, threads do not need it."""


def _absent(name: str) -> type:
    """A class that can be imported and inherited, but of which nothing can be made."""

    def refuse(self: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
        error = (
            f'there is no {name} here: services run in threads. Channels of busbar take requests; for gevent '
            'as it is, install the package `gevent` and use it in a process of its own'
        )
        raise NotImplementedError(error)

    return type(name.rpartition('.')[2], (), {'__init__': refuse, '__doc__': f'Stands for {name}, which is not there.'})


def _module(name: str, base: ModuleType | None = None, /, **names: Any) -> ModuleType:
    module = ModuleType(f'gevent.{name}', 'Part of the stand-in for gevent.')
    if base is not None:
        vars(module).update({key: value for key, value in vars(base).items() if not key.startswith('__')})
    vars(module).update(names)
    return module


def _get_original(module: str, name: Any) -> Any:
    """What was there before it was patched, which is what is there."""
    from importlib import import_module

    found = import_module(module)
    return getattr(found, name) if isinstance(name, str) else [getattr(found, each) for each in name]


#: What `gevent.monkey` can be asked to do.
_PATCHES = [
    'patch_all',
    'patch_builtins',
    'patch_contextvars',
    'patch_dns',
    'patch_module',
    'patch_os',
    'patch_queue',
    'patch_select',
    'patch_signal',
    'patch_socket',
    'patch_ssl',
    'patch_subprocess',
    'patch_sys',
    'patch_thread',
    'patch_time',
]

_hub = _absent('gevent.hub.Hub')
get_hub = _absent('gevent.get_hub')
signal_handler = _absent('gevent.signal_handler')
reinit = _nothing

baseserver = _module('baseserver', BaseServer=_absent('gevent.baseserver.BaseServer'))
event = _module('event', Event=_waiting.Event, AsyncResult=_waiting.AsyncResult)
exceptions = _module('exceptions', LoopExit=type('LoopExit', (Exception,), {}))
greenlet = _module('greenlet', Greenlet=Greenlet, joinall=joinall, killall=killall)
hub = _module(
    'hub',
    GreenletExit=GreenletExit,
    Hub=_hub,
    LoopExit=exceptions.LoopExit,
    get_hub=get_hub,
    getcurrent=getcurrent,
    sleep=sleep,
)
local = _module('local', local=_threading.local)
lock = _module(
    'lock',
    BoundedSemaphore=_threading.BoundedSemaphore,
    DummySemaphore=_threading.Semaphore,
    RLock=_threading.RLock,
    Semaphore=_threading.Semaphore,
)
coros = lock
monkey = _module(
    'monkey',
    get_original=_get_original,
    is_module_patched=lambda _: False,
    is_object_patched=lambda *_: False,
    saved={},
    **dict.fromkeys(_PATCHES, _nothing),
)
os = _module('os', _os)
pool = _module('pool', Group=_waiting.Group, Pool=_waiting.Pool)
pywsgi = _module(
    'pywsgi', WSGIHandler=_absent('gevent.pywsgi.WSGIHandler'), WSGIServer=_absent('gevent.pywsgi.WSGIServer')
)
queue = _module(
    'queue',
    Channel=_absent('gevent.queue.Channel'),
    Empty=_queue.Empty,
    Full=_queue.Full,
    JoinableQueue=_waiting.Queue,
    LifoQueue=_waiting.LifoQueue,
    PriorityQueue=_waiting.PriorityQueue,
    Queue=_waiting.Queue,
    SimpleQueue=_waiting.Queue,
    UnboundQueue=_waiting.Queue,
)
select = _module('select', _select)
server = _module(
    'server',
    DatagramServer=_absent('gevent.server.DatagramServer'),
    StreamServer=_absent('gevent.server.StreamServer'),
)
signal = _module('signal', _signal)
socket = _module('socket', _socket)
ssl = _module('ssl', _ssl)
subprocess = _module('subprocess', _subprocess)
thread = _module('thread', _threading)
threading = _module('threading', _threading)
threadpool = _module('threadpool', ThreadPool=_waiting.Pool)
time = _module('time', _time, sleep=sleep)
timeout = _module('timeout', Timeout=Timeout, with_timeout=with_timeout)
util = _module('util')
