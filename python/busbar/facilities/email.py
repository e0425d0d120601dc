"""``self.email``: mail servers."""

from __future__ import annotations

import logging
from typing import Any

from _busbar import Service, SmtpLine
from busbar.facilities.imap import IMAPConnections
from busbar.messages import SMTPMessage
from busbar.mime import write
from zato.common.exception import Inactive

__all__ = ['EmailFacade', 'SMTPConnection', 'SMTPConnections']

_logger = logging.getLogger('busbar.email')


class EmailFacade:
    """``self.email``"""

    def __init__(self, service: Service) -> None:
        #: Servers that send e-mail.
        self.smtp = SMTPConnections(service)
        #: Mailboxes.
        self.imap = IMAPConnections(service)


class SMTPConnections:
    """Servers that send e-mail, by name."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def get(self, name: str, skip_inactive: bool = False) -> SMTPItem:
        """The server of that name.

        :raises KeyError: if there is none.
        :raises Inactive: if it is switched off, unless ``skip_inactive``.
        """
        try:
            SmtpLine(self._service, name)
        except Inactive:
            if not skip_inactive:
                raise
        return SMTPItem(SMTPConnection(self._service, name))

    def __getitem__(self, name: str) -> SMTPItem:
        return self.get(name)


class SMTPItem:
    """A server that sends e-mail: ``.conn`` does it."""

    def __init__(self, conn: SMTPConnection) -> None:
        self.conn = conn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conn, name)


class SMTPConnection:
    """Sends messages."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        #: Name of the server.
        self.name = name

    def send(self, msg: SMTPMessage, from_: str | None = None) -> bool:
        """Sends a message. Never raises: what goes wrong is logged, and ``False`` is given back."""
        try:
            line = SmtpLine(self._service, self.name)
            sender = from_ or msg.from_ or line.username
            if not sender:
                raise ValueError('the message has no sender: give `from_`')
            line.send(*write(msg, sender))
        except Exception:
            _logger.exception('cannot send %r through `%s`', msg, self.name)
            return False
        return True

    def ping(self) -> bool:
        """Whether the server answers."""
        return SmtpLine(self._service, self.name).ping()
