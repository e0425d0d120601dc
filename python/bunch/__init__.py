"""Stands in for the package ``bunch``, which services import and which no longer installs: a dictionary with dots.

An implementation of our own of the behaviour that its users know::

    >>> b = bunchify({'user': {'name': 'Ann'}, 'tags': [{'id': 1}]})
    >>> b.user.name, b.tags[0].id
    ('Ann', 1)
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ['Bunch', 'bunchify', 'unbunchify']


class Bunch(dict[Any, Any]):
    """A dictionary whose keys are attributes too.

    Attributes of ``dict`` itself win when they are read with a dot: ``b.items`` is the method, ``b['items']`` the key.
    """

    def __getattr__(self, name: str) -> Any:
        # only reached when there is no such attribute
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if _is_attribute(self, name):
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        if _is_attribute(self, name):
            object.__delattr__(self, name)
            return
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(key for key in self if isinstance(key, str) and key.isidentifier())]

    def __repr__(self) -> str:
        return f'{type(self).__name__}({", ".join(f"{key}={value!r}" for key, value in self.items())})'

    def copy(self) -> Bunch:
        """A copy, as deep as its dictionaries go."""
        return Bunch((key, bunchify(value)) for key, value in self.items())

    def toDict(self) -> dict[Any, Any]:
        """A plain dictionary of it, and of all dictionaries inside."""
        return {key: unbunchify(value) for key, value in self.items()}

    @staticmethod
    def fromDict(data: Any) -> Any:
        """Like :func:`bunchify`."""
        return bunchify(data)

    def toJSON(self, **options: Any) -> str:
        """Write it as JSON; the options are those of ``json.dumps``."""
        return json.dumps(self, **options)


def _is_attribute(bunch: Bunch, name: str) -> bool:
    try:
        object.__getattribute__(bunch, name)
    except AttributeError:
        return False
    return True


def bunchify(data: Any) -> Any:
    """``data`` with every dictionary in it, however deep in dictionaries, lists and tuples, made a :class:`Bunch`."""
    if isinstance(data, dict):
        return Bunch((key, bunchify(value)) for key, value in data.items())
    if isinstance(data, list):
        return [bunchify(value) for value in data]
    if isinstance(data, tuple):
        return _same_tuple(data, [bunchify(value) for value in data])
    return data


def unbunchify(data: Any) -> Any:
    """``data`` with every dictionary in it, however deep, made a plain one."""
    if isinstance(data, dict):
        return {key: unbunchify(value) for key, value in data.items()}
    if isinstance(data, list):
        return [unbunchify(value) for value in data]
    if isinstance(data, tuple):
        return _same_tuple(data, [unbunchify(value) for value in data])
    return data


def _same_tuple(original: tuple[Any, ...], values: list[Any]) -> tuple[Any, ...]:
    # a namedtuple takes its fields one by one
    return type(original)(*values) if hasattr(original, '_fields') else type(original)(values)
