"""Stands in for the package ``retools``: ``retools.lock.LockTimeout`` is what ``self.lock`` raises."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NoReturn

from busbar.facilities.lock import LockTimeout

__all__ = ['lock']


class Lock:
    """Stands for locks that were made without a service."""

    def __init__(self, key: str, *_args: Any, **_kwargs: Any) -> None:
        self.key = key

    def acquire(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Says how a lock is taken."""
        error = f'cannot take lock `{self.key}` with retools, which is not there: write `with self.lock({self.key!r}):`'
        raise NotImplementedError(error)

    __enter__ = acquire

    def __exit__(self, *_args: object) -> None:
        """There is nothing to free."""


lock = ModuleType('retools.lock', 'Part of the stand-in for retools.')
vars(lock).update(Lock=Lock, LockTimeout=LockTimeout)
