"""``self.channel``: where a call came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import _busbar

if TYPE_CHECKING:
    from _busbar import ChannelSecurityInfo

__all__ = ['ChannelInfo']


class ChannelInfo(str):
    """The channel through which the service was called. As a text it is its type: ``self.channel == 'http-soap'``."""

    __slots__ = ('_details',)

    _details: _busbar.ChannelDetails

    def __new__(cls, details: _busbar.ChannelDetails) -> ChannelInfo:
        """The channel with these details."""
        channel = super().__new__(cls, details.type)
        channel._details = details
        return channel

    @property
    def id(self) -> int:
        """Id of the channel. Channels are known by name here; the id is 0."""
        return self._details.id

    @property
    def name(self) -> str:
        """Name of the channel; of the service if it was called without one."""
        return self._details.name

    @property
    def type(self) -> str:
        """`http-soap`, `invoke`..."""
        return str(self)

    @property
    def data_format(self) -> str:
        """`json`, `xml`, `dict` or an empty text."""
        return self._details.data_format

    @property
    def is_internal(self) -> bool:
        """Whether it belongs to the server itself."""
        return self._details.is_internal

    @property
    def match_target(self) -> str:
        """What the request was matched with: method and path."""
        return self._details.match_target

    @property
    def impl(self) -> None:
        """The underlying object; there is none that services could use."""

    @property
    def security(self) -> ChannelSecurityInfo:
        """The security definition that let the caller in; its fields are `None` if the channel is open."""
        return self._details.security

    @property
    def sec(self) -> ChannelSecurityInfo:
        """The same as `security`."""
        return self._details.security

    def __repr__(self) -> str:
        return f'<ChannelInfo name:`{self.name}` type:`{self}`>'

    def __reduce__(self) -> tuple[Any, ...]:
        # what is kept of it beyond the call is its text
        return str, (str(self),)
