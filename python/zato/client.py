"""Calls services of a server over HTTP, from programs of your own::

    from zato.client import AnyServiceInvoker

    client = AnyServiceInvoker('http://localhost:11223', '/zato/api/invoke', ('user', 'password'))
    response = client.invoke('crm.get-customer', {'id': 7})
    if response.ok:
        print(response.data)

Needs the package ``requests``.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = [
    'APIClient',
    'AnyServiceInvoker',
    'JSONClient',
    'JSONSIOClient',
    'RawDataClient',
    'SOAPClient',
    'SOAPSIOClient',
    'ServiceInvokeResponse',
    'XMLClient',
    'ZatoClient',
]


class ServiceInvokeResponse:
    """What a service answered.

    :param inner: the response of ``requests``.
    """

    def __init__(self, inner: Any, has_response_elem: bool = False) -> None:
        #: The response of ``requests``.
        self.inner = inner
        #: Correlation id.
        self.cid: str = inner.headers.get('X-Zato-CID', '')
        #: Whether all went well.
        self.ok: bool = bool(inner.ok)
        #: What was answered: JSON as objects, anything else as text.
        self.data: Any = None
        #: What went wrong, as the server says it.
        self.details: Any = None
        #: Whether there is anything in ``data``.
        self.has_data = False
        text = inner.text
        try:
            value: Any = json.loads(text) if text else ''
        except ValueError:
            value = text
        if not self.ok:
            self.details = value.get('details', value) if isinstance(value, dict) else value
            return
        if has_response_elem and isinstance(value, dict) and len(value) == 1:
            ((name, inner_value),) = value.items()
            if name == 'response' or name.startswith('zato_'):
                value = inner_value
        self.data = value
        self.has_data = bool(value)

    #: Older name of ``data``.
    @property
    def response(self) -> Any:
        """The same as ``data``."""
        return self.data

    def __repr__(self) -> str:
        return f'<{type(self).__name__} ok:{self.ok} cid:{self.cid} data:{str(self.data)[:100]!r}>'


class _Client:
    """Sends requests to one path.

    :param address: where the server is: ``http://localhost:11223``.
    :param path: where on it.
    :param auth: user name and password.
    :param session: a session of ``requests`` to use.
    :param headers: sent with every request.
    :param timeout: seconds that a request may take.
    """

    content_type = 'application/json'
    has_response_elem = False

    def __init__(
        self,
        address: str,
        path: str = '',
        auth: tuple[str, str] | None = None,
        session: Any = None,
        to_bunch: bool = False,
        max_response_repr: int = 2500,
        max_cid_repr: int = 5,
        logger: Any = None,
        tls_verify: bool = True,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> None:
        import requests

        self.address = address.rstrip('/')
        self.path = path
        self.session = session or requests.session()
        if auth is not None:
            self.session.auth = auth
        self.to_bunch = to_bunch
        self.tls_verify = tls_verify
        self.headers = headers or {}
        self.timeout = timeout

    def _send(self, payload: Any, headers: dict[str, str] | None, path: str = '') -> ServiceInvokeResponse:
        body = self._write(payload)
        inner = self.session.post(
            self.address + (path or self.path),
            data=body.encode() if isinstance(body, str) else body,
            headers={'Content-Type': self.content_type, **self.headers, **(headers or {})},
            verify=self.tls_verify,
            timeout=self.timeout,
        )
        response = ServiceInvokeResponse(inner, self.has_response_elem)
        if self.to_bunch:
            from bunch import bunchify

            response.data = bunchify(response.data)
        return response

    def _write(self, payload: Any) -> str | bytes:
        if isinstance(payload, str | bytes):
            return payload
        return json.dumps(payload)

    def invoke(self, payload: Any = '', headers: dict[str, str] | None = None) -> ServiceInvokeResponse:
        """Sends a payload: text or bytes as they are, anything else as JSON."""
        return self._send(payload, headers)


class JSONClient(_Client):
    """Calls a JSON channel."""


class JSONSIOClient(JSONClient):
    """Calls a JSON channel whose responses have a single top element, which is taken off."""

    has_response_elem = True


class RawDataClient(_Client):
    """Calls a channel of no data format."""

    content_type = 'text/plain'


class XMLClient(_Client):
    """Calls an XML channel."""

    content_type = 'application/xml'


class SOAPClient(_Client):
    """Calls a SOAP channel.

    :param soap_action: the header ``SOAPAction``, by keyword to :meth:`invoke`.
    """

    content_type = 'text/xml'

    def invoke(  # type: ignore[override]
        self, soap_action: str, payload: Any = '', headers: dict[str, str] | None = None
    ) -> ServiceInvokeResponse:
        """Sends an envelope."""
        return self._send(payload, {'SOAPAction': soap_action, **(headers or {})})


class SOAPSIOClient(SOAPClient):
    """The same."""


class AnyServiceInvoker(_Client):
    """Calls any service by its name, through the channel that is there for that."""

    has_response_elem = True

    def invoke(  # type: ignore[override]
        self, name: str, payload: Any = '', headers: dict[str, str] | None = None, **_options: Any
    ) -> ServiceInvokeResponse:
        """Calls a service."""
        base = (self.path or '/zato/api/invoke').rstrip('/')
        return self._send(payload, headers, f'{base}/{name}')


class APIClient(AnyServiceInvoker):
    """The same."""


class ZatoClient(AnyServiceInvoker):
    """The same."""
