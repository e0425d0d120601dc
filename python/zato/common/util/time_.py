"""Dates and times."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import Any

__all__ = ['datetime_from_ms', 'utcnow_as_ms']


def datetime_from_ms(ms: float) -> datetime:
    """A point in time, UTC without a zone, from milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)


def utcnow_as_ms() -> float:
    """Seconds since 1970, with a fraction: the name is older than what it gives."""
    return time()


def __getattr__(name: str) -> Any:
    # it needs the package arrow, which not every service does
    if name == 'TimeUtil':
        from busbar.facilities.time import TimeUtil

        return TimeUtil
    raise AttributeError(name)
