"""Names that services import and that this version of busbar cannot give them yet: they import, and fail at use."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ['later']


def later(name: str, reason: str, doc: str) -> type[Any]:
    """A class that can be imported and derived from, and of which no object can be made.

    :param name: what it is called.
    :param reason: what it needs: ``'WebSocket connections'``.
    """

    def refuse(self: object, *args: Any, **kwargs: Any) -> NoReturn:
        message = f'`{name}` needs {reason}, which this version of busbar does not have yet'
        raise NotImplementedError(message)

    return type(name, (), {'__init__': refuse, '__doc__': doc, '__module__': 'zato.server.service'})
