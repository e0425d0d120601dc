"""What a server answered, as each kind of client reads it (management.md 3 and 4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from busbar.client.documents import find, is_fault, read_json, read_xml, soap_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbar.client.connection import Client

__all__ = [
    'JSONResponse',
    'JSONSIOResponse',
    'RawDataResponse',
    'Response',
    'SOAPResponse',
    'SOAPSIOResponse',
    'XMLResponse',
    'text_of_details',
]

#: Header with the correlation id.
CID_HEADER = 'X-Zato-CID'
#: In its place if the server sends none.
NO_CID = '(None)'
#: First status that says that something went wrong.
FIRST_ERROR = 400
#: Key of the envelope that says how it went.
ENVELOPE = 'zato_env'
#: What it says if all went well.
OK = 'ZATO_OK'


def text_of_details(details: Any) -> str:
    """What a server says of an error, as text: several arguments of an exception are joined."""
    if details is None:
        return ''
    if isinstance(details, str):
        return details
    if isinstance(details, list):
        return ', '.join(text_of_details(item) for item in details)
    return json.dumps(details, ensure_ascii=False)


class Response:
    """One answer.

    :param client: who asked.
    :param inner: the response of ``httpx``, or of whatever session the client was given.
    """

    def __init__(self, client: Client, inner: Any) -> None:
        #: The session's own response.
        self.inner = inner
        #: Correlation id, to find the call in the server's log.
        self.cid: str = inner.headers.get(CID_HEADER) or NO_CID
        #: Whether all went well.
        self.ok: bool = inner.status_code < FIRST_ERROR
        #: What was answered.
        self.data: Any = None
        #: What went wrong, as the server says it.
        self.details: Any = None if self.ok else inner.text
        #: ``ZATO_OK`` or ``ZATO_ERROR``, where the answer is in an envelope.
        self.sio_result: str = ''
        self._client = client
        self._read()
        if client.to_bunch:
            from bunch import bunchify

            self.data = bunchify(self.data)

    def _read(self) -> None:
        """Fills in what depends on the format."""
        raise NotImplementedError

    @property
    def has_data(self) -> bool:
        """Whether anything was answered."""
        return self.data is not None and not (isinstance(self.data, str | bytes | dict | list) and not self.data)

    def _document(self, read: Callable[[Any], Any], body: str | bytes) -> Any:
        """Reads the body. An error that is not in the format of the answers, of a proxy for one, is ``None``."""
        try:
            return read(body)
        except ValueError:
            if self.ok:
                raise
            return None

    def __repr__(self) -> str:
        ends = self._client.max_cid_repr
        cid = self.cid if len(self.cid) <= ends * 2 else f'{self.cid[:ends]}..{self.cid[-ends:]}'
        shown = repr(self.data if self.ok else self.details)[: self._client.max_response_repr]
        return f'<{type(self).__name__} ok:{self.ok} status:{self.inner.status_code} cid:{cid} {shown}>'


class JSONResponse(Response):
    """The whole body, as JSON."""

    def _read(self) -> None:
        self.data = self._document(read_json, self.inner.text)


class JSONSIOResponse(Response):
    """JSON in an envelope. What is in none is judged by the HTTP status."""

    def _read(self) -> None:
        body = self._document(read_json, self.inner.text)
        envelope = body.get(ENVELOPE) if isinstance(body, dict) else None
        if not isinstance(envelope, dict):
            self.details = self.inner.text
            self._read_body(body)
            return
        self.sio_result = str(envelope.get('result', ''))
        self.ok = self.sio_result == OK
        self.details = text_of_details(envelope.get('details'))
        if self.cid == NO_CID:
            self.cid = envelope.get('cid') or NO_CID
        self._read_enveloped({key: value for key, value in body.items() if key != ENVELOPE})

    def _read_body(self, body: Any) -> None:
        """Reads a body without an envelope."""
        self.data = body

    def _read_enveloped(self, rest: dict[str, Any]) -> None:
        """Reads what is beside the envelope."""
        self.data = next(iter(rest.values()), None)


class RawDataResponse(Response):
    """The body as text."""

    def _read(self) -> None:
        self.data = self.inner.text


class XMLResponse(Response):
    """The root element of an XML document."""

    def _read(self) -> None:
        self.data = self._document(read_xml, self.inner.content)


class SOAPResponse(Response):
    """The first element in the body of an envelope; of a fault, ``details`` is the fault's element."""

    def _read(self) -> None:
        element = self._document(lambda content: soap_body(read_xml(content)), self.inner.content)
        if is_fault(element):
            self.ok = False
            self.details = element
        elif self.ok:
            self._read_element(element)

    def _read_element(self, element: Any) -> None:
        self.data = element


class SOAPSIOResponse(SOAPResponse):
    """The same, of a service whose answers say ``ZATO_OK`` in their envelope."""

    def _read_element(self, element: Any) -> None:
        result = None if element is None else find(element, ENVELOPE, 'result')
        self.sio_result = result or ''
        self.ok = self.sio_result == OK
        self.data = element
        if not self.ok:
            self.details = self.inner.text
        if self.cid == NO_CID and element is not None:
            self.cid = find(element, ENVELOPE, 'cid') or NO_CID
