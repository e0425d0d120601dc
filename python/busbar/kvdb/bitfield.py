"""``bitfield()``: numbers of any size within a value."""

from __future__ import annotations

from typing import Any

__all__ = ['BitField']


class BitField:
    """Operations that ``execute()`` sends: ``conn.bitfield('key').incrby('u8', 0, 1).execute()``.

    :param client: the client, or a pipeline.
    :param key: the value's key.
    :param default_overflow: what becomes of numbers that grow too large: ``WRAP``, ``SAT`` or ``FAIL``.
    """

    def __init__(self, client: Any, key: Any, default_overflow: str | None = None) -> None:
        self._client = client
        self._key = key
        self._default_overflow = default_overflow
        self.operations: list[tuple[Any, ...]] = []
        self._last_overflow = 'WRAP'
        self.reset()

    def reset(self) -> None:
        """Forgets what was collected."""
        self.operations = []
        self._last_overflow = 'WRAP'
        self.overflow(self._default_overflow or self._last_overflow)

    def overflow(self, overflow: str) -> BitField:
        """From here on, numbers too large ``WRAP``, stay at the limit (``SAT``), or are not changed (``FAIL``)."""
        overflow = overflow.upper()
        if overflow != self._last_overflow:
            self._last_overflow = overflow
            self.operations.append(('OVERFLOW', overflow))
        return self

    def incrby(self, fmt: str, offset: Any, increment: int, overflow: str | None = None) -> BitField:
        """Adds to a number: ``fmt`` is ``u8``, ``i16``...; an ``offset`` of ``#2`` is the third number of that size."""
        if overflow is not None:
            self.overflow(overflow)
        self.operations.append(('INCRBY', fmt, offset, increment))
        return self

    def get(self, fmt: str, offset: Any) -> BitField:
        """Reads a number."""
        self.operations.append(('GET', fmt, offset))
        return self

    def set(self, fmt: str, offset: Any, value: int) -> BitField:
        """Writes a number, and gives what was there."""
        self.operations.append(('SET', fmt, offset, value))
        return self

    @property
    def command(self) -> list[Any]:
        """The words of the command."""
        return ['BITFIELD', self._key, *(word for operation in self.operations for word in operation)]

    def execute(self) -> Any:
        """Sends what was collected, and forgets it: a number, or ``None``, for each operation."""
        command = self.command
        self.reset()
        return self._client.execute_command(*command)
