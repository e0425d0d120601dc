"""Back-ends that tests answer for, and sockets that keep what was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

Fault = Literal['refused', 'unresolved', 'connect-timeout', 'timeout', 'tls', 'reset', 'truncated', 'garbage']

FAULTS = ('refused', 'unresolved', 'connect-timeout', 'timeout', 'tls', 'reset', 'truncated', 'garbage')

Said = tuple[str, str, int, list[tuple[str, str]], bytes]


class Unprogrammed(AssertionError):
    """A service has called something that the test does not answer for."""


@dataclass
class Sent:
    """A request that a service has sent to a back-end."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Path of the address."""
        return urlsplit(self.url).path

    @property
    def params(self) -> dict[str, str]:
        """Query parameters; of one that was repeated the last value."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode('utf-8')

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class _Programmed:
    payload: Any = b''
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ''
    method: str = ''
    path: str = ''
    left: int | None = 1

    def fits(self, sent: Sent) -> bool:
        if self.left == 0 or (self.method and self.method != sent.method):
            return False
        return not self.path or self.path == sent.path

    def said(self, sent: Sent) -> Said:
        if self.left is not None:
            self.left -= 1
        payload = self.payload(sent) if callable(self.payload) else self.payload
        body, content_type = encoded(payload)
        headers = {'Content-Type': content_type} | self.headers
        return self.fault, '', self.status, list(headers.items()), body


class Back:
    """A back-end: the other end of an outgoing HTTP connection."""

    def __init__(self, name: str, doubles: Doubles) -> None:
        self.name = name
        #: What services have sent, in order.
        self.sent: list[Sent] = []
        self._doubles = doubles
        self._programmed: list[_Programmed] = []

    def answers(
        self,
        payload: Any = b'',
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        method: str = '',
        path: str = '',
        times: int | None = 1,
    ) -> Back:
        """Answers the next request, or the next that has this method and path; ``times=None``: all of them.

        Dictionaries and lists are sent as JSON, text and bytes as they are. A function is called with the request, a
        :class:`Sent`, and returns any of these.
        """
        answer = _Programmed(payload, status, dict(headers or {}), '', method.upper(), path, times)
        self._programmed.append(answer)
        return self

    def fails(self, fault: Fault, *, method: str = '', path: str = '', times: int | None = 1) -> Back:
        """Fails the next request, at once: the service sees the exception that the real fault raises."""
        if fault not in FAULTS:
            raise ValueError(f'`{fault}` is not a fault: {", ".join(FAULTS)}')
        self._programmed.append(_Programmed(fault=fault, method=method.upper(), path=path, left=times))
        return self

    @property
    def left(self) -> int:
        """How many answers have not been asked for; those that may be any number of times do not count."""
        return sum(answer.left or 0 for answer in self._programmed)

    def __repr__(self) -> str:
        return f'<Back {self.name!r}: {len(self.sent)} sent, {self.left} left>'

    def _take(self, sent: Sent) -> Said:
        self.sent.append(sent)
        answer = next((answer for answer in self._programmed if answer.fits(sent)), None)
        if answer is None:
            return self._doubles.missing(f'{sent.method} {sent.url} of outgoing connection `{self.name}`')
        try:
            return answer.said(sent)
        except Exception as error:  # noqa: BLE001 - the test fails with it
            self._doubles.problems.append(error)
            return 'error', f'the test could not answer: {error!r}', 0, [], b''


class Socket:
    """The other end of an outgoing ZeroMQ connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: What services have sent, in order: bytes, or a list of them for a message of several parts.
        self.sent: list[bytes | list[bytes]] = []
        self._fault = False

    def fails(self) -> Socket:
        """From now on nothing can be sent, as if the queue of the socket were full."""
        self._fault = True
        return self

    def _take(self, parts: list[bytes]) -> bytes:
        if self._fault:
            raise RuntimeError('the queue is full')
        self.sent.append(parts[0] if len(parts) == 1 else parts)
        return b''


class Doubles:
    """Everything that services reach outside; the server asks here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forgets all that was programmed and sent."""
        with self._lock:
            self.backs: dict[str, Back] = {}
            self.sockets: dict[str, Socket] = {}
            self.problems: list[BaseException] = []

    def back(self, name: str) -> Back:
        """The back-end of an outgoing HTTP connection."""
        with self._lock:
            return self.backs.setdefault(name, Back(name, self))

    def socket(self, name: str) -> Socket:
        """The other end of an outgoing ZeroMQ connection."""
        with self._lock:
            return self.sockets.setdefault(name, Socket(name))

    def missing(self, what: str) -> Said:
        """Notes that a service has called something that the test does not answer for."""
        text = f'{what}: no answer is programmed'
        self.problems.append(Unprogrammed(text))
        return 'error', text, 0, [], b''

    def raise_problems(self) -> None:
        """Raises the first thing that went wrong in the place of a back-end."""
        if self.problems:
            problem, self.problems = self.problems[0], []
            raise problem

    # --- called by the server

    def http(self, name: str, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> Said:
        """A service has sent a request."""
        back = self.back(name)
        shown = {'-'.join(word.capitalize() for word in key.split('-')): value for key, value in headers}
        with self._lock:
            return back._take(Sent(method, url, shown, body))

    def hub(self, kind: str, name: str, operation: str, parts: list[bytes]) -> bytes:
        """A service has used a connector of the hub."""
        if kind != 'outgoing.zmq':
            self.missing(f'{operation} of {kind} `{name}`')
            raise Unprogrammed(f'tests cannot answer for {kind}')
        return self.socket(name)._take(parts)


def encoded(payload: Any) -> tuple[bytes, str]:
    """A body, and its content type."""
    if payload is None:
        return b'', 'text/plain'
    if isinstance(payload, bytes):
        return payload, 'application/octet-stream'
    if isinstance(payload, str):
        return payload.encode(), 'text/plain; charset=utf-8'
    return json.dumps(payload).encode(), 'application/json'
