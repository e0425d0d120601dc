"""What a cursor says of a column."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ['Column']


class Column(NamedTuple):
    """A column, as PEP 249 has them in ``cursor.description``: a tuple of seven."""

    #: Its name.
    name: str
    #: The number that the database has for its type; ``None`` with SQLite.
    type_code: int | None
    #: Not known, as all that follows.
    display_size: None
    internal_size: None
    precision: None
    scale: None
    null_ok: None
