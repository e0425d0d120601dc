"""``self.time``: dates and times, as text or as objects of the package arrow.

Formats are arrow's tokens (``YYYY-MM-DD HH:mm:ss``). ``kvdb:NAME`` stands for the format that is stored in Redis under
``kvdb:date-format:NAME``.
"""

from __future__ import annotations

from datetime import date, datetime, tzinfo
from typing import Any, TypeAlias

import arrow

from _busbar import Service

DATE_TIME = 'YYYY-MM-DDTHH:mm:ss'
DATE = 'YYYY-MM-DD'

Moment: TypeAlias = 'arrow.Arrow | datetime | date | str'


class TimeUtil:
    """``self.time``"""

    def __init__(self, service: Service | None = None) -> None:
        self._service = service

    def now(
        self,
        format: str = DATE_TIME,
        tz: str | tzinfo = 'local',
        needs_format: bool = True,
        delta: Any = None,
    ) -> Any:
        """The time now in a zone, by default the server's: text, or an arrow object with ``needs_format=False``.

        ``delta``, a ``timedelta`` or a dictionary such as ``{'hours': 1}``, is added first.
        """
        now = arrow.now(tz)
        if delta is not None:
            now = now.shift(**delta) if isinstance(delta, dict) else now + delta
        return self._formatted(now, format, needs_format)

    def utcnow(self, format: str = DATE_TIME, needs_format: bool = True) -> Any:
        """The time now in UTC."""
        return self._formatted(arrow.utcnow(), format, needs_format)

    def utcnow_as_float(self) -> float:
        """Seconds since 1970 in UTC."""
        return arrow.utcnow().float_timestamp

    def today(self, format: str = DATE, tz: str | tzinfo = 'local', needs_format: bool = True) -> Any:
        """Today in a zone, by default the server's."""
        return self._formatted(arrow.now(tz), format, needs_format)

    def yesterday(self, format: str = DATE_TIME, tz: str | tzinfo = 'local', needs_format: bool = True) -> Any:
        """The time of now, yesterday."""
        return self._formatted(arrow.now(tz).shift(days=-1), format, needs_format)

    def tomorrow(self, format: str = DATE_TIME, tz: str | tzinfo = 'local', needs_format: bool = True) -> Any:
        """The time of now, tomorrow."""
        return self._formatted(arrow.now(tz).shift(days=1), format, needs_format)

    def one_day_from(self, value: Moment, format: str = DATE, needs_format: bool = True) -> Any:
        """A day after a moment, given as text or as an object."""
        return self._formatted(arrow.get(value).shift(days=1), format, needs_format)

    def one_hour_from(self, value: Moment, format: str = DATE, needs_format: bool = True) -> Any:
        """An hour after a moment, given as text or as an object."""
        return self._formatted(arrow.get(value).shift(hours=1), format, needs_format)

    def one_minute_from(self, value: Moment, format: str = DATE, needs_format: bool = True) -> Any:
        """A minute after a moment, given as text or as an object."""
        return self._formatted(arrow.get(value).shift(minutes=1), format, needs_format)

    def isonow(self, tz: str | tzinfo = 'local') -> str:
        """The time now in a zone, by default the server's, in ISO 8601."""
        return arrow.now(tz).isoformat()

    def isoutcnow(self) -> str:
        """The time now in UTC, in ISO 8601."""
        return arrow.utcnow().isoformat()

    def reformat(self, value: str, from_: str, to: str) -> str:
        """Reads text in one format and writes it in another. Text that is not in the first format raises."""
        return arrow.get(value, self._tokens(from_)).format(self._tokens(to))

    def _formatted(self, moment: arrow.Arrow, format: str, needs_format: bool) -> Any:
        return moment.format(self._tokens(format)) if needs_format else moment

    def _tokens(self, format: str) -> str:
        """Looks a format up that is named rather than given."""
        if not format.startswith('kvdb:'):
            return format
        name = format.removeprefix('kvdb:')
        key = f'kvdb:date-format:{name}'
        if self._service is None:
            raise ValueError(f'a format in Redis (`{format}`) needs the service: use self.time')
        stored = self._service.kvdb.conn.get(key)
        if not stored:
            raise ValueError(f'no date format `{name}`: the Redis key `{key}` does not exist')
        return str(stored)
