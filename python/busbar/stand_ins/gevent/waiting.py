"""``gevent.event``, ``gevent.queue`` and ``gevent.pool``."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from busbar.stand_ins.gevent.greenlets import Greenlet, GreenletExit, joinall, killall
from busbar.stand_ins.gevent.timeouts import Timeout

__all__ = ['AsyncResult', 'Event', 'Group', 'LifoQueue', 'Pool', 'PriorityQueue', 'Queue']


class Event(threading.Event):
    """An event that threads wait for."""

    def ready(self) -> bool:
        """Whether it is set."""
        return self.is_set()


class AsyncResult:
    """A value that somebody sets, and others wait for."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._links: list[Callable[[Any], Any]] = []
        #: What was set, ``None`` until then.
        self.value: Any = None
        #: What was set with :meth:`set_exception`.
        self.exception: BaseException | None = None

    def set(self, value: Any = None) -> None:
        """Sets the value, and wakes those who wait."""
        self.value, self.exception = value, None
        self._end()

    def set_exception(self, exception: BaseException, exc_info: Any = None) -> None:
        """Sets what those who wait shall see raised."""
        self.exception = exception
        self._end()

    def __call__(self, source: Any) -> None:
        """Takes over how another one has ended: ``greenlet.link(result)``."""
        if source.successful():
            self.set(source.value)
        else:
            self.set_exception(source.exception)

    def _end(self) -> None:
        self._done.set()
        links, self._links = self._links, []
        for link in links:
            link(self)

    def ready(self) -> bool:
        """Whether something was set."""
        return self._done.is_set()

    def successful(self) -> bool:
        """Whether a value was set."""
        return self.ready() and self.exception is None

    def wait(self, timeout: float | None = None) -> Any:
        """Waits until something is set, at most ``timeout`` seconds; gives back the value."""
        self._done.wait(timeout)
        return self.value

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The value that is set, or what is to be raised.

        :raises Timeout: if nothing is set in time.
        """
        if not self._done.wait(timeout if block else 0):
            raise Timeout(timeout)
        if self.exception is not None:
            raise self.exception
        return self.value

    def get_nowait(self) -> Any:
        """The value that was set."""
        return self.get(block=False)

    def link(self, callback: Callable[[Any], Any]) -> None:
        """Calls ``callback`` with this object when something was set."""
        if self.ready():
            callback(self)
        else:
            self._links.append(callback)

    rawlink = link


class Queue(queue.Queue[Any]):
    """First in, first out."""

    def __init__(self, maxsize: int | None = None, items: Iterable[Any] = ()) -> None:
        super().__init__(maxsize or 0)
        for item in items:
            self.put(item)

    def __len__(self) -> int:
        return self.qsize()

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        """What comes out, until somebody puts ``StopIteration`` in."""
        while (item := self.get()) is not StopIteration:
            yield item


class LifoQueue(Queue, queue.LifoQueue[Any]):
    """Last in, first out."""


class PriorityQueue(Queue, queue.PriorityQueue[Any]):
    """The smallest first."""


class Group:
    """Functions that run in the background."""

    greenlet_class = Greenlet

    def __init__(self, greenlets: Iterable[Any] = ()) -> None:
        self.greenlets: set[Any] = set(greenlets)

    def __len__(self) -> int:
        return len(self.greenlets)

    def __contains__(self, task: Any) -> bool:
        return task in self.greenlets

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.greenlets))

    def add(self, task: Any) -> None:
        """Takes one in."""
        self._enter()
        self.greenlets.add(task)
        task.link(self.discard)

    def start(self, task: Any) -> None:
        """Takes one in, and starts it."""
        self.add(task)
        try:
            task.start()
        except BaseException:
            self.discard(task)
            raise

    def discard(self, task: Any) -> None:
        """Lets one go."""
        if task in self.greenlets:
            self.greenlets.discard(task)
            self._leave()

    def _enter(self) -> None:
        """Waits until there is a place."""

    def _leave(self) -> None:
        """Gives a place back."""

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs a function, as soon as there is a place."""
        task = self.greenlet_class(function, *args, **kwargs)
        self.start(task)
        return task

    def apply(self, function: Callable[..., Any], args: Iterable[Any] = (), kwds: Any = None) -> Any:
        """Runs a function, and gives back what it returned."""
        return self.spawn(function, *args, **(kwds or {})).get()

    def apply_async(
        self, function: Callable[..., Any], args: Iterable[Any] = (), kwds: Any = None, callback: Any = None
    ) -> Any:
        """Runs a function, and calls ``callback`` with what it returned."""
        task = self.spawn(function, *args, **(kwds or {}))
        if callback is not None:
            task.link_value(lambda ended: callback(ended.value))
        return task

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any]) -> list[Any]:
        """Calls ``function`` with each item, and gives back what it returned, in their order."""
        return [task.get() for task in [self.spawn(function, *items) for items in zip(*iterables, strict=False)]]

    def imap(
        self, function: Callable[..., Any], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[Any]:
        """Like :meth:`map`, one after another."""
        return iter(self.map(function, *iterables))

    imap_unordered = imap

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Waits until everything has ended."""
        tasks = list(self.greenlets)
        return len(joinall(tasks, timeout, raise_error)) == len(tasks)

    def kill(self, exception: Any = GreenletExit, block: bool = True, timeout: float | None = None) -> None:
        """Kills everything, as far as it can be: see ``Greenlet.kill``."""
        killall(list(self.greenlets), exception, block, timeout)


class Pool(Group):
    """Runs functions in the background, so many at a time."""

    def __init__(self, size: int | None = None, greenlet_class: Any = None) -> None:
        super().__init__()
        self.size = size
        if greenlet_class is not None:
            self.greenlet_class = greenlet_class
        self._places = threading.BoundedSemaphore(size) if size else None

    def _enter(self) -> None:
        if self._places is not None:
            self._places.acquire()

    def _leave(self) -> None:
        if self._places is not None:
            self._places.release()

    def free_count(self) -> int:
        """How many more may run; 1 if there is no limit."""
        return 1 if self.size is None else max(0, self.size - len(self.greenlets))

    def full(self) -> bool:
        """Whether no more may run."""
        return self.free_count() == 0
