"""Queries given as text, straight to the driver.

A session that is given ``'SELECT ...'`` needs nothing of what SQLAlchemy does for statements of its own: it would look
the text up among those that it has compiled, make a connection, a transaction, a context and a cursor around those of
the driver, and take all of it apart again, which takes several times as long as the query. So such queries go to the
driver at once, with the SQL that SQLAlchemy has compiled them to. What they give is a result of SQLAlchemy's.

Whoever listens to what engines and sessions do gets to see everything: then nothing is direct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

from sqlalchemy import exc, text
from sqlalchemy.engine import result
from sqlalchemy.sql.expression import TextClause

from busbar import sql
from busbar.sql.rows import SQLRow, sql_row

__all__ = ['DirectResult', 'Query', 'Texts', 'plain_text']

#: Texts whose compiled form is kept, for each engine.
_MAX_QUERIES: Final = 1000

#: What is sure to give rows. SELECT ... INTO makes a table, or a variable; behind a semicolon there may be anything.
_QUERY: Final = re.compile(r'(?!.*\binto\b)(?!.*;\s*\S)\s*select\b', re.IGNORECASE | re.DOTALL)


def plain_text(statement: Any) -> str | None:
    """The text of a statement that is nothing but text, as a string or as ``text('...')``."""
    if type(statement) is str:
        return statement
    if type(statement) is not TextClause or statement._execution_options or statement._with_options:
        return None
    for parameter in statement._bindparams.values():
        # something was said of it besides its name
        if not parameter.required or parameter.expanding or not parameter.type._isnull:
            return None
    return statement.text


class Query:
    """A query, as the driver takes it."""

    __slots__ = ('_known', 'is_positional', 'names', 'sql')

    def __init__(self, compiled: Any) -> None:
        self.sql: str = compiled.string
        self.is_positional: bool = compiled.positional
        names = compiled.positiontup if compiled.positional else compiled.bind_names.values()
        self.names: tuple[str, ...] = tuple(names or ())
        self._known: tuple[list[str], Any, Any] | None = None

    def values(self, params: dict[str, Any] | None) -> Any:
        """The values for its placeholders. ``KeyError`` if one is not there."""
        if not self.names:
            return () if self.is_positional else {}
        if params is None:
            raise KeyError(self.names[0])
        if self.is_positional:
            return tuple(params[name] for name in self.names)
        return {name: params[name] for name in self.names}

    def columns(self, names: list[str]) -> tuple[Any, Any]:
        """What SQLAlchemy needs to know of columns, and what makes rows of them."""
        known = self._known
        if known is None or known[0] != names:
            # of columns with one name the last counts, as SQLAlchemy has it for texts
            metadata = result.SimpleResultMetaData(names)
            self._known = known = (names, metadata, _rows_of(metadata))
        return known[1], known[2]


#: What SQLAlchemy makes rows with: three functions since 2.1, before that one.
_MAKES_MANY: Final = isinstance(result.IteratorResult(result.SimpleResultMetaData(['a']), iter(()))._row_getter, tuple)


def _rows_of(metadata: Any) -> Any:
    """The maker of one row, or those of one row, of many, and of rows in between: SQLAlchemy's ``_row_getter``."""
    key_to_index = metadata._key_to_index

    def one(data: Any) -> SQLRow:
        return SQLRow(metadata, None, key_to_index, data)

    if not _MAKES_MANY:
        return one

    def many(rows: Sequence[Any]) -> list[SQLRow]:
        return [SQLRow(metadata, None, key_to_index, data) for data in rows]

    return one, many, many


def _is_heard(target: Any) -> bool:
    """Whether somebody listens to what an engine or a dialect does. SQLAlchemy only notes that somebody did."""
    return target._has_events and any(getattr(target.dispatch, name) for name in target.dispatch._event_names)


class Texts:
    """The queries of one engine.

    :param name: the connection.
    :param engine: its engine.
    """

    def __init__(self, name: str, engine: Any) -> None:
        self._name = name
        self._engine = engine
        self._dialect = engine.dialect
        self._queries: dict[str, Query | None] = {}
        self._on_connect = engine.dialect.on_connect()
        self._is_lite = engine.dialect.name == 'sqlite'
        self._pool = engine.pool
        # SQLAlchemy's own
        self._on_first = len(engine.pool.dispatch.connect)

    def find(self, statement: str) -> Query | None:
        """The query of a text; ``None`` if SQLAlchemy must execute it."""
        engine, dialect = self._engine, self._dialect
        # the first connection is one that SQLAlchemy gets to know the server by
        if 'default_schema_name' not in dialect.__dict__ or _is_heard(engine) or _is_heard(dialect) or engine.echo:
            return None
        # looked up each time: listening to one of them for the first time replaces it
        pool = self._pool.dispatch
        has_listeners = pool.checkout or pool.checkin or pool.reset or len(pool.connect) != self._on_first
        if has_listeners or engine._execution_options:
            return None
        try:
            return self._queries[statement]
        except KeyError:
            pass
        query = None
        if _QUERY.match(statement):
            compiled: Any = text(statement).compile(dialect=dialect)
            query = None if compiled.escaped_bind_names else Query(compiled)
        if len(self._queries) >= _MAX_QUERIES:
            self._queries.clear()
        self._queries[statement] = query
        return query

    def connect(self) -> Any:
        """A connection of the driver, set up as SQLAlchemy's are."""
        try:
            connection = sql.connect(self._name, paramstyle=self._dialect.paramstyle)
        except sql.Error as error:
            self.fail(error, None, None)
        if self._on_connect is not None:
            self._on_connect(connection)
        return connection

    def run(self, connection: Any, query: Query, values: Any) -> DirectResult:
        """Executes a query on a connection of the driver."""
        cursor = connection.cursor()
        try:
            cursor.execute(query.sql, values)
        except sql.Error as error:
            self.fail(error, query, values)
        names = [column[0] for column in cursor.description or ()]
        if self._is_lite:
            # what SQLAlchemy does: of `table.column` only the column
            names = [name.rpartition('.')[2] for name in names]
        return DirectResult(self, cursor, query, values, *query.columns(names))

    def fail(self, error: Exception, query: Query | None, values: Any) -> NoReturn:
        """Raises what SQLAlchemy makes of an error of the driver."""
        raise exc.DBAPIError.instance(
            None if query is None else query.sql,
            values,
            error,
            sql.Error,
            hide_parameters=self._engine.hide_parameters,
            connection_invalidated=getattr(error, 'is_disconnect', False),
            dialect=self._dialect,
            ismulti=False,
        ) from error


class DirectResult(result.Result[Any]):
    """What a query gives: a result of SQLAlchemy's that reads from a cursor of the driver."""

    _row_logging_fn = staticmethod(sql_row)
    _source_supports_scalars = False
    _yield_per = None
    _is_soft_closed = False
    _is_hard_closed = False

    #: As results of SQLAlchemy's cursors have them.
    returns_rows = True
    is_insert = False
    context = None

    def __init__(self, texts: Texts, cursor: Any, query: Query, values: Any, metadata: Any, rows: Any) -> None:
        super().__init__(metadata)
        self._set_memoized_attribute('_row_getter', rows)
        self._texts = texts
        self._query = query
        self._values = values
        self.cursor = cursor

    @property
    def rowcount(self) -> int:
        """How many rows there are; -1 if that is not known yet."""
        count: int = self.cursor.rowcount
        return count

    @property
    def lastrowid(self) -> int | None:
        """The id that the query made, with databases that tell."""
        made: int | None = self.cursor.lastrowid
        return made

    @property
    def closed(self) -> bool:
        """Whether it was closed before its end."""
        return self._is_hard_closed

    @property
    def _soft_closed(self) -> bool:
        return self._is_soft_closed

    def _soft_close(self, hard: bool = False, **_more: Any) -> None:
        self._is_hard_closed |= hard
        if not self._is_soft_closed:
            self._is_soft_closed = True
            self.cursor.close()

    def _read(self, read: Any, *arguments: Any) -> Any:
        if self._is_hard_closed:
            message = 'This result object is closed.'
            raise exc.ResourceClosedError(message)
        if self._is_soft_closed:
            return None
        try:
            return read(*arguments)
        except sql.Error as error:
            self._texts.fail(error, self._query, self._values)

    def _fetchone_impl(self, hard_close: bool = False) -> Any:
        row = self._read(self.cursor.fetchone)
        if row is None:
            self._soft_close(hard=hard_close)
        return row

    def _fetchmany_impl(self, size: int | None = None) -> Any:
        rows = self._read(self.cursor.fetchmany, *([] if size is None else [size]))
        if not rows:
            self._soft_close()
        return rows or []

    def _fetchall_impl(self) -> Any:
        rows = self._read(self.cursor.fetchall)
        self._soft_close()
        return rows or []

    def _fetchiter_impl(self) -> Iterator[Any]:
        while (row := self._fetchone_impl()) is not None:
            yield row

    def _raw_row_iterator(self) -> Iterator[Any]:
        return self._fetchiter_impl()
