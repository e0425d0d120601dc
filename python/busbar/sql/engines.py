"""Engines of SQLAlchemy, one for each outgoing SQL connection and process.

Those of databases that :mod:`busbar.sql` speaks have no pool: they take a connection from the server's own and give it
back. Others have one of SQLAlchemy's, over the driver that goes with them.
"""

from __future__ import annotations

from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from busbar import sql
from busbar.sql import dialects

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ['engine_of']

_engines: dict[str, tuple[Any, Engine]] = {}
_lock = Lock()


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
        url, creator=partial(sql.connect, pool.name, paramstyle=style), poolclass=sqlalchemy.pool.NullPool
    )
    return made


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
    return made
