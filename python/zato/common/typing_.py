"""Names for type annotations, and all of ``dataclasses``, as services of the 3.x line import them.

A name that ends in ``none`` may be ``None`` as well; the others say what they are made of, outermost last: ``strlist``
is a list of text, ``strdictlist`` a list of dictionaries with text for keys.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import *  # services import `dataclass`, `field` and the rest from here
from dataclasses import field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, Optional, TypeVar, Union, cast, get_args, get_origin

from _busbar import model_from_dict
from busbar import models

any_ = Any
callable_ = Callable  # type: ignore[type-arg]
cast_ = cast
date_ = date
datetime_ = datetime
datetimez = models.datetimez
decimal_ = Decimal
dict_ = dict
generator_ = Generator
isotimestamp = models.isotimestamp
iterator_ = Iterator
list_ = list
optional = Optional
path_ = Path
set_ = set
tuple_ = tuple  # type: ignore[type-arg]
type_ = type
typevar_ = TypeVar
union_ = Union

anydict = dict[Any, Any]
anylist = list[Any]
anytuple = tuple[Any, ...]
commondict = dict[str, Union[int, str, bool, float, anylist, None]]
dictlist = list[anydict]
intdict = dict[int, int]
intlist = list[int]
strdict = dict[str, Any]
stranydict = dict[str, Any]
strdictlist = list[strdict]
strlist = list[str]
strlistdict = dict[str, strlist]
strset = set[str]
strstrdict = dict[str, str]

boolnone = Optional[bool]
bytesnone = Optional[bytes]
callnone = Optional[Callable[..., Any]]
dictnone = Optional[anydict]
dtnone = Optional[datetime]
floatnone = Optional[float]
intnone = Optional[int]
listnone = Optional[anylist]
strdictnone = Optional[strdict]
strlistnone = Optional[strlist]
strnone = Optional[str]

dictorlist = Union[anydict, anylist]
strbytes = Union[str, bytes]
strint = Union[str, int]
strintnone = Union[str, int, None]
strordict = Union[str, anydict]


def is_union(type_: Any) -> bool:
    """Whether a type is one of several: ``Union[int, str]``, ``int | None``."""
    return get_origin(type_) in (Union, UnionType)


def extract_from_union(type_: Any) -> tuple[list[Any], Any, Any]:
    """The types of a union that are not ``None``: all of them, the first, and the second or ``None``."""
    types = [argument for argument in get_args(type_) if argument is not type(None)]
    return types, types[0] if types else None, types[1] if len(types) > 1 else None


def from_dict(data_class: type, data: dict[str, Any], config: Any = None) -> Any:
    """An instance of a dataclass out of a dictionary, as ``MarshalAPI().from_dict`` makes it."""
    del config
    return model_from_dict(data_class, data)


def instance_from_dict(class_: type, data: dict[str, Any]) -> Any:
    """An instance of any class whose attributes are what the dictionary holds."""
    instance = class_()
    for name, value in data.items():
        setattr(instance, name, value)
    return instance


def list_field() -> Any:
    """A field of a dataclass that is a new empty list by default."""
    return field(default_factory=list)


def dict_field() -> Any:
    """A field of a dataclass that is a new empty dictionary by default."""
    return field(default_factory=dict)
