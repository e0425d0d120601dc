"""SimpleIO elements: what a service declares of its input and output.

These objects only declare. Reading and writing values is done by the server, which reads the declarations once, when
a service is deployed. Services import them from ``zato.server.service``::

    from zato.server.service import Date, Int, List, Service

    class BookRoom(Service):
        class SimpleIO:
            input = 'hotel', Date('arrival'), Int('nights', default=1), List('-guests')
            output = 'confirmation'
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

__all__ = [
    'CSV',
    'NOT_GIVEN',
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
    'NotGiven',
    'Opaque',
    'SIOElem',
    'Secret',
    'Text',
    'Unicode',
]

#: Methods by which a subclass converts values itself: the first four are today's names, the others older ones.
_CONVERTERS: Final = frozenset({'from_json', 'to_json', 'from_csv', 'to_csv', 'convert', 'from_', 'to_'})


class NotGiven:
    """Type of :data:`NOT_GIVEN`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return 'NOT_GIVEN'


#: Stands for "no value at all", where ``None`` is a value.
NOT_GIVEN: Final = NotGiven()


class SIOElem:
    """Base class of all elements, and of elements of your own.

    A subclass that has ``from_json(self, value)`` converts input itself, one that has ``to_json(self, value)`` converts
    output itself (older services: ``convert``, ``from_`` and ``to_``).

    :param name: name of the element. A leading dash makes it optional: ``Int('-quantity')``.
    :param nested: declared keys of a dictionary, each a name (``'-zip'`` is optional) or an element.
    :param default: value of an optional element that is missing.
    :raises ValueError: if ``name`` is empty or is not text.
    """

    #: How the server reads and writes values of this element.
    kind: ClassVar[str] = 'custom'

    __slots__ = ('default', 'is_required', 'name', 'nested')

    #: Name, without the dash.
    name: str
    #: Whether a value must be there.
    is_required: bool
    #: Declared keys, as they were given.
    nested: tuple[str | SIOElem, ...]
    #: The default, or :data:`NOT_GIVEN`.
    default: Any

    def __init__(self, name: str, *nested: str | SIOElem, default: Any = NOT_GIVEN) -> None:
        if not isinstance(name, str) or not name.lstrip('-'):
            message = f'{type(self).__name__} needs the name of an element, not {name!r}'
            raise ValueError(message)
        self.is_required = not name.startswith('-')
        self.name = name.removeprefix('-')
        self.nested = nested
        self.default = default

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if 'kind' not in vars(cls) and _CONVERTERS.intersection(vars(cls)):
            cls.kind = 'custom'

    def __repr__(self) -> str:
        dash = '' if self.is_required else '-'
        parts = [repr(dash + self.name), *map(repr, self.nested)]
        if self.default is not NOT_GIVEN:
            parts.append(f'default={self.default!r}')
        return f'{type(self).__name__}({", ".join(parts)})'


#: What the base class is called in services of the 3.x line.
ForceType = SIOElem


class AsIs(SIOElem):
    """Any value, unchanged. Use it for external ids that only look like numbers: ``AsIs('customer_id')``."""

    __slots__ = ()
    kind = 'as_is'


class Bool(SIOElem):
    """``True`` or ``False``, also spelt ``yes``, ``on``, ``1``, ``no``, ``off``, ``0`` and the like."""

    __slots__ = ()
    kind = 'bool'


class CSV(SIOElem):
    """Comma-separated text on the wire, a list in the service."""

    __slots__ = ()
    kind = 'csv'


class Date(SIOElem):
    """A date: ``datetime.datetime`` at midnight in the service."""

    __slots__ = ()
    kind = 'date'


class DateTime(SIOElem):
    """A point in time: ``datetime.datetime`` in the service, ISO text on the wire."""

    __slots__ = ()
    kind = 'date_time'


class Decimal(SIOElem):
    """``decimal.Decimal`` in the service, text on the wire, so that no digit is lost."""

    __slots__ = ()
    kind = 'decimal'


class Dict(SIOElem):
    """A dictionary. With keys declared, others are dropped: ``Dict('address', 'city', '-zip')``."""

    __slots__ = ()
    kind = 'dict'


class DictList(SIOElem):
    """A list of dictionaries, each read as a :class:`Dict` of the same keys."""

    __slots__ = ()
    kind = 'dict_list'


class Float(SIOElem):
    """A floating-point number."""

    __slots__ = ()
    kind = 'float'


class Int(SIOElem):
    """A whole number."""

    __slots__ = ()
    kind = 'int'


class List(SIOElem):
    """A list. A value on its own becomes a list of one."""

    __slots__ = ()
    kind = 'list'


class Opaque(SIOElem):
    """Any value, unchanged; dictionaries can be read with dots."""

    __slots__ = ()
    kind = 'opaque'


class Secret(SIOElem):
    """Text that never shows up in logs."""

    __slots__ = ()
    kind = 'secret'


class Text(SIOElem):
    """Text; numbers and other values are turned into it."""

    __slots__ = ()
    kind = 'text'


class UTC(SIOElem):
    """Text of a point in time, without a trailing ``+00:00``."""

    __slots__ = ()
    kind = 'utc'


class UUID(SIOElem):
    """``uuid.UUID`` in the service, 32 hexadecimal digits on the wire."""

    __slots__ = ()
    kind = 'uuid'


Boolean = Bool
Integer = Int
ListOfDicts = DictList
Nested = Opaque
Unicode = Text
