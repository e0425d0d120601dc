"""Functions on their way from a test to the service that runs them, and their results on the way back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from zato.server.service import Service

_numbers = itertools.count(1)
_errands: dict[int, Errand] = {}


class Errand:
    """One function, and what came of it."""

    def __init__(self, function: Callable[[Service], Any]) -> None:
        self.number = next(_numbers)
        self.function = function
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        _errands[self.number] = self

    def outcome(self) -> Any:
        """What the function returned; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self.result


def run(number: int, service: Service) -> None:
    """Runs a function with the service as its argument."""
    errand = _errands.pop(number)
    try:
        errand.result = errand.function(service)
    except BaseException as error:  # noqa: BLE001 - the test raises it
        errand.error = error
    errand.done = True
