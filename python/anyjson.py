"""Stands in for the package ``anyjson``, which older services import and which no longer installs."""

from __future__ import annotations

import json
from typing import Any

__all__ = ['deserialize', 'dumps', 'loads', 'serialize']


def loads(text: str | bytes) -> Any:
    """Reads JSON.

    :raises ValueError: if it is not JSON.
    """
    return json.loads(text)


def dumps(data: Any) -> str:
    """Writes JSON.

    :raises TypeError: if ``data`` holds something that JSON cannot.
    """
    return json.dumps(data)


#: Older names of the two.
serialize, deserialize = dumps, loads
