"""What a service file imports::

from zato.server.service import Int, Service

class GetOrder(Service):
    class SimpleIO:
        input = Int('order_id')
        output = 'order_id', 'state'

    def handle(self):
        self.response.payload.order_id = self.request.input.order_id
        self.response.payload.state = 'new'
"""

from __future__ import annotations

from _busbar import (
    ChannelInfo,
    ChannelSecurityInfo,
    Request,
    Response,
    ServiceInput,
    SimpleIOPayload,
)
from busbar.methods import Methods
from busbar.models import Model, ModelCtx, dataclass
from busbar.rest_adapter import RESTAdapter
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
    Opaque,
    SIOElem,
    Text,
    Unicode,
)

__all__ = [
    'AsIs',
    'Bool',
    'Boolean',
    'CSV',
    'ChannelInfo',
    'ChannelSecurityInfo',
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
    'Model',
    'ModelCtx',
    'NOT_GIVEN',
    'Nested',
    'Opaque',
    'RESTAdapter',
    'Request',
    'Response',
    'SIOElem',
    'Service',
    'ServiceInput',
    'SimpleIOPayload',
    'Text',
    'UTC',
    'UUID',
    'Unicode',
    'dataclass',
]


class Service(Methods):
    """One thing that other systems can ask for. Derive from it and write ``handle()``; the file goes to ``pickup-dir``.

    A service in the file ``my_service.py`` and the class ``GetClientDetails`` is called
    ``my-service.get-client-details``, unless the class has a ``name`` of its own. A new object is made for each
    request: what is put on ``self`` is seen by no other one.
    """
