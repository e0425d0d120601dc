"""Exceptions that only busbar raises."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ['DeadlineExceeded', 'Timeout', 'timeout_after']


class DeadlineExceeded(BaseException):
    """The call has run longer than its service may: the server answered its caller with 504 and wants the thread back.

    Raised into the running ``handle()`` from outside, so it may come up in any line. It does not derive from
    ``Exception`` because an ``except Exception`` inside a loop would otherwise keep an endless loop going; ``finally``
    and ``with`` clean up as usual. Do not catch it other than to raise it again.
    """


class Timeout(BaseException):
    """It took longer than whoever waits is willing to: ``self.invoke(..., timeout=n)``, a result from the background.

    :param seconds: how long it was waited for.
    :param exception: what gevent's class takes there: what is to be raised instead.
    """

    def __init__(self, seconds: float | None = None, exception: Any = None) -> None:
        super().__init__(seconds)
        self.seconds = seconds
        self.exception = exception

    def __str__(self) -> str:
        return f'{self.seconds} seconds' if self.seconds is not None else ''


def timeout_after(seconds: float) -> BaseException:
    """The exception for a wait that took too long: that of gevent or its stand-in if services use one, else our own."""
    for name in ('gevent', 'busbar.stand_ins.gevent'):
        known = getattr(sys.modules.get(name), 'Timeout', None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return known(seconds)
    return Timeout(seconds)
