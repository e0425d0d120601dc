"""Work in the background: ``self.spawn``, ``self.run_in_thread``, and ``gevent.spawn`` without gevent."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from busbar.errors import Timeout, timeout_after

__all__ = ['Background', 'Timeout', 'spawn']

logger = logging.getLogger(__name__)

#: Threads that all services of a process may have in the background at the same time.
LIMIT: Final = 1_000

#: How long a thread that waits goes without looking whether its call must end.
_SLICE: Final = 0.1

_places = threading.BoundedSemaphore(LIMIT)


class Background:
    """A function that runs in the background.

    >>> task = spawn(sum, [1, 2])
    >>> task.get()
    3
    """

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._function = function
        self._arguments = (args, kwargs)
        self._done = threading.Event()
        self._links: list[Callable[[Background], Any]] = []
        self._lock = threading.Lock()
        #: What the function returned, ``None`` until it has.
        self.value: Any = None
        #: What it raised, if it did.
        self.exception: BaseException | None = None
        #: Whether it was started.
        self.started = False

    def start(self) -> None:
        """Starts it.

        :raises RuntimeError: if too much runs in the background already.
        """
        if not _places.acquire(blocking=False):
            message = f'cannot start anything more in the background: {LIMIT} threads run there already'
            raise RuntimeError(message)
        self.started = True
        try:
            threading.Thread(target=self._work, name='busbar-spawned', daemon=True).start()
        except BaseException:
            _places.release()
            raise

    def _work(self) -> None:
        args, kwargs = self._arguments
        try:
            self.value = self._function(*args, **kwargs)
        except BaseException as error:
            self.exception = error
            logger.warning('exception in the background, in %r', self._function, exc_info=True)
        finally:
            _places.release()
            if sql := sys.modules.get('busbar.facilities.sql'):
                sql.finish_thread()
            with self._lock:
                self._done.set()
                links, self._links = self._links, []
            for link in links:
                self._call(link)

    def _call(self, link: Callable[[Background], Any]) -> None:
        try:
            link(self)
        except Exception:
            logger.exception('exception in %r, which was to be told that something has ended', link)

    def ready(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    @property
    def dead(self) -> bool:
        """Whether it has ended."""
        return self.ready()

    def successful(self) -> bool:
        """Whether it has ended and raised nothing."""
        return self.ready() and self.exception is None

    def join(self, timeout: float | None = None) -> bool:
        """Waits until it has ended, at most ``timeout`` seconds; says whether it has."""
        end = None if timeout is None else time.monotonic() + timeout
        # in slices: a thread that waits for a lock does not hear that its call must end
        while not self._done.wait(_SLICE if end is None else max(0.0, min(_SLICE, end - time.monotonic()))):
            if end is not None and time.monotonic() >= end:
                return False
        return True

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Waits until it has ended; gives back what the function returned, or raises what it raised.

        :raises Timeout: if it has not ended in time.
        """
        if not self.join(timeout if block else 0):
            raise timeout_after(timeout or 0)
        if self.exception is not None:
            raise self.exception
        return self.value

    def link(self, callback: Callable[[Background], Any]) -> None:
        """Calls ``callback`` with this object when it has ended."""
        with self._lock:
            if not self._done.is_set():
                self._links.append(callback)
                return
        self._call(callback)


def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Background:
    """Runs a function in the background.

    :raises RuntimeError: if too much runs there already.
    """
    task = Background(function, *args, **kwargs)
    task.start()
    return task
