"""``self.broker_client``: what services of the 1.x and 2.x lines send messages to the server with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from _busbar import Service


class BrokerClient:
    """``self.broker_client``"""

    def __init__(self, service: Service) -> None:
        self._service: Any = service

    def invoke_async(self, msg: Mapping[str, Any]) -> Any:
        """Has a service called asynchronously, as ``self.invoke_async`` does: ``{'service': name, 'payload': ...}``.

        :raises KeyError: if there is no such service, or the message names none.
        """
        options = {name: msg[name] for name in ('channel', 'data_format', 'transport', 'cid') if msg.get(name)}
        return self._service.invoke_async(msg['service'], msg.get('payload', ''), **options)

    def publish(self, msg: Mapping[str, Any]) -> None:
        """Always fails: such messages change how servers of these lines are configured, which is done otherwise here.

        :raises NotImplementedError: always.
        """
        action = msg.get('action') if isinstance(msg, Mapping) else msg
        message = f'self.broker_client.publish() does not configure servers here (action {action!r}); use enmasse'
        raise NotImplementedError(message)
