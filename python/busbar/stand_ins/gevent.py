"""Stands in for the package ``gevent``: services run in threads here, so waiting and spawning mean threads.

Other calls run while one of them waits, as they do with greenlets.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from types import ModuleType, TracebackType
from typing import Any

from busbar.background import Background, Timeout as _Timeout, spawn

__all__ = [
    'Greenlet',
    'GreenletExit',
    'Timeout',
    'getcurrent',
    'idle',
    'joinall',
    'killall',
    'sleep',
    'spawn',
    'spawn_later',
    'wait',
]

__version__ = '0'


class GreenletExit(BaseException):
    """What a greenlet that is killed would see; threads cannot be killed, so nothing ever does."""


class Timeout(_Timeout):
    """Limits how long something may take - only where it is passed to a wait that knows it.

    ``with Timeout(5):`` measures and raises when the block is over; it cannot stop what runs inside of it.
    """

    def __init__(self, seconds: float | None = None, exception: Any = None) -> None:
        super().__init__(seconds, exception)
        self._end: float | None = None

    def start(self) -> None:
        """Begins to measure."""
        self._end = None if self.seconds is None else time.monotonic() + self.seconds

    def cancel(self) -> None:
        """Stops measuring."""
        self._end = None

    close = cancel

    def __enter__(self) -> Timeout:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        end, self._end = self._end, None
        if kind is None and end is not None and time.monotonic() > end and self.exception is not False:
            raise self.exception or self
        return kind is not None and value is self and self.exception is False


def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Waits for so many seconds."""
    time.sleep(seconds)


idle = sleep


class Greenlet(Background):
    """A function that runs in the background once it is started."""

    @classmethod
    def spawn(cls, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Background:
        """Makes one and starts it."""
        return spawn(function, *args, **kwargs)


def spawn_later(seconds: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Background:
    """Runs a function in the background after so many seconds."""

    def run() -> Any:
        time.sleep(seconds)
        return function(*args, **kwargs)

    return spawn(run)


def joinall(tasks: Iterable[Background], timeout: float | None = None, raise_error: bool = False) -> list[Background]:
    """Waits until all have ended, at most ``timeout`` seconds, and gives back those that have."""
    end = None if timeout is None else time.monotonic() + timeout
    ended = []
    for task in tasks:
        if task.join(None if end is None else max(0.0, end - time.monotonic())):
            ended.append(task)
            if raise_error and task.exception is not None:
                raise task.exception
    return ended


def wait(
    objects: Iterable[Background] = (), timeout: float | None = None, count: int | None = None
) -> list[Background]:
    """Like :func:`joinall`."""
    return joinall(objects, timeout)


def killall(tasks: Iterable[Background], *args: Any, **kwargs: Any) -> None:
    """Does nothing: threads cannot be killed."""


def getcurrent() -> Any:
    """The thread that asks."""
    return threading.current_thread()


class Pool:
    """Runs functions in the background, so many at a time."""

    def __init__(self, size: int | None = None) -> None:
        self._places = threading.BoundedSemaphore(size) if size else None
        self._tasks: set[Background] = set()

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Background:
        """Runs a function, as soon as there is a place."""
        if self._places is not None:
            self._places.acquire()
        task = Background(function, *args, **kwargs)
        self._tasks.add(task)
        task.link(self._ended)
        try:
            task.start()
        except BaseException:
            self._ended(task)
            raise
        return task

    def _ended(self, task: Background) -> None:
        self._tasks.discard(task)
        if self._places is not None:
            self._places.release()

    apply_async = spawn

    def map(self, function: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        """Calls ``function`` with each item, and gives back what it returned, in their order."""
        return [task.get() for task in [self.spawn(function, item) for item in items]]

    def imap_unordered(self, function: Callable[..., Any], items: Iterable[Any]) -> Iterable[Any]:
        """Like :meth:`map`, one after another."""
        return iter(self.map(function, items))

    imap = imap_unordered

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Waits until everything has ended."""
        tasks = list(self._tasks)
        return len(joinall(tasks, timeout, raise_error)) == len(tasks)


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(f'gevent.{name}', 'Part of the stand-in for gevent.')
    vars(module).update(names)
    return module


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """Nothing: there is nothing to patch, threads do not need it."""


event = _module('event', Event=threading.Event)
greenlet = _module('greenlet', Greenlet=Greenlet)
lock = _module(
    'lock', RLock=threading.RLock, Semaphore=threading.Semaphore, BoundedSemaphore=threading.BoundedSemaphore
)
coros = lock
local = _module('local', local=threading.local)
monkey = _module(
    'monkey', patch_all=_nothing, patch_socket=_nothing, patch_thread=_nothing, is_module_patched=lambda _: False
)
pool = _module('pool', Pool=Pool, Group=Pool)
queue_ = _module(
    'queue',
    Queue=queue.Queue,
    LifoQueue=queue.LifoQueue,
    PriorityQueue=queue.PriorityQueue,
    JoinableQueue=queue.Queue,
    Empty=queue.Empty,
    Full=queue.Full,
)
