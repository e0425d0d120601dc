"""``gevent.greenlet``: functions that run in the background, each in a thread."""

from __future__ import annotations

import ctypes
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from busbar.background import Background

__all__ = ['Greenlet', 'GreenletExit', 'iwait', 'joinall', 'killall', 'sleep', 'wait']

logger = logging.getLogger(__name__)

#: How long a thread sleeps at a time: one that is killed hears of it in between.
_SLICE: Final = 0.05
#: How long ``kill`` waits for a thread, unless it is told.
_KILL: Final = 5.0


class GreenletExit(BaseException):
    """What a greenlet that is killed sees."""


def sleep(seconds: float = 0, ref: bool = True) -> None:
    """Waits for so many seconds."""
    end = time.monotonic() + seconds
    while end - time.monotonic() > _SLICE:
        time.sleep(_SLICE)
    time.sleep(max(0.0, end - time.monotonic()))


class Greenlet(Background):
    """A function that runs in the background once it is started: the one it is given, or a class's own ``_run``."""

    def __init__(self, run: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(self._begin, *args, **kwargs)
        if run is not None:
            # one of its own wins over the class's
            vars(self)['_run'] = run
        self.args = args
        self.kwargs = kwargs
        self._thread_id = 0
        self._killed: Any = None
        self._after: float = 0

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        message = 'cannot run a greenlet without a function: give it one, or write a method `_run`'
        raise NotImplementedError(message)

    def _begin(self, *args: Any, **kwargs: Any) -> Any:
        """Runs in the thread."""
        try:
            try:
                with self._lock:
                    self._thread_id = threading.get_ident()
                if self._after:
                    sleep(self._after)
                if self._killed is not None:
                    raise self._killed
                return self._run(*args, **kwargs)
            finally:
                with self._lock:
                    # what was raised too late must not hit what the thread has still to do
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread_id), None)
                    self._thread_id = 0
        except GreenletExit as exit:
            return exit

    @classmethod
    def spawn(cls, *args: Any, **kwargs: Any) -> Any:
        """Makes one and starts it."""
        task = cls(*args, **kwargs)
        task.start()
        return task

    @classmethod
    def spawn_later(cls, seconds: float, *args: Any, **kwargs: Any) -> Any:
        """Makes one and starts it after so many seconds."""
        task = cls(*args, **kwargs)
        task.start_later(seconds)
        return task

    def start_later(self, seconds: float) -> None:
        """Starts it after so many seconds."""
        self._after = seconds
        self.start()

    def __bool__(self) -> bool:
        """Whether it runs."""
        return self.started and not self.dead

    @property
    def exc_info(self) -> tuple[Any, Any, Any]:
        """What it raised, if it did, as ``sys.exc_info()`` shows it."""
        error = self.exception
        return (None, None, None) if error is None else (type(error), error, error.__traceback__)

    def kill(self, exception: Any = GreenletExit, block: bool = True, timeout: float | None = None) -> None:
        """Ends it: ``exception`` is raised in it as soon as it runs Python code.

        A thread that waits outside of Python - for a socket, a lock, ``time.sleep`` - hears of it only when its wait is
        over. ``block`` waits until it has ended, at most ``timeout`` seconds, or 5; a log line tells if it has not.
        """
        with self._lock:
            if self._killed is None and not self._done.is_set():
                self._killed = exception
                if self._thread_id:
                    kind = exception if isinstance(exception, type) else type(exception)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread_id), ctypes.py_object(kind))
        # ends as soon as it has begun
        self.start()
        if not block or self._thread_id == threading.get_ident():
            return
        if not self.join(_KILL if timeout is None else timeout):
            logger.warning('%r was killed and goes on: its thread waits for something, and ends after that', self)

    throw = kill

    def start(self) -> None:
        """Starts it, once."""
        if not self.started:
            super().start()

    def link_value(self, callback: Callable[[Background], Any]) -> None:
        """Calls ``callback`` with this object when it has ended and raised nothing."""
        self.link(lambda task: callback(task) if task.successful() else None)

    def link_exception(self, callback: Callable[[Background], Any]) -> None:
        """Calls ``callback`` with this object when it has raised something."""
        self.link(lambda task: None if task.successful() else callback(task))

    rawlink = Background.link


def iwait(objects: Iterable[Any], timeout: float | None = None, count: int | None = None) -> Iterator[Any]:
    """Each of these as it ends, until ``timeout`` seconds are over or there were ``count``."""
    end = None if timeout is None else time.monotonic() + timeout
    tasks = list(objects)
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for task in tasks:
        task.link(ended.put)
    for _ in range(len(tasks) if count is None else min(count, len(tasks))):
        while True:
            left = _SLICE if end is None else min(_SLICE, end - time.monotonic())
            try:
                found = ended.get(timeout=max(0.0, left))
            except queue.Empty:
                if end is not None and time.monotonic() >= end:
                    return
                continue
            break
        yield found


def wait(objects: Iterable[Any] | None = None, timeout: float | None = None, count: int | None = None) -> list[Any]:
    """Those that have ended in time, at most ``count``."""
    return list(iwait(objects or (), timeout, count))


def joinall(
    greenlets: Iterable[Background], timeout: float | None = None, raise_error: bool = False, count: int | None = None
) -> list[Background]:
    """Waits until all have ended, at most ``timeout`` seconds, and gives back those that have."""
    ended = []
    for task in iwait(greenlets, timeout, count):
        ended.append(task)
        if raise_error and task.exception is not None:
            raise task.exception
    return ended


def killall(
    greenlets: Iterable[Any], exception: Any = GreenletExit, block: bool = True, timeout: float | None = None
) -> None:
    """Kills all of them, see :meth:`Greenlet.kill`."""
    greenlets = list(greenlets)
    for task in greenlets:
        task.kill(exception, block=False)
    if block:
        joinall(greenlets, _KILL if timeout is None else timeout)
