"""What libraries written for redis-py ask a client about its connection: ``get_encoder()`` and ``connection_pool``."""

from __future__ import annotations

from typing import Any

from busbar.kvdb import exceptions

__all__ = ['ConnectionPool', 'Encoder']


class Encoder:
    """Makes bytes of values, and text of replies.

    :param decode_responses: whether the client gives text.
    """

    encoding = 'utf-8'
    encoding_errors = 'strict'

    def __init__(self, decode_responses: bool) -> None:
        self.decode_responses = decode_responses

    def encode(self, value: Any) -> Any:
        """The bytes that are sent for a value.

        :raises DataError: if Redis has no form for it.
        """
        if isinstance(value, (bytes, memoryview)):
            return value
        if isinstance(value, str):
            return value.encode(self.encoding, self.encoding_errors)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return repr(value).encode()
        kind = type(value).__name__
        message = f"Invalid input of type: '{kind}'. Convert to a bytes, string, int or float first."
        error: Exception = exceptions.DataError(message)
        raise error

    def decode(self, value: Any, force: bool = False) -> Any:
        """Text, if the client gives text or if it is forced to; else the value as it is."""
        if not (self.decode_responses or force):
            return value
        if isinstance(value, memoryview):
            value = value.tobytes()
        return value.decode(self.encoding, self.encoding_errors) if isinstance(value, bytes) else value


class ConnectionPool:
    """Stands for the connections, which busbar has itself: it says how values are encoded, and no more.

    :param decode_responses: whether the client gives text.
    """

    def __init__(self, decode_responses: bool) -> None:
        self._encoder = Encoder(decode_responses)
        #: How values are encoded. Addresses and passwords are not told.
        self.connection_kwargs: dict[str, Any] = {
            'encoding': Encoder.encoding,
            'encoding_errors': Encoder.encoding_errors,
            'decode_responses': decode_responses,
        }

    def get_encoder(self) -> Encoder:
        """What makes bytes of values, and text of replies."""
        return self._encoder

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Nothing is held open: this does nothing."""
