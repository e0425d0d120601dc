"""``pubsub()`` of the client: receives what others publish, with the calls of redis-py's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from _busbar import RedisSubscription
from busbar.kvdb import exceptions

__all__ = ['PubSub', 'PubSubWorkerThread']

Handler = Callable[[dict[str, Any]], Any]

_PUBLISHED: Final = frozenset(('message', 'pmessage', 'smessage'))
_UNSUBSCRIBED: Final = {'unsubscribe': 'channels', 'punsubscribe': 'patterns', 'sunsubscribe': 'shard_channels'}
_SUBSCRIBED: Final = {'message': 'channels', 'pmessage': 'patterns', 'smessage': 'shard_channels'}


class PubSub:
    """A connection of its own that receives messages.

    When it is lost, whoever waits for a message gets ``ConnectionError``; the next call connects again and subscribes
    to everything anew. What was published meanwhile is lost, as with any use of Redis's PUB/SUB.

    :param client: the client.
    :param ignore_subscribe_messages: whether confirmations are left out.
    """

    def __init__(self, client: Any, shard_hint: Any = None, ignore_subscribe_messages: bool = False) -> None:
        self._client = client
        self.shard_hint = shard_hint
        self.ignore_subscribe_messages = ignore_subscribe_messages
        #: What is subscribed to, each with what is called with its messages, or ``None``.
        self.channels: dict[Any, Handler | None] = {}
        self.patterns: dict[Any, Handler | None] = {}
        self.shard_channels: dict[Any, Handler | None] = {}
        self._pending: dict[str, set[Any]] = {'channels': set(), 'patterns': set(), 'shard_channels': set()}
        self._connection: RedisSubscription | None = None
        self._is_subscribed = threading.Event()
        self._connecting = threading.RLock()

    def __enter__(self) -> PubSub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reset()

    def reset(self) -> None:
        """Gives everything up, and the connection with it."""
        with self._connecting:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            for name, pending in self._pending.items():
                setattr(self, name, {})
                pending.clear()
            self._is_subscribed.clear()

    close = reset

    @property
    def subscribed(self) -> bool:
        """Whether there is anything subscribed to."""
        return self._is_subscribed.is_set()

    def subscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Subscribes to channels; those given by name have their messages passed to what is given for them."""
        self._subscribe('SUBSCRIBE', 'channels', args, kwargs)

    def psubscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Subscribes to all channels that fit a pattern."""
        self._subscribe('PSUBSCRIBE', 'patterns', args, kwargs)

    def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Handler) -> None:
        """Subscribes to channels that one node of a cluster keeps."""
        self._subscribe('SSUBSCRIBE', 'shard_channels', args, kwargs)

    def unsubscribe(self, *args: Any) -> None:
        """Gives channels up; all of them if none is named."""
        self._unsubscribe('UNSUBSCRIBE', 'channels', args)

    def punsubscribe(self, *args: Any) -> None:
        """Gives patterns up; all of them if none is named."""
        self._unsubscribe('PUNSUBSCRIBE', 'patterns', args)

    def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """Gives channels of a node up; all of them if none is named."""
        self._unsubscribe('SUNSUBSCRIBE', 'shard_channels', args)

    def ping(self, message: str | None = None) -> None:
        """Asks for a message of type ``pong``."""
        self._send('PING', [''] if message is None else [message])

    def listen(self) -> Iterator[dict[str, Any]]:
        """All messages, as they come, for as long as anything is subscribed to."""
        while self.subscribed:
            message = self.handle_message(self.parse_response())
            if message is not None:
                yield message

    def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0
    ) -> dict[str, Any] | None:
        """The next message, or ``None`` if there is none in ``timeout`` seconds; ``timeout=None`` waits for ever.

        ``None`` comes also when what came was a confirmation that is left out, or when a handler was called.
        """
        # another thread may be about to subscribe
        if not self.subscribed and self._connection is None and not self._is_subscribed.wait(timeout):
            return None
        response = self.parse_response(block=timeout is None, timeout=timeout or 0.0)
        if response is None:
            return None
        return self.handle_message(response, ignore_subscribe_messages)

    get_sharded_message = get_message

    def parse_response(self, block: bool = True, timeout: float = 0.0) -> tuple[Any, ...] | None:
        """What comes next: type, pattern, channel and data. For ``get_message()`` and ``listen()``."""
        connection = self._connect()
        return connection.read(None if block else timeout)

    def handle_message(
        self, response: tuple[Any, ...] | None, ignore_subscribe_messages: bool = False
    ) -> dict[str, Any] | None:
        """A message as users get it; ``None`` if its handler took it, or if it is left out."""
        if response is None:
            return None
        kind, pattern, channel, data = response
        message = {'type': kind, 'pattern': pattern, 'channel': channel, 'data': data}
        if kind in _UNSUBSCRIBED:
            self._given_up(_UNSUBSCRIBED[kind], channel)
        if kind in _PUBLISHED:
            handlers = getattr(self, _SUBSCRIBED[kind])
            handler = handlers.get(pattern if kind == 'pmessage' else channel)
            if handler is not None:
                handler(message)
                return None
        elif kind != 'pong' and (ignore_subscribe_messages or self.ignore_subscribe_messages):
            return None
        return message

    def run_in_thread(
        self,
        sleep_time: float = 0.0,
        daemon: bool = False,
        exception_handler: Callable[[BaseException, PubSub, PubSubWorkerThread], None] | None = None,
    ) -> PubSubWorkerThread:
        """A thread that calls the handlers of what is subscribed to, until its ``stop()``.

        :raises PubSubError: if there is something that has no handler.
        """
        for what, handlers in (
            ('Channel', self.channels),
            ('Pattern', self.patterns),
            ('Shard Channel', self.shard_channels),
        ):
            for name, handler in handlers.items():
                if handler is None:
                    message = f"{what}: '{name}' has no handler registered"
                    raise exceptions.PubSubError(message)
        thread = PubSubWorkerThread(self, sleep_time, daemon=daemon, exception_handler=exception_handler)
        thread.start()
        return thread

    def _connect(self) -> RedisSubscription:
        with self._connecting:
            if self._connection is not None and self._connection.is_open:
                return self._connection
            if self._connection is None and not self.subscribed:
                message = 'pubsub connection not set: did you forget to call subscribe() or psubscribe()?'
                raise RuntimeError(message)
            return self._connect_anew()

    def _connect_anew(self) -> RedisSubscription:
        self._connection = None
        connection = RedisSubscription(self._client)
        for command, name in (('SUBSCRIBE', 'channels'), ('PSUBSCRIBE', 'patterns'), ('SSUBSCRIBE', 'shard_channels')):
            self._pending[name].clear()
            if known := list(getattr(self, name)):
                connection.send(command, known)
        self._connection = connection
        return connection

    def _send(self, command: str, names: list[Any]) -> None:
        with self._connecting:
            connection = self._connection
            if connection is None or not connection.is_open:
                connection = self._connect_anew()
            connection.send(command, names)

    def _normal(self, name: Any) -> Any:
        """A name as it stands in messages."""
        if self._is_text():
            return name.decode() if isinstance(name, bytes) else str(name)
        return name if isinstance(name, bytes) else str(name).encode()

    def _is_text(self) -> bool:
        return bool(self._client._is_text)

    def _subscribe(self, command: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Handler]) -> None:
        wanted: dict[Any, Handler | None] = dict.fromkeys(_flat(args))
        wanted.update(kwargs)
        self._send(command, list(wanted))
        # afterwards, so that a connection that was made for it does not subscribe to them twice
        wanted = {self._normal(key): handler for key, handler in wanted.items()}
        getattr(self, name).update(wanted)
        self._pending[name].difference_update(wanted)
        self._is_subscribed.set()

    def _unsubscribe(self, command: str, name: str, args: tuple[Any, ...]) -> None:
        names = _flat(args)
        self._pending[name].update(map(self._normal, names) if names else getattr(self, name))
        self._send(command, names)

    def _given_up(self, name: str, channel: Any) -> None:
        pending = self._pending[name]
        if channel in pending:
            pending.discard(channel)
            getattr(self, name).pop(channel, None)
        if not (self.channels or self.patterns or self.shard_channels):
            self._is_subscribed.clear()


def _flat(args: tuple[Any, ...]) -> list[Any]:
    """Names, also where the first of them is a list of some."""
    if args and isinstance(args[0], list | tuple | set | frozenset):
        return [*args[0], *args[1:]]
    return list(args)


class PubSubWorkerThread(threading.Thread):
    """The thread of :meth:`PubSub.run_in_thread`."""

    def __init__(
        self,
        pubsub: PubSub,
        sleep_time: float,
        daemon: bool = False,
        exception_handler: Callable[[BaseException, PubSub, PubSubWorkerThread], None] | None = None,
    ) -> None:
        super().__init__(daemon=daemon)
        self.pubsub = pubsub
        self.sleep_time = sleep_time
        self.exception_handler = exception_handler
        self._running = threading.Event()

    def run(self) -> None:
        """Calls handlers until :meth:`stop`, then gives the subscriptions up."""
        if self._running.is_set():
            return
        self._running.set()
        try:
            while self._running.is_set():
                try:
                    self.pubsub.get_message(ignore_subscribe_messages=True, timeout=self.sleep_time)
                except BaseException as error:
                    if self.exception_handler is None:
                        raise
                    self.exception_handler(error, self.pubsub, self)
        finally:
            self.pubsub.close()

    def stop(self) -> None:
        """Has the thread end after the message that it is at."""
        self._running.clear()
