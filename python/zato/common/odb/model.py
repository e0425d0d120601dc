"""Tables of the server's database, under the names that services query them by.

busbar keeps its objects in a database of another shape, so there is nothing to query: a name can be imported, and using
it says so.
"""

from __future__ import annotations

from typing import Any, NoReturn


class _Table(type):
    """Refuses to give columns."""

    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith('__'):
            raise AttributeError(name)
        message = (
            f'`zato.common.odb.model.{cls.__name__}` cannot be queried: busbar keeps its objects otherwise; '
            'export them with enmasse'
        )
        raise NotImplementedError(message)


def __getattr__(name: str) -> Any:
    if not name[:1].isupper():
        raise AttributeError(name)
    table = _Table(name, (), {'__doc__': 'A table that is not there.', '__module__': __name__})
    globals()[name] = table
    return table
