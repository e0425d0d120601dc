"""Documents there and back: JSON that is sent, XML that is read."""

from __future__ import annotations

import datetime as dt
import decimal
import importlib
import json
import uuid
from typing import Any

__all__ = ['find', 'is_fault', 'read_json', 'read_xml', 'soap_body', 'write_json']


def write_json(value: Any) -> str:
    """A value as JSON: dates in the ISO format, sets as lists, numbers of arbitrary precision and UUIDs as text.

    :raises TypeError: if there is something in it that JSON has no form for.
    """
    return json.dumps(value, default=_write_other)


def _write_other(value: Any) -> Any:
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return value.decode()
    message = f'a value of type `{type(value).__name__}` cannot be sent as JSON: {value!r:.100}'
    raise TypeError(message)


def read_json(text: str) -> Any:
    """The value of a JSON document; ``''`` if there is nothing in it.

    :raises ValueError: if it is not JSON.
    """
    if not text.strip():
        return ''
    try:
        return json.loads(text)
    except ValueError as error:
        message = f'the answer is not JSON ({error}): {text[:200]!r}'
        raise ValueError(message) from None


def read_xml(content: bytes) -> Any:
    """The root of an XML document, whose children are attributes (``lxml.objectify``).

    :raises ValueError: if it is not XML.
    """
    try:
        etree = importlib.import_module('lxml.etree')
        objectify = importlib.import_module('lxml.objectify')
    except ImportError as error:
        message = 'the package `lxml` is missing, which this client reads XML with: pip install lxml'
        raise ImportError(message) from error
    # what comes over the network names no files and expands to nothing
    parser = objectify.makeparser(resolve_entities=False, no_network=True)
    try:
        return objectify.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        message = f'the answer is not XML ({error}): {content[:200]!r}'
        raise ValueError(message) from None


def soap_body(root: Any) -> Any:
    """The first element in the body of a SOAP envelope of either version; ``None`` if the body is empty.

    :raises ValueError: if the document is not an envelope.
    """
    for child in root.iterchildren():
        if _local_name(child) == 'Body':
            return next(child.iterchildren(tag='*'), None)
    message = f'the answer is not a SOAP envelope: there is no `Body` in `{_local_name(root)}`'
    raise ValueError(message)


def is_fault(element: Any) -> bool:
    """Whether the element of a body says what went wrong."""
    return element is not None and _local_name(element) == 'Fault'


def find(element: Any, *path: str) -> str | None:
    """The text of an element below another one, whatever their namespaces are."""
    for name in path:
        element = next((child for child in element.iterchildren(tag='*') if _local_name(child) == name), None)
        if element is None:
            return None
    return str(element.text or '')


def _local_name(element: Any) -> str:
    return str(element.tag).rpartition('}')[2]
