"""E-mail messages, as services write them.

What services import brings this module along, so the packages that make a message's text are imported by
:mod:`busbar.mime`, when the first one is sent.
"""

from __future__ import annotations

from typing import Any

__all__ = ['SMTPMessage', 'addresses']


class SMTPMessage:
    """A message to send::

    message = SMTPMessage('me@example.com', 'you@example.com', 'Subject', 'Body')
    message.attach('report.csv', b'a,b')
    self.email.smtp.get('Mail').conn.send(message)
    """

    def __init__(
        self,
        from_: str | None = None,
        to: Any = None,
        subject: str = '',
        body: str = '',
        attachments: list[dict[str, Any]] | None = None,
        cc: Any = None,
        bcc: Any = None,
        is_html: bool = False,
        headers: dict[str, Any] | None = None,
        charset: str = 'utf8',
        is_rfc2231: bool = True,
    ) -> None:
        self.from_ = from_
        self.to = to
        self.subject = subject
        self.body = body
        self.attachments = list(attachments or [])
        self.cc = cc
        self.bcc = bcc
        self.is_html = is_html
        self.headers = dict(headers or {})
        self.charset = charset
        self.is_rfc2231 = is_rfc2231

    def attach(self, name: str, contents: str | bytes) -> None:
        """Adds a file."""
        self.attachments.append({'name': name, 'contents': contents})

    def __repr__(self) -> str:
        return f'<SMTPMessage to {", ".join(addresses(self.to))}: {self.subject}>'


def addresses(value: Any) -> list[str]:
    """Addresses that were given as one text or as several."""
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(item) for item in value]
