"""``gevent.timeout``: limits on how long something may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from busbar.errors import Timeout as _Timeout

__all__ = ['Timeout', 'with_timeout']


class Timeout(_Timeout):
    """Limits how long something may take - only where it is passed to a wait that knows it.

    ``with Timeout(5):`` measures and raises when the block is over; it cannot stop what runs inside of it.
    """

    def __init__(self, seconds: float | None = None, exception: Any = None, *_args: Any, **_kwargs: Any) -> None:
        super().__init__(seconds, exception)
        self._end: float | None = None

    @classmethod
    def start_new(cls, timeout: Any = None, exception: Any = None, ref: bool = True) -> Timeout:
        """Makes one that measures already."""
        new = timeout if isinstance(timeout, Timeout) else cls(timeout, exception)
        new.start()
        return new

    @property
    def pending(self) -> bool:
        """Whether it measures."""
        return self._end is not None

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


_NONE = object()


def with_timeout(
    seconds: float | None, function: Callable[..., Any], *args: Any, timeout_value: Any = _NONE, **kwargs: Any
) -> Any:
    """What ``function`` returns if it does so in time, else ``timeout_value``. It goes on in the background then.

    :raises Timeout: if it takes too long, and nothing is to be returned instead.
    """
    from busbar.stand_ins.gevent.greenlets import Greenlet

    task = Greenlet.spawn(function, *args, **kwargs)
    if not task.join(seconds):
        if timeout_value is _NONE:
            raise Timeout(seconds)
        return timeout_value
    return task.get()
