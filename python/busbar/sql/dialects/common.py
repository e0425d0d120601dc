"""What the dialects share: how a connection is made, looked after and told that it is gone."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import sqlalchemy
from sqlalchemy import pool

__all__ = ['Common', 'CommonContext', 'IS_14', 'LEVELS']

#: SQLAlchemy 1.4, whose dialects know nothing of casts of parameters.
IS_14 = sqlalchemy.__version__.startswith('1.')

LEVELS = ('AUTOCOMMIT', 'READ COMMITTED', 'READ UNCOMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')


class CommonContext:
    """The side of an execution that faces the driver."""

    def create_server_side_cursor(self) -> Any:
        """A cursor like all others: their rows are fetched as they are asked for."""
        return self._dbapi_connection.cursor()


class Common:
    """The side of a dialect that faces the driver. Goes before the class of the database."""

    driver = 'busbar'
    supports_statement_cache = True
    supports_server_side_cursors = True
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True
    supports_unicode_statements = True
    supports_unicode_binds = True
    returns_native_bytes = True
    description_encoding = None
    default_paramstyle = 'pyformat'
    paramstyle: str

    def __init__(self, paramstyle: str | None = None, **more: Any) -> None:
        # SQLAlchemy would take the driver's own default, and the driver takes any
        super().__init__(paramstyle=paramstyle or self.default_paramstyle, **more)

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """The driver."""
        from busbar import sql

        return sql

    if IS_14:

        @classmethod
        def dbapi(cls) -> ModuleType:
            """The driver, as 1.4 asks for it."""
            return cls.import_dbapi()

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """A pool of SQLAlchemy's own, for engines that users make."""
        return pool.QueuePool

    def retrieve_dbapi_version(self, dbapi: Any) -> Any:
        """The driver comes with the server, and has no version that differs from it."""
        from sqlalchemy import util

        return util.parse_version_string('1.0')

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """The driver reads URLs itself."""
        return [url.render_as_string(hide_password=False)], {'paramstyle': self.paramstyle}

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether a connection is of no use after an error."""
        return bool(getattr(e, 'is_disconnect', False) or getattr(connection, 'is_broken', False))

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Asks the server."""
        dbapi_connection.ping()
        return True

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Rolls back what has not been given back, and so been rolled back, before."""
        if not dbapi_connection.closed:
            super().do_rollback(dbapi_connection)

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Closes a connection without a word to the server."""
        dbapi_connection.invalidate()

    @staticmethod
    def _driver_connection(connection: Any) -> Any:
        given = connection.connection
        # 1.4 hands out what the driver made while it gets to know a server
        return getattr(given, 'dbapi_connection', given)

    # === isolation ===

    def get_isolation_level_values(self, dbapi_conn: Any) -> tuple[str, ...]:
        """Levels that can be set."""
        return LEVELS

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        """Sets a level, or that each statement is a transaction of its own."""
        # one that SQLAlchemy knows of is none by now: it has asked for the level it had, say
        if dbapi_connection.in_transaction:
            dbapi_connection.rollback()
        if level == 'AUTOCOMMIT':
            dbapi_connection.autocommit = True
        else:
            dbapi_connection.autocommit = False
            dbapi_connection.isolation_level = level

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether each statement is a transaction of its own."""
        return bool(dbapi_conn.autocommit)
