"""E-mail messages as they go over the wire: written, and read."""

from __future__ import annotations

import mimetypes
from email import message_from_bytes
from email.header import decode_header
from email.message import EmailMessage, Message
from email.policy import SMTP, compat32
from email.utils import formatdate, getaddresses, make_msgid, parseaddr, parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from bunch import Bunch
from busbar.messages import SMTPMessage, addresses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

__all__ = ['ReceivedMail', 'read', 'write']


def write(message: SMTPMessage, from_: str) -> tuple[str, list[str], bytes]:
    """A message as it goes over the wire: who sends it, who gets it, its text.

    :raises ValueError: if it goes to nobody, or a header holds what a header cannot.
    """
    to, cc, bcc = (addresses(value) for value in (message.to, message.cc, message.bcc))
    recipients = [address for _, address in getaddresses([*to, *cc, *bcc]) if address]
    if not recipients:
        raise ValueError('the message has nobody to go to: give `to`, `cc` or `bcc`')
    mime = EmailMessage(policy=SMTP)
    mime['From'] = from_
    mime['To'] = ', '.join(to)
    if cc:
        mime['Cc'] = ', '.join(cc)
    mime['Subject'] = message.subject or ''
    mime['Date'] = formatdate(localtime=False)
    mime['Message-ID'] = make_msgid(domain=parseaddr(from_)[1].rpartition('@')[2] or None)
    for name, value in message.headers.items():
        del mime[name]
        mime[name] = str(value)
    charset = 'utf-8' if message.charset.lower() == 'utf8' else message.charset
    mime.set_content(message.body or '', subtype='html' if message.is_html else 'plain', charset=charset)
    for attachment in message.attachments:
        name, contents = str(attachment['name']), attachment['contents']
        data = contents.encode(charset) if isinstance(contents, str) else bytes(contents)
        guessed, encoding = mimetypes.guess_type(name)
        main, _, sub = ('application/octet-stream' if encoding or not guessed else guessed).partition('/')
        mime.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return parseaddr(from_)[1], recipients, mime.as_bytes()


class ReceivedMail(Bunch):
    """What is in a message: ``msg.data.subject``, ``msg.data['subject']``.

    What a message does not have is empty, not missing.
    """

    #: The subject, in one line.
    subject: str
    #: Who sent it: ``{'name': ..., 'email': ...}`` for each.
    sent_from: list[Bunch]
    #: Whom it is for.
    sent_to: list[Bunch]
    #: Who gets a copy.
    cc: list[Bunch]
    #: Who gets a copy that nobody sees; only drafts and sent messages tell.
    bcc: list[Bunch]
    #: Whom to answer to.
    reply_to: list[Bunch]
    #: When it was sent, as the message says.
    date: str
    #: The same as a date; ``None`` if it is none.
    parsed_date: datetime | None
    #: Its id, in pointed brackets.
    message_id: str
    #: Texts in it: ``body.plain`` and ``body.html`` are lists.
    body: Bunch
    #: Files in it: ``filename``, ``content-type``, ``content-id``, ``size`` in bytes, and ``content``, a file to read.
    attachments: list[Bunch]
    #: All headers in order: ``{'Name': ..., 'Value': ...}``.
    headers: list[Bunch]
    #: The message as it went over the wire.
    raw_email: bytes


def read(raw: bytes) -> ReceivedMail:
    """What is in a message. What breaks the rules of e-mail is read as far as it goes."""
    # the newer policies raise for some headers that spam is full of
    message = message_from_bytes(raw, policy=compat32)
    body = Bunch(plain=[], html=[])
    attachments: list[Bunch] = []
    for part in _parts(message):
        kind, name = part.get_content_type(), part.get_filename()
        is_file = name is not None or part.get_content_disposition() == 'attachment'
        if not is_file and kind in {'text/plain', 'text/html'}:
            body[kind.removeprefix('text/')].append(_text(part))
        else:
            attachments.append(_attachment(part, _decoded(name or '')))
    return ReceivedMail(
        subject=_header(message, 'Subject'),
        sent_from=_people(message, 'From'),
        sent_to=_people(message, 'To'),
        cc=_people(message, 'Cc'),
        bcc=_people(message, 'Bcc'),
        reply_to=_people(message, 'Reply-To'),
        date=_header(message, 'Date'),
        parsed_date=_date(message),
        message_id=_header(message, 'Message-ID'),
        body=body,
        attachments=attachments,
        headers=[Bunch(Name=name, Value=_decoded(value)) for name, value in message.items()],
        raw_email=raw,
    )


def _parts(message: Message) -> Iterator[Message]:
    """What a message is made of. Of a message inside of it, the whole: its texts are not this one's."""
    inner = message.get_payload()
    if message.get_content_maintype() == 'multipart' and isinstance(inner, list):
        for part in inner:
            if isinstance(part, Message):
                yield from _parts(part)
    else:
        yield message


def _header(message: Message, name: str) -> str:
    return _decoded(message.get(name, ''))


def _decoded(value: Any) -> str:
    """A header as people read it: in one line, words in other alphabets decoded."""
    line = ' '.join(str(value).split())
    try:
        parts = decode_header(line)
    except ValueError:
        return line
    return ''.join(part if isinstance(part, str) else _from_bytes(part, charset) for part, charset in parts)


def _from_bytes(data: bytes, charset: str | None) -> str:
    for name in (charset, 'utf-8'):
        try:
            return data.decode(name or 'ascii')
        except (LookupError, UnicodeDecodeError):
            continue
    return data.decode('latin-1')


def _people(message: Message, name: str) -> list[Bunch]:
    pairs = getaddresses([' '.join(str(value).split()) for value in message.get_all(name, [])])
    return [Bunch(name=_decoded(person), email=address) for person, address in pairs if person or address]


def _date(message: Message) -> datetime | None:
    try:
        return parsedate_to_datetime(str(message['Date']))
    except (TypeError, ValueError):
        return None


def _text(part: Message) -> str:
    data = part.get_payload(decode=True)
    return _from_bytes(data if isinstance(data, bytes) else b'', part.get_content_charset())


def _attachment(part: Message, name: str) -> Bunch:
    data = part.get_payload(decode=True)
    if part.get_content_type() == 'message/rfc822':
        inner = part.get_payload()
        data = inner[0].as_bytes() if isinstance(inner, list) and isinstance(inner[0], Message) else b''
    content = data if isinstance(data, bytes) else b''
    return Bunch(
        {
            'filename': name,
            'content-type': part.get_content_type(),
            'content-id': part.get('Content-ID'),
            'size': len(content),
            'content': BytesIO(content),
        }
    )
