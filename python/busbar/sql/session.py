"""Sessions, in the ways of SQLAlchemy 1.3, 1.4 and 2 at once.

A transaction that is open is noted with the thread that has begun it. What a service leaves open is rolled back, and
its connection given back, when its call ends: :func:`close_left_open`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, exc, text
from sqlalchemy.orm import Session as Base

from busbar import sql
from busbar.sql.dialects.common import IS_14
from busbar.sql.engines import take_over, texts_of
from busbar.sql.rows import dressed

if TYPE_CHECKING:
    from busbar.sql.direct import DirectResult

if not IS_14:
    from busbar.sql.connections import Subtransaction
    from busbar.sql.direct import plain_text

__all__ = ['Session', 'close_left_open']

_logger = logging.getLogger('busbar.sql')


class _Here(threading.local):
    """What is open on a thread. It goes with the thread, and so do connections that nobody else has."""

    def __init__(self) -> None:
        self.open: dict[Session, object] = {}


_here = _Here()


class Session(Base):
    """A session of an outgoing SQL connection.

    Queries that need nothing of SQLAlchemy go to the driver, see :mod:`busbar.sql.direct`. What SQLAlchemy knows of a
    session is made when somebody asks for more than that; it takes the connection and its transaction over.

    :param owner: whose call the session belongs to.
    :param name: the connection.
    :param bind: its engine.
    """

    def __init__(self, owner: object, name: str, bind: Any) -> None:
        self._owner = owner
        self._name = name
        self._made_for = bind
        self._place: dict[Session, object] | None = None
        #: The thread whose call has left it open, once it was closed for that.
        self._left_by: int | None = None
        self._texts = texts_of(name, bind)
        #: What queries went to without SQLAlchemy: a connection of the driver.
        self._direct: Any = None
        if self._texts is None:
            super().__init__(bind=bind)

    def __getattr__(self, name: str) -> Any:
        if 'identity_map' in self.__dict__ or name.startswith('__') or name == '_made_for':
            message = f'sessions have no attribute `{name}`'
            raise AttributeError(message)
        # something of SQLAlchemy's, who finds nothing made yet
        super().__init__(bind=self._made_for)
        direct, self._direct = self._direct, None
        if direct is not None:
            take_over(direct, self.connection)
        return getattr(self, name)

    def close(self) -> None:
        """Gives everything back. What was not committed is rolled back."""
        self._end(lambda direct: None)
        if 'identity_map' in self.__dict__:
            _give_back(self.get_transaction())
            super().close()

    def commit(self) -> None:
        """Commits what was done since the last time."""
        if not self._end(lambda direct: direct.commit()):
            super().commit()

    def rollback(self) -> None:
        """Takes back what was done since the last time."""
        if not self._end(lambda direct: direct.rollback()):
            super().rollback()

    if not IS_14:

        def begin(self, nested: bool = False, *, subtransactions: bool = False) -> Any:
            """Begins a transaction; a part of the open one, if it may be that."""
            if subtransactions and not nested and self.in_transaction():
                return Subtransaction(self)
            return super().begin(nested)

    def execute(self, statement: Any, params: Any = None, mapper: Any = None, bind: Any = None, **more: Any) -> Any:
        """Executes a statement. Text is SQL, whose parameters are written ``:name``."""
        if mapper is None and bind is None and not more:
            found = self._straight(statement, params)
            if found is not None:
                return found
        return dressed(super().execute(_statement(statement), params, **_bound(mapper, bind, more)))

    def scalar(self, statement: Any, params: Any = None, mapper: Any = None, bind: Any = None, **more: Any) -> Any:
        """The first column of the first row, or ``None``."""
        if mapper is None and bind is None and not more:
            found = self._straight(statement, params)
            if found is not None:
                return found.scalar()
        return super().scalar(_statement(statement), params, **_bound(mapper, bind, more))

    def scalars(self, statement: Any, params: Any = None, **more: Any) -> Any:
        """The first column of all rows."""
        return super().scalars(_statement(statement), params, **more)

    def _straight(self, statement: Any, params: Any) -> DirectResult | None:
        """What a query gives; ``None``: SQLAlchemy must execute it."""
        if (
            self._texts is None
            or not (params is None or type(params) is dict)
            # SQLAlchemy knows something of the session
            or 'identity_map' in self.__dict__
            or self._is_heard()
        ):
            return None
        given = plain_text(statement)
        query = None if given is None else self._texts.find(given)
        if query is None:
            return None
        try:
            values = query.values(params)
        except KeyError:
            # whose message it is
            return None
        if self._direct is None:
            self._begin_here()
            try:
                self._direct = self._texts.connect()
            except BaseException:
                self._end_here()
                raise
        return self._texts.run(self._direct, query, values)

    def _is_heard(self) -> bool:
        """Whether somebody listens to what the session does."""
        return 'dispatch' in self.__dict__ or any(len(heard) > ours for heard, ours in _listeners)

    def _begin_here(self) -> None:
        """Notes that a transaction begins on this thread."""
        if self._left_by is not None:
            if self._left_by != threading.get_ident():
                message = (
                    f'the session of SQL connection `{self._name}` was closed when the call that had opened it ended, '
                    'and what it did was rolled back; a thread that outlives its call needs a session of its own'
                )
                raise exc.InvalidRequestError(message)
            self._left_by = None
        self._place = _here.open
        self._place[self] = self._owner

    def _end_here(self) -> None:
        if self._place is not None:
            self._place.pop(self, None)
            self._place = None

    def _end(self, how: Callable[[Any], None]) -> bool:
        """Ends the transaction of queries that went to the driver. ``False``: there were none."""
        if self._direct is not None and self._is_heard():
            # somebody has begun to listen since: SQLAlchemy takes over, and ends it
            _ = self.identity_map
        direct, self._direct = self._direct, None
        if direct is None:
            return False
        self._end_here()
        try:
            how(direct)
        except sql.Error as error:
            if self._texts is not None:
                self._texts.fail(error, None, None)
            raise
        finally:
            direct.close()
        return True


def _give_back(transaction: Any) -> None:
    """Gives back the connections of a transaction that is about to be closed.

    SQLAlchemy would wait for a ROLLBACK first. A connection that is given back is rolled back by the server, and nobody
    waits for that. SQLAlchemy's own roll-back finds it closed.
    """
    for connection, _, _, is_ours in set(getattr(transaction, '_connections', {}).values()):
        if is_ours and connection.dialect.driver == 'busbar' and not connection.closed and not connection.invalidated:
            connection.connection.dbapi_connection.close()


@lru_cache(maxsize=1000)
def _text(given: str) -> Any:
    return text(given)


def _statement(given: Any) -> Any:
    return _text(str(given)) if isinstance(given, str) else given


def _bound(mapper: Any, bind: Any, more: dict[str, Any]) -> dict[str, Any]:
    """What used to be arguments of their own. In the places of two of them are others since 1.4."""
    if isinstance(mapper, dict):
        more['execution_options'], mapper = mapper, None
    if isinstance(bind, dict):
        more['bind_arguments'], bind = bind, None
    given = {name: value for name, value in (('mapper', mapper), ('bind', bind)) if value is not None}
    if given:
        more['bind_arguments'] = {**(more.get('bind_arguments') or {}), **given}
    return more


@event.listens_for(Session, 'after_transaction_create')
def _began(session: Session, transaction: Any) -> None:
    if transaction.parent is None:
        try:
            session._begin_here()
        except exc.InvalidRequestError:
            transaction.close()
            raise


@event.listens_for(Session, 'after_transaction_end')
def _ended(session: Session, transaction: Any) -> None:
    if transaction.parent is None:
        session._end_here()


def _heard(*names: str) -> list[tuple[Any, int]]:
    """Who listens to such events of sessions, as of any moment; and how many of them are listed here."""
    dispatch: Any = Session.__new__(Session).dispatch
    return [(getattr(dispatch, name), len(getattr(dispatch, name))) for name in names]


#: Events of what queries do, and of transactions.
_listeners = _heard(
    'after_begin',
    'after_commit',
    'after_rollback',
    'after_soft_rollback',
    'after_transaction_create',
    'after_transaction_end',
    'before_commit',
    'do_orm_execute',
)


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
        session._left_by = threading.get_ident()
        try:
            session.close()
        except BaseException:  # the call has ended, and there may be more of them
            _logger.warning('cannot close a session of SQL connection `%s`', session._name, exc_info=True)
        finally:
            _here.open.pop(session, None)
