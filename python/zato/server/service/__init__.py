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

from typing import Any

from _busbar import (
    ChannelSecurityInfo,
    Outgoing,
    Request,
    Response,
    ServiceInput,
    SimpleIOPayload,
)
from busbar.bases import (
    AMQPFacade,
    AsyncCtx,
    PatternsFacade,
    PubSub,
    PubSubHook as _PubSubHook,
    ValueConverter,
    WSXAdapter as _WSXAdapter,
    WSXHook as _WSXHook,
)
from busbar.channel import ChannelInfo
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
from zato.common.pubsub import PubSubMessage

__all__ = [
    'AMQPFacade',
    'AsyncCtx',
    'Outgoing',
    'PatternsFacade',
    'PubSub',
    'PubSubHook',
    'PubSubMessage',
    'ValueConverter',
    'WSXAdapter',
    'WSXHook',
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


class PubSubHook(_PubSubHook, Service):
    """Has a say in what a topic's messages become. Deploys; nothing calls it yet."""


class WSXHook(_WSXHook, Service):
    """Is told what happens on the connections of a WebSocket channel. Deploys; nothing calls it yet."""


class WSXAdapter(_WSXAdapter, Service):
    """Takes what comes over an outgoing WebSocket connection. Deploys; nothing calls it yet."""


def __getattr__(name: str) -> Any:
    # it needs the package arrow, which not every service does
    if name == 'TimeUtil':
        from busbar.facilities.time import TimeUtil

        return TimeUtil
    message = f'module {__name__!r} has no attribute {name!r}'
    raise AttributeError(message)
