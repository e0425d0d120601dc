"""``self.outgoing.sql``: databases, through SQLAlchemy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from busbar import sql

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from busbar.sql.session import Session

__all__ = ['SQLConnection', 'SQLConnections', 'SQLPool', 'finish_thread']


class SQLConnections:
    """``self.outgoing.sql``: databases by name.

    :param service: name of the service whose connections these are, for the log.
    """

    def __init__(self, service: str) -> None:
        self._service = service

    def get(self, name: str) -> SQLConnection:
        """The database of that name.

        :raises KeyError: if there is none.
        :raises Inactive: if it is switched off.
        """
        return SQLConnection(self, sql.pool(name))

    def __getitem__(self, name: str) -> SQLConnection:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        from zato.common.exception import Inactive

        try:
            sql.pool(name)
        except KeyError:
            return False
        except Inactive:
            return True
        return True

    def __iter__(self) -> Iterator[str]:
        """Names of the databases, also of those that are switched off."""
        return iter(sql.Pool.names())

    def finish(self) -> None:
        """Closes what the call has left open. Called by the server when it has ended."""
        _close_left_open(lambda owner: owner is self, f'service `{self._service}`')


def finish_thread() -> None:
    """Closes what this thread has left open. Called when a thread in the background has ended."""
    _close_left_open(lambda _owner: True, 'what ran in the background')


def _close_left_open(is_ours: Callable[[object], bool], who: str) -> None:
    # who has not come as far as to make a session has left none open
    if (sessions := sys.modules.get('busbar.sql.session')) is not None:
        sessions.close_left_open(is_ours, who)


class SQLConnection:
    """A database: ``session()``, or a statement at once with ``execute``, ``one``, ``one_or_none``."""

    def __init__(self, owner: SQLConnections, pool: Any) -> None:
        self._owner = owner
        self._pool = pool
        #: Name of the connection.
        self.name: str = pool.name

    @property
    def pool(self) -> SQLPool:
        """The pool: ``.engine``, ``.ping()``."""
        return SQLPool(self._pool)

    def session(self) -> Session:
        """A new session of SQLAlchemy."""
        from busbar.sql.engines import engine_of

        # says what to install where SQLAlchemy is missing, which the module of sessions cannot do without
        engine = engine_of(self._pool)
        from busbar.sql.session import Session

        return Session(self._owner, self.name, engine)

    def execute(self, query: Any, params: Any = None) -> list[dict[str, Any]]:
        """Executes a statement in a transaction of its own, and gives back the rows as dictionaries.

        ``params`` is a dictionary whose keys stand in the text as ``:name``, or a list of such to execute it for each.
        """
        with self.session() as session:
            result = session.execute(query, params)
            rows = [dict(row) for row in result.mappings()] if result.returns_rows else []
            session.commit()
        return rows

    def one_or_none(self, query: Any, params: Any = None) -> dict[str, Any] | None:
        """The row that a statement gives, ``None`` if there is none.

        :raises Exception: if there is more than one.
        """
        rows = self.execute(query, params)
        if len(rows) > 1:
            message = f'SQL connection `{self.name}`: one row was expected, and there are {len(rows)}'
            raise Exception(message)
        return rows[0] if rows else None

    def one(self, query: Any, params: Any = None) -> dict[str, Any] | None:
        """The same as ``one_or_none``."""
        return self.one_or_none(query, params)

    def callproc(self, name: str, params: Any = ()) -> list[dict[str, Any]]:
        """Calls a stored procedure in a transaction of its own, and gives back the rows as dictionaries."""
        connection = self.pool.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.callproc(name, list(params))
            names = [column[0] for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []
            cursor.close()
            connection.commit()
        finally:
            connection.close()
        return rows

    def ping(self) -> float:
        """Asks the database whether it is there; gives back how many seconds that took."""
        return self.pool.ping()

    def __repr__(self) -> str:
        return f'<SQL connection `{self.name}`>'


class SQLPool:
    """The pool of a database's connections."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        #: Name of the connection.
        self.name: str = pool.name
        #: How it is configured, without the password.
        self.config: dict[str, Any] = pool.config

    @property
    def engine(self) -> Engine:
        """Engine of SQLAlchemy."""
        from busbar.sql.engines import engine_of

        return engine_of(self._pool)

    @property
    def conn(self) -> SQLPool:
        """The pool itself."""
        return self

    @property
    def impl(self) -> SQLPool:
        """The pool itself."""
        return self

    def ping(self, config: object = None) -> float:
        """Asks the database whether it is there; gives back how many seconds that took."""
        if self._pool.is_native:
            taken: float = self._pool.ping()
            return taken
        started = time.perf_counter()
        with self.engine.connect() as connection:
            connection.scalar(_select_one(connection.dialect.name))
        return time.perf_counter() - started

    def stats(self) -> dict[str, Any]:
        """How the pool is used: ``in_use``, ``idle``, ``size``, ``overflow`` and more."""
        if self._pool.is_native:
            counted: dict[str, Any] = self._pool.stats()
            return counted
        pool: Any = self.engine.pool
        return {
            'in_use': pool.checkedout(),
            'idle': pool.checkedin(),
            'size': pool.size(),
            'overflow': max(pool.overflow(), 0),
        }

    def __repr__(self) -> str:
        return f'<pool of SQL connection `{self.name}`>'


def _select_one(dialect: str) -> Any:
    from sqlalchemy import text

    return text('SELECT 1 FROM dual' if dialect == 'oracle' else 'SELECT 1')
