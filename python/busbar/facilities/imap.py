"""``self.email.imap``: mailboxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from _busbar import ImapLine, Service
from busbar.messages import IMAPMessage, MessageUID
from zato.common.exception import Inactive

__all__ = ['IMAPConnection', 'IMAPConnections', 'IMAPItem']

INBOX = 'INBOX'


class IMAPConnections:
    """Mailboxes, by name."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def get(self, name: str, skip_inactive: bool = False) -> IMAPItem:
        """The mailbox of that name.

        :raises KeyError: if there is none.
        :raises Inactive: if it is switched off, unless ``skip_inactive``.
        """
        try:
            ImapLine(self._service, name)
        except Inactive:
            if not skip_inactive:
                raise
        return IMAPItem(IMAPConnection(self._service, name))

    def __getitem__(self, name: str) -> IMAPItem:
        return self.get(name)


class IMAPItem:
    """A mailbox: ``.conn`` reads it."""

    def __init__(self, conn: IMAPConnection) -> None:
        self.conn = conn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conn, name)


class IMAPConnection:
    """Reads a mailbox."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        #: Name of the mailbox.
        self.name = name

    def get(self, folder: str = INBOX) -> Iterator[tuple[MessageUID, IMAPMessage]]:
        """The messages of a folder that the connection's ``get_criteria`` find, each with its number, oldest first.

        Each is read when it is asked for, and stays unseen until it is marked.
        """
        line = self._line()
        validity, uids = line.search(folder)
        for number in uids:
            raw = line.fetch(folder, validity, number)
            # somebody else may have deleted it since the search
            if raw is not None:
                uid = MessageUID(number, folder, validity)
                yield uid, IMAPMessage(self, uid, raw)

    def mark_seen(self, *uids: str | bytes | int, folder: str = INBOX) -> None:
        """Marks messages as seen. ``folder`` is for numbers that do not come from :meth:`get`."""
        line = self._line()
        for (own, validity), numbers in _by_folder(uids, folder).items():
            line.mark_seen(own, validity, numbers)

    def delete(self, *uids: str | bytes | int, folder: str = INBOX) -> None:
        """Deletes messages for good. ``folder`` is for numbers that do not come from :meth:`get`."""
        line = self._line()
        for (own, validity), numbers in _by_folder(uids, folder).items():
            line.delete(own, validity, numbers)

    def move(self, *uids: str | bytes | int, target: str, folder: str = INBOX) -> None:
        """Moves messages to the folder ``target``, which must exist."""
        line = self._line()
        for (own, validity), numbers in _by_folder(uids, folder).items():
            line.move(own, validity, numbers, target)

    def ping(self) -> bool:
        """Logs in, or asks over a session that is open; always ``True``.

        :raises ConnectionException: if the server cannot be reached.
        :raises ZatoException: if it refuses the user.
        """
        self._line().ping()
        return True

    def _line(self) -> ImapLine:
        return ImapLine(self._service, self.name)


def _by_folder(uids: tuple[str | bytes | int, ...], folder: str) -> dict[tuple[str, int | None], list[str]]:
    found: dict[tuple[str, int | None], list[str]] = {}
    for uid in uids:
        key = (uid.folder, uid.validity) if isinstance(uid, MessageUID) else (folder, None)
        found.setdefault(key, []).append(uid.decode() if isinstance(uid, bytes) else str(uid))
    return found
