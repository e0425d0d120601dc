"""A database that tests fill and look into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Database:
    """The other end of an outgoing SQL connection."""

    def __init__(self, name: str, run: Callable[[Callable[[Any], Any]], Any]) -> None:
        self.name = name
        self._run = run

    def execute(self, query: Any, params: Any = None) -> list[dict[str, Any]]:
        """Executes a statement in a transaction of its own, and gives back the rows as dictionaries."""
        rows: list[dict[str, Any]] = self._run(lambda service: service.outgoing.sql[self.name].execute(query, params))
        return rows

    def one(self, query: Any, params: Any = None) -> dict[str, Any] | None:
        """The row that a statement gives, ``None`` if there is none."""
        row: dict[str, Any] | None = self._run(lambda service: service.outgoing.sql[self.name].one(query, params))
        return row

    def run(self, function: Callable[[Any], Any]) -> Any:
        """Calls a function with a session, commits, and returns what it returned."""

        def with_session(service: Any) -> Any:
            with service.outgoing.sql[self.name].session() as session:
                value = function(session)
                session.commit()
                return value

        return self._run(with_session)

    def __repr__(self) -> str:
        return f'<Database {self.name!r}>'
