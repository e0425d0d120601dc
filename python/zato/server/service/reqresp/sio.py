"""SimpleIO elements, where services of the 2.x line import them from."""

from __future__ import annotations

from typing import Any

from _busbar import ServiceInput
from busbar.sio import (
    CSV,
    UTC,
    UUID,
    AsIs,
    Bool,
    Boolean,
    Date,
    DateTime,
    Decimal,
    Dict,
    DictList,
    Float,
    ForceType,
    Int,
    Integer,
    List,
    ListOfDicts,
    Nested,
    Opaque,
    SIOElem,
    Text,
    Unicode,
)
from zato.common.exception import ValidationException
from zato.common.util.api import asbool

__all__ = [
    'CSV',
    'UTC',
    'UUID',
    'AsIs',
    'Bool',
    'Boolean',
    'Date',
    'DateTime',
    'Decimal',
    'Dict',
    'DictList',
    'Float',
    'ForceType',
    'Int',
    'Integer',
    'List',
    'ListOfDicts',
    'Nested',
    'Opaque',
    'SIOElem',
    'ServiceInput',
    'Text',
    'Unicode',
    'ValidationException',
    'convert_sio',
    'is_bool',
    'is_int',
]

_BOOL_PREFIXES = ('is_', 'needs_', 'should_', 'by_', 'has_')
_INT_NAMES = frozenset({'id'})
_INT_SUFFIXES = ('_id', '_size', '_count', '_timeout')


def is_bool(param_name: Any, param: Any = None, bool_parameter_prefixes: tuple[str, ...] = _BOOL_PREFIXES) -> bool:
    """Whether the element is true or false, by its type or by what it is called."""
    if isinstance(param, SIOElem):
        return isinstance(param, Bool)
    return isinstance(param_name, str) and param_name.startswith(tuple(bool_parameter_prefixes))


def is_int(
    param_name: Any, int_parameters: Any = _INT_NAMES, int_parameter_suffixes: tuple[str, ...] = _INT_SUFFIXES
) -> bool:
    """Whether the element is a whole number, by what it is called."""
    return isinstance(param_name, str) and (
        param_name in int_parameters or param_name.endswith(tuple(int_parameter_suffixes))
    )


def convert_sio(cid: str | None, param_name: str, value: Any, *_args: Any, **_kwargs: Any) -> Any:
    """Reads a value as the name of its element says.

    :raises ValidationException: if it cannot be read so.
    """
    try:
        if value not in (None, '') and is_bool(param_name):
            return asbool(value)
        if value not in (None, '') and is_int(param_name):
            return int(value)
    except (TypeError, ValueError) as error:
        raise ValidationException(cid, f'cannot read element `{param_name}`: {error}') from error
    return value
