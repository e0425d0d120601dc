"""``sqlite+busbar``"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from sqlalchemy import pool
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect, SQLiteExecutionContext

from busbar.sql.dialects.common import Common, CommonContext

__all__ = ['SQLite']


class _Context(CommonContext, SQLiteExecutionContext):
    pass


class _Compiler(SQLiteCompiler):
    def visit_floordiv_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        # without a function FLOOR: what is cut off makes negative numbers larger
        whole = super().visit_floordiv_binary(binary, operator, **kw)
        if not whole.startswith('FLOOR('):
            return whole
        value = whole.removeprefix('FLOOR')
        return f'(CAST({value} AS INTEGER) - ({value} < CAST({value} AS INTEGER)))'


class SQLite(Common, SQLiteDialect):
    """SQLite."""

    default_paramstyle = 'qmark'
    supports_statement_cache = True
    execution_ctx_cls = _Context
    statement_compiler = _Compiler

    def __init__(self, dbapi: ModuleType | None = None, **more: Any) -> None:
        # what the class would do with the driver is to ask whether SQLite is older than ours
        super().__init__(**more)
        self.dbapi = dbapi

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """A database in memory is gone with its connection, so each thread keeps its own."""
        is_file = url.database and url.database != ':memory:'
        return pool.QueuePool if is_file else pool.SingletonThreadPool

    def get_isolation_level_values(self, dbapi_conn: Any) -> tuple[str, ...]:
        """Levels that can be set."""
        return ('AUTOCOMMIT', 'READ UNCOMMITTED', 'SERIALIZABLE')

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version = self._driver_connection(connection).server_version
        return tuple(int(part) for part in version.split('.'))
