"""Stands in for the package ``jsonpointer``: places in JSON documents (RFC 6901)."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any, Final

__all__ = ['EndOfList', 'JsonPointer', 'JsonPointerException', 'resolve_pointer', 'set_pointer']

__version__ = '0'

_NOTHING: Final = object()
_INDEX: Final = re.compile(r'0|[1-9][0-9]*')
_ESCAPE: Final = re.compile(r'~(?![01])')


class JsonPointerException(Exception):
    """A pointer is none, or leads nowhere."""


class EndOfList:
    """What ``-`` points at: the place after the last item of a list."""

    def __init__(self, list_: Any) -> None:
        self.list_ = list_

    def __repr__(self) -> str:
        return f'EndOfList({self.list_!r})'


class JsonPointer:
    """A place in documents: ``/orders/0/id``."""

    def __init__(self, pointer: str) -> None:
        if _ESCAPE.search(pointer):
            error = f'pointer `{pointer}` has an escape that is none: ~ is ~0, / is ~1'
            raise JsonPointerException(error)
        first, *parts = pointer.split('/')
        if first:
            error = f'pointer `{pointer}` must begin with /'
            raise JsonPointerException(error)
        self.parts = [part.replace('~1', '/').replace('~0', '~') for part in parts]

    @classmethod
    def from_parts(cls, parts: Iterable[Any]) -> JsonPointer:
        """The pointer that leads through these keys and indexes."""
        return cls(''.join('/' + str(part).replace('~', '~0').replace('/', '~1') for part in parts))

    @property
    def path(self) -> str:
        """The pointer's text."""
        return ''.join('/' + part.replace('~', '~0').replace('/', '~1') for part in self.parts)

    def get_part(self, doc: Any, part: str) -> Any:
        """The key or index that a part of the pointer is in ``doc``."""
        if isinstance(doc, list):
            if part == '-':
                return part
            if not _INDEX.fullmatch(part):
                error = f'`{part}` is no index of a list'
                raise JsonPointerException(error)
            return int(part)
        return part

    def walk(self, doc: Any, part: str) -> Any:
        """What one part of the pointer leads to."""
        key = self.get_part(doc, part)
        if isinstance(doc, list) and key == '-':
            return EndOfList(doc)
        try:
            return doc[key]
        except (KeyError, IndexError, TypeError) as e:
            error = f'pointer `{self.path}`: there is no `{part}`'
            raise JsonPointerException(error) from e

    def to_last(self, doc: Any) -> tuple[Any, Any]:
        """What holds the place, and the key or index of the place in it."""
        if not self.parts:
            return doc, None
        for part in self.parts[:-1]:
            doc = self.walk(doc, part)
        return doc, self.get_part(doc, self.parts[-1])

    def resolve(self, doc: Any, default: Any = _NOTHING) -> Any:
        """What is there, or ``default``.

        :raises JsonPointerException: if there is nothing, and no default is given.
        """
        for part in self.parts:
            try:
                doc = self.walk(doc, part)
            except JsonPointerException:
                if default is _NOTHING:
                    raise
                return default
        return doc

    get = resolve

    def set(self, doc: Any, value: Any, inplace: bool = True) -> Any:
        """Puts a value there; gives back the document, or its copy."""
        if not self.parts:
            if inplace:
                error = 'cannot put anything in the place of the whole document'
                raise JsonPointerException(error)
            return value
        if not inplace:
            doc = copy.deepcopy(doc)
        parent, key = self.to_last(doc)
        if isinstance(parent, list) and key == '-':
            parent.append(value)
        else:
            try:
                parent[key] = value
            except (IndexError, TypeError) as e:
                error = f'pointer `{self.path}`: nothing can be put at `{key}`'
                raise JsonPointerException(error) from e
        return doc

    def contains(self, other: JsonPointer) -> bool:
        """Whether another one leads on from here."""
        return self.parts == other.parts[: len(self.parts)]

    __contains__ = contains

    def join(self, suffix: Any) -> JsonPointer:
        """The pointer that leads on."""
        if isinstance(suffix, str):
            suffix = JsonPointer(suffix)
        return JsonPointer.from_parts([*self.parts, *(suffix.parts if isinstance(suffix, JsonPointer) else suffix)])

    __truediv__ = join

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonPointer) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(self.parts))

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f'JsonPointer({self.path!r})'


def resolve_pointer(doc: Any, pointer: str, default: Any = _NOTHING) -> Any:
    """What is at a place of a document, or ``default``."""
    return JsonPointer(pointer).resolve(doc, default)


def set_pointer(doc: Any, pointer: str, value: Any, inplace: bool = True) -> Any:
    """Puts a value at a place of a document; gives back the document, or its copy."""
    return JsonPointer(pointer).set(doc, value, inplace)
