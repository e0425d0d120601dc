"""Engines of SQLAlchemy, one for each outgoing SQL connection and process.

Those of databases that :mod:`busbar.sql` speaks have no pool: they take a connection from the server's own and give it
back. Others have one of SQLAlchemy's, over the driver that goes with them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from busbar import sql
from busbar.sql import dialects

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from busbar.sql.direct import Texts

__all__ = ['engine_of', 'take_over', 'texts_of']

_engines: dict[str, tuple[Any, Engine]] = {}
_texts: dict[str, tuple[Engine, Texts | None]] = {}
_lock = threading.Lock()


def engine_of(pool: Any) -> Engine:
    """The engine of a connection. A new one if the connection has become one of another kind, or place, since."""
    wanted = (pool.dialect,) if pool.is_native else (pool.dialect, pool.url, _pool_options(pool.config))
    known = _engines.get(pool.name)
    if known is not None and known[0] == wanted:
        return known[1]
    with _lock:
        known = _engines.get(pool.name)
        if known is not None and known[0] == wanted:
            return known[1]
        made = _native(pool) if pool.is_native else _foreign(pool)
        _engines[pool.name] = (wanted, made)
    if known is not None:
        # connections that are in use go on, and are closed when they come back
        known[1].dispose()
    return made


def texts_of(name: str, engine: Engine) -> Texts | None:
    """The queries that need nothing of SQLAlchemy; ``None``: it executes all of them itself."""
    known = _texts.get(name)
    if known is None or known[0] is not engine:
        _texts[name] = known = (engine, _make_texts(name, engine))
    return known[1]


def _make_texts(name: str, engine: Engine) -> Texts | None:
    from busbar.sql.dialects.common import IS_14

    if IS_14 or engine.dialect.driver != 'busbar':
        return None
    from busbar.sql.direct import Texts

    return Texts(name, engine)


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError as error:
        message = 'outgoing SQL connections need the package SQLAlchemy: pip install SQLAlchemy'
        raise ImportError(message) from error
    return sqlalchemy


def _native(pool: Any) -> Engine:
    sqlalchemy = _sqlalchemy()
    dialects.register()
    url = f'{pool.dialect}+busbar://'
    style = sqlalchemy.engine.make_url(url).get_dialect().default_paramstyle
    made: Engine = sqlalchemy.create_engine(
        url, creator=partial(_connect, pool.name, style), poolclass=sqlalchemy.pool.NullPool
    )
    return _extended(made)


def _extended(made: Any) -> Engine:
    """The same engine, which takes what those of SQLAlchemy 1.3 took."""
    from busbar.sql.dialects.common import IS_14

    if not IS_14:
        from busbar.sql.connections import Engine

        # whoever creates engines lets nobody choose their class
        made.__class__ = Engine
    engine: Engine = made
    return engine


class _Handed(threading.local):
    """A connection that an engine takes over instead of making one."""

    connection: Any = None


_handed = _Handed()


def _connect(name: str, style: str) -> Any:
    if _handed.connection is not None:
        connection, _handed.connection = _handed.connection, None
        return connection
    return sql.connect(name, paramstyle=style)


def take_over(connection: Any, connect: Callable[[], object]) -> None:
    """Has an engine connect, in ``connect``, with a connection of the driver that is in use already."""
    _handed.connection = connection
    try:
        connect()
    finally:
        if _handed.connection is not None:
            _handed.connection = None
            connection.close()


def _pool_options(config: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What the connection says of its pool, in the words of SQLAlchemy."""
    return (
        ('pool_size', config['pool_size']),
        ('max_overflow', config['max_overflow']),
        ('pool_timeout', config['pool_timeout']),
        ('pool_recycle', config['recycle'] or -1),
        ('pool_pre_ping', config['pre_ping']),
    )


def _foreign(pool: Any) -> Engine:
    sqlalchemy = _sqlalchemy()
    options = dict(_pool_options(pool.config))
    try:
        made: Engine = sqlalchemy.create_engine(pool.url, poolclass=sqlalchemy.pool.QueuePool, **options)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        message = f'SQL connection `{pool.name}` needs the driver of `{pool.engine}`, which cannot be loaded: {error}'
        raise ImportError(message) from error
    return _extended(made)
