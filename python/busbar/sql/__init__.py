"""Databases over PEP 249: PostgreSQL, MySQL and MariaDB, SQLite, with connections that Rust owns.

A name takes a connection out of the pool of that ``outconn_sql``, a URL makes one of its own::

    from busbar import sql

    with closing(sql.connect('CRM', service=self)) as connection:
        cursor = connection.execute('SELECT name FROM customer WHERE id = %s', [7])
        print(cursor.fetchone())

Services usually use ``self.outgoing.sql`` and SQLAlchemy, which stand on this.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from _busbar import Service, SqlConnection, SqlCursor, SqlPool, sql_connect
from busbar.sql.exceptions import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)

__all__ = [
    'BINARY',
    'DATETIME',
    'NUMBER',
    'ROWID',
    'STRING',
    'Binary',
    'Connection',
    'Cursor',
    'DataError',
    'DatabaseError',
    'Date',
    'DateFromTicks',
    'Error',
    'IntegrityError',
    'InterfaceError',
    'InternalError',
    'NotSupportedError',
    'OperationalError',
    'Pool',
    'ProgrammingError',
    'Time',
    'TimeFromTicks',
    'Timestamp',
    'TimestampFromTicks',
    'Warning',
    'apilevel',
    'connect',
    'paramstyle',
    'pool',
    'threadsafety',
]

apilevel = '2.0'
#: Threads may share the module, not connections.
threadsafety = 1
#: ``%(name)s``, and ``%s``; a connection may be set to any other style.
paramstyle = 'pyformat'

Connection = SqlConnection
Cursor = SqlCursor
Pool = SqlPool

Date = date
Time = time
Timestamp = datetime
Binary = bytes


def DateFromTicks(ticks: float) -> date:
    """The local day of a number of seconds since 1970."""
    return date.fromtimestamp(ticks)


def TimeFromTicks(ticks: float) -> time:
    """The local time of a number of seconds since 1970."""
    return datetime.fromtimestamp(ticks).time()


def TimestampFromTicks(ticks: float) -> datetime:
    """The local point in time of a number of seconds since 1970."""
    return datetime.fromtimestamp(ticks)


class _Type:
    """Is equal to the numbers of some types, those of PostgreSQL and those of MySQL."""

    def __init__(self, name: str, *codes: int) -> None:
        self._name = name
        self._codes = frozenset(codes)

    def __eq__(self, other: object) -> bool:
        return other in self._codes if isinstance(other, int) else self is other

    def __hash__(self) -> int:
        return hash(self._codes)

    def __repr__(self) -> str:
        return f'<SQL type {self._name}>'


STRING = _Type('STRING', 18, 19, 25, 1042, 1043, 253, 254)
BINARY = _Type('BINARY', 17, 249, 250, 251, 252)
NUMBER = _Type('NUMBER', 20, 21, 23, 700, 701, 1700, 1, 2, 3, 4, 5, 8, 9, 246)
DATETIME = _Type('DATETIME', 1082, 1083, 1114, 1184, 1266, 7, 10, 11, 12)
ROWID = _Type('ROWID', 26)


def connect(
    target: str,
    *,
    service: Service | None = None,
    autocommit: bool = False,
    isolation_level: str | None = None,
    paramstyle: str = 'pyformat',
    **options: Any,
) -> SqlConnection:
    """A connection.

    :param target: name of an ``outconn_sql``, or a URL: ``postgresql://user:password@host/database``, ``mysql://``, ``sqlite:///path``.
    :param service: the service that asks, where there is one.
    :param autocommit: whether each statement is committed by itself.
    :param isolation_level: of the transactions; ``None``: the server's default.
    :param paramstyle: how placeholders are spelt.
    :param options: of a URL, beside those in it: ``connect_timeout``, ``statement_timeout``, ``ssl_mode``...
    :raises KeyError: if there is no connection of that name.
    :raises OperationalError: if the database cannot be reached, or no connection becomes free in time.
    """
    texts = [(name, _text(value)) for name, value in options.items() if value is not None]
    connection = sql_connect(target, service, texts)
    if isolation_level is not None:
        connection.isolation_level = isolation_level
    if autocommit:
        connection.autocommit = True
    if paramstyle != 'pyformat':
        connection.paramstyle = paramstyle
    return connection


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def pool(name: str, service: Service | None = None) -> SqlPool:
    """The pool of the ``outconn_sql`` of that name.

    :raises KeyError: if there is none.
    """
    return SqlPool(name, service)
