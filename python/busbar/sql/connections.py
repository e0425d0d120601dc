"""Engines and connections of SQLAlchemy 2 that take what those of 1.3 took.

Text goes to the driver as it is, with the driver's placeholders; rows are those of :mod:`busbar.sql.rows`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from sqlalchemy import engine
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

from busbar.sql.rows import dressed

__all__ = ['Connection', 'Engine', 'Subtransaction']


class Connection(engine.Connection):
    """A connection whose ``execute`` takes text, and parameters in all ways of 1.3."""

    def execute(self, statement: Any, *parameters: Any, execution_options: Any = None, **named: Any) -> Any:
        """Executes a statement. Placeholders of text are the driver's: ``%s`` and ``%(name)s``, with SQLite ``?``."""
        if 'parameters' in named and not parameters:
            parameters = (named.pop('parameters'),)
        if isinstance(statement, str):
            given = named or _driver_parameters(parameters)
            return dressed(self.exec_driver_sql(str(statement), given, execution_options))
        if execution_options is not None:
            # sessions, which look after rows themselves
            return super().execute(statement, *parameters, execution_options=execution_options)
        given = named or (parameters[0] if len(parameters) == 1 else list(parameters)) or None
        return dressed(super().execute(statement, given))

    def scalar(self, statement: Any, *parameters: Any, execution_options: Any = None, **named: Any) -> Any:
        """The first column of the first row that a statement gives."""
        return self.execute(statement, *parameters, execution_options=execution_options, **named).scalar()


def _driver_parameters(given: tuple[Any, ...]) -> Any:
    """Values as the driver takes them: of one execution in a dictionary or tuple, of several in a list of such."""
    if not given:
        return None
    first = given[0]
    if len(given) == 1 and isinstance(first, list):
        is_many = bool(first) and isinstance(first[0], (dict, list, tuple))
        return [item if isinstance(item, dict) else tuple(item) for item in first] if is_many else tuple(first)
    if len(given) == 1 and isinstance(first, (dict, tuple)):
        return first
    if isinstance(first, (dict, list, tuple)):
        return _driver_parameters((list(given),))
    return given


class Engine(engine.Engine):
    """An engine that executes statements itself."""

    _connection_cls = Connection

    def execute(self, statement: Any, *parameters: Any, **named: Any) -> Any:
        """Executes a statement in a transaction of its own, and reads what it gives."""
        with self.begin() as connection:
            result: Any = connection.execute(statement, *parameters, **named)
            # SQLAlchemy itself has read what an INSERT of its own gives, and closed the cursor
            if result.returns_rows and result.cursor is not None:
                result.cursor_strategy = FullyBufferedCursorFetchStrategy(result.cursor)
        return result

    def scalar(self, statement: Any, *parameters: Any, **named: Any) -> Any:
        """The first column of the first row that a statement gives."""
        return self.execute(statement, *parameters, **named).scalar()


class Subtransaction:
    """A part of a transaction that ends with the whole of it: ``session.begin(subtransactions=True)``.

    :param session: whose transaction it is.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def commit(self) -> None:
        """Nothing: whoever has begun the transaction commits it."""

    def rollback(self) -> None:
        """Rolls the whole transaction back."""
        self._session.rollback()

    def __enter__(self) -> Subtransaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self.rollback()
