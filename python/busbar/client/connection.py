"""The way to a server: an HTTP session, TLS, and what is tried again."""

from __future__ import annotations

import logging
import os
import ssl
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

__all__ = ['Auth', 'Certificate', 'Client', 'Headers', 'Session']

#: User name and password.
Auth = tuple[str, str]
#: Headers of one request.
Headers = dict[str, str]
#: File of a client certificate that has its key in it, or files of the certificate and the key.
Certificate = str | tuple[str, str]

#: How often connecting is tried again.
CONNECT_RETRIES = 4
#: Seconds before it is tried again for the first time; each further pause is twice as long.
BACK_OFF = 0.1
#: Seconds that connecting may take.
CONNECT_TIMEOUT = 10.0


class Session(Protocol):
    """What requests are sent through: an ``httpx.Client``, or a session of the package ``requests``."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Sends one request."""
        ...


class Client:
    """Sends requests to one path of a server. What they look like, and how answers are read, is up to the subclasses.

    :param address: where the server is: ``http://127.0.0.1:17010``.
    :param path: where on it.
    :param auth: user name and password for HTTP Basic authentication.
    :param session: an ``httpx.Client`` or a ``requests.Session`` to use in place of one of its own. It has its own
        settings of TLS, and its own retries if it is of ``requests``.
    :param to_bunch: whether ``response.data`` lets itself be read with dots.
    :param max_response_repr: how many characters of the data are shown by ``repr(response)``.
    :param max_cid_repr: how many characters of each end of the correlation id are.
    :param logger: what is sent and received is logged here at level DEBUG, without the payloads.
    :param tls_verify: whether the server's certificate is checked; a path is that of the CA certificates it is checked
        against.
    :param tls_cert: the client's own certificate.
    :param headers: sent with every request.
    :param timeout: seconds to wait for an answer; ``None``: as long as it takes.
    """

    #: Path if none is given.
    default_path = ''

    def __init__(
        self,
        address: str,
        path: str | None = None,
        auth: Auth | None = None,
        session: Session | None = None,
        to_bunch: bool = False,
        max_response_repr: int = 2500,
        max_cid_repr: int = 5,
        logger: logging.Logger | None = None,
        tls_verify: bool | str = True,
        *,
        tls_cert: Certificate | None = None,
        headers: Headers | None = None,
        timeout: float | None = None,
    ) -> None:
        self.address = address.rstrip('/')
        self.path = self.default_path if path is None else path
        self.service_address = self.address + self.path
        self.auth = auth
        self.to_bunch = to_bunch
        self.max_response_repr = max_response_repr
        self.max_cid_repr = max_cid_repr
        self.logger = logger or logging.getLogger(__name__)
        self.tls_verify = tls_verify
        self.headers = headers or {}
        self.timeout = timeout
        self.session: Session = session or _new_session(tls_verify, tls_cert, timeout)

    def send(self, method: str, url: str, body: str | bytes, headers: Headers | None) -> Any:
        """Sends a request and returns the session's response.

        :raises ConnectionError: if the server cannot be reached, or does not answer.
        :raises ValueError: if the address is none.
        """
        import httpx

        content = body.encode() if isinstance(body, str) else body
        sent = {**self.headers, **(headers or {})}
        if not isinstance(self.session, httpx.Client):
            return self.session.request(
                method, url, data=content, headers=sent, auth=self.auth, timeout=self.timeout, verify=self.tls_verify
            )
        request = self.session.build_request(method, url, content=content, headers=sent)
        for attempt in range(CONNECT_RETRIES + 1):
            try:
                inner = self.session.send(request, auth=self.auth or httpx.USE_CLIENT_DEFAULT)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                # nothing has been sent yet, so nothing is done twice
                if attempt == CONNECT_RETRIES:
                    message = f'cannot reach `{url}`, tried {attempt + 1} times: {error}. Does the server run there?'
                    raise ConnectionError(message) from error
                time.sleep(BACK_OFF * 2**attempt)
            except httpx.UnsupportedProtocol:
                message = f'`{url}` is not an address of a server: it begins with `http://` or `https://`'
                raise ValueError(message) from None
            except httpx.TransportError as error:
                message = (
                    f'no answer from `{url}`: {error or type(error).__name__}. The request may have been carried out'
                )
                raise ConnectionError(message) from error
            else:
                self.logger.debug('%s %s: %s', method, url, inner.status_code)
                return inner
        raise AssertionError('the last attempt returns or raises')

    def close(self) -> None:
        """Closes the connections."""
        close = getattr(self.session, 'close', None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _new_session(tls_verify: bool | str, tls_cert: Certificate | None, timeout: float | None) -> httpx.Client:
    try:
        import httpx
    except ImportError as error:
        message = 'the package `httpx` is missing, which the client needs: pip install httpx'
        raise ImportError(message) from error
    return httpx.Client(
        verify=_tls_context(tls_verify, tls_cert),
        timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT if timeout is None else min(timeout, CONNECT_TIMEOUT)),
    )


def _tls_context(verify: bool | str, certificate: Certificate | None) -> ssl.SSLContext:
    import httpx

    if isinstance(verify, str):
        is_directory = os.path.isdir(verify)
        context = ssl.create_default_context(
            cafile=None if is_directory else verify, capath=verify if is_directory else None
        )
    else:
        context = httpx.create_ssl_context(verify=verify)
    if isinstance(certificate, str):
        context.load_cert_chain(certificate)
    elif certificate is not None:
        context.load_cert_chain(*certificate)
    return context
