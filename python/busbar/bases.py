"""Classes that services derive from, or name in annotations, beside ``Service`` itself."""

from __future__ import annotations

from typing import Any, NoReturn

from busbar.later import later
from busbar.methods import Methods

__all__ = [
    'AMQPFacade',
    'AsyncCtx',
    'PatternsFacade',
    'PubSub',
    'PubSubHook',
    'ValueConverter',
    'WSXAdapter',
    'WSXHook',
]


class _NotYet(Methods):
    """A kind of service that nothing calls yet: its file deploys, calling it says what is missing."""

    _needs = ''

    def handle(self) -> Any:
        """Says what is missing.

        :raises NotImplementedError: always.
        """
        _refuse(type(self).__name__, self._needs)


def _refuse(name: str, needs: str) -> NoReturn:
    message = f'`{name}` needs {needs}, which this version of busbar does not have yet'
    raise NotImplementedError(message)


class PubSubHook(_NotYet):
    """Has a say in what a topic's messages become."""

    _needs = 'pub/sub'

    def before_publish(self) -> Any:
        """Called before a message is published."""

    def before_delivery(self) -> Any:
        """Called before a message is delivered."""

    def on_outgoing_soap_invoke(self) -> Any:
        """Called in place of delivering a message over SOAP."""

    def on_subscribed(self) -> Any:
        """Called when there is a new subscription."""

    def on_unsubscribed(self) -> Any:
        """Called when a subscription has ended."""


class WSXHook(_NotYet):
    """Is told what happens on the connections of a WebSocket channel."""

    _needs = 'WebSocket channels'


class WSXAdapter(_NotYet):
    """Takes what comes over an outgoing WebSocket connection."""

    _needs = 'outgoing WebSocket connections'

    def on_connected(self, ctx: Any) -> Any:
        """Called when the connection is there."""

    def on_message_received(self, ctx: Any) -> Any:
        """Called with each message."""

    def on_closed(self, ctx: Any) -> Any:
        """Called when the connection is gone."""


class AsyncCtx:
    """What an asynchronous invocation was given along: attributes by name."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class ValueConverter:
    """Reads a value of declared input as its name says: ``order_id`` is a number, ``is_new`` true or false."""

    def convert(self, name: str, value: Any) -> Any:
        """``value`` as the name says."""
        from zato.server.service.reqresp.sio import convert_sio

        return convert_sio(None, name, value)


PatternsFacade = later('PatternsFacade', 'patterns as a class of their own', 'The type of ``self.patterns``.')
AMQPFacade = later('AMQPFacade', 'AMQP connections', 'The type of ``self.amqp``.')
PubSub = later('PubSub', 'pub/sub', 'The type of ``self.pubsub``.')
