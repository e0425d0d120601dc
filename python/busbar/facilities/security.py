"""``self.security``: bearer tokens of security definitions."""

from __future__ import annotations

from _busbar import Service, bearer_token

__all__ = ['SecurityFacade']


class SecurityFacade:
    """``self.security``"""

    def __init__(self, service: Service) -> None:
        self._service = service

    def get_bearer_token_by_name(self, name: str, scopes: str = '') -> str:
        """A token of the definition of that name, for its own scopes or others.

        It is kept until shortly before it expires.

        :raises KeyError: if there is no such definition.
        """
        return bearer_token(self._service, name, scopes)

    def get_bearer_token_by_id(self, id: str, scopes: str = '') -> str:
        """The same. Definitions are known by their names here, so that is what ``id`` is.

        :raises KeyError: if there is no such definition.
        """
        return bearer_token(self._service, str(id), scopes)
