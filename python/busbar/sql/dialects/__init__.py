"""Dialects of SQLAlchemy whose connections are those of :mod:`busbar.sql`.

``create_engine('postgresql+busbar://...')`` finds them by entry points, in ``busbar_dialects-1.dist-info``; what is
part of busbar calls :func:`register`. SQLAlchemy is imported with the first of them, never by a worker that starts.

* :mod:`~busbar.sql.dialects.common` - what all of them share
* :mod:`~busbar.sql.dialects.postgresql`, :mod:`~busbar.sql.dialects.mysql`, :mod:`~busbar.sql.dialects.sqlite`
"""

from __future__ import annotations

from typing import Final

__all__ = ['DIALECTS', 'register']

#: Names of the dialects, and where their classes are.
DIALECTS: Final = {
    'postgresql.busbar': ('busbar.sql.dialects.postgresql', 'PostgreSQL'),
    'mysql.busbar': ('busbar.sql.dialects.mysql', 'MySQL'),
    'mariadb.busbar': ('busbar.sql.dialects.mysql', 'MariaDB'),
    'sqlite.busbar': ('busbar.sql.dialects.sqlite', 'SQLite'),
}


def register() -> None:
    """Tells SQLAlchemy of the dialects."""
    from sqlalchemy.dialects import registry

    for name, (module, attribute) in DIALECTS.items():
        registry.register(name, module, attribute)
