"""What outgoing HTTP raises: the classes of ``requests.exceptions``, so that services catch what they always caught.

Without ``requests`` installed these are classes of the same names, bases and attributes. Names resolve on first use::

    from busbar.http.exceptions import ConnectTimeout
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from busbar._borrowed import Borrowed

if TYPE_CHECKING:
    from requests.exceptions import (
        ChunkedEncodingError,
        ConnectionError,
        ConnectTimeout,
        ContentDecodingError,
        HTTPError,
        InvalidHeader,
        InvalidSchema,
        InvalidURL,
        JSONDecodeError,
        MissingSchema,
        ProxyError,
        ReadTimeout,
        RequestException,
        SSLError,
        Timeout,
        TooManyRedirects,
    )

__all__ = [
    'ChunkedEncodingError',
    'ConnectTimeout',
    'ConnectionError',
    'ContentDecodingError',
    'HTTPError',
    'InvalidHeader',
    'InvalidSchema',
    'InvalidURL',
    'JSONDecodeError',
    'MissingSchema',
    'ProxyError',
    'ReadTimeout',
    'RequestException',
    'SSLError',
    'Timeout',
    'TooManyRedirects',
]


class _RequestException(OSError):
    """An outgoing HTTP request failed. ``request`` and ``response`` are ``None`` where there is none."""

    def __init__(self, *args: Any, request: Any = None, response: Any = None) -> None:
        super().__init__(*args)
        self.request = request
        self.response = response


class _JSONDecodeError(_RequestException, json.JSONDecodeError):
    """The answer is not JSON: ``msg`` says why, ``pos`` where in ``doc``."""

    def __init__(self, msg: str, doc: str, pos: int, **kwargs: Any) -> None:
        json.JSONDecodeError.__init__(self, msg, doc, pos)
        _RequestException.__init__(self, *self.args, **kwargs)


def _stand_ins() -> dict[str, type[Exception]]:
    made: dict[str, type[Exception]] = {'RequestException': _RequestException, 'JSONDecodeError': _JSONDecodeError}
    for name, stand_in in made.items():
        stand_in.__name__ = stand_in.__qualname__ = name

    def add(name: str, text: str, *bases: str | type[Exception]) -> None:
        parents = tuple(made[base] if isinstance(base, str) else base for base in bases)
        made[name] = type(name, parents, {'__doc__': text, '__module__': __name__})

    add('HTTPError', 'The answer has a status of 400 or more.', 'RequestException')
    add('ConnectionError', 'The other side could not be reached, or the line dropped.', 'RequestException')
    add('ProxyError', 'The proxy could not be used.', 'ConnectionError')
    add('SSLError', 'TLS could not be set up, or the certificate is not valid.', 'ConnectionError')
    add('Timeout', 'It took longer than allowed.', 'RequestException')
    add('ConnectTimeout', 'Connecting took longer than allowed.', 'ConnectionError', 'Timeout')
    add('ReadTimeout', 'The other side did not answer in time.', 'Timeout')
    add('TooManyRedirects', 'One redirection led to another too often.', 'RequestException')
    add('MissingSchema', 'The address has no http:// or https://.', 'RequestException', ValueError)
    add(
        'InvalidSchema',
        'The address begins with something else than http:// or https://.',
        'RequestException',
        ValueError,
    )
    add('InvalidURL', 'The address cannot be read.', 'RequestException', ValueError)
    add('InvalidHeader', 'A header has a value that cannot be sent.', 'RequestException', ValueError)
    add('ChunkedEncodingError', 'The answer ended in the middle.', 'RequestException')
    add('ContentDecodingError', 'The answer could not be decompressed.', 'RequestException')
    return made


_classes = Borrowed('requests.exceptions', _stand_ins())


def __getattr__(name: str) -> type[Exception]:
    return _classes.resolve(name)
