"""Forms and query strings."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

__all__ = ['QueryDict', 'get_form_data']


class QueryDict(dict[str, list[str]]):
    """A query string or form as a dictionary: the last value of each name, all of them with :meth:`getlist`."""

    def __init__(self, query: str | bytes = '', mutable: bool = False, encoding: str = 'utf8') -> None:
        super().__init__()
        text = query.decode(encoding, 'replace') if isinstance(query, bytes) else query
        for name, value in parse_qsl(text, keep_blank_values=True, encoding=encoding):
            super().setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> Any:
        values = super().__getitem__(name)
        return values[-1] if values else []

    def get(self, name: str, default: Any = None) -> Any:
        """The last value of ``name``."""
        values = super().get(name)
        return values[-1] if values else default

    def getlist(self, name: str) -> list[str]:
        """All values of ``name``."""
        return list(super().get(name, []))

    def items(self) -> Any:
        """Names, each with its last value."""
        return [(name, self[name]) for name in self]

    def values(self) -> Any:
        """The last value of each name."""
        return [self[name] for name in self]

    def dict(self) -> dict[str, Any]:
        """A plain dictionary of the last values."""
        return {name: self[name] for name in self}


def get_form_data(wsgi_environ: dict[str, Any], as_dict: bool = True) -> dict[str, Any]:
    """The form that a request carries: fields as text, uploaded files as bytes; a repeated name is a list.

    Empty if the body is no form.

    :raises ValueError: if the body is not what its content type says.
    """
    content_type = wsgi_environ.get('CONTENT_TYPE') or ''
    stream = wsgi_environ.get('wsgi.input')
    if stream is None:
        return {}
    stream.seek(0)
    body = stream.read()
    kind = content_type.partition(';')[0].strip().lower()
    if kind == 'application/x-www-form-urlencoded':
        try:
            pairs: list[tuple[str, Any]] = list(parse_qsl(body.decode('utf8'), keep_blank_values=True, errors='strict'))
        except UnicodeDecodeError as e:
            error = 'invalid form: a field is not UTF-8'
            raise ValueError(error) from e
    elif kind == 'multipart/form-data':
        pairs = _parts(content_type, body)
    else:
        return {}
    form: dict[str, Any] = {}
    for name, value in pairs:
        if name not in form:
            form[name] = value
        elif isinstance(form[name], list):
            form[name].append(value)
        else:
            form[name] = [form[name], value]
    return form


def _parts(content_type: str, body: bytes) -> list[tuple[str, Any]]:
    head = f'Content-Type: {content_type}\r\n\r\n'.encode('latin-1', 'replace')
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        error = 'the multipart body has no parts that its content type announces'
        raise ValueError(error)
    pairs: list[tuple[str, Any]] = []
    for part in message.iter_parts():
        name = part.get_param('name', header='content-disposition')
        if not isinstance(name, str):
            continue
        content = part.get_payload(decode=True)
        content = content if isinstance(content, bytes) else b''
        is_file = part.get_param('filename', header='content-disposition') is not None
        if is_file:
            pairs.append((name, content))
            continue
        charset = part.get_content_charset('utf8')
        try:
            pairs.append((name, content.decode(charset)))
        except (UnicodeDecodeError, LookupError) as e:
            if part.get_content_maintype() != 'text':
                pairs.append((name, content))
                continue
            error = f'invalid form: field `{name}` is not {charset.upper().replace("UTF8", "UTF-8")}'
            raise ValueError(error) from e
    return pairs
