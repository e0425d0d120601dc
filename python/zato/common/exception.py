"""Exceptions that services raise and catch.

Raised out of a service, the ones derived from :class:`HTTPException` become a response with their status and message::

    raise NotFound(self.cid, 'There is no such customer')

The first argument is always the correlation id. The same classes can be imported from ``zato.common`` and, as far as
they are about HTTP, from ``zato.server.connection.http_soap``.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar

__all__ = [
    'AddressNotAllowed',
    'BadRequest',
    'ClientHTTPError',
    'ClientSecurityException',
    'Conflict',
    'ConnectionException',
    'ConnectorClosedException',
    'Forbidden',
    'HTTPException',
    'IBMMQException',
    'Inactive',
    'InternalServerError',
    'JSONSchemaValidationException',
    'MethodNotAllowed',
    'NotFound',
    'ParsingException',
    'PubSubSubscriptionExists',
    'RateLimitReached',
    'Reportable',
    'RuntimeInvocationError',
    'ServiceMissingException',
    'ServiceUnavailable',
    'StatusAwareException',
    'SubscriberException',
    'TimeoutException',
    'TooManyRequests',
    'Unauthorized',
    'ValidationException',
    'ZatoException',
]


class ZatoException(Exception):
    """Base class of all the others.

    :param cid: correlation id of the request during which it happened.
    :param msg: what happened.
    """

    #: HTTP status that it has when it leaves a service.
    status: int = HTTPStatus.INTERNAL_SERVER_ERROR.value

    #: Correlation id, or ``None``.
    cid: str | None
    #: What happened, or ``None``.
    msg: Any

    def __init__(self, cid: str | None = None, msg: Any = None) -> None:
        super().__init__(*(() if msg is None else (msg,)))
        self.cid = cid
        self.msg = msg

    @property
    def reason(self) -> str:
        """The status in words: ``Not Found``."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ''

    def __reduce__(self) -> tuple[Any, ...]:
        # the default would call the class with `args`, in which the cid is not
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(cls: type[ZatoException], args: tuple[Any, ...], attributes: dict[str, Any]) -> ZatoException:
    """What unpickling calls."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class HTTPException(ZatoException):
    """An error with an HTTP status of its own.

    :param cid: correlation id.
    :param msg: what the caller is told.
    :param status: HTTP status, 500 unless given.
    :param needs_msg: whether the caller is told ``msg`` even where the server is set to hide messages.
    """

    def __init__(
        self,
        cid: str | None = None,
        msg: Any = None,
        status: int | None = None,
        needs_msg: bool = True,
    ) -> None:
        super().__init__(cid, msg)
        self.needs_msg = needs_msg
        if status is not None:
            self.status = status


#: Older names of :class:`HTTPException`.
Reportable = StatusAwareException = HTTPException


class ClientHTTPError(HTTPException):
    """The caller did something wrong: the base class of all errors with a status of 400 to 499."""

    status = HTTPStatus.BAD_REQUEST.value


class _Fixed:
    """Mixed in by the classes whose status is always the same and whose message has a default."""

    _message: ClassVar[str | None] = None

    def __init__(self, cid: str | None = None, msg: Any = None, needs_msg: bool = True) -> None:
        super().__init__(cid, self._message if msg is None else msg, needs_msg=needs_msg)  # type: ignore[call-arg]


class BadRequest(_Fixed, ClientHTTPError):
    """400: the request cannot be accepted as it is.

    :param needs_msg: whether the caller is told ``msg`` even where the server is set to hide messages of this class.
    """

    _message = 'Bad request'

    def __init__(self, cid: str | None = None, msg: Any = None, needs_msg: bool = False) -> None:
        super().__init__(cid, msg, needs_msg)


class Unauthorized(_Fixed, ClientHTTPError):
    """401: the caller did not say who they are, or not in a way that holds.

    :param challenge: value of the header ``WWW-Authenticate``: ``Basic realm="Shop"``.
    """

    status = HTTPStatus.UNAUTHORIZED.value

    def __init__(self, cid: str | None = None, msg: Any = None, challenge: str | None = None) -> None:
        super().__init__(cid, msg)
        self.challenge = challenge


class Forbidden(_Fixed, ClientHTTPError):
    """403: the caller may not do this."""

    status = HTTPStatus.FORBIDDEN.value
    _message = 'You are not allowed to access this resource'


class NotFound(_Fixed, ClientHTTPError):
    """404: there is no such thing."""

    status = HTTPStatus.NOT_FOUND.value


class MethodNotAllowed(_Fixed, ClientHTTPError):
    """405: not with this HTTP method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED.value


class Conflict(_Fixed, ClientHTTPError):
    """409: it exists already, or it changed meanwhile."""

    status = HTTPStatus.CONFLICT.value


class TooManyRequests(_Fixed, ClientHTTPError):
    """429: more often than allowed."""

    status = HTTPStatus.TOO_MANY_REQUESTS.value


class InternalServerError(_Fixed, HTTPException):
    """500: something went wrong on this side."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR.value
    _message = 'Internal server error'


class ServiceUnavailable(_Fixed, HTTPException):
    """503: not now, try again later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE.value


class AddressNotAllowed(Forbidden):
    """403: not from this address."""


class RateLimitReached(TooManyRequests):
    """429: the rate limit has been reached."""


class JSONSchemaValidationException(_Fixed, ClientHTTPError):
    """400: the request does not follow the service's JSON Schema."""


class PubSubSubscriptionExists(BadRequest):
    """400: there is such a subscription already."""


class ParsingException(ZatoException):
    """400: the request could not be read."""

    status = HTTPStatus.BAD_REQUEST.value


class ValidationException(ZatoException):
    """400: a value in the request cannot be accepted."""

    status = HTTPStatus.BAD_REQUEST.value


class Inactive(ZatoException):
    """The connection, channel or service is switched off.

    :param name: its name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(None, f'`{name}` is inactive')
        self.name = name


class ClientSecurityException(ZatoException):
    """The server refused this side's credentials."""


class ConnectionException(ZatoException):
    """The other side could not be reached, or the line dropped."""


class ConnectorClosedException(ZatoException):
    """The connection was closed while it was needed."""


class IBMMQException(ZatoException):
    """An IBM MQ queue manager refused something."""


class RuntimeInvocationError(ZatoException):
    """A service could not be called."""


class ServiceMissingException(ZatoException):
    """There is no such service."""


class SubscriberException(ZatoException):
    """A subscriber could not take a message."""


class TimeoutException(ZatoException):
    """It took longer than allowed."""
