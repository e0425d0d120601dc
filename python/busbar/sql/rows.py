"""Rows of results, in the ways of SQLAlchemy 1.3, 1.4 and 2 at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import engine

from busbar.sql.dialects.common import IS_14

__all__ = ['SQLRow', 'dressed', 'sql_row']


class SQLRow(engine.Row):
    """A row: by position, by name of a column, by attribute; equal to a tuple; and values can be put into it."""

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, slice)):
            return super().__getitem__(key)
        return self._mapping[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data or key in self._mapping

    def keys(self) -> list[str]:
        """Names of the columns."""
        return list(self._fields)

    def values(self) -> list[Any]:
        """Values of the columns."""
        return list(self)

    def items(self) -> list[tuple[str, Any]]:
        """Names with values."""
        return list(zip(self._fields, self, strict=True))

    def has_key(self, key: str) -> bool:
        """Whether there is a column of that name."""
        return key in self._mapping

    def get_value(self) -> dict[str, Any]:
        """The row as a dictionary."""
        return dict(self.items())

    def _asdict(self) -> dict[str, Any]:
        return self.get_value()

    def __setitem__(self, key: int | str, value: Any) -> None:
        _write(self, key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        _write(self, name, value)


class _WrittenRow(SQLRow):
    """A row into which something was put. Rows become one when that happens, so that reading others costs nothing."""

    def __getitem__(self, key: Any) -> Any:
        values: list[Any] = self.__dict__['values']
        if isinstance(key, slice):
            return tuple(values[key])
        return values[key if isinstance(key, int) else _position(self, key)]

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith('_') and not hasattr(type(self), name):
            return self[name]
        return super().__getattribute__(name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__dict__['values'])

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, engine.Row) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # what was put into it stays; its columns are those of a dictionary from then on
        return dict, (self.get_value(),)


def _position(row: SQLRow, key: int | str) -> int:
    if isinstance(key, int):
        return key
    try:
        return row._fields.index(key)
    except ValueError:
        message = f'the row has no column `{key}`: {", ".join(row._fields)}'
        raise AttributeError(message) from None


def _write(row: SQLRow, key: int | str, value: Any) -> None:
    position = _position(row, key)
    if not isinstance(row, _WrittenRow):
        row.__dict__['values'] = list(row._data)
        # rows let nobody set attributes, not even `object`; the descriptor does
        object.__dict__['__class__'].__set__(row, _WrittenRow)
    row.__dict__['values'][position] = value


def sql_row(row: Any) -> Any:
    """A row of SQLAlchemy's as one of these."""
    if isinstance(row, SQLRow):
        return row
    if IS_14:
        return SQLRow(row._parent, None, row._keymap, row._key_style, row._data)
    return SQLRow(row._parent, None, row._key_to_index, row._data)


def dressed(result: Any) -> Any:
    """A result whose rows are such rows."""
    # the place that SQLAlchemy keeps for looking at each row; whatever was there is called first
    before = getattr(result, '_row_logging_fn', None)
    result._row_logging_fn = sql_row if before is None else lambda row: sql_row(before(row))
    result.__dict__.pop('_row_getter', None)
    return result
