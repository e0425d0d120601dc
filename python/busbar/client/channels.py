"""Clients of one channel each."""

from __future__ import annotations

from typing import Any

from busbar.client.connection import Client, Headers
from busbar.client.documents import write_json
from busbar.client.responses import (
    JSONResponse,
    JSONSIOResponse,
    RawDataResponse,
    SOAPResponse,
    SOAPSIOResponse,
    XMLResponse,
)

__all__ = ['JSONClient', 'JSONSIOClient', 'RawDataClient', 'SOAPClient', 'SOAPSIOClient', 'XMLClient']


class _JSONChannel(Client):
    def _invoke(self, payload: Any, headers: Headers | None, to_json: bool) -> Any:
        body = write_json(payload) if to_json else payload
        return self.send('POST', self.service_address, body, headers)


class JSONClient(_JSONChannel):
    """Calls a JSON channel."""

    def invoke(self, payload: Any = '', headers: Headers | None = None, to_json: bool = True) -> JSONResponse:
        """Sends a payload.

        :param to_json: whether it is to be written as JSON; ``False``: it is JSON already, text or bytes.
        """
        return JSONResponse(self, self._invoke(payload, headers, to_json))


class JSONSIOClient(_JSONChannel):
    """Calls a JSON channel whose answers are in an envelope, such as ``/zato/json/zato.ping``."""

    def invoke(self, payload: Any = '', headers: Headers | None = None, to_json: bool = True) -> JSONSIOResponse:
        """Sends a payload.

        :param to_json: whether it is to be written as JSON; ``False``: it is JSON already, text or bytes.
        """
        return JSONSIOResponse(self, self._invoke(payload, headers, to_json))


class RawDataClient(Client):
    """Calls a channel of any data format; text goes there and back as it is."""

    def invoke(self, payload: str | bytes = '', headers: Headers | None = None) -> RawDataResponse:
        """Sends text or bytes."""
        return RawDataResponse(self, self.send('POST', self.service_address, payload, headers))


class XMLClient(Client):
    """Calls an XML channel."""

    def invoke(self, payload: str | bytes = '', headers: Headers | None = None) -> XMLResponse:
        """Sends a document."""
        return XMLResponse(self, self.send('POST', self.service_address, payload, headers))


class SOAPClient(Client):
    """Calls a SOAP channel."""

    def invoke(self, soap_action: str, payload: str | bytes = '', headers: Headers | None = None) -> SOAPResponse:
        """Sends an envelope, with its action in the header ``SOAPAction``."""
        return SOAPResponse(self, self.send('POST', self.service_address, payload, _with(soap_action, headers)))


class SOAPSIOClient(Client):
    """Calls a SOAP channel whose answers are in an envelope of their own in the body, such as ``/zato/soap``."""

    def invoke(self, soap_action: str, payload: str | bytes = '', headers: Headers | None = None) -> SOAPSIOResponse:
        """Sends an envelope, with its action in the header ``SOAPAction``."""
        return SOAPSIOResponse(self, self.send('POST', self.service_address, payload, _with(soap_action, headers)))


def _with(soap_action: str, headers: Headers | None) -> Headers:
    return {'SOAPAction': soap_action, **(headers or {})}
