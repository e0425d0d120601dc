"""Exceptions that only busbar raises."""

from __future__ import annotations

__all__ = ['DeadlineExceeded']


class DeadlineExceeded(BaseException):
    """The call has run longer than its service may: the server answered its caller with 504 and wants the thread back.

    Raised into the running ``handle()`` from outside, so it may come up in any line. It does not derive from
    ``Exception`` because an ``except Exception`` inside a loop would otherwise keep an endless loop going; ``finally``
    and ``with`` clean up as usual. Do not catch it other than to raise it again.
    """
