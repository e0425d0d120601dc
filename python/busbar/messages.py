"""E-mail messages, as services write and read them.

What services import brings this module along, so the packages that make a message's text are imported by
:mod:`busbar.mime`, when the first one is sent or read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from busbar.mime import ReceivedMail

__all__ = ['IMAPMessage', 'MessageUID', 'SMTPMessage', 'addresses']


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


class MessageUID(str):
    """A message's number in its folder, as text.

    It knows of which folder it is, and of which numbering: servers may number messages anew.
    """

    __slots__ = ('folder', 'validity')

    #: The folder.
    folder: str
    #: UIDVALIDITY of the folder when the number was read; ``None`` where numbers never change.
    validity: int | None

    def __new__(cls, uid: str, folder: str, validity: int | None) -> MessageUID:
        """A number of a folder."""
        self = super().__new__(cls, uid)
        self.folder = folder
        self.validity = validity
        return self


class Keeper(Protocol):
    """Whoever keeps messages: a mailbox."""

    def mark_seen(self, *uids: MessageUID) -> None:
        """Marks messages as seen."""

    def delete(self, *uids: MessageUID) -> None:
        """Deletes messages for good."""

    def move(self, *uids: MessageUID, target: str) -> None:
        """Moves messages to another folder."""


class IMAPMessage:
    """A message of a mailbox."""

    def __init__(self, conn: Keeper, uid: MessageUID, raw: bytes) -> None:
        self._conn = conn
        #: Its number in its folder.
        self.uid = uid
        #: The message as it went over the wire.
        self.raw = raw
        self._data: ReceivedMail | None = None

    @property
    def data(self) -> ReceivedMail:
        """What is in it: subject, addresses, body, attachments."""
        if self._data is None:
            from busbar.mime import read

            self._data = read(self.raw)
        return self._data

    def mark_seen(self) -> None:
        """Marks it as seen."""
        self._conn.mark_seen(self.uid)

    def delete(self) -> None:
        """Deletes it for good."""
        self._conn.delete(self.uid)

    def move(self, target: str) -> None:
        """Moves it to another folder."""
        self._conn.move(self.uid, target=target)

    def __repr__(self) -> str:
        return f'<IMAPMessage {self.uid} of {self.uid.folder}>'
