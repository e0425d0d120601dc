"""What a service was answered with, as a client over HTTP sees it."""

from __future__ import annotations

import json
from http.client import HTTPMessage
from typing import Any


class Answer:
    """Status, headers and body of a response."""

    def __init__(self, status: int, reason: str, headers: HTTPMessage, body: bytes) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body

    @property
    def cid(self) -> str:
        """Correlation id of the call."""
        return self.headers.get('X-Zato-CID', '')

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(self.headers.get_content_charset() or 'utf-8')

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f'<Answer {self.status} {self.reason}: {self.body[:200]!r}>'
