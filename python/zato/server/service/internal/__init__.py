"""The server's own services, as classes to derive from."""

from __future__ import annotations

from zato.server.service import Service

__all__ = ['AdminSIO', 'AdminService', 'GetListAdminSIO', 'Ping']


class AdminService(Service):
    """A service of the server itself. Services derive from it where they are called like those."""


class AdminSIO:
    """What declarations of such services derive from."""


class GetListAdminSIO:
    """The same, for services that answer with a list: what lists are asked for with."""

    input_optional = ('paginate', 'cur_page', 'query')


class Ping(Service):
    """Says that the server is there."""

    def handle(self) -> None:
        """Answers."""
        self.response.payload = {'pong': 'zato'}
