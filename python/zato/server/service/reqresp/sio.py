"""SimpleIO elements, where services of the 2.x line import them from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _busbar import ServiceInput, kind_of_name
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

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def is_bool(param_name: Any, param: Any = None, bool_parameter_prefixes: Iterable[str] | None = None) -> bool:
    """Whether the element is true or false, by its type or by what it is called.

    :param bool_parameter_prefixes: beginnings of such names, in the place of the ordinary ones.
    """
    if isinstance(param, SIOElem):
        return isinstance(param, Bool)
    if not isinstance(param_name, str):
        return False
    if bool_parameter_prefixes is None:
        return kind_of_name(param_name) == 'bool'
    return param_name.startswith(tuple(bool_parameter_prefixes))


def is_int(
    param_name: Any, int_parameters: Iterable[str] | None = None, int_parameter_suffixes: Iterable[str] | None = None
) -> bool:
    """Whether the element is a whole number, by what it is called.

    :param int_parameters: such names, in the place of the ordinary ones.
    :param int_parameter_suffixes: ends of such names, in the place of the ordinary ones.
    """
    if not isinstance(param_name, str):
        return False
    if int_parameters is None and int_parameter_suffixes is None:
        return kind_of_name(param_name) == 'int'
    return param_name in (int_parameters or ()) or param_name.endswith(tuple(int_parameter_suffixes or ()))


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
