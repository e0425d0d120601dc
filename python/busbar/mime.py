"""E-mail messages as they go over the wire."""

from __future__ import annotations

import mimetypes
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, getaddresses, make_msgid, parseaddr

from busbar.messages import SMTPMessage, addresses

__all__ = ['write']


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
