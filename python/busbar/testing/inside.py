"""Deployed beside what is tested: runs functions of tests inside of a service."""

from __future__ import annotations

from busbar.testing.errands import run
from zato.server.service import Service


class Inside(Service):
    """Runs the function whose number it is called with."""

    name = 'busbar.testing.inside'

    def handle(self) -> None:
        """Runs it."""
        run(int(self.request.raw_request), self)
