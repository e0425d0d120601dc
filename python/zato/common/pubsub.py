"""Messages of topics, as services see them."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ['MSG_PREFIX', 'PubSubMessage', 'prefix_sk']

#: What keys of subscriptions begin with.
prefix_sk = 'zpsk.'


class MSG_PREFIX:
    """What ids begin with."""

    MSG_ID = 'zpsm'
    SERVICE_SK = 'zpsk.srv'


class PubSubMessage:
    """A message that was published to a topic."""

    _fields: ClassVar[tuple[str, ...]] = (
        'data',
        'pub_msg_id',
        'topic_name',
        'sub_key',
        'priority',
        'expiration',
        'mime_type',
        'size',
        'pub_time_iso',
        'expiration_time_iso',
        'delivery_count',
        'has_gd',
        'ext_client_id',
        'in_reply_to',
        'correl_id',
    )

    def __init__(self, **fields: Any) -> None:
        for name in self._fields:
            setattr(self, name, fields.pop(name, None))
        if 'msg_id' in fields:
            self.pub_msg_id = fields.pop('msg_id')
        if fields:
            message = f'a message has no `{next(iter(fields))}`'
            raise TypeError(message)

    @property
    def msg_id(self) -> Any:
        """The same as ``pub_msg_id``."""
        return self.pub_msg_id

    def to_dict(self) -> dict[str, Any]:
        """What is known of it, by name; what is not known is left out."""
        return {name: value for name in self._fields if (value := getattr(self, name)) is not None}

    def __repr__(self) -> str:
        return f'<PubSubMessage {self.pub_msg_id} topic:{self.topic_name}>'

    pub_msg_id: Any
    topic_name: Any
