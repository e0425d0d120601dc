"""JSON for machines: compact, and it knows dates."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from json import load, loads
from typing import Any

__all__ = ['dump', 'dumps', 'encode_more', 'load', 'loads']


def encode_more(value: Any) -> Any:
    """What ``json`` asks for values that it does not know.

    Gives ISO text of dates and times, text of decimals and UUIDs, lists of sets.

    :raises TypeError: for anything else.
    """
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    # every worker imports this module, and few values get so far
    from decimal import Decimal
    from uuid import UUID

    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    message = f'cannot write {type(value).__name__} as JSON'
    raise TypeError(message)


def dumps(data: Any, **kwargs: Any) -> str:
    """``data`` as compact JSON."""
    kwargs.setdefault('separators', (',', ':'))
    kwargs.setdefault('default', encode_more)
    return json.dumps(data, **kwargs)


def dump(data: Any, stream: Any, **kwargs: Any) -> None:
    """Writes :func:`dumps` to ``stream``."""
    stream.write(dumps(data, **kwargs))
