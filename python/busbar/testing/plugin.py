"""The pytest plugin of ``busbar test``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from busbar.testing.bus import Bus


@pytest.fixture
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """A server for the test, empty at first."""
    with Bus(request.path.parent) as bus:
        yield bus
