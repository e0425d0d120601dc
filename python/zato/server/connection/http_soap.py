"""Errors of HTTP channels. They live in :mod:`zato.common.exception`; most services import them from here."""

from zato.common.exception import (
    BadRequest,
    ClientHTTPError,
    Conflict,
    Forbidden,
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)

__all__ = [
    'BadRequest',
    'ClientHTTPError',
    'Conflict',
    'Forbidden',
    'HTTPException',
    'InternalServerError',
    'MethodNotAllowed',
    'NotFound',
    'ServiceUnavailable',
    'TooManyRequests',
    'Unauthorized',
]
