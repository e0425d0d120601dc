"""``self.response.payload`` of a service that declares no output: a message that grows as it is written.

``self.response.payload.user.name = 'Ann'`` makes the levels that are missing.
"""

from __future__ import annotations

from typing import Any

__all__ = ['FreePayload']


class FreePayload(dict[str, Any]):
    """A dictionary whose keys are attributes. Levels that are missing are there once something is put into them.

    As long as nothing is, it is as good as the empty text that a payload is by default: it equals one, it has no
    length, and what is added to it takes its place.
    """

    __slots__ = ('_key', '_parent')

    def __init__(self, parent: FreePayload | None = None, key: str = '') -> None:
        super().__init__()
        object.__setattr__(self, '_parent', parent)
        object.__setattr__(self, '_key', key)

    def __getattr__(self, name: str) -> Any:
        # only reached when a dictionary has no such attribute
        if name.startswith('__'):
            raise AttributeError(name)
        return self[name] if name in self else FreePayload(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._attach()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Sets several keys."""
        super().update(*args, **kwargs)
        if self:
            self._attach()

    def _attach(self) -> None:
        parent: FreePayload | None = object.__getattribute__(self, '_parent')
        if parent is not None:
            object.__setattr__(self, '_parent', None)
            parent[object.__getattribute__(self, '_key')] = self

    def __eq__(self, other: object) -> bool:
        return (not self and other == '') or super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    # it changes, so it is no key
    __hash__ = None

    def __add__(self, other: Any) -> Any:
        return NotImplemented if self else other

    def __str__(self) -> str:
        return super().__repr__() if self else ''

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        from copy import deepcopy

        return {key: deepcopy(value, memo) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
