"""Exceptions that only busbar raises."""

from __future__ import annotations

import sys

__all__ = ['DeadlineExceeded', 'Timeout', 'timeout_after']


class DeadlineExceeded(BaseException):
    """The call has run longer than its service may: the server answered its caller with 504 and wants the thread back.

    Raised into the running ``handle()`` from outside, so it may come up in any line. It does not derive from
    ``Exception`` because an ``except Exception`` inside a loop would otherwise keep an endless loop going; ``finally``
    and ``with`` clean up as usual. Do not catch it other than to raise it again.
    """


class Timeout(BaseException):
    """What ``self.invoke(..., timeout=n)`` waited for did not come in time.

    :param seconds: how long it was waited for.
    """

    def __init__(self, seconds: float | None = None) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f'{self.seconds} seconds'


def timeout_after(seconds: float) -> BaseException:
    """The exception for a wait that took too long: gevent's where services use that package, else our own."""
    gevents = getattr(sys.modules.get('gevent'), 'Timeout', None)
    if isinstance(gevents, type) and issubclass(gevents, BaseException):
        return gevents(seconds)
    return Timeout(seconds)
