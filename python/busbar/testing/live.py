"""Deploys classes that exist already: those of the test's own file, or of a module that it has imported."""

from __future__ import annotations

import itertools
from typing import Any

_waiting: dict[int, list[type]] = {}
_numbers = itertools.count(1)

SOURCE = 'from busbar.testing import live\n\nlive.fill(globals(), {number})\n'


def hand_over(classes: list[type]) -> tuple[str, str]:
    """Name and source of a module that, once deployed, has these classes."""
    number = next(_numbers)
    _waiting[number] = classes
    return f'busbar_live_{number}', SOURCE.format(number=number)


def fill(namespace: dict[str, Any], number: int) -> None:
    """Puts the classes where the server looks for those that a module defines.

    A service must be defined by the very file that is deployed, so each goes in as an empty class that inherits from
    it, under the name that it would have had.
    """
    for class_ in _waiting[number]:
        own = {
            '__module__': namespace['__name__'],
            '__doc__': class_.__doc__,
            'name': class_.get_name(),  # type: ignore[attr-defined]
        }
        namespace[class_.__name__] = type(class_)(class_.__name__, (class_,), own)
