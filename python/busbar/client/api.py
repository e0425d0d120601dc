"""Any service by its name, through the URL that names it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from busbar.client.connection import Certificate, Client, Headers
from busbar.client.documents import read_json, write_json
from busbar.client.responses import ENVELOPE, Response, text_of_details

__all__ = ['APIClient', 'APIResponse']


class APIResponse(Response):
    """What a service answered: JSON as objects, anything else as text."""

    @property
    def is_ok(self) -> bool:
        """Whether all went well."""
        return self.ok

    def _read(self) -> None:
        try:
            body = read_json(self.inner.text)
        except ValueError:
            body = self.inner.text
        if self.ok:
            self.data = body
            return
        # management services tell of errors in an envelope
        envelope = body.get(ENVELOPE, body) if isinstance(body, dict) else None
        if isinstance(envelope, dict) and 'details' in envelope:
            self.details = text_of_details(envelope['details'])


class APIClient(Client):
    """Calls any service by its name, with any HTTP method.

    :param address: where the server is: ``http://127.0.0.1:17010``.
    :param username: who calls.
    :param password: with which password.
    :param path: where the services are; ``{}`` stands for the name.
    :param tls_verify: whether the server's certificate is checked; a path is that of the CA certificates it is checked
        against.
    :param tls_cert: the client's own certificate.

    Further arguments are those of :class:`~busbar.client.connection.Client`.
    """

    def __init__(
        self,
        address: str,
        username: str,
        password: str,
        path: str = '/zato/api/invoke/{}',
        tls_verify: bool | str = True,
        tls_cert: Certificate | None = None,
        **options: Any,
    ) -> None:
        super().__init__(address, path, (username, password), tls_verify=tls_verify, tls_cert=tls_cert, **options)

    def _call(self, method: str, service_name: str, request: Any, headers: Headers | None) -> APIResponse:
        url = self.service_address.replace('{}', quote(service_name, safe=''))
        body = '' if request is None else write_json(request)
        return APIResponse(self, self.send(method, url, body, headers))

    def invoke(self, service_name: str, request: Any = None, headers: Headers | None = None) -> APIResponse:
        """Calls a service with POST. The request is sent as JSON; ``None``: no body."""
        return self._call('POST', service_name, request, headers)

    def get(self, service_name: str, request: Any = None, headers: Headers | None = None) -> APIResponse:
        """Calls a service with GET, with a body too if there is a request."""
        return self._call('GET', service_name, request, headers)

    def post(self, service_name: str, request: Any = None, headers: Headers | None = None) -> APIResponse:
        """Calls a service with POST."""
        return self._call('POST', service_name, request, headers)

    def put(self, service_name: str, request: Any = None, headers: Headers | None = None) -> APIResponse:
        """Calls a service with PUT."""
        return self._call('PUT', service_name, request, headers)

    def patch(self, service_name: str, request: Any = None, headers: Headers | None = None) -> APIResponse:
        """Calls a service with PATCH."""
        return self._call('PATCH', service_name, request, headers)

    def delete(self, service_name: str, request: Any = None, headers: Headers | None = None) -> APIResponse:
        """Calls a service with DELETE."""
        return self._call('DELETE', service_name, request, headers)
