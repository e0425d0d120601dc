"""``mysql+busbar`` and ``mariadb+busbar``"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.mysql.base import MySQLCompiler, MySQLDialect, MySQLExecutionContext
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect

from busbar.sql.dialects.common import Common, CommonContext

__all__ = ['MariaDB', 'MySQL']


class _Context(CommonContext, MySQLExecutionContext):
    pass


class _Compiler(MySQLCompiler):
    # the frame of a window takes no parameters: its numbers are written into the statement when it is executed

    def visit_frame_clause(self, frameclause: Any, **kw: Any) -> str:
        return super().visit_frame_clause(frameclause, **{**kw, 'literal_execute': True})

    def _format_frame_clause(self, range_: Any, **kw: Any) -> str:
        return super()._format_frame_clause(range_, **{**kw, 'literal_execute': True})


class MySQL(Common, MySQLDialect):
    """MySQL, and MariaDB under that name."""

    default_paramstyle = 'format'
    supports_statement_cache = True
    execution_ctx_cls = _Context
    statement_compiler = _Compiler
    supports_native_decimal = True

    def _detect_charset(self, connection: Any) -> str:
        return 'utf8mb4'

    def _extract_error_code(self, exception: Any) -> int | None:
        return exception.errno


class MariaDB(MySQL, MariaDBDialect):
    """MariaDB."""

    name = 'mariadb'
    supports_statement_cache = True
