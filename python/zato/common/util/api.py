"""Small functions that services use."""

from __future__ import annotations

import ast
import os
import re
import secrets
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from busbar.background import Background

__all__ = [
    'asbool',
    'current_host',
    'get_component_name',
    'make_repr',
    'new_cid',
    'parse_extra_into_dict',
    'parse_simple_type',
    'payload_from_request',
    'spawn_greenlet',
    'uncamelify',
    'update_bind_port',
]

_TRUE = frozenset({'true', 'yes', 'on', 'y', 't', '1'})
_FALSE = frozenset({'false', 'no', 'off', 'n', 'f', '0', '', 'none'})

# before a capital that follows a lower-case letter; before a capital, not the first, that a lower-case letter follows
_WORD = re.compile(r'(?<=[a-z])(?=[A-Z])|(?<!^)(?=[A-Z][a-z])')


def new_cid() -> str:
    """A new correlation id: 24 lower-case hexadecimal digits."""
    return secrets.token_hex(12)


def asbool(value: Any) -> bool:
    """Reads a truth value in any of its usual spellings: ``true yes on y t 1`` and ``false no off n f 0``, in any case.

    :raises ValueError: if it is text that is none of these.
    """
    if not isinstance(value, str):
        return bool(value)
    text = value.strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    message = f'cannot read {value!r} as true or false'
    raise ValueError(message)


def uncamelify(text: str, separator: str = '-') -> str:
    """The class part of a service's name: ``GetHTTPData`` gives ``get-http-data``."""
    dashed = _WORD.sub(separator, text).lower()
    return dashed.replace('_' + separator, '_').removeprefix(separator)


def current_host() -> str:
    """Host name of this machine."""
    return socket.gethostname()


def parse_simple_type(value: str, convert_bool: bool = True) -> Any:
    """Reads text as the number or, with ``convert_bool``, the truth value that it looks like. Other text stays."""
    for read in (int, float):
        try:
            return read(value)
        except (TypeError, ValueError):
            continue
    if convert_bool and isinstance(value, str) and value.lower() in {'true', 'false'}:
        return value.lower() == 'true'
    return value


def parse_extra_into_dict(lines: str | bytes, convert_bool: bool = True) -> dict[str, Any]:
    """Reads lines of ``key=value``; several may share a line, with ``;`` between them.

    Empty lines and those that begin with ``#`` are left out. Values that look like Python literals are read as such.

    :raises ValueError: if a line has no ``=``.
    """
    if isinstance(lines, bytes):
        lines = lines.decode('utf8')
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, re.split(r'[\n;]', lines))):
        if line.startswith('#'):
            continue
        key, equals, value = line.partition('=')
        if not equals:
            message = f'expected key=value, not {line!r}'
            raise ValueError(message)
        found[key.strip()] = _literal(value.strip(), convert_bool)
    return found


def _literal(text: str, convert_bool: bool) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return parse_simple_type(text, convert_bool)


def make_repr(obj: Any, *, ignore_double_underscore: bool = True, buff_size: int = 0) -> str:
    """An object's class, address and attributes, for logs: ``<Order at 0x7f.. id:7 state:new>``.

    :param ignore_double_underscore: leaves out attributes whose names begin with two underscores.
    :param buff_size: longest result in characters, 0 for any.
    """
    names = [
        name
        for name in sorted(getattr(obj, '__dict__', {}))
        if not (ignore_double_underscore and name.startswith('__'))
    ]
    parts = [f'{type(obj).__name__} at {id(obj):#x}', *(f'{name}:{getattr(obj, name)!r}' for name in names)]
    text = f'<{" ".join(parts)}>'
    return text[: buff_size - 1] + '>' if 0 < buff_size < len(text) else text


def get_component_name(prefix: str = 'parallel') -> str:
    """A name for a part of this process, for logs: prefix, host, process."""
    return f'{prefix}/{current_host()}/{os.getpid()}'


def update_bind_port(data: Any, index: int) -> Any:
    """Adds ``index`` to the port of ``data['address']`` or ``data.address``: ``tcp://*:5000`` with 2 is ``tcp://*:5002``."""
    is_dict = isinstance(data, dict)
    address: str = data['address'] if is_dict else data.address
    host, _, port = address.rpartition(':')
    changed = f'{host}:{int(port) + index}'
    if is_dict:
        data['address'] = changed
        data['bind_port'] = int(port) + index
    else:
        data.address = changed
        data.bind_port = int(port) + index
    return data


def spawn_greenlet(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Background:
    """Runs a function in the background, in a thread; the name is older than that.

    :raises RuntimeError: if too much runs there already.
    """
    from busbar.background import spawn

    kwargs.pop('timeout', None)
    return spawn(function, *args, **kwargs)


def payload_from_request(
    json_parser: Any, cid: str, request: Any, data_format: str | None, transport: str | None = None, *_args: Any
) -> Any:
    """Reads a body as its data format says: JSON as objects, XML as an objectified root, anything else stays.

    :raises ValueError: if it is not what the format says.
    """
    if not request:
        return ''
    if data_format == 'json' and isinstance(request, str | bytes):
        import json

        parse = getattr(json_parser, 'parse', json.loads)
        return parse(request)
    if data_format == 'xml' and isinstance(request, str | bytes):
        from lxml import objectify

        text = request.encode() if isinstance(request, str) else request
        return objectify.fromstring(text, objectify.makeparser(resolve_entities=False, no_network=True))
    return request
