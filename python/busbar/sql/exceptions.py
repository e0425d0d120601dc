"""What ``busbar.sql`` raises: the exceptions of PEP 249.

Each carries what the database said: ``sqlstate`` (``pgcode`` is the same), ``errno``, ``detail``, ``hint``,
``constraint``, ``table``, ``column``; and what follows from it: ``is_disconnect`` - the connection is of no use any
more, ``is_retriable`` - the whole transaction may succeed when it is tried again, ``is_outcome_unknown`` - the
connection was lost while the database was to commit.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    'DataError',
    'DatabaseError',
    'Diagnostics',
    'Error',
    'IntegrityError',
    'InterfaceError',
    'InternalError',
    'NotSupportedError',
    'OperationalError',
    'ProgrammingError',
    'Warning',
]


class Warning(Exception):
    """Something that callers should know of."""


class Diagnostics(NamedTuple):
    """What the database said of an error, by the names that psycopg2 has for it."""

    sqlstate: str | None
    message_primary: str
    message_detail: str | None
    message_hint: str | None
    table_name: str | None
    column_name: str | None
    constraint_name: str | None


class Error(Exception):
    """The base of all others."""

    #: What is wrong.
    message: str = ''
    #: SQLSTATE, where the database has one.
    sqlstate: str | None = None
    #: The number of MySQL, the extended result code of SQLite.
    errno: int | None = None
    #: What PostgreSQL says besides.
    detail: str | None = None
    #: What PostgreSQL advises.
    hint: str | None = None
    #: Name of the constraint that was violated.
    constraint: str | None = None
    #: Name of the table that it is about.
    table: str | None = None
    #: Name of the column that it is about.
    column: str | None = None
    #: Whether the connection is of no use any more.
    is_disconnect: bool = False
    #: Whether the whole transaction may succeed when it is tried again.
    is_retriable: bool = False
    #: Whether the connection was lost at a moment at which the database may have committed, or may not.
    is_outcome_unknown: bool = False

    @property
    def pgcode(self) -> str | None:
        """The same as ``sqlstate``."""
        return self.sqlstate

    @property
    def pgerror(self) -> str:
        """The same as ``message``."""
        return self.message

    @property
    def diag(self) -> Diagnostics:
        """The same, by the names that psycopg2 has for it."""
        first, _, _ = self.message.partition('\n')
        said = self.detail, self.hint, self.table, self.column, self.constraint
        return Diagnostics(self.sqlstate, first, *said)


class InterfaceError(Error):
    """The driver was used in a way that it cannot be used in."""


class DatabaseError(Error):
    """Something of the database."""


class DataError(DatabaseError):
    """A value is out of range, of a wrong type, or has no form in Python."""


class OperationalError(DatabaseError):
    """The database is away, busy or full, or refused the connection."""


class IntegrityError(DatabaseError):
    """A constraint was violated."""


class InternalError(DatabaseError):
    """The database is in a state that it should not be in."""


class ProgrammingError(DatabaseError):
    """The SQL is wrong, or names what is not there."""


class NotSupportedError(DatabaseError):
    """The database cannot do that."""
