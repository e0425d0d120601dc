"""The server's own services, as classes to derive from."""

from __future__ import annotations

from zato.server.service import Service

__all__ = ['Ping']


class Ping(Service):
    """Says that the server is there."""

    def handle(self) -> None:
        """Answers."""
        self.response.payload = {'pong': 'zato'}
