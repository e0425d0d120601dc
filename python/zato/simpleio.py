"""SimpleIO elements, where some services of the 3.x line import them from."""

from _busbar import ServiceInput
from busbar.later import later
from busbar.sio import (
    CSV,
    NOT_GIVEN,
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
    NotGiven,
    Opaque,
    Secret,
    SIOElem,
    Text,
    Unicode,
)

__all__ = [
    'CSV',
    'CySimpleIO',
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
    'SIODefault',
    'SIOElem',
    'Secret',
    'ServiceInput',
    'Text',
    'Unicode',
]


class SIODefault:
    """Defaults for all elements of a declaration.

    :param input_value: of optional elements that are missing in the input.
    :param output_value: of optional elements that are missing in the output.
    """

    def __init__(self, input_value: object = NOT_GIVEN, output_value: object = NOT_GIVEN) -> None:
        self.input_value = input_value
        self.output_value = output_value


#: What reads declarations. The server does that itself here, without an object for it.
CySimpleIO = later('CySimpleIO', 'a SimpleIO processor in Python', 'Reads declarations.')
