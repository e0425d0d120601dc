"""Sessions, in the ways of SQLAlchemy 1.3, 1.4 and 2 at once.

A transaction that is open is noted with the thread that has begun it. What a service leaves open is rolled back, and
its connection given back, when its call ends: :func:`close_left_open`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.orm import Session as Base

from busbar.sql.rows import dressed

__all__ = ['Session', 'close_left_open']

_logger = logging.getLogger('busbar.sql')


class _Here(threading.local):
    """What is open on a thread. It goes with the thread, and so do connections that nobody else has."""

    def __init__(self) -> None:
        self.open: dict[Session, object] = {}


_here = _Here()


class Session(Base):
    """A session of an outgoing SQL connection.

    :param owner: whose call the session belongs to.
    :param name: the connection.
    :param bind: its engine.
    """

    def __init__(self, owner: object, name: str, bind: Any) -> None:
        super().__init__(bind=bind)
        self._owner = owner
        self._name = name
        self._place: dict[Session, object] | None = None

    def close(self) -> None:
        """Gives everything back. What was not committed is rolled back."""
        _give_back(self.get_transaction())
        super().close()

    def execute(self, statement: Any, params: Any = None, mapper: Any = None, bind: Any = None, **more: Any) -> Any:
        """Executes a statement. Text is SQL, whose parameters are written ``:name``."""
        return dressed(super().execute(_statement(statement), params, **_bound(mapper, bind, more)))

    def scalar(self, statement: Any, params: Any = None, mapper: Any = None, bind: Any = None, **more: Any) -> Any:
        """The first column of the first row, or ``None``."""
        return super().scalar(_statement(statement), params, **_bound(mapper, bind, more))

    def scalars(self, statement: Any, params: Any = None, **more: Any) -> Any:
        """The first column of all rows."""
        return super().scalars(_statement(statement), params, **more)


def _give_back(transaction: Any) -> None:
    """Gives back the connections of a transaction that is about to be closed.

    SQLAlchemy would wait for a ROLLBACK first. A connection that is given back is rolled back by the server, and nobody
    waits for that. SQLAlchemy's own roll-back finds it closed.
    """
    for connection, _, _, is_ours in set(getattr(transaction, '_connections', {}).values()):
        if is_ours and connection.dialect.driver == 'busbar' and not connection.closed and not connection.invalidated:
            connection.connection.dbapi_connection.close()


def _statement(given: Any) -> Any:
    return text(given) if isinstance(given, str) else given


def _bound(mapper: Any, bind: Any, more: dict[str, Any]) -> dict[str, Any]:
    """What used to be arguments of their own."""
    given = {name: value for name, value in (('mapper', mapper), ('bind', bind)) if value is not None}
    if given:
        more['bind_arguments'] = {**(more.get('bind_arguments') or {}), **given}
    return more


@event.listens_for(Session, 'after_transaction_create')
def _began(session: Session, transaction: Any) -> None:
    if transaction.parent is None:
        session._place = _here.open
        session._place[session] = session._owner


@event.listens_for(Session, 'after_transaction_end')
def _ended(session: Session, transaction: Any) -> None:
    if transaction.parent is None and session._place is not None:
        session._place.pop(session, None)
        session._place = None


def close_left_open(is_ours: Callable[[object], bool], who: str) -> None:
    """Rolls back and closes the sessions of this thread that are still open, and warns of them.

    :param is_ours: tells from a session's owner whether it is meant.
    :param who: ``service `x```, for the log.
    """
    for session in [session for session, owner in _here.open.items() if is_ours(owner)]:
        _logger.warning(
            'a session of SQL connection `%s` was left open by %s: it is rolled back; close it, or use it in `with`',
            session._name,
            who,
        )
        try:
            session.close()
        except BaseException:  # the call has ended, and there may be more of them
            _logger.warning('cannot close a session of SQL connection `%s`', session._name, exc_info=True)
        finally:
            _here.open.pop(session, None)
