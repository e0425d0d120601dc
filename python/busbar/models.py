"""Models: dataclasses that a service declares as its input or output.

Services import :class:`Model` and :func:`dataclass` from ``zato.server.service``::

    from zato.common.typing_ import list_, list_field, strnone
    from zato.server.service import Model, Service, dataclass

    @dataclass(init=False)
    class Order(Model):
        order_id: int
        items: list_[str] = list_field()
        note: strnone = None

    class Accept(Service):
        input = Order

        def handle(self):
            self.response.payload = {'accepted': self.request.input.order_id}

Reading and writing instances is done by the server. This module says what it has to know of a class.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Self, dataclass_transform

from _busbar import kind_of_name, model_from_dict, model_to_dict
from zato.common.json_internal import encode_more

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ['MarshalAPI', 'Model', 'ModelCtx', 'dataclass', 'datetimez', 'describe', 'flat_model', 'isotimestamp']


class isotimestamp(str):
    """Marks a field as ISO text of a point in time: any spelling of one is read, ISO text is what the service gets."""

    __slots__ = ()


class datetimez(datetime):
    """Marks a field as a point in time with a zone: ``datetime`` in the service, in UTC if the caller gave no zone."""

    __slots__ = ()


class ModelCtx:
    """What ``after_created`` of a model is told."""

    #: The service that the model is read for; ``None`` outside of one.
    service: Any = None
    #: The dictionary that the model was read from.
    data: Any = None
    #: Class of the model.
    DataClass: Any = None


class Model:
    """Base class of models. Decorate yours with ``@dataclass(init=False)``."""

    def after_created(self, ctx: ModelCtx) -> None:
        """Called once an instance has been read. Override it to check fields together, or to work some of them out."""

    @classmethod
    def from_dict(cls, data: Any, extra: dict[str, Any] | None = None) -> Self:
        """An instance out of a dictionary. What ``extra`` has wins.

        :raises ModelValidationError: if something is missing; it names the place.
        """
        instance: Self = model_from_dict(cls, data, extra)
        return instance

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dictionary; models in them as dictionaries too."""
        return model_to_dict(self)

    def to_json(self, default: Callable[[Any], Any] | None = None, impl_extra: int = 0) -> str:
        """The fields as JSON, dates as ISO text. ``default`` is asked about values that JSON does not know."""
        del impl_extra
        return json.dumps(self.to_dict(), default=default or encode_more, separators=(',', ':'))

    def clone(self) -> Self:
        """A copy with the same values."""
        return copy.copy(self)

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or ``default`` if there is no such one or it has not been set."""
        return getattr(self, name, default) if name in self else default

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in _fields_of(type(self)) and hasattr(self, name)

    @classmethod
    def zato_get_fields(cls) -> dict[str, dataclasses.Field[Any]]:
        """The fields by name, sorted."""
        return dict(sorted(_fields_of(cls).items()))

    @staticmethod
    def build_model_from_flat_input(*args: Any) -> type[Model]:
        """A model whose fields are declared names. The last two arguments are its name and the names."""
        name, declared = args[-2:]
        if isinstance(declared, str):
            declared = [declared]
        return flat_model([_flat(item) for item in declared], name)


class MarshalAPI:
    """Reads models outside of ``self.request.input``."""

    def from_dict(self, service: Any, data: Any, class_: type, extra: dict[str, Any] | None = None) -> Any:
        """An instance of ``class_`` out of a dictionary. What ``extra`` has wins."""
        return model_from_dict(class_, data, extra, service)


def _fields_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}


def flat_model(fields: Iterable[tuple[str, str, bool]], name: str = 'Output') -> type[Model]:
    """A model of names: each with its type, ``int``, ``bool`` or ``str``, and whether it is required."""
    known = {'int': int, 'bool': bool, 'str': str}
    described = [
        (field, known[kind]) if required else (field, typing.Optional[known[kind]]) for field, kind, required in fields
    ]
    return dataclasses.make_dataclass(name, described, bases=(Model,), init=False)


def _flat(item: Any) -> tuple[str, str, bool]:
    name = getattr(item, 'name', item)
    required = getattr(item, 'is_required', not name.startswith('-'))
    name = name.removeprefix('-')
    kind = getattr(item, 'kind', '') or kind_of_name(name)
    return name, kind if kind in {'int', 'bool'} else 'str', required


# --- what the server asks about a class


def describe(cls: type) -> tuple[list[dict[str, Any]], str, bool, bool]:
    """What the server has to know of a model: its fields, how instances come to be, and what it has of its own.

    :raises TypeError: if the class is no dataclass.
    """
    if not dataclasses.is_dataclass(cls):
        message = f'model {cls.__name__} lacks its decorator: @dataclass(init=False)'
        raise TypeError(message)
    hints = _hints(cls)
    fields = [_describe(field, hints.get(field.name, field.type)) for field in dataclasses.fields(cls)]
    after_created = getattr(cls, 'after_created', None)
    has_after_created = after_created is not None and after_created is not Model.after_created
    to_dict = getattr(cls, 'to_dict', None)
    has_to_dict = to_dict is not None and to_dict is not Model.to_dict
    return fields, _init_of(cls), has_after_created, has_to_dict


def _init_of(cls: type) -> str:
    """How instances come to be: with their fields, without arguments, or without calling ``__init__`` at all."""
    owner = next(base for base in cls.__mro__ if '__init__' in vars(base))
    if owner is object:
        return 'bare'
    params = vars(owner).get('__dataclass_params__')
    if params is None or not params.init:
        return 'empty'
    return 'fields' if owner is cls and all(field.init for field in dataclasses.fields(cls)) else 'bare'


def _describe(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    kind, model, nullable = _kind_of(hint)
    described: dict[str, Any] = {'name': field.name, 'kind': kind, 'nullable': nullable, 'required': not nullable}
    if model is not None:
        described['model'] = model
    if field.default is not dataclasses.MISSING:
        described |= {'default': field.default, 'required': False}
    elif field.default_factory is not dataclasses.MISSING:
        described |= {'factory': field.default_factory, 'required': False}
    return described


#: What is read in a way of its own.
_KINDS: typing.Final = {
    str: 'str',
    int: 'int',
    float: 'float',
    bool: 'bool',
    date: 'date',
    datetime: 'datetime',
    datetimez: 'datetimez',
    isotimestamp: 'isotimestamp',
    dict: 'dict',
    list: 'list',
}


def _kind_of(hint: Any) -> tuple[str, type | None, bool]:
    """Of a type: how it is read, the model in it if any, and whether it may be ``None``."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        nullable = len(arguments) < len(typing.get_args(hint))
        kind, model, _ = _kind_of(arguments[0]) if len(arguments) == 1 else ('any', None, False)
        return kind, model, nullable
    if origin is typing.Annotated:
        return _kind_of(typing.get_args(hint)[0])
    if isinstance(hint, typing.NewType):
        return _kind_of(hint.__supertype__)
    if hint is None or hint is type(None):
        return 'any', None, True
    if origin is list or origin is Sequence:
        arguments = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        kind, model, _ = _kind_of(arguments[0]) if arguments else ('any', None, False)
        return ('models', model, False) if kind == 'model' else ('list', None, False)
    if origin is dict or origin is Mapping:
        return 'dict', None, False
    if isinstance(hint, type) and (issubclass(hint, Model) or dataclasses.is_dataclass(hint)):
        return 'model', hint, False
    return _KINDS.get(hint, 'any') if isinstance(hint, type) else 'any', None, False


def _hints(cls: type) -> dict[str, Any]:
    """Annotations of a class and its bases, resolved. One that names something unknown stays as it is."""
    try:
        return typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001 - an annotation may be any expression
        hints = {}
    for base in reversed(cls.__mro__):
        names = dict(vars(sys.modules.get(base.__module__, typing)))
        for name, hint in inspect.get_annotations(base).items():
            holder = type(base.__name__, (), {'__annotations__': {name: hint}, '__module__': base.__module__})
            try:
                hints[name] = typing.get_type_hints(holder, names, dict(vars(base)))[name]
            except Exception:  # noqa: BLE001
                hints[name] = hint
    return hints


# --- the decorator


@dataclass_transform(field_specifiers=(dataclasses.field, dataclasses.Field))
def dataclass(cls: type | None = None, /, **options: Any) -> Any:
    """As ``dataclasses.dataclass``, but a field without a default may follow one that has a default."""

    def decorate(cls: type) -> type:
        if not options.get('init', True) or options.get('kw_only') or _is_in_order(cls):
            return dataclasses.dataclass(**options)(cls)
        decorated: Any = dataclasses.dataclass(**(options | {'init': False}))(cls)
        if '__init__' not in vars(cls):
            decorated.__init__ = _initializer(decorated)
            decorated.__dataclass_params__.init = True
        return typing.cast('type', decorated)

    return decorate if cls is None else decorate(cls)


def _is_in_order(cls: type) -> bool:
    """Whether no field without a default follows one with a default."""
    fields: dict[str, bool] = {}
    for base in reversed(cls.__mro__[1:]):
        for name, field in _fields_of(base).items():
            fields[name] = not field.init or field.kw_only is True or _has_default(field)
    for name in inspect.get_annotations(cls):
        fields[name] = _has_default(vars(cls).get(name, dataclasses.MISSING))
    has_default = list(fields.values())
    return has_default == sorted(has_default)


def _has_default(value: Any) -> bool:
    if isinstance(value, dataclasses.Field):
        return value.default is not dataclasses.MISSING or value.default_factory is not dataclasses.MISSING
    return value is not dataclasses.MISSING


def _initializer(cls: Any) -> Callable[..., None]:
    fields = [field for field in dataclasses.fields(cls) if field.init]

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > len(fields):
            message = f'{cls.__name__}() takes {len(fields)} arguments, {len(args)} were given'
            raise TypeError(message)
        given = dict(zip((field.name for field in fields), args, strict=False))
        for name, value in kwargs.items():
            if name in given or name not in {field.name for field in fields}:
                reason = 'was given twice' if name in given else 'is no field'
                message = f'{cls.__name__}(): `{name}` {reason}'
                raise TypeError(message)
            given[name] = value
        for field in dataclasses.fields(cls):
            if field.name in given:
                value = given[field.name]
            elif field.default is not dataclasses.MISSING:
                value = field.default
            elif field.default_factory is not dataclasses.MISSING:
                value = field.default_factory()
            elif field.init:
                message = f'{cls.__name__}() lacks `{field.name}`'
                raise TypeError(message)
            else:
                continue
            object.__setattr__(self, field.name, value)
        if post_init := getattr(self, '__post_init__', None):
            post_init()

    return __init__
