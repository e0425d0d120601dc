"""Exception classes of a library that need not be installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ['Borrowed']


class Borrowed:
    """Resolves exception classes by name: those of ``library`` if it can be imported, else stand-ins of the same names.

    The library is imported with the first name that is asked for, which is when the first such error is about to be
    raised. At start it would cost up to a tenth of a second and some megabytes in workers that may never need it.

    :param library: module that has the real classes, ``requests.exceptions``.
    :param stand_ins: the classes to use where it is not installed, by name.
    """

    def __init__(self, library: str, stand_ins: Mapping[str, type[Exception]]) -> None:
        self._library = library
        self._stand_ins = stand_ins
        self._resolved: dict[str, type[Exception]] = {}
        self._lock = Lock()

    def resolve(self, name: str) -> type[Exception]:
        """The class that is called ``name``.

        :raises AttributeError: if there is none.
        """
        if name not in self._resolved:
            if name not in self._stand_ins:
                message = f'no exception of `{self._library}` is called `{name}` here'
                raise AttributeError(message)
            self._resolve_all()
        return self._resolved[name]

    def _resolve_all(self) -> None:
        # all at once: a mixture of real classes and stand-ins would not catch each other
        with self._lock:
            if self._resolved:
                return
            module = self._import()
            self._resolved = {
                name: self._usable(module, name) or stand_in for name, stand_in in self._stand_ins.items()
            }

    def _import(self) -> object | None:
        if module := sys.modules.get(self._library):
            return module
        if importlib.util.find_spec(self._library.partition('.')[0]) is None:
            return None
        try:
            return importlib.import_module(self._library)
        except Exception:  # noqa: BLE001 - a broken installation must not hide the error that is about to be raised
            return None

    @staticmethod
    def _usable(module: object | None, name: str) -> type[Exception] | None:
        found = getattr(module, name, None)
        return found if isinstance(found, type) and issubclass(found, Exception) else None
