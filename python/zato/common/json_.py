"""JSON for people: indented, and it knows dates."""

from __future__ import annotations

import json
from json import load, loads
from typing import Any

from zato.common.json_internal import encode_more

__all__ = ['dump', 'dumps', 'load', 'loads']


def dumps(data: Any, indent: int | None = 4, **kwargs: Any) -> str:
    """``data`` as JSON. Dates become ISO text, decimals and UUIDs text."""
    kwargs.setdefault('default', encode_more)
    return json.dumps(data, indent=indent, **kwargs)


def dump(data: Any, stream: Any, indent: int | None = 4, **kwargs: Any) -> None:
    """Writes :func:`dumps` to ``stream``."""
    stream.write(dumps(data, indent, **kwargs))
